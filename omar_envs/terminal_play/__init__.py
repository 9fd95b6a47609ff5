"""A person plays a seat in a terminal: what stands behind ``omar-envs play``.

The person is shown what the seat's :class:`~omar_envs.types.View` holds, and until the
game has ended nothing else: every screen is given views alone. The game is on disk after
each act (:mod:`omar_envs.terminal_play.saved`), so that it goes on wherever it was stopped.
"""

from __future__ import annotations

from omar_envs.terminal_play.beginning import RANDOM_SEAT, chosen_game, new_game
from omar_envs.terminal_play.course import Stopped, play_on
from omar_envs.terminal_play.saved import (
    SavedGame,
    command_to_go_on,
    games_folder,
    newest,
    read_saved,
)
from omar_envs.terminal_play.screens import PlainScreen, Screen

__all__ = [
    "RANDOM_SEAT",
    "PlainScreen",
    "SavedGame",
    "Screen",
    "Stopped",
    "chosen_game",
    "command_to_go_on",
    "games_folder",
    "new_game",
    "newest",
    "play_on",
    "read_saved",
]
