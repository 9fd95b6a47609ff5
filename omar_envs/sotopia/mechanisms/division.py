"""Items to hand out among two to five, worth different things to each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from omar_envs.sotopia.mechanisms.arguments import (
    canonical,
    find,
    find_name,
    listed,
    quote,
    whole,
)
from omar_envs.sotopia.mechanisms.bargaining import DealOutcome
from omar_envs.sotopia.mechanisms.measures import MAX_POSSIBLE, Points, compositions, measures
from omar_envs.sotopia.mechanisms.validity import check_distinct, check_range, check_seats, require
from omar_envs.sotopia.outcomes import Result, Ruling

MAX_COUNT = 20
MAX_VALUE = 1000


class Division(DealOutcome, frozen=True, tag="division"):
    """Who gets how many of which item (Lewis et al., arXiv 1706.05125, for two to five).

    A deal is ``{name: {item: count}}`` without zeros. A seat's points are the sum of what
    its pieces are worth to it; its score is its points divided by what all pieces together
    are worth to it. Without a deal it has its ``outside`` points.

    Attributes:
        items: item to the number of pieces, 1 to 20 each; the name is a plural where
            there are several.
        values: per seat, item to what one piece is worth, 0 to 1000; an item left out is
            worth 0. All pieces together are worth at least 1 to each.
        outside: per seat, points without a deal; empty for 0 each.
    """

    items: dict[str, int]
    values: tuple[dict[str, int], ...]
    outside: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_seats("values", self.num_seats, high=5)
        require(len(self.items) > 0, "items is empty")
        check_distinct("items", self.things)
        check_range("items", tuple(self.items.values()), 1, MAX_COUNT)
        for values in self.values:
            unknown = sorted(values.keys() - self.items.keys())
            require(not unknown, f"values has {unknown}, which items does not have")
            check_range("values", tuple(values.values()), 0, MAX_VALUE)
        seats = range(self.num_seats)
        require(all(map(self.total, seats)), "values: to each seat something must be worth points")
        require(
            len(self.outside) in (0, self.num_seats),
            f"outside has {len(self.outside)} entries; it has one a seat, or none",
        )
        for seat, points in enumerate(self.outside):
            check_range("outside", (points,), 0, self.total(seat))
        deals = math.prod(
            math.comb(count + self.num_seats - 1, count) for count in self.items.values()
        )
        require(
            deals <= MAX_POSSIBLE,
            f"items can be handed out in {deals} ways; at most {MAX_POSSIBLE} can be enumerated",
        )

    @property
    def num_seats(self) -> int:
        """How many take part."""
        return len(self.values)

    @property
    def things(self) -> tuple[str, ...]:
        """The items."""
        return tuple(self.items)

    def total(self, seat: int) -> int:
        """What all pieces together are worth to ``seat``."""
        return self._points(seat, self.items)

    def told(self, seat: int, names: tuple[str, ...]) -> str:
        """What a piece of each item is worth to it, and what it has without a deal."""
        worth = [
            f"{'each of the ' + str(count) if count > 1 else 'the'} {item}: "
            f"{self.values[seat].get(item, 0)}"
            for item, count in self.items.items()
        ]
        text = (
            f"What one piece is worth to you, in points: {', '.join(worth)}. "
            f"Everything together would be {self.total(seat)} points to you. "
        )
        without = self._outside[seat]
        return f"{text}Without a deal you have {without or 'no'} points."

    def facts(self, seat: int, names: tuple[str, ...]) -> dict[str, Any]:
        """The items, what one piece of each is worth to it, and its points without a deal."""
        return {
            "mechanism": "division",
            "needed": self.seats_needed,
            "items": dict(self.items),
            "values": {item: self.values[seat].get(item, 0) for item in self.items},
            "outside": self._outside[seat],
        }

    def rules(self, names: tuple[str, ...]) -> str:
        """The items, and how to propose who gets what."""
        example: dict[str, dict[str, int]] = {name: {} for name in names}
        for number, (item, count) in enumerate(self.items.items()):
            for piece in range(count):
                taker = example[names[(number + piece) % self.num_seats]]
                taker[item] = taker.get(item, 0) + 1
        there = listed([_pieces(count, item) for item, count in self.items.items()])
        mine, taking = None, ""
        if self.num_seats == 2:
            mine = {item: example[names[0]].get(item, 0) for item in self.items}
            taking = " It is enough to name what you yourself take; the other one gets the rest."
        return (
            f"To hand out among {listed(names)}: {there}. What a piece is worth differs from one "
            "person to another, and each knows only their own points. Every piece goes to exactly "
            f"one person. {self.how_to_close(example, names, mine)}{taking}"
        )

    def read_deal(self, seat: int, terms: object, names: tuple[str, ...]) -> Ruling:
        """``{name: {item: count}}``, or between two ``{item: count}``: what ``seat`` takes."""
        if not isinstance(terms, dict) or not terms:
            return Ruling(False, reason=f"{self._wanted(names)}, not {quote(terms)}")
        if not any(isinstance(value, dict) for value in terms.values()):
            if self.num_seats > 2:
                return Ruling(False, reason=f"{self._wanted(names)}, not {quote(terms)}")
            taken = self._read_share(terms)
            if isinstance(taken, str):
                return Ruling(False, reason=taken)
            rest = {item: self.items[item] - taken.get(item, 0) for item in self.items}
            shares = {names[seat]: taken, names[1 - seat]: _without_zeros(rest)}
            return Ruling(True, canonical(shares))
        return self._read_shares(terms, names)

    def describe(self, deal: Any, names: tuple[str, ...]) -> str:
        """``Ana gets 2 lanterns and the map; Ben gets nothing``."""
        return "; ".join(f"{name} gets {self._in_words(deal[name])}" for name in names)

    def worth(self, deal: Any, names: tuple[str, ...]) -> Result:
        """Points, scores, and the measures of :mod:`~omar_envs.sotopia.mechanisms.measures`."""
        points = self._outside
        if deal is not None:
            points = tuple(self._points(seat, deal[name]) for seat, name in enumerate(names))
        return Result(
            settled=deal is not None,
            scores=tuple(got / self.total(seat) for seat, got in enumerate(points)),
            points=tuple(map(float, points)),
            deal=deal,
            measures=measures(points, self.possible(), self._outside),
        )

    def possible(self) -> Points:
        """(N, seats) points of every deal there could be."""
        table = tuple(tuple(each.get(item, 0) for item in self.items) for each in self.values)
        return _possible(tuple(self.items.values()), table)

    @property
    def _outside(self) -> tuple[int, ...]:
        return self.outside or (0,) * self.num_seats

    def _points(self, seat: int, share: Mapping[str, int]) -> int:
        return sum(self.values[seat].get(item, 0) * count for item, count in share.items())

    def _wanted(self, names: tuple[str, ...]) -> str:
        item = next(iter(self.items))
        return f'say who gets how many of what, as in {{"{names[0]}": {{"{item}": 1}}, …}}'

    def _in_words(self, share: Mapping[str, int]) -> str:
        if not share:
            return "nothing"
        return listed(
            [_of(share[item], count, item) for item, count in self.items.items() if share.get(item)]
        )

    def _read_share(self, terms: Mapping[object, object]) -> dict[str, int] | str:
        """Item to count, without zeros; or why it cannot be that."""
        share: dict[str, int] = {}
        for key, value in terms.items():
            index = find(key, self.things)
            if index is None:
                return f"{quote(key)} is not to be had; the items are {listed(self.things)}"
            item = self.things[index]
            count = whole(value)
            if item in share:
                return f"{item} stands there twice"
            if count is None or count > self.items[item]:
                return f"{item}: a whole number from 0 to {self.items[item]}, not {quote(value)}"
            share[item] = count
        return _without_zeros(share)

    def _read_shares(self, terms: Mapping[object, object], names: tuple[str, ...]) -> Ruling:
        shares: dict[str, dict[str, int]] = {}
        for key, value in terms.items():
            index = find_name(key, names)
            if index is None:
                return Ruling(False, reason=f"who is {quote(key)}? Here are {listed(names)}")
            if names[index] in shares:
                return Ruling(False, reason=f"{names[index]} stands there twice")
            if not isinstance(value, dict):
                return Ruling(False, reason=f"{self._wanted(names)}, not {quote(value)}")
            share = self._read_share(value)
            if isinstance(share, str):
                return Ruling(False, reason=share)
            shares[names[index]] = share
        for item, count in self.items.items():
            given = sum(share.get(item, 0) for share in shares.values())
            if given != count:
                return Ruling(
                    False, reason=f"{item}: you hand out {given}, and there are exactly {count}"
                )
        return Ruling(True, canonical({name: shares.get(name, {}) for name in names}))


def _without_zeros(share: Mapping[str, int]) -> dict[str, int]:
    return {item: count for item, count in share.items() if count}


def _pieces(count: int, item: str) -> str:
    return f"{count} {item}" if count > 1 else f"one {item}"


def _of(number: int, count: int, item: str) -> str:
    if count == 1:
        return f"the {item}"
    if number == count:
        return f"all {count} {item}"
    return f"{number} of the {count} {item}"


@lru_cache(maxsize=32)
def _possible(counts: tuple[int, ...], values: tuple[tuple[int, ...], ...]) -> Points:
    seats = len(values)
    points = np.zeros((1, seats), dtype=np.int64)
    for item, count in enumerate(counts):
        ways = compositions(count, seats) * np.array([worth[item] for worth in values])
        points = (points[:, None] + ways).reshape(-1, seats)
    return np.unique(points, axis=0)
