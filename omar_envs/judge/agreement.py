"""How far judges agree on the same episodes: a panel's members, or samples of one judge."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from omar_envs.types import JudgeResult


class Agreement(NamedTuple):
    """Agreement on one dimension.

    Attributes:
        units: participants of episodes that at least two judgements scored.
        deviation: mean distance of a score from the mean of its unit's scores, in points;
            ``None`` without a unit.
        alpha: Krippendorff's alpha for interval data (Krippendorff 2011, Computing
            Krippendorff's Alpha-Reliability): 1 is full agreement, 0 what chance would
            give, below 0 is worse. ``None`` where all scores are the same, and it is
            undefined.
    """

    units: int
    deviation: float | None
    alpha: float | None


def agreement(groups: Iterable[Sequence[JudgeResult]]) -> dict[str, Agreement]:
    """Agreement on each dimension.

    Args:
        groups: for each episode, its judgements, as in ``Judgement.parts``. Those that
            are not ok say nothing.
    """
    units: dict[str, list[list[float]]] = defaultdict(list)
    for group in groups:
        tables = [result.scores for result in group if result.scores is not None]
        ratings: dict[tuple[str, str], list[float]] = defaultdict(list)
        for table in tables:
            for agent, row in table.items():
                for dimension, score in row.items():
                    ratings[dimension, agent].append(score)
        for (dimension, _), scores in ratings.items():
            units[dimension].extend([scores] if len(scores) > 1 else [])
    return {dimension: _agreement(found) for dimension, found in units.items()}


def _agreement(units: list[list[float]]) -> Agreement:
    if not units:
        return Agreement(0, None, None)
    deviations = [abs(score - fmean(unit)) for unit in units for score in unit]
    return Agreement(len(units), fmean(deviations), _alpha(units))


def _alpha(units: list[list[float]]) -> float | None:
    scores = [score for unit in units for score in unit]
    if min(scores) == max(scores):
        return None
    n = len(scores)
    # Sums of squared differences over ordered pairs: inside units, and over all.
    observed = math.fsum(_pairs(unit) / (len(unit) - 1) for unit in units) / n
    expected = _pairs(scores) / (n * (n - 1))
    return 1 - observed / expected


def _pairs(values: Sequence[float]) -> float:
    centre = fmean(values)
    return 2 * len(values) * math.fsum((value - centre) ** 2 for value in values)
