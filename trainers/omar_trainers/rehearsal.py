"""Settings of the games tried out, before a model is loaded for them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.policy import RandomPolicy
from omar_envs.rollout import make, play
from omar_envs.types import Episode, JudgeResult
from omar_trainers.config import OMARConfig
from omar_trainers.watch import FieldWatch

MOST_RESETS = 50
"""Scenarios whose first game is dealt; the others' environments are only made."""


def rehearse(args: OMARConfig) -> None:
    """Make the environment of every scenario, deal a game, and look for what is watched.

    No judge is asked and no model is needed: where a field is watched, random play
    shows whether the games have it.

    Raises:
        ConfigError: an unknown environment or argument, an impossible value, more
            players than seats, or a ``watch`` that no game has.
    """
    scenarios = {json.dumps(s, sort_keys=True): s for s in args.load_scenarios()}
    env_kwargs = dict(args.env_kwargs or {})
    if env_kwargs.get("judge") is not None:
        env_kwargs["judge"] = _Silent()
    envs: list[ConversationEnv] = []
    for number, scenario in enumerate(scenarios.values()):
        env = make(args.env_name, env_kwargs | scenario)
        players = len(env.possible_agents)
        if players > args.seats:
            raise ConfigError(
                f"a game has {players} players, but seats is {args.seats}: set seats to the "
                "largest number of players"
            )
        if number < MOST_RESETS:
            env.reset(seed=args.seed)
            envs.append(env)
    if args.watch is not None and not args.watch.startswith("judge="):
        _look_for(FieldWatch(args.watch), envs, args.seed)


def _look_for(field: FieldWatch, envs: Sequence[ConversationEnv], seed: int) -> None:
    """Play until a game has the field.

    Raises:
        ConfigError: none has it.
    """
    played: list[Episode] = []
    for env in envs:
        played.append(play(env, RandomPolicy(seed), seed))
        if field.is_in(played[-1]):
            return
    field(played)


class _Silent:
    """A judge that has no opinion: judged rewards are there, but not known."""

    async def judge(self, episode: Episode) -> JudgeResult:
        return JudgeResult("failed", error="not asked")
