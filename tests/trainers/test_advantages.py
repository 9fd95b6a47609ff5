"""Hierarchical advantages: the laws that any right implementation obeys."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from omar_trainers.advantages import HierarchicalAdvantages, hierarchical_advantages
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
    unit,
)
from tests.trainers.reference_advantages import gae, reference_row

# --- against the definition ---------------------------------------------------


@given(
    batches(), discounts, st.sampled_from(["writeback", "literal"]), st.booleans(), st.booleans()
)
@settings(max_examples=150, deadline=None)
def test_equals_the_definition(
    batch: Batch, gammas: dict[str, float], mode: str, with_token_rewards: bool, with_keep: bool
) -> None:
    got = batch(
        gammas,
        pseudo_reward=mode,
        token_rewards=batch.token_rewards if with_token_rewards else None,
        keep_turn=batch.keep_turn if with_keep else None,
    )
    for row in range(len(batch.values)):
        want = reference_row(
            batch.turn_rewards[row].tolist(),
            batch.values[row].tolist(),
            batch.turn_index[row].tolist(),
            **gammas,
            num_turns=int(batch.num_turns[row]),
            bootstrap=float(batch.bootstrap[row]),
            token_rewards=batch.token_rewards[row].tolist() if with_token_rewards else None,
            pseudo_reward=mode,
            keep_turn=batch.keep_turn[row].tolist() if with_keep else None,
        )
        same(got.advantages[row], want.advantages)
        same(got.returns[row], want.returns)
        same(got.turn_advantages[row], want.turn_advantages)


def test_by_hand() -> None:
    """Turn 0 has the tokens at 1 and 2, turn 1 the one at 4; all else is prompt."""
    got = plain(
        [1.0, 10.0],
        [NAN, 2.0, 4.0, NAN, 3.0],
        [-1, 0, 0, -1, 1],
        gamma_turn=0.5,
        lam_turn=0.5,
        gamma_token=0.5,
        lam_token=0.1,
    )
    last = 10 - 3.0
    first = (1 + 0.5 * 3 - 4) + 0.25 * last
    inner = (0.5 * 4 - 2) + 0.05 * first
    same(got.turn_advantages, [[first, last]])
    same(got.advantages, [[0, inner, first, 0, last]])
    same(got.returns, [[0, inner + 2, first + 4, 0, last + 3]])


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 63, 64, 65, 1000])
def test_long_turns_of_any_length(length: int) -> None:
    batch = make_batch([[length, 2, length]], seed=length)
    got = batch(SOME)
    want = reference_row(
        batch.turn_rewards[0].tolist(),
        batch.values[0].tolist(),
        batch.turn_index[0].tolist(),
        **SOME,
        num_turns=3,
        bootstrap=float(batch.bootstrap[0]),
    )
    same(got.advantages[0], want.advantages)


def test_many_turns() -> None:
    batch = make_batch([[1, 0, 3] * 40], seed=5)
    want = reference_row(
        batch.turn_rewards[0].tolist(),
        batch.values[0].tolist(),
        batch.turn_index[0].tolist(),
        **SOME,
        num_turns=120,
        bootstrap=float(batch.bootstrap[0]),
    )
    same(batch(SOME).turn_advantages[0], want.turn_advantages)


# --- the laws -----------------------------------------------------------------


@given(batches(turns=(1, 1), tokens=(1, 8)), discounts, st.booleans())
@law
def test_law_1_one_turn_is_token_gae(
    batch: Batch, gammas: dict[str, float], truncated: bool
) -> None:
    if truncated:
        gammas = {**gammas, "gamma_turn": gammas["gamma_token"]}
    else:
        batch = replace(batch, bootstrap=torch.zeros_like(batch.bootstrap))
    for token_rewards in (None, batch.token_rewards):
        got = batch(gammas, token_rewards=token_rewards)
        for row in range(len(batch.values)):
            [(_, own)] = batch.own(row)
            rewards = [0.0 if token_rewards is None else float(token_rewards[row, t]) for t in own]
            rewards[-1] += float(batch.turn_rewards[row, 0])
            want = gae(
                rewards,
                batch.values[row, own].tolist(),
                float(batch.bootstrap[row]),
                gammas["gamma_token"],
                gammas["lam_token"],
            )
            same(got.advantages[row, own], want)


@given(batches(tokens=(1, 1)), discounts)
@law
def test_law_2_turns_of_one_token_are_turn_gae(batch: Batch, gammas: dict[str, float]) -> None:
    got = batch(gammas)
    for row in range(len(batch.values)):
        own = [positions[0] for _, positions in batch.own(row)]
        want = gae(
            batch.turn_rewards[row, : len(own)].tolist(),
            batch.values[row, own].tolist(),
            float(batch.bootstrap[row]),
            gammas["gamma_turn"],
            gammas["lam_turn"],
        )
        same(got.advantages[row, own], want)
        same(got.turn_advantages[row, : len(own)], want)


@given(batches())
@law
def test_law_3_without_discount_it_is_the_return_to_go_less_v(batch: Batch) -> None:
    got = batch(ONES)
    for row in range(len(batch.values)):
        for turn, own in batch.own(row):
            paid = batch.turn_rewards[row, turn : int(batch.num_turns[row])].sum()
            to_go = paid + batch.bootstrap[row]
            same(got.advantages[row, own], to_go - batch.values[row, own])
            same(got.returns[row, own], to_go.expand(len(own)))


@given(batches(), unit, unit)
@law
def test_law_4_without_token_discount_the_turn_is_one_action(
    batch: Batch, gamma: float, lam: float
) -> None:
    got = batch({**ONES, "gamma_turn": gamma, "lam_turn": lam})
    for row in range(len(batch.values)):
        for turn, own in batch.own(row):
            if own:
                written_back = got.turn_advantages[row, turn] + batch.values[row, own[-1]]
                same(got.advantages[row, own], written_back - batch.values[row, own])


@given(batches(), discounts)
@law
def test_law_5_constant_values_decay_geometrically(batch: Batch, gammas: dict[str, float]) -> None:
    values = batch.values.clone()
    for row in range(len(values)):
        for turn, own in batch.own(row):
            values[row, own] = 0.5 * turn - 1.0
    gammas = {**gammas, "gamma_token": 1.0}
    got = replace(batch, values=values)(gammas)
    for row in range(len(values)):
        for turn, own in batch.own(row):
            want = [
                float(got.turn_advantages[row, turn]) * gammas["lam_token"] ** (len(own) - 1 - j)
                for j in range(len(own))
            ]
            same(got.advantages[row, own], want)


@given(batches(turns=(1, 5)), discounts, st.data())
@law
def test_law_6_credit_of_one_reward(
    batch: Batch, gammas: dict[str, float], data: st.DataObject
) -> None:
    paid_at = data.draw(st.integers(0, int(batch.num_turns.min()) - 1))
    more = batch.turn_rewards.clone()
    more[:, paid_at] += 1.0
    got = replace(batch, turn_rewards=more)(gammas).advantages - batch(gammas).advantages
    between = gammas["gamma_turn"] * gammas["lam_turn"]
    inside = gammas["gamma_token"] * gammas["lam_token"]
    for row in range(len(batch.values)):
        for turn, own in batch.own(row):
            for j, t in enumerate(own):
                late = turn > paid_at
                weight = 0.0 if late else between ** (paid_at - turn) * inside ** (len(own) - 1 - j)
                same(got[row, t], weight)


@given(batches(tokens=(1, 5)), discounts)
@law
def test_law_7_a_right_critic_leaves_nothing(batch: Batch, gammas: dict[str, float]) -> None:
    values = batch.values.clone()
    for row in range(len(values)):
        after = batch.bootstrap[row]
        for turn, own in reversed(batch.own(row)):
            after = batch.turn_rewards[row, turn] + gammas["gamma_turn"] * after
            for j, t in enumerate(reversed(own)):
                values[row, t] = after * gammas["gamma_token"] ** j
            after = values[row, own[-1]]
    got = replace(batch, values=values)(gammas)
    same(got.advantages, torch.zeros_like(values))
    same(got.turn_advantages, torch.zeros_like(got.turn_advantages))
    same(got.returns, replace(batch, values=values).where_masked(values, 0.0))


@given(batches(), discounts, st.integers(0, 10**6), st.sampled_from(["writeback", "literal"]))
@law
def test_law_8_linear_in_rewards_and_values(
    batch: Batch, gammas: dict[str, float], seed: int, mode: str
) -> None:
    draw = torch.Generator().manual_seed(seed)

    def mixed(a: Tensor, b: Tensor) -> Tensor:
        return 2.0 * a - 3.0 * b

    def like(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=draw, dtype=F64)

    other = replace(
        batch,
        turn_rewards=like(batch.turn_rewards),
        values=like(batch.values),
        bootstrap=like(batch.bootstrap),
    )
    both = replace(
        batch,
        turn_rewards=mixed(batch.turn_rewards, other.turn_rewards),
        values=mixed(batch.values, other.values),
        bootstrap=mixed(batch.bootstrap, other.bootstrap),
    )
    results = [b(gammas, pseudo_reward=mode) for b in (batch, other, both)]
    for a, b, got in zip(*results, strict=True):
        same(got, mixed(a, b))


@given(batches(), discounts)
@law
def test_law_9_masked_places_have_no_effect(batch: Batch, gammas: dict[str, float]) -> None:
    options = {"token_rewards": batch.token_rewards, "keep_turn": batch.keep_turn}
    want = batch(gammas, **options)
    for fill in (0.0, 1e30, math.inf, -math.inf):
        other = replace(
            batch,
            values=batch.where_masked(batch.values, fill),
            turn_rewards=batch.turn_rewards.nan_to_num(nan=fill),
        )
        options["token_rewards"] = batch.where_masked(batch.token_rewards, fill)
        for left, right in zip(other(gammas, **options), want, strict=True):
            assert left.equal(right)


@given(batches(), discounts, st.integers(0, 3), st.integers(0, 3))
@law
def test_law_9_padding_changes_nothing(
    batch: Batch, gammas: dict[str, float], left: int, right: int
) -> None:
    padded = replace(
        batch,
        values=torch.nn.functional.pad(batch.values, (left, right), value=NAN),
        turn_index=torch.nn.functional.pad(batch.turn_index, (left, right), value=-1),
        turn_rewards=torch.nn.functional.pad(batch.turn_rewards, (0, right), value=NAN),
    )
    got, want = padded(gammas), batch(gammas)
    width, turns = batch.values.shape[1], batch.turn_rewards.shape[1]
    same(got.advantages[:, left : left + width], want.advantages)
    same(got.returns[:, left : left + width], want.returns)
    same(got.turn_advantages[:, :turns], want.turn_advantages)
    assert got.advantages.count_nonzero() == want.advantages.count_nonzero()
    assert not got.turn_advantages[:, turns:].any()


@given(batches(), discounts)
@law
def test_law_9_batch_order_and_splits_change_nothing(
    batch: Batch, gammas: dict[str, float]
) -> None:
    whole = batch(gammas)
    size = len(batch.values)

    def rows(index: list[int]) -> HierarchicalAdvantages:
        return Batch(**{name: field[index] for name, field in vars(batch).items()})(gammas)

    backwards = list(range(size))[::-1]
    same_all(rows(backwards), HierarchicalAdvantages(*(part.flip(0) for part in whole)))
    for row in range(size):
        same_all(rows([row]), HierarchicalAdvantages(*(part[[row]] for part in whole)))


@pytest.mark.parametrize("broken", [NAN, math.inf, 1e300])
def test_law_10_seats_do_not_touch_each_other(broken: float) -> None:
    batch = make_batch([[2, 3], [4, 0, 1], [1, 1]], seed=3)
    want = batch(SOME)
    for tensor in (batch.values, batch.turn_rewards, batch.token_rewards):
        tensor[1] = broken
    batch.bootstrap[1] = broken
    batch.turn_index[1] = -1
    got = batch(SOME)
    for left, right in zip(got, want, strict=True):
        same(left[[0, 2]], right[[0, 2]])
    assert not got.advantages[1].any()


@given(batches(turns=(1, 5)), discounts)
@law
def test_law_11_truncation_bootstraps(batch: Batch, gammas: dict[str, float]) -> None:
    zero = replace(batch, bootstrap=torch.zeros_like(batch.bootstrap))
    terminated = hierarchical_advantages(
        batch.turn_rewards, batch.values, batch.turn_index, num_turns=batch.num_turns, **gammas
    )
    same_all(zero(gammas), terminated)
    got = batch(gammas).turn_advantages - terminated.turn_advantages
    between = gammas["gamma_turn"] * gammas["lam_turn"]
    for row, last in enumerate((batch.num_turns - 1).tolist()):
        for turn in range(last + 1):
            reach = gammas["gamma_turn"] * between ** (last - turn)
            same(got[row, turn], float(batch.bootstrap[row]) * reach)


def test_law_11_is_decided_per_row() -> None:
    batch = make_batch([[2, 1], [2, 1]], seed=1)
    one = replace(batch, bootstrap=torch.tensor([7.0, 0.0], dtype=F64))(SOME)
    none = replace(batch, bootstrap=torch.zeros(2, dtype=F64))(SOME)
    assert not one.advantages[0].equal(none.advantages[0])
    assert one.advantages[1].equal(none.advantages[1])


def test_law_12_silent_turn_in_the_middle_repeats_the_value_before_it() -> None:
    got = plain([1.0, 2.0, 4.0], [3.0, 5.0], [0, 2])
    last = 4 - 5.0
    silent = 2 + 0.9 * 5 - 3 + 0.72 * last
    first = 1 + 0.9 * 3 - 3 + 0.72 * silent
    same(got.turn_advantages, [[first, silent, last]])
    same(got.advantages, [[first, last]])


def test_law_12_silent_turns_in_a_row() -> None:
    got = plain([1.0, 2.0, 4.0, 8.0], [3.0, 5.0], [0, 3], **{**ONES, "lam_turn": 0.0})
    same(got.turn_advantages, [[1.0, 2.0, 4.0 + 5 - 3, 8.0 - 5]])


def test_law_12_silent_turn_at_the_front_has_value_zero() -> None:
    got = plain([1.0, 2.0], [3.0], [1])
    same(got.turn_advantages, [[1 + 0.9 * 3 - 0 + 0.72 * (2 - 3), 2 - 3.0]])
    same(got.advantages, [[2 - 3.0]])


def test_law_12_silent_turns_at_the_end_need_num_turns() -> None:
    number = torch.tensor([3])
    boot = torch.tensor([10.0], dtype=F64)
    got = plain([1.0, 2.0, 4.0, NAN], [3.0], [0], num_turns=number, bootstrap=boot)
    last = 4 + 0.9 * 10 - 3
    middle = 2 + 0.9 * 3 - 3 + 0.72 * last
    first = 1 + 0.9 * 3 - 3 + 0.72 * middle
    same(got.turn_advantages, [[first, middle, last, 0]])
    same(got.advantages, [[first]])
    same(plain([1.0, 2.0, 4.0, NAN], [3.0], [0]).turn_advantages, [[1 - 3.0, 0, 0, 0]])


def test_law_12_a_seat_that_never_speaks() -> None:
    got = plain([1.0, 2.0], [NAN, NAN], [-1, -1], num_turns=torch.tensor([2]))
    same(got.turn_advantages, [[1 + 0.72 * 2, 2.0]])
    same(got.advantages, [[0, 0]])
    same(got.returns, [[0, 0]])
