"""The plain estimators that the hierarchical one is compared with.

:func:`token_gae` has a critic but knows no turns, :func:`turn_gae` knows nothing
below turns. :class:`RoleBaseline` and :func:`group_advantages` have no critic:
role-conditioned advantage estimation (RAE; SPIRAL, Liu et al., arXiv 2506.24119)
subtracts a running mean of what the role has earned, GRPO (Shao et al., arXiv
2402.03300) the mean of the rows that answer the same prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from omar_trainers.advantages import hierarchical_advantages
from omar_trainers.turn_layout import (
    FLOATS,
    check_tensor,
    check_unit_interval,
    lay_out_turns,
    take,
)

GROUP_EPSILON = 1e-4
"""Added to a group's standard deviation, as in TRL's GRPO."""


class TokenAdvantages(NamedTuple):
    """What :func:`token_gae` and :func:`turn_gae` return, in the dtype of ``values``.

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


@torch.no_grad()
def turn_gae(
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
    """GAE over turns: a turn is one action, and its tokens share one advantage.

    With V_k the value of the state in which turn k's *first* token is chosen::

        δ_k = R_k + γ·V_{k+1} − V_k,   A_k = δ_k + γ·λ·A_{k+1}

    Read later in the turn, the baseline would depend on the action. A silent
    turn takes part with the V_k of the turn before it, or 0 where there is none.
    After the last turn V is the bootstrap value. All tokens of turn k get
    advantage A_k and return A_k + V_k.

    It takes what :func:`~omar_trainers.advantages.hierarchical_advantages` takes,
    and is that function on the first token of each turn.

    Args:
        turn_rewards: (B, K), as there.
        values: (B, T), as there.
        turn_index: (B, T), as there.
        gamma: discount per turn, in [0, 1].
        lam: GAE's λ per turn, in [0, 1].
        num_turns: (B,), as there.
        bootstrap: (B,), as there.
        token_rewards: (B, T); those of a turn's tokens are added to R_k, for the
            turn has no inside in which they could act.
        keep_turn: (B, K), as there: a dropped turn's tokens get advantage 0 and
            return V (each its own), and the turn stays in the recursion.

    Returns:
        advantages (B, T) and returns (B, T).

    Raises:
        ValueError: as there.
    """
    check_unit_interval({"gamma": gamma, "lam": lam})
    layout = lay_out_turns(
        turn_rewards, values, turn_index, num_turns, bootstrap, token_rewards, keep_turn
    )
    rewards = layout.turn_rewards
    if layout.token_rewards is not None:
        within = torch.where(layout.exists, layout.token_rewards, 0.0)
        rewards = pad(rewards, (0, 1)).scatter_add(1, layout.turn, within)[:, :-1]
    before = pad(layout.turn, (1, 0), value=-1)[:, :-1]
    is_start = layout.exists & (layout.turn != before)  # (B, L)
    turn_advantages = hierarchical_advantages(
        rewards,
        layout.values,
        torch.where(is_start, layout.turn, -1),
        gamma_turn=gamma,
        lam_turn=lam,
        gamma_token=1.0,
        lam_token=1.0,
        num_turns=layout.num_turns.squeeze(1),
        bootstrap=layout.bootstrap.squeeze(1),
    ).turn_advantages
    start_values = pad(torch.zeros_like(rewards), (0, 1)).scatter_add(
        1, layout.turn, torch.where(is_start, layout.values, 0.0)
    )[:, :-1]  # (B, K)
    advantages = torch.where(layout.keep, take(turn_advantages, layout.turn), 0.0)
    returns = torch.where(
        layout.keep, take(turn_advantages + start_values, layout.turn), layout.values
    )
    return TokenAdvantages(take(advantages, layout.slot), take(returns, layout.slot))


@torch.no_grad()
def group_advantages(rewards: Tensor, present: Tensor, group_size: int) -> Tensor:
    """GRPO: a row's reward minus its group's mean, over the group's standard deviation.

    In self-play a group is all seats of all episodes of one scenario, so that its
    mean mixes roles: where the game is zero-sum it says nothing of how well a role
    can do.

    Args:
        rewards: (B,), float32 or float64, each row's total reward; a group is
            ``group_size`` consecutive rows.
        present: (B,) bool; the others enter no mean, whatever their reward.
        group_size: rows per group, which divides B.

    Returns:
        (B,), dtype and device of ``rewards``; exactly 0 where not ``present``, and
        in groups of fewer than two such rows or of equal rewards.

    Raises:
        ValueError: a wrong shape or dtype, or a B that is no multiple of the size.
    """
    check_tensor("rewards", rewards, (None,), FLOATS)
    check_tensor("present", present, rewards.shape, (torch.bool,), rewards.device)
    if group_size < 1 or len(rewards) % group_size:
        raise ValueError(f"{len(rewards)} rows do not divide into groups of {group_size}")
    grouped = rewards.view(-1, group_size)  # (G, group_size)
    counted = present.view(-1, group_size)
    count = counted.sum(1, keepdim=True)
    # From one of the group's own rewards, so that equal ones leave no rounding.
    first = grouped.gather(1, counted.int().argmax(1, keepdim=True))
    offset = torch.where(counted, grouped - first, 0.0)
    centred = torch.where(counted, offset - offset.sum(1, keepdim=True) / count.clamp(min=1), 0.0)
    variance = centred.square().sum(1, keepdim=True) / (count - 1).clamp(min=1)
    return (centred / (variance.sqrt() + GROUP_EPSILON)).view(-1)


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
            roles: B names, such as ``"seer"``; add the scenario's where there are several.

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
