"""Scripted negotiators, and the private facts that they play by."""

from __future__ import annotations

import copy
import io
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs import rollout, sotopia_v0
from omar_envs.by_name import Game, policy_by_name
from omar_envs.cli import main
from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.policy import ScriptedPolicy
from omar_envs.sotopia import acts, library
from omar_envs.sotopia.bot_deals import deals
from omar_envs.sotopia.bot_table import mentioned, table
from omar_envs.sotopia.bots import NegotiatorPolicy, act
from omar_envs.sotopia.mechanisms import (
    Assignment,
    Division,
    Friend,
    HiddenProfile,
    Matrix,
    MutualFriend,
    Price,
    PublicGoods,
    Schedule,
    Split,
)
from omar_envs.sotopia.mechanisms.bargaining import DealOutcome
from omar_envs.sotopia.profiles import EnvironmentProfile
from omar_envs.types import Episode, View
from tests.envs.games import encoded, finish
from tests.envs.settlements import CHORES, NO_ZONE, PIANO, SAMPLES
from tests.envs.sotopia_configs import meeting, seeded, started

ORDERS = ("simultaneous", "round_robin", "random")
COMPUTED = library.scenarios(computed=True)

NOTHING_TO_GAIN = Division({"lamps": 4}, ({"lamps": 1}, {"lamps": 1}), outside=(3, 3))


def game(scenario: EnvironmentProfile, **given: Any) -> ConversationEnv:
    reward = "none" if scenario.outcome is None else "outcome"
    return sotopia_v0.raw_env(scenario, reward=reward, **given)


def mechanism(scenario: EnvironmentProfile) -> str:
    assert scenario.outcome is not None
    return str(msgspec.to_builtins(scenario.outcome)["mechanism"])


def play(env: ConversationEnv, seed: int, noise: Sequence[float]) -> Episode:
    """One game; seat i acts at random with probability ``noise[i % len(noise)]``."""
    policies = [NegotiatorPolicy(seed + seat, noise=noise[seat % len(noise)]) for seat in range(8)]
    overrides = dict(zip(env.possible_agents, policies, strict=False))
    return rollout.play(env, policies[0], seed, overrides=overrides)


def invalid(episode: Episode) -> list[tuple[str, str]]:
    return [(turn.reply, turn.error) for turn in episode.turns if not turn.valid]


# --- what they do is legal --------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_no_act_is_ever_invalid_in_the_shipped_scenarios(order: str) -> None:
    for number, scenario in enumerate(library.scenarios()):
        noise = [(0.0,), (0.0, 1.0), (0.4,)][(number + ORDERS.index(order)) % 3]
        turns = (20, 20, 5)[number % 3]
        episode = play(game(scenario, order=order, max_turns=turns), number, noise)
        assert not invalid(episode), scenario.pk


def test_no_act_is_ever_invalid_in_any_configuration() -> None:
    """Names that are JSON, speech of one character, private tags, one turn."""
    for seed in range(120):
        env = sotopia_v0.raw_env(**seeded(seed))
        assert not invalid(play(env, seed, [(0.0,), (1.0, 0.0), (0.5,)][seed % 3])), seed


def test_a_noise_that_is_no_probability_is_refused() -> None:
    for noise in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="noise"):
            NegotiatorPolicy(noise=noise)


def test_random_acts_never_leave() -> None:
    for scenario in COMPUTED[::5]:
        assert play(game(scenario), 1, (1.0,)).outcome["left"] == []


# --- repeatable, stateless --------------------------------------------------------


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_equal_seeds_play_equal_games(noise: float) -> None:
    def played(seed: int) -> list[bytes]:
        policy = NegotiatorPolicy(seed, noise=noise)
        return [
            encoded(episode)
            for pk in ("the_harbour_grant", "who_sent_the_telegram", "a_cello_changes_hands")
            for episode in rollout.run(lambda pk=pk: sotopia_v0.raw_env(pk), policy, 2, 5)
        ]

    assert played(3) == played(3)
    assert played(3) != played(4)


def views_of(scenario: EnvironmentProfile, order: str, seed: int) -> list[View]:
    """Every view that was acted on in one scripted game."""
    seen: list[View] = []
    rng = np.random.default_rng(seed)

    def answer(view: View) -> str:
        seen.append(view)
        return act(view, rng, 0.1)

    env = game(scenario, order=order)
    env.reset(seed=seed)
    finish(env, answer)
    return seen


@pytest.mark.parametrize("order", ORDERS)
def test_a_bot_reads_its_view_and_nothing_else(order: str) -> None:
    for scenario in library.scenarios()[ORDERS.index(order) :: 6]:
        policy = NegotiatorPolicy(9)
        for number, view in enumerate(views_of(scenario, order, 2)):
            before = copy.deepcopy(view)
            fresh = NegotiatorPolicy(number).act([view])
            assert fresh == [act(view, np.random.default_rng(number), 0.0)]
            policy.act([view])
            assert NegotiatorPolicy(number).act([view]) == fresh
            assert view == before


def test_bots_play_by_facts_and_log_not_by_the_words_of_a_scenario() -> None:
    for scenario in library.scenarios()[::7]:
        for view in views_of(scenario, "simultaneous", 4):
            facts = {**view.facts, "goal": "Another goal.", "action_types": []}
            other = msgspec.structs.replace(view, facts=facts, text="", messages=())
            assert act(other, np.random.default_rng(1), 0.0) == act(
                view, np.random.default_rng(1), 0.0
            )


def test_who_is_not_asked_says_nothing() -> None:
    env = game(COMPUTED[0], order="round_robin")
    env.reset(seed=1)
    assert act(env.view("agent_1"), np.random.default_rng(1), 0.0) == ""


# --- how well they do -------------------------------------------------------------


def shares(noise: float) -> dict[str, list[float]]:
    """Mean scores by mechanism, and joint or right shares under ``share``."""
    found: dict[str, list[float]] = defaultdict(list)
    for scenario in COMPUTED:
        episodes = rollout.run(lambda s=scenario: game(s), NegotiatorPolicy(1, noise=noise), 3, 7)
        for episode in episodes:
            measures = episode.outcome["measures"]
            found[mechanism(scenario)].append(fmean(episode.outcome["scores"].values()))
            found["share"].append(measures.get("joint_share", measures.get("right_share")))
    return found


def test_scripted_play_beats_legal_acts_at_random_by_a_wide_margin() -> None:
    scripted, blind = shares(0.0), shares(1.0)
    assert fmean(scripted["share"]) > 0.95
    assert fmean(blind["share"]) < 0.6
    for name in scripted:
        assert fmean(scripted[name]) > fmean(blind[name]) + 0.1, name


def walk_away(outcome: Any, seat: int) -> float:
    names = tuple(f"P{number}" for number in range(outcome.num_seats))
    return float(outcome.open(names).result().points[seat])


def first_seats_points(outcome: Any, deal: Any, names: tuple[str, ...]) -> float:
    if isinstance(outcome, Schedule):  # the others may not be free then
        return float(outcome.free[0].get(deal["slot"], -1))
    return float(outcome.worth(deal, names).points[0])


@pytest.mark.parametrize("order", ORDERS)
def test_nobody_proposes_or_accepts_what_is_worse_than_no_deal(order: str) -> None:
    samples = [meeting(each.num_seats, each) for each in (*SAMPLES.values(), NOTHING_TO_GAIN)]
    for scenario in (*COMPUTED, *samples):
        outcome = scenario.outcome
        if not isinstance(outcome, DealOutcome):
            continue
        env = game(scenario, order=order)
        env.reset(seed=3)
        rng = np.random.default_rng(4)
        first = env.possible_agents[0]
        least = walk_away(outcome, 0)
        while not env.over:
            view = env.view(env.agent_selection)
            reply = act(view, rng, 0.0 if view.agent == first else 1.0)
            drawn = acts.draw(reply, (), outcome.acts)
            if view.agent == first and drawn.action_type in outcome.acts:
                deal = drawn.argument
                if drawn.action_type == "accept":
                    deal = view.facts["standing"][drawn.argument]
                names = tuple(view.facts["participants"])
                assert first_seats_points(outcome, deal, names) >= least, (scenario.pk, reply)
            env.step(reply)


@pytest.mark.parametrize("order", ORDERS)
def test_a_price_is_found_where_there_is_one_and_they_part_where_there_is_none(order: str) -> None:
    found = play(game(meeting(2, PIANO), order=order), 1, (0.0,)).outcome
    assert found["settled"]
    assert 300 <= found["deal"]["price"] <= 420
    assert not play(game(meeting(2, NO_ZONE), order=order), 1, (0.0,)).outcome["settled"]


def test_they_part_where_all_have_more_without_a_deal() -> None:
    assert not play(game(meeting(2, NOTHING_TO_GAIN)), 1, (0.0,)).outcome["settled"]


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_all_have_answered_by_their_last_move(rounds: int) -> None:
    for scenario in COMPUTED:
        assert scenario.outcome is not None
        if scenario.outcome.acts == ("answer",):
            turns = rounds * scenario.num_agents
            for env in (
                game(scenario, max_turns=rounds),
                game(scenario, max_turns=turns, order="round_robin"),
            ):
                assert play(env, 1, (0.0,)).outcome["settled"]


def test_who_finds_no_price_leaves_in_the_last_turn() -> None:
    parted = play(game(meeting(2, NO_ZONE)), 1, (0.0,)).outcome
    assert (parted["reason"], parted["turns"]) == ("broken_off", 20)


def test_two_deals_are_never_made_at_once() -> None:
    for scenario in COMPUTED:
        if isinstance(scenario.outcome, DealOutcome):
            messages = play(game(scenario), 2, (0.0,)).messages
            assert not any("none of them holds" in message.text for message in messages)


# --- what they say ----------------------------------------------------------------


def test_what_they_say_first_is_true_and_understood() -> None:
    """After a round of talk all know the order in which everybody likes things."""
    for scenario in COMPUTED:
        outcome = scenario.outcome
        match outcome:
            case Division():
                things = outcome.things
                liked = [
                    {t: v.get(t, 0) * n for t, n in outcome.items.items()} for v in outcome.values
                ]
            case Schedule():
                things, liked = outcome.slots, list(outcome.free)
            case Assignment():
                things = outcome.tasks
                liked = [{task: -cost for task, cost in table.items()} for table in outcome.costs]
            case _:
                continue
        env = game(scenario)
        env.reset(seed=1)
        rng = np.random.default_rng(2)
        for agent in env.acting:
            env.step(act(env.view(agent), rng, 0.0))
        seen = table(env.view("agent_0"))
        for name, values in zip(seen.names, liked, strict=True):
            told = seen.liking(name, things)
            wanted = [values[thing] for thing in told.ranked]
            assert wanted == sorted(wanted, reverse=True)
            useless = {thing for thing, value in values.items() if value == 0}
            assert set(told.ranked) == values.keys() - useless
            assert told.unwanted == useless


@pytest.mark.parametrize("turns", [20, 2])
def test_pledges_and_announcements_are_kept(turns: int) -> None:
    for scenario in COMPUTED:
        if not isinstance(scenario.outcome, PublicGoods | Matrix):
            continue
        episode = play(game(scenario, max_turns=turns), 5, (0.0,))
        for seat in episode.seats:
            said = " ".join(m.text for m in episode.messages if m.sender == seat.agent)
            announced = re.findall(r'"(.+?)"|give (\d+)', said)[-1]
            assert str(episode.outcome["deal"][seat.name]) in announced


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The hill road, then THE HILL.", ("the hill road", "the hill")),
        ("the hills", ()),
        ("nothing of that", ()),
    ],
)
def test_things_are_found_in_what_is_said(text: str, found: tuple[str, ...]) -> None:
    assert mentioned(text, ("the hill", "the hill road")) == found


# --- private facts ----------------------------------------------------------------


@st.composite
def changed(draw: st.DrawFn, scenario: EnvironmentProfile, seat: int) -> EnvironmentProfile:
    """The scenario with other private data in every seat but ``seat``."""
    outcome: Any = scenario.outcome
    others = [other for other in range(outcome.num_seats) if other != seat]

    def with_others(given: Sequence[Any], new: Any) -> tuple[Any, ...]:
        return tuple(new(each) if i in others else each for i, each in enumerate(given))

    def number(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    replace = msgspec.structs.replace
    match outcome:
        case Division():
            values = with_others(
                outcome.values, lambda _: {item: number(1, 1000) for item in outcome.items}
            )
            outside = with_others(outcome.outside, lambda _: number(0, len(outcome.items)))
            outcome = replace(outcome, values=values, outside=outside)
        case Price():
            own = outcome.reservation[seat]
            new = number(1, 2 * outcome.list_price)
            outcome = replace(
                outcome,
                reservation=with_others(
                    outcome.reservation, lambda _: new if new != own else own + 1
                ),
            )
        case Assignment():
            outcome = replace(
                outcome,
                costs=with_others(
                    outcome.costs,
                    lambda _: {task: number(0, outcome.undone - 1) for task in outcome.tasks},
                ),
            )
        case Schedule():
            common = draw(st.sampled_from(sorted(outcome.free[seat])))
            outcome = replace(
                outcome,
                free=with_others(
                    outcome.free,
                    lambda _: {
                        slot: number(1, 10)
                        for slot in outcome.slots
                        if slot == common or draw(st.booleans())
                    },
                ),
            )
        case Split():
            needs = with_others(outcome.needs, lambda _: number(1, outcome.budget))
            minimums = with_others(outcome.minimums, lambda _: 0)
            outcome = replace(outcome, needs=needs, minimums=minimums)
        case PublicGoods():
            outcome = replace(
                outcome,
                endowments=with_others(outcome.endowments, lambda had: number(had, 1000)),
            )
        case Matrix():
            outcome = replace(
                outcome,
                payoffs=with_others(
                    outcome.payoffs,
                    lambda had: {o: tuple(number(1, 1000) for _ in row) for o, row in had.items()},
                ),
            )
        case MutualFriend():
            common = draw(st.sampled_from(outcome.friends[seat]))
            stranger = draw(st.integers(1, 99))
            outcome = replace(
                outcome,
                friends=with_others(
                    outcome.friends, lambda _: (Friend(f"Nobody {stranger}"), common)
                ),
            )
        case HiddenProfile():
            word = draw(st.text("abc", min_size=1, max_size=5))
            outcome = replace(
                outcome,
                private=with_others(
                    outcome.private, lambda had: tuple(replace(c, text=word) for c in had)
                ),
            )
    return replace(scenario, pk="changed", outcome=outcome)


@st.composite
def twins(draw: st.DrawFn) -> tuple[EnvironmentProfile, EnvironmentProfile, int]:
    scenario = draw(st.sampled_from(COMPUTED))
    seat = draw(st.integers(0, scenario.num_agents - 1))
    return scenario, draw(changed(scenario, seat)), seat


@given(twins())
@settings(max_examples=80, deadline=None)
def test_private_facts_hold_nothing_of_the_others(
    pair: tuple[EnvironmentProfile, EnvironmentProfile, int],
) -> None:
    scenario, other, seat = pair
    cast = [agent.pk for agent in list(library.library().agents.values())[: scenario.num_agents]]
    games = [game(each, agents=cast) for each in (scenario, other)]
    for env in games:
        env.reset(seed=1)
    one, two = (env.view(f"agent_{seat}").facts for env in games)
    assert one == two


@given(twins())
@settings(max_examples=60, deadline=None)
def test_private_facts_hold_ones_own(
    pair: tuple[EnvironmentProfile, EnvironmentProfile, int],
) -> None:
    """What was changed for the others shows in their own facts, in one's own words for it."""
    scenario, other, _ = pair
    assert scenario.outcome is not None and other.outcome is not None
    names = tuple(f"P{number}" for number in range(scenario.num_agents))
    for number in range(scenario.num_agents):
        facts = [each.outcome.facts(number, names) for each in (scenario, other)]
        told = [each.outcome.told(number, names) for each in (scenario, other)]
        assert (facts[0] == facts[1]) == (told[0] == told[1])
        assert json.loads(json.dumps(facts)) == facts


@pytest.mark.parametrize("name", SAMPLES)
def test_private_facts_name_the_mechanism(name: str) -> None:
    outcome = SAMPLES[name]
    names = tuple(f"P{number}" for number in range(outcome.num_seats))
    facts = outcome.facts(0, names)
    assert facts["mechanism"] == msgspec.to_builtins(outcome)["mechanism"]
    needed = outcome.seats_needed if isinstance(outcome, DealOutcome) else None
    assert facts.get("needed") == needed


def test_ones_own_worth_of_a_deal_follows_from_the_facts() -> None:
    for scenario in COMPUTED:
        outcome = scenario.outcome
        if not isinstance(outcome, DealOutcome) or isinstance(outcome, Price):
            continue
        env = game(scenario)
        env.reset(seed=2)
        names = tuple(env.view("agent_0").facts["participants"])
        for seat, agent in enumerate(env.possible_agents):
            known = deals(table(env.view(agent)))
            assert known.walk_away == pytest.approx(outcome.worth(None, names).scores[seat])
            for row in range(0, len(known.worth), max(1, len(known.worth) // 5)):
                deal = known.deal(row)
                if isinstance(outcome, Schedule) and deal["slot"] not in outcome.common:
                    continue
                score = outcome.worth(deal, names).scores[seat]
                assert known.worth[row, seat] == pytest.approx(score)
                assert known.own_worth(deal) == pytest.approx(score)


def test_facts_show_what_stands_and_who_has_accepted() -> None:
    env = started(seats=3, scenario=meeting(3, CHORES), order="round_robin")
    names = env.view("agent_0").facts["participants"]
    deal = dict(zip(names, CHORES.tasks, strict=True))
    env.step(json.dumps({"action_type": "propose", "argument": deal}))
    env.step("accept")
    facts = env.view("agent_2").facts
    assert facts["standing"] == {names[0]: deal}
    assert facts["accepted"] == {names[0]: [names[1]]}
    assert facts["answered"] == []
    assert facts["order"] == "round_robin"


def test_facts_show_that_somebody_has_answered_and_not_what() -> None:
    shown = []
    for answer in ("stag", "hare"):
        env = started(seats=3, scenario=meeting(3, SAMPLES["matrix"]))
        env.step(f'answer "{answer}"')
        assert env.view("agent_1").facts["answered"] == []  # the turn is not over
        env.step("Well.")
        env.step("Well.")
        shown.append(env.view("agent_1").facts)
    assert shown[0] == shown[1]
    assert shown[0]["answered"] == [shown[0]["participants"][0]]


def test_who_has_left_sees_no_more_of_what_stands() -> None:
    env = started(seats=3, scenario=meeting(3, SAMPLES["matrix"]))
    env.step('{"action_type": "leave"}')
    env.step('answer "hare"')
    env.step("Well.")
    assert env.view("agent_0").facts["answered"] == []
    assert env.view("agent_2").facts["answered"] == [env.view("agent_1").name]


def test_without_an_outcome_there_is_nothing_private() -> None:
    env = started()
    facts = env.view("agent_0").facts
    assert facts["private"] is None
    assert (facts["standing"], facts["accepted"], facts["answered"]) == ({}, {}, [])


# --- by name ----------------------------------------------------------------------


def test_scripted_is_the_policy_of_the_game() -> None:
    assert isinstance(policy_by_name("scripted", 1, Game("sotopia_v0", {})), NegotiatorPolicy)
    assert isinstance(policy_by_name("scripted", 1, Game("werewolf_v0", {})), ScriptedPolicy)


def test_a_person_plays_against_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("accept\nGood morning.\n" * 30))
    words = ["--set", "scenario=a_cello_changes_hands", "order=round_robin"]
    assert main(["play", "--env", "sotopia", "--seed", "3", *words]) == 0
    told = capsys.readouterr().out
    assert "All have agreed" in told
    assert "Your reward: +" in told
    assert "None" not in told
