"""What a training run asks of its judges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from omar_envs.metering import Usage


@runtime_checkable
class Metered(Protocol):
    """A judge that counts what it is asked for."""

    @property
    def usage(self) -> Usage: ...


def usage_of(judges: Iterable[object]) -> Usage | None:
    """What the judges among these have asked for so far, each counted once; None if none counts."""
    known = {id(judge): judge.usage for judge in judges if isinstance(judge, Metered)}
    return sum_usage(known.values())


def sum_usage(parts: Iterable[Usage | None]) -> Usage | None:
    """All of it together; None if there is none."""
    total: Usage | None = None
    for part in parts:
        if part is not None:
            total = part if total is None else _combined(total, part, 1)
    return total


def usage_between(before: Usage, after: Usage) -> Usage:
    """What was asked for since ``before``."""
    return _combined(after, before, -1)


def _combined(first: Usage, other: Usage, sign: int) -> Usage:
    cost = None
    if first.cost is not None and other.cost is not None:
        cost = first.cost + sign * other.cost
    return Usage(
        requests=first.requests + sign * other.requests,
        failures=first.failures + sign * other.failures,
        cut=first.cut + sign * other.cut,
        prompt_tokens=first.prompt_tokens + sign * other.prompt_tokens,
        completion_tokens=first.completion_tokens + sign * other.completion_tokens,
        unmetered=first.unmetered + sign * other.unmetered,
        cost=cost,
    )
