"""What the commands have in common: their parser, the texts of their help, their options."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from omar_envs.errors import ConfigError
from omar_envs.terminal import printable

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["Parser"]
else:
    Commands = object

Command = Callable[[argparse.Namespace], int | None]
"""Runs a command; its exit code, where that is not 0."""

EXIT_MISUSE = 2
DEFAULT = "default: %(default)s"

POLICIES = """\
policies:
  random      any legal choice; says a stock phrase
  scripted    bots that argue, lie and vote in a small grammar, or haggle and settle
  human       you, at this terminal (only where a command says so)
  house       the tiny model that this project trains from scripted play [train]
  DIRECTORY   a model as transformers saves it, with its tokenizer [train]
  URL#MODEL   a model behind an OpenAI-compatible endpoint [openai]:
              http://localhost:8000/v1#Qwen/Qwen3-4B, key in OPENAI_API_KEY
"""

SETTINGS = """\
settings (--set key=value, as many as you like) are the environment's arguments;
values are read as JSON, and as plain text where they are none:
  --set preset=arena8 max_days=20
  --set num_players=5 discussion_rounds=1 'roles={"werewolf": 1, "seer": 1}'
  --env sotopia --set scenario=the_harbour_grant order=round_robin
  python -c 'from omar_envs import werewolf_v0; help(werewolf_v0)' lists them,
  sotopia_v0 in its place those of social scenarios.
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage in front of it."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_MISUSE, f"{self.prog}: {printable(message)} (see {self.prog} --help)\n")


def add_command(
    commands: Commands,
    name: str,
    command: Command,
    summary: str,
    example: str,
    notes: str,
) -> argparse.ArgumentParser:
    """Add a command with its help: a summary, an example, notes."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"example:\n  {example}\n\n{notes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
    return parser


def add_set(parser: argparse.ArgumentParser) -> None:
    """``--set key=value``: arguments of the environment."""
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="settings"
    )


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """``--overwrite``."""
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")


def add_batch(parser: argparse.ArgumentParser) -> None:
    """``--batch``: games at once."""
    parser.add_argument(
        "--batch", type=positive, default=256, metavar="N", help="games at once (default: 256)"
    )


def add_temperatures(parser: argparse.ArgumentParser) -> None:
    """``--temperature`` and ``--temperature-choose``, of models in folders."""
    for name, what in (("temperature", "replies"), ("temperature-choose", "choices alone")):
        parser.add_argument(
            f"--{name}",
            type=not_negative,
            metavar="T",
            help=f"of the {what} of models in folders (default: as they were trained)",
        )


def not_negative(text: str) -> float:
    """A finite number from 0, for ``type=``."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (number >= 0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError(f"must be a number from 0: got {text[:40]!r}")
    return number


def natural(text: str) -> int:
    """A whole number from 0, for ``type=``."""
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 0, of at most 18 digits: got {text[:40]!r}"
        )
    return int(text)


def positive(text: str) -> int:
    """A whole number from 1, for ``type=``."""
    number = natural(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be at least 1: got 0")
    return number


def new_file(path: Path, overwrite: bool) -> Path:
    """A file that may be written, found out before any work is done.

    Raises:
        ConfigError: it exists and ``overwrite`` is not set, or its folder does not.
    """
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists: name another file, or add --overwrite")
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}: make it first")
    return path
