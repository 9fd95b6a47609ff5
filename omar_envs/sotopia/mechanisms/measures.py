"""How good a result is for all, against everything that could have been.

Let u be the seats' points, d what they have without a deal, F all that is possible
(d included), each a vector over the seats, and g = u − d the gains.

- ``joint_share``: Σ u / max over F of Σ v (utilitarian efficiency).
- ``nash_product``: Π max(0, g) / max over F of Π max(0, v − d) (Nash 1950); 0 where that is 0.
- ``pareto_optimal``: 1 if no v in F has v ≥ u and v ≠ u, else 0.
- ``pareto_share``: 1 / the largest factor by which all gains could have grown together,
  max over F of min over seats with g > 0 of (v − d) / g, where nobody who gained nothing may
  lose (radial efficiency: Debreu 1951, Farrell 1957). 1 for every Pareto optimal deal; 0
  where nobody gains or anybody loses.

All lie in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

MAX_POSSIBLE = 100_000
"""The most that one scenario may enumerate."""

Points = NDArray[np.int64]


def compositions(total: int, parts: int) -> Points:
    """All ways to write ``total`` as an ordered sum of 2 or more whole numbers: (N, parts)."""
    ends = total + parts - 1
    bars = np.array(list(combinations(range(ends), parts - 1)))
    first, last = np.full((len(bars), 1), -1), np.full((len(bars), 1), ends)
    return np.diff(np.concatenate([first, bars, last], axis=1), axis=1) - 1


def measures(
    points: Sequence[float], possible: Points, disagreement: Sequence[int]
) -> dict[str, float]:
    """The four measures.

    Args:
        points: (seats,) what the seats have got.
        possible: (N, seats) points of every deal there could be.
        disagreement: (seats,) points without a deal.
    """
    base = np.asarray(disagreement, dtype=np.int64)
    got = np.asarray(points, dtype=np.int64)
    every = np.concatenate([possible, base[None]])
    gains, all_gains = got - base, every - base
    best_sum = int(every.sum(axis=1).max())
    products = np.maximum(all_gains, 0).astype(np.float64).prod(axis=1)
    product = float(np.maximum(gains, 0).astype(np.float64).prod())
    dominated = ((every >= got).all(axis=1) & (every > got).any(axis=1)).any()
    return {
        "joint_share": float(got.sum()) / best_sum if best_sum else 0.0,
        "nash_product": product / float(products.max()) if products.max() else 0.0,
        "pareto_optimal": 0.0 if dominated else 1.0,
        "pareto_share": _radial(gains, all_gains),
    }


def _radial(gains: Points, all_gains: Points) -> float:
    gaining = gains > 0
    if not gaining.any() or (gains < 0).any():
        return 0.0
    allowed = all_gains[(all_gains[:, ~gaining] >= 0).all(axis=1)]
    growth = (allowed[:, gaining] / gains[gaining]).min(axis=1).max()
    return float(1.0 / growth)
