"""Names that a user gives, held against those there are."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from omar_envs.errors import ConfigError


def check_known(what: str, name: str, known: Sequence[str]) -> None:
    """Refuse a name that there is not, with the nearest one that there is.

    Raises:
        ConfigError: it is not among ``known``.
    """
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    names = ", ".join(filter(None, known)) or "none"
    raise ConfigError(f"there is no {what} {name!r}: known are {names}.{hint}")
