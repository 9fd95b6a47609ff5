"""Settings of how an endpoint samples, as the policy and the judge both take them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from omar_envs.errors import ConfigError

__all__ = ["check_sampling", "checked_extra", "token_limit"]


def check_sampling(seed: int | None, temperature: float | None, max_tokens: int | None) -> None:
    """Refuse what no endpoint takes; ``None`` sends nothing.

    Raises:
        ConfigError: a number is out of range.
    """
    if seed is not None and seed < 0:
        raise ConfigError(f"seed must not be negative: got {seed}")
    if temperature is not None and not 0 <= temperature < math.inf:
        raise ConfigError(f"temperature must be None or a number from 0: got {temperature}")
    if max_tokens is not None and max_tokens < 1:
        raise ConfigError(f"max_tokens must be None or at least 1: got {max_tokens}")


def checked_extra(extra_body: Mapping[str, Any] | None, own: Collection[str]) -> dict[str, Any]:
    """Further fields of the request's body.

    Args:
        extra_body: as the user gave them.
        own: fields that are not the user's to set.

    Raises:
        ConfigError: one of ``own`` is among them.
    """
    extra = dict(extra_body or {})
    if taken := sorted(set(own) & extra.keys()):
        raise ConfigError(f"extra_body cannot change {', '.join(taken)}")
    return extra


def token_limit(max_tokens: int | None, *, is_openai: bool) -> dict[str, int]:
    """The field that limits the answer's tokens, by the name that the endpoint knows."""
    if max_tokens is None:
        return {}
    # OpenAI's newer models refuse the name that everybody else knows.
    return {"max_completion_tokens" if is_openai else "max_tokens": max_tokens}
