"""The curves of ``benchmarks.estimators`` as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.estimators_found import REFERENCE, Found
from benchmarks.estimators_settings import METHODS
from benchmarks.estimators_statistics import mean_over_seeds


def plot_curves(path: Path, found: Sequence[Found]) -> None:
    """Draw each setting's mean curves, and its final scores seed by seed.

    Args:
        path: PNG to write.
        found: settings with at least one seed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2 * len(found)), layout="constrained")
    FigureCanvasAgg(figure)
    for row, one in zip(figure.subplots(len(found), 2, squeeze=False), found, strict=True):
        _draw_curves(row[0], one)
        _draw_finals(row[1], one)
    figure.savefig(path, dpi=110)


def _draw_curves(axis: Any, found: Found) -> None:
    shift = 0.004 * next(iter(found.runs[REFERENCE].values())).games
    for number, method in enumerate(METHODS):
        runs = list(found.runs[method].values())
        games = [0, *(games for games, _ in runs[0].curve)]
        means = [
            mean_over_seeds([run.curve[i][1].mean for run in runs])
            for i in range(len(runs[0].curve))
        ]
        heights = [0.5, *(mean.value for mean in means)]
        # Side by side, so that the bars can be told apart.
        places = [x + (number - 2) * shift for x in games]
        lines = axis.plot(places, heights, marker="o", markersize=3, label=method)
        if len(runs) > 1:
            half = [0.0, *(mean.value - mean.low for mean in means)]
            axis.errorbar(
                places,
                heights,
                yerr=half,
                fmt="none",
                capsize=2,
                alpha=0.5,
                color=lines[0].get_color(),
            )
    axis.axhline(0.5, color="0.5", linewidth=0.8)
    axis.set(
        title=f"{found.setting.name}: mean of {len(found.seeds)} seeds, Student's 95%",
        xlabel="training games",
        ylabel="score against the start",
    )
    axis.legend(fontsize="small")
    axis.grid(alpha=0.3)


def _draw_finals(axis: Any, found: Found) -> None:
    for number, method in enumerate(METHODS):
        finals = list(found.finals(method).values())
        color = f"C{number}"
        axis.plot([number] * len(finals), finals, "o", markersize=4, alpha=0.5, color=color)
        if len(finals) > 1:
            mean = mean_over_seeds(finals)
            axis.errorbar(
                [number + 0.2],
                [mean.value],
                yerr=[[mean.value - mean.low], [mean.high - mean.value]],
                fmt="s",
                capsize=4,
                color=color,
            )
    axis.axhline(0.5, color="0.5", linewidth=0.8)
    axis.set_xticks(range(len(METHODS)), METHODS, fontsize="small")
    axis.set(title=f"{found.setting.name}: final score of each seed, mean with 95%")
    axis.grid(alpha=0.3, axis="y")
