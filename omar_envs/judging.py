"""A judge's scores as rewards: only a sound judgement pays."""

from __future__ import annotations

import asyncio
import inspect
import math
import warnings
from collections import Counter
from collections.abc import Sequence
from numbers import Real

import msgspec

from omar_envs.background import LoopThread
from omar_envs.types import Episode, Judge, JudgeResult

JUDGE = "judge"
"""Name of the reward component that a judge pays."""


def judged(judge: Judge, episodes: Sequence[Episode]) -> list[JudgeResult]:
    """Ask the judge of all episodes at once, and wait.

    What cannot be used comes back as failed, with the reason as its error. A judge
    that raises an exception has broken its contract: it counts as failed, with a
    warning. Works inside a running event loop, too.
    """

    async def all_of_them() -> list[JudgeResult]:
        return await asyncio.gather(*(_judged(judge, episode) for episode in episodes))

    thread = LoopThread()
    try:
        return thread.run(all_of_them())
    finally:
        thread.stop()


async def _judged(judge: Judge, episode: Episode) -> JudgeResult:
    try:
        answer = judge.judge(episode)
        result = await answer if inspect.isawaitable(answer) else answer
    except Exception as error:
        reason = f"the judge raised {type(error).__name__}: {error}"
        warnings.warn(f"{reason}; its component is left out", RuntimeWarning, stacklevel=2)
        return JudgeResult("failed", error=reason)
    if result.status != "ok":
        return result
    problem = _problem(result, episode)
    return msgspec.structs.replace(result, status="failed", error=problem) if problem else result


def reward_of(result: JudgeResult, agent: str) -> float:
    """What a result of status ``ok`` is worth to the agent."""
    if result.rewards is not None:
        return float(result.rewards[agent])
    return mean_score(result, agent)


def mean_score(result: JudgeResult, agent: str) -> float:
    """Mean over dimensions of the agent's scores, in a result of status ``ok``."""
    scores = (result.scores or {})[agent].values()
    return math.fsum(scores) / len(scores)


def _problem(result: JudgeResult, episode: Episode) -> str:
    acts = Counter(turn.agent for turn in episode.turns)
    for seat in episode.seats:
        agent = seat.agent
        scores = (result.scores or {}).get(agent)
        if not scores:
            return f"the judge gave no scores for {agent}"
        for dimension, score in scores.items():
            if not _is_number(score):
                return f"the judge's score of {agent} for {dimension} is {score!r}"
        if result.rewards is not None and not _is_number(result.rewards.get(agent)):
            return f"the judge's reward of {agent} is {result.rewards.get(agent)!r}"
        if result.importances is not None:
            shares = result.importances.get(agent, ())
            if len(shares) != acts[agent]:
                return f"the judge weighed {len(shares)} acts of {agent}, which made {acts[agent]}"
            if not all(_is_number(share) and 0 <= share <= 1 for share in shares):
                return f"the judge weighed the acts of {agent} as {shares!r}"
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
