"""A budget that a majority divides."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from omar_envs.sotopia.mechanisms.arguments import canonical, find_name, listed, quote, whole
from omar_envs.sotopia.mechanisms.bargaining import DealOutcome
from omar_envs.sotopia.mechanisms.measures import MAX_POSSIBLE, Points, compositions, measures
from omar_envs.sotopia.mechanisms.validity import check_range, check_seats, require
from omar_envs.sotopia.outcomes import Result, Ruling


class Split(DealOutcome, frozen=True, tag="split"):
    """Three to five divide a budget; a quota of them decides (Baron and Ferejohn 1989).

    A deal is ``{name: amount}`` for all, in whole units. Below its minimum an amount is of
    no use to a seat and worth 0 points; from there on it is worth itself, up to what the
    seat needs. Its score is its points divided by its need. Without a deal all have 0.

    Who leaves no longer counts for the quota, and may still be given something.

    Attributes:
        budget: how much there is, in units.
        unit: in the plural: ``thousand euros``.
        quota: how many must be behind a division; more than half, at most all.
        minimums: per seat, the least that is of use; together no more than the budget.
        needs: per seat, beyond which more is of no use; at least the minimum, at most the
            budget.
    """

    budget: int
    unit: str
    quota: int
    minimums: tuple[int, ...]
    needs: tuple[int, ...]

    def __post_init__(self) -> None:
        check_seats("needs", self.num_seats, low=3, high=5)
        require(bool(self.unit.strip()), "unit is empty")
        require(
            len(self.minimums) == self.num_seats,
            f"minimums has {len(self.minimums)} entries, needs {self.num_seats}",
        )
        require(
            self.num_seats < 2 * self.quota <= 2 * self.num_seats,
            f"quota is {self.quota}; it must be more than half of {self.num_seats}, at most all",
        )
        require(self.budget >= 1, f"budget is {self.budget}; it must be at least 1")
        for least, need in zip(self.minimums, self.needs, strict=True):
            check_range("needs", (need,), 1, self.budget)
            check_range("minimums", (least,), 0, need)
        require(sum(self.minimums) <= self.budget, "minimums are more than the budget together")
        deals = math.comb(self.budget + self.num_seats - 1, self.num_seats - 1)
        require(
            deals <= MAX_POSSIBLE,
            f"budget can be divided in {deals} ways; at most {MAX_POSSIBLE} can be enumerated: "
            "take a larger unit",
        )

    @property
    def num_seats(self) -> int:
        """How many take part."""
        return len(self.needs)

    @property
    def seats_needed(self) -> int:
        """The quota."""
        return self.quota

    def told(self, seat: int, names: tuple[str, ...]) -> str:
        """Its minimum and its need."""
        least, need = self.minimums[seat], self.needs[seat]
        text = (
            f"You could make good use of up to {need} {self.unit}: up to there every one counts a "
            "point to you, beyond it nothing."
        )
        return f"{text} Less than {least} would be of no use to you at all." if least else text

    def facts(self, seat: int, names: tuple[str, ...]) -> dict[str, Any]:
        """The budget, its minimum and its need."""
        return {
            "mechanism": "split",
            "needed": self.seats_needed,
            "budget": self.budget,
            "unit": self.unit,
            "minimum": self.minimums[seat],
            "need": self.needs[seat],
        }

    def rules(self, names: tuple[str, ...]) -> str:
        """The budget, and how to propose a division."""
        even, rest = divmod(self.budget, self.num_seats)
        example = {name: even + (seat < rest) for seat, name in enumerate(names)}
        return (
            f"{listed(names)} have {self.budget} {self.unit} to divide among themselves, in whole "
            "numbers that make no more than that together. What it is worth differs from one "
            "person to another, and each knows only their own needs. If nothing is agreed on, "
            f"nobody gets anything. {self.how_to_close(example, names)}"
        )

    def read_deal(self, seat: int, terms: object, names: tuple[str, ...]) -> Ruling:
        """``{name: amount}``; whom it does not name gets nothing."""
        if not isinstance(terms, dict) or not terms:
            return Ruling(
                False,
                reason=f'say who gets how much, as in {{"{names[0]}": 1, …}}, not {quote(terms)}',
            )
        amounts: dict[str, int] = {}
        for key, value in terms.items():
            index = find_name(key, names)
            if index is None:
                return Ruling(False, reason=f"who is {quote(key)}? Here are {listed(names)}")
            if names[index] in amounts:
                return Ruling(False, reason=f"{names[index]} stands there twice")
            amount = whole(value, self.unit)
            if amount is None or amount > self.budget:
                return Ruling(
                    False,
                    reason=f"{names[index]}: a whole number from 0 to {self.budget}, "
                    f"not {quote(value)}",
                )
            amounts[names[index]] = amount
        given = sum(amounts.values())
        if given > self.budget:
            return Ruling(False, reason=f"that is {given} together; there are only {self.budget}")
        if given == 0:
            return Ruling(False, reason="that gives nobody anything")
        return Ruling(True, canonical({name: amounts.get(name, 0) for name in names}))

    def describe(self, deal: Any, names: tuple[str, ...]) -> str:
        """``Ana gets 12, Ben 8 and Cho nothing (thousand euros)``."""
        parts = [f"{name} {deal[name] or 'nothing'}" for name in names]
        parts[0] = parts[0].replace(names[0], f"{names[0]} gets", 1)
        return f"{listed(parts)} ({self.unit})"

    def worth(self, deal: Any, names: tuple[str, ...]) -> Result:
        """Points, scores, and the measures of :mod:`~omar_envs.sotopia.mechanisms.measures`."""
        points = (0,) * self.num_seats
        if deal is not None:
            points = tuple(
                0 if deal[name] < least else min(deal[name], need)
                for name, least, need in zip(names, self.minimums, self.needs, strict=True)
            )
        return Result(
            settled=deal is not None,
            scores=tuple(got / need for got, need in zip(points, self.needs, strict=True)),
            points=tuple(map(float, points)),
            deal=deal,
            measures=measures(points, self.possible(), (0,) * self.num_seats),
        )

    def possible(self) -> Points:
        """(N, seats) points of every division that leaves nothing over."""
        return _possible(self.budget, self.minimums, self.needs)


@lru_cache(maxsize=32)
def _possible(budget: int, minimums: tuple[int, ...], needs: tuple[int, ...]) -> Points:
    amounts = compositions(budget, len(needs))
    return np.unique(np.where(amounts >= minimums, np.minimum(amounts, needs), 0), axis=0)
