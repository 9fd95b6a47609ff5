"""The scenarios of our own whose result is computed: each can be won, and no two are alike."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from functools import cache
from importlib.resources import files
from itertools import combinations, permutations, product
from typing import Any

import msgspec
import pytest

from omar_envs.sotopia.mechanisms import (
    Assignment,
    Division,
    HiddenProfile,
    Matrix,
    MutualFriend,
    Price,
    PublicGoods,
    Schedule,
    Split,
)
from omar_envs.sotopia.mechanisms.arguments import same
from omar_envs.sotopia.profiles import EnvironmentProfile
from tests.envs.settlements import in_turn

MOST_OVERLAP = 0.03
"""Two scenarios share less than this of their word 3-grams (Jaccard)."""

CATEGORIES = {
    "exchange",
    "negotiation",
    "competition",
    "collaboration",
    "accommodation",
    "persuasion",
    "conflict_repair",
    "secrets",
}
NAMES = tuple(f"Person{letter} Test{letter}" for letter in "ABCDEFGH")
FILE = files("omar_envs.sotopia") / "data" / "computed.json"
SCENARIOS = msgspec.json.decode(FILE.read_bytes(), type=tuple[EnvironmentProfile, ...])

every_scenario = pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=[scenario.pk for scenario in SCENARIOS]
)


def of(kind: type) -> list[EnvironmentProfile]:
    return [scenario for scenario in SCENARIOS if isinstance(scenario.outcome, kind)]


# --- the list -------------------------------------------------------------------


def test_how_many_there_are() -> None:
    assert len(SCENARIOS) >= 28
    assert sum(scenario.num_agents >= 3 for scenario in SCENARIOS) >= 10
    assert {scenario.num_agents for scenario in SCENARIOS} == set(range(2, 9))
    assert {scenario.difficulty for scenario in SCENARIOS} == {"easy", "medium", "hard"}
    assert {scenario.category for scenario in SCENARIOS} == CATEGORIES
    mechanisms = Counter(type(scenario.outcome) for scenario in SCENARIOS)
    assert len(mechanisms) == 9
    assert min(mechanisms.values()) >= 3


def test_the_first_is_an_easy_division_for_two() -> None:
    first = SCENARIOS[0]
    assert isinstance(first.outcome, Division)
    assert first.num_agents == 2
    assert first.difficulty == "easy"
    assert sum(first.outcome.items.values()) <= 6


def test_names_are_unique_and_plain() -> None:
    keys = [scenario.pk for scenario in SCENARIOS]
    assert len(set(keys)) == len(keys)
    assert keys == [scenario.codename for scenario in SCENARIOS]
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", key) for key in keys)


def test_the_file_goes_round() -> None:
    data = msgspec.json.encode(SCENARIOS)
    assert msgspec.json.decode(data, type=tuple[EnvironmentProfile, ...]) == SCENARIOS
    known = set(EnvironmentProfile.__struct_fields__)
    for row in msgspec.json.decode(FILE.read_bytes()):
        assert row.keys() <= known


# --- each -----------------------------------------------------------------------


@every_scenario
def test_the_seats_agree(scenario: EnvironmentProfile) -> None:
    assert scenario.outcome is not None
    assert scenario.outcome.num_seats == scenario.num_agents
    assert scenario.source == "omar-envs"


@every_scenario
def test_goals_are_stories_without_numbers(scenario: EnvironmentProfile) -> None:
    """The numbers are told by the outcome, so that text and data cannot disagree."""
    for goal in scenario.agent_goals:
        assert not re.search(r"\d", goal)
        assert re.search(r"\b[Yy]ou", goal)
        sentences = re.findall(r"[.!?](?:\s|$)", goal)
        assert 1 <= len(sentences) <= 3
    assert not re.search(r"\d", scenario.scenario)
    assert len(set(scenario.agent_goals)) == scenario.num_agents


@every_scenario
def test_the_example_in_the_rules_is_not_the_solution(scenario: EnvironmentProfile) -> None:
    """Or to copy it would be enough."""
    outcome, names = scenario.outcome, NAMES[: scenario.num_agents]
    assert outcome is not None
    rules = outcome.rules(names)
    example, _ = json.JSONDecoder().raw_decode(rules[rules.index('{"action_type"') :])
    ruling = outcome.open(names).check(0, example["action_type"], example["argument"])
    if isinstance(outcome, HiddenProfile):
        assert example["argument"] != outcome.right
    elif isinstance(outcome, Schedule):
        assert example["argument"]["slot"] not in outcome.common
    elif isinstance(outcome, Assignment | Division):
        assert outcome.worth(json.loads(ruling.argument), names).measures["joint_share"] < 1


@every_scenario
def test_all_is_told(scenario: EnvironmentProfile) -> None:
    outcome = scenario.outcome
    assert outcome is not None
    names = NAMES[: scenario.num_agents]
    told = [outcome.told(seat, names) for seat in range(scenario.num_agents)]
    for text in (*told, outcome.rules(names)):
        assert text.strip() == text
        assert text[-1] in ".!"
        assert "  " not in text
        assert text.splitlines() == [text]


def closing(scenario: EnvironmentProfile, deals: list[Any]) -> list[tuple[float, ...]]:
    """Scores of each deal when the first seat proposes it and the others accept in turn."""
    outcome = scenario.outcome
    assert outcome is not None
    names = NAMES[: scenario.num_agents]
    scores = []
    for deal in deals:
        game = outcome.open(names)
        in_turn(game, (0, "propose", deal))
        for seat in range(1, scenario.num_agents):
            if not game.closed:
                in_turn(game, (seat, "accept"))
        assert game.result().settled
        scores.append(game.result().scores)
    return scores


def answering(scenario: EnvironmentProfile, answers: Any) -> tuple[float, ...]:
    """Scores when each seat gives its answer."""
    assert scenario.outcome is not None
    game = scenario.outcome.open(NAMES[: scenario.num_agents])
    in_turn(game, *[(seat, "answer", answer) for seat, answer in enumerate(answers)])
    assert game.result().settled
    return game.result().scores


def one_that_all_gain_by(scenario: EnvironmentProfile, deals: list[Any]) -> None:
    assert scenario.outcome is not None
    without = scenario.outcome.open(NAMES[: scenario.num_agents]).result().scores
    assert any(
        all(got > had for got, had in zip(scores, without, strict=True))
        for scores in closing(scenario, deals)
    )


def greedy(outcome: Division) -> dict[str, dict[str, int]]:
    """Every piece to whom it is worth most, as a share of everything."""
    deal: dict[str, dict[str, int]] = {name: {} for name in NAMES[: outcome.num_seats]}
    for item, count in outcome.items.items():
        worth = [
            values.get(item, 0) / outcome.total(seat) for seat, values in enumerate(outcome.values)
        ]
        deal[NAMES[worth.index(max(worth))]][item] = count
    return deal


@pytest.mark.parametrize("scenario", of(Division), ids=lambda scenario: scenario.pk)
def test_divisions_can_serve_all(scenario: EnvironmentProfile) -> None:
    outcome = scenario.outcome
    assert isinstance(outcome, Division)
    names = NAMES[: outcome.num_seats]
    # Whoever likes a kind of thing best has all of it, or all but one piece of it.
    best = greedy(outcome)
    deals = [best]
    for item in outcome.items:
        for name in names:
            owner = next(each for each in names if best[each].get(item))
            moved = {each: dict(share) for each, share in best.items()}
            moved[owner][item] -= 1
            moved[name][item] = moved[name].get(item, 0) + 1
            deals.append(moved)
    one_that_all_gain_by(scenario, deals)
    for seat, name in enumerate(names):
        (scores,) = closing(scenario, [{name: outcome.items}])
        assert scores[seat] == 1
    assert sum(closing(scenario, [best])[0]) > 1  # to trade is better than to share each thing


@pytest.mark.parametrize("scenario", of(Price), ids=lambda scenario: scenario.pk)
def test_prices_have_a_zone_or_none(scenario: EnvironmentProfile) -> None:
    outcome = scenario.outcome
    assert isinstance(outcome, Price)
    middle = sum(outcome.reservation) / 2
    if outcome.zone:
        one_that_all_gain_by(scenario, [middle])
        limits = closing(scenario, list(outcome.reservation))
        assert sorted(map(max, limits)) == [1.0, 1.0]
    else:
        assert outcome.open(NAMES[:2]).result().scores == (1.0, 1.0)
        for scores in closing(scenario, [*outcome.reservation, middle, outcome.list_price]):
            assert min(scores) < 1


def test_some_prices_have_no_zone() -> None:
    zones = [scenario.outcome.zone for scenario in of(Price)]  # type: ignore[union-attr]
    assert {True, False} == set(zones)
    assert sum(zones) > len(zones) / 2


@pytest.mark.parametrize("scenario", of(MutualFriend), ids=lambda scenario: scenario.pk)
def test_friends_can_be_found_and_only_together(scenario: EnvironmentProfile) -> None:
    outcome = scenario.outcome
    assert isinstance(outcome, MutualFriend)
    lists = [{(f.name, *sorted(f.attributes.items())) for f in known} for known in outcome.friends]
    ((name, *_),) = set.intersection(*lists)
    assert answering(scenario, [name] * outcome.num_seats) == (1.0,) * outcome.num_seats
    for two in combinations(lists, 2):
        assert outcome.num_seats == 2 or len(set.intersection(*two)) > 1


@pytest.mark.parametrize("scenario", of(Schedule), ids=lambda scenario: scenario.pk)
def test_meetings_take_place(scenario: EnvironmentProfile) -> None:
    outcome = scenario.outcome
    assert isinstance(outcome, Schedule)
    one_that_all_gain_by(scenario, list(outcome.common))
    favourites = [max(calendar, key=lambda slot: calendar[slot]) for calendar in outcome.free]
    assert len(set(favourites)) > 1


@pytest.mark.parametrize("scenario", of(PublicGoods), ids=lambda scenario: scenario.pk)
def test_pots_are_dilemmas(scenario: EnvironmentProfile) -> None:
    outcome = scenario.outcome
    assert isinstance(outcome, PublicGoods)
    all_give = answering(scenario, outcome.endowments)
    none_give = answering(scenario, [0] * outcome.num_seats)
    assert sum(all_give) > sum(none_give)
    for seat in range(outcome.num_seats):
        but_one = [0 if i == seat else has for i, has in enumerate(outcome.endowments)]
        assert answering(scenario, but_one)[seat] == 1
        assert answering(scenario, but_one)[seat] > all_give[seat]


@pytest.mark.parametrize("scenario", of(Matrix), ids=lambda scenario: scenario.pk)
def test_choices_depend_on_the_others(scenario: EnvironmentProfile) -> None:
    """Everybody's best result can be reached, and no option is best whatever the others do."""
    outcome = scenario.outcome
    assert isinstance(outcome, Matrix)
    seats = outcome.num_seats
    every = list(product(outcome.options, repeat=seats))
    scores = {chosen: answering(scenario, chosen) for chosen in every}
    assert any(min(each) > 0 for each in scores.values())
    for seat in range(seats):
        assert max(each[seat] for each in scores.values()) == 1
        best = set()
        for chosen in every:
            options = [(*chosen[:seat], option, *chosen[seat + 1 :]) for option in outcome.options]
            best.add(max(options, key=lambda each: scores[each][seat])[seat])
        assert len(best) > 1


@pytest.mark.parametrize("scenario", of(Split), ids=lambda scenario: scenario.pk)
def test_budgets_can_serve_all_and_satisfy_not_all(scenario: EnvironmentProfile) -> None:
    outcome = scenario.outcome
    assert isinstance(outcome, Split)
    left = outcome.budget - sum(outcome.minimums)
    assert left >= outcome.num_seats
    fair = {
        name: least + left // outcome.num_seats
        for name, least in zip(NAMES, outcome.minimums, strict=False)
    }
    one_that_all_gain_by(scenario, [fair])
    assert sum(outcome.needs) > outcome.budget
    for seat, need in enumerate(outcome.needs):
        (scores,) = closing(scenario, [{NAMES[seat]: need}])
        assert scores[seat] == 1


@pytest.mark.parametrize("scenario", of(Assignment), ids=lambda scenario: scenario.pk)
def test_tasks_are_better_done_by_some(scenario: EnvironmentProfile) -> None:
    outcome = scenario.outcome
    assert isinstance(outcome, Assignment)
    seats = range(outcome.num_seats)

    def cost(order: tuple[int, ...]) -> int:
        return sum(outcome.costs[seat][outcome.tasks[order[seat]]] for seat in seats)

    orders = list(permutations(seats))
    best, worst = min(orders, key=cost), max(orders, key=cost)
    deals = [{NAMES[seat]: outcome.tasks[order[seat]] for seat in seats} for order in (best, worst)]
    one_that_all_gain_by(scenario, deals)
    good, bad = closing(scenario, deals)
    assert sum(good) > sum(bad) + 0.3


@pytest.mark.parametrize("scenario", of(HiddenProfile), ids=lambda scenario: scenario.pk)
def test_clues_have_to_be_pooled(scenario: EnvironmentProfile) -> None:
    outcome = scenario.outcome
    assert isinstance(outcome, HiddenProfile)

    def best(clues: Any) -> str:
        sums = dict.fromkeys(outcome.options, 0)
        for clue in clues:
            sums[clue.option] += clue.weight
        return max(sums, key=lambda option: sums[option])

    alone = [best((*outcome.common, *own)) for own in outcome.private]
    together = best([*outcome.common, *(clue for own in outcome.private for clue in own)])
    assert answering(scenario, alone) == (0.0,) * outcome.num_seats
    assert answering(scenario, [together] * outcome.num_seats) == (1.0,) * outcome.num_seats


def test_the_best_option_is_not_always_in_the_same_place() -> None:
    places = {s.outcome.options.index(s.outcome.right) for s in of(HiddenProfile)}  # type: ignore[union-attr]
    assert len(places) > 1


@pytest.mark.parametrize("scenario", of(Matrix), ids=[s.pk for s in of(Matrix)])
def test_a_matrix_is_measured_against_all_that_can_be(scenario: EnvironmentProfile) -> None:
    """Whoever keeps silent: nothing is better than the best, and the best is reached."""
    outcome = scenario.outcome
    assert isinstance(outcome, Matrix)
    names = NAMES[: outcome.num_seats]
    results = [
        outcome.worth(answers, names)
        for answers in product((*outcome.options, None), repeat=outcome.num_seats)
    ]
    for result in results:
        assert all(0 <= number <= 1 for number in (*result.scores, *result.measures.values()))
    largest = max(sum(result.points) for result in results)
    for result in results:
        better = any(
            other.points != result.points
            and all(a >= b for a, b in zip(other.points, result.points, strict=True))
            for other in results
        )
        assert result.measures["pareto_optimal"] == (not better)
        assert result.measures["joint_share"] == sum(result.points) / largest


# --- no two alike ---------------------------------------------------------------


@cache
def trigrams(text: str) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return frozenset(zip(words, words[1:], words[2:], strict=False))


def overlap(one: EnvironmentProfile, two: EnvironmentProfile) -> float:
    """Word 3-grams in both texts among those in either."""
    first, second = (trigrams(" ".join((s.scenario, *s.agent_goals))) for s in (one, two))
    return len(first & second) / len(first | second)


def test_no_two_texts_overlap() -> None:
    for one, two in combinations(SCENARIOS, 2):
        assert overlap(one, two) < MOST_OVERLAP, (one.pk, two.pk)


def test_the_overlap_is_measured() -> None:
    """A scenario with another name and a changed word would be found."""
    one = SCENARIOS[1]
    two = msgspec.structs.replace(one, scenario=one.scenario.replace("bee", "goat"))
    assert overlap(one, two) > 0.5


def things(outcome: Any) -> tuple[str, ...]:
    """What a scenario is about, in the words of its data."""
    match outcome:
        case Division():
            return tuple(outcome.items)
        case Price():
            return (outcome.item,)
        case MutualFriend():
            return tuple({friend.name for known in outcome.friends for friend in known})
        case Schedule():
            return outcome.slots
        case PublicGoods() | Split():
            return (outcome.unit,)
        case Matrix() | HiddenProfile():
            return outcome.options
        case Assignment():
            return outcome.tasks
    raise AssertionError(outcome)


def structure(outcome: Any) -> Any:
    """The numbers of a scenario without its words, and whoever sits where."""
    match outcome:
        case Division():
            kinds = [
                (count, tuple(values.get(item, 0) for values in outcome.values))
                for item, count in outcome.items.items()
            ]
            return Counter(kinds)
        case Price():
            return tuple(limit / outcome.list_price for limit in outcome.reservation)
        case MutualFriend():
            return tuple(map(len, outcome.friends)), len(outcome.friends[0][0].attributes)
        case Schedule():
            return Counter(
                tuple(calendar.get(slot, 0) for calendar in outcome.free) for slot in outcome.slots
            )
        case PublicGoods():
            return outcome.endowments, outcome.multiplier, outcome.threshold
        case Matrix():
            return tuple(tuple(table.values()) for table in outcome.payoffs)
        case Split():
            return outcome.budget, outcome.quota, outcome.minimums, outcome.needs
        case Assignment():
            return outcome.undone, tuple(tuple(table.values()) for table in outcome.costs)
        case HiddenProfile():
            return tuple(tuple(clue.weight for clue in own) for own in outcome.private)
    raise AssertionError(outcome)


def test_no_two_of_a_mechanism_share_things_or_values() -> None:
    by_mechanism: dict[type, list[EnvironmentProfile]] = defaultdict(list)
    for scenario in SCENARIOS:
        by_mechanism[type(scenario.outcome)].append(scenario)
    for scenarios in by_mechanism.values():
        for one, two in combinations(scenarios, 2):
            pairs = product(things(one.outcome), things(two.outcome))
            assert not any(same(a, b) for a, b in pairs), (one.pk, two.pk)
            assert structure(one.outcome) != structure(two.outcome), (one.pk, two.pk)
