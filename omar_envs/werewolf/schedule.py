"""The steps of a game of Werewolf, night by night and day by day."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import msgspec

StepKind = Literal["wolf_chat", "night", "bid", "discussion", "vote", "last_words", "shot"]


class Step(msgspec.Struct, frozen=True, gc=False):
    """One step of the schedule.

    Attributes:
        kind: what is done in it.
        day: number of the day or night, from 1.
        round: of those of this kind on this day or night, from 1; a second
            ``vote`` is a revote.
        actor: who speaks its last words or shoots; -1 in other steps.
        dark: whether it belongs to the night.
    """

    kind: StepKind
    day: int
    round: int = 1
    actor: int = -1
    dark: bool = False


@lru_cache(maxsize=4096)
def night_steps(number: int, chats: int, rounds: tuple[int, ...]) -> tuple[Step, ...]:
    """One night: ``chats`` rounds of the wolves' talk, then the ``rounds`` of night acts."""
    return (
        *(Step("wolf_chat", number, r, dark=True) for r in range(1, chats + 1)),
        *(Step("night", number, r, dark=True) for r in rounds),
    )


@lru_cache(maxsize=4096)
def day_steps(number: int, talks: int, bidding: bool, vote: bool) -> tuple[Step, ...]:
    """One day: ``talks`` rounds of discussion, each after a bid or not, then a vote or none."""
    kinds: tuple[StepKind, ...] = ("bid", "discussion") if bidding else ("discussion",)
    return (
        *(Step(kind, number, r) for r in range(1, talks + 1) for kind in kinds),
        *((Step("vote", number),) if vote else ()),
    )
