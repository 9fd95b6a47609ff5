"""Turns, ends, rewards, judges and settings of the social scenarios."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs import rollout, sotopia_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.sotopia.env import SotopiaEnv
from omar_envs.sotopia.library import library
from omar_envs.sotopia.library import scenarios as shipped_scenarios
from omar_envs.sotopia.profiles import PairRelationship, RelationshipType
from omar_envs.sotopia.settings import Settings
from omar_envs.transcript import read_episodes, write_episodes
from omar_envs.types import Episode, JudgeResult
from tests.envs.games import AnswerPolicy, finish
from tests.envs.sotopia_configs import (
    Config,
    act,
    configs,
    meeting,
    outcomes,
    people,
    reply,
    started,
)

NONE, LEAVE = act("none"), act("leave")
PRICE = meeting(2, outcomes(2)[5])


def movers(env: ConversationEnv, replies: dict[str, str] | None = None) -> list[tuple[str, ...]]:
    """Who acts in each turn, to the end; replies by agent, else a word."""
    found = []
    while not env.over:
        found.append(env.acting)
        for agent in env.acting:
            env.step((replies or {}).get(agent, "Hello."))
    return found


# --- turns ----------------------------------------------------------------------


@pytest.mark.parametrize("seats", range(2, 9))
def test_who_acts_when(seats: int) -> None:
    agents = tuple(f"agent_{seat}" for seat in range(seats))
    env = started(1, seats, max_turns=20)
    assert movers(env) == [agents] * 20
    env = started(1, seats, order="round_robin", max_turns=20)
    assert movers(env) == [(agents[i % seats],) for i in range(20)]
    counts = dict.fromkeys(agents, 0)
    for seed in range(20):
        for (mover,) in movers(started(seed, seats, order="random", max_turns=20)):
            counts[mover] += 1
    # 400 draws: five standard deviations on either side.
    share = 1 / seats
    for count in counts.values():
        assert abs(count - 400 * share) < 5 * (400 * share * (1 - share)) ** 0.5


def test_after_somebody_has_left_the_rest_go_on_in_order() -> None:
    env = started(0, 4, order="round_robin", max_turns=9)
    order = []
    while not env.over:
        order.append(env.agent_selection)
        env.step(LEAVE if len(order) in (2, 3) else "Hello.")
    assert [agent[-1] for agent in order] == list("012303030")
    env = started(0, 4, order="round_robin", max_turns=6)
    order = []
    while not env.over:
        order.append(env.agent_selection)
        env.step(LEAVE if len(order) == 4 else "Hello.")
    assert [agent[-1] for agent in order] == list("012301")
    for seed in range(20):
        env = started(seed, 3, order="random", max_turns=12)
        gone = env.agent_selection
        env.step(LEAVE)
        assert {mover for (mover,) in movers(env)} <= {*env.possible_agents} - {gone}


def test_nobody_sees_an_act_of_the_same_turn() -> None:
    env = started(0, 3, max_turns=2)
    for word in ("one", "two", "three"):
        assert not {"one", "two"} & {m.text for m in env.view(env.agent_selection).log}
        env.step(word)
    for agent in env.possible_agents:
        assert [m.text for m in env.view(agent).log] == ["one", "two", "three"]
        assert [m.text for m in env.infos[agent]["new_messages"]] == ["one", "two", "three"]
    env = started(0, 3, order="round_robin", max_turns=3)
    env.step("one")
    assert [m.text for m in env.view("agent_2").log] == ["one"]


# --- the end --------------------------------------------------------------------


@given(st.integers(1, 30), st.integers(2, 8))
@settings(max_examples=30)
def test_the_time_is_up(max_turns: int, seats: int) -> None:
    env = started(0, seats, max_turns=max_turns, max_idle_turns=None)
    assert len(movers(env, dict.fromkeys(env.possible_agents, NONE))) == max_turns
    episode = env.episode()
    assert (episode.truncated, episode.terminated) == (True, False)
    assert episode.outcome["reason"] == "max_turns"
    # Nothing lies beyond a limit that all are told.
    assert episode.outcome["final_rewards"] is True
    assert set(env.truncations.values()) == {True}
    assert set(env.terminations.values()) == {False}


@given(
    st.lists(st.sampled_from(["none", "", "Hello."]), min_size=1, max_size=12),
    st.integers(0, 4),
    st.sampled_from(["simultaneous", "round_robin"]),
)
def test_idle_turns_in_a_row(words: list[str], most: int, order: str) -> None:
    """Silence and what cannot be read are idle; more than so many in a row are the end."""
    env = started(0, 3, order=order, max_turns=40, max_idle_turns=most)
    in_a_row = 0
    for number, word in enumerate(itertools.cycle(words), 1):
        for agent in env.acting:
            busy = word == "Hello." and agent == env.acting[-1]
            env.step("Hello." if busy else NONE if word == "none" else "")
        in_a_row = 0 if word == "Hello." else in_a_row + 1
        assert env.over == (in_a_row > most or number == 40)
        if env.over:
            break
    episode = env.episode()
    assert episode.outcome["reason"] == ("idle" if in_a_row > most else "max_turns")
    assert episode.truncated == (in_a_row <= most)


@pytest.mark.parametrize("min_present", [1, 2, 3, 4])
def test_too_few_are_left(min_present: int) -> None:
    env = started(0, 4, min_present=min_present, max_turns=9)
    for number in range(4):
        assert len(env.acting) == 4 - number
        for agent in env.acting:
            env.step(LEAVE if agent == f"agent_{3 - number}" else "Hello.")
        assert env.over == (3 - number < min_present)
        if env.over:
            break
    episode = env.episode()
    assert episode.outcome["reason"] == "left"
    assert episode.terminated
    assert len(episode.outcome["left"]) == 5 - min_present
    assert env.agents == env.possible_agents
    alive = {agent: env.infos[agent]["alive"] for agent in env.agents}
    assert [a for a in alive if not alive[a]] == episode.outcome["left"]


def test_all_leave_at_once() -> None:
    for outcome in (None, *outcomes(3)[1:]):
        env = started(0, 3, scenario=meeting(3, outcome), min_present=1)
        movers(env, dict.fromkeys(env.possible_agents, LEAVE))
        assert env.episode().outcome["reason"] in ("left", "broken_off")
        assert env.episode().outcome["turns"] == 1


def test_settled_in_the_last_turn_is_settled() -> None:
    env = started(0, scenario=PRICE, max_turns=2)
    for text in ("propose 250", "Hm.", "Well?", "accept"):
        env.step(text)
    episode = env.episode()
    assert (episode.outcome["reason"], episode.terminated) == ("settled", True)


def test_broken_off() -> None:
    env = started(0, scenario=PRICE, min_present=1)
    env.step(LEAVE)
    env.step("propose 250")
    assert env.over
    assert env.episode().outcome["reason"] == "broken_off"
    assert env.episode().outcome["settled"] is False


def test_everybody_is_told_why_it_is_over() -> None:
    env = started(0, 3, max_turns=1)
    movers(env, {"agent_2": LEAVE})
    for agent in env.possible_agents:
        last = env.view(agent).messages[-1]
        assert last["role"] == "user"
        assert last["content"].endswith("* The conversation is over: the time is up.")


# --- rewards --------------------------------------------------------------------


@pytest.mark.parametrize("price", [150, 250, 399, 500])
def test_the_outcome_component_is_the_score(price: int) -> None:
    env = started(0, scenario=PRICE, reward="outcome", invalid_penalty=0.25)
    for text in (f"propose {price}", "", "Well?", "accept"):
        env.step(text)
    episode = env.episode()
    assert episode.outcome["deal"] == {"price": price}
    scores, points = episode.outcome["scores"], episode.outcome["points"]
    assert points == {"agent_0": price - 200, "agent_1": 400 - price}
    assert len(set(scores.values())) == 2 or price == 300
    for agent, score in scores.items():
        wrong = 0.25 * (agent == "agent_1")
        assert episode.rewards[agent] == {"outcome": score, "invalid": -wrong}
        assert env.rewards[agent] == score
        assert env.infos[agent]["reward_components"]["outcome"] == score
        told = env.view(agent).log[-1]
        assert told.audience == (agent,)
        assert f"{points[agent]:g} points" in told.text
        assert episode.turns_of(agent)[-1].reward_components["outcome"] == score


def test_whoever_has_left_is_paid_at_the_end() -> None:
    outcome = outcomes(3)[4]
    env = started(0, 3, scenario=meeting(3, outcome), reward="outcome", max_turns=3)
    movers(env, {"agent_0": LEAVE})
    episode = env.episode()
    assert episode.outcome["left"] == ["agent_0"]
    assert episode.rewards["agent_0"]["outcome"] == episode.outcome["scores"]["agent_0"]
    assert len(episode.turns_of("agent_0")) == 1


def test_nothing_is_paid_where_nothing_is_scored() -> None:
    episode = finish(started(0, scenario=PRICE, max_turns=2), lambda view: "Hello.")
    assert episode.rewards == {agent: {"invalid": 0.0} for agent in ("agent_0", "agent_1")}
    assert set(episode.outcome["scores"]) == {"agent_0", "agent_1"}


# --- judges ---------------------------------------------------------------------


class FakeJudge:
    """Scores an agent by its seat; remembers what it was asked, and how many at once.

    Args:
        result: given back instead, where it is not ``None``.
        shares: of each act in its agent's reward.
    """

    def __init__(self, result: JudgeResult | None = None, shares: Sequence[float] = ()) -> None:
        self.episodes: list[Episode] = []
        self.most_at_once = 0
        self._asked = 0
        self._result = result
        self._shares = shares

    async def judge(self, episode: Episode) -> JudgeResult:
        self.episodes.append(episode)
        self._asked += 1
        self.most_at_once = max(self.most_at_once, self._asked)
        await asyncio.sleep(0.02)  # longer than it takes to hand over the next game
        self._asked -= 1
        if self._result is not None:
            return self._result
        agents = [seat.agent for seat in episode.seats]
        importances = {a: tuple(self._shares[: len(episode.turns_of(a))]) for a in agents}
        return JudgeResult(
            "ok",
            scores={
                agent: {"goal": seat + 1.0, "relationship": 0.0}
                for seat, agent in enumerate(agents)
            },
            rewards={agent: float(seat + 1) for seat, agent in enumerate(agents)},
            importances=importances if self._shares else None,
        )


def judged_game(judge: Any, scenario: Any = None, **settings: Any) -> ConversationEnv:
    env = started(
        0, scenario=scenario or meeting(), reward="judge", judge=judge, max_turns=3, **settings
    )
    movers(env)
    return env


@pytest.mark.parametrize("scenario", [meeting(), PRICE])
def test_a_judge_pays(scenario: Any) -> None:
    judge = FakeJudge()
    env = judged_game(judge, scenario, judge_weight=0.5)
    (asked,) = judge.episodes
    assert asked.rewards == {a: {"invalid": 0.0, "judge": None} for a in env.possible_agents}
    setting = asked.outcome["setting"]
    assert setting["scenario"] == scenario.scenario
    for seat, agent in enumerate(env.possible_agents):
        described = setting["participants"][agent]
        assert described["name"] == env.view(agent).name
        assert described["goal"].startswith(scenario.agent_goals[seat])
        assert "hates honey" in described["secret"]
        assert env.infos[agent]["judge_status"] == "ok"
        assert env.rewards[agent] == 0.5 * (seat + 1)
    assert env.episode().rewards == {
        "agent_0": {"invalid": 0.0, "judge": 0.5},
        "agent_1": {"invalid": 0.0, "judge": 1.0},
    }
    assert "outcome" not in env.episode().rewards["agent_0"]


@pytest.mark.parametrize("status", ["failed", "refused"])
def test_a_failed_judgement_is_not_a_zero(status: Any) -> None:
    env = judged_game(FakeJudge(JudgeResult(status, error="no answer")), invalid_penalty=0.5)
    episode = env.episode()
    assert list(episode.rewards.values()) == [{"invalid": 0.0, "judge": None}] * 2
    for agent in env.possible_agents:
        assert env.rewards[agent] == 0
        assert env.infos[agent]["judge_status"] == status
        assert episode.turns_of(agent)[-1].reward_components["judge"] is None
        assert episode.total_reward(agent) == 0
    assert rollout.replay(episode) == episode


def test_a_judge_may_weigh_acts() -> None:
    env = judged_game(FakeJudge(shares=(0.5, 0.0, 0.25)))
    episode = env.episode()
    for seat, agent in enumerate(env.possible_agents):
        paid = [turn.reward_components["judge"] for turn in episode.turns_of(agent)]
        assert paid == [0.5 * (seat + 1), 0.0, 0.25 * (seat + 1)]
        assert episode.rewards[agent]["judge"] == pytest.approx(sum(paid))  # type: ignore[arg-type]
    assert rollout.replay(episode) == episode
    # A weight for an act that was not made is a judgement that cannot be used.
    short = FakeJudge(
        JudgeResult(
            "ok",
            scores={"agent_0": {"goal": 1.0}, "agent_1": {"goal": 1.0}},
            importances={"agent_0": (0.5,), "agent_1": (0.5,)},
        )
    )
    env = judged_game(short)
    assert env.judgement is not None
    assert env.judgement.status == "failed"


def test_without_a_judge_the_error_shows_how_to_start_one() -> None:
    with pytest.raises(ConfigError) as caught:
        sotopia_v0.env(meeting(), reward="judge")
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert any(line.startswith("vllm serve ") for line in lines)
    (call,) = [line for line in lines if line.startswith("sotopia_v0.env(")]
    assert "judge=omar_envs.judge.OpenAIJudge(" in call
    assert "reward='outcome'" in lines[-1]
    with pytest.raises(ConfigError, match="asked only with reward='judge'"):
        sotopia_v0.env(meeting(), reward="none", judge=FakeJudge())


def test_a_judge_inside_a_running_event_loop() -> None:
    async def play() -> Episode:
        return judged_game(FakeJudge()).episode()

    assert asyncio.run(play()) == judged_game(FakeJudge()).episode()


def test_games_that_end_together_are_judged_at_once() -> None:
    judge = FakeJudge()

    def make() -> ConversationEnv:
        return sotopia_v0.raw_env(
            meeting(3), people(["Ana", "Ben", "Carl"]), reward="judge", judge=judge, max_turns=2
        )

    policy = AnswerPolicy(lambda view: f"I am {view.name}.")
    episodes = rollout.run(make, policy, 12, seed=1, batch=6)
    assert judge.most_at_once == 6
    assert len(judge.episodes) == 12
    assert policy.batches == [18] * 4
    for episode in episodes:
        assert [episode.rewards[f"agent_{seat}"]["judge"] for seat in range(3)] == [1, 2, 3]
        assert rollout.replay(episode) == episode


def test_a_judge_in_the_parallel_environment() -> None:
    env = sotopia_v0.parallel_env(meeting(), reward="judge", judge=FakeJudge(), max_turns=1)
    env.reset(seed=1)
    _, rewards, terminations, truncations, infos = env.step(dict.fromkeys(env.agents, "Hello."))
    assert rewards == {"agent_0": 1.0, "agent_1": 2.0}
    assert {info["judge_status"] for info in infos.values()} == {"ok"}
    assert (set(terminations.values()), set(truncations.values())) == ({False}, {True})


# --- settings -------------------------------------------------------------------


@given(configs(5), st.integers(0, 1000))
@settings(max_examples=60)
def test_the_config_makes_the_same_environment_again(config: Config, seed: int) -> None:
    env = sotopia_v0.raw_env(**config)
    again = rollout.make("sotopia_v0", msgspec.json.decode(msgspec.json.encode(env.config)))
    assert isinstance(again, SotopiaEnv)
    assert again.config == env.config
    assert again.settings == env.settings
    assert again.scenarios == env.scenarios
    for game in (env, again):
        game.reset(seed=seed)
    assert again.cast == env.cast
    assert [env.observe(a) for a in env.agents] == [again.observe(a) for a in env.agents]


def test_shipped_names_stand_for_what_is_shipped() -> None:
    scenario = shipped_scenarios(computed=False, num_agents=2)[0]
    cast = list(library().agents.values())[:2]
    env = sotopia_v0.raw_env(scenario, [cast[0].name, cast[1]], reward="none")
    assert env.config["scenario"] == scenario.pk
    assert env.config["agents"] == [character.pk for character in cast]
    assert env.config == sotopia_v0.raw_env(scenario.pk, [c.pk for c in cast], reward="none").config
    # One with the key of a shipped one is its own still.
    other = msgspec.structs.replace(scenario, scenario="Another place.")
    config = sotopia_v0.raw_env(other, reward="none").config
    assert config["scenario"]["scenario"] == "Another place."
    assert config["agents"] is None
    again = rollout.make("sotopia_v0", config)
    again.reset(seed=1)
    assert "Another place." in again.observe("agent_0")["text"]


def test_several_scenarios_are_drawn_from() -> None:
    names = [each.pk for each in shipped_scenarios(computed=False, num_agents=2)[:3]]
    env = sotopia_v0.raw_env(names, reward="none")
    assert env.config["scenario"] == names
    drawn = set()
    for seed in range(30):
        env.reset(seed=seed)
        drawn.add(env.scenario.pk)
    assert drawn == set(names)
    assert sotopia_v0.raw_env([meeting()], reward="none").config["scenario"]["pk"] == "own-meeting"


def test_transcripts(tmp_path: Path) -> None:
    rng = Random(1)
    played = [
        finish(started(seed, 3, max_turns=5), lambda view: reply(view, rng.randrange) or "")
        for seed in range(5)
    ]
    path = tmp_path / "episodes.jsonl"
    write_episodes(path, played)
    assert list(read_episodes(path)) == played
    assert [rollout.replay(episode) for episode in played] == played


def test_relationships_of_pairs() -> None:
    pair = PairRelationship((2, 0), RelationshipType.friend)
    env = started(0, 3, scenario=meeting(3, pair_relationships=(pair,)))
    knows = {
        (reader, other)
        for reader, other in itertools.permutations(range(3), 2)
        if f"{env.view(f'agent_{other}').name} is calm" in env.observe(f"agent_{reader}")["text"]
    }
    assert knows == {(0, 2), (2, 0)}


def test_the_beginning_of_an_observation() -> None:
    env = started(0, 2, ["Ana", "Ben"], scenario=PRICE, omniscient=True)
    text = env.observe("agent_0")["text"]
    for part in (
        "You are Ana.",
        "Scenario: They meet in a lift.",
        "Participants: Ana and Ben.",
        "Your secret: Ana hates honey.",
        "Your goal: Goal number 0.",
        "The goal of Ben: Goal number 1.",
        "200 dollars is the least",
        '"propose"',
        '"accept"',
        "at most 20 turns",
        "Turn 1 of 20: it is your move.",
    ):
        assert part in text, part
    assert "400" not in text
    assert "Ben hates honey" not in text
    assert "Goal number 1" not in started(0).observe("agent_0")["text"]
    view = env.view("agent_0")
    assert (view.role, view.alive, view.num_acts) == (None, True, 0)


def test_facts() -> None:
    """What programs are told; a fact that is not here has no law yet, in the tests of leaks."""
    env = started(0, 2, ["Ana", "Ben"], scenario=PRICE, order="round_robin")
    facts = env.view("agent_0").facts
    private = facts.pop("private")
    assert (private["mechanism"], private["role"], private["limit"]) == ("price", "seller", 200)
    assert "400" not in str(private)
    assert facts == {
        "participants": ["Ana", "Ben"],
        "present": ["Ana", "Ben"],
        "goal": "Goal number 0.",
        "turn": 1,
        "max_turns": 20,
        "order": "round_robin",
        "action_types": [
            *("none", "speak", "non-verbal communication", "action", "leave", "propose", "accept")
        ],
        "standing": {},
        "accepted": {},
        "answered": [],
    }
    env.step("propose 250")
    assert env.view("agent_1").facts["standing"] == {"Ana": {"price": 250}}
    env = started(0, scenario=meeting(2, outcomes(2)[3]), order="round_robin")
    env.step(act("answer", "share"))
    assert env.view("agent_1").facts["answered"] == [env.view("agent_0").name]
    assert "share" not in str({**env.view("agent_1").facts, "private": None})
    assert started(0).view("agent_0").facts["private"] is None


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"order": "sequential"}, "order"),
    ({"order": None}, "order"),
    ({"reward": "score"}, "reward"),
    ({"max_turns": 0}, "max_turns"),
    ({"max_turns": True}, "max_turns"),
    ({"max_turns": 2.5}, "max_turns"),
    ({"max_idle_turns": -1}, "max_idle_turns"),
    ({"max_idle_turns": "2"}, "max_idle_turns"),
    ({"min_present": 0}, "min_present"),
    ({"min_present": 3}, "min_present"),
    ({"omniscient": 1}, "omniscient"),
    ({"max_speech_chars": 0}, "max_speech_chars"),
    ({"private_tags": "think"}, "private_tags"),
    ({"private_tags": [""]}, "private_tags"),
    ({"private_tags": None}, "private_tags"),
    ({"private_tags": 5}, "private_tags"),
    ({"invalid_penalty": -1}, "invalid_penalty"),
    ({"invalid_penalty": float("nan")}, "invalid_penalty"),
    ({"judge_weight": float("inf")}, "judge_weight"),
    ({"judge_weight": None}, "judge_weight"),
    ({"render_mode": "rgb_array"}, "render_mode"),
    ({"num_agents": 1}, "num_agents"),
    ({"num_agents": 9}, "num_agents"),
    ({"num_agents": 3}, "2 participants, not 3"),
    ({"scenario": []}, "scenario"),
    ({"scenario": 5}, "scenario"),
    ({"scenario": [5]}, "no scenario"),
    ({"scenario": {"pk": "x"}}, "no scenario"),
    ({"scenario": "no_such_scenario"}, "no_such_scenario"),
    ({"scenario": [meeting(2), meeting(3)]}, "3 participants, not 2"),
    ({"scenario": meeting(1)}, "1 goals"),
    ({"scenario": meeting(9)}, "9 goals"),
    ({"scenario": meeting(3, outcomes(2)[1])}, "outcome for 2"),
    ({"scenario": meeting(2, pair_relationships=(PairRelationship((0, 2), 1),))}, "relates"),
    ({"scenario": meeting(2, pair_relationships=(PairRelationship((1, 1), 1),))}, "relates"),
    ({"reward": "outcome"}, "no outcome that can be computed"),
    ({"agents": ["nobody of that name", "x"]}, "nobody of that name"),
    ({"agents": people(["Ana"])}, "2 characters"),
    ({"agents": people(["Ana", "Ben", "Carl"])}, "2 characters"),
    ({"agents": "Ana"}, "2 characters"),
    ({"agents": [{"first_name": "Ana"}, {"pk": "y"}]}, "no character"),
    ({"agents": people(["Ana", "ana"])}, "same name"),
]


@pytest.mark.parametrize(("given_settings", "named"), IMPOSSIBLE)
def test_impossible_settings(given_settings: dict[str, Any], named: str) -> None:
    config = {"scenario": meeting(), "reward": "none", **given_settings}
    with pytest.raises(ConfigError, match=re.escape(named)):
        sotopia_v0.env(**config)


def test_unknown_settings() -> None:
    with pytest.raises(TypeError, match="did you mean 'max_turns'"):
        sotopia_v0.env(meeting(), max_turn=3)
    with pytest.raises(TypeError, match="known: order"):
        sotopia_v0.env(meeting(), zzqx=3)
    with pytest.raises(ConfigError, match="max_turn"):
        rollout.make("sotopia_v0", {"max_turn": 3})


def test_defaults_are_as_documented() -> None:
    assert Settings() == Settings(
        order="simultaneous",
        max_turns=20,
        max_idle_turns=2,
        min_present=2,
        omniscient=False,
        reward="outcome",
        invalid_penalty=0.0,
        judge_weight=1.0,
        max_speech_chars=2000,
        private_tags=("think",),
    )


def test_a_cast_is_drawn_where_none_is_given() -> None:
    for seats in range(2, 9):
        env = sotopia_v0.raw_env(meeting(seats), reward="none")
        casts = set()
        for seed in range(10):
            env.reset(seed=seed)
            names = tuple(env.view(agent).name for agent in env.possible_agents)
            assert len(set(names)) == seats
            assert set(names) <= {character.name for character in library().agents.values()}
            casts.add(names)
        assert len(casts) > 5
