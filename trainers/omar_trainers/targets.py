"""From values and rewards to what policy and critic are trained towards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from omar_trainers.advantages import hierarchical_advantages
from omar_trainers.baselines import RoleBaseline, token_gae
from omar_trainers.config import OMARConfig
from omar_trainers.critic import ValueEstimates
from omar_trainers.selfplay import RoundTensors


class Targets(NamedTuple):
    """Attributes:
    advantages: (B, T), 0 on tokens that are not the seat's own.
    returns: (B, T), what the critic should have said; all 0 without a critic.
    """

    advantages: Tensor
    returns: Tensor


def critic_targets(
    args: OMARConfig,
    tensors: RoundTensors,
    values: ValueEstimates,
    token_rewards: Tensor | None,
) -> Targets:
    """Targets by the estimator that ``args.advantage`` names, not whitened.

    Args:
        args: discounts and estimator; not ``rae``.
        tensors: the rows.
        values: of the critic.
        token_rewards: (B, T), or None.
    """
    bootstrap = torch.where(tensors.bootstrap, values.after_last, 0.0)
    if args.advantage == "token_gae":
        plain = token_gae(
            tensors.turn_rewards,
            values.before,
            tensors.turn_index,
            gamma=args.gamma_token,
            lam=args.lam_token,
            bootstrap=bootstrap,
            token_rewards=token_rewards,
        )
        return Targets(plain.advantages, plain.returns)
    result = hierarchical_advantages(
        tensors.turn_rewards,
        values.before,
        tensors.turn_index,
        gamma_turn=args.gamma_turn,
        lam_turn=args.lam_turn,
        gamma_token=args.gamma_token,
        lam_token=args.lam_token,
        bootstrap=bootstrap,
        token_rewards=token_rewards,
        pseudo_reward=args.pseudo_reward,
    )
    return Targets(result.advantages, result.returns)


def role_advantages(baseline: RoleBaseline, earned: Sequence[tuple[str, float]]) -> Tensor:
    """One advantage per row (B,), 0 for dummies; updates the running means.

    Args:
        baseline: running mean per role.
        earned: role and episode return of each row; the role is "" for a dummy.
    """
    present = [i for i, (role, _) in enumerate(earned) if role]
    result = torch.zeros(len(earned))
    result[present] = baseline.advantages(
        torch.tensor([earned[i][1] for i in present]), [earned[i][0] for i in present]
    )
    return result


def whitening(advantages: Tensor, mask: Tensor) -> Tensor:
    """Count, sum and sum of squares over own tokens (3,), to be added over processes."""
    kept = advantages.double() * mask
    return torch.stack([mask.sum().double(), kept.sum(), kept.square().sum()])


def apply_whitening(advantages: Tensor, mask: Tensor, sums: Tensor) -> Tensor:
    """Mean 0 and variance 1 over all own tokens that ``sums`` counted; 0 elsewhere."""
    count, total, squares = (float(part) for part in sums)
    mean = total / max(count, 1.0)
    deviation = max(squares / max(count, 1.0) - mean * mean, 0.0) ** 0.5
    return (advantages - mean) / (deviation + 1e-8) * mask
