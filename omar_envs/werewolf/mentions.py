"""Who was last named in the talk."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache


class Mentions:
    """Players in the order in which the talk last named them.

    Args:
        names: display name of each player, by index.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._latest_last: list[int] = []

    def hear(self, speaker: int, text: str) -> None:
        """Note whom a speech names, as whole words in any case; its speaker does not count."""
        pattern, players = _reader(self._names)
        for found in pattern.findall(text):
            player = players.get(found.casefold())
            if player is not None and player != speaker:
                if player in self._latest_last:
                    self._latest_last.remove(player)
                self._latest_last.append(player)

    def latest_first(self) -> list[int]:
        """Players named so far, the last one named first."""
        return self._latest_last[::-1]

    def forget(self) -> None:
        """Begin anew."""
        self._latest_last.clear()


@lru_cache(maxsize=256)
def _reader(names: tuple[str, ...]) -> tuple[re.Pattern[str], dict[str, int]]:
    longest_first = sorted(names, key=len, reverse=True)
    pattern = r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)"
    players = {name.casefold(): player for player, name in enumerate(names)}
    return re.compile(pattern, re.IGNORECASE), players
