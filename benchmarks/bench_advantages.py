"""How fast hierarchical advantages are, beside the loops one would write first.

    python benchmarks/bench_advantages.py --write

Estimators of the same thing, timed in turns so that what else the machine does
hits all alike: a loop over rows and tokens (over the elements of the tensors, and
over Python floats), a loop over tokens for all rows at once, and the scan of
``omar_trainers.advantages``. Before any timing their results are compared. Prints
times and their ratios, on one thread (CPU time) and two (wall time), and the
scan's peak memory; ``--write`` also puts them into ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from omar_trainers.advantages import hierarchical_advantages

RESULTS = Path(__file__).parent / "results" / "advantages.md"
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


@torch.no_grad()
def loop_over_elements(batch: Batch) -> Tensor:
    """Backwards over each row, element by element of the tensors."""
    turn_decay = DISCOUNTS["gamma_turn"] * DISCOUNTS["lam_turn"]
    token_decay = DISCOUNTS["gamma_token"] * DISCOUNTS["lam_token"]
    rewards, values, index = batch
    result = torch.zeros_like(values)
    for row in range(values.shape[0]):
        zero = values.new_zeros(())
        turn, turn_value, turn_advantage = -1, zero, zero
        value, advantage = zero, zero
        for t in range(values.shape[1] - 1, -1, -1):
            k = int(index[row, t])
            if k < 0:
                continue
            v = values[row, t]
            if k != turn:
                delta = rewards[row, k] + DISCOUNTS["gamma_turn"] * turn_value - v
                turn_advantage = delta + turn_decay * turn_advantage
                turn, turn_value, advantage = k, v, turn_advantage
            else:
                delta = DISCOUNTS["gamma_token"] * value - v
                advantage = delta + token_decay * advantage
            value = v
            result[row, t] = advantage
    return result


def loop_over_floats(batch: Batch) -> Tensor:
    """Backwards over each row, in lists of Python floats."""
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


TOKENS = "loop over tokens, all rows at once"
ELEMENTS = "loop over rows and tokens, elements of tensors"
ESTIMATORS: dict[str, Callable[[Batch], Tensor]] = {
    "scan": scan,
    TOKENS: loop_over_tokens,
    ELEMENTS: loop_over_elements,
    "loop over rows and tokens, Python floats": loop_over_floats,
}
THREADED = ["scan", TOKENS]
"""What torch may share out among threads."""

SCANS_PER_ROUND = 5
SLOW_SHARE = 16
"""The loop over elements is timed on one in so many rows: it costs the same for each."""


def check_equal(rows: int, tokens: int, turns: int) -> tuple[float, float]:
    """Largest difference from the loop over Python floats in float64 and float32.

    The first is absolute, the second relative to the largest advantage. Raises if
    float64 differs by more than 1e-10 or float32 by more than 1e-4.
    """
    batch = make_batch(rows, tokens, turns, torch.float64)
    want = loop_over_floats(batch)
    worst = 0.0
    for name, estimator in ESTIMATORS.items():
        stop = max(1, rows // SLOW_SHARE) if name == ELEMENTS else rows
        got = estimator(Batch(*(part[:stop] for part in batch)))
        torch.testing.assert_close(got, want[:stop], rtol=1e-10, atol=1e-10)
        worst = max(worst, float((got - want[:stop]).abs().max()))
    single = Batch(batch.turn_rewards.float(), batch.values.float(), batch.turn_index)
    want = loop_over_floats(Batch(*(part.double() for part in single[:2]), batch.turn_index))
    difference = float((scan(single) - want).abs().max() / want.abs().max())
    if difference > 1e-4:
        raise AssertionError(f"float32 differs by {difference:.1e} of the largest advantage")
    return worst, difference


def measure(
    names: Sequence[str], batch: Batch, repeats: int, clock: Callable[[], float]
) -> list[dict[str, float]]:
    """Seconds of some estimators in each round, the scan's the least of several calls."""

    few = Batch(*(part[: max(1, len(part) // SLOW_SHARE)] for part in batch))

    def timed(name: str) -> float:
        part = few if name == ELEMENTS else batch
        start = clock()
        ESTIMATORS[name](part)
        return (clock() - start) * len(batch.values) / len(part.values)

    timed("scan")
    rounds = []
    for _ in range(repeats):
        calls = {name: SCANS_PER_ROUND if name == "scan" else 1 for name in names}
        rounds.append({name: min(timed(name) for _ in range(n)) for name, n in calls.items()})
    return rounds


def typical(rounds: list[dict[str, float]], name: str) -> tuple[float, float]:
    """Median milliseconds, and median over the rounds of the ratio to that round's scan."""
    return (
        1e3 * median(seconds[name] for seconds in rounds),
        median(seconds[name] / seconds["scan"] for seconds in rounds),
    )


def fastest(rounds: list[dict[str, float]], name: str) -> tuple[float, float]:
    """Least milliseconds of all rounds, and their ratio to the scan's least."""
    least = min(seconds[name] for seconds in rounds)
    return 1e3 * least, least / min(seconds["scan"] for seconds in rounds)


def peak_memory(batch: Batch) -> float:
    """Most bytes held at once inside the scan, its results included, over the inputs' bytes."""
    scan(batch)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        scan(batch)
    held = peak = 0
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    if not peak:
        raise RuntimeError("the profiler saw no allocation")
    return peak / sum(part.nbytes for part in batch)


def report(rows: int, tokens: int, turns: int, repeats: int) -> str:
    """The measurements as Markdown."""
    double, single = check_equal(rows, tokens, turns)
    batch = make_batch(rows, tokens, turns, torch.float32)
    own = float((batch.turn_index >= 0).float().mean())
    torch.set_num_threads(1)
    one = measure(list(ESTIMATORS), batch, repeats, time.process_time)
    memory = peak_memory(batch)
    torch.set_num_threads(2)
    two = measure(THREADED, batch, repeats, time.perf_counter)
    lines = [
        "# Speed of hierarchical advantages",
        "",
        f"`python benchmarks/bench_advantages.py {' '.join(sys.argv[1:])}`".replace(" `", "`"),
        "",
        f"B={rows} T={tokens} K={turns}, {own:.0%} of the tokens the model's own, float32, "
        f"{platform.machine()}, torch {torch.__version__}; {repeats} interleaved rounds. One "
        "thread: medians, of the ratio to the scan in the same round too. Two threads: the "
        "fastest round, for other work on this machine makes one thread wait for the other. The "
        f"loop over elements is timed on one row in {SLOW_SHARE} and multiplied.",
        "",
        "| | one thread, CPU ms | times the scan | two threads, wall ms | times the scan |",
        "|---|---|---|---|---|",
    ]
    for name in ESTIMATORS:
        cells = [f"{number:.1f}" for number in typical(one, name)]
        cells += (
            [f"{number:.1f}" for number in fastest(two, name)] if name in THREADED else ["", ""]
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"- Equal results: largest difference {double:.1e} in float64; in float32 {single:.1e} of "
        "the largest advantage, against Python's double precision.",
        f"- Peak memory inside the scan, results included: **{memory:.1f} times** the inputs.",
        "- A loop over elements is what one writes first. The same loop over lists of Python "
        "floats, converted once, is far faster, and still slower than the scan.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time hierarchical advantages.")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--turns", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write benchmarks/results too")
    arguments = parser.parse_args()
    text = report(arguments.rows, arguments.tokens, arguments.turns, arguments.repeats)
    print(text, end="")
    if arguments.write:
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
