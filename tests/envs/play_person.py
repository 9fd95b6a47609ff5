"""A person at a screen, as tests play one: what it types depends on its view alone."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from omar_envs.by_name import Game, policy_by_name
from omar_envs.policy import Policy
from omar_envs.terminal_play import PlainScreen, SavedGame, Screen, new_game, play_on
from omar_envs.terminal_play.ending import Ending
from omar_envs.terminal_play.rich_screen import RichScreen
from omar_envs.types import Episode, View

AGAIN = ("omar-envs", "play")
Typist = Callable[[View], str]
Shown = Callable[[], str]


def typed(view: View) -> str:
    """A legal reply, by number where there are choices."""
    assert view.request is not None
    drawn = zlib.crc32(f"{view.num_acts} {view.text}".encode())
    choices = view.request.choices
    if not choices:
        return f"These are my words number {view.num_acts}, {drawn}."
    if choices[0].isdecimal():
        return choices[drawn % len(choices)]
    return str(1 + drawn % len(choices))


class Left(Exception):
    """The person, or the machine, is gone."""


class PlainPerson(PlainScreen):
    """Plain text; leaves at question ``leaves_at``, counted from 0."""

    def __init__(self, typist: Typist = typed, leaves_at: int | None = None) -> None:
        self.told: list[str] = []
        self.views: list[View] = []
        self._typist = typist
        self._leaves_at = leaves_at
        super().__init__(lambda prompt: "", self.told.append)

    def line(self, view: View) -> str:
        if self._leaves_at == len(self.views):
            raise Left
        self.views.append(view)
        return self._typist(view)


class RichPerson(RichScreen):
    """The rich screen, drawn into a text."""

    def __init__(self, typist: Typist = typed, width: int = 80) -> None:
        self.file = io.StringIO()
        self._typist = typist
        self.at_the_end = ""
        super().__init__(
            Console(file=self.file, width=width, highlight=False, markup=False, emoji=False)
        )

    def line(self, view: View) -> str:
        return self._typist(view)

    def end(self, ending: Ending) -> None:
        self.at_the_end = self.file.getvalue()
        super().end(ending)


def begun(
    env: str, seat: int, seed: int, out: Path, opponents: str = "scripted", **settings: object
) -> tuple[SavedGame, Path]:
    game, _ = new_game(
        Game(env, dict(settings)), opponents, AGAIN, seat=seat, seed=seed, out=out, overwrite=True
    )
    return game, out.with_suffix(".unfinished.json")


def opponents_of(game: SavedGame) -> Callable[[], Policy]:
    """Makes the policy that the saved game names."""
    return lambda: policy_by_name(game.opponents, game.policy_seed, Game(game.env, game.config))


def played(game: SavedGame, file: Path, screen: Screen) -> Episode:
    return play_on(game, file, opponents_of(game), screen)
