"""Results as a picture: rates and differences, each with its interval."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from io import BytesIO
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from omar_envs.arena.libraries import needs
from omar_envs.arena.results import ArenaResult, Measures, Rate, Tournament
from omar_envs.terminal import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 150
_PANELS_ACROSS = 2
_LONGEST_NAME = 36
# Apart for colour-blind readers too (Okabe and Ito 2008); marks differ as well.
_COLOURS = ("#0072b2", "#d55e00", "#666666")
_MARKS = ("o", "s", "^")


class _Bar(NamedTuple):
    """A value with its interval, in one row of a panel."""

    value: float
    low: float
    high: float


class _Series(NamedTuple):
    label: str
    bars: dict[str, _Bar]


def png(found: Tournament) -> bytes:
    """The picture of a run.

    Raises:
        ConfigError: matplotlib is missing.
    """
    needs("matplotlib", "arena")
    from matplotlib.figure import Figure

    if len(found.entrants) > 2:
        figure = Figure(figsize=(10, 1.6 + 0.45 * len(found.entrants)), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
        _draw_ratings(left, found)
        _draw_cross_table(right, found)
    else:
        match = found.matches[0]
        panels = _panels(match)
        down = math.ceil(len(panels) / _PANELS_ACROSS)
        rows = max(len(_rows(series)) for _, series, _ in panels)
        size = (5 * min(len(panels), _PANELS_ACROSS), down * (1.9 + 0.4 * rows))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(down, min(len(panels), _PANELS_ACROSS), squeeze=False).flat
        for axes, panel in zip_longest(grid, panels):
            if panel is None:
                axes.axis("off")
            else:
                _draw(axes, *panel)
    figure.suptitle(f"{found.env}: {_games(found)}", fontsize=11)
    data = BytesIO()
    with warnings.catch_warnings():
        # A name in a script that the font does not have shows as boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(data, format="png", dpi=_DPI, metadata={"Software": None})
    return data.getvalue()


def _short(name: str) -> str:
    # The end of an address or a path says most. A dollar would begin a formula.
    name = printable(name)
    cut = name if len(name) <= _LONGEST_NAME else "…" + name[1 - _LONGEST_NAME :]
    return cut.replace("$", r"\$")


def _games(found: Tournament) -> str:
    count = sum(match.games for match in found.matches)
    return f"{count} games on {found.matches[0].score.seeds} seeds, 95% intervals"


def _panels(match: ArenaResult) -> list[tuple[str, list[_Series], float | None]]:
    names = [f"A: {_short(match.a.name)}", f"B: {_short(match.b.name)}", "control: B alone"]
    panels: list[tuple[str, list[_Series], float | None]] = []
    if match.has_teams:
        columns = [_of_rates(match.a.by_team), _of_rates(match.b.by_team), _of_rates(match.control)]
        for column, score in zip(columns, (match.score, match.score_of_b), strict=False):
            column["both teams"] = _Bar(score.mean, score.low, score.high)
        panels.append(("win rate", _series(names, columns), 0.5))
    else:
        sides = (match.a.rewards, match.b.rewards, match.control_rewards)
        panels.append(("mean reward", _series(names, [_of_measures(side) for side in sides]), None))
        sides = (match.a.outcomes, match.b.outcomes, match.control_outcomes)
        shares = [_of_measures(side, shares_only=True) for side in sides]
        if any(shares):
            panels.append(("computed outcome", _series(names, shares), None))
    difference = match.difference
    if difference is not None and difference.low is not None and difference.high is not None:
        what = "win rate" if match.has_teams else "mean reward"
        bar = _Bar(difference.mean, difference.low, difference.high)
        panels.append((f"A minus B\np = {difference.p_value:.2g}", [_Series("", {what: bar})], 0.0))
    for name, judged in match.judged.items():
        bars = {
            dimension.replace("_", " "): _Bar(found.mean, found.low, found.high)
            for dimension, found in judged.differences.items()
            if found.low is not None and found.high is not None
        }
        if bars:
            panels.append((f"A minus B, judged by {name}", [_Series("", bars)], 0.0))
    return panels


def _series(names: Sequence[str], columns: Sequence[dict[str, _Bar]]) -> list[_Series]:
    return [_Series(name, bars) for name, bars in zip(names, columns, strict=True) if bars]


def _of_rates(rates: dict[str, Rate]) -> dict[str, _Bar]:
    return {
        name: _Bar(rate.rate, rate.low, rate.high)
        for name, rate in rates.items()
        if rate.rate is not None
    }


def _of_measures(measures: Measures, *, shares_only: bool = False) -> dict[str, _Bar]:
    return {
        name: _Bar(found.value, found.low, found.high)
        for name, found in measures.items()
        if found.value is not None
        and found.low is not None
        and found.high is not None
        # Points are in units of their scenario.
        and not (shares_only and name.startswith("points"))
    }


def _rows(series: Sequence[_Series]) -> list[str]:
    return list(dict.fromkeys(name for each in series for name in each.bars))


def _draw(axes: Axes, title: str, series: Sequence[_Series], middle: float | None) -> None:
    rows = _rows(series)
    for number, (label, bars) in enumerate(series):
        shift = 0.18 * (number - (len(series) - 1) / 2)
        places = [rows.index(name) + shift for name in bars]
        _draw_bars(axes, places, list(bars.values()), number, label)
    if middle is not None:
        axes.axvline(middle, color="#999999", linewidth=1, linestyle=":")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    if any(label for label, _ in series):
        axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18))


def _draw_bars(
    axes: Axes, places: Sequence[float], bars: Sequence[_Bar], number: int, label: str
) -> None:
    # An interval about a share of 0 or 1 begins at it: rounding must not turn it round.
    reach: Any = [
        [max(0.0, bar.value - bar.low) for bar in bars],
        [max(0.0, bar.high - bar.value) for bar in bars],
    ]
    axes.errorbar(
        [bar.value for bar in bars],
        places,
        xerr=reach,
        fmt=_MARKS[number],
        color=_COLOURS[number],
        capsize=3,
        label=label or None,
    )


def _draw_ratings(axes: Axes, found: Tournament) -> None:
    bars = [_Bar(rating.elo, rating.low, rating.high) for rating in found.ratings]
    _draw_bars(axes, range(len(bars)), bars, 0, "")
    names = [f"{n}: {_short(rating.name)}" for n, rating in enumerate(found.ratings, start=1)]
    axes.set_yticks(range(len(bars)), names)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.axvline(0, color="#999999", linewidth=1, linestyle=":")
    axes.set_title("strength (Elo)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_cross_table(axes: Axes, found: Tournament) -> None:
    names = [rating.name for rating in found.ratings]
    scores = [
        [0.5 if a == b else found.score(a, b).mean for b in names]  # nobody meets itself
        for a in names
    ]
    axes.imshow(scores, cmap="RdBu", vmin=0, vmax=1, aspect="auto")
    for i, row in enumerate(scores):
        for j, score in enumerate(row):
            if i != j:
                colour = "white" if abs(score - 0.5) > 0.3 else "black"
                axes.text(j, i, f"{score:.2f}", ha="center", va="center", color=colour)
    numbers = [str(number) for number in range(1, len(names) + 1)]
    axes.set_xticks(range(len(names)), numbers)
    axes.set_yticks(range(len(names)), numbers)
    axes.set_title("score of the row against the column", fontsize=10)
