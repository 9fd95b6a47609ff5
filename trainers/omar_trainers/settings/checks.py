"""Checks of single settings. Each raises ConfigError with the setting's name."""

from __future__ import annotations

import math
from collections.abc import Sequence

from omar_envs.errors import ConfigError


def number(name: str, value: object) -> float:
    """The value as a float, if it is a finite number and no bool."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ConfigError(f"{name} must be a finite number, not {value!r}")
    return float(value)


def require_int(name: str, value: object, *, least: int) -> None:
    """An integer of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} must be an integer of at least {least}, not {value!r}")


def require_share(name: str, value: object) -> None:
    """A number in [0, 1]."""
    if not 0.0 <= number(name, value) <= 1.0:
        raise ConfigError(f"{name} must lie in [0, 1], not {value}")


def require_positive(name: str, value: object) -> None:
    """A number above 0."""
    if number(name, value) <= 0.0:
        raise ConfigError(f"{name} must be positive, not {value}")


def require_not_negative(name: str, value: object) -> None:
    """A number of at least 0."""
    if number(name, value) < 0.0:
        raise ConfigError(f"{name} must not be negative, not {value}")


def require_one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    """One of a few names."""
    if value not in allowed:
        raise ConfigError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
