"""Ratings of many entrants: they find planted strengths, and say how sure they are."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from omar_envs.arena.ratings import ELO_PER_NAT, Scored, bradley_terry, nash_average, ratings

STRENGTHS = (1.0, 0.3, -0.2, -1.1)
NAMES = ("first", "second", "third", "fourth")


def tournament(rng: np.random.Generator, seeds: int) -> list[Scored]:
    """Two games of every two on each seed."""
    return [
        Scored(block, a, b, float(rng.random() < 1 / (1 + np.exp(STRENGTHS[b] - STRENGTHS[a]))))
        for block in range(seeds)
        for a, b in combinations(range(4), 2)
        for _ in range(2)
    ]


def test_planted_strengths_are_found_inside_their_intervals() -> None:
    found = ratings(NAMES, tournament(np.random.default_rng(0), 150), nash=True)
    assert [rating.name for rating in found] == list(NAMES)
    for rating, strength in zip(found, STRENGTHS, strict=True):
        assert rating.low < rating.elo < rating.high
        assert rating.low - 15 < ELO_PER_NAT * strength < rating.high + 15
    assert [rating.mu for rating in found] == sorted((r.mu for r in found), reverse=True)
    assert found[0].nash == pytest.approx(1.0)
    assert sum(rating.elo for rating in found) == pytest.approx(0, abs=1e-3)


def test_more_seeds_make_narrower_intervals() -> None:
    rng = np.random.default_rng(1)
    few, many = (ratings(NAMES, tournament(rng, seeds)) for seeds in (20, 320))
    for rating in many:
        wider = next(other for other in few if other.name == rating.name)
        assert rating.high - rating.low < 0.6 * (wider.high - wider.low)


def test_ratings_are_the_same_again() -> None:
    games = tournament(np.random.default_rng(2), 10)
    assert ratings(NAMES, games) == ratings(NAMES, games)


def test_the_unbeaten_have_a_finite_strength() -> None:
    strengths = bradley_terry(np.array([[0.0, 10.0], [0.0, 0.0]]))
    # Ten wins and one more draw: odds of 10.5 to 0.5.
    assert strengths[0] - strengths[1] == pytest.approx(np.log(21), abs=1e-3)


def test_two_entrants_have_the_odds_that_were_seen() -> None:
    strengths = bradley_terry(np.array([[0.0, 300.0], [100.0, 0.0]]))
    assert strengths[0] - strengths[1] == pytest.approx(np.log(300.5 / 100.5), abs=1e-3)


def test_copies_share_the_weight_of_one() -> None:
    """Rock, paper, and scissors twice: the scissors have a third together."""
    beats = np.array(
        [
            [0.0, -1.0, 1.0, 1.0],
            [1.0, 0.0, -1.0, -1.0],
            [-1.0, 1.0, 0.0, 0.0],
            [-1.0, 1.0, 0.0, 0.0],
        ]
    )
    assert nash_average(beats) == pytest.approx([1 / 3, 1 / 3, 1 / 6, 1 / 6], abs=1e-3)


def test_whom_somebody_beats_in_everything_has_no_weight() -> None:
    beats = np.array([[0.0, 0.5, 2.0], [-0.5, 0.0, 0.3], [-2.0, -0.3, 0.0]])
    assert nash_average(beats) == pytest.approx([1.0, 0.0, 0.0], abs=1e-6)


def test_equals_share_it() -> None:
    assert nash_average(np.zeros((3, 3))) == pytest.approx([1 / 3] * 3, abs=1e-4)
