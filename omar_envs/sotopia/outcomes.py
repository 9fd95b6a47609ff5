"""Outcomes that can be computed: what participants may settle, and what it is worth to each.

An :class:`Outcome` is data of a scenario: private values, reservation prices,
calendars. :meth:`Outcome.open` begins a :class:`Settlement`, the live state of one
game. Participants act on it by ``propose``, ``accept`` and ``answer``. Nothing here
knows of gymnasium or of language models, and nothing raises on what a player writes.

The mechanisms themselves, and the union that data files are read as, are in
:mod:`omar_envs.sotopia.mechanisms`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import msgspec

CLOSING_ACTS = ("propose", "accept", "answer")
"""The acts beside talk. Which of them a scenario takes is its outcome's ``acts``."""


class Ruling(NamedTuple):
    """Whether an act is legal now.

    Attributes:
        legal: if so.
        argument: the act's argument in its one canonical form, compact JSON with
            sorted keys, so that equal deals have equal text. Checking it again gives
            it again.
        reason: why it is not, and what would be; "" if legal. It quotes no more than
            about 80 characters of what the player wrote.
    """

    legal: bool
    argument: str = ""
    reason: str = ""


class ClosingAct(NamedTuple):
    """A legal act: whose, which, and its argument as in :attr:`Ruling.argument`."""

    seat: int
    act: str
    argument: str


class Notice(NamedTuple):
    """What is told after acts were applied; ``seat`` is who hears it, ``None`` everyone."""

    seat: int | None
    text: str


class Result(msgspec.Struct, frozen=True):
    """What a settlement came to.

    Attributes:
        settled: whether there was a deal, or all answers came.
        scores: per seat, in [0, 1]: the reward. Without a deal what that is worth.
        points: per seat, in the scenario's own units.
        deal: what was agreed or answered, in plain JSON types; ``None`` if nothing.
        measures: named numbers for all, such as ``pareto_share`` and ``nash_product``.
    """

    settled: bool
    scores: tuple[float, ...]
    points: tuple[float, ...]
    deal: Any
    measures: dict[str, float]


class Settlement(ABC):
    """The live state of one game. Reading it changes nothing; only acts and leaving do."""

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether all is settled, or nothing can be any more: the conversation ends."""

    @abstractmethod
    def check(self, seat: int, act: str, argument: object) -> Ruling:
        """Whether ``seat`` may do this now.

        Args:
            seat: who acts, from 0.
            act: one of :data:`CLOSING_ACTS`.
            argument: as the player gave it, any JSON value; a string may itself hold
                JSON. ``None`` and "" are no argument.
        """

    @abstractmethod
    def apply(self, acts: tuple[ClosingAct, ...]) -> tuple[Notice, ...]:
        """Apply legal acts that were made unseen by one another; say what follows."""

    @abstractmethod
    def leave(self, seat: int) -> None:
        """``seat`` has left the conversation for good."""

    @abstractmethod
    def result(self) -> Result:
        """What it has come to, at any time."""

    @property
    def standing(self) -> dict[int, Any]:
        """Seat to the deal that it proposes, in plain JSON types; nothing that is sealed."""
        return {}

    @property
    def accepted(self) -> dict[int, tuple[int, ...]]:
        """For each seat in :attr:`standing`, the seats that have accepted that."""
        return {}

    @property
    def answered(self) -> tuple[int, ...]:
        """The seats that have given a sealed answer, which all know."""
        return ()


class Outcome(msgspec.Struct, frozen=True, tag_field="mechanism", forbid_unknown_fields=True):
    """Base of the mechanisms. Plain data; goes to JSON and back without loss.

    Impossible data raise :class:`~omar_envs.errors.ConfigError` (a ``ValueError``) that
    names the field; read from JSON, impossible data and unknown fields raise
    :class:`msgspec.ValidationError`. ``names`` are the display names of the seats, in order and all
    different; a wrong number of them, or two equal ones, raise it in :meth:`open`.
    """

    @property
    def acts(self) -> tuple[str, ...]:
        """Which of :data:`CLOSING_ACTS` it takes."""
        raise NotImplementedError

    @property
    def num_seats(self) -> int:
        """How many take part."""
        raise NotImplementedError

    def told(self, seat: int, names: tuple[str, ...]) -> str:
        """What ``seat`` alone is told: its values, in words."""
        raise NotImplementedError

    def facts(self, seat: int, names: tuple[str, ...]) -> dict[str, Any]:
        """What :meth:`told` and :meth:`rules` tell ``seat``, for programs.

        Plain JSON types. ``mechanism`` is its tag; mechanisms that a deal settles have
        ``needed``, how many seats must be behind one. Nothing of the other seats' own.
        """
        raise NotImplementedError

    def rules(self, names: tuple[str, ...]) -> str:
        """What all are told: what is at stake, which acts settle it, with an example each."""
        raise NotImplementedError

    def shown(self, act: ClosingAct, names: tuple[str, ...]) -> str:
        """How the act is told to all, after the actor's name: ``proposes …``."""
        raise NotImplementedError

    def open(self, names: tuple[str, ...]) -> Settlement:
        """Begin a game."""
        raise NotImplementedError
