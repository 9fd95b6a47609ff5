"""A judge's scores as rewards: only a sound judgement pays."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from numbers import Real

import msgspec

from omar_envs.types import Episode, Judge, JudgeResult

JUDGE = "judge"
"""Name of the reward component that a judge pays."""


def judged(judge: Judge, episode: Episode) -> JudgeResult:
    """Ask the judge. What cannot be used comes back as failed, with the reason as its error.

    A judge that raises an exception has broken its contract: it counts as failed,
    with a warning.
    """
    try:
        result = judge.judge(episode)
    except Exception as error:
        reason = f"the judge raised {type(error).__name__}: {error}"
        warnings.warn(f"{reason}; its component is left out", RuntimeWarning, stacklevel=2)
        return JudgeResult("failed", error=reason)
    if result.status != "ok":
        return result
    problem = _problem(result, [seat.agent for seat in episode.seats])
    return msgspec.structs.replace(result, status="failed", error=problem) if problem else result


def mean_score(result: JudgeResult, agent: str) -> float:
    """Mean over dimensions of the agent's scores, in a result of status ``ok``."""
    scores = (result.scores or {})[agent].values()
    return math.fsum(scores) / len(scores)


def _problem(result: JudgeResult, agents: Sequence[str]) -> str:
    for agent in agents:
        scores = (result.scores or {}).get(agent)
        if not scores:
            return f"the judge gave no scores for {agent}"
        for dimension, score in scores.items():
            if not isinstance(score, Real) or not math.isfinite(score):
                return f"the judge's score of {agent} for {dimension} is {score!r}"
    return ""
