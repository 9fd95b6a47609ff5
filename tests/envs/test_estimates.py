"""Shares and means over games: their values, and intervals that respect the games."""

from __future__ import annotations

from fractions import Fraction
from statistics import NormalDist, fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.intervals import wilson
from omar_envs.werewolf.estimates import Estimate, Observation, estimate


def share(*games: tuple[int, int]) -> Estimate:
    observed = ([Observation("x", hits, chances)] for hits, chances in games)
    return estimate(observed, lambda name: "share")["x"]


tallies = st.integers(1, 9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_one_chance_per_game_is_plain_wilson(won: list[bool]) -> None:
    found = share(*((hit, 1) for hit in won))
    assert (found.low, found.high) == pytest.approx(wilson(sum(won), len(won)))


@given(st.lists(tallies, min_size=1, max_size=20))
def test_shares_lie_in_their_intervals(games: list[tuple[int, int]]) -> None:
    found = share(*games)
    hits, chances = (sum(column) for column in zip(*games, strict=True))
    assert found.value is not None and found.low is not None and found.high is not None
    assert found.value == pytest.approx(float(Fraction(hits, chances)))
    assert 0 <= found.low <= found.value <= found.high <= 1
    plain = wilson(hits, chances)
    assert found.high - found.low >= plain.high - plain.low - 1e-12


@given(st.lists(tallies, min_size=2, max_size=12))
def test_counting_the_same_thing_often_does_not_narrow(games: list[tuple[int, int]]) -> None:
    """However often each chance of a game is copied, the evidence is that games differ."""
    often, oftener = (
        share(*((hits * times, chances * times) for hits, chances in games))
        for times in (10**9, 10**10)
    )
    assert often.value == pytest.approx(oftener.value)
    assert (often.low, often.high) == pytest.approx((oftener.low, oftener.high))


def test_games_that_differ_more_than_chance_widen_a_share() -> None:
    split, mixed = share((8, 8), (0, 8), (8, 8), (0, 8)), share((4, 8), (5, 8), (3, 8), (4, 8))
    assert (split.low, split.high) == pytest.approx(wilson(2, 4))
    assert (mixed.low, mixed.high) == pytest.approx(wilson(16, 32))


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=30))
def test_a_mean_of_one_value_per_game_has_the_standard_error(values: list[int]) -> None:
    found = estimate(([Observation("x", value)] for value in values), lambda name: "mean")["x"]
    reach = NormalDist().inv_cdf(0.975) * stdev(values) / len(values) ** 0.5
    assert found.value == pytest.approx(fmean(values))
    assert (found.low, found.high) == pytest.approx((found.value - reach, found.value + reach))
    assert found.n == found.games == len(values)


def test_one_game_gives_no_interval_of_a_mean() -> None:
    games = [[Observation("x", 1.0), Observation("x", 3.0)]]
    assert estimate(games, lambda name: "mean")["x"] == Estimate("mean", 2.0, None, None, 2, 1)
