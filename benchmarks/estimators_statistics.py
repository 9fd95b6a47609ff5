"""What a few training seeds say: means, paired differences and variances with intervals.

Seeds are the sample here: two runs of one seed are not two observations, and the
games of an arena only add noise to the one number that a seed gives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any, NamedTuple

STUDENT = {
    **{2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306},
    **{10: 2.262, 11: 2.228, 12: 2.201, 13: 2.179, 14: 2.160, 15: 2.145, 16: 2.131},
}
"""Two-sided 95% quantile of Student's t for the mean of so many seeds."""

CHI_SQUARE = {
    **{2: (0.000982, 5.024), 3: (0.0506, 7.378), 4: (0.216, 9.348), 5: (0.484, 11.143)},
    **{6: (0.831, 12.833), 7: (1.237, 14.449), 8: (1.690, 16.013), 9: (2.180, 17.535)},
    **{10: (2.700, 19.023), 11: (3.247, 20.483), 12: (3.816, 21.920), 13: (4.404, 23.337)},
    **{14: (5.009, 24.736), 15: (5.629, 26.119), 16: (6.262, 27.488)},
}
"""2.5% and 97.5% quantiles of chi-square for the variance of so many seeds."""


class Estimate(NamedTuple):
    """A number and its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0.0 or self.high < 0.0


def mean_over_seeds(values: Sequence[float]) -> Estimate:
    """Mean with Student's 95% interval.

    One seed tells nothing of the spread between seeds: its interval is infinite.

    Raises:
        ValueError: no value, or more seeds than :data:`STUDENT` lists.
    """
    mean = fmean(values)
    if len(values) == 1:
        return Estimate(mean, -math.inf, math.inf)
    half = _quantiles(STUDENT, values) * stdev(values) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def paired_difference(ours: dict[int, float], theirs: dict[int, float]) -> Estimate:
    """Mean of ``ours - theirs`` over the seeds that both have, with Student's 95% interval.

    Args:
        ours, theirs: one value per seed; runs of one seed begin with the same games.

    Raises:
        ValueError: they share no seed.
    """
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        raise ValueError("the two share no seed: there is nothing to pair")
    return mean_over_seeds([ours[seed] - theirs[seed] for seed in shared])


def spread_over_seeds(values: Sequence[float]) -> Estimate:
    """Standard deviation between seeds, with the 95% interval that normal seeds would give.

    Raises:
        ValueError: fewer than two values, or more than :data:`CHI_SQUARE` lists.
    """
    if len(values) < 2:
        raise ValueError("a spread needs two seeds or more")
    low, high = _quantiles(CHI_SQUARE, values)
    deviation = stdev(values)
    degrees = len(values) - 1
    return Estimate(
        deviation, deviation * math.sqrt(degrees / high), deviation * math.sqrt(degrees / low)
    )


def area_under_curve(points: Sequence[tuple[float, float]]) -> float:
    """Mean height of a curve through ``(x, y)`` points: the trapezoids' area over the width.

    Raises:
        ValueError: fewer than two points, or x does not grow.
    """
    if len(points) < 2:
        raise ValueError("an area needs two points or more")
    if any(left[0] >= right[0] for left, right in pairwise(points)):
        raise ValueError("the points' x must grow from each to the next")
    area = sum((right[0] - left[0]) * (left[1] + right[1]) / 2 for left, right in pairwise(points))
    return area / (points[-1][0] - points[0][0])


def _quantiles(table: dict[int, Any], values: Sequence[float]) -> Any:
    if len(values) not in table:
        raise ValueError(f"{len(values)} seeds: the table goes from {min(table)} to {max(table)}")
    return table[len(values)]
