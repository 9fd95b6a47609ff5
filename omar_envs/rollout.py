"""Environments and policies to episodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from omar_envs import sotopia_v0, werewolf_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError, EpisodeError
from omar_envs.judging import JUDGE
from omar_envs.ledger import Components
from omar_envs.playing import AnyEnv, conversation, one_policy, play_games
from omar_envs.policy import Policy
from omar_envs.types import Episode

__all__ = ["game_seed", "make", "play", "play_games", "played_again", "replay", "run"]

ENVS: dict[str, Callable[..., ConversationEnv]] = {
    "werewolf_v0": werewolf_v0.raw_env,
    "sotopia_v0": sotopia_v0.raw_env,
}
"""Environment name, as in ``Episode.env``, to constructor."""


def make(env: str, config: Mapping[str, Any] | None = None) -> ConversationEnv:
    """Make an environment from its name and the config of an episode.

    Raises:
        ConfigError: the name or an argument is unknown, or a value impossible.
    """
    if env not in ENVS:
        raise ConfigError(f"unknown environment {env!r}; known: {', '.join(ENVS)}")
    try:
        return ENVS[env](**(config or {}))
    except TypeError as error:
        raise ConfigError(f"{env} does not take these arguments: {error}") from None


def game_seed(seed: int, number: int) -> int:
    """Seed of game ``number`` in a run: runs with different seeds share no games."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def play(
    env: AnyEnv, policy: Policy, seed: int, *, overrides: Mapping[str, Policy] | None = None
) -> Episode:
    """Play one game to its end with one policy in every seat.

    Args:
        env: a conversation, wrapped or not; it is reset.
        policy: plays every agent but those in ``overrides``.
        seed: the ``reset`` seed.
        overrides: policies for some agents instead.

    Raises:
        ConfigError: ``overrides`` names an agent that ``env`` does not have.
    """
    agents = conversation(env).possible_agents
    return play_games([env], [seed], one_policy(policy, overrides, agents))[0]


def run(
    make_env: Callable[[], AnyEnv],
    policy: Policy,
    episodes: int,
    seed: int,
    *,
    overrides: Mapping[str, Policy] | None = None,
    batch: int = 256,
    progress: Callable[[int], None] | None = None,
) -> list[Episode]:
    """Play many games at once, the requests of all live games in one batch.

    Args:
        make_env: makes one environment; called ``min(batch, episodes)`` times.
        policy: plays every agent but those in ``overrides``.
        episodes: number of games, at least 0.
        seed: of the run; game i is reset with ``game_seed(seed, i)``.
        overrides: policies for some agents instead.
        batch: at most this many games live at once.
        progress: called with the number of finished games whenever it grows.

    Raises:
        ConfigError: a number is out of range, ``make_env`` made the same one
            twice, or ``overrides`` names an agent that there is not.
    """
    if episodes < 0 or batch < 1:
        raise ConfigError(f"need episodes >= 0 and batch >= 1: got {episodes} and {batch}")
    if episodes == 0:
        return []
    envs = [make_env() for _ in range(min(batch, episodes))]
    seeds = [game_seed(seed, number) for number in range(episodes)]
    agents = conversation(envs[0]).possible_agents
    return play_games(envs, seeds, one_policy(policy, overrides, agents), progress=progress)


def replay(episode: Episode) -> Episode:
    """Play an episode's recorded replies on its seed; the result equals it, byte for byte.

    What a judge paid is copied: no judge is asked.

    Raises:
        EpisodeError: the recorded acts do not fit the game that the seed and
            config give: the file was edited, or the rules have changed since.
    """
    env = played_again(episode)
    again = env.episode()
    seats = tuple(
        msgspec.structs.replace(seat, policy=old.policy)
        for seat, old in zip(again.seats, episode.seats, strict=True)
    )
    turns = tuple(
        msgspec.structs.replace(
            turn, reward_components=_with_judge(turn.reward_components, old.reward_components)
        )
        for turn, old in zip(again.turns, episode.turns, strict=True)
    )
    rewards = {
        agent: _with_judge(parts, episode.rewards.get(agent, {}))
        for agent, parts in again.rewards.items()
    }
    return msgspec.structs.replace(again, seats=seats, turns=turns, rewards=rewards)


def played_again(
    episode: Episode, before_act: Callable[[ConversationEnv], None] | None = None
) -> ConversationEnv:
    """The environment at the end of a recorded game: its views are what the seats had read.

    Args:
        episode: the record.
        before_act: called whenever the next act is to be made.

    Raises:
        ConfigError, EpisodeError: as :func:`replay`.
    """
    env = conversation(make(episode.env, episode.config))
    env.reset(seed=episode.seed)
    for number, turn in enumerate(episode.turns):
        if env.over or env.agent_selection != turn.agent:
            mover = "nobody" if env.over else env.agent_selection
            raise EpisodeError(
                f"act {number} is {turn.agent}'s but {mover} is to move: "
                "the episode was edited, or made by other rules"
            )
        if before_act is not None:
            before_act(env)
        env.step(turn.reply)
    if not env.over:
        raise EpisodeError("the episode's acts end before its game does")
    return env


def _with_judge(replayed: Components, recorded: Components) -> Components:
    return {**replayed, JUDGE: recorded[JUDGE]} if JUDGE in recorded else replayed
