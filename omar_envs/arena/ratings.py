"""Strengths of more than two entrants, from every game that any two of them played."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from omar_envs.arena.libraries import needs
from omar_envs.arena.results import Rating
from omar_envs.arena.statistics import CONFIDENCE

Matrix = npt.NDArray[np.float64]

ELO_PER_NAT = 400 / math.log(10)
_RESAMPLES = 1000
_MOST_STEPS = 2000
_STILL = 1e-9


class Scored(NamedTuple):
    """One game: its seed's number, the two entrants, and A's score, 0 to 1."""

    block: int
    a: int
    b: int
    score: float


def ratings(
    names: Sequence[str], games: Sequence[Scored], *, nash: bool = False, seed: int = 0
) -> tuple[Rating, ...]:
    """Rate everyone.

    Args:
        names: of the entrants, by number.
        games: in the order in which they count for ``openskill``.
        nash: whether to give the Nash average, too.
        seed: of the bootstrap.

    Returns:
        strongest first.

    Raises:
        ConfigError: scipy or openskill is missing.
    """
    check()
    blocks = sorted({game.block for game in games})
    place = {block: number for number, block in enumerate(blocks)}
    wins = np.zeros((len(blocks), len(names), len(names)))
    for game in games:
        wins[place[game.block], game.a, game.b] += game.score
        wins[place[game.block], game.b, game.a] += 1 - game.score
    total = wins.sum(axis=0)
    strengths = bradley_terry(total)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(blocks), [1 / len(blocks)] * len(blocks), _RESAMPLES)
    drawn = bradley_terry(np.einsum("rb,bij->rij", counts, wins))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail], axis=0)
    skills = _openskill(len(names), games)
    weights: Sequence[float | None] = [None] * len(names)
    if nash:
        weights = [float(weight) for weight in nash_average(_log_odds(total))]
    found = [
        Rating(
            name=name,
            elo=ELO_PER_NAT * float(strengths[number]),
            low=ELO_PER_NAT * float(low[number]),
            high=ELO_PER_NAT * float(high[number]),
            mu=skills[number][0],
            sigma=skills[number][1],
            nash=weights[number],
        )
        for number, name in enumerate(names)
    ]
    return tuple(sorted(found, key=lambda rating: -rating.elo))


def check() -> None:
    """Make sure that the libraries are there.

    Raises:
        ConfigError: one is not.
    """
    needs("scipy", "arena")
    needs("openskill", "arena")


def bradley_terry(wins: Matrix) -> Matrix:
    """Strengths by maximum likelihood (Bradley and Terry 1952, Biometrika 39), in nats.

    i beats j with probability ``1 / (1 + exp(s_j − s_i))``; a draw is half a win to each.
    One more draw between any two who met keeps the strength of the unbeaten finite. The
    fit is Hunter's (2004, Annals of Statistics 32, equation 3), on many tables at once.

    Args:
        wins: (..., n, n), how often i beat j.

    Returns:
        (..., n) strengths with mean 0.
    """
    met = wins + wins.swapaxes(-1, -2)
    counted = wins + 0.5 * (met > 0)
    games = counted + counted.swapaxes(-1, -2)
    won = counted.sum(axis=-1)
    odds = np.ones_like(won)
    for _ in range(_MOST_STEPS):
        better = won / (games / (odds[..., :, None] + odds[..., None, :])).sum(axis=-1)
        better /= np.exp(np.log(better).mean(axis=-1, keepdims=True))
        moved = float(np.abs(np.log(better / odds)).max())
        odds = better
        if moved < _STILL:
            break
    strengths: Matrix = np.log(odds)
    return strengths


def nash_average(payoffs: Matrix) -> Matrix:
    """The maximum-entropy equilibrium of the game "choose an entrant" (Balduzzi et al. 2018).

    Copies of an entrant share its weight, and whoever is beaten by a mixture of others
    has none: unlike a mean over opponents, it cannot be raised by adding weak ones.

    Args:
        payoffs: (n, n), antisymmetric: what i gains against j.

    Returns:
        (n,) probabilities.
    """
    from scipy.optimize import linprog, minimize

    n = len(payoffs)
    # A mixture x that no entrant gains against: xᵀ A ≥ 0, x ≥ 0, Σ x = 1.
    solved = linprog(
        np.zeros(n),
        A_ub=-payoffs.T,
        b_ub=np.full(n, 1e-9),
        A_eq=np.ones((1, n)),
        b_eq=[1.0],
        bounds=[(0, 1)] * n,
    )
    start: Matrix = solved.x
    constraints: list[dict[str, Any]] = [
        {"type": "eq", "fun": lambda x: x.sum() - 1, "jac": lambda x: np.ones(n)},
        {"type": "ineq", "fun": lambda x: payoffs.T @ x + 1e-9, "jac": lambda x: payoffs.T},
    ]

    def negative_entropy(x: Matrix) -> float:
        inside = np.clip(x, 1e-12, None)
        return float((inside * np.log(inside)).sum())

    spread = minimize(
        negative_entropy,
        start,
        jac=lambda x: 1 + np.log(np.clip(x, 1e-12, None)),
        bounds=[(0, 1)] * n,
        constraints=constraints,
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    best = spread.x if spread.success and (payoffs.T @ spread.x).min() > -1e-6 else start
    kept = np.where(best < 1e-6, 0.0, best)
    averaged: Matrix = kept / kept.sum()
    return averaged


def _log_odds(wins: Matrix) -> Matrix:
    """Observed log-odds of i against j, with the one more draw; 0 where they never met."""
    counted = wins + 0.5 * ((wins + wins.T) > 0)
    odds = np.zeros_like(counted)
    met = counted > 0
    odds[met] = np.log(counted[met]) - np.log(counted.T[met])
    return odds


def _openskill(entrants: int, games: Sequence[Scored]) -> list[tuple[float, float]]:
    from openskill.models import BradleyTerryFull

    model = BradleyTerryFull()
    rated = [model.rating() for _ in range(entrants)]
    for game in games:
        # Places, the lower the better; equal ones are a draw.
        places = [1 - game.score, game.score]
        [[rated[game.a]], [rated[game.b]]] = model.rate(
            [[rated[game.a]], [rated[game.b]]], ranks=places
        )
    return [(float(rating.mu), float(rating.sigma)) for rating in rated]
