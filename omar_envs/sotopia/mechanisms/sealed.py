"""Sealed answers: the settlement that every mechanism without deals shares.

Each seat answers once and for good. The others hear that it has answered, and what only
when all have.
"""

from __future__ import annotations

import json
from typing import Any

from omar_envs.sotopia.mechanisms.arguments import alone, in_full, quote, read
from omar_envs.sotopia.mechanisms.validity import check_names
from omar_envs.sotopia.outcomes import ClosingAct, Notice, Outcome, Result, Ruling, Settlement


class AnswerOutcome(Outcome, frozen=True):
    """Base of the mechanisms that sealed answers settle. An answer is plain JSON.

    A mechanism gives :meth:`read_answer` and :meth:`worth`, and the words.
    """

    @property
    def acts(self) -> tuple[str, ...]:
        """``answer`` alone."""
        return ("answer",)

    @property
    def needs_all(self) -> bool:
        """Whether nothing can be won any more once a seat has left without an answer."""
        return False

    def read_answer(self, seat: int, value: object) -> Ruling:
        """Whether ``seat`` may answer this (JSON already read)."""
        raise NotImplementedError

    def worth(self, answers: tuple[Any, ...], names: tuple[str, ...]) -> Result:
        """What the answers come to, one a seat; ``None`` where there is none."""
        raise NotImplementedError

    def shown(self, act: ClosingAct, names: tuple[str, ...]) -> str:
        """``has given a sealed answer``, whatever it is."""
        return "has given a sealed answer"

    def open(self, names: tuple[str, ...]) -> Settlement:
        """Begin a game."""
        check_names(names, self.num_seats)
        return Sealed(self, names)

    def how_to_close(self, example: object) -> str:
        """How to answer, with an example."""
        return (
            f"To answer: {in_full('answer', example)}. A reply that is only the act works too: "
            f"{alone('answer', example)}. Each of you answers once and cannot change it. Answers "
            "stay hidden until all have answered."
        )


class Sealed(Settlement):
    """The answers in one game.

    Who leaves without an answer never gives one; the settlement then closes when the rest
    have answered, or at once where the mechanism needs everybody.
    """

    def __init__(self, outcome: AnswerOutcome, names: tuple[str, ...]) -> None:
        self._outcome = outcome
        self._names = names
        self._answers: list[Any] = [None] * len(names)
        self._gone: set[int] = set()

    @property
    def closed(self) -> bool:
        """Whether nobody is left to answer, or nothing is left to win."""
        waiting = {seat for seat, answer in enumerate(self._answers) if answer is None}
        return waiting <= self._gone or (self._outcome.needs_all and bool(waiting & self._gone))

    def check(self, seat: int, act: str, argument: object) -> Ruling:
        """Whether ``seat`` may answer this now."""
        if act != "answer":
            return Ruling(False, reason=f"there is no {quote(act)} here: use answer")
        if self._answers[seat] is not None:
            return Ruling(False, reason="you have answered already, and an answer is final")
        if seat in self._gone:
            return Ruling(False, reason="you have left the conversation")
        if self.closed:
            return Ruling(False, reason="it is over: somebody has left without an answer")
        return self._outcome.read_answer(seat, read(argument))

    def apply(self, acts: tuple[ClosingAct, ...]) -> tuple[Notice, ...]:
        """Seal the answers; open all of them once there is nobody to wait for."""
        for act in acts:
            self._answers[act.seat] = json.loads(act.argument)
        if not acts or not self.closed:
            return ()
        told = [
            f"{name}: {'no answer' if answer is None else answer}"
            for name, answer in zip(self._names, self._answers, strict=True)
        ]
        return (Notice(None, f"The answers are opened. {'; '.join(told)}."),)

    @property
    def answered(self) -> tuple[int, ...]:
        """The seats that have answered."""
        return tuple(seat for seat, answer in enumerate(self._answers) if answer is not None)

    def leave(self, seat: int) -> None:
        """``seat`` answers no more; an answer that it has given counts."""
        self._gone.add(seat)

    def result(self) -> Result:
        """What the answers so far come to."""
        return self._outcome.worth(tuple(self._answers), self._names)


def opened(answers: tuple[Any, ...], names: tuple[str, ...]) -> dict[str, Any] | None:
    """The answers by name, ``None`` if there are none."""
    given = {
        name: answer for name, answer in zip(names, answers, strict=True) if answer is not None
    }
    return given or None
