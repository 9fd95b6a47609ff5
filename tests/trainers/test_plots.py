"""Curves of a run, whatever it logged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.image import imread

from omar_trainers.shown.plots import is_sparse, plot_run, read_metrics, smoothed


@pytest.mark.parametrize(
    ("logged", "columns", "rows"),
    [
        ([], 1, 1),
        (["return/a_$x_"], 1, 1),
        (["return/a", "win/a", "entropy", "time/play"], 3, 2),
        (["return/a", "return/b", "win/a", "win/b"], 2, 1),
    ],
)
def test_there_is_a_panel_for_each_kind_of_curve(
    tmp_path: Path, logged: list[str], columns: int, rows: int
) -> None:
    metrics = [{"iteration": i, "other": 1.0} | dict.fromkeys(logged, i / 9) for i in range(1, 9)]
    plot_run(tmp_path / "run.png", metrics)
    height, width = imread(tmp_path / "run.png").shape[:2]
    # A panel is 4.8 by 3.4 inches of 110 dots.
    assert (round(width / 528), round(height / 374)) == (columns, rows)


def test_a_metric_that_began_late_and_a_single_iteration_are_drawn(tmp_path: Path) -> None:
    lines = [{"iteration": 1, "entropy": 1.0}, {"iteration": 2, "entropy": 0.5, "watch/x": 1.0}]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    plot_run(tmp_path / "two.png", read_metrics(path))
    plot_run(tmp_path / "one.png", read_metrics(path)[:1])
    blank = imread(tmp_path / "one.png")
    assert blank.min() < 1.0
    assert imread(tmp_path / "two.png").shape[1] == 2 * blank.shape[1]


def test_what_is_there_now_and_then_is_not_smoothed() -> None:
    assert is_sparse([1]) and is_sparse([1, 11, 21]) and is_sparse([1, 3, 5])
    assert not is_sparse([1, 2, 3]) and not is_sparse([5, 6, 7, 9])
    points = [(i, float(i)) for i in range(1, 8)]
    assert smoothed(points)[-1] == (7, 5.0) and smoothed(points)[1] == (2, 1.5)
