"""Hierarchical advantages: the laws that any right implementation obeys."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omar_trainers.advantages import HierarchicalAdvantages, hierarchical_advantages, whiten
from torch import Tensor

from tests.trainers.reference_advantages import gae, reference_row

NAN = math.nan
F64 = torch.float64


@dataclass(frozen=True)
class Batch:
    """Arguments of ``hierarchical_advantages``; masked places hold NaN."""

    turn_rewards: Tensor
    values: Tensor
    turn_index: Tensor
    num_turns: Tensor
    bootstrap: Tensor
    token_rewards: Tensor
    keep_turn: Tensor

    def __call__(self, discounts: dict[str, float], **options: Any) -> HierarchicalAdvantages:
        return hierarchical_advantages(
            self.turn_rewards,
            self.values,
            self.turn_index,
            num_turns=self.num_turns,
            bootstrap=self.bootstrap,
            **discounts,
            **options,
        )

    def own(self, row: int) -> list[tuple[int, list[int]]]:
        """The row's turns in order, each with the positions of its tokens."""
        index = self.turn_index[row].tolist()
        return [
            (turn, [t for t, k in enumerate(index) if k == turn])
            for turn in range(int(self.num_turns[row]))
        ]

    def where_masked(self, tensor: Tensor, fill: float) -> Tensor:
        return torch.where(self.turn_index >= 0, tensor, fill)


def make_batch(lengths: list[list[int]], seed: int, *, gaps: bool = True) -> Batch:
    """One row per list of turn lengths; 0 is a silent turn.

    Prompts of 0 to 3 tokens stand before and between the turns, after the last
    one, and, with ``gaps``, now and then inside a turn.
    """
    draw = torch.Generator().manual_seed(seed)

    def few(below: int) -> int:
        return int(torch.randint(below, (), generator=draw))

    rows: list[list[int]] = []
    for row_lengths in lengths:
        row = [-1] * few(4)
        for turn, length in enumerate(row_lengths):
            for token in range(length):
                row += [-1] * (1 if gaps and token and few(4) == 0 else 0)
                row.append(turn)
            row += [-1] * few(4)
        rows.append(row)
    width = max(len(row) for row in rows) + few(3)
    left = [few(width - len(row) + 1) for row in rows]
    rows = [
        [-1] * n + row + [-1] * (width - n - len(row)) for n, row in zip(left, rows, strict=True)
    ]
    turns = max(len(row) for row in lengths) + few(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=F64)

    turn_index = torch.tensor(rows, dtype=torch.int64).reshape(len(rows), width)
    num_turns = torch.tensor([len(row) for row in lengths])
    beyond = torch.arange(turns) >= num_turns[:, None]
    masked = turn_index < 0
    return Batch(
        turn_rewards=normal(len(rows), turns).masked_fill(beyond, NAN),
        values=normal(len(rows), width).masked_fill(masked, NAN),
        turn_index=turn_index,
        num_turns=num_turns,
        bootstrap=normal(len(rows)),
        token_rewards=normal(len(rows), width).masked_fill(masked, NAN),
        keep_turn=torch.rand(len(rows), turns, generator=draw) < 0.7,
    )


def batches(
    *, turns: tuple[int, int] = (0, 5), tokens: tuple[int, int] = (0, 5), gaps: bool = True
) -> st.SearchStrategy[Batch]:
    row = st.lists(st.integers(*tokens), min_size=turns[0], max_size=turns[1])
    lengths = st.lists(row, min_size=1, max_size=4)
    return st.builds(lambda n, seed: make_batch(n, seed, gaps=gaps), lengths, st.integers(0, 10**6))


law = settings(max_examples=50, deadline=None)
unit = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0.0, 1.0))
discounts = st.fixed_dictionaries(
    {"gamma_turn": unit, "lam_turn": unit, "gamma_token": unit, "lam_token": unit}
)
SOME = {"gamma_turn": 0.9, "lam_turn": 0.8, "gamma_token": 0.95, "lam_token": 0.7}
ONES = {"gamma_turn": 1.0, "lam_turn": 1.0, "gamma_token": 1.0, "lam_token": 1.0}


def same(got: Tensor, want: Tensor | list[Any]) -> None:
    want = torch.as_tensor(want, dtype=got.dtype)
    torch.testing.assert_close(got, want.reshape(got.shape), rtol=1e-10, atol=1e-10)


def same_all(got: HierarchicalAdvantages, want: HierarchicalAdvantages) -> None:
    for left, right in zip(got, want, strict=True):
        same(left, right)


def plain(
    rewards: list[float], values: list[float], index: list[int], **options: Any
) -> HierarchicalAdvantages:
    """One row from lists, with ``SOME`` discounts unless others are given."""
    arguments: dict[str, Any] = {**SOME, **options}
    return hierarchical_advantages(
        torch.tensor([rewards], dtype=F64),
        torch.tensor([values], dtype=F64),
        torch.tensor([index], dtype=torch.int64),
        **arguments,
    )


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


def test_what_lies_beyond_num_turns_does_not_exist() -> None:
    index = [-1, 0, 0, 1, 2, 2, -1]
    values = [NAN, 1.0, 2.0, 3.0, NAN, NAN, NAN]
    boot = torch.tensor([6.0], dtype=F64)
    keep = torch.tensor([[True, True, False]])
    for mode in ("writeback", "literal"):
        got = plain(
            [1.0, 2.0, NAN],
            values,
            index,
            num_turns=torch.tensor([2]),
            bootstrap=boot,
            keep_turn=keep,
            pseudo_reward=mode,
        )
        want = plain([1.0, 2.0], values[:4], index[:4], bootstrap=boot, pseudo_reward=mode)
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
    hierarchical_advantages(**arguments())


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
    ],
)
def test_bad_arguments_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hierarchical_advantages(**arguments(**changes))


# --- whitening --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_whitening_is_over_the_unmasked_tokens_only(dtype: torch.dtype) -> None:
    mask = torch.tensor([[True, False, True], [False, True, True]])
    advantages = torch.tensor([[1.0, NAN, 2.0], [math.inf, 3.0, 6.0]], dtype=dtype)
    got = whiten(advantages, mask)
    assert got.dtype == dtype
    assert not got[~mask].any()
    spread = math.sqrt((4 + 1 + 0 + 9) / 4)
    want = torch.tensor([-2.0, -1.0, 0.0, 3.0], dtype=dtype) / spread
    torch.testing.assert_close(got[mask], want)


def test_whitening_nothing_or_equal_advantages_gives_zero() -> None:
    advantages = torch.full((2, 3), 4.0, requires_grad=True)
    for mask in (torch.zeros(2, 3).bool(), torch.eye(2, 3).bool(), torch.ones(2, 3).bool()):
        got = whiten(advantages, mask)
        assert not got.any()
        assert not got.requires_grad


def test_whitening_refuses_other_masks() -> None:
    with pytest.raises(ValueError, match="mask has shape"):
        whiten(torch.zeros(2, 3), torch.ones(2, 2).bool())
    with pytest.raises(ValueError, match="mask has dtype"):
        whiten(torch.zeros(2, 3), torch.ones(2, 3))
