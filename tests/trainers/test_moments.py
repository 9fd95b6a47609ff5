"""Means and variances over processes and over time, and what is logged of advantages."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_trainers.advantage_metrics import advantage_means
from omar_trainers.moments import RunningMoments, Spread
from omar_trainers.selfplay import DUMMY, RowFacts

F64 = torch.float64
law = settings(max_examples=40, deadline=None)
numbers = st.lists(st.floats(-1e3, 1e3), max_size=5)


@law
@given(st.lists(numbers, min_size=1, max_size=4))
def test_statistics_of_parts_are_those_of_the_whole(parts: list[list[float]]) -> None:
    tensors = [torch.tensor(part, dtype=F64) for part in parts]
    whole = Spread.of(torch.cat(tensors))
    together = Spread.together(Spread.of(part) for part in tensors)
    assert together == pytest.approx(whole, rel=1e-9, abs=1e-6)


def test_a_large_offset_leaves_the_variance() -> None:
    spread = Spread.of(torch.tensor([1e9, 1e9 + 2.0], dtype=F64))
    assert Spread.together([spread, spread]).variance == pytest.approx(1.0)


@law
@given(
    st.lists(numbers.map(lambda batch: [round(n, 3) for n in batch]), min_size=1, max_size=6),
    # Nor a decay that rounding takes for 0: where nothing varies the deviation is 1 by definition.
    st.just(0.0) | st.floats(0.01, 0.99),
)
def test_running_moments_are_those_of_weighted_batches(
    batches: list[list[float]], decay: float
) -> None:
    running = RunningMoments(decay)
    filled = [torch.tensor(batch, dtype=F64) for batch in batches if batch]
    for batch in batches:
        running.update(Spread.of(torch.tensor(batch, dtype=F64)))
    if not filled:
        assert (running.mean, running.deviation) == (0.0, 1.0)
        return
    weights = [decay ** (len(filled) - 1 - i) for i in range(len(filled))]
    mean = sum(w * float(b.mean()) for w, b in zip(weights, filled, strict=True)) / sum(weights)
    square = sum(
        w * float((b - mean).square().mean()) for w, b in zip(weights, filled, strict=True)
    ) / sum(weights)
    assert running.mean == pytest.approx(mean, rel=1e-6, abs=1e-6)
    wanted = max(square**0.5, 1e-3 * abs(mean)) or 1.0
    assert running.deviation == pytest.approx(wanted, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("value", [0.0, 5.0, -1e-9])
def test_returns_that_never_vary_can_be_divided_by(value: float) -> None:
    running = RunningMoments()
    running.update(Spread.of(torch.full((9,), value)))
    assert running.deviation > 0.0
    again = RunningMoments()
    again.load_state_dict(running.state_dict())
    assert (again.mean, again.deviation) == (running.mean, running.deviation)


# --- what is logged of advantages -----------------------------------------------

FACTS = [
    RowFacts("a", "wolf", "wolves", 1.0),
    RowFacts("b", "seer", "village", 0.0),
    RowFacts("c", "seer", "village", 0.0),
    DUMMY,
]


@law
@given(st.integers(0, 10**6))
def test_spread_between_and_inside_turns_add_up(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    turn_index = torch.tensor([[0, 0, -1, 1, 1, 1]] * 3 + [[-1] * 6])
    advantages = torch.randn(4, 6, generator=random, dtype=F64)
    kept = (turn_index >= 0) & (torch.rand(4, 6, generator=random) < 0.8)
    got = {n: m.value for n, m in advantage_means(advantages, kept, turn_index, FACTS).items()}
    inside = advantages[kept]
    if not len(inside):
        assert not got
        return
    parts = got["advantage/turn_std"] ** 2 + got["advantage/token_std"] ** 2
    assert parts == pytest.approx(float(inside.var(correction=0)), abs=1e-12)
    assert got["advantage/mean_abs"] == pytest.approx(float(inside.abs().mean()))
    if kept[1:3].any():
        seers = float(advantages[1:3][kept[1:3]].mean())
        assert got["advantage/seer"] == pytest.approx(seers)
    flat = torch.tensor([[1.0], [2.0], [3.0], [9.0]], dtype=F64).expand(4, 6)
    assert advantage_means(flat, kept, turn_index, FACTS)["advantage/token_std"].value == 0.0


def test_dummies_have_no_role_to_log() -> None:
    own = torch.tensor([[0], [0], [0], [-1]])
    names = advantage_means(torch.ones(4, 1), own >= 0, own, FACTS)
    assert set(names) == {
        "advantage/mean_abs",
        "advantage/turn_std",
        "advantage/token_std",
        "advantage/wolf",
        "advantage/seer",
    }
