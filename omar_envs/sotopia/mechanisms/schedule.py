"""A time to meet, with private calendars."""

from __future__ import annotations

from typing import Any

import numpy as np

from omar_envs.sotopia.mechanisms.arguments import canonical, find, listed, quote
from omar_envs.sotopia.mechanisms.bargaining import DealOutcome
from omar_envs.sotopia.mechanisms.measures import measures
from omar_envs.sotopia.mechanisms.validity import check_distinct, check_range, check_seats, require
from omar_envs.sotopia.outcomes import Result, Ruling

MAX_LIKING = 10


class Schedule(DealOutcome, frozen=True, tag="schedule"):
    """One of several slots, when all are free; each likes some better than others.

    A deal is ``{"slot": slot}``. Points are how well the slot suits a seat; its score is
    that divided by what its best free slot is worth to it. Nobody can propose or accept a
    slot when they are not free. Without a deal all have 0.

    Attributes:
        slots: the slots, 2 to 30, as they are written: ``Tue 10:00``.
        free: per seat, the slots when it is free, and how well each suits it, 1 to 10. At
            least one slot suits all.
    """

    slots: tuple[str, ...]
    free: tuple[dict[str, int], ...]

    def __post_init__(self) -> None:
        check_seats("free", self.num_seats)
        require(2 <= len(self.slots) <= 30, f"slots has {len(self.slots)}; it needs 2 to 30")
        check_distinct("slots", self.slots)
        for calendar in self.free:
            unknown = sorted(calendar.keys() - set(self.slots))
            require(not unknown, f"free has {unknown}, which slots does not have")
            check_range("free", tuple(calendar.values()), 1, MAX_LIKING)
        require(bool(self.common), "free: there is no slot when all are free")

    @property
    def num_seats(self) -> int:
        """How many take part."""
        return len(self.free)

    @property
    def things(self) -> tuple[str, ...]:
        """The slots."""
        return self.slots

    @property
    def common(self) -> tuple[str, ...]:
        """The slots when all are free."""
        return tuple(slot for slot in self.slots if all(slot in each for each in self.free))

    def told(self, seat: int, names: tuple[str, ...]) -> str:
        """When it is free, and what it likes."""
        mine = self.free[seat]
        liked = ", ".join(f"{slot}: {mine[slot]}" for slot in self.slots if slot in mine)
        busy = [slot for slot in self.slots if slot not in mine]
        at_other = f" You are not free at {listed(busy, 'or')}." if busy else ""
        return (
            f"You are free at these times; the number says how well each suits you, from 1 to "
            f"{MAX_LIKING}: {liked}.{at_other}"
        )

    def facts(self, seat: int, names: tuple[str, ...]) -> dict[str, Any]:
        """The slots, and those when it is free with how well each suits it."""
        mine = self.free[seat]
        return {
            "mechanism": "schedule",
            "needed": self.seats_needed,
            "slots": list(self.slots),
            "free": {slot: mine[slot] for slot in self.slots if slot in mine},
        }

    def rules(self, names: tuple[str, ...]) -> str:
        """The slots, and how to propose one."""
        return (
            f"{listed(names)} look for one time when all are free: {listed(self.slots, 'or')}. "
            "Each knows only their own calendar, and nobody can propose or accept a time when "
            "they are not free. If no time is agreed on, nobody gains anything. "
            f"{self.how_to_close({'slot': self.slots[0]}, names)}"
        )

    def read_deal(self, seat: int, terms: object, names: tuple[str, ...]) -> Ruling:
        """``{"slot": "Tue 10:00"}`` or the slot alone."""
        value = terms
        if isinstance(terms, dict):
            if [str(key).casefold() for key in terms] != ["slot"]:
                return Ruling(False, reason=f'propose {{"slot": …}} alone, not {quote(terms)}')
            (value,) = terms.values()
        index = find(value, self.slots)
        if index is None:
            return Ruling(
                False,
                reason=f"propose one of the times, {listed(self.slots, 'or')}, not {quote(value)}",
            )
        deal = {"slot": self.slots[index]}
        objection = self.objection(seat, deal, names)
        return Ruling(False, reason=objection) if objection else Ruling(True, canonical(deal))

    def objection(self, seat: int, deal: Any, names: tuple[str, ...]) -> str:
        """Only when one is free."""
        slot = deal["slot"]
        if slot in self.free[seat]:
            return ""
        free = [each for each in self.slots if each in self.free[seat]]
        return f"you are not free at {slot}; you are at {listed(free, 'or')}"

    def describe(self, deal: Any, names: tuple[str, ...]) -> str:
        """``Tue 10:00``."""
        return str(deal["slot"])

    def worth(self, deal: Any, names: tuple[str, ...]) -> Result:
        """Points, scores, and the measures of :mod:`~omar_envs.sotopia.mechanisms.measures`."""
        points = (0,) * self.num_seats
        if deal is not None:
            points = tuple(calendar[deal["slot"]] for calendar in self.free)
        possible = np.array([[calendar[slot] for calendar in self.free] for slot in self.common])
        return Result(
            settled=deal is not None,
            scores=tuple(
                got / max(calendar.values())
                for got, calendar in zip(points, self.free, strict=True)
            ),
            points=tuple(map(float, points)),
            deal=deal,
            measures=measures(points, possible, (0,) * self.num_seats),
        )
