"""Tables of ``benchmarks.smollm2_selfplay``, from the folders of its runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import msgspec

from omar_envs.arena import ArenaResult, Rate, Score
from omar_envs.werewolf.probes import PROBES

PLAN_FILE = "plan.json"
PAIRS = (("trained", "base"), ("trained", "cold"), ("cold", "base"), ("cold", "cold"))
"""In this order. The last one is the control: what the arena calls a difference where
there is none."""

PROBED_GAMES = 60
"""Of each model in every seat."""


class Plan(msgspec.Struct, frozen=True):
    """How a run learns."""

    device: str
    seed: int
    learning_rate: float
    iterations: int
    games: int
    """Per iteration."""

    @property
    def name(self) -> str:
        """A cell of a table."""
        return (
            f"{self.device} | {self.learning_rate:g} | {self.iterations} × {self.games} "
            f"| {self.seed}"
        )


class Match(msgspec.Struct, frozen=True):
    """One pair's games."""

    first: str
    second: str
    result: ArenaResult


class Run(NamedTuple):
    """What a folder holds: matches by pair, and hits and chances of each probe by model."""

    plan: Plan
    matches: dict[tuple[str, str], Match]
    probes: dict[str, dict[str, tuple[int, int]]]


def match_file(out: Path, first: str, second: str) -> Path:
    """Where a match is kept."""
    return out / f"match-{first}-{second}.json"


def probes_file(out: Path, name: str) -> Path:
    """Where a model's probes are kept."""
    return out / f"probes-{name}.json"


def read_run(out: Path) -> Run:
    """What there is so far; ends the program where there is no match yet."""
    matches = {
        pair: msgspec.json.decode(match_file(out, *pair).read_bytes(), type=Match)
        for pair in PAIRS
        if match_file(out, *pair).exists()
    }
    if not matches:
        sys.exit(f"{out} holds no results yet: run the command without --summary first")
    probes = {
        name: msgspec.json.decode(
            probes_file(out, name).read_bytes(), type=dict[str, tuple[int, int]]
        )
        for name in ("base", "cold", "trained")
        if probes_file(out, name).exists()
    }
    plan = msgspec.json.decode((out / PLAN_FILE).read_bytes(), type=Plan)
    return Run(plan, matches, probes)


def tables(runs: Sequence[Run]) -> str:
    """In Markdown."""
    lines = [
        "# SmolLM2-135M-Instruct, four-player Werewolf",
        "",
        "A cold start on scripted games, then self-play; the upper 10 of 30 layers learn. Every",
        "deal is played twice with the teams swapped; 95% intervals of an arena, over its deals. A",
        "score is the mean over both teams; a draw is half a win. Read a team's rate beside the",
        "other model's in the same team, for the teams are not equally strong. Runs of one device",
        "and seed of the cold start share it, and so its matches. Made by",
        "`python -m benchmarks.smollm2_selfplay`.",
    ]
    for pair in PAIRS:
        lines += ["", *_matches(pair, runs)]
    lines += ["", f"What the models do with the talk, {PROBED_GAMES} games of each in every seat:"]
    lines += ["", *_probes(runs)]
    return "\n".join(lines) + "\n"


def _matches(pair: tuple[str, str], runs: Sequence[Run]) -> Iterator[str]:
    first, second = pair
    yield f"## {first} : {second}"
    yield ""
    yield (
        "| device | learning rate | iterations × games | seed | arena games | score of the first "
        "| first as werewolf | second as werewolf | first as village | second as village |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    scores: dict[tuple[str, float], list[float]] = {}
    seen: list[ArenaResult] = []
    for run in runs:
        if pair not in run.matches or run.matches[pair].result in seen:
            continue
        result = run.matches[pair].result
        seen.append(result)
        a, b = result.a.by_team, result.b.by_team
        name = run.plan.name if first == "trained" else f"{run.plan.device} | | |"
        yield (
            f"| {name} | {result.games} | {_score(result.score)} "
            f"| {_rate(a['werewolf'])} | {_rate(b['werewolf'])} "
            f"| {_rate(a['village'])} | {_rate(b['village'])} |"
        )
        key = (run.plan.device, run.plan.learning_rate)
        scores.setdefault(key, []).append(result.score.mean)
    for (device, rate), found in scores.items():
        if len(found) > 1:
            mean = f"{fmean(found):.3f}"
            yield f"| {device} | {rate:g} | | mean of {len(found)} | | {mean} | | | | |"


def _probes(runs: Sequence[Run]) -> Iterator[str]:
    """The models before training of the first run that has them, then each trained one."""
    columns: list[tuple[str, dict[str, tuple[int, int]]]] = []
    for name in ("base", "cold"):
        known = [run.probes[name] for run in runs if name in run.probes]
        columns += [(name, found) for found in known[:1]]
    columns += [
        (f"{run.plan.device}, {run.plan.learning_rate:g}, {run.plan.seed}", run.probes["trained"])
        for run in runs
        if "trained" in run.probes
    ]
    yield f"| share of | {' | '.join(name for name, _ in columns)} |"
    yield "|---|" + "---|" * len(columns)
    for name, meaning in PROBES.items():
        yield f"| {meaning} | {' | '.join(_share(found[name]) for _, found in columns)} |"


def _score(score: Score) -> str:
    return f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]"


def _rate(rate: Rate) -> str:
    return "no games" if rate.rate is None else f"{rate.rate:.1%} [{rate.low:.1%}, {rate.high:.1%}]"


def _share(counts: tuple[int, int]) -> str:
    hits, chances = counts
    return "never" if not chances else f"{hits / chances:.0%} of {chances}"
