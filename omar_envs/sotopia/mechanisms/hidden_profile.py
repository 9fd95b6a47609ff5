"""A decision that is right only if all say what they alone know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from omar_envs.sotopia.mechanisms.arguments import canonical, find, listed, quote
from omar_envs.sotopia.mechanisms.sealed import AnswerOutcome, opened
from omar_envs.sotopia.mechanisms.validity import check_distinct, check_range, check_seats, require
from omar_envs.sotopia.outcomes import Result, Ruling

MAX_WEIGHT = 10


class Clue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fact about an option.

    Attributes:
        option: which.
        weight: how much it speaks for it, −10 to 10.
        text: the fact, a sentence without its full stop.
    """

    option: str
    weight: int
    text: str


class HiddenProfile(AnswerOutcome, frozen=True, tag="hidden_profile"):
    """A choice by majority, its reasons spread over the seats (Stasser and Titus 1985).

    The best option is the one whose clues, those that all know and those that one seat
    knows, weigh most together. To no seat alone does it seem the best. An answer is an
    option; the group's choice is what more than half of all seats answer. The score is 1
    for all if that is the best option, else 0 for all; points are 1 for one's own right
    answer. No answer counts for no option.

    Measure ``right_share``: the share of seats that answered the best option.

    Attributes:
        options: what may be chosen, 2 to 6.
        common: clues that all know.
        private: per seat, clues that it alone knows.
    """

    options: tuple[str, ...]
    common: tuple[Clue, ...]
    private: tuple[tuple[Clue, ...], ...]

    def __post_init__(self) -> None:
        check_seats("private", self.num_seats)
        require(2 <= len(self.options) <= 6, f"options has {len(self.options)}; it needs 2 to 6")
        check_distinct("options", self.options)
        for clue in self._all():
            require(clue.option in self.options, f"a clue is about {clue.option!r}, no option")
            require(bool(clue.text.strip()), f"a clue about {clue.option!r} has no text")
            check_range("weight", (clue.weight,), -MAX_WEIGHT, MAX_WEIGHT)
        best = self._best(self._all())
        require(len(best) == 1, f"options: {best} weigh the same; one must be best")
        for seat, clues in enumerate(self.private):
            seems = self._best((*self.common, *clues))
            require(
                seems != best,
                f"private[{seat}] with common shows that {best[0]!r} is best: nothing is hidden",
            )

    @property
    def num_seats(self) -> int:
        """How many take part."""
        return len(self.private)

    @property
    def right(self) -> str:
        """The best option."""
        return self._best(self._all())[0]

    def told(self, seat: int, names: tuple[str, ...]) -> str:
        """What it alone knows."""
        return f"What you alone know: {_in_words(self.private[seat])}"

    def facts(self, seat: int, names: tuple[str, ...]) -> dict[str, Any]:
        """The options, the clues that all know, and those that it alone knows."""
        return {
            "mechanism": "hidden_profile",
            "options": list(self.options),
            "common": [msgspec.to_builtins(clue) for clue in self.common],
            "clues": [msgspec.to_builtins(clue) for clue in self.private[seat]],
        }

    def rules(self, names: tuple[str, ...]) -> str:
        """The options, what all know, and how to answer."""
        enough = "both" if self.num_seats == 2 else f"at least {self.num_seats // 2 + 1}"
        return (
            f"The {self.num_seats} of you choose one of these: {listed(self.options, 'or')}. Each "
            "of you knows things that nobody else knows; the number behind each says how much it "
            "speaks for or against an option. The option with the largest sum over everything that "
            "all of you know is the best one, and the choice is right only if "
            f"{enough} of you answer it. All know: {_in_words(self.common)} "
            f"{self.how_to_close(self.options[0])}"
        )

    def read_answer(self, seat: int, value: object) -> Ruling:
        """An option."""
        index = find(value, self.options)
        if index is None:
            return Ruling(
                False, reason=f"answer with {listed(self.options, 'or')}, not {quote(value)}"
            )
        return Ruling(True, canonical(self.options[index]))

    def worth(self, answers: tuple[Any, ...], names: tuple[str, ...]) -> Result:
        """1 for all or 0 for all."""
        right = [answer == self.right for answer in answers]
        return Result(
            settled=None not in answers,
            scores=(float(2 * sum(right) > self.num_seats),) * self.num_seats,
            points=tuple(map(float, right)),
            deal=opened(answers, names),
            measures={"right_share": sum(right) / self.num_seats},
        )

    def _all(self) -> tuple[Clue, ...]:
        return self.common + tuple(clue for clues in self.private for clue in clues)

    def _best(self, clues: Iterable[Clue]) -> list[str]:
        weights = Counter(dict.fromkeys(self.options, 0))
        for clue in clues:
            weights[clue.option] += clue.weight
        most = max(weights.values())
        return [option for option in self.options if weights[option] == most]


def _in_words(clues: Iterable[Clue]) -> str:
    words = [f"{clue.option}: {clue.text} ({clue.weight:+d})." for clue in clues]
    return " ".join(words) or "nothing."
