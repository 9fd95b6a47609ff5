"""Advantages shifted and scaled to mean 0 and variance 1, over all rows or by kind of row.

Comes last, after every estimator: only own tokens that are learned from enter the
statistics, and only they are moved. A dropped turn stays at exactly 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from omar_trainers.moments import Spread, gather_spreads
from omar_trainers.seat_rows import RowFacts

WhitenBy = Literal["all", "role", "team", "seat"]
"""What rows have in common that are whitened together."""


def kind_of(row: RowFacts, by: WhitenBy) -> str:
    """The name of the rows that ``row`` is whitened with."""
    return {"all": "all", "role": row.role, "team": row.team, "seat": row.agent}[by]


@torch.no_grad()
def whiten(advantages: Tensor, kept: Tensor, kinds: Sequence[str]) -> Tensor:
    """Whitened advantages (B, T), exactly 0 where not ``kept``.

    Every process has to call it, for the statistics are of the rows of all. A
    kind of fewer than two kept tokens, or of equal advantages, becomes 0.

    Args:
        advantages: (B, T), rows of this process.
        kept: (B, T) bool, own tokens that are learned from.
        kinds: of each row; rows of one kind are whitened together.
    """
    index = {kind: i for i, kind in enumerate(dict.fromkeys(kinds))}
    row_kind = torch.tensor([index[kind] for kind in kinds], device=kept.device)  # (B,)
    token_kind = torch.where(kept, row_kind[:, None], len(index))  # (B, T)
    spreads = gather_spreads(
        {kind: Spread.of(advantages[token_kind == i]) for kind, i in index.items()}
    )
    moments = [(spreads[kind].mean, _scale(spreads[kind])) for kind in index]
    mean, scale = advantages.new_tensor(moments).unbind(1)  # (kinds,)
    white = (advantages - mean[row_kind][:, None]) * scale[row_kind][:, None]
    return torch.where(kept, white, 0.0)


def _scale(spread: Spread) -> float:
    """1 over the standard deviation; 0 where nothing varies.

    Whether it does is asked of the numbers, not of a variance made of rounding.
    """
    if spread.count < 2 or spread.low == spread.high:
        return 0.0
    return 1.0 / (spread.variance**0.5 + 1e-8)
