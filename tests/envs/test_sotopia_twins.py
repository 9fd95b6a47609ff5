"""Games that differ in what is private look the same to everybody else."""

from __future__ import annotations

import itertools
import re
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs import sotopia_v0
from omar_envs.errors import ConfigError
from omar_envs.sotopia.env import SotopiaEnv
from omar_envs.sotopia.library import library
from omar_envs.sotopia.profiles import (
    EnvironmentProfile,
    RelationshipType,
)
from tests.envs.games import everything
from tests.envs.sotopia_configs import (
    NAMES,
    act,
    example,
    meeting,
    outcomes,
    people,
    reply,
    seeded,
    started,
)

ORDERS = ("simultaneous", "round_robin", "random")


def other_values(profile: EnvironmentProfile, seat: int) -> list[EnvironmentProfile]:
    """The scenario with other private values of one seat: its neighbour's, where they fit."""
    outcome = profile.outcome
    fields = msgspec.structs.asdict(outcome)
    found = []
    for name, values in fields.items():
        if not isinstance(values, tuple) or len(values) != outcome.num_seats:
            continue
        near = [value + 1 for value in values if isinstance(value, int)]
        for value in (*values, *near):
            changed = [*values]
            changed[seat] = value
            try:
                other = msgspec.structs.replace(outcome, **{name: tuple(changed)})
            except ConfigError:
                continue
            if other.rules(NAMES[: other.num_seats]) == outcome.rules(NAMES[: other.num_seats]):
                found.append(msgspec.structs.replace(profile, outcome=other))
    return found


def twins(scenario: EnvironmentProfile, other: EnvironmentProfile, seat: int, seed: int) -> int:
    """Play both in step until they differ in public; how many acts that were."""
    seats = scenario.num_agents
    envs = [
        started(seed, seats, scenario=each, order=ORDERS[seed % 3], max_turns=6)
        for each in (scenario, other)
    ]
    if scenario == other:
        return 0
    one, two = envs
    ignorant = [a for i, a in enumerate(one.possible_agents) if i != seat]
    rng = Random(seed)
    count = 0
    while not one.over and not two.over:
        for agent in ignorant:
            assert everything(one, agent) == everything(two, agent)
        text = reply(one.view(one.agent_selection), rng.randrange)
        for env in envs:
            env.step(text)
        count += 1
        last = [env._acts[-1] for env in envs]
        if last[0].text != last[1].text:
            break  # what one of the two may do or must answer is not the same
    return count


def test_private_values_of_a_computed_outcome_are_their_own_seats_secret() -> None:
    compared, mechanisms = 0, set()
    for seats in (2, 3, 4):
        for outcome in outcomes(seats)[1:]:
            scenario = meeting(seats, outcome)
            for seat in range(seats):
                for number, other in enumerate(other_values(scenario, seat)):
                    acts_made = twins(scenario, other, seat, number)
                    compared += acts_made
                    if acts_made:
                        mechanisms.add(type(outcome).__name__)
    assert compared > 150
    assert len(mechanisms) >= 8


def test_secrets_of_a_twin_change_nobody_elses_world() -> None:
    fields = ("secret", "big_five", "decision_making_style", "mbti", "tag", "model_id")
    for relationship in RelationshipType:
        games = []
        for text in ("one", "two"):
            cast = people(NAMES[:3])
            cast[1] = msgspec.structs.replace(cast[1], **dict.fromkeys(fields, text))
            scenario = meeting(3, relationship=relationship)
            games.append(started(4, 3, scenario=scenario, agents=cast, max_turns=4))
        one, two = games
        while not one.over:
            for agent in ("agent_0", "agent_2"):
                assert everything(one, agent) == everything(two, agent)
            assert everything(one, "agent_1") != everything(two, "agent_1")
            for env in games:
                env.step("Hello.")


def test_whoever_has_left_learns_nothing_more_until_the_end() -> None:
    """What the rest say, and who of them leaves, too."""
    worlds = []
    for later in ("Hello.", act("leave")):
        env = started(1, 4, max_turns=5)
        for agent in env.acting:
            env.step(act("leave") if agent == "agent_2" else "Hello.")
        world = []
        for word in (later, "Is it gone?", later * 2):
            world.append(everything(env, "agent_2"))
            for agent in env.acting:
                env.step(word if agent == "agent_1" else act("none"))
        assert not env.over
        worlds.append([*world, everything(env, "agent_2")])
    assert worlds[0] == worlds[1]
    env = started(1, 3)
    for agent in env.acting:
        env.step(act("leave") if agent == "agent_2" else "Hello.")
    log = env.view("agent_2").log
    assert [m.text for m in log] == ["Hello.", "Hello.", "has left the conversation."]
    while not env.over:
        assert env.view("agent_2").log == log
        assert "agent_2" not in env.acting
        env.step("Is it gone?")
    ended = env.view("agent_2").log[len(log) :]
    assert [m.sender for m in ended] == ["moderator"]


@given(st.integers(0, 10_000), st.integers(0, 40))
@settings(max_examples=60)
def test_a_held_back_act_shows_nobody_anything(seed: int, acts_made: int) -> None:
    """In a simultaneous turn the others' world is the same, whatever one of them does."""
    config = {**seeded(seed), "order": "simultaneous"}
    rng = Random(seed)
    games = []
    for special in ("Hello.", act("leave"), act("accept"), "<think>x</think>", 3, act("none")):
        env = sotopia_v0.raw_env(**config)
        env.reset(seed=seed)
        rng = Random(seed)
        for _ in range(acts_made):
            if env.over:
                return
            env.step(reply(env.view(env.agent_selection), rng.randrange))
        if env.over or len(env.acting) < 2:
            return
        mover = env.agent_selection
        env.step(special)
        rest = [agent for agent in env.possible_agents if agent != mover]
        games.append([everything(env, agent) for agent in rest])
    assert all(game == games[0] for game in games)


@given(st.integers(0, 10_000))
@settings(max_examples=60)
def test_what_an_act_comes_to_tells_nothing_of_the_same_turn(seed: int) -> None:
    """Whether an act is legal does not depend on the acts that are held back."""
    seats = 2 + seed % 3
    known = outcomes(seats)[1:]
    scenario = meeting(seats, known[seed % len(known)])
    before = Random(seed).randrange(6)
    games = []
    for special in ("Hello.", act("leave"), "accept", ..., "", act("answer", "north")):
        env, rng = started(1, seats, scenario=scenario), Random(seed)
        for _ in range(before * seats):
            if env.over:
                return
            env.step(reply(env.view(env.agent_selection), rng.randrange))
        if env.over or len(env.acting) < 2:
            return
        first, second = env.acting[:2]
        env.step(example(env.view(first)) if special is ... else special)
        env.step(reply(env.view(second), rng.randrange))
        recorded = env._acts[-1]
        games.append((recorded.text, recorded.valid, recorded.error))
    assert all(game == games[0] for game in games)


def test_shipped_scenarios_tell_each_agent_its_own() -> None:
    """Goals, hints, private values and secrets of the others stand nowhere in what one reads."""
    hints = re.compile(r"<(?:extra_info|strategy_hint|clarification_hint)[^>]*>(.*?)</", re.DOTALL)
    searched = 0
    for scenario in library().environments.values():
        for omniscient in (False, True):
            env = sotopia_v0.raw_env(scenario, reward="none", omniscient=omniscient)
            assert isinstance(env, SotopiaEnv)
            env.reset(seed=1)
            cast, names = env.cast, tuple(profile.name for profile in env.cast)
            seen = [everything(env, agent).decode() for agent in env.agents]
            private = [
                [cast[seat].secret, *hints.findall(goal), hints.sub("<", goal).split("<")[0]]
                for seat, goal in enumerate(scenario.agent_goals)
            ]
            for seat, texts in enumerate(private):
                if omniscient:
                    texts.pop()  # the goal without its hints
                texts += [scenario.outcome.told(seat, names)] if scenario.outcome else []
            for text in itertools.chain(*private):
                encoded = msgspec.json.encode(text.strip()).decode().strip('"')
                readers = [i for i, shown_to in enumerate(seen) if encoded in shown_to]
                # Some goals are the same for two.
                assert readers == [i for i, own in enumerate(private) if text in " ".join(own)]
                searched += bool(text)
    assert searched > 500
