"""What several commands share: types of their options, completion, texts of their help.

A command's parameters are annotated with these types; their defaults stand in its signature::

    def command(out: Out, seed: Seed = 0, settings: Settings = None) -> None: ...
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from omar_envs.errors import ConfigError

if TYPE_CHECKING:
    from omar_envs.by_name import Game

EXIT_MISUSE = 2
"""Exit code where the user must change something."""

GAME_PANEL = "The game"
OUTPUT_PANEL = "What is kept and shown"
SAMPLING_PANEL = "Models in folders"

POLICIES = """\
policies:
  random      any legal choice; says a stock phrase
  scripted    bots that argue, lie and vote in a small grammar, or haggle
  human       you, at this terminal (only where a command says so)
  house       the tiny model that this project trains from scripted play [train]
  DIRECTORY   a model as transformers saves it, with its tokenizer [train]
  URL#MODEL   a model behind an OpenAI-compatible endpoint [openai]:
              http://localhost:8000/v1#Qwen/Qwen3-4B, key in OPENAI_API_KEY
"""

SETTINGS = """\
settings (--set key=value, any number of them) are the environment's arguments;
values are read as JSON, and as plain text where they are none:
  --set preset=arena8 max_days=20
  --set num_players=5 discussion_rounds=1 'roles={"werewolf": 1, "seer": 1}'
  --env sotopia --set scenario=the_harbour_grant order=round_robin
  python -c 'from omar_envs import werewolf_v0; help(werewolf_v0)' lists them,
  sotopia_v0 in its place those of social scenarios.
"""


# --- values -----------------------------------------------------------------
# What parses a word is also handed the option's default, which is none.


def not_negative(text: str | float) -> float:
    """A finite number from 0, for ``parser=``."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (number >= 0 and math.isfinite(number)):
        raise typer.BadParameter(f"must be a number from 0: got {str(text)[:40]!r}")
    return number


def natural(text: str | int) -> int:
    """A whole number from 0, for ``parser=``."""
    digits = str(text)
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 18:
        raise typer.BadParameter(
            f"must be a whole number from 0, of at most 18 digits: got {digits[:40]!r}"
        )
    return int(digits)


def positive(text: str | int) -> int:
    """A whole number from 1, for ``parser=``."""
    number = natural(text)
    if number == 0:
        raise typer.BadParameter("must be at least 1: got 0")
    return number


def new_file(path: Path, overwrite: bool) -> Path:
    """A file that may be written, found out before any work is done.

    Raises:
        ConfigError: it exists and ``overwrite`` is not set, or its folder does not.
    """
    if path.name.startswith("--"):
        raise ConfigError(f"{path} reads like an option: name a file before it")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists: name another file, or add --overwrite")
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}: make it first")
    return path


def game(
    policies: Sequence[str], env: str | None, settings: Sequence[str] | None, preset: str | None
) -> Game:
    """The game that the options ask for, as :func:`omar_envs.by_name.game_for`.

    Raises:
        ConfigError: as there, and as :func:`settings_given`.
    """
    from omar_envs.by_name import game_for

    return game_for(policies, env, settings_given(settings, preset=preset))


def settings_given(words: Sequence[str] | None, **short: str | None) -> dict[str, Any]:
    """Settings of the environment from ``--set`` and from the options that are short for one.

    Args:
        words: what ``--set`` was given.
        short: what such an option was given, by the name of both option and setting.

    Raises:
        ConfigError: a word is no ``key=value``; or one setting is given both ways.
    """
    from omar_envs.by_name import parse_settings

    chosen = parse_settings(words or ())
    shorts = {name: value for name, value in short.items() if value is not None}
    for name, value in shorts.items():
        if name in chosen:
            raise ConfigError(
                f"{name} is given twice, --{name} {value} and --set {name}={chosen[name]}: keep one"
            )
    return {**shorts, **chosen}


def given(options: Mapping[str, str | None]) -> list[str]:
    """Options that were given, as words for another parser."""
    return [word for name, value in options.items() if value is not None for word in (name, value)]


# --- completion -------------------------------------------------------------


def complete_policy(incomplete: str) -> Iterator[str]:
    """Names of policies, and folders that hold a model."""
    yield from (name for name in ("random", "scripted") if name.startswith(incomplete))
    yield from complete_model(incomplete)


def complete_model(incomplete: str) -> Iterator[str]:
    """``house``, and folders that hold a model."""
    yield from (name for name in ("house",) if name.startswith(incomplete))
    yield from complete_model_folder(incomplete)


def complete_recipe(incomplete: str) -> list[str]:
    """Names of the recipes that come along."""
    from omar_envs.by_name import recipe_names

    return [name for name in recipe_names() if name.startswith(incomplete)]


def complete_model_folder(incomplete: str) -> Iterator[str]:
    """Folders beside what is typed: those with a model, and those on the way to one."""
    start = Path(incomplete)
    folder = start if incomplete.endswith("/") or not incomplete else start.parent
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and str(path).startswith(incomplete):
            yield str(path) if (path / "config.json").is_file() else f"{path}/"


def complete_env(incomplete: str) -> list[str]:
    """Names of environments."""
    return [name for name in ("werewolf", "sotopia") if name.startswith(incomplete)]


def complete_preset(incomplete: str) -> list[tuple[str, str]]:
    """Names of Werewolf's presets, each with what it is."""
    from omar_envs.werewolf.presets import PRESETS

    return [(name, each.what) for name, each in PRESETS.items() if name.startswith(incomplete)]


def complete_setting(incomplete: str) -> Iterator[str]:
    """``key=`` of every setting; behind ``preset=`` and ``scenario=`` their names."""
    from omar_envs.by_name import setting_names

    key, equals, text = incomplete.partition("=")
    if not equals:
        yield from (f"{name}=" for name in setting_names() if name.startswith(key))
    elif key == "preset":
        yield from (f"preset={name}" for name, _ in complete_preset(text))
    elif key == "scenario":
        from omar_envs.sotopia.library import scenarios

        names = (each.codename for each in scenarios())
        yield from (f"scenario={name}" for name in names if name.startswith(text))


# --- options ----------------------------------------------------------------


def policy_option(*names: str, help: str) -> Any:
    """An option that takes a policy, by a name of :data:`POLICIES`."""
    return typer.Option(*names, metavar="POLICY", help=help, autocompletion=complete_policy)


def env_name(text: str) -> str:
    """The full name of an environment, for ``parser=``."""
    from omar_envs.by_name import environment_name

    try:
        return environment_name(text)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None


EnvName = Annotated[
    str | None,
    typer.Option(
        "--env",
        metavar="NAME",
        parser=env_name,
        autocompletion=complete_env,
        help="werewolf or sotopia  (default: what the models were trained on, else werewolf)",
        rich_help_panel=GAME_PANEL,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        autocompletion=complete_setting,
        help="settings of the environment, any number of them",
        rich_help_panel=GAME_PANEL,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        autocompletion=complete_preset,
        help="somebody else's set-up, short for --set preset=NAME; see docs/presets.md",
        rich_help_panel=GAME_PANEL,
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", parser=natural, help="of all chance")]
Batch = Annotated[int, typer.Option("--batch", metavar="N", parser=positive, help="games at once")]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="FILE", help="JSON lines", rich_help_panel=OUTPUT_PANEL),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="replace a file that exists", rich_help_panel=OUTPUT_PANEL),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="print one JSON document on standard output, and nothing else there",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        metavar="T",
        parser=not_negative,
        help="of their replies  (default: as they were trained)",
        rich_help_panel=SAMPLING_PANEL,
    ),
]
TemperatureChoose = Annotated[
    float | None,
    typer.Option(
        "--temperature-choose",
        metavar="T",
        parser=not_negative,
        help="of their choices alone  (default: as they were trained)",
        rich_help_panel=SAMPLING_PANEL,
    ),
]
