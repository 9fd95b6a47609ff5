"""How long an iteration takes, phase by phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from omar_trainers.metrics import Mean

REST = "train"
"""What is in no phase of its own: forward and backward passes and optimizer steps."""


class PhaseClock:
    """Gives every second to one phase: an inner phase's seconds are not the outer one's.

    Args:
        now: seconds, from any start.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since: float | None = None

    def start(self) -> None:
        """Begin to count, unless that was done before."""
        if self._since is None:
            self._since = self._now()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What the block takes belongs to the phase ``name``."""
        self.start()
        self._give()
        self._open.append(name)
        try:
            yield
        finally:
            self._give()
            self._open.pop()

    def lap(self) -> dict[str, float]:
        """Seconds of each phase since the last lap; what is in none is :data:`REST`'s."""
        self.start()
        self._give()
        seconds, self._seconds = self._seconds, {}
        return seconds

    def _give(self) -> None:
        assert self._since is not None  # start() was called
        now = self._now()
        name = self._open[-1] if self._open else REST
        self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
        self._since = now


def phase_means(seconds: dict[str, float], row_tokens: float, passes: int) -> dict[str, Mean]:
    """Seconds of each phase and of all, and tokens a second where rows are read.

    Args:
        seconds: of one lap.
        row_tokens: of this process's rows, prompts included; 0 if none were learned from.
        passes: over the rows in one iteration.
    """
    means = {f"time/{name}": Mean(value, 1) for name, value in seconds.items()}
    means["time/iteration"] = Mean(sum(seconds.values()), 1)
    for name, tokens in (("score", row_tokens), (REST, row_tokens * passes)):
        means[f"{name}/tokens_per_second"] = Mean(tokens, seconds.get(name, 0.0))
    return means
