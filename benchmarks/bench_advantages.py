"""How fast hierarchical advantages are, beside the two loops one would write first.

    python benchmarks/bench_advantages.py

Three estimators of the same thing on one thread, timed in turns so that what
else the machine does hits all alike: one Python step per row and token, one per
token for all rows at once, and the scan of ``omar_trainers.advantages``. Before
any timing their results are compared. Prints median times and their ratios.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from omar_trainers.advantages import hierarchical_advantages

DISCOUNTS = {"gamma_turn": 1.0, "lam_turn": 0.95, "gamma_token": 1.0, "lam_token": 0.95}


class Batch(NamedTuple):
    turn_rewards: Tensor  # (B, K)
    values: Tensor  # (B, T)
    turn_index: Tensor  # (B, T)


def make_batch(rows: int, tokens: int, turns: int, dtype: torch.dtype) -> Batch:
    """Every turn is half prompt, half reply, of random lengths; the rest is padding."""
    draw = torch.Generator().manual_seed(0)
    share = torch.rand(rows, 2 * turns + 1, generator=draw) + 0.1
    edges = (share.cumsum(1) / share.sum(1, keepdim=True) * tokens).long()
    piece = torch.searchsorted(edges, torch.arange(tokens).repeat(rows, 1), right=True)
    own = (piece % 2 == 1) & (piece < 2 * turns)
    return Batch(
        torch.randn(rows, turns, generator=draw, dtype=dtype),
        torch.randn(rows, tokens, generator=draw, dtype=dtype),
        torch.where(own, piece // 2, -1),
    )


def scan(batch: Batch) -> Tensor:
    return hierarchical_advantages(*batch, **DISCOUNTS).advantages


def loop_over_rows_and_tokens(batch: Batch) -> Tensor:
    """Backwards over each row, in Python floats."""
    turn_decay = DISCOUNTS["gamma_turn"] * DISCOUNTS["lam_turn"]
    token_decay = DISCOUNTS["gamma_token"] * DISCOUNTS["lam_token"]
    result = []
    for rewards, values, index in zip(*(part.tolist() for part in batch), strict=True):
        row = [0.0] * len(values)
        turn, turn_value, turn_advantage = -1, 0.0, 0.0
        value, advantage = 0.0, 0.0
        for t in range(len(values) - 1, -1, -1):
            k = index[t]
            if k < 0:
                continue
            if k != turn:
                delta = rewards[k] + DISCOUNTS["gamma_turn"] * turn_value - values[t]
                turn_advantage = delta + turn_decay * turn_advantage
                turn, turn_value, advantage = k, values[t], turn_advantage
            else:
                delta = DISCOUNTS["gamma_token"] * value - values[t]
                advantage = delta + token_decay * advantage
            value = values[t]
            row[t] = advantage
        result.append(row)
    return torch.tensor(result, dtype=batch.values.dtype)


@torch.no_grad()
def loop_over_tokens(batch: Batch) -> Tensor:
    """Backwards over the positions, all rows at once."""
    turn_decay = DISCOUNTS["gamma_turn"] * DISCOUNTS["lam_turn"]
    token_decay = DISCOUNTS["gamma_token"] * DISCOUNTS["lam_token"]
    rewards, values, index = batch
    result = torch.zeros_like(values)
    turn = torch.full_like(index[:, 0], -1)
    turn_value, turn_advantage, value, advantage = torch.zeros(4, len(values), dtype=values.dtype)
    for t in range(values.shape[1] - 1, -1, -1):
        k, v = index[:, t], values[:, t]
        own = k >= 0
        end = own & (k != turn)
        reward = rewards.gather(1, k.clamp(min=0).unsqueeze(1)).squeeze(1)
        at_end = reward + DISCOUNTS["gamma_turn"] * turn_value - v + turn_decay * turn_advantage
        inside = DISCOUNTS["gamma_token"] * value - v + token_decay * advantage
        turn = torch.where(end, k, turn)
        turn_value = torch.where(end, v, turn_value)
        turn_advantage = torch.where(end, at_end, turn_advantage)
        value = torch.where(own, v, value)
        advantage = torch.where(end, at_end, torch.where(own, inside, advantage))
        result[:, t] = torch.where(own, advantage, 0.0)
    return result


ESTIMATORS: dict[str, Callable[[Batch], Tensor]] = {
    "scan": scan,
    "loop over tokens": loop_over_tokens,
    "loop over rows and tokens": loop_over_rows_and_tokens,
}


def check_equal(rows: int, tokens: int, turns: int) -> float:
    """Largest difference in float64; raises if it is more than rounding."""
    batch = make_batch(rows, tokens, turns, torch.float64)
    want = loop_over_rows_and_tokens(batch)
    worst = 0.0
    for estimator in ESTIMATORS.values():
        got = estimator(batch)
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
        worst = max(worst, float((got - want).abs().max()))
    return worst


def measure(batch: Batch, repeats: int) -> dict[str, float]:
    """Median seconds of each estimator, one call of each per round."""
    seconds: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    scan(batch)
    for _ in range(repeats):
        for name, estimator in ESTIMATORS.items():
            start = time.perf_counter()
            estimator(batch)
            seconds[name].append(time.perf_counter() - start)
    return {name: median(times) for name, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time hierarchical advantages.")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--turns", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shape = (arguments.rows, arguments.tokens, arguments.turns)
    difference = check_equal(*shape)
    print(f"B={shape[0]} T={shape[1]} K={shape[2]}, float32, one thread, torch {torch.__version__}")
    print(f"results equal in float64, largest difference {difference:.1e}")
    seconds = measure(make_batch(*shape, torch.float32), arguments.repeats)
    for name, median_seconds in seconds.items():
        ratio = median_seconds / seconds["scan"]
        print(f"{name:26} {1e3 * median_seconds:8.1f} ms   {ratio:6.1f} x")


if __name__ == "__main__":
    main()
