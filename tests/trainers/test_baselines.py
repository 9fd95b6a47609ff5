"""The plain estimators: GAE over tokens and over turns, the running mean per role, the group."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from omar_trainers.advantages import hierarchical_advantages
from omar_trainers.baselines import (
    RoleBaseline,
    TokenAdvantages,
    group_advantages,
    token_gae,
    turn_gae,
)
from tests.trainers.advantage_batches import Batch, batches, law, same, unit
from tests.trainers.reference_advantages import gae, reference_token_gae_row

F64 = torch.float64
NAN = math.nan
seeds = st.integers(0, 10**6)


def row(**changes: Any) -> dict[str, Any]:
    """Prompts, a turn, a silent turn, a turn; NaN wherever it must not matter."""
    good: dict[str, Any] = {
        "turn_rewards": torch.tensor([[1.0, 2.0, 4.0, NAN]], dtype=F64),
        "values": torch.tensor([[NAN, 0.5, -1.0, NAN, 2.0, 0.3, NAN]], dtype=F64),
        "turn_index": torch.tensor([[-1, 0, 0, -1, 2, 2, -1]]),
        "num_turns": torch.tensor([3]),
        "bootstrap": torch.tensor([3.0], dtype=F64),
        "token_rewards": torch.tensor([[NAN, 0.1, 0.2, NAN, 0.3, 0.4, NAN]], dtype=F64),
        "keep_turn": torch.tensor([[True, False, True, True]]),
    }
    return {**good, **changes}


def as_lists(arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value[0].tolist() if isinstance(value, Tensor) else value
        for name, value in arguments.items()
    }


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"keep_turn": torch.tensor([[False, False, True, True]])},
        {"keep_turn": torch.tensor([[True, True, False, True]])},
        {"turn_index": torch.tensor([[-1, 1, 1, -1, 2, 2, -1]])},
        {"num_turns": torch.tensor([2])},
        {"turn_index": torch.full((1, 7), -1)},
        {"bootstrap": torch.zeros(1, dtype=F64)},
    ],
)
def test_token_gae_is_gae_along_own_tokens(
    changes: dict[str, Any], gamma: float, lam: float
) -> None:
    got = token_gae(**row(**changes), gamma=gamma, lam=lam)
    advantages, returns = reference_token_gae_row(**as_lists(row(**changes)), gamma=gamma, lam=lam)
    torch.testing.assert_close(got.advantages[0], torch.tensor(advantages, dtype=F64))
    torch.testing.assert_close(got.returns[0], torch.tensor(returns, dtype=F64))


def test_token_gae_of_one_turn_is_the_hierarchical_estimate() -> None:
    arguments = row(
        turn_index=torch.tensor([[-1, 0, 0, -1, 0, 0, -1]]),
        num_turns=torch.tensor([1]),
        keep_turn=None,
    )
    got = token_gae(**arguments, gamma=0.9, lam=0.8)
    want = hierarchical_advantages(
        **arguments, gamma_turn=0.9, lam_turn=0.3, gamma_token=0.9, lam_token=0.8
    )
    torch.testing.assert_close(got.advantages, want.advantages)
    torch.testing.assert_close(got.returns, want.returns)


def test_token_gae_checks_what_it_is_given() -> None:
    with pytest.raises(ValueError, match="gamma is 1"):
        token_gae(**row(), gamma=1.5, lam=1.0)
    with pytest.raises(ValueError, match="turn_index has shape"):
        token_gae(**row(turn_index=torch.zeros(1, 2).long()), gamma=1.0, lam=1.0)


def test_token_gae_lets_no_gradient_through() -> None:
    arguments = row()
    arguments["values"].requires_grad_(True)
    got = token_gae(**arguments, gamma=1.0, lam=1.0)
    assert not got.advantages.requires_grad and not got.returns.requires_grad


# --- GAE over turns -------------------------------------------------------------


def by_turn(batch: Batch, gamma: float, lam: float, **changes: Any) -> TokenAdvantages:
    arguments: dict[str, Any] = {
        "turn_rewards": batch.turn_rewards,
        "values": batch.values,
        "turn_index": batch.turn_index,
        "num_turns": batch.num_turns,
        "bootstrap": batch.bootstrap,
    }
    return turn_gae(**(arguments | changes), gamma=gamma, lam=lam)


@law
@given(batches(), unit, unit)
def test_turn_gae_is_gae_over_turns_from_their_first_tokens(
    batch: Batch, gamma: float, lam: float
) -> None:
    got = by_turn(batch, gamma, lam)
    for i in range(len(batch.values)):
        starts: list[float] = []
        for _, positions in batch.own(i):
            silent = starts[-1] if starts else 0.0
            starts.append(float(batch.values[i, positions[0]]) if positions else silent)
        rewards = batch.turn_rewards[i].tolist()[: len(starts)]
        want = gae(rewards, starts, float(batch.bootstrap[i]), gamma, lam)
        advantages, returns = torch.zeros(2, batch.values.shape[1], dtype=F64)
        for turn, positions in batch.own(i):
            advantages[positions] = want[turn]
            returns[positions] = want[turn] + starts[turn]
        same(got.advantages[i], advantages)
        same(got.returns[i], returns)


@law
@given(batches(tokens=(0, 1)), unit, unit)
def test_with_one_token_per_turn_turn_gae_is_the_hierarchical_estimate(
    batch: Batch, gamma: float, lam: float
) -> None:
    got = by_turn(batch, gamma, lam, token_rewards=None)
    want = batch({"gamma_turn": gamma, "lam_turn": lam, "gamma_token": 0.3, "lam_token": 0.2})
    same(got.advantages, want.advantages)
    same(got.returns, want.returns)


@law
@given(batches(tokens=(1, 1)), unit, unit)
def test_with_one_token_per_turn_and_no_silent_one_turn_gae_is_token_gae(
    batch: Batch, gamma: float, lam: float
) -> None:
    penalty = {"token_rewards": batch.token_rewards, "keep_turn": batch.keep_turn}
    got = by_turn(batch, gamma, lam, **penalty)
    want = token_gae(
        batch.turn_rewards,
        batch.values,
        batch.turn_index,
        num_turns=batch.num_turns,
        bootstrap=batch.bootstrap,
        **penalty,
        gamma=gamma,
        lam=lam,
    )
    same(got.advantages, want.advantages)
    same(got.returns, want.returns)


@law
@given(batches(), unit, unit)
def test_token_rewards_are_a_turns_own_to_turn_gae(batch: Batch, gamma: float, lam: float) -> None:
    paid = batch.turn_rewards.clone()
    for i in range(len(paid)):
        for turn, positions in batch.own(i):
            paid[i, turn] += batch.token_rewards[i, positions].sum()
    one = by_turn(batch, gamma, lam, token_rewards=batch.token_rewards)
    other = by_turn(batch, gamma, lam, turn_rewards=paid)
    same(one.advantages, other.advantages)
    same(one.returns, other.returns)


@law
@given(batches(turns=(1, 5)), unit, unit)
def test_dropped_turns_teach_nothing_and_change_no_other_turn_of_turn_gae(
    batch: Batch, gamma: float, lam: float
) -> None:
    whole = by_turn(batch, gamma, lam)
    some = by_turn(batch, gamma, lam, keep_turn=batch.keep_turn)
    kept = (batch.turn_index >= 0) & batch.keep_turn.gather(1, batch.turn_index.clamp(min=0))
    dropped = (batch.turn_index >= 0) & ~kept
    same(some.advantages, torch.where(kept, whole.advantages, 0.0))
    same(some.returns[kept], whole.returns[kept])
    same(some.returns[dropped], batch.values[dropped])


def test_only_the_first_token_of_a_turn_is_its_baseline() -> None:
    first = turn_gae(**row(keep_turn=None), gamma=0.9, lam=0.8)
    values = row()["values"].clone()
    values[0, [2, 5]] = 7.0
    assert first.advantages.equal(
        turn_gae(**row(keep_turn=None, values=values), gamma=0.9, lam=0.8).advantages
    )
    assert not turn_gae(**row(values=values), gamma=1.0, lam=1.0).returns.requires_grad


def test_turn_gae_checks_what_it_is_given() -> None:
    with pytest.raises(ValueError, match="lam is -1"):
        turn_gae(**row(), gamma=1.0, lam=-1)
    with pytest.raises(ValueError, match="turn_index falls"):
        turn_gae(**row(turn_index=torch.tensor([[2, 1, 0, 0, 0, 0, 0]])), gamma=1.0, lam=1.0)


# --- GRPO -----------------------------------------------------------------------


def test_group_advantages_are_those_of_grpo() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.0, 3.0, 5.0, 5.0, 5.0, 5.0], dtype=F64)
    got = group_advantages(rewards, torch.ones(8, dtype=torch.bool), 4)
    same(got[:4], (rewards[:4] - 1.0) / (rewards[:4].std() + 1e-4))
    assert got[4:].tolist() == [0.0] * 4


@law
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=4), seeds)
def test_absent_rows_are_as_if_the_group_had_been_smaller(
    presence: list[list[bool]], seed: int
) -> None:
    present = torch.tensor(presence)
    draw = torch.Generator().manual_seed(seed)
    rewards = torch.randn(present.shape, generator=draw, dtype=F64)
    hidden = torch.where(present, rewards, NAN)
    got = group_advantages(hidden.flatten(), present.flatten(), 3).view(present.shape)
    for group, there, advantages in zip(rewards, present, got, strict=True):
        assert not advantages[~there].any()
        count = int(there.sum())
        same(
            advantages[there],
            group_advantages(group[there], torch.ones(count, dtype=torch.bool), max(1, count)),
        )


def test_equal_rewards_leave_no_rounding_in_a_group() -> None:
    rewards = torch.full((7,), 0.1)
    assert not group_advantages(rewards, torch.arange(7) != 2, 7).any()


@pytest.mark.parametrize(
    ("rewards", "present", "size", "message"),
    [
        (torch.zeros(3), torch.ones(3, dtype=torch.bool), 2, "groups of 2"),
        (torch.zeros(2), torch.ones(3, dtype=torch.bool), 1, "present has shape"),
        (torch.zeros(2).long(), torch.ones(2, dtype=torch.bool), 2, "rewards has dtype"),
    ],
)
def test_group_advantages_refuse(rewards: Tensor, present: Tensor, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        group_advantages(rewards, present, size)


# --- the running mean per role --------------------------------------------------


def test_role_means_are_read_before_they_are_updated() -> None:
    baseline = RoleBaseline(decay=0.5)
    first = baseline.advantages(torch.tensor([1.0, 0.0]), ["wolf", "seer"])
    assert first.tolist() == [1.0, 0.0]
    assert baseline.means == {"wolf": 1.0, "seer": 0.0}
    second = baseline.advantages(torch.tensor([0.0, 0.5]), ["wolf", "wolf"])
    assert second.tolist() == [-1.0, -0.5]
    # Weights: 1/2 before, kept 1/4 of it; the two new ones bring 3/4 of 0.25.
    assert baseline.means["wolf"] == pytest.approx((0.125 * 1.0 + 0.75 * 0.25) / 0.875)
    assert baseline.means["seer"] == 0.0


def test_role_means_follow_a_constant_reward_at_once() -> None:
    baseline = RoleBaseline()
    baseline.advantages(torch.full((3,), 0.7, dtype=F64), ["wolf"] * 3)
    again = baseline.advantages(torch.full((2,), 0.7, dtype=F64), ["wolf"] * 2)
    torch.testing.assert_close(again, torch.zeros(2, dtype=F64))


def test_role_means_do_not_depend_on_the_order_in_a_batch() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.25, -1.0], dtype=F64)
    roles = ["wolf", "seer", "wolf", "wolf"]
    forward, backward = RoleBaseline(), RoleBaseline()
    forward.advantages(rewards, roles)
    backward.advantages(rewards.flip(0), roles[::-1])
    assert forward.means == pytest.approx(backward.means)


def test_role_means_survive_a_checkpoint() -> None:
    trained, resumed = RoleBaseline(), RoleBaseline()
    trained.advantages(torch.tensor([1.0, 0.25]), ["wolf", "seer"])
    resumed.load_state_dict(trained.state_dict())
    rewards, roles = torch.tensor([0.0, 0.5, 1.0]), ["seer", "wolf", "villager"]
    assert resumed.advantages(rewards, roles).equal(trained.advantages(rewards, roles))
    assert resumed.means == trained.means


def test_role_baseline_lets_no_gradient_through() -> None:
    rewards = torch.tensor([1.0], requires_grad=True)
    assert not RoleBaseline().advantages(rewards, ["wolf"]).requires_grad


@pytest.mark.parametrize(
    ("rewards", "roles", "message"),
    [
        (torch.zeros(2), ["wolf"], "1 roles for 2 rewards"),
        (torch.zeros(2, 1), ["wolf", "seer"], "rewards has shape"),
        (torch.zeros(1).long(), ["wolf"], "rewards has dtype"),
        (torch.tensor([NAN]), ["wolf"], "NaN or infinity"),
    ],
)
def test_role_baseline_refuses(rewards: Tensor, roles: list[str], message: str) -> None:
    baseline = RoleBaseline()
    with pytest.raises(ValueError, match=message):
        baseline.advantages(rewards, roles)
    assert baseline.means == {}


@pytest.mark.parametrize("decay", [1.0, -0.1, NAN])
def test_role_baseline_refuses_a_decay_that_never_moves(decay: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        RoleBaseline(decay)
