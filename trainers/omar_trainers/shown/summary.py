"""What a run came to: a table and a plot of how it began and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from omar_trainers.metrics import METRICS_FILE
from omar_trainers.resuming.files import atomic_write
from omar_trainers.shown.plots import LOOK_COSTS, plot_run, read_metrics

SUMMARY_FILE = "summary.md"
PLOT_FILE = "learning.png"

WINDOW = 5
"""Values, at most, that either end of a run is averaged over."""

Metrics = Sequence[Mapping[str, float]]
"""Lines of ``metrics.jsonl``, one per iteration."""


class SummaryRow(NamedTuple):
    """One thing that was measured, at both ends of the run, ready to be shown.

    Attributes:
        group: heading above the row.
        label: what was measured.
        first, last: mean over the values at either end.
    """

    group: str
    label: str
    first: str
    last: str


class _Kind(NamedTuple):
    """Metrics that are shown alike; ``name`` ends in ``/`` for all that begin so."""

    group: str
    name: str
    label: str
    show: Callable[[float], str]


def _share(value: float) -> str:
    return f"{value:.1%}"


def _number(value: float) -> str:
    return f"{value:.3g}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _speed(value: float) -> str:
    return f"{value:,.0f}"


_KINDS = (
    _Kind("what was earned", "return/", "return as {}", _number),
    _Kind("what was earned", "team_return/", "return of team {}", _number),
    _Kind("what was earned", "reward/", "reward: {}", _number),
    _Kind("what was earned", "watch/", "held out: {}", _number),
    _Kind("who won", "win/", "won by {}", _share),
    _Kind("who won", "pool/score", "points against past models", _share),
    _Kind("the update", "entropy", "entropy (nats per token)", _number),
    _Kind("the update", "policy/kl", "KL to the start (nats per token)", _number),
    _Kind("the update", "policy/approx_kl", "KL to the sampling policy", _number),
    _Kind("the update", "policy/clip_ratio", "tokens clipped", _share),
    _Kind("the update", "critic/explained_variance", "critic's explained variance", _number),
    _Kind("the talk", "game/invalid_acts", "invalid acts", _share),
    _Kind("the talk", "alarm/repeated_speeches", "repeated speeches", _share),
    _Kind("the talk", "filter/dropped", "speeches filtered out", _share),
    _Kind("the talk", "game/words_per_speech", "words per speech", _number),
    _Kind("the talk", "row/turns", "turns per row", _number),
    _Kind("the talk", "row/tokens", "tokens per row", _number),
    _Kind("the talk", "game/unscored", "seats dropped, not scored", _share),
    _Kind("the talk", "game/truncated_rows", "rows cut by the context", _share),
    _Kind("the talk", "judge/failed", "judgements failed", _share),
    _Kind("the talk", "judge/calls", "judge calls per game", _number),
    _Kind("the talk", "judge/cost", "judge's cost per game", _number),
    _Kind("the talk", "watch/judge_calls", "judge calls per held-out game", _number),
    _Kind("the talk", "watch/judge_cost", "judge's cost per held-out game", _number),
    _Kind("speed", "play/tokens_per_second", "tokens sampled per second", _speed),
    _Kind("speed", "train/tokens_per_second", "tokens of rows trained on per second", _speed),
    _Kind("speed", "time/play", "playing", _seconds),
    _Kind("speed", "time/score", "scoring", _seconds),
    _Kind("speed", "time/train", "training", _seconds),
    _Kind("speed", "time/save", "saving", _seconds),
    _Kind("speed", "time/iteration", "an iteration", _seconds),
)


def window_of(values: Sequence[object]) -> int:
    """Values that either end is averaged over: a quarter of them, at most :data:`WINDOW`."""
    return max(1, min(WINDOW, len(values) // 4))


def summarize(metrics: Metrics) -> list[SummaryRow]:
    """What matters of a run, first and last; nothing for what was never logged."""
    logged = sorted(_all(metrics))
    rows = []
    for kind in _KINDS:
        for name in _names(kind.name, logged):
            values = [line[name] for line in metrics if name in line]
            window = window_of(values)
            ends = (values[:window], values[-window:])
            first, last = (kind.show(sum(end) / len(end)) for end in ends)
            label = kind.label.format(name.removeprefix(kind.name))
            rows.append(SummaryRow(kind.group, label, first, last))
    return rows


def report(output_dir: str | Path, status: str, console: Console) -> None:
    """Show how a run went, and write ``summary.md`` and ``learning.png`` beside its metrics.

    Does nothing if no iteration was finished.

    Args:
        output_dir: of the run.
        status: how it ended, in a few words.
        console: where the table is shown.

    Raises:
        OSError: the disk does not take the files.
    """
    folder = Path(output_dir)
    metrics = read_metrics(folder / METRICS_FILE) if (folder / METRICS_FILE).is_file() else []
    if not metrics:
        return
    with atomic_write(folder / SUMMARY_FILE) as file:
        file.write(summary_markdown(metrics, status).encode("utf-8"))
    plot_run(folder / PLOT_FILE, metrics)
    console.print(summary_table(metrics, status))
    console.print(_caption(metrics))
    console.print(f"Written to {folder}: {SUMMARY_FILE}, {PLOT_FILE}", markup=False)


def summary_table(metrics: Metrics, status: str) -> Table:
    """A run's summary for a terminal."""
    table = Table(title=_title(metrics, status))
    table.add_column("")
    for column in ("first", "last"):
        table.add_column(column, justify="right")
    group = ""
    for row in summarize(metrics):
        if row.group != group:
            group = row.group
            table.add_section()
            table.add_row(f"[bold]{group}[/]")
        table.add_row(_plain(row.label), row.first, row.last)
    return table


def summary_markdown(metrics: Metrics, status: str) -> str:
    """The same as Markdown."""
    lines = [f"# {_title(metrics, status)}", "", _caption(metrics)]
    group = ""
    for row in summarize(metrics):
        if row.group != group:
            group = row.group
            lines += ["", f"| {group} | first | last |", "|---|---:|---:|"]
        label = row.label.replace("|", "\\|")
        lines.append(f"| {label} | {row.first} | {row.last} |")
    return "\n".join([*lines, "", f"![learning curves]({PLOT_FILE})", ""])


def _title(metrics: Metrics, status: str) -> str:
    seconds = sum(line.get("time/iteration", 0.0) for line in metrics)
    return f"{len(metrics)} iterations in {_duration(seconds)}: {status}"


def _caption(metrics: Metrics) -> str:
    window = window_of(metrics)
    over = "one iteration" if window == 1 else f"the mean over {window} iterations"
    if window > 1 and any(sum(n in line for line in metrics) < len(metrics) for n in _all(metrics)):
        over += ", or over a quarter of its values for what not every iteration has"
    text = f"First and last are {over}; time and speed are per process."
    beyond = sum(line.get("alarm/iterations_beyond", 0.0) > 0 for line in metrics)
    return text + (f" Beyond an alarm's bound: {beyond} iterations." if beyond else "")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _all(metrics: Metrics) -> set[str]:
    return {name for line in metrics for name in line}


def _names(name: str, logged: Sequence[str]) -> Iterator[str]:
    if name.endswith("/"):
        yield from (o for o in logged if o.startswith(name) and not o.startswith(LOOK_COSTS))
    elif name in logged:
        yield name


def _plain(text: str) -> str:
    """Names come from games: square brackets in them are no markup."""
    return text.replace("[", "\\[")
