"""Recorded games in the forms that other libraries read, and back.

::

    from omar_envs.export import Filters, export

    export("games.jsonl", "won", "chat", filters=Filters(results=("won",)))

:func:`export` writes a file or folder with its card. The functions below it make single
rows of the seats of an episode, which :func:`played_seats` gives.
"""

from __future__ import annotations

from omar_envs.export.columns import COLUMNS, FORMATS, Format, features
from omar_envs.export.episodes import episode_row, episodes_from_rows
from omar_envs.export.filters import Filters, parse_seeds
from omar_envs.export.preference import deal_pairs
from omar_envs.export.rows import chat_row, messages_of, replies_of, sft_row, sharegpt_row
from omar_envs.export.run import KINDS, Exported, Kind, export
from omar_envs.export.seats import PlayedSeat, played_seats, result_of, without_thinking
from omar_envs.export.sources import Files
from omar_envs.export.splits import Splits
from omar_envs.export.textarena import textarena_game, textarena_row

__all__ = [
    "COLUMNS",
    "FORMATS",
    "KINDS",
    "Exported",
    "Files",
    "Filters",
    "Format",
    "Kind",
    "PlayedSeat",
    "Splits",
    "chat_row",
    "deal_pairs",
    "episode_row",
    "episodes_from_rows",
    "export",
    "features",
    "messages_of",
    "parse_seeds",
    "played_seats",
    "replies_of",
    "result_of",
    "sft_row",
    "sharegpt_row",
    "textarena_game",
    "textarena_row",
    "without_thinking",
]
