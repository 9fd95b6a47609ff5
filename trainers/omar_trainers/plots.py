"""The learning curve of a run as a PNG."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

SMOOTHING = 5
"""Iterations that a drawn metric is averaged over."""


class ArenaPoint(NamedTuple):
    """Score of a snapshot against the start: a share of wins in [0, 1] with its interval."""

    iteration: int
    mean: float
    low: float
    high: float


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def plot_learning(
    path: Path,
    metrics: Sequence[dict[str, Any]],
    points: Sequence[ArenaPoint],
    control: ArenaPoint,
) -> None:
    """Draw score against the start, self-play's balance, entropy and critic fit.

    Args:
        path: PNG to write.
        metrics: one entry per iteration.
        points: snapshots in the arena against the start.
        control: the start against itself, in the same arena.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    _draw_arena(axes[0, 0], points, control)
    _draw_metrics(
        axes[0, 1],
        metrics,
        {"win/village": "village", "win/werewolf": "werewolves"},
        "Self-play: who wins (no learning curve)",
        "share of games",
    )
    _draw_metrics(
        axes[1, 0],
        metrics,
        {"entropy": "policy entropy"},
        "Entropy of the model's own tokens",
        "nats per token",
    )
    _draw_metrics(
        axes[1, 1],
        metrics,
        {"critic/explained_variance": "explained variance", "game/invalid_acts": "invalid acts"},
        "Critic fit and invalid acts",
        "share",
    )
    figure.savefig(path, dpi=120)


def _draw_arena(axis: Any, points: Sequence[ArenaPoint], control: ArenaPoint) -> None:
    last = max((point.iteration for point in points), default=1)
    axis.fill_between(
        [0, last], control.low, control.high, color="0.85", label="start against start, 95%"
    )
    axis.axhline(0.5, color="0.5", linewidth=0.8)
    axis.errorbar(
        [point.iteration for point in points],
        [point.mean for point in points],
        yerr=[
            [point.mean - point.low for point in points],
            [point.high - point.mean for point in points],
        ],
        marker="o",
        capsize=3,
        color="tab:blue",
        label="trained against start, 95%",
    )
    axis.set(
        title="Trained against start, both teams, seats rotated",
        xlabel="iteration",
        ylabel="share of games won",
    )
    axis.margins(y=0.25)  # room for the legend above the intervals
    axis.legend(fontsize="small", loc="upper left")
    axis.grid(alpha=0.3)


def _draw_metrics(
    axis: Any,
    metrics: Sequence[dict[str, Any]],
    names: dict[str, str],
    title: str,
    unit: str,
) -> None:
    for name, label in names.items():
        known = [(line["iteration"], line[name]) for line in metrics if name in line]
        smooth = [
            sum(value for _, value in known[max(0, i + 1 - SMOOTHING) : i + 1])
            / len(known[max(0, i + 1 - SMOOTHING) : i + 1])
            for i in range(len(known))
        ]
        axis.plot([iteration for iteration, _ in known], smooth, label=label)
    axis.set(title=title, xlabel="iteration", ylabel=unit)
    axis.legend(fontsize="small")
    axis.grid(alpha=0.3)
