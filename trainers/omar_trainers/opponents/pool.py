"""The past models that a run plays against, and how they did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

PRIOR_GAMES = 2.0
"""Drawn games that every member is taken to have played before its first one."""


@dataclass(frozen=True)
class Member:
    """A past model and how it did against the live one.

    Attributes:
        iteration: iterations that it had learned from.
        games: played against the live model.
        points: of the live model in them; 1 for a game it won, 1/2 for a draw.
    """

    iteration: int
    games: int = 0
    points: float = 0.0

    @property
    def name(self) -> str:
        """Name of its folder, and in the logs."""
        return f"iteration-{self.iteration:06d}"

    @property
    def strength(self) -> float:
        """Its share of the points against the live model, in (0, 1)."""
        return (self.games - self.points + PRIOR_GAMES / 2) / (self.games + PRIOR_GAMES)


class GameResult(NamedTuple):
    """Points of the live model in one game against the pool's ``member`` (its iteration)."""

    member: int
    points: float


class OpponentPool:
    """Which past models there are, and which of them plays.

    Args:
        size: how many are kept.
        every: iterations between two that enter.
        sampling: ``uniform``, ``latest`` or ``hardest``.
    """

    def __init__(self, size: int, every: int, sampling: str) -> None:
        self._size = size
        self._every = every
        self._sampling = sampling
        self._members: list[Member] = []
        self._pushed_out: dict[int, int] = {}

    @property
    def members(self) -> tuple[Member, ...]:
        """The oldest first."""
        return tuple(self._members)

    def is_due(self, iteration: int) -> bool:
        """Whether the model of before ``iteration`` is one to enter."""
        if not self._members:
            return True
        return iteration % self._every == 0 and self._members[-1].iteration < iteration

    def enter(self, iteration: int) -> Member:
        """Take the model of before ``iteration`` in, and push the oldest out if need be."""
        member = Member(iteration)
        self._members.append(member)
        for old in self._members[: -self._size]:
            self._pushed_out[old.iteration] = iteration
        del self._members[: -self._size]
        return member

    def draw(self, random: np.random.Generator) -> Member:
        """The member that plays a game."""
        if self._sampling == "latest":
            return self._members[-1]
        weights = np.ones(len(self._members))
        if self._sampling == "hardest":
            weights = np.array([member.strength for member in self._members])
        return self._members[random.choice(len(weights), p=weights / weights.sum())]

    def count(self, results: Iterable[GameResult]) -> None:
        """Add what the members have played."""
        for result in results:
            for i, member in enumerate(self._members):
                if member.iteration == result.member:
                    self._members[i] = replace(
                        member, games=member.games + 1, points=member.points + result.points
                    )

    def needed(self, checkpoints: Iterable[int]) -> set[str]:
        """Names of the models that must stay on disk.

        Args:
            checkpoints: iterations before each checkpoint that a run may go on from.
        """
        kept = {member.name for member in self._members}
        saved = list(checkpoints)
        for member, left in list(self._pushed_out.items()):
            # It was in the pool at every checkpoint between its entry and its leaving.
            if any(member < iteration <= left for iteration in saved):
                kept.add(Member(member).name)
            else:
                del self._pushed_out[member]
        return kept

    def state_dict(self) -> dict[str, Any]:
        """Members with their games, for a checkpoint."""
        return {
            "members": [asdict(member) for member in self._members],
            "pushed_out": [list(times) for times in self._pushed_out.items()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self._members = [Member(**member) for member in state["members"]]
        self._pushed_out = dict(state["pushed_out"])
