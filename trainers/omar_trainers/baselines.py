"""The plain estimators that the hierarchical one is compared with.

:func:`token_gae` has a critic but knows no turns. :class:`RoleBaseline` has no
critic: role-conditioned advantage estimation (RAE; SPIRAL, Liu et al., arXiv
2506.24119) subtracts a running mean of what the role has earned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from omar_trainers.advantages import hierarchical_advantages
from omar_trainers.turn_layout import (
    FLOATS,
    check_tensor,
    check_unit_interval,
    lay_out_turns,
    take,
)


class TokenAdvantages(NamedTuple):
    """What :func:`token_gae` returns, in the dtype of ``values``.

    Attributes:
        advantages: (B, T), exactly 0 where ``turn_index`` is -1.
        returns: (B, T), the critic's targets, exactly 0 where ``turn_index`` is -1.
    """

    advantages: Tensor
    returns: Tensor


@torch.no_grad()
def token_gae(
    turn_rewards: Tensor,
    values: Tensor,
    turn_index: Tensor,
    *,
    gamma: float,
    lam: float,
    num_turns: Tensor | None = None,
    bootstrap: Tensor | None = None,
    token_rewards: Tensor | None = None,
    keep_turn: Tensor | None = None,
) -> TokenAdvantages:
    """Plain GAE along a row's own tokens, as if they were one long turn.

    It takes what :func:`~omar_trainers.advantages.hierarchical_advantages` takes,
    and is that function with K = 1: R_k is paid at e_k, prompts between turns
    cost no time, and token rewards count towards everything before them. The
    reward of a silent turn is paid at the last own token before it; with none
    before it, no token could have earned it.

    Args:
        turn_rewards: (B, K), as there.
        values: (B, T), as there.
        turn_index: (B, T), as there.
        gamma: discount per own token, in [0, 1].
        lam: GAE's λ per own token, in [0, 1].
        num_turns: (B,), as there.
        bootstrap: (B,), as there.
        token_rewards: (B, T), as there.
        keep_turn: (B, K), as there: a dropped turn's tokens get advantage 0 and
            return V, and stay in the recursion.

    Returns:
        advantages (B, T) and returns (B, T).

    Raises:
        ValueError: as there.
    """
    check_unit_interval({"gamma": gamma, "lam": lam})
    layout = lay_out_turns(
        turn_rewards, values, turn_index, num_turns, bootstrap, token_rewards, keep_turn
    )
    batch, length = layout.values.shape
    number = torch.arange(turn_rewards.shape[1], device=values.device)  # (K,)
    paid = torch.where(number < layout.num_turns, layout.turn_rewards, 0.0)  # (B, K)
    rewards = paid.new_zeros(batch, length + 1).scatter_add(1, layout.turn_end, paid)[:, :length]
    if layout.token_rewards is not None:
        rewards = rewards + layout.token_rewards
    whole = hierarchical_advantages(
        values.new_zeros(batch, 1),
        layout.values,
        layout.exists.long() - 1,
        gamma_turn=gamma,
        lam_turn=1.0,
        gamma_token=gamma,
        lam_token=lam,
        bootstrap=layout.bootstrap.squeeze(1),
        token_rewards=rewards,
    )
    return TokenAdvantages(
        advantages=take(torch.where(layout.keep, whole.advantages, 0.0), layout.slot),
        returns=take(torch.where(layout.keep, whole.returns, layout.values), layout.slot),
    )


class RoleBaseline:
    """Role-conditioned advantages: R − b(role), with b a running mean of R.

    The critic-free mode. A row's advantage is one number for all of its own
    tokens. What hierarchical advantages would give with a constant baseline and
    a reward at the end only (γ_T = γ = 1) is this number times a geometric
    weight, so there is nothing to gain from turns without a critic.

    The mean is read before it is updated, so that no reward enters its own
    baseline; a role never seen has baseline 0. It is exponential with weight
    ``decay`` per reward and corrected for its short start, where SPIRAL's
    decays from 0. Each process has its own: give every process the rewards of
    all, in any order, to keep them equal.

    Args:
        decay: in [0, 1); 0.95 as in SPIRAL, about the last 20 rewards of a role.

    Raises:
        ValueError: ``decay`` outside [0, 1).
    """

    def __init__(self, decay: float = 0.95) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay is {decay}, but must lie in [0, 1)")
        self._decay = decay
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}

    @property
    def means(self) -> dict[str, float]:
        """The baseline of every role seen so far."""
        return {role: self._sums[role] / self._weights[role] for role in self._sums}

    @torch.no_grad()
    def advantages(self, rewards: Tensor, roles: Sequence[str]) -> Tensor:
        """Advantage of each row; then the rewards enter the means.

        Args:
            rewards: (B,), float32 or float64, each row's total reward.
            roles: B names, such as ``"seer"``; add the game's where there are several.

        Returns:
            (B,), dtype and device of ``rewards``.

        Raises:
            ValueError: a wrong shape or dtype, a number of roles that is not B, or
                a reward that is not finite (it would stay in the mean for good).
        """
        check_tensor("rewards", rewards, (None,), FLOATS)
        if len(roles) != len(rewards):
            raise ValueError(f"{len(roles)} roles for {len(rewards)} rewards: give one per row")
        if not bool(rewards.isfinite().all()):
            raise ValueError("rewards hold NaN or infinity: leave such rows out")
        means = self.means
        result = rewards - rewards.new_tensor([means.get(role, 0.0) for role in roles])
        by_role: dict[str, list[float]] = {}
        for role, reward in zip(roles, rewards.tolist(), strict=True):
            by_role.setdefault(role, []).append(reward)
        for role, earned in by_role.items():
            # The batch enters as so many equal rewards: its order means nothing.
            kept = self._decay ** len(earned)
            mean = sum(earned) / len(earned)
            self._sums[role] = kept * self._sums.get(role, 0.0) + (1.0 - kept) * mean
            self._weights[role] = kept * self._weights.get(role, 0.0) + (1.0 - kept)
        return result

    def state_dict(self) -> dict[str, tuple[float, float]]:
        """Weighted sum and weight per role, for a checkpoint."""
        return {role: (self._sums[role], self._weights[role]) for role in self._sums}

    def load_state_dict(self, state: Mapping[str, tuple[float, float]]) -> None:
        """Take over what :meth:`state_dict` gave."""
        self._sums = {role: total for role, (total, _) in state.items()}
        self._weights = {role: weight for role, (_, weight) in state.items()}
