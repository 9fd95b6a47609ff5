"""Means and variances of numbers that are spread over processes and over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from accelerate.utils import gather_object
from torch import Tensor


class Spread(NamedTuple):
    """Some numbers' count, mean, summed squared deviation from it, smallest and largest.

    Without any number all five are 0.
    """

    count: int
    mean: float
    squares: float
    low: float
    high: float

    @staticmethod
    def of(numbers: Tensor) -> Spread:
        """Of the numbers (N,) of this process."""
        if not numbers.numel():
            return Spread(0, 0.0, 0.0, 0.0, 0.0)
        numbers = numbers.double()
        mean = numbers.mean()
        squares = (numbers - mean).square().sum()
        return Spread(
            len(numbers), float(mean), float(squares), float(numbers.min()), float(numbers.max())
        )

    @staticmethod
    def together(parts: Iterable[Spread]) -> Spread:
        """Of the numbers of all parts, as if they had been counted at once."""
        parts = [part for part in parts if part.count]
        if not parts:
            return Spread(0, 0.0, 0.0, 0.0, 0.0)
        count = sum(part.count for part in parts)
        mean = sum(part.count * part.mean for part in parts) / count
        squares = sum(part.squares + part.count * (part.mean - mean) ** 2 for part in parts)
        return Spread(
            count, mean, squares, min(part.low for part in parts), max(part.high for part in parts)
        )

    @property
    def variance(self) -> float:
        """Of the population, 0 without numbers."""
        return self.squares / self.count if self.count else 0.0


def gather_spreads(local: Mapping[str, Spread]) -> dict[str, Spread]:
    """The numbers of all processes together, by name; every process has to call it."""
    parts: dict[str, list[Spread]] = {}
    for process in gather_object([dict(local)]):
        for name, spread in process.items():
            parts.setdefault(name, []).append(Spread(*spread))
    return {name: Spread.together(found) for name, found in parts.items()}


class RunningMoments:
    """Mean and standard deviation of a stream whose batches may drift.

    Exponential over batches, each of weight 1 however large, and corrected for the
    short start; until the first batch the mean is 0 and the deviation 1.

    Args:
        decay: weight of the past against one batch, in [0, 1).
    """

    def __init__(self, decay: float = 0.9) -> None:
        self._decay = decay
        self._weight = 0.0
        self._mean = 0.0
        self._variance = 1.0

    @property
    def started(self) -> bool:
        """Whether a batch was taken in."""
        return self._weight > 0.0

    @property
    def mean(self) -> float:
        return self._mean

    @property
    def deviation(self) -> float:
        """Never 0: at least a thousandth of the mean, and 1 where all numbers were 0."""
        return max(self._variance**0.5, 1e-3 * abs(self._mean)) or 1.0

    def update(self, batch: Spread) -> None:
        """Take in a batch; one without numbers changes nothing."""
        if not batch.count:
            return
        self._weight = self._decay * self._weight + 1.0 - self._decay
        share = (1.0 - self._decay) / self._weight
        past_variance, past_mean = self._variance, self._mean
        self._mean = past_mean + share * (batch.mean - past_mean)
        self._variance = (1.0 - share) * (past_variance + (past_mean - self._mean) ** 2) + share * (
            batch.variance + (batch.mean - self._mean) ** 2
        )

    def state_dict(self) -> dict[str, float]:
        """For a checkpoint."""
        return {"weight": self._weight, "mean": self._mean, "variance": self._variance}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self._weight = state["weight"]
        self._mean = state["mean"]
        self._variance = state["variance"]
