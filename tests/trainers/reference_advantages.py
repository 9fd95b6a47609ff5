"""Advantages as the formulas say, one row at a time, in plain Python floats.

Written as explicit sums over lists where the implementation solves recursions
on tensors, so that the two share nothing but the definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class RowAdvantages(NamedTuple):
    advantages: list[float]  # T
    returns: list[float]  # T
    turn_advantages: list[float]  # K


def gae(
    rewards: Sequence[float], values: Sequence[float], after: float, gamma: float, lam: float
) -> list[float]:
    """Textbook GAE of one trajectory; ``after`` is the value when it is over."""
    n = len(values)
    following = [*values[1:], after]
    delta = [rewards[i] + gamma * following[i] - values[i] for i in range(n)]
    return [sum((gamma * lam) ** (m - i) * delta[m] for m in range(i, n)) for i in range(n)]


def reference_row(
    turn_rewards: Sequence[float],
    values: Sequence[float],
    turn_index: Sequence[int],
    *,
    gamma_turn: float,
    lam_turn: float,
    gamma_token: float,
    lam_token: float,
    num_turns: int | None = None,
    bootstrap: float = 0.0,
    token_rewards: Sequence[float] | None = None,
    pseudo_reward: str = "writeback",
    keep_turn: Sequence[bool] | None = None,
) -> RowAdvantages:
    """What ``hierarchical_advantages`` must give for one row."""
    if num_turns is None:
        num_turns = max([k for k in turn_index if k >= 0], default=-1) + 1
    where = [[t for t, k in enumerate(turn_index) if k == turn] for turn in range(num_turns)]

    end_values: list[float] = []
    for positions in where:
        if positions:
            end_values.append(values[positions[-1]])
        else:
            end_values.append(end_values[-1] if end_values else 0.0)
    turn_advantages = gae(turn_rewards[:num_turns], end_values, bootstrap, gamma_turn, lam_turn)

    advantages = [0.0] * len(values)
    returns = [0.0] * len(values)
    for turn, positions in enumerate(where):
        length = len(positions)
        for j in range(length):
            writeback = 0.0
            literal = 0.0
            for m in range(j, length):
                t = positions[m]
                reward = token_rewards[t] if token_rewards is not None else 0.0
                weight = (gamma_token * lam_token) ** (m - j)
                if m < length - 1:
                    following = gamma_token * values[positions[m + 1]]
                    writeback += weight * (reward + following - values[t])
                    literal += weight * (reward + following - values[t])
                else:
                    wrote_back = turn_advantages[turn] + values[t]
                    writeback += weight * (wrote_back + reward - values[t])
                    literal += weight * (turn_advantages[turn] + reward - values[t])
            t = positions[j]
            if keep_turn is not None and not keep_turn[turn]:
                returns[t] = values[t]
            else:
                advantages[t] = writeback if pseudo_reward == "writeback" else literal
                returns[t] = writeback + values[t]
    return RowAdvantages(
        advantages, returns, turn_advantages + [0.0] * (len(turn_rewards) - num_turns)
    )


def reference_token_gae_row(
    turn_rewards: Sequence[float],
    values: Sequence[float],
    turn_index: Sequence[int],
    *,
    gamma: float,
    lam: float,
    num_turns: int,
    bootstrap: float,
    token_rewards: Sequence[float],
    keep_turn: Sequence[bool],
) -> tuple[list[float], list[float]]:
    """What ``token_gae`` must give for one row: its advantages and returns."""
    own = [t for t, k in enumerate(turn_index) if 0 <= k < num_turns]
    rewards = {t: token_rewards[t] for t in own}
    for turn in range(num_turns):
        so_far = [t for t in own if turn_index[t] <= turn]
        if so_far:
            rewards[so_far[-1]] += turn_rewards[turn]
    along = gae([rewards[t] for t in own], [values[t] for t in own], bootstrap, gamma, lam)
    advantages = [0.0] * len(values)
    returns = [0.0] * len(values)
    for t, advantage in zip(own, along, strict=True):
        kept = advantage if keep_turn[turn_index[t]] else 0.0
        advantages[t] = kept
        returns[t] = kept + values[t]
    return advantages, returns
