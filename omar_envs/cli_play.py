"""``omar-envs play``: a person in one seat, at this terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from omar_envs.cli_help import About
from omar_envs.cli_options import (
    GAME_PANEL,
    OUTPUT_PANEL,
    POLICIES,
    SETTINGS,
    EnvName,
    Overwrite,
    Preset,
    Settings,
    Temperature,
    TemperatureChoose,
    complete_env,
    complete_setting,
    given,
    natural,
    new_file,
    policy_option,
    settings_given,
)
from omar_envs.errors import ConfigError, PolicyError
from omar_envs.terminal import ask, show

if TYPE_CHECKING:
    from omar_envs.policy import Policy
    from omar_envs.terminal_play import SavedGame, Screen

LAST = ""
"""In the place of a saved game's file: the one that was played last."""

ABOUT = About(
    "Play a seat yourself, in this terminal.",
    "omar-envs play werewolf --seat 2 --with scripted",
    """\
While you play, /help lists the commands of the screen. Ctrl-C saves the game;
so does every act, and --resume goes on with it. docs/play.md tells more.

  omar-envs play sotopia --scenario moving_out_of_the_flat
  omar-envs play --with house       the game that this model was trained on
  omar-envs play --resume           the unfinished game that was played last
  omar-envs play --resume FILE      another one

"""
    + POLICIES
    + "\n"
    + SETTINGS,
    bare={"--resume": LAST},
)


def seat_number(text: str) -> int:
    """A seat from 0, or ``random``, for ``parser=``."""
    from omar_envs.terminal_play import RANDOM_SEAT

    return RANDOM_SEAT if text == "random" else natural(text)


def complete_scenario(incomplete: str) -> list[str]:
    """Names of shipped scenarios."""
    found = complete_setting(f"scenario={incomplete}")
    return [name.removeprefix("scenario=") for name in found]


def command(
    name: Annotated[
        str | None,
        typer.Argument(metavar="GAME", help="werewolf or sotopia", autocompletion=complete_env),
    ] = None,
    seat: Annotated[
        int | None,
        typer.Option(
            "--seat",
            metavar="N",
            parser=seat_number,
            help="your seat, from 0, or random  (default: 0)",
        ),
    ] = None,
    opponents: Annotated[
        str | None,
        policy_option(
            "--with", "--opponents", help="who plays the other seats  (default: scripted)"
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", parser=natural, help="of the game  (default: drawn, and told)"
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume", metavar="[FILE]", help="go on with the saved game in FILE, or the last one"
        ),
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario",
            metavar="NAME",
            autocompletion=complete_scenario,
            help="of sotopia, short for --set scenario=NAME",
            rich_help_panel=GAME_PANEL,
        ),
    ] = None,
    env: EnvName = None,
    preset: Preset = None,
    settings: Settings = None,
    temperature: Temperature = None,
    temperature_choose: TemperatureChoose = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="the episode, as JSON lines  (default: a new file where games are saved)",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Play one game to its end, or go on with one."""
    from omar_envs.by_name import Sampling, environment_name
    from omar_envs.rollout import ENVS
    from omar_envs.terminal_play import chosen_game, games_folder, new_game, newest, read_saved

    choosing = temperature_choose
    if out is not None:
        new_file(out, overwrite)
    if resume is not None:
        ruled_out = {
            "--seat": seat,
            "--with": opponents,
            "--seed": seed,
            "--scenario": scenario,
            "--preset": preset,
            "--set": settings,
            "--temperature": temperature,
            "--temperature-choose": choosing,
        }
        for option, value in ruled_out.items():
            if value is not None:
                raise ConfigError(f"{option} is settled in a saved game: leave it out")
        of = environment_name(name) if name is not None else env
        path = Path(resume) if resume else newest(games_folder(), [of] if of else [*ENVS])
        saved = read_saved(path)
        if out is not None:
            saved = msgspec.structs.replace(saved, out=str(out.absolute()), overwrite=overwrite)
        _play_on(saved, path)
        return
    opponents = opponents or "scripted"
    chosen = settings_given(settings, preset=preset, scenario=scenario)
    again = ["omar-envs", "play", *([name] if name else []), "--with", opponents]
    again += given({"--env": env, "--scenario": scenario, "--preset": preset})
    again += ["--set", *settings] if settings else []
    for option, number in (("--temperature", temperature), ("--temperature-choose", choosing)):
        again += [] if number is None else [option, f"{number:g}"]
    begun, path = new_game(
        chosen_game(name, env, opponents, chosen),
        opponents,
        again,
        seat=seat or 0,
        seed=seed,
        sampling=Sampling(temperature, choosing),
        out=out,
        overwrite=overwrite,
    )
    _play_on(begun, path)


def _play_on(begun: SavedGame, path: Path) -> None:
    from omar_envs.by_name import Game, Sampling, policy_by_name
    from omar_envs.terminal_play import Stopped, command_to_go_on, play_on

    def opponents() -> Policy:
        sampling = Sampling(begun.temperature, begun.temperature_choose)
        return policy_by_name(
            begun.opponents, begun.policy_seed, Game(begun.env, begun.config), sampling
        )

    endpoint = "://" in begun.opponents
    if begun.replies and endpoint:
        show("An endpoint does not remember: its model reads the conversation anew.")
    saved = f"The game is saved. Go on with: {command_to_go_on(path)}"
    try:
        play_on(begun, path, opponents, _screen(), asks_again=not endpoint)
    except KeyboardInterrupt:
        show(f"\n{saved}")
        raise
    except Stopped as stop:
        if stop.ended and not sys.stdin.isatty():
            raise PolicyError(f"{stop}. {saved}") from None
        show(f"\n{saved}")
    except PolicyError as error:
        raise PolicyError(f"{error} {saved}") from None


def _screen() -> Screen:
    from omar_envs.terminal_play import PlainScreen

    watched = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if not watched:
        return PlainScreen(ask, show)
    from omar_envs.terminal_play.rich_screen import RichScreen

    return RichScreen()
