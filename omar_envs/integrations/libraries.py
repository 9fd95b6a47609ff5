"""Other people's libraries: imported when needed, in a version that was tried."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from omar_envs.errors import ConfigError

__all__ = ["SUPPORTED", "Library", "check", "library"]


class Library(NamedTuple):
    """A library and its supported versions, ``lowest <= version < below``.

    Attributes:
        distribution: its name for pip.
        extra: the extra of omar-envs that installs it.
        lowest, below: versions, as numbers between dots.
    """

    distribution: str
    extra: str
    lowest: str
    below: str


SUPPORTED: dict[str, Library] = {
    "datasets": Library("datasets", "train", "4.7", "6"),
    "gem": Library("gem-llm", "gem", "0.1", "0.2"),
    "openenv": Library("openenv", "openenv", "0.10", "0.11"),
    "ray": Library("ray", "rllib", "2.60", "3"),
    "sb3_contrib": Library("sb3-contrib", "sb3", "2.9", "3"),
    "skyrl_gym": Library("skyrl-gym", "skyrl-gym", "0.4", "0.5"),
    "supersuit": Library("SuperSuit", "supersuit", "3.11", "4"),
    "textarena": Library("textarena", "textarena", "0.7.3", "0.8"),
    "tianshou": Library("tianshou", "tianshou", "2.0", "3"),
    "torchrl": Library("torchrl", "torchrl", "0.14", "0.15"),
    "trl": Library("trl", "train", "1.16", "2"),
    "verifiers": Library("verifiers", "verifiers", "0.4", "0.5"),
    "verl": Library("verl", "verl", "0.9", "0.10"),
}
"""By the name that Python imports."""


def check(module: str) -> None:
    """Make sure that a library is there in a supported version, without importing it.

    Args:
        module: a key of :data:`SUPPORTED`.

    Raises:
        ConfigError: it is not installed, or in a version outside the supported range.
    """
    wanted = SUPPORTED[module]
    remedy = f"pip install 'omar-envs[{wanted.extra}]'"
    supported = f"{wanted.distribution}>={wanted.lowest},<{wanted.below}"
    try:
        found = version(wanted.distribution)
    except PackageNotFoundError:
        raise ConfigError(f"this needs the library {wanted.distribution!r}: {remedy}") from None
    if not _numbers(wanted.lowest) <= _numbers(found) < _numbers(wanted.below):
        raise ConfigError(
            f"{wanted.distribution} {found} is not supported: this needs {supported}: "
            f"{remedy} '{supported}'"
        )


def library(module: str, part: str = "") -> Any:
    """Import a library, or a module of it.

    Args:
        module: a key of :data:`SUPPORTED`.
        part: module inside of it, as ``"envs.registration"``; "" for the library itself.

    Raises:
        ConfigError: as :func:`check`.
    """
    check(module)
    return import_module(f"{module}.{part}" if part else module)


def _numbers(text: str) -> tuple[int, ...]:
    """The release of a version, as numbers: of "0.7.4.post1" it is (0, 7, 4)."""
    release = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(number) for number in release.group().split(".")) if release else ()
