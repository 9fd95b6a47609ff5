"""Games between copies of one model, in an environment of this package.

What is played stands in :mod:`omar_trainers.game_plans`, and what the games become to learn
from in :mod:`omar_trainers.seat_rows`; the names of both can be had from here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from omar_envs.conversation import ConversationEnv
from omar_envs.rollout import make, play_games
from omar_trainers.config import OMARConfig
from omar_trainers.game_plans import (
    GamePlan,
    Lineup,
    PlayedGames,
    PlayGames,
    SeatKey,
    SeatKind,
    SeedStream,
    derive_seed,
    plan_dataset,
    plans_of,
)
from omar_trainers.generation import TextGenerator
from omar_trainers.judges import with_judge
from omar_trainers.model_policy import ModelPolicy
from omar_trainers.seat_rows import (
    DUMMY,
    RoundTensors,
    RowFacts,
    SeatRow,
    SelfPlayRound,
    dummy_row,
    facts_of,
)
from omar_trainers.shown.judge_usage import usage_between, usage_of
from omar_trainers.tokens import ChatTokenizer

__all__ = [
    "DUMMY",
    "GamePlan",
    "Lineup",
    "ModelGames",
    "PlayGames",
    "PlayedGames",
    "RoundTensors",
    "RowFacts",
    "SeatKey",
    "SeatKind",
    "SeatRow",
    "SeedStream",
    "SelfPlayRound",
    "derive_seed",
    "dummy_row",
    "facts_of",
    "model_games",
    "plan_dataset",
    "plans_of",
]


class ModelGames:
    """Plays plans in an environment of this package, one model in every seat.

    Args:
        env_name: as ``omar_envs.rollout.make`` knows it.
        env_kwargs: arguments of the environment; a plan's scenario goes on top.
        tokens: of the model.
        max_new_tokens_speak, max_new_tokens_choose, temperature,
        constrain_choices, stop: as in :class:`~omar_trainers.model_policy.ModelPolicy`.
    """

    def __init__(
        self,
        env_name: str,
        env_kwargs: dict[str, Any],
        tokens: ChatTokenizer,
        *,
        max_new_tokens_speak: int,
        max_new_tokens_choose: int,
        temperature: float,
        constrain_choices: bool,
        stop: Sequence[str] = (),
    ) -> None:
        self._env_name = env_name
        self._env_kwargs = env_kwargs
        self._tokens = tokens
        self._max_new_tokens_speak = max_new_tokens_speak
        self._max_new_tokens_choose = max_new_tokens_choose
        self._temperature = temperature
        self._constrain_choices = constrain_choices
        self._stop = stop
        self._envs: dict[int, tuple[str, ConversationEnv]] = {}

    def make(self, scenario: dict[str, Any]) -> ConversationEnv:
        """A new environment for a scenario.

        Raises:
            ConfigError: an unknown environment or argument, or an impossible value.
        """
        return make(self._env_name, self._env_kwargs | scenario)

    def lineup(self, plan: GamePlan) -> dict[str, SeatKind]:
        """Who will play in a game, and for which team: the deal follows from the seed."""
        env = self._env(0, plan.scenario)
        env.reset(seed=plan.seed)
        return {agent: SeatKind(env.view(agent).role, team) for agent, team in env.teams.items()}

    def __call__(self, plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
        policy = ModelPolicy(
            generator,
            self._tokens,
            max_new_tokens_speak=self._max_new_tokens_speak,
            max_new_tokens_choose=self._max_new_tokens_choose,
            temperature=self._temperature,
            constrain_choices=self._constrain_choices,
            stop=self._stop,
        )
        # One environment per game, so that a row's game is its plan's index.
        envs = [self._env(slot, plan.scenario) for slot, plan in enumerate(plans)]
        before = usage_of(env.judge for env in envs)
        episodes = play_games(envs, [plan.seed for plan in plans], lambda game, agent: policy)
        after = usage_of(env.judge for env in envs)
        asked = None if before is None or after is None else usage_between(before, after)
        return PlayedGames(episodes, policy.take_rows(), judge_usage=asked)

    def _env(self, slot: int, scenario: dict[str, Any]) -> ConversationEnv:
        """An environment per game that is played at once, made anew where the scenario changes."""
        key = json.dumps(scenario, sort_keys=True)
        known, env = self._envs.get(slot, ("", None))
        if env is None or known != key:
            env = self.make(scenario)
            self._envs[slot] = (key, env)
        return env


def model_games(args: OMARConfig, tokens: ChatTokenizer) -> ModelGames:
    """The games that the settings name; :func:`omar_trainers.rehearsal.rehearse` tries them.

    Raises:
        ConfigError: ``env_kwargs`` describes a judge that is none.
    """
    return ModelGames(
        args.env_name,
        with_judge(args.env_kwargs or {}, args.output_dir),
        tokens,
        max_new_tokens_speak=args.max_new_tokens_speak,
        max_new_tokens_choose=args.max_new_tokens_choose,
        temperature=args.temperature,
        constrain_choices=args.constrain_choices,
        stop=args.stop_strings or (),
    )
