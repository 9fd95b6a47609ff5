"""What is logged about games and updates."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.policy import RandomPolicy
from omar_envs.rollout import make, run
from omar_trainers.metrics import (
    Mean,
    add_means,
    episode_means,
    explained_variance,
    kl_estimate,
    round_means,
)
from omar_trainers.selfplay import SelfPlayRound
from tests.trainers.test_selfplay import played


@given(st.lists(st.lists(st.floats(-5, 5), min_size=1, max_size=5), min_size=1, max_size=4))
def test_means_of_parts_are_the_mean_of_all(parts: list[list[float]]) -> None:
    whole = [value for part in parts for value in part]
    added = add_means({"x": Mean(sum(part), len(part))} for part in parts)
    assert added["x"].value == pytest.approx(sum(whole) / len(whole))


def test_nothing_counted_has_no_mean() -> None:
    assert math.isnan(Mean(0.0, 0).value)


def test_episode_means_against_counting_by_hand() -> None:
    games = run(lambda: make("werewolf_v0", {"num_players": 5}), RandomPolicy(1), 12, seed=3)
    means = {name: mean.value for name, mean in episode_means(games).items()}
    for team in ("village", "werewolf"):
        won = sum(game.outcome["winner"] == team for game in games) / 12
        assert means[f"win/{team}"] == pytest.approx(won)
    assert sum(value for name, value in means.items() if name.startswith("win/")) == 1.0
    seers = [
        game.total_reward(seat.agent)
        for game in games
        for seat in game.seats
        if seat.role == "seer"
    ]
    assert means["return/seer"] == pytest.approx(sum(seers) / len(seers))
    assert means["game/acts"] == sum(len(game.turns) for game in games) / 12
    assert means["game/invalid_acts"] == 0.0


def test_dummy_rows_enter_no_mean() -> None:
    games = played({"seats": 2})
    lean = round_means(SelfPlayRound(games, seats=2, filler=0))
    assert round_means(SelfPlayRound(games, seats=4, filler=0)) == lean


def test_undetermined_rewards_enter_no_mean() -> None:
    means = episode_means(played({"unscored": True}, {}).episodes)
    assert means["reward/outcome"].count == 3
    assert means["return/even"].count == 2


def test_explained_variance() -> None:
    returns = torch.tensor([[1.0, 2.0, 3.0, 99.0]])
    mask = torch.tensor([[True, True, True, False]])
    assert explained_variance(returns + 5.0, returns, mask).value == pytest.approx(1.0)
    assert explained_variance(returns * 0.0, returns, mask).value == pytest.approx(0.0)
    assert explained_variance(-returns, returns, mask).value == pytest.approx(-3.0)
    assert explained_variance(returns, torch.ones(1, 4), mask).count == 0


def test_kl_estimate_is_unbiased_and_never_negative() -> None:
    p, q = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.4, 0.4, 0.2])
    estimate = kl_estimate((q / p).log())
    assert (estimate >= 0).all()
    assert (p * estimate).sum() == pytest.approx(float((p * (p / q).log()).sum()))
