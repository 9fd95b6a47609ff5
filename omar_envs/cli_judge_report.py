"""What ``omar-envs judge`` tells of the judgements in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from omar_envs.judge import Judgement, agreement
from omar_envs.judge.agreement import Agreement
from omar_envs.judging import mean_score
from omar_envs.metering import Usage
from omar_envs.types import JudgeResult
from omar_envs.werewolf.estimates import Estimate, Observation, estimate

_KINDS_TOLD = 5
_LONGEST_REASON = 300


@dataclass(frozen=True)
class Report:
    """Judgements, one for each episode, and what they took.

    Attributes:
        judgements: in the order of the episodes.
        usages: what each judge was asked for in this run.
        before: judgements that stood in the file already.
    """

    judgements: Sequence[Judgement]
    usages: Sequence[Usage]
    before: int

    @cached_property
    def statuses(self) -> Counter[str]:
        """How many judgements are ``ok``, ``failed`` and ``refused``."""
        return Counter(each.result.status for each in self.judgements)

    @cached_property
    def reasons(self) -> Counter[str]:
        """Why judgements are not ``ok``, and how often."""
        results = (each.result for each in self.judgements)
        return Counter(result.error for result in results if result.status != "ok")

    @cached_property
    def scores(self) -> dict[str, Estimate]:
        """Mean of each dimension over participants, of sound judgements alone."""
        sound = [each.result for each in self.judgements if each.result.status == "ok"]
        return estimate((_observations(result) for result in sound), lambda name: "mean")

    @cached_property
    def agreement(self) -> dict[str, Agreement]:
        """How far judges, or samples of one, agree; empty where there is one alone."""
        if not any(len(each.parts) > 1 for each in self.judgements):
            return {}
        return agreement(each.parts for each in self.judgements)

    def text(self) -> str:
        """As Markdown."""
        parts = [self._statuses()]
        parts += [self._table()] * bool(self.scores)
        parts += [self._agreement()] * bool(self.agreement)
        return "\n\n".join([*parts, self._spent()])

    def summary(self) -> dict[str, Any]:
        """As plain JSON; failed judgements are counted apart and are in no mean."""
        return {
            "episodes": len(self.judgements),
            "judged_before": self.before,
            "statuses": {name: self.statuses[name] for name in ("ok", "failed", "refused")},
            "reasons": dict(self.reasons),
            "scores": {
                name: {
                    "mean": value.value,
                    "low": value.low,
                    "high": value.high,
                    "participants": value.n,
                }
                for name, value in self.scores.items()
            },
            "agreement": {name: value._asdict() for name, value in self.agreement.items()},
            "requests": sum(usage.requests for usage in self.usages),
            "requests_without_answer": sum(usage.failures for usage in self.usages),
            "prompt_tokens": sum(usage.prompt_tokens for usage in self.usages),
            "completion_tokens": sum(usage.completion_tokens for usage in self.usages),
            "cost": self._cost(),
        }

    def _statuses(self) -> str:
        lines = [
            f"{len(self.judgements)} episodes: {self.statuses['ok']} ok, "
            f"{self.statuses['failed']} failed, {self.statuses['refused']} refused"
        ]
        for reason, count in self.reasons.most_common(_KINDS_TOLD):
            lines.append(f"  {count} times: {reason[:_LONGEST_REASON]}")
        if len(self.reasons) > _KINDS_TOLD:
            lines.append(f"  and {len(self.reasons) - _KINDS_TOLD} more reasons, in the file")
        return "\n".join(lines)

    def _table(self) -> str:
        rows = ["| dimension | mean [95% interval] (participants) |", "|---|---|"]
        return "\n".join([*rows, *(f"| {name} | {value} |" for name, value in self.scores.items())])

    def _agreement(self) -> str:
        rows = [
            "| dimension | mean deviation | Krippendorff's alpha | participants |",
            "|---|---|---|---|",
        ]
        for name, (units, deviation, alpha) in self.agreement.items():
            rows.append(f"| {name} | {_number(deviation)} | {_number(alpha)} | {units} |")
        return "\n".join(rows)

    def _spent(self) -> str:
        told = self.summary()
        text = (
            f"{told['requests']} requests, {told['requests_without_answer']} of them without an "
            f"answer; {told['prompt_tokens']} prompt tokens, "
            f"{told['completion_tokens']} completion tokens"
        )
        cost = self._cost()
        return text if cost is None else f"{text}; cost {cost:.4f}"

    def _cost(self) -> float | None:
        costs = [usage.cost for usage in self.usages if usage.cost is not None]
        return sum(costs) if costs else None


def _observations(result: JudgeResult) -> Iterator[Observation]:
    for agent, row in (result.scores or {}).items():
        for name, score in row.items():
            yield Observation(name, score)
        yield Observation("overall (plain mean)", mean_score(result, agent))
    for reward in (result.rewards or {}).values():
        yield Observation("reward", reward)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
