"""What a judge gives beside a plain :class:`~omar_envs.types.JudgeResult`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from omar_envs.types import Episode, JudgeResult, JudgeStatus


class Judgement(NamedTuple):
    """A result, and the results that it was made of: samples of one judge, or a panel's
    members."""

    result: JudgeResult
    parts: tuple[JudgeResult, ...]


class TurnQuality(msgspec.Struct, frozen=True):
    """Which acts of an episode are sound.

    Attributes:
        status: as in :class:`~omar_envs.types.JudgeResult`.
        keep: per agent, one truth value for each of its acts in order, false for those
            that are degenerate; ``None`` unless ``ok``.
        reasons: per agent, the judge's words on each act, "" for those that it was not
            asked about.
        model, rubric_version, date: what judged, and when (ISO 8601; "" if nothing was
            asked).
        error: why there is none, "" if ``ok``.
    """

    status: JudgeStatus
    keep: dict[str, tuple[bool, ...]] | None = None
    reasons: dict[str, tuple[str, ...]] | None = None
    model: str = ""
    rubric_version: str = ""
    date: str = ""
    error: str = ""


@runtime_checkable
class DetailedJudge(Protocol):
    """A judge that shows what its results are made of."""

    async def judgement(self, episode: Episode) -> Judgement:
        """Judge one episode. Failures are results, not exceptions."""
        ...


def failure_rate(results: Sequence[JudgeResult | TurnQuality]) -> float:
    """Share of the results that are failed or refused; 0 of none."""
    return sum(result.status != "ok" for result in results) / max(1, len(results))
