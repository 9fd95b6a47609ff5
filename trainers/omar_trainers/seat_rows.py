"""The rows of some games, as TRL and the estimators want them.

One row is one seat's whole episode, and the rows of a game come in seat order.
Seats that a scenario does not have, and seats that never spoke, become one masked
dummy token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from omar_envs.types import Episode, Seat
from omar_trainers.filters import KEPT, TurnFilter
from omar_trainers.game_plans import PlayedGames
from omar_trainers.rows import TokenRow
from omar_trainers.scoring import FREE, OwnTokens, allowed_table
from omar_trainers.shown.judge_usage import sum_usage


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
