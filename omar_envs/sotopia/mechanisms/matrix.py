"""A choice that all make alone, and that is worth more or less by how many make the same."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np

from omar_envs.sotopia.mechanisms.arguments import canonical, find, listed, quote
from omar_envs.sotopia.mechanisms.measures import MAX_POSSIBLE, Points, measures
from omar_envs.sotopia.mechanisms.sealed import AnswerOutcome, opened
from omar_envs.sotopia.mechanisms.validity import check_distinct, check_range, check_seats, require
from omar_envs.sotopia.outcomes import Result, Ruling

MAX_PAYOFF = 1000


class Matrix(AnswerOutcome, frozen=True, tag="matrix"):
    """A game in which only the number of those who choose as one does matters.

    Two options give stag hunts (Skyrms 2004), battles of the sexes, chicken and prisoner's
    dilemmas, for two to eight seats; more give coordination games. An answer is an option. A
    seat's score is its points divided by the largest payoff it has. Who gives no answer
    has 0 and counts for no option.

    Measures: ``coordinated``, the share of seats that chose the option most chosen, and those
    of :mod:`~omar_envs.sotopia.mechanisms.measures`, with d = 0. Not to answer is among what is
    possible: where crowds are worth less, it may be worth more to the others than any answer.

    Attributes:
        options: what may be chosen, 2 to 5.
        payoffs: per seat, option to its points when it is the only one to choose that,
            when two do, … when all do; 0 to 1000.
    """

    options: tuple[str, ...]
    payoffs: tuple[dict[str, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        check_seats("payoffs", self.num_seats)
        require(2 <= len(self.options) <= 5, f"options has {len(self.options)}; it needs 2 to 5")
        check_distinct("options", self.options)
        for number, table in enumerate(self.payoffs):
            where = f"payoffs[{number}]"
            require(
                table.keys() == set(self.options),
                f"{where} has {sorted(table)}; it must have the options {sorted(self.options)}",
            )
            for option, row in table.items():
                require(
                    len(row) == self.num_seats,
                    f"{where}[{option!r}] has {len(row)} numbers; there are {self.num_seats} seats",
                )
                check_range(where, row, 0, MAX_PAYOFF)
            require(self._most(number) > 0, f"{where} is 0 throughout")
        outcomes = (len(self.options) + 1) ** self.num_seats
        require(
            outcomes <= MAX_POSSIBLE,
            f"options: {outcomes} results are possible; at most {MAX_POSSIBLE} can be enumerated",
        )

    @property
    def num_seats(self) -> int:
        """How many take part."""
        return len(self.payoffs)

    def told(self, seat: int, names: tuple[str, ...]) -> str:
        """Its own payoffs."""
        rows = " ".join(
            f'If you choose "{option}": {_in_words(self.payoffs[seat][option])}.'
            for option in self.options
        )
        return f"What it is worth to you, in points. {rows}"

    def facts(self, seat: int, names: tuple[str, ...]) -> dict[str, Any]:
        """The options, and per option its points when it alone, when two, … when all choose it."""
        return {
            "mechanism": "matrix",
            "options": list(self.options),
            "payoffs": {option: list(self.payoffs[seat][option]) for option in self.options},
        }

    def rules(self, names: tuple[str, ...]) -> str:
        """The options, and how to choose."""
        choices = listed([f'"{option}"' for option in self.options], "or")
        return (
            f"Each of you {self.num_seats} chooses alone: {choices}. What your choice is worth to "
            "you depends on how many choose the same. Whoever never answers ends with nothing. "
            f"{self.how_to_close(self.options[0])}"
        )

    def read_answer(self, seat: int, value: object) -> Ruling:
        """An option."""
        index = find(value, self.options)
        if index is None:
            choices = listed([f'"{option}"' for option in self.options], "or")
            return Ruling(False, reason=f"answer with {choices}, not {quote(value)}")
        return Ruling(True, canonical(self.options[index]))

    def worth(self, answers: tuple[Any, ...], names: tuple[str, ...]) -> Result:
        """Points, scores and measures, as the class says."""
        chosen = Counter(answer for answer in answers if answer is not None)
        points = tuple(
            0 if answer is None else table[answer][chosen[answer] - 1]
            for table, answer in zip(self.payoffs, answers, strict=True)
        )
        most = max(chosen.values(), default=0)
        return Result(
            settled=None not in answers,
            scores=tuple(got / self._most(seat) for seat, got in enumerate(points)),
            points=tuple(map(float, points)),
            deal=opened(answers, names),
            measures={
                "coordinated": most / self.num_seats,
                **measures(points, self.possible(), (0,) * self.num_seats),
            },
        )

    def possible(self) -> Points:
        """(N, seats) points of all that can be chosen, with and without an answer of each."""
        return _possible(
            tuple(tuple(table[option] for option in self.options) for table in self.payoffs)
        )

    def _most(self, seat: int) -> int:
        return max(max(row) for row in self.payoffs[seat].values())


def _in_words(row: tuple[int, ...]) -> str:
    """``0 if you alone do, 5 if 2 of you do, 9 if all 3 do``."""
    if len(set(row)) == 1:
        return f"{row[0]}, however many do the same"
    parts, last = [], 0
    for points, run in groupby(row):
        first, last = last + 1, last + len(list(run))
        parts.append(f"{points} if {_how_many(first, last, len(row))} do")
    return ", ".join(parts)


def _how_many(first: int, last: int, seats: int) -> str:
    if last == 1:
        return "you alone"
    if first == last:
        return f"{last} of you" if last < seats else "both of you" if seats == 2 else f"all {seats}"
    return f"up to {last} of you" if first == 1 else f"{first} to {last} of you"


@lru_cache(maxsize=32)
def _possible(payoffs: tuple[tuple[tuple[int, ...], ...], ...]) -> Points:
    tables = np.array(payoffs)  # (seats, options, how many more choose the same)
    seats, options, _ = tables.shape
    # (seats, N): the number after the last option is no answer.
    chosen = np.indices((options + 1,) * seats).reshape(seats, -1)
    points = np.zeros_like(chosen)
    for option in range(options):
        takes = chosen == option
        others = np.maximum(takes.sum(axis=0) - 1, 0)
        points += np.where(takes, tables[:, option, :][:, others], 0)
    return np.unique(points.T, axis=0)
