"""Hierarchical advantage estimation: GAE over turns, then over each turn's tokens.

One row of tokens holds one seat's whole episode: prompts, which are masked out,
and the seat's own turns k = 0..K-1 with tokens j = 1..L_k. Write V_{k,j} for the
critic's value of the state in which token j of turn k is chosen, e_k for the
last token of turn k, and R_k for all reward between turn k and turn k+1.

Turns, backwards over the row::

    δ_k = R_k + γ_T·V(e_{k+1}) − V(e_k)
    A_k = δ_k + γ_T·λ_T·A_{k+1}

After the last turn V is 0 if the episode terminated, and the bootstrap value if
it was truncated. A silent turn (no tokens) takes part with V(e_k) := V(e_{k−1}),
or 0 where no token stands before it.

Tokens, backwards, starting afresh at the end of each turn, with token rewards r
that never enter δ and the turn's pseudo-reward p_k::

    Â(e_k)  = p_k + r(e_k) − V(e_k)
    Â_{k,j} = r_j + γ·V_{k,j+1} − V_{k,j} + γ·λ·Â_{k,j+1}      for j < L_k

Source: OMAR (Jiang et al., arXiv 2602.03109). The paper's pseudo-reward is A_k
(``"literal"``). The default here is A_k + V(e_k) (``"writeback"``), so that
Â(e_k) = A_k and the estimate is zero where the critic is right.

With a reward at the end only, γ_T = γ = 1 and a constant V = b (no critic) the
estimator is (R − b)·λ_T^{K−k}·λ^{L_k−j}: a geometric rescale of R − b that knows
nothing a plain baseline does not. See :mod:`omar_trainers.baselines` for that.

Both recursions are x_j = a_j·x_{j+1} + b_j, solved for all rows at once in
logarithmically many steps.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn.functional import pad

from omar_trainers.turn_layout import (
    TurnLayout,
    check_unit_interval,
    lay_out_turns,
    take,
)

PseudoReward = Literal["writeback", "literal"]
"""What a turn hands down to its last token; see :func:`hierarchical_advantages`."""


class HierarchicalAdvantages(NamedTuple):
    """What :func:`hierarchical_advantages` returns, in the dtype of ``values``.

    Attributes:
        advantages: (B, T), exactly 0 where ``turn_index`` is -1.
        returns: (B, T), the critic's targets, exactly 0 where ``turn_index`` is -1.
        turn_advantages: (B, K), A_k; exactly 0 beyond ``num_turns``.
    """

    advantages: Tensor
    returns: Tensor
    turn_advantages: Tensor


@torch.no_grad()
def hierarchical_advantages(
    turn_rewards: Tensor,
    values: Tensor,
    turn_index: Tensor,
    *,
    gamma_turn: float,
    lam_turn: float,
    gamma_token: float,
    lam_token: float,
    num_turns: Tensor | None = None,
    bootstrap: Tensor | None = None,
    token_rewards: Tensor | None = None,
    pseudo_reward: PseudoReward = "writeback",
    keep_turn: Tensor | None = None,
) -> HierarchicalAdvantages:
    """Advantages and critic targets of every own token, and of every turn.

    B rows of T tokens and at most K turns. Padding and prompts may stand
    anywhere in a row, between turns and inside them. What stands at masked
    tokens, and at turns beyond ``num_turns``, has no effect, even if it is NaN.
    No gradient flows through the result.

    Args:
        turn_rewards: (B, K), R_k. What was paid before turn 0 belongs to turn 0.
        values: (B, T), float32 or float64. Entry t is the value of the state in
            which token t is *chosen*: a critic reads it at position t-1. Read at
            t, the baseline would depend on the action. All is computed in this
            dtype; rewards of the other one are converted.
        turn_index: (B, T), signed integers: the token's turn 0..K-1, or -1 on
            tokens that are not the model's. It never falls along a row's own
            tokens. A turn that no token has is silent.
        gamma_turn: γ_T, in [0, 1].
        lam_turn: λ_T, in [0, 1].
        gamma_token: γ, in [0, 1].
        lam_token: λ, in [0, 1].
        num_turns: (B,), integers 0..K: how many turns each row has. What lies
            beyond does not exist: its rewards are ignored, its tokens masked.
            By default one more than the row's largest turn index, so turns that
            are silent after the last token need it.
        bootstrap: (B,), the value after the row's last turn: the critic's value
            at the last token where the episode was truncated, 0 where it
            terminated. ``None``: all rows terminated.
        token_rewards: (B, T), rewards such as a per-token KL penalty, which act
            inside their own turn only. ``None``: none.
        pseudo_reward: ``"writeback"``: A_k + V(e_k). ``"literal"``: A_k, the
            letter of the paper. The returns are those of writeback in both.
        keep_turn: (B, K), bool; ``None`` keeps all. A dropped turn stays in the
            recursion over turns, but its own tokens get advantage 0 and return
            V: they teach neither the policy nor the critic.

    Returns:
        advantages (B, T), returns (B, T) and turn_advantages (B, K).

    Raises:
        ValueError: a wrong shape, dtype or device; a discount outside [0, 1]; an
            unknown ``pseudo_reward``; ``turn_index`` outside -1..K-1 or falling;
            ``num_turns`` outside 0..K.
    """
    if pseudo_reward not in get_args(PseudoReward):
        known = ", ".join(repr(name) for name in get_args(PseudoReward))
        raise ValueError(f"unknown pseudo_reward {pseudo_reward!r}: choose one of {known}")
    check_unit_interval(
        {
            "gamma_turn": gamma_turn,
            "lam_turn": lam_turn,
            "gamma_token": gamma_token,
            "lam_token": lam_token,
        }
    )
    layout = lay_out_turns(
        turn_rewards, values, turn_index, num_turns, bootstrap, token_rewards, keep_turn
    )
    turn_advantages = _turn_advantages(layout, gamma_turn, lam_turn)  # (B, K)

    next_values = pad(layout.values, (0, 1))[:, 1:]  # (B, L), own tokens side by side
    source = gamma_token * next_values - layout.values
    source = torch.where(layout.is_end, take(turn_advantages, layout.turn), source)
    if layout.token_rewards is not None:
        source = source + layout.token_rewards
    decay = torch.full_like(source, gamma_token * lam_token).masked_fill(layout.is_end, 0.0)

    # Returns are writeback's in both modes: in literal mode Â + V at e_k would
    # be an advantage, which is no target for a critic.
    writeback = _reverse_scan(decay, source)
    returns = torch.where(layout.keep, writeback, 0.0) + layout.values
    advantages = writeback
    if pseudo_reward == "literal":
        baseline = torch.where(layout.is_end, layout.values, 0.0)
        advantages = _reverse_scan(decay, source - baseline)
    return HierarchicalAdvantages(
        advantages=take(torch.where(layout.keep, advantages, 0.0), layout.slot),
        returns=take(returns, layout.slot),
        turn_advantages=turn_advantages,
    )


def _turn_advantages(layout: TurnLayout, gamma: float, lam: float) -> Tensor:
    """A_k, 0 beyond ``num_turns``. (B, K)"""
    number = torch.arange(layout.turn_rewards.shape[1], device=layout.values.device)  # (K,)
    end_values = take(layout.values, layout.turn_end)  # (B, K)
    next_values = torch.where(
        number == layout.num_turns - 1,
        layout.bootstrap,
        pad(end_values[:, 1:], (0, 1)),
    )
    delta = layout.turn_rewards + gamma * next_values - end_values
    delta = torch.where(number < layout.num_turns, delta, 0.0)
    return _reverse_scan(torch.full_like(delta, gamma * lam), delta)


def _reverse_scan(decay: Tensor, source: Tensor) -> Tensor:
    """Solve x_j = decay_j·x_{j+1} + source_j along the last axis, x after the end 0.

    Odd-even reduction: substituting every odd element into the even one before
    it leaves the same problem at half the length, so the depth is 2·log2(n) and
    the work linear. A decay of 0 is a wall that not even NaN passes, which a
    bare multiplication by 0 would not be.
    """
    length = source.shape[-1]
    if length <= 1:
        return source
    if length % 2:
        decay = pad(decay, (0, 1))
        source = pad(source, (0, 1))
    even_decay, odd_decay = decay[..., 0::2], decay[..., 1::2]
    even_source, odd_source = source[..., 0::2], source[..., 1::2]

    def step(decay: Tensor, after: Tensor, source: Tensor) -> Tensor:
        return torch.where(decay == 0, source, torch.addcmul(source, decay, after))

    even = _reverse_scan(even_decay * odd_decay, step(even_decay, odd_source, even_source))
    odd = step(odd_decay, pad(even[..., 1:], (0, 1)), odd_source)
    return torch.stack((even, odd), dim=-1).flatten(-2)[..., :length]
