"""Which seats, and which of their acts, are exported; what was left out, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from omar_envs.errors import ConfigError
from omar_envs.export.names import check_known
from omar_envs.export.seats import PlayedSeat, Result
from omar_envs.rollout import ENVS
from omar_envs.types import Episode
from omar_envs.werewolf.roles import ROLE_CLASSES

RESULTS: tuple[str, ...] = tuple(name for name in get_args(Result) if name)

TurnRule = Callable[[Episode], Mapping[str, Sequence[str]]]
"""Per agent, for each of its acts in order, why it teaches nothing; "" if it is sound."""

KEPT = ""

_OF_SEATS = frozenset(
    {"role", "team", "seat", "policy", "result", "min_reward", "max_reward", "min_acts"}
)

SeedRange = tuple[int, int]
"""First and last seed, both included."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What is asked of a seat to be exported. By default everything is.

    A seat is counted under the first thing that it fails, in the order given here.

    Attributes:
        envs: environments, ``"werewolf"`` or ``"werewolf_v0"``.
        seeds: of the game, in any of these ranges.
        complete: the game reached its end, and not a limit of days or turns.
        roles, teams: one of these; a game without roles has no such seat.
        seats: seat numbers from 0.
        policies: what played the seat, as recorded.
        results: ``won``, ``lost``, ``drawn``; see :func:`omar_envs.export.result_of`.
        min_reward, max_reward: bounds of all that the seat was paid, both included. A
            seat whose reward could not be determined is dropped.
        judged: every part of the reward is known: no judgement failed.
        min_acts: how often it acted, at least.
        valid: no act that the environment could not read.
        turn_rule: names the acts that teach nothing, such as
            ``omar_trainers.filters.dropped_by_rules``.

    The last two are about single acts. Where a row is one act, they leave out that act;
    where it is a whole seat or game, one such act leaves out all of it.

    Raises:
        ConfigError: a name is unknown, a range is empty, or a number impossible.
    """

    envs: tuple[str, ...] = ()
    seeds: tuple[SeedRange, ...] = ()
    complete: bool = False
    roles: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    seats: tuple[int, ...] = ()
    policies: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    min_reward: float | None = None
    max_reward: float | None = None
    judged: bool = False
    min_acts: int = 0
    valid: bool = False
    turn_rule: TurnRule | None = None

    def __post_init__(self) -> None:
        short = [name.removesuffix("_v0") for name in ENVS]
        for env in self.envs:
            check_known("environment", env, [*ENVS, *short])
        for role in self.roles:
            check_known("role", role, sorted(ROLE_CLASSES))
        for team in self.teams:
            check_known("team", team, sorted({each.team for each in ROLE_CLASSES.values()}))
        for result in self.results:
            check_known("result", result, RESULTS)
        for first, last in self.seeds:
            if not 0 <= first <= last:
                raise ConfigError(f"there is no seed from {first} to {last}: say as 0-99, or 7")
        for seat in self.seats:
            if seat < 0:
                raise ConfigError(f"seats are counted from 0: got {seat}")
        for name, bound in (("min_reward", self.min_reward), ("max_reward", self.max_reward)):
            if bound is not None and not math.isfinite(bound):
                raise ConfigError(f"{name} must be a finite number: got {bound}")
        if (
            self.min_reward is not None
            and self.max_reward is not None
            and self.min_reward > self.max_reward
        ):
            raise ConfigError(
                f"min_reward {self.min_reward:g} is above max_reward {self.max_reward:g}: "
                "no seat is between them"
            )
        if self.min_acts < 0:
            raise ConfigError(f"min_acts must be at least 0: got {self.min_acts}")

    def game_reason(self, episode: Episode) -> str:
        """Why no seat of the game is exported; :data:`KEPT` if some may be."""
        if self.envs and not {episode.env, episode.env.removesuffix("_v0")} & set(self.envs):
            return "environment"
        if self.seeds and not any(first <= episode.seed <= last for first, last in self.seeds):
            return "seed"
        if self.complete and episode.truncated:
            return "truncated"
        return KEPT

    def seat_reason(self, seat: PlayedSeat) -> str:
        """Why the seat of a game that passed is not exported, but for its single acts."""
        number = [other.agent for other in seat.episode.seats].index(seat.agent)
        if self.roles and seat.seat.role not in self.roles:
            return "role"
        if self.teams and seat.team not in self.teams:
            return "team"
        if self.seats and number not in self.seats:
            return "seat"
        if self.policies and seat.seat.policy not in self.policies:
            return "policy"
        if self.results and seat.result not in self.results:
            return "result"
        reward = seat.reward
        if reward is None and (self.judged or self.bounds_reward):
            return "unjudged"
        if reward is not None and not self._in_bounds(reward):
            return "reward"
        if len(seat.turns) < self.min_acts:
            return "few_acts"
        return KEPT

    def act_reasons(self, seats: Sequence[PlayedSeat]) -> dict[str, list[str]]:
        """Per agent of a game, why each of its acts teaches nothing."""
        rule = None if self.turn_rule is None else self.turn_rule(seats[0].episode)
        reasons = {}
        for seat in seats:
            ruled = [KEPT] * len(seat.turns) if rule is None else rule[seat.agent]
            reasons[seat.agent] = [
                "invalid" if self.valid and not turn.valid else why
                for turn, why in zip(seat.turns, ruled, strict=True)
            ]
        return reasons

    def check_for_games(self) -> None:
        """Refuse what asks for some seats of a game, where a row is the whole game.

        Raises:
            ConfigError: something of it is asked.
        """
        asked = self.described().keys() & _OF_SEATS
        if asked:
            raise ConfigError(
                f"a row of this format is a whole game: leave out {', '.join(sorted(asked))}, "
                "which is about single seats"
            )

    def whole_game_reason(self, episode: Episode) -> str:
        """Why a game is not exported as one row; :data:`KEPT` if it is."""
        reason = self.game_reason(episode)
        if reason:
            return reason
        if self.judged and any(None in parts.values() for parts in episode.rewards.values()):
            return "unjudged"
        if self.valid and not all(turn.valid for turn in episode.turns):
            return "invalid"
        if self.turn_rule is not None:
            reasons = self.turn_rule(episode).values()
            return next((why for acts in reasons for why in acts if why), KEPT)
        return KEPT

    @property
    def bounds_reward(self) -> bool:
        """Whether the reward must lie between bounds."""
        return self.min_reward is not None or self.max_reward is not None

    def described(self) -> dict[str, str]:
        """What is asked, by option, in words; nothing where all is taken."""
        lists = {
            "env": self.envs,
            "seed": tuple(
                f"{first}-{last}" if first < last else f"{first}" for first, last in self.seeds
            ),
            "role": self.roles,
            "team": self.teams,
            "seat": tuple(map(str, self.seats)),
            "policy": self.policies,
            "result": self.results,
        }
        told = {name: ", ".join(values) for name, values in lists.items() if values}
        if self.min_reward is not None:
            told["min_reward"] = f"{self.min_reward:g}"
        if self.max_reward is not None:
            told["max_reward"] = f"{self.max_reward:g}"
        if self.min_acts:
            told["min_acts"] = str(self.min_acts)
        switches = {
            "complete": self.complete,
            "judged": self.judged,
            "valid": self.valid,
            "turn_rule": self.turn_rule is not None,
        }
        return told | {name: "yes" for name, on in switches.items() if on}

    def _in_bounds(self, reward: float) -> bool:
        return (self.min_reward is None or reward >= self.min_reward) and (
            self.max_reward is None or reward <= self.max_reward
        )


def _range_text(seeds: SeedRange) -> str:
    first, last = seeds
    return f"{first}-{last}" if first < last else str(first)


def parse_seeds(text: str) -> tuple[SeedRange, ...]:
    """``"0-99,200"`` as ranges.

    Raises:
        ConfigError: it is none.
    """
    ranges = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() if dash else True) and part.isascii()):
            raise ConfigError(f"seeds are ranges and single ones, as 0-99,200: got {part[:40]!r}")
        ranges.append((int(first), int(last) if dash else int(first)))
    return tuple(ranges)
