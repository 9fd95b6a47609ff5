"""Which game a person plays: from the words of a command to a saved game without an act."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from omar_envs.by_name import AS_TRAINED, Game, Sampling, environment_name, game_for
from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.terminal_play.saved import ENDING, SavedGame, games_folder

RANDOM_SEAT = -1
"""In the place of a seat: one is drawn."""


def chosen_game(
    name: str | None,
    env: str | None,
    opponents: str,
    settings: dict[str, object],
) -> Game:
    """The game to play.

    Args:
        name: ``werewolf`` or ``sotopia``: with the settings that the opponents' model was
            trained on, if it was trained on this one.
        env: the same, but nothing is taken from a model.
        opponents: the policy in the other seats, by name.
        settings: arguments of the environment, on top of all that. A scenario is of
            ``sotopia``, where nothing else is said.

    Raises:
        ConfigError: a name is unknown, or the two contradict each other.
    """
    if name is None and env is None and "scenario" in settings:
        name = "sotopia"
    wanted = None if name is None else environment_name(name)
    if env is not None:
        if wanted not in (None, env):
            raise ConfigError(f"which one is it to be, {name} or --env {env}? Leave out one")
        return game_for([opponents], env, settings)
    # A preset is a whole set-up of its own.
    if wanted is not None and "preset" in settings:
        return game_for([opponents], wanted, settings)
    known = game_for([opponents], None, settings)
    if wanted in (None, known.env):
        return known
    return game_for([opponents], wanted, settings)


def made(game: Game) -> ConversationEnv:
    """The environment; a scenario whose outcome nobody computes is played without a reward.

    Raises:
        ConfigError: as :meth:`omar_envs.by_name.Game.make`.
    """
    if game.env != "sotopia_v0" or "reward" in game.settings:
        return game.make()
    try:
        return game.make()
    except ConfigError:
        try:
            return Game(game.env, {**game.settings, "reward": "none"}).make()
        except ConfigError:
            pass
        raise


def new_game(
    game: Game,
    opponents: str,
    again: Sequence[str],
    *,
    seat: int = 0,
    seed: int | None = None,
    sampling: Sampling = AS_TRAINED,
    out: Path | None = None,
    overwrite: bool = False,
) -> tuple[SavedGame, Path]:
    """A game before its first act, and the file that will keep it.

    Args:
        game: which one.
        opponents: the policy in the other seats, by name.
        again: words of the command that was given; seat and seed are added.
        seat: the person's, from 0, or :data:`RANDOM_SEAT`.
        seed: of the game, of the seat if that is drawn, and of the opponents; drawn by default.
        sampling: of a model in a folder.
        out: where the episode goes; by default beside the file.
        overwrite: whether a file there may be replaced.

    Raises:
        ConfigError: there is no such seat, the game cannot be made, or there is nowhere to
            keep it.
    """
    seed = secrets.randbelow(2**31) if seed is None else seed
    env = made(game)
    env.reset(seed=seed)  # what is drawn from a set of scenarios belongs to the config
    seats = env.possible_agents
    if seat == RANDOM_SEAT:
        seat = random.Random(seed).randrange(len(seats))
    if seat >= len(seats):
        raise ConfigError(f"there is no seat {seat}: this game has seats 0 to {len(seats) - 1}")
    folder = games_folder()
    begun = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    stem = f"{game.env.removesuffix('_v0')}-{begun}"
    saved = SavedGame(
        env=game.env,
        config=env.config,
        seed=seed,
        agent=seats[seat],
        opponents=opponents,
        policy_seed=seed,
        temperature=sampling.temperature,
        temperature_choose=sampling.temperature_choose,
        out=str((out or folder / f"{stem}.jsonl").absolute()),
        overwrite=overwrite,
        again=(*again, "--seat", str(seat), "--seed", str(seed)),
    )
    return saved, folder / f"{stem}{ENDING}"
