"""Games and policies by the names that the command line gives them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from omar_envs.acting import Acting
from omar_envs.chat_policy import chat_policy_from_url
from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.policy import Policy, RandomPolicy, ScriptedPolicy
from omar_envs.rollout import ENVS, make
from omar_envs.sotopia.bots import NegotiatorPolicy
from omar_envs.sotopia.settings import Settings
from omar_envs.werewolf.settings import Rules
from omar_envs.werewolf.table import Table

GAME_FILE = "game.json"
"""Beside a model's weights: the game it was trained on, ``{"env": …, "config": {…}}``."""

HOUSE = "house"
"""The policy that is the tiny model of this project."""

_PLAIN = ("random", "scripted", "human")
_ENDPOINT = ("http://", "https://")
_PAYMENT = frozenset(
    {"elimination_discount", "format_penalty", "invalid_penalty", "judge_weight", "length_penalty"}
)


class Game(NamedTuple):
    """Which environment to play, and its arguments."""

    env: str
    settings: dict[str, Any]

    def make(self) -> ConversationEnv:
        """Make the environment.

        Raises:
            ConfigError: as :func:`omar_envs.rollout.make`.
        """
        return make(self.env, self.settings)


def game_for(policies: Sequence[str], env: str | None, settings: dict[str, Any]) -> Game:
    """The game to play: ``settings`` on top of what the models were trained on.

    Args:
        policies: names of the policies that play.
        env: name of the environment, ``werewolf`` or ``werewolf_v0``; then nothing
            is taken from the models. ``None`` for their game, or Werewolf.
        settings: arguments of the environment.

    Raises:
        ConfigError: a policy or the environment is unknown, or two models know different
            games.
    """
    directories = [
        model_directory(name)
        for name in policies
        if name not in _PLAIN and not name.startswith(_ENDPOINT)
    ]
    if env is not None:
        return Game(environment_name(env), settings)
    games = [game for game in map(trained_on, directories) if game is not None]
    if any(_rules(game) != _rules(games[0]) for game in games):
        raise ConfigError(
            f"{' and '.join(policies)} were trained on different games: "
            "say which one to play, with --env and --set"
        )
    base = games[0] if games else Game("werewolf_v0", {})
    return Game(base.env, base.settings | settings)


def environment_name(name: str) -> str:
    """``werewolf`` or ``werewolf_v0`` as the latter.

    Raises:
        ConfigError: there is no such environment; names the nearest one.
    """
    full = name if name in ENVS else f"{name}_v0"
    if full not in ENVS:
        known = [env.removesuffix("_v0") for env in ENVS]
        raise ConfigError(
            f"there is no environment {name[:40]!r}: {nearest(name, known)}known are "
            f"{' and '.join(known)}"
        )
    return full


def setting_names() -> tuple[str, ...]:
    """What ``--set`` takes, of either environment."""
    names = {field.name for kind in (Rules, Table, Settings) for field in fields(kind)}
    return tuple(sorted({*names, "preset", "scenario", "agents", "num_agents"}))


def recipe_names() -> list[str]:
    """The training recipes that come along; none where the trainer does not."""
    try:
        from omar_trainers.recipe_files import bundled_recipes
    except ModuleNotFoundError:
        return []
    return list(bundled_recipes())


def nearest(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'? ``, ready to stand before what else is said; empty if none is near."""
    close = get_close_matches(name.lower(), known, n=1)
    return f"did you mean {close[0]!r}? " if close else ""


class Sampling(NamedTuple):
    """What a player asks of a model's sampling; None is as the model was trained."""

    temperature: float | None = None
    temperature_choose: float | None = None


AS_TRAINED = Sampling()


def policy_by_name(name: str, seed: int, game: Game, sampling: Sampling = AS_TRAINED) -> Policy:
    """``random``, ``scripted``, ``house``, a ``URL#model`` or the directory of a model.

    Args:
        name: as above.
        seed: of the policy's own generator.
        game: what it will play; scripted bots are that game's, and speak in its style.
        sampling: of a model in a folder. The rest of how it acts is as it was
            trained (:class:`omar_envs.acting.Acting`).

    Raises:
        ConfigError: there is no such policy, it cannot be loaded, what is said of how it
            acts cannot be read, or its libraries are not installed.
    """
    match name:
        case "random":
            return RandomPolicy(seed)
        case "scripted" if game.env == "sotopia_v0":
            return NegotiatorPolicy(seed)
        case "scripted":
            return ScriptedPolicy(seed, brief=game.settings.get("prompt_style") == "terse")
        case "human":
            raise ConfigError("a person can only play in one seat of `omar-envs play`")
    if name.startswith(_ENDPOINT):
        return chat_policy_from_url(name)
    directory = model_directory(name)
    acting = Acting.read(directory)
    temperature, choosing = sampling
    if temperature is None:
        temperature = acting.temperature
        choosing = acting.temperature_choose if choosing is None else choosing
    with training_libraries():
        from omar_trainers.model_policy import ModelPolicy
    try:
        loaded: Policy = ModelPolicy.from_pretrained(
            directory,
            seed=seed,
            name=name,
            temperature=temperature,
            temperature_choose=choosing,
            max_new_tokens_speak=acting.max_new_tokens_speak,
            max_new_tokens_choose=acting.max_new_tokens_choose,
            constrain_choices=acting.constrain_choices,
            stop=acting.stop_strings,
            chat_template_kwargs=acting.chat_template_kwargs,
        )
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())
        raise ConfigError(f"{directory} holds no model that can play: {why}") from None
    return loaded


def parse_settings(items: Sequence[str]) -> dict[str, Any]:
    """``key=value`` words to arguments; a value is JSON, or text if it is not.

    Raises:
        ConfigError: a word has no key or no equals sign.
    """
    settings: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set takes key=value: got {item!r}")
        try:
            settings[key] = json.loads(text)
        except ValueError:
            settings[key] = text
    return settings


@contextmanager
def training_libraries() -> Iterator[None]:
    """Around an import of the trainer: says which extra brings what is missing.

    Raises:
        ConfigError: in place of ``ModuleNotFoundError``.
    """
    try:
        yield
    except (ModuleNotFoundError, RuntimeError) as error:
        # Libraries that import lazily wrap it.
        missing = error.__cause__ if isinstance(error, RuntimeError) else error
        if (
            not isinstance(missing, ModuleNotFoundError)
            or missing.name is None
            or missing.name.startswith("omar_")
        ):
            raise
        raise ConfigError(
            f"this needs the library {missing.name!r}: pip install 'omar-envs[train]'"
        ) from None


def house_directory() -> Path:
    """The folder of the house model.

    Raises:
        ConfigError: the trainer's libraries are not installed.
    """
    with training_libraries():
        from omar_trainers.house import house_directory as where

        return Path(where())


def model_directory(policy: str) -> Path:
    """The folder of a model: its path, or ``house``.

    Raises:
        ConfigError: there is no such folder, or no model in it.
    """
    if policy == HOUSE:
        return house_directory()
    path = Path(policy)
    if not path.is_dir():
        raise ConfigError(
            f"unknown policy {policy!r}: {nearest(policy, (*_PLAIN, HOUSE))}it is none of "
            f"{', '.join(_PLAIN)} and {HOUSE}, no URL#model and no folder with a model"
        )
    if not (path / "config.json").is_file():
        raise ConfigError(f"{path} holds no model: there is no config.json in it")
    return path


def _rules(game: Game) -> Game:
    """The game without what only decides how its course is paid."""
    rules = {name: value for name, value in game.settings.items() if name not in _PAYMENT}
    return Game(game.env, rules)


def trained_on(directory: Path) -> Game | None:
    """The game that stands beside a model's weights; ``None`` where none does.

    Raises:
        ConfigError: what stands there cannot be read.
    """
    file = directory / GAME_FILE
    if not file.is_file():
        return None
    try:
        told = json.loads(file.read_text("utf-8"))
        return Game(str(told["env"]), dict(told["config"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{file} does not say which game the model was trained on ({error}): "
            "say it with --env and --set"
        ) from None
