"""How large advantages are, between turns and inside them, and for whom."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from omar_trainers.metrics import Mean
from omar_trainers.moments import Spread, gather_spreads
from omar_trainers.seat_rows import RowFacts


@torch.no_grad()
def advantage_means(
    advantages: Tensor, kept: Tensor, turn_index: Tensor, facts: Sequence[RowFacts]
) -> dict[str, Mean]:
    """What is logged of advantages before whitening, over the kept tokens.

    ``advantage/turn_std`` is the standard deviation of a token's turn's mean,
    ``advantage/token_std`` that of a token from its turn's mean; their squares add
    up to the variance of all. The first tells turns apart, the second tokens, and
    an estimator that gives a turn one number has 0 there.

    Args:
        advantages: (B, T).
        kept: (B, T) bool, own tokens that are learned from.
        turn_index: (B, T), -1 on other tokens.
        facts: of each row, for the mean of its role, ``advantage/<role>``.
    """
    advantages = torch.where(kept, advantages, 0.0).double()
    turn = torch.where(kept, turn_index, 0)
    zeros = advantages.new_zeros(len(advantages), int(turn.max()) + 1)
    sums = zeros.scatter_add(1, turn, advantages)  # (B, K)
    sizes = zeros.scatter_add(1, turn, kept.double())
    turn_mean = (sums / sizes.clamp(min=1.0)).gather(1, turn)  # (B, T)
    # Of all processes at once: a mean of their own deviations would leave out that
    # their means differ.
    spread = gather_spreads(
        {
            "turn": Spread.of(turn_mean[kept]),
            "token": Spread.of((advantages - turn_mean)[kept]),
        }
    )
    means = {"advantage/mean_abs": Mean(float(advantages.abs().sum()), float(kept.sum()))}
    for name, found in spread.items():
        if found.count:
            means[f"advantage/{name}_std"] = Mean(found.variance**0.5, 1)
    for role in dict.fromkeys(row.role for row in facts if not row.is_dummy):
        rows = torch.tensor([row.role == role for row in facts], device=kept.device)
        means[f"advantage/{role}"] = Mean(float(advantages[rows].sum()), float(kept[rows].sum()))
    return means
