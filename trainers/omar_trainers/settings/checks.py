"""Checks of single settings. Each raises ConfigError with the setting's name."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from omar_envs.errors import ConfigError


def number(name: str, value: object) -> float:
    """The value as a float, if it is a finite number and no bool."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ConfigError(f"{name} must be a finite number, not {value!r}")
    return float(value)


def require_object(name: str, value: object) -> None:
    """A mapping, or nothing."""
    if value is not None and not isinstance(value, dict):
        raise ConfigError(f"{name} must be a mapping of names to values, not {value!r}")


def parsed_json(name: str, value: object) -> object:
    """The value, read as JSON if it is the text of an object. Other text may name a file."""
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name} is not JSON: {error}; got {value}") from None


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
