"""Published rewards: overall scores and dimensions, in the three forms that they come in."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeGuard

from omar_envs.parsing import clean
from omar_envs.sotopia.published_rows import shown

OVERALL = "overall_score"

_RANGES = {
    "believability": (0, 10),
    "relationship": (-5, 5),
    "knowledge": (0, 10),
    "secret": (-10, 0),
    "social_rules": (-10, 0),
    "financial_and_material_benefits": (-5, 5),
    "goal": (0, 10),
}
"""Lowest and highest score of each dimension (arXiv 2310.11667, section 3)."""

_ROUNDING = 0.01


def read_reward(value: Any, warn: Callable[[str], None]) -> tuple[float | None, dict[str, float]]:
    """The overall score and the dimensions of one participant's published reward.

    Args:
        value: a number, an object of dimensions, or a pair of both.
        warn: told of whatever is odd about it.

    Returns:
        The overall score, ``None`` where there is none, and the score of each dimension.
    """
    total, scores = None, value
    if isinstance(value, list) and len(value) == 2:
        total, scores = value
    elif not isinstance(value, dict):
        total, scores = value, {}
    if not isinstance(scores, dict) or not all(map(_is_number, scores.values())):
        warn(f"{shown(value)} is no set of scores: left out")
        return None, {}
    dimensions = {clean(name): float(score) for name, score in scores.items() if name != OVERALL}
    for name, score in dimensions.items():
        least, most = _RANGES.get(name, (score, score))
        if not least <= score <= most:
            warn(f"{name} must be {least} to {most}, not {score:g}; it is kept")
    mean = math.fsum(dimensions.values()) / len(dimensions) if dimensions else None
    total = scores.get(OVERALL, total)
    if total is None:
        total = mean
    if not _is_number(total):
        warn(f"{shown(value)} is no score: left out")
        return None, dimensions
    if mean is not None and abs(total - mean) > _ROUNDING:
        told = f"the overall score {total:g} is not the mean of the others, {mean:.4g}"
        warn(f"{told}; it is kept")
    if not dimensions and total == 0:
        warn("0 without any dimension is a failed judgement: left out")
        return None, {}
    return float(total), dimensions


def _is_number(value: object) -> TypeGuard[float]:
    # The bound also keeps out NaN, infinities and integers too large for a float.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
