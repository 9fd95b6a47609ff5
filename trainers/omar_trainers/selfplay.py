"""Games between copies of one model, as rows of tokens to learn from.

TRL's ``rollout_func`` sees prompts and nothing else, so a prompt here is no text
for the model but a *plan*: which scenario to play, on which seed. A prompt
stands in a batch once per seat and episode; every run of ``seats`` prompts is one
game, and its rows come back in seat order. Seats that a scenario does not have,
and seats that never spoke, become one masked dummy token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from omar_envs.conversation import ConversationEnv
from omar_envs.metering import Usage
from omar_envs.rollout import make, play_games
from omar_envs.types import Episode, Seat
from omar_trainers.config import OMARConfig
from omar_trainers.filters import KEPT, TurnFilter
from omar_trainers.generation import TextGenerator
from omar_trainers.judges import with_judge
from omar_trainers.model_policy import ModelPolicy
from omar_trainers.rows import TokenRow
from omar_trainers.scoring import FREE, OwnTokens, allowed_table
from omar_trainers.shown.judge_usage import sum_usage, usage_between, usage_of
from omar_trainers.tokens import ChatTokenizer

SeatKey = tuple[int, str]
"""Index of a game, and agent."""


class GamePlan(NamedTuple):
    """One game to play: further environment arguments, and the ``reset`` seed."""

    scenario: dict[str, Any]
    seed: int


class PlayedGames(NamedTuple):
    """What came of some plans.

    Attributes:
        episodes: one per plan, in order.
        rows: by (index of the plan, agent); an agent that never acted has none.
        frozen: the past model that played in a seat, by (index of the plan, agent);
            the learning model played in all others.
        judge_usage: what was asked of judges for these games, where they count it.
    """

    episodes: list[Episode]
    rows: dict[SeatKey, TokenRow]
    frozen: Mapping[SeatKey, str] = {}
    judge_usage: Usage | None = None


class SeatKind(NamedTuple):
    """Role and team of a seat, None where the game has none."""

    role: str | None
    team: str | None


Lineup = Callable[[GamePlan], Mapping[str, SeatKind]]
"""Who will play in a game, by agent, before it is played."""

PlayGames = Callable[[Sequence[GamePlan], TextGenerator], PlayedGames]
"""Plays games with one generator in every seat."""


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


class SeedStream(IntEnum):
    """What a seed derived from the run's is for."""

    GAMES = 0
    SAMPLING = 1
    CRITIC = 2
    WATCH = 3
    OPPONENTS = 4


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


def derive_seed(*key: int) -> int:
    """A seed (31 bits) that depends on every number of ``key`` and on nothing else."""
    # SeedSequence takes (1,) and (1, 0) for the same.
    return int(np.random.SeedSequence((len(key), *key)).generate_state(1)[0] >> 1)


def plan_dataset(scenarios: Sequence[dict[str, Any]], prompts: int, seed: int) -> Dataset:
    """The prompts of a whole run: prompt i plays scenario i modulo their number.

    A longer run begins with the prompts of a shorter one.
    """
    plans = [
        json.dumps(
            {
                "scenario": scenarios[i % len(scenarios)],
                "seed": derive_seed(seed, SeedStream.GAMES, i),
            }
        )
        for i in range(prompts)
    ]
    return Dataset.from_dict({"prompt": plans})


def plans_of(prompts: Sequence[str], seats: int, first_row: int, group: int) -> list[GamePlan]:
    """The games that a process's prompts stand for.

    Args:
        prompts: one per row; equal within a game.
        seats: rows per game.
        first_row: index of the first prompt in the batch of all processes.
        group: rows per prompt, over all processes.

    Raises:
        ValueError: the prompts do not divide into games.
    """
    if len(prompts) % seats or first_row % seats:
        raise ValueError(
            f"{len(prompts)} rows from row {first_row} do not divide into games of {seats} seats"
        )
    plans = []
    for start in range(0, len(prompts), seats):
        if any(prompt != prompts[start] for prompt in prompts[start : start + seats]):
            raise ValueError("the rows of one game carry different plans")
        plan = json.loads(prompts[start])
        episode = (first_row + start) % group // seats
        plans.append(GamePlan(plan["scenario"], derive_seed(plan["seed"], episode)))
    return plans


class RowFacts(NamedTuple):
    """Whose row it is, and what it earned.

    Attributes:
        agent: agent id; "" for a dummy.
        role: its role, or its agent id where the game has none; "" for a dummy.
        team: its team, or its role where the game has no teams; "" for a dummy.
        episode_return: everything the seat was paid.
        scenario: tells its scenario from the run's others; "" where there is one.
    """

    agent: str
    role: str
    team: str
    episode_return: float
    scenario: str = ""

    @property
    def is_dummy(self) -> bool:
        """Whether no seat stands behind the row."""
        return not self.agent


DUMMY = RowFacts("", "", "", 0.0)


@dataclass(frozen=True)
class SeatRow:
    """One seat's whole episode as tokens, ready for TRL.

    Attributes:
        prompt_ids: tokens before the first own one, at least one.
        completion_ids: all later tokens, at least one.
        logprobs, turn_index, allowed: one entry per completion token, as in
            :class:`~omar_trainers.rows.TokenRow`.
        turn_rewards: everything the seat was paid, per turn of the row.
        keep_turn: per turn of the row, whether its tokens are learned from.
        bootstrap: whether the episode goes on after the row's last token.
        facts: whose row it is.
        learned: whether the policy learns from it, and not the critic alone.
    """

    prompt_ids: list[int]
    completion_ids: list[int]
    logprobs: list[float]
    turn_index: list[int]
    allowed: list[tuple[int, ...] | None]
    turn_rewards: list[float]
    keep_turn: list[bool]
    bootstrap: bool
    facts: RowFacts
    learned: bool

    @property
    def own(self) -> list[int]:
        """1 on the seat's own tokens, 0 on the others. TRL's ``env_mask``."""
        return [int(turn >= 0) for turn in self.turn_index]


def dummy_row(token: int) -> SeatRow:
    """A row that counts in no mean: TRL can take neither empty rows nor a missing one."""
    return SeatRow([token], [token], [0.0], [-1], [None], [], [], False, DUMMY, False)


class SelfPlayRound:
    """The rows of some games, in the order in which TRL wants them.

    Args:
        played: games and token rows.
        seats: rows per game; missing ones are filled with dummies.
        filler: token id of a dummy row.
        turn_filter: tells which turns teach nothing; None keeps all.
        learns: tells whose rows the policy learns from; None takes all.
        critic: whether a critic learns from the other rows of the live model; without
            one they are dummies.
        scenarios: of each game, as in :class:`RowFacts`; None where there is one.

    Attributes:
        frozen: as in :class:`PlayedGames`.
        judge_usage: what was asked of judges for these games, the turn filter's included.
        filtered: what the filter said, None without one.
        truncated_rows: seats whose row would have outgrown the context.
        unscored: seats with a reward component that could not be determined.
        sampled_tokens: tokens that were sampled, those of frozen models included.
        num_asked, num_reused: over all rows, as in :class:`~omar_trainers.rows.TokenRow`.

    Raises:
        ValueError: an episode has more agents than ``seats``, or a row has
            another number of turns than its agent has acts.
    """

    def __init__(
        self,
        played: PlayedGames,
        *,
        seats: int,
        filler: int,
        turn_filter: TurnFilter | None = None,
        learns: Callable[[RowFacts], bool] | None = None,
        critic: bool = False,
        scenarios: Sequence[str] | None = None,
    ) -> None:
        self.episodes = played.episodes
        self.frozen = played.frozen
        self.filtered = turn_filter and turn_filter(played.episodes, _cut_turns(played))
        self.judge_usage = sum_usage([played.judge_usage, self.filtered and self.filtered.usage])
        self.truncated_rows = sum(row.truncated for row in played.rows.values())
        self.sampled_tokens = sum(
            turn >= 0 for row in played.rows.values() for turn in row.turn_index
        )
        self.num_asked = sum(row.num_asked for row in played.rows.values())
        self.num_reused = sum(row.num_reused for row in played.rows.values())
        self.unscored = 0
        self.rows: list[SeatRow] = []
        for game, episode in enumerate(played.episodes):
            if len(episode.seats) > seats:
                raise ValueError(
                    f"a game has {len(episode.seats)} seats, more than the {seats} set as seats"
                )
            for seat in episode.seats:
                row = played.rows.get((game, seat.agent))
                scored = None not in episode.rewards[seat.agent].values()
                self.unscored += not scored
                facts = _facts(episode, seat)
                if scenarios is not None:
                    facts = facts._replace(scenario=scenarios[game])
                frozen = (game, seat.agent) in played.frozen
                learned = learns is None or learns(facts)
                silent = row is None or max(row.turn_index, default=-1) < 0
                if silent or frozen or not scored or not (learned or critic):
                    self.rows.append(dummy_row(filler))
                else:
                    reasons = self.filtered and self.filtered.reasons[game][seat.agent]
                    self.rows.append(_seat_row(row, episode, facts, reasons, learned))
            self.rows += [dummy_row(filler)] * (seats - len(episode.seats))

    @property
    def own_tokens(self) -> int:
        """Tokens to learn from, over all rows."""
        return sum(sum(row.own) for row in self.rows)

    @property
    def num_seats(self) -> int:
        """Seats over all games, dummies left out."""
        return sum(len(episode.seats) for episode in self.episodes)

    def rollout(self) -> dict[str, list[Any]]:
        """What TRL's ``rollout_func`` returns; the last four are extras per row."""
        return {
            "prompt_ids": [row.prompt_ids for row in self.rows],
            "completion_ids": [row.completion_ids for row in self.rows],
            "logprobs": [row.logprobs for row in self.rows],
            "env_mask": [row.own for row in self.rows],
            "turn_index": [row.turn_index for row in self.rows],
            "turn_rewards": [row.turn_rewards for row in self.rows],
            "episode_return": [row.facts.episode_return for row in self.rows],
            "role": [row.facts.role for row in self.rows],
        }

    def tensors(self, vocabulary: int, device: torch.device) -> RoundTensors:
        """The same as padded tensors."""
        width = max(len(row.completion_ids) for row in self.rows)
        turns = max(1, *(len(row.turn_rewards) for row in self.rows))
        sets: dict[tuple[int, ...], int] = {}
        choice = [
            [FREE if s is None else sets.setdefault(s, len(sets)) for s in row.allowed]
            for row in self.rows
        ]
        turn_index = _padded([row.turn_index for row in self.rows], width, -1, torch.long)
        return RoundTensors(
            turn_index=turn_index.to(device),
            own=OwnTokens(
                mask=(turn_index >= 0).to(device),
                choice=_padded(choice, width, FREE, torch.long).to(device),
                allowed=allowed_table(list(sets), vocabulary, device),
            ),
            logprobs=_padded([r.logprobs for r in self.rows], width, 0.0, torch.float).to(device),
            turn_rewards=_padded(
                [row.turn_rewards for row in self.rows], turns, 0.0, torch.float
            ).to(device),
            keep_turn=_padded([row.keep_turn for row in self.rows], turns, True, torch.bool).to(
                device
            ),
            bootstrap=torch.tensor([row.bootstrap for row in self.rows], device=device),
            learned=torch.tensor([row.learned for row in self.rows], device=device),
        )


class RoundTensors(NamedTuple):
    """A round's rows as tensors on the training device.

    Attributes:
        turn_index: (B, T), -1 on tokens that are not the seat's own.
        own: own tokens and what was allowed there.
        logprobs: (B, T), as sampled; 0 on tokens that are not the seat's own.
        turn_rewards: (B, K).
        keep_turn: (B, K) bool, false where a turn's tokens teach nothing.
        bootstrap: (B,) bool, whether the episode goes on after the row.
        learned: (B,) bool, whether the policy learns from the row.
    """

    turn_index: Tensor
    own: OwnTokens
    logprobs: Tensor
    turn_rewards: Tensor
    keep_turn: Tensor
    bootstrap: Tensor
    learned: Tensor


def _cut_turns(played: PlayedGames) -> list[dict[str, list[int]]]:
    return [
        {
            seat.agent: played.rows[game, seat.agent].cut_turns
            for seat in episode.seats
            if (game, seat.agent) in played.rows
        }
        for game, episode in enumerate(played.episodes)
    ]


def _seat_row(
    row: TokenRow,
    episode: Episode,
    facts: RowFacts,
    reasons: Sequence[str] | None,
    learned: bool,
) -> SeatRow:
    acts = episode.turns_of(facts.agent)
    turns = max(row.turn_index) + 1
    if turns > len(acts):
        raise ValueError(f"{facts.agent} has a row of {turns} turns, but made {len(acts)} acts")
    start = row.prompt_length
    # Nothing after the last own token can be learned from.
    stop = max(t for t, turn in enumerate(row.turn_index) if turn >= 0) + 1
    return SeatRow(
        prompt_ids=row.ids[:start],
        completion_ids=row.ids[start:stop],
        logprobs=row.logprobs[start:stop],
        turn_index=row.turn_index[start:stop],
        allowed=row.allowed[start:stop],
        turn_rewards=[sum(act.reward_components.values()) for act in acts[:turns]],
        keep_turn=[reasons is None or reasons[turn] == KEPT for turn in range(turns)],
        bootstrap=row.truncated or (episode.truncated and not _all_paid(episode)),
        facts=facts,
        learned=learned,
    )


def facts_of(episode: Episode) -> list[RowFacts]:
    """Of every seat, in seat order."""
    return [_facts(episode, seat) for seat in episode.seats]


def _facts(episode: Episode, seat: Seat) -> RowFacts:
    agent, role = seat.agent, seat.role or seat.agent
    team = episode.outcome.get("teams", {}).get(agent, role)
    return RowFacts(agent, role, team, episode.total_reward(agent))


def _all_paid(episode: Episode) -> bool:
    """Whether a game that a limit ended has paid all that it is worth: nothing lies beyond."""
    return episode.outcome.get("final_rewards") is True


def _padded(rows: list[list[Any]], width: int, filler: float, dtype: torch.dtype) -> Tensor:
    return torch.tensor([row + [filler] * (width - len(row)) for row in rows], dtype=dtype)
