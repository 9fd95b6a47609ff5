"""Shares, means and medians over games, with intervals that respect the games.

What happens inside one game hangs together: five villagers win or lose as one,
and votes follow each other. So the games are the sample, and what one game
gives is a cluster: intervals come from how games differ, not from how many
votes were counted.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import NormalDist, median
from typing import Literal, NamedTuple

from omar_envs.intervals import wilson

CONFIDENCE = 0.95
"""Coverage of every interval here."""

Kind = Literal["share", "mean", "median"]


class Definition(NamedTuple):
    """What a measure is: how it is estimated, and its meaning in a few words."""

    kind: Kind
    meaning: str


class Observation(NamedTuple):
    """What one event adds to a measure.

    Attributes:
        name: the measure.
        amount: hits of a share, or the value observed.
        weight: chances of a share, or what the value is divided by.
    """

    name: str
    amount: float
    weight: float = 1


class Estimate(NamedTuple):
    """One measure over some games.

    Attributes:
        kind: ``share`` (hits / chances), ``mean`` (amounts / weights) or ``median``.
        value: ``None`` without an observation.
        low, high: 95% interval; ``None`` for medians, for means of fewer than two
            games, and without an observation.
        n: chances of a share, else observations.
        games: games that gave at least one.
        hits: of the chances of a share; ``None`` for the other kinds.
    """

    kind: Kind
    value: float | None
    low: float | None
    high: float | None
    n: int
    games: int
    hits: int | None = None

    def __str__(self) -> str:
        """``61.2% [55.1, 67.0] of 240`` or ``0.12 [0.05, 0.19] (240)``; "–" without a value."""
        if self.value is None:
            return "–"
        if self.kind == "share":
            assert self.low is not None and self.high is not None
            return f"{self.value:.1%} [{100 * self.low:.1f}, {100 * self.high:.1f}] of {self.n}"
        interval = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.value:.2f}{interval} ({self.n})"


class _Game(NamedTuple):
    """What one game adds to one measure: sums, and the amounts themselves."""

    amount: float
    weight: float
    amounts: tuple[float, ...]


def estimate(
    games: Iterable[Iterable[Observation]], kind_of: Callable[[str], Kind]
) -> dict[str, Estimate]:
    """Estimate every measure that was observed, in the order in which they first were.

    With y_g and x_g the sums of amounts and weights in game g of G, every share
    and mean is R = Σ y_g / Σ x_g, whose variance as a ratio of sums over
    independent games is v = Σ (y_g − R x_g)² / (Σ x_g)² (Cochran 1977, Sampling
    Techniques, chapter 6).

    - Shares: Wilson's interval on R(1 − R) / v effective chances, as in
      :func:`omar_envs.intervals.paired_wilson`, but never on more than there were;
      on G where v is 0 and says nothing. One chance per game: plain Wilson.
    - Means: R ± 1.96 √(v G / (G − 1)), too narrow for a handful of games.

    Args:
        games: each game's observations. Amounts and weights of shares are
            integers, with 0 ≤ amount ≤ weight; other weights are positive.
        kind_of: kind of a measure, by name.
    """
    sums: dict[str, list[_Game]] = defaultdict(list)
    for observations in games:
        amounts: dict[str, list[float]] = defaultdict(list)
        weights: dict[str, float] = defaultdict(int)
        for name, amount, weight in observations:
            amounts[name].append(amount)
            weights[name] += weight
        for name, found in amounts.items():
            sums[name].append(_Game(sum(found), weights[name], tuple(found)))
    estimators = {"share": _share, "mean": _mean, "median": _median}
    return {name: estimators[kind_of(name)](group) for name, group in sums.items()}


def nothing(kind: Kind) -> Estimate:
    """The estimate of what was never observed."""
    return Estimate(kind, None, None, None, 0, 0, 0 if kind == "share" else None)


def _share(games: list[_Game]) -> Estimate:
    pairs = [(int(game.amount), int(game.weight)) for game in games if game.weight]
    hits = sum(hit for hit, _ in pairs)
    chances = sum(chance for _, chance in pairs)
    if not chances:
        return nothing("share")
    # In integers, so that games that agree have a spread of exactly 0.
    spread = sum((hit * chances - hits * chance) ** 2 for hit, chance in pairs)
    effective: float = len(pairs)
    if spread:
        effective = min(chances, hits * (chances - hits) * chances**2 / spread)
    value = hits / chances
    low, high = wilson(min(value * effective, effective), effective, CONFIDENCE)
    return Estimate("share", value, low, high, chances, len(pairs), hits)


def _mean(games: list[_Game]) -> Estimate:
    count = sum(len(game.amounts) for game in games)
    weight = math.fsum(game.weight for game in games)
    value = math.fsum(game.amount for game in games) / weight
    if len(games) < 2:
        return Estimate("mean", value, None, None, count, len(games))
    spread = math.fsum((game.amount - value * game.weight) ** 2 for game in games)
    error = math.sqrt(spread * len(games) / (len(games) - 1)) / weight
    reach = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * error
    return Estimate("mean", value, value - reach, value + reach, count, len(games))


def _median(games: list[_Game]) -> Estimate:
    values = [value for game in games for value in game.amounts]
    return Estimate("median", float(median(values)), None, None, len(values), len(games))
