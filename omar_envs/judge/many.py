"""Many episodes, judged at once from ordinary code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from omar_envs.background import LoopThread
from omar_envs.judge.asking import one_run
from omar_envs.judge.results import DetailedJudge, Judgement
from omar_envs.judging import judged_one
from omar_envs.types import Episode, Judge

Progress = Callable[[int, Judgement], None]
"""Told an episode's number, from 0, and its judgement."""


def judge_all(
    judge: Judge,
    episodes: Sequence[Episode],
    progress: Progress | None = None,
    at_once: int = 64,
) -> list[Judgement]:
    """Judge episodes and wait; works inside a running event loop, too.

    Where the key, the model or the money is at fault, an endpoint is asked no more: the
    rest of its judgements have failed for the same reason.

    Args:
        judge: one judge, a panel, or a judge of one's own: what it gives is checked as an
            environment does.
        episodes: the judgements stand in their order.
        progress: called as they come, from another thread, one call at a time. What it
            raises ends the run.
        at_once: episodes in hand at a time.
    """
    thread = LoopThread()
    try:
        return thread.run(judge_each(judge, episodes, progress, at_once))
    finally:
        thread.stop()


async def judge_each(
    judge: Judge,
    episodes: Sequence[Episode],
    progress: Progress | None,
    at_once: int,
) -> list[Judgement]:
    """As :func:`judge_all`, on the running event loop."""
    slots = asyncio.Semaphore(at_once)

    async def one(number: int, episode: Episode) -> Judgement:
        async with slots:
            if isinstance(judge, DetailedJudge):
                done = await judge.judgement(episode)
            else:
                result = await judged_one(judge, episode)
                done = Judgement(result, (result,))
            if progress is not None:
                progress(number, done)
            return done

    with one_run():
        return await asyncio.gather(*(one(n, episode) for n, episode in enumerate(episodes)))
