"""Counting votes: players are indices, a count maps them to votes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def count(votes: Iterable[int]) -> dict[int, int]:
    """How often each is named."""
    named: dict[int, int] = {}
    for target in votes:
        named[target] = named.get(target, 0) + 1
    return named


def most(counted: Mapping[int, int]) -> list[int]:
    """Who has most votes, in seat order."""
    if not counted:
        return []
    best = max(counted.values())
    return sorted([player for player, votes in counted.items() if votes == best])


def two_most(counted: Mapping[int, int]) -> tuple[int, ...]:
    """Who has most votes and next to most; nobody if fewer than two were named."""
    if len(counted) < 2:
        return ()
    second = sorted(counted.values())[-2]
    return tuple(sorted(player for player, votes in counted.items() if votes >= second))
