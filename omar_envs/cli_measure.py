"""``omar-envs measure``: how saved games of Werewolf were played."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omar_envs.cli_help import About
from omar_envs.cli_options import Json
from omar_envs.terminal import show, show_json

ABOUT = About(
    "Measure how saved games of Werewolf were played: votes, powers, influence, talk.",
    "omar-envs measure before.jsonl after.jsonl",
    "Prints a Markdown table with one column for each file, 95% intervals over games.\n"
    "What each row means: pydoc omar_envs.werewolf.measures.\n",
)


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="episodes, as JSON lines")],
    json: Json = False,
) -> None:
    """Measure each file."""
    from omar_envs.transcript import read_episodes
    from omar_envs.werewolf.measures import markdown, measure

    found = {path.stem: measure(read_episodes(path)) for path in files}
    if json:
        show_json(
            {
                name: {measured: value._asdict() for measured, value in column.items()}
                for name, column in found.items()
            }
        )
    else:
        show(markdown(found))
