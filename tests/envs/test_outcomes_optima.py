"""Scores and measures against small games enumerated here by other means.

Everything is computed with whole numbers and fractions from the rules in words: who gets
which single piece, who chooses what, which task falls to whom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from omar_envs.errors import ConfigError
from omar_envs.sotopia.mechanisms import (
    AnyOutcome,
    Assignment,
    Division,
    Matrix,
    Price,
    PublicGoods,
    Schedule,
    Split,
)
from omar_envs.sotopia.mechanisms.measures import compositions, measures
from omar_envs.sotopia.outcomes import Result
from tests.envs.settlements import (
    CHORES,
    FRIENDS,
    GRANT,
    LAMPS,
    MEETING,
    NAMES,
    NO_ZONE,
    PIANO,
    POT,
    SITE,
    STAG,
    in_turn,
    names_of,
    opened,
)

Vector = tuple[int, ...]
few = settings(max_examples=40)


def agreed(outcome: AnyOutcome, proposal: object) -> Result:
    """What it comes to when the first seat proposes and all others accept."""
    game = opened(outcome)
    others = [(seat, "accept", NAMES[0]) for seat in range(1, outcome.num_seats)]
    in_turn(game, (0, "propose", proposal))
    for act in others:
        if not game.closed:
            in_turn(game, act)
    return game.result()


def answered(outcome: AnyOutcome, answers: Iterable[object]) -> Result:
    game = opened(outcome)
    given = [(seat, answer) for seat, answer in enumerate(answers) if answer is not None]
    in_turn(game, *[(seat, "answer", answer) for seat, answer in given])
    return game.result()


def expected_measures(got: Vector, possible: set[Vector], without: Vector) -> dict[str, float]:
    """The four measures by their definitions, over every possible vector of points."""
    every = possible | {without}
    seats = range(len(got))

    def product_of_gains(points: Vector) -> int:
        result = 1
        for seat in seats:
            result *= max(0, points[seat] - without[seat])
        return result

    dominated = any(
        other != got and all(other[seat] >= got[seat] for seat in seats) for other in every
    )
    gains = [got[seat] - without[seat] for seat in seats]
    pareto_share = Fraction(0)
    if min(gains) >= 0 and max(gains) > 0:
        growth = [
            min(Fraction(v[seat] - without[seat], gains[seat]) for seat in seats if gains[seat])
            for v in every
            if all(v[seat] >= without[seat] for seat in seats if not gains[seat])
        ]
        pareto_share = 1 / max(growth)
    best_sum, best_product = max(map(sum, every)), max(map(product_of_gains, every))
    return {
        "joint_share": sum(got) / best_sum if best_sum else 0.0,
        "nash_product": product_of_gains(got) / best_product if best_product else 0.0,
        "pareto_optimal": float(not dominated),
        "pareto_share": float(pareto_share),
    }


def assert_measured(result: Result, possible: set[Vector], without: Vector) -> None:
    got = tuple(int(points) for points in result.points)
    expected = expected_measures(got, possible, without)
    assert {name: result.measures[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(("total", "parts"), [(0, 2), (0, 3), (4, 2), (5, 4)])
def test_compositions_are_all_ordered_sums(total: int, parts: int) -> None:
    every = [w for w in product(range(total + 1), repeat=parts) if sum(w) == total]
    assert sorted(map(tuple, compositions(total, parts).tolist())) == every


@settings(max_examples=150)
@given(data=st.data(), seats=st.integers(2, 3))
def test_measures_by_their_definitions(data: st.DataObject, seats: int) -> None:
    """Also where to agree is worse for somebody than not to."""
    vector = st.tuples(*[st.integers(0, 4)] * seats)
    possible = data.draw(st.lists(vector, min_size=1, max_size=5))
    without = data.draw(vector)
    got = data.draw(st.sampled_from([*possible, without]))
    found = measures(got, np.array(possible), without)
    assert found == pytest.approx(expected_measures(got, set(possible), without))


# --- division -------------------------------------------------------------------


@st.composite
def divisions(draw: st.DrawFn) -> Division:
    seats = draw(st.integers(2, 3))
    items = dict(
        zip("abc", draw(st.lists(st.integers(1, 2), min_size=1, max_size=3)), strict=False)
    )
    values = tuple(
        {item: draw(st.integers(0, 5)) for item in items} | {"a": draw(st.integers(1, 5))}
        for _ in range(seats)
    )
    outside = draw(st.sampled_from([(), (1,) * seats]))
    return Division(items, values, outside)


def handed_out(outcome: Division) -> Iterable[tuple[Vector, dict[str, dict[str, int]]]]:
    """Every way to give single pieces away: points by hand, and the deal."""
    pieces = [item for item, count in outcome.items.items() for _ in range(count)]
    names = names_of(outcome)
    for takers in product(range(outcome.num_seats), repeat=len(pieces)):
        points = [0] * outcome.num_seats
        deal: dict[str, dict[str, int]] = {name: {} for name in names}
        for piece, taker in zip(pieces, takers, strict=True):
            points[taker] += outcome.values[taker].get(piece, 0)
            deal[names[taker]][piece] = deal[names[taker]].get(piece, 0) + 1
        yield tuple(points), deal


@few
@given(outcome=divisions(), data=st.data())
def test_division(outcome: Division, data: st.DataObject) -> None:
    every = list(handed_out(outcome))
    possible = {points for points, _ in every}
    without = outcome.outside or (0,) * outcome.num_seats
    points, deal = data.draw(st.sampled_from(every))
    result = agreed(outcome, deal)
    totals = [
        sum(values.get(item, 0) * count for item, count in outcome.items.items())
        for values in outcome.values
    ]
    assert result.points == points
    assert result.scores == tuple(got / total for got, total in zip(points, totals, strict=True))
    assert_measured(result, possible, without)
    none = opened(outcome).result()
    assert none.points == without
    assert_measured(none, possible, without)


def test_the_best_division_is_measured_as_best() -> None:
    """By hand: the lamps are worth more to Ben, the map to Ana; 9 + 4 is the largest sum."""
    result = agreed(LAMPS, {"map": 1})
    assert result.points == (4.0, 9.0)
    assert result.scores == (0.4, 0.9)
    assert result.measures["joint_share"] == 1
    assert result.measures["pareto_optimal"] == 1
    assert result.measures["pareto_share"] == 1
    assert result.measures["nash_product"] == 1  # 4 · 9, no less than the 6 · 6 of an even deal
    assert agreed(LAMPS, {"map": 1, "lamps": 1}).measures["nash_product"] == 1
    assert agreed(LAMPS, {"lamps": 3, "map": 1}).scores == (1.0, 0.0)


def test_a_poor_division_by_hand() -> None:
    """Ana two lamps, Ben a lamp and the map: 4 and 4, against 6 and 6 the other way round."""
    measures = agreed(LAMPS, {"lamps": 2}).measures
    assert measures == pytest.approx(
        {
            "joint_share": 8 / 13,
            "nash_product": 16 / 36,
            "pareto_optimal": 0,
            "pareto_share": 4 / 6,
        }
    )


# --- price ----------------------------------------------------------------------


@given(
    low=st.integers(1, 400),
    high=st.integers(1, 400),
    seller=st.integers(0, 1),
    cents=st.integers(0, 40_000),
)
def test_price(low: int, high: int, seller: int, cents: int) -> None:
    assume(low != high)
    outcome = Price("it", 200, (low, high) if seller == 0 else (high, low), seller)
    none = opened(outcome).result()
    result = agreed(outcome, cents / 100)
    price = Fraction(cents, 100)
    surplus = {seller: price - low, 1 - seller: high - price}
    for seat in (0, 1):
        assert result.points[seat] == pytest.approx(float(surplus[seat]))
        assert 0 <= result.scores[seat] <= 1
        if surplus[seat] < 0:
            assert result.scores[seat] < none.scores[seat]
        if surplus[seat] == 0:
            assert result.scores[seat] == none.scores[seat]
        if surplus[seat] > 0 and low < high:
            assert result.scores[seat] > none.scores[seat]
    if low > high:
        assert none.scores == (1.0, 1.0)
        assert sum(result.scores) < 2
    good = low <= price <= high
    assert result.measures["pareto_optimal"] == good
    assert none.measures["pareto_optimal"] == (low > high)
    share = (price - low) / (high - low) if good and low < high else Fraction(0)
    if good:
        assert result.measures["nash_product"] == pytest.approx(float(4 * share * (1 - share)))
        assert result.measures["seller_share"] == pytest.approx(float(share))


def test_prices_by_hand() -> None:
    """A zone from 300 to 420: at 360 both have half of it."""
    assert opened(PIANO).result().scores == (0.25, 0.25)
    assert agreed(PIANO, 360).scores == (0.625, 0.625)
    assert agreed(PIANO, 360).measures["nash_product"] == 1
    assert agreed(PIANO, 420).scores == (1.0, 0.25)
    assert agreed(PIANO, 300).scores == (0.25, 1.0)
    assert agreed(PIANO, 280).scores == (0.125, 1.0)
    assert [agreed(PIANO, price).measures["joint_share"] for price in (299, 300, 420, 421)] == [
        0,
        1,
        1,
        0,
    ]
    assert agreed(PIANO, 0).scores == (0.0, 1.0)
    assert opened(NO_ZONE).result().scores == (1.0, 1.0)
    assert agreed(NO_ZONE, 420).scores == (1.0, 0.25)
    assert agreed(NO_ZONE, 360).scores == (0.625, 0.625)


def test_the_sum_of_scores_is_the_same_all_over_the_zone() -> None:
    assert {sum(agreed(PIANO, price).scores) for price in range(300, 421, 15)} == {1.25}


# --- schedule, matrix, split, assignment ----------------------------------------


@few
@given(
    table=st.lists(st.lists(st.integers(0, 10), min_size=3, max_size=3), min_size=2, max_size=4),
    data=st.data(),
)
def test_schedule(table: list[list[int]], data: st.DataObject) -> None:
    """Zero stands for a busy slot."""
    slots = ("dawn", "noon", "dusk")
    common = [k for k in range(3) if all(row[k] for row in table)]
    assume(common)
    outcome = Schedule(
        slots, tuple({slots[k]: row[k] for k in range(3) if row[k]} for row in table)
    )
    chosen = data.draw(st.sampled_from(common))
    result = agreed(outcome, slots[chosen])
    assert result.points == tuple(row[chosen] for row in table)
    assert result.scores == tuple(row[chosen] / max(row) for row in table)
    possible = {tuple(row[k] for row in table) for k in common}
    assert_measured(result, possible, (0,) * len(table))
    assert opened(outcome).result().scores == (0.0,) * len(table)


@few
@given(
    seats=st.integers(2, 4),
    options=st.integers(2, 3),
    data=st.data(),
)
def test_matrix(seats: int, options: int, data: st.DataObject) -> None:
    words = ("x", "y", "z")[:options]
    row = st.lists(st.integers(0, 9), min_size=seats, max_size=seats)
    tables = [{word: data.draw(row) for word in words} for _ in range(seats)]
    assume(all(max(map(max, table.values())) > 0 for table in tables))
    outcome = Matrix(words, tuple({w: tuple(r) for w, r in table.items()} for table in tables))

    def points(chosen: Sequence[str | None]) -> Vector:
        return tuple(
            tables[seat][mine][sum(1 for other in chosen if other == mine) - 1] if mine else 0
            for seat, mine in enumerate(chosen)
        )

    every = list(product((*words, None), repeat=seats))
    answers = data.draw(st.sampled_from(every))
    result = answered(outcome, answers)
    assert result.points == points(answers)
    assert result.scores == tuple(
        got / max(map(max, table.values()))
        for got, table in zip(points(answers), tables, strict=True)
    )
    assert result.settled == (None not in answers)
    crowd = Counter(answer for answer in answers if answer is not None)
    assert result.measures["coordinated"] == max(crowd.values(), default=0) / seats
    assert_measured(result, {points(chosen) for chosen in every}, (0,) * seats)
    for seat in range(seats):
        assert max(points(chosen)[seat] for chosen in every) == max(map(max, tables[seat].values()))


@pytest.mark.parametrize("silent", range(3))
def test_who_keeps_silent_may_leave_more_to_the_others(silent: int) -> None:
    """Only to be alone is worth anything, and two options cannot keep three apart."""
    alone = (9, 0, 0)
    outcome = Matrix(("left", "right"), ({"left": alone, "right": alone},) * 3)
    answers: list[str | None] = ["left", "right"]
    answers.insert(silent, None)
    result = answered(outcome, answers)
    assert sorted(result.scores) == [0, 1, 1]
    assert result.measures == {
        "coordinated": 1 / 3,
        "joint_share": 1,
        "nash_product": 0,
        "pareto_optimal": 1,
        "pareto_share": 1,
    }
    assert answered(outcome, ("left", "right", "right")).measures["joint_share"] == 1 / 2


@pytest.mark.parametrize(
    ("seats", "options", "fits"), [(8, 2, True), (8, 3, True), (6, 5, True), (8, 4, False)]
)
def test_how_large_a_matrix_may_be(seats: int, options: int, fits: bool) -> None:
    words = tuple("abcde"[:options])
    payoffs = ({word: tuple(range(1, seats + 1)) for word in words},) * seats
    if not fits:
        with pytest.raises(ConfigError, match="390625 results are possible; at most 100000"):
            Matrix(words, payoffs)
        return
    result = Matrix(words, payoffs).worth(("a",) * seats, tuple("ABCDEFGH"[:seats]))
    assert result.measures == dict.fromkeys(result.measures, 1)


@few
@given(outcome=st.sampled_from([STAG, POT, SITE, FRIENDS]), data=st.data())
def test_whoever_is_silent_all_stays_in_bounds(outcome: AnyOutcome, data: st.DataObject) -> None:
    choices: dict[str, list[Any]] = {
        "Matrix": ["stag", "hare"],
        "PublicGoods": [0, 1, 2],
        "HiddenProfile": ["the bay", "the hill"],
        "MutualFriend": ["Li Berg", "Mo Abel"],
    }
    some = st.sampled_from([None, *choices[type(outcome).__name__]])
    result = answered(outcome, [data.draw(some) for _ in range(outcome.num_seats)])
    assert all(0 <= number <= 1 for number in (*result.scores, *result.measures.values()))


@given(
    endowments=st.lists(st.integers(1, 30), min_size=3, max_size=8),
    multiplier=st.sampled_from([1.1, 1.2, 1.3, 1.7, 2.3]),
)
def test_the_best_of_public_goods_is_1_and_no_more(
    endowments: list[int], multiplier: float
) -> None:
    outcome = PublicGoods(tuple(endowments), multiplier, "hours")
    best = outcome.worth(tuple(endowments), tuple("ABCDEFGH"[: len(endowments)]))
    assert best.measures["joint_share"] == pytest.approx(1)
    assert best.measures["joint_share"] <= 1


def test_a_stag_hunt_by_hand() -> None:
    assert answered(STAG, ["stag"] * 3).scores == (1.0, 1.0, 1.0)
    assert answered(STAG, ["hare"] * 3).points == (4.0, 4.0, 4.0)
    mixed = answered(STAG, ["stag", "stag", "hare"])
    assert mixed.points == (0.0, 0.0, 4.0)
    assert mixed.measures["joint_share"] == 4 / 27
    assert mixed.measures["coordinated"] == 2 / 3


@few
@given(
    budget=st.integers(1, 6),
    data=st.data(),
)
def test_split(budget: int, data: st.DataObject) -> None:
    needs = tuple(data.draw(st.integers(1, budget)) for _ in range(3))
    minimums = tuple(data.draw(st.integers(0, need)) for need in needs)
    assume(sum(minimums) <= budget)
    outcome = Split(budget, "crates", 2, minimums, needs)

    def points(amounts: Sequence[int]) -> Vector:
        return tuple(
            min(amount, need) if amount >= least else 0
            for amount, least, need in zip(amounts, minimums, needs, strict=True)
        )

    every = [a for a in product(range(budget + 1), repeat=3) if 0 < sum(a) <= budget]
    amounts = data.draw(st.sampled_from(every))
    result = agreed(outcome, dict(zip(NAMES, amounts, strict=False)))
    assert result.points == points(amounts)
    assert result.scores == tuple(
        got / need for got, need in zip(points(amounts), needs, strict=True)
    )
    assert_measured(result, {points(each) for each in every}, (0, 0, 0))


@few
@given(
    costs=st.lists(st.lists(st.integers(0, 8), min_size=3, max_size=3), min_size=3, max_size=3),
    order=st.permutations(range(3)),
)
def test_assignment(costs: list[list[int]], order: list[int]) -> None:
    tasks = ("p", "q", "r")
    outcome = Assignment(tasks, tuple(dict(zip(tasks, row, strict=True)) for row in costs), 9)
    result = agreed(outcome, {NAMES[seat]: tasks[order[seat]] for seat in range(3)})
    saved = {tuple(9 - costs[seat][o[seat]] for seat in range(3)) for o in permutations(range(3))}
    assert result.points == tuple(9 - costs[seat][order[seat]] for seat in range(3))
    assert all(score > 0 for score in result.scores)
    for seat in range(3):
        assert (result.scores[seat] == 1) == (costs[seat][order[seat]] == min(costs[seat]))
    assert_measured(result, saved, (0, 0, 0))


# --- public goods ---------------------------------------------------------------


@few
@given(
    endowments=st.lists(st.integers(1, 3), min_size=3, max_size=4),
    multiplier=st.sampled_from([1.25, 1.5, 2.0, 2.5]),
    data=st.data(),
)
def test_public_goods(endowments: list[int], multiplier: float, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(0, sum(endowments)))
    outcome = PublicGoods(tuple(endowments), multiplier, "hours", threshold)
    seats = range(len(endowments))

    def payoffs(given: Sequence[int]) -> list[Fraction]:
        pot = sum(given) if sum(given) >= threshold else 0
        part = Fraction(multiplier) * pot / len(endowments)
        return [endowments[seat] - given[seat] + part for seat in seats]

    every = list(product(*[range(has + 1) for has in endowments]))
    most = [max(payoffs(given)[seat] for given in every) for seat in seats]
    largest = max(sum(payoffs(given)) for given in every)
    chosen = data.draw(st.sampled_from(every))
    result = answered(outcome, chosen)
    assert result.points == pytest.approx([float(p) for p in payoffs(chosen)])
    assert result.scores == pytest.approx(
        [float(p / most[seat]) for seat, p in enumerate(payoffs(chosen))]
    )
    assert result.measures == pytest.approx(
        {
            "contribution_share": sum(chosen) / sum(endowments),
            "joint_share": float(sum(payoffs(chosen)) / largest),
        }
    )
    if threshold == 0:  # to give one less is always better for oneself
        for seat in seats:
            if chosen[seat]:
                less = [*chosen]
                less[seat] -= 1
                assert payoffs(less)[seat] > payoffs(chosen)[seat]


# --- shared answers -------------------------------------------------------------


def test_half_of_the_seats_are_no_majority() -> None:
    pair = msgspec.structs.replace(SITE, private=SITE.private[:2])
    assert answered(pair, ("the bay", "the hill")).scores == (0.0, 0.0)
    assert answered(pair, ("the bay", "the bay")).scores == (1.0, 1.0)


@pytest.mark.parametrize(
    ("outcome", "answers", "score", "share"),
    [
        (FRIENDS, ("Li Berg", "Li Berg"), 1.0, 1.0),
        (FRIENDS, ("Li Berg", "Mo Abel"), 0.0, 0.5),
        (FRIENDS, ("Mo Abel", "Mo Abel"), 0.0, 0.0),
        (SITE, ("the bay", "the bay", "the bay"), 1.0, 1.0),
        (SITE, ("the bay", "the hill", "the bay"), 1.0, 2 / 3),
        (SITE, ("the hill", "the hill", "the bay"), 0.0, 1 / 3),
    ],
)
def test_who_is_right_together(
    outcome: AnyOutcome, answers: tuple[str, ...], score: float, share: float
) -> None:
    result = answered(outcome, answers)
    assert result.scores == (score,) * outcome.num_seats
    assert result.measures == {"right_share": share}


@pytest.mark.parametrize(
    ("outcome", "best"),
    [
        (MEETING, "Mon 9:00"),
        (GRANT, {"Ana": 2, "Ben": 3, "Cho": 3, "Dov": 4}),
        (CHORES, {"Ana": "the bins", "Ben": "the dishes", "Cho": "the floor"}),
    ],
)
def test_the_optimum_by_the_obvious_acts(outcome: AnyOutcome, best: Any) -> None:
    result = agreed(outcome, best)
    assert result.settled
    assert result.measures["joint_share"] == 1
    assert result.measures["pareto_optimal"] == 1
