"""Confidence intervals: known values, laws, and coverage."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.errors import ConfigError
from omar_envs.intervals import paired_wilson, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_values(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_mirrors(counts: tuple[int, int]) -> None:
    successes, n = counts
    low, high = wilson(successes, n)
    assert 0.0 <= low <= successes / n <= high <= 1.0
    assert low < high
    mirrored = wilson(n - successes, n)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((low, high), abs=1e-12)


@given(st.integers(0, 50), st.integers(2, 10))
def test_wilson_narrows_with_more_trials(successes: int, factor: int) -> None:
    small, large = wilson(successes, 50), wilson(successes * factor, 50 * factor)
    assert large.high - large.low < small.high - small.low


def test_nothing_tried_nothing_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert paired_wilson([]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("successes", "n", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 0.0), (1, 2, 1.0)]
)
def test_wilson_refuses_what_is_impossible(successes: int, n: int, confidence: float) -> None:
    with pytest.raises(ConfigError):
        wilson(successes, n, confidence)


def test_paired_wilson_refuses_scores_outside_the_unit_interval() -> None:
    with pytest.raises(ConfigError, match="score"):
        paired_wilson([0.5, 1.5])


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=60))
def test_paired_wilson_holds_the_mean(scores: list[float]) -> None:
    low, high = paired_wilson(scores)
    assert 0.0 <= low <= sum(scores) / len(scores) <= high <= 1.0
    assert low < high


def test_equal_scores_count_their_trials() -> None:
    assert paired_wilson([0.5] * 20) == wilson(20, 40)
    assert paired_wilson([1.0] * 20) == wilson(40, 40)


def test_games_of_a_pair_that_cancel_narrow_the_interval() -> None:
    cancelling = paired_wilson([0.5] * 18 + [1.0, 0.0])
    agreeing = paired_wilson([1.0, 0.0] * 10)
    unpaired = wilson(20, 40)
    assert cancelling.high - cancelling.low < unpaired.high - unpaired.low
    assert unpaired.high - unpaired.low < agreeing.high - agreeing.low


@pytest.mark.parametrize("shared_luck", [0.0, 0.7])
@pytest.mark.parametrize(("as_wolf", "as_village"), [(0.55, 0.45), (0.75, 0.35)])
def test_paired_wilson_covers(as_wolf: float, as_village: float, shared_luck: float) -> None:
    """In both games of a seed a low number favours the wolves, often the same number."""
    rng = random.Random(7)
    truth, covered, runs = (as_wolf + as_village) / 2, 0, 600
    for _ in range(runs):
        scores = []
        for _ in range(40):
            first = rng.random()
            second = first if rng.random() < shared_luck else rng.random()
            scores.append(((first < as_wolf) + (second > 1 - as_village)) / 2)
        low, high = paired_wilson(scores)
        covered += low <= truth <= high
    assert 0.92 <= covered / runs <= 0.98
