"""The learning curve of a run as a PNG."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SMOOTHING = 5
"""Iterations that a drawn metric is averaged over."""

LOOK_COSTS = "watch/judge_"
"""How metrics begin that tell what looks at a held-out measure asked of judges."""


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


def plot_run(path: Path, metrics: Sequence[Mapping[str, float]]) -> None:
    """Draw what a run logged: a panel for each kind of curve that there is.

    Args:
        path: PNG to write.
        metrics: one entry per iteration.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    logged = sorted({name for line in metrics for name in line})
    panels = [(panel, curves) for panel in _PANELS if (curves := _curves(panel, logged))] or [
        (_PANELS[0], {})
    ]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.8 * columns, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis, (panel, curves) in zip(axes, panels, strict=False):
        _draw_metrics(axis, metrics, curves, panel.title, panel.unit)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    figure.suptitle(
        f"Means over the last {SMOOTHING} iterations; points are single values", fontsize="medium"
    )
    figure.savefig(path, dpi=110)


class _Panel(NamedTuple):
    """Curves that share an axis; a name ends in ``/`` for all that begin so."""

    title: str
    unit: str
    names: tuple[str, ...]


_PANELS = (
    _Panel("Return by role", "return per seat", ("return/",)),
    _Panel("Self-play: who wins (no learning curve)", "share of games", ("win/",)),
    _Panel("Against past models", "share of points", ("pool/score",)),
    _Panel("Reward by component", "reward per seat", ("reward/",)),
    _Panel("Held-out measure", "", ("watch/",)),
    _Panel("Entropy of the model's own tokens", "nats per token", ("entropy",)),
    _Panel("How far the policy moved", "nats per token", ("policy/kl", "policy/approx_kl")),
    _Panel("Critic fit", "explained variance", ("critic/explained_variance",)),
    _Panel(
        "Health of the games",
        "share",
        (
            *("game/invalid_acts", "alarm/repeated_speeches", "filter/dropped"),
            *("game/unscored", "game/truncated_rows", "judge/failed"),
        ),
    ),
    _Panel("Length of the talk", "words", ("game/words_per_speech",)),
    _Panel(
        "Time of an iteration",
        "seconds",
        ("time/play", "time/score", "time/train", "time/save", "time/watch"),
    ),
)


def _curves(panel: _Panel, logged: Sequence[str]) -> dict[str, str]:
    """Metrics of a panel that were logged, and what its legend calls them."""
    found = [
        name
        for wanted in panel.names
        for name in logged
        if name == wanted or (wanted.endswith("/") and name.startswith(wanted))
        if not name.startswith(LOOK_COSTS)
    ]
    return {name: name.partition("/")[2] or name for name in found}


def is_sparse(iterations: Sequence[int]) -> bool:
    """Whether a metric is there only now and then: in every second iteration at most."""
    return not iterations or 2 * (len(iterations) - 1) <= iterations[-1] - iterations[0]


def smoothed(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Each value as the mean of it and those before it, at most :data:`SMOOTHING` in all."""
    values = [value for _, value in points]
    windows = [values[max(0, i + 1 - SMOOTHING) : i + 1] for i in range(len(values))]
    return [
        (iteration, sum(window) / len(window))
        for (iteration, _), window in zip(points, windows, strict=True)
    ]


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
    metrics: Sequence[Mapping[str, Any]],
    names: dict[str, str],
    title: str,
    unit: str,
) -> None:
    for name, label in names.items():
        known = [(line["iteration"], line[name]) for line in metrics if name in line]
        sparse = is_sparse([iteration for iteration, _ in known])
        drawn = known if sparse else smoothed(known)
        # A lone point makes no line, and a dollar sign would begin a formula.
        marker = "." if sparse or len(known) < SMOOTHING else ""
        text = label.replace("$", r"\$")
        axis.plot([x for x, _ in drawn], [y for _, y in drawn], marker=marker, label=text)
    axis.set(title=title, xlabel="iteration", ylabel=unit)
    if names:
        axis.legend(fontsize="small")
    axis.grid(alpha=0.3)
