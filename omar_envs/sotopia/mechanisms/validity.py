"""Checks of a scenario's data that several mechanisms share. Each raises ConfigError."""

from __future__ import annotations

from collections.abc import Sequence

from omar_envs.errors import ConfigError
from omar_envs.sotopia.mechanisms.arguments import same

MIN_SEATS = 2
MAX_SEATS = 8


def require(holds: bool, otherwise: str) -> None:
    """Raise ConfigError with this text unless ``holds``."""
    if not holds:
        raise ConfigError(otherwise)


def check_seats(field: str, number: int, low: int = MIN_SEATS, high: int = MAX_SEATS) -> None:
    """The number of seats, which ``field`` gives, must be from ``low`` to ``high``."""
    require(
        low <= number <= high, f"{field} is for {number} seats; this needs {low} to {high} of them"
    )


def check_distinct(field: str, words: Sequence[str]) -> None:
    """No two may read the same, but for case and a plural, and none may be empty."""
    for i, word in enumerate(words):
        require(bool(word.strip()), f"{field} has an empty name")
        for other in words[:i]:
            require(not same(word, other), f"{field} has {other!r} and {word!r}: they read alike")


def check_range(field: str, numbers: Sequence[int], low: int, high: int) -> None:
    """Each number must be from ``low`` to ``high``."""
    for number in numbers:
        require(low <= number <= high, f"{field} has {number}; it must be from {low} to {high}")


def check_names(names: Sequence[str], num_seats: int, things: Sequence[str] = ()) -> None:
    """Display names: one a seat, all different, and none is what is dealt with."""
    require(
        len(names) == num_seats, f"names has {len(names)} names; the outcome has {num_seats} seats"
    )
    check_distinct("names", names)
    for name in names:
        for thing in things:
            require(not same(name, thing), f"{name!r} is a participant's name and a thing's")
