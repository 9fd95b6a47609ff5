"""Paired comparisons over seeds: interval, sign-flip test, and how many games would settle it.

The seeds are the sample: what happens in the games of one seed hangs together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

import msgspec
import numpy as np

from omar_envs.arena.libraries import needs
from omar_envs.errors import ConfigError
from omar_envs.intervals import Interval, paired_wilson

CONFIDENCE = 0.95
POWER = 0.8

FEWEST_SEEDS = 6
"""A sign-flip test of fewer cannot find anything at 5%: its p-value is at least 2 / 2ⁿ."""

_EXACT_UP_TO = 13
_FLIPS = 9_999


class Difference(msgspec.Struct, frozen=True):
    """A minus B, paired by seed.

    Attributes:
        seeds: how many.
        mean: mean over the seeds.
        low, high: its interval; ``None`` where one seed alone says nothing of the spread.
        spread: standard deviation between seeds; ``None`` of one.
        p_value: two-sided, of a sign-flip permutation test over the seeds: how often a
            mean as far from 0 would come by chance if A and B were exchangeable.
        exact: whether all sign flips were counted, or a seeded sample of them.
    """

    seeds: int
    mean: float
    low: float | None
    high: float | None
    spread: float | None
    p_value: float
    exact: bool


class Settling(msgspec.Struct, frozen=True):
    """How many games would settle who is better.

    Attributes:
        settled: the test finds a difference already.
        games: of this pair in all; ``None`` where no difference was seen, and no number
            would do.
        more: of them not played yet.
        power: chance of finding the difference with so many.
        assumes: what must be true for that, in words.
    """

    settled: bool
    games: int | None
    more: int | None
    power: float
    assumes: str


def sign_flip_test(differences: Sequence[float], *, seed: int = 0) -> tuple[float, bool]:
    """Two-sided permutation test of paired differences (Fisher 1935, The Design of Experiments).

    Under the hypothesis that A and B are exchangeable, each difference is as likely with
    the other sign. All 2ⁿ flips are counted for up to 13 differences that are not 0, else
    9,999 random ones and the one observed (Phipson and Smyth 2010), by a generator of
    its own.

    Args:
        differences: one per seed, independent.
        seed: of the random flips.

    Returns:
        the p-value, in (0, 1], and whether it is exact.
    """
    values = np.array([value for value in differences if value != 0], dtype=np.float64)
    if not len(values):
        return 1.0, True
    bound = abs(values.sum()) - 1e-9 * float(np.abs(values).sum())
    if len(values) <= _EXACT_UP_TO:
        codes = np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1
        sums = (1 - 2 * codes) @ values
        return float(np.mean(np.abs(sums) >= bound)), True
    # Of k differences of one size, the signs' sum is that of a binomial draw.
    rng = np.random.default_rng(seed)
    sums = np.zeros(_FLIPS)
    for size, count in zip(*np.unique(np.abs(values), return_counts=True), strict=True):
        sums += size * (2 * rng.binomial(count, 0.5, _FLIPS) - count)
    extreme = int(np.count_nonzero(np.abs(sums) >= bound))
    return (extreme + 1) / (_FLIPS + 1), False


def score_difference(scores: Sequence[float], per_seed: int) -> Difference:
    """A's win rate minus B's, where a draw is half a win to each.

    The interval is the one of A's score, stretched.

    Args:
        scores: A's mean score on each seed, in [0, 1].
        per_seed: games that one score averages over.
    """
    scores = [float(score) for score in scores]
    low, high = paired_wilson(scores, per_seed, CONFIDENCE)
    return _difference([2 * score - 1 for score in scores], Interval(2 * low - 1, 2 * high - 1))


def mean_difference(differences: Sequence[float]) -> Difference:
    """Mean of paired differences of any size, with Student's interval.

    Args:
        differences: one per seed; at least one.

    Raises:
        ConfigError: scipy is missing.
    """
    return _difference(differences, student_interval(differences))


def student_interval(values: Sequence[float]) -> Interval | None:
    """Student's interval of a mean; ``None`` of fewer than two values.

    Raises:
        ConfigError: scipy is missing.
    """
    if len(values) < 2:
        return None
    needs("scipy", "arena")
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(values) - 1, 0.5 + CONFIDENCE / 2))
    reach = quantile * stdev(values) / math.sqrt(len(values))
    return Interval(fmean(values) - reach, fmean(values) + reach)


def seeds_to_find(effect: float, spread: float, power: float = POWER) -> int:
    """Seeds with which a two-sided paired test at 5% finds a difference.

    ``n = ((z₁₋α⸝₂ + z_power) · spread / effect)²``, and at least
    :data:`FEWEST_SEEDS` (Cohen 1988, Statistical Power Analysis, chapter 2).

    Args:
        effect: the true mean difference, not 0.
        spread: standard deviation of the difference between seeds, at least 0.
        power: chance of finding it, in (0, 1).

    Raises:
        ConfigError: an argument is out of its range.
    """
    if effect == 0 or spread < 0 or not 0 < power < 1:
        raise ConfigError(
            "need an effect other than 0, a spread from 0 and a power between 0 and 1: got "
            f"{effect}, {spread} and {power}"
        )
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) + NormalDist().inv_cdf(power)
    return max(FEWEST_SEEDS, math.ceil((z * spread / effect) ** 2))


def settling(difference: Difference, per_seed: int) -> Settling:
    """How many games of the pair would settle it, going by what was seen.

    Args:
        difference: as observed.
        per_seed: games of the pair on each seed.
    """
    settled = difference.p_value < 1 - CONFIDENCE
    played = difference.seeds * per_seed
    if settled:
        return Settling(True, played, 0, POWER, "nothing: the difference is found already")
    if difference.mean == 0 or difference.spread is None:
        why = "no difference was seen" if difference.mean == 0 else "one seed shows no spread"
        return Settling(False, None, None, POWER, f"{why}: no number can be given")
    seeds = seeds_to_find(difference.mean, difference.spread)
    # What was seen did not suffice, so that as much again is not enough to say.
    games = max(seeds, difference.seeds + 1) * per_seed
    assumes = (
        f"the true difference is the one seen ({difference.mean:+.3f}), seeds differ as they "
        f"did (standard deviation {difference.spread:.3f}), and a two-sided test at "
        f"{1 - CONFIDENCE:.0%} shall find it with probability {POWER:.0%}"
    )
    return Settling(False, games, games - played, POWER, assumes)


def _difference(values: Sequence[float], interval: Interval | None) -> Difference:
    p_value, exact = sign_flip_test(values)
    return Difference(
        seeds=len(values),
        mean=fmean(values),
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        spread=stdev(values) if len(values) > 1 else None,
        p_value=p_value,
        exact=exact,
    )
