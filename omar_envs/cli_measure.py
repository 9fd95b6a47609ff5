"""``omar-envs measure``: how saved games of Werewolf were played."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from omar_envs.cli_help import About
from omar_envs.cli_options import Json
from omar_envs.errors import ConfigError
from omar_envs.terminal import show, show_json

ABOUT = About(
    "Measure how saved games of Werewolf were played: votes, powers, influence, talk.",
    "omar-envs measure before.jsonl after.jsonl",
    "Prints a Markdown table with one column for each file, 95% intervals over games.\n"
    "What each row means: pydoc omar_envs.werewolf.measured_play has wins, votes and\n"
    "powers; measured_influence and measured_speech, beside it, have the others.\n",
)


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="episodes, as JSON lines")],
    json: Json = False,
) -> None:
    """Measure each file."""
    from omar_envs.transcript import read_episodes
    from omar_envs.werewolf.measures import markdown, measure

    found = {
        name: measure(read_episodes(path))
        for name, path in zip(_headings(files), files, strict=True)
    }
    for path, column in zip(files, found.values(), strict=True):
        if not column["truncated_games"].games:
            raise ConfigError(f"no episode in {path}")
    if json:
        show_json(
            {
                name: {measured: value._asdict() for measured, value in column.items()}
                for name, column in found.items()
            }
        )
    else:
        show(markdown(found))


def _headings(files: Sequence[Path]) -> list[str]:
    """What to call each file: its name where that tells them apart, else as it was given.

    Raises:
        ConfigError: one is given twice.
    """
    for number, path in enumerate(files):
        if path in files[:number]:
            raise ConfigError(f"{path} is given twice: name each file once")
    stems = [path.stem for path in files]
    return stems if len(set(stems)) == len(stems) else [str(path) for path in files]
