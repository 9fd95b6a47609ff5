"""Confidence intervals for shares of games won."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, variance
from typing import NamedTuple

from omar_envs.errors import ConfigError


class Interval(NamedTuple):
    """Both ends of a confidence interval, inside [0, 1]."""

    low: float
    high: float


def wilson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion (Wilson 1927).

    Unlike ``p ± z·se`` it stays inside [0, 1] and is not empty when all or none
    of the trials succeeded. Without trials it is (0, 1): nothing is known.

    Args:
        successes: in [0, n]; a fraction where draws count half.
        n: number of independent trials; a fraction where it is an effective one.
        confidence: coverage, strictly between 0 and 1.

    Raises:
        ConfigError: an argument is out of its range.
    """
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence must lie strictly between 0 and 1, not {confidence}")
    if not 0 <= successes <= n:
        raise ConfigError(f"successes must lie in [0, n]; got {successes} of {n}")
    if n == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # Rounding must not leave the share itself outside its interval.
    low = min(share, max(0.0, (centre - spread) / scale))
    high = max(share, min(1.0, (centre + spread) / scale))
    return Interval(low, high)


def paired_wilson(
    scores: Sequence[float], trials_per_pair: int = 2, confidence: float = 0.95
) -> Interval:
    """Interval for the mean of scores that each average over dependent trials.

    Wilson's interval with the effective number of trials that the variance
    between pairs implies, ``p(1 - p) / (s² / n)`` (Korn and Graubard 1998, Survey
    Methodology 24). Trials of a pair may thus help or hurt each other: a seed
    that lets the same team win twice makes the interval narrower. Where all
    scores are equal the variance says nothing, and the trials count as they are.

    Args:
        scores: one per pair, each in [0, 1]; pairs are independent.
        trials_per_pair: how many games one score averages over.
        confidence: coverage, strictly between 0 and 1.

    Raises:
        ConfigError: an argument is out of its range.
    """
    if any(not 0.0 <= score <= 1.0 for score in scores):
        raise ConfigError("every score must lie in [0, 1]")
    pairs = len(scores)
    if pairs == 0:
        return wilson(0, 0, confidence)
    share = min(1.0, fmean(scores))
    between = variance(scores) / pairs if pairs > 1 else 0.0
    trials = float(pairs * trials_per_pair)
    effective = share * (1 - share) / between if between > 0 else trials
    return wilson(share * effective, effective, confidence)
