"""Libraries that only some of the arena needs."""

from __future__ import annotations

from importlib.util import find_spec

from omar_envs.errors import ConfigError


def needs(library: str, extra: str) -> None:
    """Make sure that a library is there, before work is done that would need it.

    Raises:
        ConfigError: it is not installed.
    """
    if find_spec(library) is None:
        raise ConfigError(f"this needs the library {library!r}: pip install 'omar-envs[{extra}]'")
