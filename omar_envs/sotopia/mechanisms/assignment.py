"""Tasks to hand out, one to each, that cost each something else."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from typing import Any

import numpy as np

from omar_envs.sotopia.mechanisms.arguments import canonical, find, find_name, listed, quote
from omar_envs.sotopia.mechanisms.bargaining import DealOutcome
from omar_envs.sotopia.mechanisms.measures import Points, measures
from omar_envs.sotopia.mechanisms.validity import check_distinct, check_range, check_seats, require
from omar_envs.sotopia.outcomes import Result, Ruling

MAX_COST = 1000


class Assignment(DealOutcome, frozen=True, tag="assignment"):
    """As many tasks as people; each takes exactly one (Hylland and Zeckhauser 1979).

    A deal is ``{name: task}``. A seat's points are what it saves against ``undone``; its
    score is its points divided by what its cheapest task would have saved it. Without a
    deal all have 0.

    Attributes:
        tasks: one a seat.
        costs: per seat, what each task costs it, 0 or more and less than ``undone``.
        undone: what it costs each of them if nothing is agreed on.
        unit: what it costs, in the plural: ``hours``.
    """

    tasks: tuple[str, ...]
    costs: tuple[dict[str, int], ...]
    undone: int
    unit: str = "hours"

    def __post_init__(self) -> None:
        check_seats("costs", self.num_seats)
        require(bool(self.unit.strip()), "unit is empty")
        require(
            len(self.tasks) == self.num_seats,
            f"tasks has {len(self.tasks)} entries, costs {self.num_seats}: one task a seat",
        )
        check_distinct("tasks", self.tasks)
        check_range("undone", (self.undone,), 1, MAX_COST)
        for number, table in enumerate(self.costs):
            require(
                table.keys() == set(self.tasks),
                f"costs[{number}] has {sorted(table)}; it must have the tasks {sorted(self.tasks)}",
            )
            check_range(f"costs[{number}]", tuple(table.values()), 0, self.undone - 1)

    @property
    def num_seats(self) -> int:
        """How many take part."""
        return len(self.costs)

    @property
    def things(self) -> tuple[str, ...]:
        """The tasks."""
        return self.tasks

    def told(self, seat: int, names: tuple[str, ...]) -> str:
        """What each task costs it."""
        costs = ", ".join(f"{task}: {self.costs[seat][task]}" for task in self.tasks)
        return f"What each task would cost you, in {self.unit}: {costs}. The less, the better."

    def facts(self, seat: int, names: tuple[str, ...]) -> dict[str, Any]:
        """The tasks, what each costs it, and ``undone``, with their ``unit``."""
        return {
            "mechanism": "assignment",
            "needed": self.seats_needed,
            "tasks": list(self.tasks),
            "costs": {task: self.costs[seat][task] for task in self.tasks},
            "undone": self.undone,
            "unit": self.unit,
        }

    def rules(self, names: tuple[str, ...]) -> str:
        """The tasks, and how to propose who takes which."""
        example = dict(zip(names, self.tasks, strict=True))
        return (
            f"{listed(names)} share out {self.num_seats} tasks, one to each: {listed(self.tasks)}. "
            "What a task costs differs from one person to another, and each knows only their own "
            f"costs. If nothing is agreed on, it costs each of you {self.undone} {self.unit}. "
            f"{self.how_to_close(example, names)}"
        )

    def read_deal(self, seat: int, terms: object, names: tuple[str, ...]) -> Ruling:
        """``{name: task}`` for everybody."""
        if not isinstance(terms, dict):
            example = f'{{"{names[0]}": "{self.tasks[0]}", …}}'
            return Ruling(
                False, reason=f"say who takes which task, as in {example}, not {quote(terms)}"
            )
        taken: dict[str, str] = {}
        for key, value in terms.items():
            person, task = find_name(key, names), find(value, self.tasks)
            if person is None:
                return Ruling(False, reason=f"who is {quote(key)}? Here are {listed(names)}")
            if task is None:
                return Ruling(
                    False, reason=f"{quote(value)} is no task; there are {listed(self.tasks)}"
                )
            if names[person] in taken or self.tasks[task] in taken.values():
                twice = names[person] if names[person] in taken else self.tasks[task]
                return Ruling(False, reason=f"{twice} stands there twice")
            taken[names[person]] = self.tasks[task]
        missing = [name for name in names if name not in taken]
        if missing:
            return Ruling(False, reason=f"say also which task {listed(missing)} would take")
        return Ruling(True, canonical(taken))

    def describe(self, deal: Any, names: tuple[str, ...]) -> str:
        """``Ana takes the dishes, Ben the floor``."""
        return "; ".join(f"{name} takes {deal[name]}" for name in names)

    def worth(self, deal: Any, names: tuple[str, ...]) -> Result:
        """Points, scores, and the measures of :mod:`~omar_envs.sotopia.mechanisms.measures`."""
        points = (0,) * self.num_seats
        if deal is not None:
            points = tuple(
                self.undone - table[deal[name]]
                for name, table in zip(names, self.costs, strict=True)
            )
        return Result(
            settled=deal is not None,
            scores=tuple(
                got / (self.undone - min(table.values()))
                for got, table in zip(points, self.costs, strict=True)
            ),
            points=tuple(map(float, points)),
            deal=deal,
            measures=measures(points, self.possible(), (0,) * self.num_seats),
        )

    def possible(self) -> Points:
        """(N, seats) points of every way to share the tasks out."""
        table = tuple(
            tuple(self.undone - costs[task] for task in self.tasks) for costs in self.costs
        )
        return _possible(table)


@lru_cache(maxsize=32)
def _possible(saved: tuple[tuple[int, ...], ...]) -> Points:
    seats = range(len(saved))
    ways = np.array(list(permutations(seats)))
    return np.asarray(np.array(saved)[list(seats), ways])
