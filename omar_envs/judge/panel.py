"""Several judges as one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from statistics import fmean, median
from typing import Literal

from omar_envs.errors import ConfigError
from omar_envs.judge.many import Progress, judge_all
from omar_envs.judge.openai_judge import OpenAIJudge
from omar_envs.judge.results import Judgement
from omar_envs.judging import judged_one
from omar_envs.types import Episode, Judge, JudgeResult

Combine = Callable[[list[float]], float]
_COMBINE: dict[str, Combine] = {"mean": fmean, "median": median}


class PanelJudge:
    """Asks several judges, and combines their scores per participant and dimension.

    A member that failed or refused has no say, nor has one that raised an exception or
    returned what is no result. With fewer than ``quorum`` sound judgements the panel has
    failed: nobody's score is made up, and by default no episode is judged by another
    bench than the rest. :meth:`judgement` shows the members' own results, which
    :func:`omar_envs.judge.agreement` takes.

    Rewards and importances are means of the members', where all that have a say give
    them; else there are none.

    Args:
        judges: at least one; all score the same dimensions.
        combine: ``mean`` or ``median`` of the members' scores.
        quorum: how many sound judgements it takes; ``None`` is all.

    Raises:
        ConfigError: there is no judge, a setting is out of range, or judges at different
            addresses have one name: in a cache, and in what is told of the panel, one
            would pass for the other.
    """

    def __init__(
        self,
        judges: Sequence[Judge],
        *,
        combine: Literal["mean", "median"] = "mean",
        quorum: int | None = None,
    ) -> None:
        if not judges:
            raise ConfigError("a panel needs at least one judge")
        _check_names([judge for judge in judges if isinstance(judge, OpenAIJudge)])
        if combine not in _COMBINE:
            raise ConfigError(f"combine must be 'mean' or 'median': got {combine!r}")
        if quorum is not None and not 1 <= quorum <= len(judges):
            raise ConfigError(f"quorum must be from 1 to {len(judges)}, or None: got {quorum}")
        self._judges = tuple(judges)
        self._combine = _COMBINE[combine]
        self._quorum = len(judges) if quorum is None else quorum

    async def judge(self, episode: Episode) -> JudgeResult:
        """Judge one episode. Failures are results, not exceptions."""
        return (await self.judgement(episode)).result

    async def judgement(self, episode: Episode) -> Judgement:
        """Judge one episode, and show every member's result beside the panel's."""
        members = (judged_one(judge, episode) for judge in self._judges)
        parts = tuple(await asyncio.gather(*members))
        return Judgement(self._combined(parts), parts)

    def judge_many(
        self, episodes: Sequence[Episode], progress: Progress | None = None
    ) -> list[JudgeResult]:
        """Judge episodes and wait, as :meth:`OpenAIJudge.judge_many` does."""
        return [done.result for done in judge_all(self, episodes, progress)]

    def _combined(self, parts: Sequence[JudgeResult]) -> JudgeResult:
        sound = [part for part in parts if part.status == "ok"]
        model = " + ".join(part.model for part in parts)
        versions = " + ".join(dict.fromkeys(part.rubric_version for part in parts))
        if len(sound) < self._quorum:
            lost = [part for part in parts if part.status != "ok"]
            refused = all(part.status == "refused" for part in lost)
            return JudgeResult(
                "refused" if refused else "failed",
                model=model,
                rubric_version=versions,
                error=f"{len(sound)} of {len(parts)} judgements, quorum={self._quorum}: "
                + "; ".join(part.error for part in lost),
            )
        tables = [part.scores or {} for part in sound]
        if any(_shape(table) != _shape(tables[0]) for table in tables):
            return JudgeResult(
                "failed",
                model=model,
                rubric_version=versions,
                error="the members do not score the same participants and dimensions: give "
                "all of them one rubric",
            )
        return JudgeResult(
            "ok",
            scores={
                agent: {
                    name: self._combine([table[agent][name] for table in tables]) for name in row
                }
                for agent, row in tables[0].items()
            },
            reasons=_reasons(sound),
            model=model,
            rubric_version=versions,
            date=max(part.date for part in sound),
            rewards=_mean_rewards(sound),
            importances=_mean_importances(sound),
        )


def _check_names(judges: Sequence[OpenAIJudge]) -> None:
    addresses: dict[str, str] = {}
    for judge in judges:
        known = addresses.setdefault(judge.model, judge.url)
        if known != judge.url:
            raise ConfigError(
                f"two judges are called {judge.model!r}, at {known} and at {judge.url}: "
                "give each a name of its own"
            )


def _shape(table: dict[str, dict[str, float]]) -> dict[str, set[str]]:
    return {agent: set(row) for agent, row in table.items()}


def _reasons(parts: Sequence[JudgeResult]) -> dict[str, dict[str, str]]:
    return {
        agent: {
            name: " | ".join(
                f"{part.model}: {(part.reasons or {}).get(agent, {}).get(name, '')}"
                for part in parts
            )
            for name in row
        }
        for agent, row in (parts[0].scores or {}).items()
    }


def _mean_rewards(parts: Sequence[JudgeResult]) -> dict[str, float] | None:
    given = [part.rewards for part in parts if part.rewards is not None]
    if len(given) < len(parts):
        return None
    return {agent: fmean(each[agent] for each in given) for agent in given[0]}


def _mean_importances(parts: Sequence[JudgeResult]) -> dict[str, tuple[float, ...]] | None:
    given = [part.importances for part in parts if part.importances is not None]
    if len(given) < len(parts):
        return None
    return {
        agent: tuple(fmean(shares) for shares in zip(*(each[agent] for each in given), strict=True))
        for agent in given[0]
    }
