"""What scores are worth as a reward."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from omar_envs.judge.rubrics import Rubric

Scale = Literal["raw", "unit", "rubric"]
SCALES: tuple[Scale, ...] = ("raw", "unit", "rubric")


def rewards_of(
    scores: Mapping[str, Mapping[str, float]], rubric: Rubric, scale: Scale
) -> dict[str, float] | None:
    """Reward of each agent; ``None`` stands for the plain mean of its scores.

    ``raw`` is that plain mean, as SOTOPIA's overall score is of the seven dimensions.
    ``unit`` is Σ w (s − low) / (high − low) / Σ w, in [0, 1]. ``rubric`` is
    ``offset + factor · Σ w s / Σ w``.
    """
    if scale == "raw":
        return None
    return {agent: _reward(row, rubric, scale) for agent, row in scores.items()}


def _reward(row: Mapping[str, float], rubric: Rubric, scale: Scale) -> float:
    weight = math.fsum(dimension.weight for dimension in rubric.dimensions)
    if scale == "unit":
        places = (d.weight * (row[d.name] - d.low) / (d.high - d.low) for d in rubric.dimensions)
        return math.fsum(places) / weight
    mean = math.fsum(d.weight * row[d.name] for d in rubric.dimensions) / weight
    return rubric.offset + rubric.factor * mean
