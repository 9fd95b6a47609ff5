"""The results of ``benchmarks.estimators`` that are there, by estimator and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import msgspec

from benchmarks.estimators_runs import (
    RunResult,
    StartFacts,
    VersusResult,
    read_trials,
    run_file,
    start_file,
    versus_file,
)
from benchmarks.estimators_settings import METHODS, Setting

REFERENCE = "hierarchical"
"""The estimator that the others are held against."""


@dataclass(frozen=True)
class Found:
    """What is there of a setting.

    Attributes:
        facts: of the start.
        trials: by estimator.
        runs: by estimator and seed; seeds that every estimator has.
        versus: by seed.
    """

    setting: Setting
    facts: StartFacts
    trials: dict[str, list[RunResult]]
    runs: dict[str, dict[int, RunResult]]
    versus: dict[int, VersusResult]

    @property
    def seeds(self) -> list[int]:
        """Seeds that every estimator has."""
        return sorted(self.runs[REFERENCE])

    def finals(self, method: str) -> dict[int, float]:
        """Score of the final model against the start, by seed."""
        return {seed: run.final.score.mean for seed, run in self.runs[method].items()}

    def areas(self, method: str) -> dict[int, float]:
        """Area under the curve, by seed."""
        return {seed: run.area for seed, run in self.runs[method].items()}

    def against_others(self, method: str) -> dict[int, float]:
        """Mean score against the other estimators' final models, by seed."""
        return {
            seed: fmean(against(result, method, other) for other in METHODS if other != method)
            for seed, result in self.versus.items()
        }


def find(out: Path, setting: Setting, seeds: Sequence[int]) -> Found | None:
    """Read what is there; ``None`` without a start.

    A seed that not every estimator has yet is left out: all stand on equal runs.
    """
    if not start_file(out, setting).exists():
        return None
    whole = [
        seed
        for seed in seeds
        if all(run_file(out, setting, method, seed).exists() for method in METHODS)
    ]
    return Found(
        setting,
        msgspec.json.decode(start_file(out, setting).read_bytes(), type=StartFacts),
        {method: read_trials(out, setting, method) for method in METHODS},
        {
            method: {
                seed: msgspec.json.decode(
                    run_file(out, setting, method, seed).read_bytes(), type=RunResult
                )
                for seed in whole
            }
            for method in METHODS
        },
        {
            seed: msgspec.json.decode(
                versus_file(out, setting, seed).read_bytes(), type=VersusResult
            )
            for seed in whole
            if versus_file(out, setting, seed).exists()
        },
    )


def against(result: VersusResult, method: str, other: str) -> float:
    """Score of one estimator's model against another's."""
    forward = result.scores.get(f"{method} {other}")
    return 1 - result.scores[f"{other} {method}"].mean if forward is None else forward.mean
