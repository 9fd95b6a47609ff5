"""A judge's scores as rewards: only a sound judgement pays."""

from __future__ import annotations

import asyncio
import inspect
import math
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from numbers import Real

import msgspec

from omar_envs.background import LoopThread
from omar_envs.types import Episode, Judge, JudgeResult

JUDGE = "judge"
"""Name of the reward component that a judge pays."""


class Judging:
    """Asks judges in the background while the block lasts; its end cancels what is open.

    Works inside a running event loop, too.
    """

    def __init__(self) -> None:
        self._thread: LoopThread | None = None

    def __enter__(self) -> Judging:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    def submit(self, judge: Judge, episode: Episode) -> Future[JudgeResult]:
        """Begin :func:`judged_one`."""
        if self._thread is None:
            self._thread = LoopThread()
        return self._thread.submit(judged_one(judge, episode))


def judged(judge: Judge, episodes: Sequence[Episode]) -> list[JudgeResult]:
    """Ask the judge of all episodes at once, and wait; :func:`judged_one` of each.

    Works inside a running event loop, too.
    """
    with Judging() as judging:
        return [asked.result() for asked in [judging.submit(judge, e) for e in episodes]]


async def judged_one(judge: Judge, episode: Episode) -> JudgeResult:
    """Ask the judge of one episode, and trust nothing that it says.

    What cannot be used comes back as failed, with the reason as its error. A judge
    that raises an exception, or returns no :class:`JudgeResult`, has broken its contract:
    it counts as failed, with a warning.

    Raises:
        CancelledError: this task itself is cancelled.
    """
    try:
        # By its annotation it is a coroutine; an ordinary method's result is taken, too.
        answer: object = judge.judge(episode)
        result = await answer if inspect.isawaitable(answer) else answer
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return _broken("the judge gave up: CancelledError")
    except (Exception, SystemExit) as error:
        return _broken(f"the judge raised {type(error).__name__}: {error}")
    if not isinstance(result, JudgeResult):
        return _broken(f"the judge returned a {type(result).__name__} instead of a JudgeResult")
    try:
        plain = msgspec.convert(msgspec.to_builtins(result, enc_hook=_as_float), JudgeResult)
    except (ValueError, TypeError, RecursionError) as error:
        return JudgeResult("failed", error=f"the judge's result is not of its type: {error}")
    if plain.status != "ok":
        return plain
    if problem := _problem(plain, episode):
        return JudgeResult(
            "failed",
            model=plain.model,
            rubric_version=plain.rubric_version,
            date=plain.date,
            error=problem,
        )
    return plain


def reward_of(result: JudgeResult, agent: str) -> float:
    """What a result of status ``ok`` is worth to the agent."""
    if result.rewards is not None:
        return float(result.rewards[agent])
    return mean_score(result, agent)


def mean_score(result: JudgeResult, agent: str) -> float:
    """Mean over dimensions of the agent's scores, in a result of status ``ok``."""
    scores = (result.scores or {})[agent].values()
    return math.fsum(scores) / len(scores)


def _broken(reason: str) -> JudgeResult:
    warnings.warn(f"{reason}; its component is left out", RuntimeWarning, stacklevel=3)
    return JudgeResult("failed", error=reason)


def _as_float(value: object) -> float:
    # Numbers of other libraries, such as NumPy's.
    if not isinstance(value, Real):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _problem(result: JudgeResult, episode: Episode) -> str:
    acts = Counter(turn.agent for turn in episode.turns)
    for seat in episode.seats:
        agent = seat.agent
        scores = (result.scores or {}).get(agent)
        if not scores:
            return f"the judge gave no scores for {agent}"
        for dimension, score in scores.items():
            if not math.isfinite(score):
                return f"the judge's score of {agent} for {dimension} is {score!r}"
        try:
            mean_score(result, agent)
        except OverflowError:
            return f"the judge's scores of {agent} are too large to be added up"
        if result.rewards is not None and not math.isfinite(result.rewards.get(agent, math.nan)):
            return f"the judge's reward of {agent} is {result.rewards.get(agent)!r}"
        if result.importances is not None:
            shares = result.importances.get(agent, ())
            if len(shares) != acts[agent]:
                return f"the judge weighed {len(shares)} acts of {agent}, which made {acts[agent]}"
            if not all(0 <= share <= 1 for share in shares):
                return f"the judge weighed the acts of {agent} as {shares!r}"
    return ""
