"""The arena's statistics: calibrated where nothing is to be found, and where something is."""

from __future__ import annotations

import math
from itertools import product
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.arena import (
    evaluate,
    mean_difference,
    score_difference,
    seeds_to_find,
    settling,
    sign_flip_test,
)
from omar_envs.errors import ConfigError

DIFFERENCES = st.lists(st.floats(-5, 5), min_size=1, max_size=9)


def planted(rng: np.random.Generator, seeds: int, edge: float) -> list[float]:
    """A's score per seed where the wolves win 70%, and A wins ``edge`` more often than B."""
    as_wolf = rng.random(seeds) < 0.7 + edge / 2
    as_village = rng.random(seeds) < 0.3 + edge / 2
    return [float(score) for score in (as_wolf.astype(float) + as_village) / 2]


# --- nothing to be found ----------------------------------------------------


def test_scripted_against_scripted_covers_one_half() -> None:
    """Small repeats are drawn from real games, with A and B named by a coin.

    Either is A equally often, so that the truth is 1/2 exactly.
    """
    small = {"num_players": 5, "discussion_rounds": 1}
    played = evaluate(
        ["scripted", "scripted"], env="werewolf", settings=small, games=200, control=False
    )
    scores = np.array(played.matches[0].seed_scores)
    assert len(set(scores)) > 1
    rng = np.random.default_rng(1)
    repeats = 600
    covered = 0
    for _ in range(repeats):
        drawn = rng.choice(scores, 25)
        named = np.where(rng.random(25) < 0.5, drawn, 1 - drawn)
        found = score_difference(list(named), per_seed=2)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0 <= found.high
    assert 0.925 <= covered / repeats <= 0.985


@pytest.mark.parametrize("seeds", [8, 40])
def test_the_test_finds_nothing_by_chance_in_one_of_twenty(seeds: int) -> None:
    rng = np.random.default_rng(2)
    found = [
        score_difference(planted(rng, seeds, 0.0), per_seed=2).p_value < 0.05 for _ in range(400)
    ]
    assert fmean(found) <= 0.07


def test_students_interval_covers() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(1000):
        found = mean_difference(list(rng.normal(0.3, 1.0, 6)))
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.3 <= found.high
    assert 0.93 <= covered / 1000 <= 0.97


# --- something to be found --------------------------------------------------


def test_a_planted_edge_of_five_points_is_found_at_the_size_that_it_says() -> None:
    rng = np.random.default_rng(4)
    pilot = score_difference(planted(rng, 100_000, 0.05), per_seed=2)
    assert pilot.spread is not None
    seeds = seeds_to_find(0.05, pilot.spread, power=0.8)
    found = [
        score_difference(planted(rng, seeds, 0.05), per_seed=2).p_value < 0.05 for _ in range(250)
    ]
    assert 0.72 <= fmean(found) <= 0.88


def test_so_many_games_more_would_settle_it() -> None:
    """What an unsettled run says of the games to come holds if things are as they look."""
    rng = np.random.default_rng(5)
    scores = planted(rng, 60, 0.2)
    difference = score_difference(scores, per_seed=2)
    told = settling(difference, per_seed=2)
    assert not told.settled and told.games is not None and told.more is not None
    assert told.more == told.games - 120 > 0
    assert difference.spread is not None
    assert told.games == 2 * max(61, seeds_to_find(difference.mean, difference.spread))
    centred = np.array(scores) * 2 - 1
    again = [
        sign_flip_test(list(rng.choice(centred, told.games // 2)), seed=i)[0] < 0.05
        for i in range(200)
    ]
    assert 0.7 <= fmean(again) <= 0.9


def test_what_is_found_is_settled() -> None:
    told = settling(score_difference([1.0] * 10, per_seed=2), per_seed=2)
    assert told.settled and told.more == 0 and told.games == 20


def test_no_number_is_made_up_where_nothing_was_seen() -> None:
    for scores in ([0.5] * 10, [1.0, 0.0] * 5, [1.0]):
        told = settling(score_difference(scores, per_seed=2), per_seed=2)
        assert not told.settled and told.games is None and told.more is None


def test_fewer_than_six_seeds_find_nothing_however_clear() -> None:
    assert score_difference([1.0] * 5, per_seed=2).p_value > 0.05
    assert score_difference([1.0] * 6, per_seed=2).p_value < 0.05
    assert settling(score_difference([1.0] * 5, per_seed=2), per_seed=2).more == 2


# --- laws of the sign-flip test ---------------------------------------------


@given(DIFFERENCES)
def test_the_exact_test_is_the_share_of_sign_flips_at_least_as_far_out(
    differences: list[float],
) -> None:
    seen = abs(math.fsum(differences)) - 1e-9 * math.fsum(map(abs, differences))
    flips = list(product((-1, 1), repeat=len(differences)))
    sums = [math.fsum(s * d for s, d in zip(signs, differences, strict=True)) for signs in flips]
    share = fmean(abs(total) >= seen for total in sums)
    p_value, exact = sign_flip_test(differences)
    assert exact and p_value == pytest.approx(share, abs=2 / len(flips))


@given(DIFFERENCES, st.floats(0.01, 100))
def test_neither_sign_nor_scale_nor_order_matters(differences: list[float], scale: float) -> None:
    p_value, _ = sign_flip_test(differences)
    assert sign_flip_test([-each for each in differences])[0] == p_value
    assert sign_flip_test(differences[::-1])[0] == pytest.approx(p_value)
    assert 0 < p_value <= 1


def test_drawn_flips_agree_with_scipy() -> None:
    from scipy.stats import permutation_test

    rng = np.random.default_rng(6)
    values = rng.normal(0.25, 1.0, 60)
    theirs = permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=20_000, rng=rng
    )
    p_value, exact = sign_flip_test(list(values))
    assert not exact
    assert p_value == pytest.approx(theirs.pvalue, abs=0.02)
    assert sign_flip_test(list(values)) == (p_value, exact)
    assert sign_flip_test([float(v) for v in values] + [0.0] * 50)[0] == p_value


@pytest.mark.parametrize(
    "arguments", [(0.0, 1.0, 0.8), (0.1, -1.0, 0.8), (0.1, 1.0, 0.0), (0.1, 1.0, 1.0)]
)
def test_impossible_sizes_are_refused(arguments: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError):
        seeds_to_find(*arguments)


@given(st.floats(0.01, 2), st.floats(0, 3), st.floats(0.1, 0.95))
def test_smaller_effects_and_wider_spreads_need_more(
    effect: float, spread: float, power: float
) -> None:
    seeds = seeds_to_find(effect, spread, power)
    assert seeds >= 6
    assert seeds_to_find(effect / 2, spread, power) >= seeds
    assert seeds_to_find(effect, 2 * spread, power) >= seeds
    assert seeds_to_find(-effect, spread, power) == seeds
