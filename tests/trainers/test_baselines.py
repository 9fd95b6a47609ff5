"""The plain estimators: token GAE and the running mean per role."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from omar_trainers.advantages import hierarchical_advantages
from omar_trainers.baselines import RoleBaseline, token_gae
from tests.trainers.reference_advantages import reference_token_gae_row

F64 = torch.float64
NAN = math.nan


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
