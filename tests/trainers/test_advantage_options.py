"""Hierarchical advantages: modes, filters, edges, dtypes, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from torch import Tensor

from omar_trainers.advantages import hierarchical_advantages
from tests.trainers.advantage_batches import (
    F64,
    NAN,
    ONES,
    SOME,
    Batch,
    batches,
    discounts,
    law,
    make_batch,
    plain,
    same,
    same_all,
)

# --- modes, filters, edges ------------------------------------------------------


@given(batches(), discounts)
@law
def test_literal_takes_the_last_value_off_again(batch: Batch, gammas: dict[str, float]) -> None:
    writeback, literal = batch(gammas), batch(gammas, pseudo_reward="literal")
    same(literal.returns, writeback.returns)
    same(literal.turn_advantages, writeback.turn_advantages)
    inside = gammas["gamma_token"] * gammas["lam_token"]
    for row in range(len(batch.values)):
        for _, own in batch.own(row):
            for j, t in enumerate(own):
                missing = batch.values[row, own[-1]] * inside ** (len(own) - 1 - j)
                same(literal.advantages[row, t], writeback.advantages[row, t] - missing)


@pytest.mark.parametrize("mode", ["writeback", "literal"])
def test_a_dropped_turn_stays_in_the_recursion(mode: str) -> None:
    batch = make_batch([[2, 3, 1], [1, 2]], seed=8)
    want = batch(SOME, pseudo_reward=mode, token_rewards=batch.token_rewards)
    keep = torch.ones_like(batch.keep_turn)
    keep[0, 1] = False
    got = batch(SOME, pseudo_reward=mode, token_rewards=batch.token_rewards, keep_turn=keep)
    dropped = torch.zeros_like(batch.turn_index, dtype=torch.bool)
    dropped[0] = batch.turn_index[0] == 1
    assert dropped.sum() == 3
    assert got.turn_advantages.equal(want.turn_advantages)
    assert got.advantages.equal(want.advantages.masked_fill(dropped, 0.0))
    assert got.returns.equal(torch.where(dropped, batch.values, want.returns))


def test_a_bad_turn_that_is_dropped_gains_nothing_where_the_value_is_negative() -> None:
    got = plain([0.0], [-5.0, -4.0], [0, 0], keep_turn=torch.tensor([[False]]))
    same(got.advantages, [[0, 0]])
    same(got.returns, [[-5, -4]])


@given(batches(), discounts)
@law
def test_token_rewards_stay_inside_their_turn(batch: Batch, gammas: dict[str, float]) -> None:
    got = batch(gammas, token_rewards=batch.token_rewards)
    without = batch(gammas)
    same(got.turn_advantages, without.turn_advantages)
    for row in range(len(batch.values)):
        for _, own in batch.own(row):
            if own:
                paid = batch.token_rewards[row, own[-1]]
                same(got.advantages[row, own[-1]], without.advantages[row, own[-1]] + paid)


@pytest.mark.parametrize("mode", ["writeback", "literal"])
@pytest.mark.parametrize("keep", [None, torch.tensor([[True, True, True]])])
@pytest.mark.parametrize("broken", [NAN, 5.0])
def test_what_lies_beyond_num_turns_does_not_exist(
    mode: str, keep: Tensor | None, broken: float
) -> None:
    index = [-1, 0, 0, 1, 2, 2, -1]
    values = [NAN, 1.0, 2.0, 3.0, broken, broken, NAN]
    paid = torch.tensor([[NAN, 0.1, 0.2, 0.3, broken, broken, NAN]], dtype=F64)
    boot = torch.tensor([6.0], dtype=F64)
    got = plain(
        [1.0, 2.0, broken],
        values,
        index,
        num_turns=torch.tensor([2]),
        bootstrap=boot,
        token_rewards=paid,
        keep_turn=keep,
        pseudo_reward=mode,
    )
    want = plain(
        [1.0, 2.0],
        values[:4],
        index[:4],
        bootstrap=boot,
        token_rewards=paid[:, :4],
        pseudo_reward=mode,
    )
    same(got.turn_advantages, [*want.turn_advantages[0].tolist(), 0.0])
    same(got.advantages, [*want.advantages[0].tolist(), 0.0, 0.0, 0.0])
    same(got.returns, [*want.returns[0].tolist(), 0.0, 0.0, 0.0])


def test_a_row_without_turns_is_all_zero() -> None:
    batch = make_batch([[2, 1], [], [3]], seed=2)
    index = batch.turn_index.clone()
    index[0] = -1
    boot = torch.full((3,), NAN, dtype=F64)
    boot[2] = 1.0
    got = hierarchical_advantages(
        batch.turn_rewards.nan_to_num(nan=9.0), batch.values, index, bootstrap=boot, **SOME
    )
    for part in got:
        assert not part[:2].any()
        assert part[2].any()
    none = hierarchical_advantages(
        batch.turn_rewards, batch.values, batch.turn_index, num_turns=torch.zeros(3).int(), **SOME
    )
    assert not any(part.any() for part in none)


@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 0, 3), (2, 4, 0), (2, 0, 0), (0, 0, 0)])
def test_empty_batches_rows_and_games(shape: tuple[int, int, int]) -> None:
    rows, width, turns = shape
    got = hierarchical_advantages(
        torch.ones(rows, turns, dtype=F64),
        torch.ones(rows, width, dtype=F64),
        torch.full((rows, width), -1),
        num_turns=torch.full((rows,), turns),
        token_rewards=torch.ones(rows, width, dtype=F64),
        keep_turn=torch.ones(rows, turns, dtype=torch.bool),
        **ONES,
    )
    assert got.advantages.shape == got.returns.shape == (rows, width)
    assert got.turn_advantages.shape == (rows, turns)
    assert not got.advantages.any()
    same(got.turn_advantages, torch.arange(turns, 0, -1, dtype=F64).expand(rows, turns))


def test_num_turns_defaults_to_the_largest_index_and_one() -> None:
    batch = make_batch([[2, 0, 1], [1], [3, 2]], seed=4)
    got = hierarchical_advantages(
        batch.turn_rewards, batch.values, batch.turn_index, bootstrap=batch.bootstrap, **SOME
    )
    same_all(got, batch(SOME))


def test_nan_of_a_real_token_stays_in_its_turn() -> None:
    """A broken value is not hidden, and breaks no more than the formula says."""
    got = plain([1.0, 1.0, 1.0], [1.0, 1.0, NAN, 1.0, 1.0], [0, 1, 1, 1, 2])
    broken = got.advantages.isnan()[0].tolist()
    assert broken == [False, True, True, False, False]


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64])
def test_any_signed_integer_indexes_turns(dtype: torch.dtype) -> None:
    batch = make_batch([[1] * 5, [2, 0, 1]], seed=6)
    turns = 200  # more than an int8 can count
    wide = replace(
        batch,
        turn_rewards=torch.nn.functional.pad(batch.turn_rewards, (0, turns), value=NAN),
        keep_turn=torch.ones(2, turns, dtype=torch.bool),
    )
    want = wide(SOME)
    got = replace(wide, turn_index=batch.turn_index.to(dtype), num_turns=batch.num_turns.to(dtype))(
        SOME
    )
    for left, right in zip(got, want, strict=True):
        assert left.equal(right)


@pytest.mark.parametrize("mode", ["writeback", "literal"])
def test_float32_stays_float32_and_close(mode: str) -> None:
    batch = make_batch([[300, 0, 40], [500]], seed=9)
    single = replace(
        batch,
        turn_rewards=batch.turn_rewards.float(),
        values=batch.values.float(),
        bootstrap=batch.bootstrap.float(),
    )
    near_one = {"gamma_turn": 0.99, "lam_turn": 0.95, "gamma_token": 1.0, "lam_token": 0.99}
    got = single(near_one, pseudo_reward=mode, token_rewards=batch.token_rewards.float())
    want = batch(near_one, pseudo_reward=mode, token_rewards=batch.token_rewards)
    for left, right in zip(got, want, strict=True):
        assert left.dtype == torch.float32
        torch.testing.assert_close(left.double(), right, rtol=1e-4, atol=1e-4)


def test_float64_discounts_are_not_rounded_to_float32() -> None:
    got = plain([1.0], [0.0] * 200, [0] * 200, lam_token=0.1, gamma_token=1.0)
    same(got.advantages[0, -2], 0.1)
    assert abs(float(got.advantages[0, -2]) - 0.1) < 1e-16


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_the_result_has_the_dtype_of_the_values(dtype: torch.dtype) -> None:
    batch = make_batch([[2, 1]], seed=0)
    rewards = batch.token_rewards.float()
    other = replace(batch, turn_rewards=batch.turn_rewards.float(), values=batch.values.to(dtype))
    if dtype == torch.float32:
        rewards = batch.token_rewards
        other = replace(batch, values=batch.values.float())
    got = other(SOME, token_rewards=rewards)
    assert {part.dtype for part in got} == {dtype}


def test_no_gradient_flows_and_nothing_is_written_to() -> None:
    batch = make_batch([[2, 0, 3], [1, 1]], seed=7)
    inputs = [batch.turn_rewards, batch.values, batch.bootstrap, batch.token_rewards]
    before = [tensor.clone() for tensor in [*inputs, batch.turn_index]]
    want = batch(SOME, token_rewards=batch.token_rewards)
    for tensor in inputs:
        tensor.requires_grad_(True)
    got = batch(SOME, token_rewards=batch.token_rewards)
    assert not any(part.requires_grad for part in got)
    for left, right in zip(got, want, strict=True):
        assert left.equal(right)
    for tensor, copy in zip([*inputs, batch.turn_index], before, strict=True):
        torch.testing.assert_close(tensor.detach(), copy, rtol=0, atol=0, equal_nan=True)


def test_memory_layout_does_not_matter() -> None:
    batch = make_batch([[2, 3], [1, 0, 2], [4]], seed=11)

    def strided(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(2, dim=-1)[..., ::2]

    turned = Batch(**{name: strided(field) for name, field in vars(batch).items()})
    assert not turned.values.is_contiguous()
    same_all(turned(SOME), batch(SOME))


# --- what is refused --------------------------------------------------------------


def arguments(**changes: Any) -> dict[str, Any]:
    good: dict[str, Any] = {
        "turn_rewards": torch.zeros(2, 3),
        "values": torch.zeros(2, 4),
        "turn_index": torch.tensor([[0, 0, 1, 2], [-1, 0, -1, 1]]),
        "num_turns": torch.tensor([3, 2]),
        "bootstrap": torch.zeros(2),
        "token_rewards": torch.zeros(2, 4),
        "keep_turn": torch.ones(2, 3, dtype=torch.bool),
        **SOME,
    }
    return {**good, **changes}


def test_the_arguments_that_the_next_test_breaks_are_good() -> None:
    result = hierarchical_advantages(**arguments())
    assert result.advantages.isfinite().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": torch.zeros(4)}, "values has shape"),
        ({"values": torch.zeros(2, 4, 1)}, "values has shape"),
        ({"values": torch.zeros(2, 4).long()}, "values has dtype"),
        ({"values": torch.zeros(2, 4).bfloat16()}, "values has dtype"),
        ({"values": [[0.0] * 4] * 2}, "values must be a torch tensor"),
        ({"values": torch.zeros(2, 4, device="meta")}, "is on cpu"),
        ({"turn_rewards": torch.zeros(3, 3)}, "turn_rewards has shape"),
        ({"turn_rewards": torch.zeros(2)}, "turn_rewards has shape"),
        ({"turn_rewards": torch.zeros(2, 3).int()}, "turn_rewards has dtype"),
        ({"turn_index": torch.zeros(2, 5).long()}, "turn_index has shape"),
        ({"turn_index": torch.zeros(2, 4)}, "turn_index has dtype"),
        ({"turn_index": torch.zeros(2, 4).bool()}, "turn_index has dtype"),
        ({"turn_index": torch.tensor([[0, 0, 0, 0], [0, 0, 0, 3]])}, "row 1: turn_index .* -1..2"),
        ({"turn_index": torch.tensor([[0, 0, 0, -2], [0, 0, 0, 0]])}, "row 0: turn_index .* -1..2"),
        ({"turn_index": torch.tensor([[0, 0, 1, 1], [1, -1, -1, 0]])}, "row 1: turn_index falls"),
        ({"turn_index": torch.tensor([[0, 2, 1, 1], [0, 0, 0, 0]])}, "row 0: turn_index falls"),
        ({"num_turns": torch.tensor([3])}, "num_turns has shape"),
        ({"num_turns": torch.tensor([3.0, 2.0])}, "num_turns has dtype"),
        ({"num_turns": torch.tensor([3, 4])}, "row 1: num_turns lies outside 0..3"),
        ({"num_turns": torch.tensor([-1, 2])}, "row 0: num_turns lies outside 0..3"),
        ({"bootstrap": torch.zeros(2, 1)}, "bootstrap has shape"),
        ({"bootstrap": torch.zeros(2).bool()}, "bootstrap has dtype"),
        ({"bootstrap": 0.0}, "bootstrap must be a torch tensor"),
        ({"token_rewards": torch.zeros(2, 3)}, "token_rewards has shape"),
        ({"token_rewards": torch.zeros(2, 4).int()}, "token_rewards has dtype"),
        ({"keep_turn": torch.ones(2, 4).bool()}, "keep_turn has shape"),
        ({"keep_turn": torch.ones(2, 3)}, "keep_turn has dtype"),
        ({"pseudo_reward": "paper"}, "unknown pseudo_reward 'paper'.*'writeback', 'literal'"),
        ({"gamma_turn": 1.01}, "gamma_turn is 1.01"),
        ({"lam_turn": -0.01}, "lam_turn is -0.01"),
        ({"gamma_token": NAN}, "gamma_token is nan"),
        ({"lam_token": math.inf}, "lam_token is inf"),
        ({"lam_token": None}, "lam_token is None"),
        ({"gamma_turn": "0.9"}, "gamma_turn is '0.9'"),
    ],
)
def test_bad_arguments_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hierarchical_advantages(**arguments(**changes))
