"""Every setting on one page: ``python -m omar_trainers.settings.page > docs/settings.md``."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

from omar_trainers.config import OMARConfig
from omar_trainers.settings import (
    ActingSettings,
    AdvantageSettings,
    CriticSettings,
    GameSettings,
    OpponentSettings,
    SafetySettings,
)

SUBJECTS = (
    GameSettings,
    ActingSettings,
    AdvantageSettings,
    CriticSettings,
    OpponentSettings,
    SafetySettings,
)
"""The classes that own the settings, in the order of the page."""

_INTRODUCTION = """\
# Settings of the trainer

One class, `omar_trainers.config.OMARConfig`, holds them all. A recipe is a YAML file with these
names as keys, and `omar-envs train --NAME VALUE` sets one on the command line. Besides them, every
setting of TRL's `GRPOConfig` and of transformers' `TrainingArguments` is there (`learning_rate`,
`report_to`, `beta`, `temperature`, …); the last table names those whose default differs here.
"""


def described(owner: type) -> dict[str, str]:
    """What a class's docstring says of its fields, by name; fields described together share it."""
    text = inspect.getdoc(owner) or ""
    arguments = text.partition("\nArgs:\n")[2]
    # The section ends where a line stands at the left edge again.
    arguments = re.split(r"\n(?=\S)", arguments)[0]
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \w)", "\n" + arguments):
        names, colon, meaning = entry.strip().partition(":")
        if colon:
            for name in names.split(","):
                found[name.strip()] = " ".join(meaning.split())
    return found


def page() -> str:
    """The page, in Markdown."""
    parts = [_INTRODUCTION]
    defaults = {field.name: field.default for field in dataclasses.fields(OMARConfig)}
    for owner in SUBJECTS:
        title = (inspect.getdoc(owner) or "").partition("\n")[0].rstrip(".")
        rows = [
            f"| `{name}` | `{_shown(defaults[name])}` | {_cell(meaning)} |"
            for name, meaning in described(owner).items()
        ]
        parts.append(
            "\n".join([f"## {title}", "", "| setting | default | meaning |", _RULE, *rows])
        )
    here = {name for owner in SUBJECTS for name in described(owner)}
    own = described(OMARConfig)
    rows = [
        f"| `{field.name}` | `{_shown(field.default)}` "
        f"| {_cell(own.get(field.name, field.metadata['help']))} |"
        for field in dataclasses.fields(OMARConfig)
        if field.name in OMARConfig.__annotations__ and field.name not in here
    ]
    head = ["## Of the run, and of TRL and transformers with another default", ""]
    parts.append("\n".join([*head, "| setting | default | meaning |", _RULE, *rows]))
    return "\n\n".join(part.strip() for part in parts) + "\n"


_RULE = "|---|---|---|"


def _shown(default: Any) -> str:
    if default == -1:
        return "follows"
    return str(default).lower() if isinstance(default, bool) else str(default)


def _cell(text: str) -> str:
    """Text of a table cell, with the docstrings' double backquotes as Markdown's single ones."""
    return text.replace("``", "`").replace("|", "\\|").strip()


if __name__ == "__main__":
    print(page(), end="")
