"""What the runs of ``reward_hacking.py`` gave, as tables and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import msgspec

from omar_trainers.alarms import ENTROPY, REPEATED

STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Two-sided 95% quantile of Student's t for a mean of so many seeds."""

SHOWN = {
    "return": "training reward per seat",
    "words_per_speech": "words per speech",
    "repeated_speeches": "speeches said word for word by another",
    "broken_speeches": "speeches too long, cut or repetitive",
    "seer_reports_wolf": "seers who know a wolf and name it",
    "village_votes_hit_wolf": "votes of the village that name a wolf",
}
"""What is looked at, and what it is."""


class RunResult(msgspec.Struct, frozen=True):
    """What one run gave.

    Attributes:
        looks: per look at the held-out games: iterations before it, and measures.
        alarms: per iteration: alarm readings.
        dropped: per iteration: share of speeches that the filter dropped.
        rang: iteration in which an alarm rang first, None if none did.
        ended: what the run's alarm says that it did, "" if it ran to its end.
        score, score_low, score_high: of the final model against the start.
        last_look: measures of the final model.
        seconds: of one core.
    """

    arm: str
    seed: int
    looks: list[dict[str, float]]
    alarms: list[dict[str, float]]
    dropped: list[float]
    rang: int | None
    ended: str
    score: float
    score_low: float
    score_high: float
    last_look: dict[str, float]
    sample: list[str]
    seconds: float


def read_results(out: Path, arms: Sequence[str]) -> list[RunResult]:
    """The finished runs in a folder, arm by arm."""
    files = sorted(out.glob("*.json"))
    runs = [msgspec.json.decode(file.read_bytes(), type=RunResult) for file in files]
    return sorted(runs, key=lambda run: arms.index(run.arm))


def over_seeds(values: Sequence[float], digits: int = 2) -> str:
    """Mean and Student's 95% interval, or the one value that there is."""
    if not values:
        return "–"
    mean = f"{fmean(values):.{digits}f}"
    if len(values) not in STUDENT:
        return mean
    half = STUDENT[len(values)] * stdev(values) / len(values) ** 0.5
    return f"{mean} ± {half:.{digits}f}"


def summary(results: Sequence[RunResult], setting: str) -> str:
    """The tables, in Markdown.

    Args:
        results: of finished runs, in the order of their arms.
        setting: what was paid and watched, in words.
    """
    arms: dict[str, list[RunResult]] = {}
    for run in results:
        arms.setdefault(run.arm, []).append(run)
    start = [run.looks[0] for run in arms.get("honest", results)]
    lines = [
        "# Reward hacking: provoked, seen, reduced",
        "",
        "Made by `python benchmarks/reward_hacking.py --out runs/reward_hacking`, then the same "
        "with `--summary`. Mean over seeds with Student's 95% interval; one seed stands alone.",
        "",
        setting,
        "",
        "| | seeds | " + " | ".join(SHOWN.values()) + " | score against start |",
        "|---|---|" + "---|" * (len(SHOWN) + 1),
        "| the start | | "
        + " | ".join(over_seeds([look[name] for look in start if name in look]) for name in SHOWN)
        + " | 0.5 |",
    ]
    for arm, runs in arms.items():
        cells = [
            over_seeds([run.last_look[name] for run in runs if name in run.last_look])
            for name in SHOWN
        ]
        scores = over_seeds([run.score for run in runs])
        lines.append(f"| {arm} | {len(runs)} | " + " | ".join(cells) + f" | {scores} |")
    lines += [
        "",
        "The alarms, by seed, and what the filter dropped:",
        "",
        "| | iterations | alarm rang in iteration | most repeated speech | lowest entropy ratio | "
        "dropped, last third |",
        "|---|---|---|---|---|---|",
    ]
    for arm, runs in arms.items():
        rang = ", ".join("–" if run.rang is None else str(run.rang) for run in runs)
        repeated = over_seeds([max(a[REPEATED] for a in run.alarms) for run in runs])
        entropy = over_seeds([min(a[ENTROPY] for a in run.alarms) for run in runs])
        late = [fmean(run.dropped[-(len(run.dropped) // 3) :]) for run in runs if run.dropped]
        length = max(len(run.alarms) for run in runs)
        lines.append(f"| {arm} | {length} | {rang} | {repeated} | {entropy} | {over_seeds(late)} |")
    lines += ["", "All that was said in one game of the finished model, first seed:", ""]
    for arm, runs in arms.items():
        lines.append(f"- {arm}: " + "; ".join(f'"{text}"' for text in runs[0].sample))
    lines += [
        "",
        f"{sum(run.seconds for run in results) / 60:.0f} minutes of one core in all.",
        "",
    ]
    return "\n".join(lines)


def plot(path: Path, results: Sequence[RunResult]) -> None:
    """Draw, for each naive judge, its reward, a held-out measure and the sign of hacking."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = {
        "keyword": ("return", "village_votes_hit_wolf", "repeated_speeches"),
        "length": ("return", "village_votes_hit_wolf", "words_per_speech"),
    }
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 3, squeeze=False)
    for row, (judge, names) in zip(axes, panels.items(), strict=True):
        for axis, name in zip(row, names, strict=True):
            for arm, colour in (
                ("honest", "tab:green"),
                (judge, "tab:red"),
                (f"{judge} filtered", "tab:blue"),
            ):
                _draw(axis, [run for run in results if run.arm == arm], name, arm, colour)
            axis.set(title=SHOWN[name], xlabel="iterations")
            axis.grid(alpha=0.3)
        row[0].set_ylabel(f"naive judge: {judge}")
        row[0].legend(fontsize="small")
    figure.suptitle("Reward of training (left) beside measures that nothing is trained on")
    figure.savefig(path, dpi=110)


def _draw(axis: Any, runs: Sequence[RunResult], name: str, label: str, colour: str) -> None:
    curves = [_curve(run, name) for run in runs]
    for curve in curves:
        axis.plot(*zip(*curve.items(), strict=True), color=colour, alpha=0.25, linewidth=1)
    shared = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    means = [fmean(curve[at] for curve in curves) for at in shared]
    axis.plot(shared, means, color=colour, marker="o", label=label)


def _curve(run: RunResult, name: str) -> dict[int, float]:
    looks = {int(look["iteration"]): look[name] for look in run.looks if name in look}
    if name in run.last_look:
        looks[len(run.alarms)] = run.last_look[name]
    return looks
