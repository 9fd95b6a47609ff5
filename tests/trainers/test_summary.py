"""The table at a run's end."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from omar_trainers.metrics import METRICS_FILE
from omar_trainers.shown.summary import (
    PLOT_FILE,
    SUMMARY_FILE,
    report,
    summarize,
    summary_markdown,
    window_of,
)

PNG = b"\x89PNG"


def line(iteration: int, **values: float) -> dict[str, float]:
    return {"iteration": iteration, "step": 2 * iteration, "time/iteration": 90.0} | values


def run_of(iterations: int) -> list[dict[str, float]]:
    return [
        line(i, entropy=float(i), **{"win/village": 0.5, "return/seer [x]": i / 10})
        for i in range(1, iterations + 1)
    ]


@pytest.mark.parametrize(
    ("iterations", "window", "first", "last"),
    [(1, 1, "1", "1"), (3, 1, "1", "3"), (8, 2, "1.5", "7.5"), (40, 5, "3", "38")],
)
def test_ends_are_means_over_a_quarter_of_the_run_at_most(
    iterations: int, window: int, first: str, last: str
) -> None:
    metrics = run_of(iterations)
    assert window_of(metrics) == window
    row = next(row for row in summarize(metrics) if row.label.startswith("entropy"))
    assert (row.first, row.last) == (first, last)


def test_only_what_was_logged_is_shown() -> None:
    labels = {row.label for row in summarize(run_of(4))}
    assert labels == {
        "return as seer [x]",
        "won by village",
        "entropy (nats per token)",
        "an iteration",
    }
    late = [line(1), line(2), line(3, **{"pool/score": 0.25}), line(4, **{"pool/score": 0.75})]
    row = next(row for row in summarize(late) if row.label == "points against past models")
    assert (row.first, row.last) == ("25.0%", "75.0%")


def test_each_metric_has_a_window_of_its_own() -> None:
    """What is looked at now and then is not averaged over half of all looks."""
    looks = [
        line(i, **({"watch/good": float(i), "watch/judge_calls": 2.0} if i % 10 == 1 else {}))
        for i in range(1, 41)
    ]
    rows = {row.label: row for row in summarize(looks)}
    assert (rows["held out: good"].first, rows["held out: good"].last) == ("1", "31")
    assert "held out: judge_calls" not in rows
    assert rows["judge calls per held-out game"].last == "2"
    assert "a quarter of its values" in summary_markdown(looks, "finished")
    assert "a quarter of its values" not in summary_markdown(run_of(40), "finished")


def test_report_writes_a_page_and_a_plot_and_shows_the_table(tmp_path: Path) -> None:
    metrics = [line(i, **{"alarm/iterations_beyond": float(i > 2)}) for i in range(1, 5)]
    metrics = [one | other for one, other in zip(metrics, run_of(4), strict=True)]
    (tmp_path / METRICS_FILE).write_text("".join(json.dumps(m) + "\n" for m in metrics))
    shown = io.StringIO()
    report(tmp_path, "interrupted", Console(file=shown, width=110))
    for text in (shown.getvalue(), (tmp_path / SUMMARY_FILE).read_text()):
        assert "4 iterations in 6 min 0 s: interrupted" in text
        assert "return as seer [x]" in text and "won by village" in text
        assert "Beyond an alarm's bound: 2 iterations" in text
    assert (tmp_path / PLOT_FILE).read_bytes().startswith(PNG)
    page = (tmp_path / SUMMARY_FILE).read_text()
    assert page == summary_markdown(metrics, "interrupted")
    for row in summarize(metrics):
        assert f"| {row.label} | {row.first} | {row.last} |" in page


def test_a_run_without_an_iteration_has_no_summary(tmp_path: Path) -> None:
    shown = io.StringIO()
    report(tmp_path, "interrupted", Console(file=shown))
    (tmp_path / METRICS_FILE).write_text("")
    report(tmp_path, "interrupted", Console(file=shown))
    assert shown.getvalue() == "" and not (tmp_path / SUMMARY_FILE).exists()
