"""A common pot that grows and is shared equally, whatever each has put in."""

from __future__ import annotations

from typing import Any

from omar_envs.sotopia.mechanisms.arguments import canonical, quote, whole
from omar_envs.sotopia.mechanisms.sealed import AnswerOutcome, opened
from omar_envs.sotopia.mechanisms.validity import check_range, check_seats, require
from omar_envs.sotopia.outcomes import Result, Ruling

MAX_ENDOWMENT = 1000


class PublicGoods(AnswerOutcome, frozen=True, tag="public_goods"):
    """The linear public-goods game, with or without a provision point (Ledyard 1995).

    Seat i has e_i and gives c_i, a whole number. If Σ c reaches the threshold, its points
    are e_i − c_i + m · Σ c / n, else e_i − c_i: what was given is lost. Its score is its points
    divided by the most it could have, whatever the others do. Who gives no answer counts
    as having given nothing, forfeits its part, and has 0.

    With 1 < m < n it is best for all that all give all, and for each to give nothing.
    Measures: ``contribution_share`` = Σ c / Σ e; ``joint_share`` (efficiency) = Σ points /
    (m · Σ e), the most there can be.

    Attributes:
        endowments: per seat, what it has, 1 to 1000. 3 to 8 seats.
        multiplier: m, above 1 and below the number of seats.
        threshold: the least sum that does anything; 0 for none.
        unit: what is given, in the plural: ``hours``.
    """

    endowments: tuple[int, ...]
    multiplier: float
    unit: str
    threshold: int = 0

    def __post_init__(self) -> None:
        check_seats("endowments", self.num_seats, low=3)
        check_range("endowments", self.endowments, 1, MAX_ENDOWMENT)
        require(
            1 < self.multiplier < self.num_seats,
            f"multiplier is {self.multiplier}; it must be above 1 and below {self.num_seats}",
        )
        check_range("threshold", (self.threshold,), 0, sum(self.endowments))
        require(bool(self.unit.strip()), "unit is empty")

    @property
    def num_seats(self) -> int:
        """How many take part."""
        return len(self.endowments)

    def told(self, seat: int, names: tuple[str, ...]) -> str:
        """What it has."""
        return (
            f"You have {self.endowments[seat]} {self.unit}; you may give any whole number of them, "
            "from none to all. What you keep is worth 1 point apiece to you."
        )

    def facts(self, seat: int, names: tuple[str, ...]) -> dict[str, Any]:
        """What it has, and what becomes of what is given."""
        return {
            "mechanism": "public_goods",
            "endowment": self.endowments[seat],
            "multiplier": self.multiplier,
            "threshold": self.threshold,
            "unit": self.unit,
        }

    def rules(self, names: tuple[str, ...]) -> str:
        """What happens to what is given, and how to give."""
        short = ""
        if self.threshold:
            short = (
                f" If less than {self.threshold} {self.unit} come together, all that was given "
                "is lost."
            )
        return (
            f"Each of you {self.num_seats} decides alone how many {self.unit} to give to the "
            f"common cause. What is given is multiplied by {self.multiplier:g} and shared equally "
            f"among all {self.num_seats}, whatever each has given.{short} Whoever never answers "
            f"ends with nothing. {self.how_to_close(1)}"
        )

    def read_answer(self, seat: int, value: object) -> Ruling:
        """A whole number from 0 to one's endowment."""
        given = whole(value, self.unit)
        if given is None or given > self.endowments[seat]:
            return Ruling(
                False,
                reason=f"answer with one whole number from 0 to {self.endowments[seat]}, "
                f"not {quote(value)}",
            )
        return Ruling(True, canonical(given))

    def worth(self, answers: tuple[Any, ...], names: tuple[str, ...]) -> Result:
        """Points, scores and measures, as the class says."""
        total = sum(given or 0 for given in answers)
        part = self._part(total)
        points = tuple(
            0.0 if given is None else has - given + part
            for has, given in zip(self.endowments, answers, strict=True)
        )
        all_there_is = sum(self.endowments)
        return Result(
            settled=None not in answers,
            scores=tuple(got / self._most(seat) for seat, got in enumerate(points)),
            points=points,
            deal=opened(answers, names),
            measures={
                "contribution_share": total / all_there_is,
                # Rounding may lift it above 1 where all give all.
                "joint_share": min(1.0, sum(points) / (self.multiplier * all_there_is)),
            },
        )

    def _part(self, total: int) -> float:
        """Everybody's part of a pot."""
        return self.multiplier * total / self.num_seats if total >= self.threshold else 0.0

    def _most(self, seat: int) -> float:
        """The most that a seat can have: all others give all, and it what is still missing."""
        has = self.endowments[seat]
        others = sum(self.endowments) - has
        missing = max(0, self.threshold - others)
        return max(float(has), has - missing + self._part(others + missing))
