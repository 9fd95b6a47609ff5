"""Werewolf as an environment: what is asked, shown, paid, and what every argument does."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs import rollout, werewolf_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.types import CHOOSE, SPEAK, Request, View
from tests.envs.games import (
    act_together,
    finish,
    name_of,
    phase,
    play,
    play_phase,
    play_until,
    pure,
    started,
    step,
    with_role,
)

VILLAGER_ROLES = ("villager", "seer", "doctor")


def living(env: ConversationEnv) -> list[str]:
    return [agent for agent in env.possible_agents if env.view(agent).alive]


def names(env: ConversationEnv, agents: list[str]) -> set[str]:
    return {name_of(env, agent) for agent in agents}


def request_of(env: ConversationEnv, agent: str) -> Request:
    request = env.view(agent).request
    assert request is not None
    return request


def say_nothing_vote(env: ConversationEnv, out: str | None) -> None:
    """Talk without content, then everybody names ``out`` (it names another, or abstains)."""
    play_until(env, "vote")
    target = None if out is None else name_of(env, out)

    def ballot(view: View) -> str:
        assert view.request is not None
        if target in view.request.choices:
            return str(target)
        return "abstain" if "abstain" in view.request.choices else view.request.choices[0]

    act_together(env, ballot)


def night(env: ConversationEnv, kill: str, protect: str = "", see: str = "") -> None:
    """One night, by agent ids; who is not told what to do does the first thing offered."""
    play_until(env, "night")
    wanted = {"werewolf": kill, "doctor": protect, "seer": see}

    def act(view: View) -> str:
        assert view.request is not None
        agent = wanted[view.role or ""]
        return view.names[agent] if agent else view.request.choices[0]

    act_together(env, act)


# --- requests -----------------------------------------------------------------


def test_whom_each_role_may_name() -> None:
    env = started(num_players=8, roles={"werewolf": 2, "seer": 1, "doctor": 1})
    victim = with_role(env, "villager")[0]
    night(env, kill=victim, protect=with_role(env, "doctor")[0])
    say_nothing_vote(env, None)
    play_until(env, "night")
    alive = living(env)
    assert victim not in alive
    wolves, (seer,), (doctor,) = (with_role(env, r) for r in ("werewolf", "seer", "doctor"))
    assert env.acting == tuple(a for a in alive if a in {*wolves, seer, doctor})
    others = [agent for agent in alive if agent not in wolves]
    for wolf in wolves:
        assert set(request_of(env, wolf).choices) == names(env, others)
    assert set(request_of(env, seer).choices) == names(env, alive) - {name_of(env, seer)}
    assert set(request_of(env, doctor).choices) == names(env, alive)
    night(env, kill=doctor, protect=seer, see=wolves[0])
    play_until(env, "vote")
    assert env.acting == tuple(living(env))
    for agent in env.acting:
        offered = request_of(env, agent).choices
        assert offered[-1] == "abstain"
        assert set(offered[:-1]) == names(env, living(env)) - {name_of(env, agent)}


def test_doctor_self_save_off() -> None:
    env = started(doctor_self_save=False)
    play_until(env, "night")
    (doctor,) = with_role(env, "doctor")
    assert name_of(env, doctor) not in request_of(env, doctor).choices
    assert len(request_of(env, doctor).choices) == 6


def test_no_abstaining() -> None:
    env = started(allow_abstain=False)
    play_until(env, "vote")
    assert all("abstain" not in request_of(env, agent).choices for agent in env.acting)
    assert "may not abstain" in env.observe(env.acting[0])["text"]


@pytest.mark.parametrize("style", ["plain", "terse"])
def test_every_choice_is_accepted_verbatim(style: str) -> None:
    env = started(3, num_players=6, prompt_style=style)
    offered = acts = 0
    while not env.over:
        agent = env.agent_selection
        request = request_of(env, agent)
        assert isinstance(request.choices, tuple)
        assert all(type(choice) is str for choice in request.choices)
        assert (request.choices == ()) == (request.kind is SPEAK)
        for choice in request.choices:
            offered += 1
            assert choice in env.observe(agent)["text"]
            other = deepcopy(env)
            other.step(choice)
            turn = finish(other).turns[acts]
            assert (turn.valid, turn.text) == (True, choice)
        step(env)
        acts += 1
    assert offered > 30


def test_talk_requests_say_how_long() -> None:
    env = started(max_speech_chars=33, first_phase="day")
    request = request_of(env, env.agent_selection)
    assert (request.kind, request.choices, request.max_chars) == (SPEAK, (), 33)
    assert "33 characters" in request.instruction
    play_phase(env, lambda view: "word " * 100)
    said = [m.text for m in env.view("player_0").log if m.kind == "speech"]
    assert said
    assert {len(text) for text in said} == {33}


# --- what is shown ------------------------------------------------------------


def test_infos() -> None:
    env = started(1)
    keys = {
        *("request", "messages", "new_messages", "alive", "role", "reward_components"),
        "invalid_actions",
    }
    while not env.over:
        for agent in env.agents:
            info, view = env.infos[agent], env.view(agent)
            assert set(info) == keys
            assert type(info["role"]) is str
            assert info["role"] == view.role
            assert info["request"] == view.request
            assert info["alive"] == view.alive
            assert info["messages"] == view.log
            assert (
                info["messages"][len(info["messages"]) - len(info["new_messages"]) :]
                == (info["new_messages"])
            )
        step(env)
    dealt = sorted(env.infos[agent]["role"] for agent in env.agents)
    assert dealt == ["doctor", "seer", *["villager"] * 3, *["werewolf"] * 2]


def test_new_messages_are_those_since_ones_own_act() -> None:
    env = started(2, first_phase="day", discussion_rounds=2)
    act_together(env, lambda view: f"hello from {view.name}")
    for agent in env.acting:
        new = env.infos[agent]["new_messages"]
        assert len(new) == 7
        assert {m.kind for m in new} == {"speech"}


def test_the_system_prompt_is_true_of_the_reader() -> None:
    env = started(5, num_players=9, roles={"werewolf": 3, "seer": 1, "doctor": 1})
    wolves = with_role(env, "werewolf")
    for agent in env.possible_agents:
        view = env.view(agent)
        system = view.messages[0]["content"]
        assert view.text.startswith(system)
        assert f"You are {view.name}" in system
        assert f"Yours is {view.role}." in system
        assert "3 werewolves, 1 seer, 1 doctor" in system
        partners = [name_of(env, wolf) for wolf in wolves if wolf != agent]
        assert view.facts["partners"] == (partners if agent in wolves else [])
        told = f"Your fellow werewolves: {', '.join(partners)}." in system
        assert told == (agent in wolves)


def test_a_lone_wolf_knows_it() -> None:
    env = started(0, num_players=5)
    (wolf,) = with_role(env, "werewolf")
    assert "only werewolf" in env.observe(wolf)["text"]
    assert phase(env) == (1, "night"), "a lone wolf has nobody to talk to"


@pytest.mark.parametrize(
    ("reveal", "shown"),
    [("none", set()), ("team", {"village"}), ("role", {"villager"})],
)
@pytest.mark.parametrize("style", ["plain", "terse"])
def test_reveal_on_death(reveal: str, shown: set[str], style: str) -> None:
    env = started(2, reveal_on_death=reveal, prompt_style=style)
    victim = with_role(env, "villager")[0]
    before = env.observe("player_0")["text"].count("villager")
    night(env, kill=victim, protect=with_role(env, "seer")[0])
    view = env.view("player_0")
    assert set(view.facts["revealed"].values()) == shown
    assert set(view.facts["revealed"]) <= {name_of(env, victim)}
    told = view.log[-2].text
    assert (name_of(env, victim) in told, "villager" in told) == (True, reveal == "role")
    assert view.text.count("villager") - before == (reveal == "role")
    if reveal == "team":
        assert "not a werewolf" in told or "village" in told


def test_the_seer_learns_and_nobody_else() -> None:
    env = started(4)
    (seer,), (wolf, _) = with_role(env, "seer"), with_role(env, "werewolf")
    villager = with_role(env, "villager")[0]
    night(env, kill=villager, protect=villager, see=wolf)
    assert env.view(seer).facts["investigations"] == {name_of(env, wolf): "werewolf"}
    assert f"* {name_of(env, wolf)} is a werewolf." in env.observe(seer)["text"]
    assert "Nobody died in the night." in env.observe(villager)["text"]
    for agent in env.possible_agents:
        if agent != seer:
            assert env.view(agent).facts["investigations"] == {}
            assert f"{name_of(env, wolf)} is a werewolf" not in env.observe(agent)["text"]


@pytest.mark.parametrize("discussion", ["simultaneous", "round_robin"])
def test_who_hears_what_in_a_discussion(discussion: str) -> None:
    env = started(6, first_phase="day", discussion=discussion, discussion_rounds=1)
    heard: list[int] = []
    for number, agent in enumerate(env.possible_agents):
        assert env.agent_selection == agent
        assert len(env.acting) == (1 if discussion == "round_robin" else 7 - number)
        heard.append(sum(m.kind == "speech" for m in env.view(agent).log))
        env.step(f"words of {agent}")
    assert heard == (list(range(7)) if discussion == "round_robin" else [0] * 7)
    assert phase(env)[1] == "vote"
    for agent in env.possible_agents:
        said = [m.text for m in env.view(agent).log if m.kind == "speech"]
        assert said == [f"words of {speaker}" for speaker in env.possible_agents]


def test_votes_are_sealed_then_public() -> None:
    env = started(6, first_phase="day", discussion_rounds=0)
    shown = {agent: env.observe(agent) for agent in env.possible_agents}
    for agent in env.possible_agents[:-1]:
        env.step(pure(env.view(agent)))
        for waiting in env.acting:
            assert env.observe(waiting) == shown[waiting]
    step(env)
    votes = [m for m in env.view("player_3").log if m.kind == "action"]
    assert [m.sender for m in votes] == env.possible_agents


def test_display_names_are_shuffled_by_the_seed() -> None:
    orders = {tuple(started(seed).view("player_0").names.values()) for seed in range(20)}
    assert len(orders) == 20
    assert {frozenset(order) for order in orders} == {frozenset(next(iter(orders)))}


# --- death and the end --------------------------------------------------------


def test_the_dead_stay_are_never_asked_and_are_paid_with_all_others() -> None:
    env = started(8, num_players=7, roles={"werewolf": 1}, elimination_discount=0.5)
    (wolf,) = with_role(env, "werewolf")
    first, second, *_ = with_role(env, "villager")
    night(env, kill=first)
    say_nothing_vote(env, second)
    assert env.agents == env.possible_agents
    while not env.over:
        assert not {first, second} & set(env.acting)
        assert env.agent_selection not in (first, second)
        for dead in (first, second):
            assert env.infos[dead]["alive"] is False
            assert env.infos[dead]["request"] is None
        assert set(env.rewards.values()) == {0.0}
        assert not any(env.terminations.values())
        if phase(env) == (2, "vote"):
            say_nothing_vote(env, wolf)
        else:
            step(env)
    assert set(env.terminations.values()) == {True}
    assert set(env.truncations.values()) == {False}
    assert (env.rewards[first], env.rewards[second], env.rewards[wolf]) == (0.25, 0.5, -1.0)
    episode = env.episode()
    assert episode.outcome["winner"] == "village"
    assert [d["agent"] for d in episode.outcome["deaths"]][:2] == [first, second]
    # A villager dead before its first act has no turn to carry its reward, but has the reward.
    assert episode.turns_of(first) == ()
    assert episode.total_reward(first) == 0.25


@pytest.mark.parametrize("first_phase", ["night", "day"])
def test_max_days_truncates_and_never_terminates(first_phase: str) -> None:
    env = started(
        0, max_days=2, vote_tie="none", num_players=12, roles={"werewolf": 1},
        first_phase=first_phase, first_night_kill=True,
    )  # fmt: skip
    while not env.over:
        assert not any({**env.truncations, **env.terminations}.values())
        if phase(env)[1] == "vote":
            act_together(env, lambda view: "abstain")
        else:
            step(env)
    assert set(env.truncations.values()) == {True}
    assert set(env.terminations.values()) == {False}
    assert set(env.rewards.values()) == {0.0}
    episode = env.episode()
    assert (episode.truncated, episode.terminated) == (True, False)
    assert (episode.outcome["winner"], episode.outcome["reason"]) == (None, "max_days")
    assert episode.outcome["days"] == 2
    assert "without a winner" in env.observe("player_0")["text"]


def test_a_win_on_the_last_day_terminates() -> None:
    env = started(0, num_players=3, roles={"werewolf": 1}, first_phase="day", max_days=1)
    say_nothing_vote(env, with_role(env, "werewolf")[0])
    assert env.over
    assert set(env.terminations.values()) == {True}
    assert set(env.truncations.values()) == {False}
    assert env.episode().outcome["reason"] == "no_werewolves"


def test_parity_by_night_pays_at_once() -> None:
    env = started(1, num_players=4, roles={"werewolf": 1}, first_phase="day")
    first, second, _ = with_role(env, "villager")
    say_nothing_vote(env, first)
    night(env, kill=second)
    assert env.over
    (wolf,) = with_role(env, "werewolf")
    assert env.rewards[wolf] == 1.0
    assert {env.rewards[agent] for agent in with_role(env, "villager")} == {-1.0}
    assert env.episode().outcome["reason"] == "parity"


# --- invalid acts -------------------------------------------------------------


def test_an_unreadable_vote_abstains_and_costs_the_penalty() -> None:
    env = started(2, first_phase="day", discussion_rounds=0, invalid_penalty=0.5)
    voter = env.agent_selection
    env.step("Ana or Bruno or nobody at all")
    assert env.infos[voter]["invalid_actions"] == 1
    assert env.infos[voter]["reward_components"] == {"outcome": 0.0, "invalid": -0.5}
    assert env.rewards[voter] == -0.5
    assert sum(env.rewards.values()) == -0.5
    while phase(env)[1] == "vote":
        env.step("abstain")
    act = next(m for m in env.view("player_1").log if m.sender == voter)
    assert act.text == "abstains."


def test_an_unreadable_compulsory_choice_is_a_seeded_legal_one() -> None:
    picked = set()
    for seed in range(30):
        games = []
        for _ in range(2):
            env = started(seed, allow_abstain=False, first_phase="day", discussion_rounds=0)
            request = request_of(env, env.agent_selection)
            finish(env, lambda view: "")
            turn = env.episode().turns[0]
            assert turn.text in request.choices
            games.append(env.episode())
            picked.add(request.choices.index(turn.text))
        assert games[0] == games[1]
    assert len(picked) > 3


def test_invalid_acts_without_a_penalty_are_counted_only() -> None:
    env = started(2)
    episode = finish(env, lambda view: None)
    assert all(not turn.valid for turn in episode.turns)
    assert {parts["invalid"] for parts in episode.rewards.values()} == {0.0}
    for agent in env.possible_agents:
        assert env.infos[agent]["invalid_actions"] == len(episode.turns_of(agent))


@pytest.mark.parametrize("action", [None, 3, 2.5, b"Ana", ["Ana"], {"text": "Ana"}, object()])
def test_actions_that_are_no_text(action: Any) -> None:
    env = started(3, invalid_penalty=0.25)
    agent = env.agent_selection
    env.step(action)
    assert env.infos[agent]["invalid_actions"] == 1
    episode = finish(env, lambda view: action if view.num_acts % 2 else pure(view))
    assert rollout.replay(episode) == episode
    parallel = werewolf_v0.parallel_env(invalid_penalty=0.25)
    parallel.reset(seed=3)
    acting = parallel.acting
    _, rewards, _, _, infos = parallel.step(dict.fromkeys(parallel.agents, action))
    assert {agent: rewards[agent] for agent in acting} == dict.fromkeys(acting, -0.25)
    assert {infos[a]["invalid_actions"] for a in set(parallel.agents) - set(acting)} == {0}


# --- parallel -----------------------------------------------------------------


def test_parallel_plays_the_same_game() -> None:
    for discussion in ("simultaneous", "round_robin"):
        parallel = werewolf_v0.parallel_env(discussion=discussion, invalid_penalty=0.125)
        observations, infos = parallel.reset(seed=11)
        assert set(observations) == set(infos) == set(parallel.possible_agents)
        total = dict.fromkeys(parallel.agents, 0.0)
        while parallel.agents:
            acts = {agent: pure(parallel.view(agent)) for agent in parallel.acting}
            noise = {agent: "ignored" for agent in parallel.agents if agent not in acts}
            observations, rewards, terminated, truncated, infos = parallel.step({**noise, **acts})
            for agent, reward in rewards.items():
                total[agent] += reward
                assert reward == sum(infos[agent]["reward_components"].values())
                assert observations[agent]["text"] == parallel.view(agent).text
            done = set(terminated.values()) | set(truncated.values())
            assert len(set(terminated.values())) == len(set(truncated.values())) == 1
            assert done == {False} or parallel.agents == []
        episode = parallel.episode()
        assert episode == play(11, discussion=discussion, invalid_penalty=0.125)
        assert total == {agent: episode.total_reward(agent) for agent in total}
        assert parallel.step({}) == ({}, {}, {}, {}, {})


def test_parallel_step_takes_a_whole_stage_or_one_speaker() -> None:
    parallel = werewolf_v0.parallel_env(first_phase="day", discussion_rounds=1)
    parallel.reset(seed=1)
    assert len(parallel.acting) == 7
    parallel.step(dict.fromkeys(parallel.agents, "hello"))
    assert parallel.view("player_0").facts["phase"] == "vote"
    ring = werewolf_v0.parallel_env(
        first_phase="day", discussion_rounds=1, discussion="round_robin"
    )
    ring.reset(seed=1)
    ring.step(dict.fromkeys(ring.agents, "hello"))
    assert ring.acting == ("player_1",)


def test_parallel_agent_without_an_act_is_silent() -> None:
    parallel = werewolf_v0.parallel_env(first_phase="day", invalid_penalty=1.0)
    parallel.reset(seed=1)
    _, rewards, _, _, _ = parallel.step({"player_0": "hello", "nobody": "?"})
    assert rewards == {a: 0.0 if a == "player_0" else -1.0 for a in parallel.agents}


# --- arguments ----------------------------------------------------------------

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"roles": {}}, "roles is empty"),
    ({"roles": [("werewolf", 1)]}, "roles must map"),
    ({"roles": "werewolf"}, "roles must map"),
    ({"num_players": 4, "roles": {"werewolf": 2}}, "2 werewolves among 4 players"),
    ({"first_phase": "day", "first_night_kill": False}, "needs first_phase='night'"),
    ({"max_speech_chars": 0}, "max_speech_chars must be from 1"),
    ({"max_speech_chars": True}, "max_speech_chars must be an integer"),
    ({"max_speech_chars": 10.5}, "max_speech_chars must be an integer"),
    ({"invalid_penalty": -0.1}, "invalid_penalty must be at least 0"),
    ({"invalid_penalty": float("inf")}, "invalid_penalty must be a finite number"),
    ({"invalid_penalty": "1"}, "invalid_penalty must be a finite number"),
    ({"invalid_penalty": 10**400}, "invalid_penalty must be a finite number"),
    ({"judge_weight": 10**400}, "judge_weight must be a finite number"),
    ({"vote_rule": ["majority"]}, "vote_rule must be one of"),
    ({"vote_rule": np.array(["plurality", "majority"])}, "vote_rule must be one of"),
    (
        {"first_night_kill": False, "first_day_vote": False, "discussion_rounds": 0, "max_days": 1},
        "nothing would happen on the only day",
    ),
    ({"prompt_style": "poem"}, "prompt_style must be one of 'plain', 'terse'"),
    ({"render_mode": "rgb_array"}, "render_mode must be None, 'human' or 'ansi'"),
    ({"private_tags": "think"}, "private_tags must be a list"),
    ({"private_tags": ["<think>"]}, "private_tags must be a list"),
    ({"private_tags": [""]}, "private_tags must be a list"),
    ({"private_tags": [1]}, "private_tags must be a list"),
    ({"private_tags": None}, "private_tags must be a list"),
    ({"private_tags": {"a", "b"}}, "private_tags must be a list"),
    ({"names": "ABCDEFG"}, "names must be a list"),
    ({"names": 7}, "names must be a list"),
    ({"names": set("ABCDEFG")}, "names must be a list"),
    ({"names": [*"ABCDEF", 7]}, "names must be a list"),
    ({"names": list("ABCDEF")}, "7 players need as many names: got 6"),
    ({"names": [*"ABCDEF", "a"]}, "differ in more than case"),
    ({"names": [*"ABCDEF", "abstain"]}, "means something else"),
    ({"names": [*"ABCDEF", "Moderator"]}, "means something else"),
    ({"names": [*"ABCDEF", ""]}, "letters, digits and single spaces"),
    ({"names": [*"ABCDEF", "G:"]}, "letters, digits and single spaces"),
    ({"names": [*"ABCDEF", "G\nH"]}, "letters, digits and single spaces"),
    ({"names": [*"ABCDEF", "G  H"]}, "letters, digits and single spaces"),
    ({"names": [*"ABCDEF", " G"]}, "letters, digits and single spaces"),
    ({"names": [*"ABCDEF", "\u202eG"]}, "letters, digits and single spaces"),
    ({"names": [*"ABCDEF", "Mr A"]}, "'Mr A' contains 'A'"),
    ({"names": [*"ABCDEF", "I abstain"]}, "'I abstain' contains 'abstain'"),
]


@pytest.mark.parametrize(("config", "reason"), REFUSED)
@pytest.mark.parametrize("make", [werewolf_v0.env, werewolf_v0.raw_env, werewolf_v0.parallel_env])
def test_impossible_arguments_say_which_and_why(
    make: Any, config: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        make(**config)


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="num_wolves"):
        werewolf_v0.env(num_wolves=2)
    with pytest.raises(ConfigError, match="num_wolves"):
        rollout.make("werewolf_v0", {"num_wolves": 2})
    with pytest.raises(ConfigError, match=r"unknown environment 'mafia'.*werewolf_v0"):
        rollout.make("mafia")


def test_names_are_dealt_from_the_given_ones() -> None:
    given_names = ["Weiß", "李", "Van Dam", "O2", "É", "F", "G", "H"]
    episode = play(3, names=given_names, num_players=7)
    assert len({seat.name for seat in episode.seats}) == 7
    assert {seat.name for seat in episode.seats} < set(given_names)
    assert all(turn.valid for turn in episode.turns)


def test_private_tags() -> None:
    env = started(1, first_phase="day", private_tags=["plan", "think"])
    env.step("<plan>lie</plan>Hello<think>well</think>")
    finish(env)
    assert env.episode().turns[0].text == "Hello"
    none = started(1, first_phase="day", private_tags=[])
    none.step("<think>hm</think>Hello")
    finish(none)
    assert none.episode().turns[0].text == "<think>hm</think>Hello"


def test_zero_rounds_of_talk() -> None:
    episode = play(2, discussion_rounds=0, wolf_chat_rounds=0)
    assert {turn.request.kind for turn in episode.turns} == {CHOOSE}
    assert not any(m.kind == "speech" for m in episode.messages)


def test_rounds_of_talk() -> None:
    env = started(2, wolf_chat_rounds=3, discussion_rounds=2)
    wolves = set(with_role(env, "werewolf"))
    for number in range(3):
        assert set(env.acting) == wolves
        act_together(env, lambda view, n=number: f"secret {n}")
    assert phase(env) == (1, "night")
    act_together(env)
    for number in range(2):
        assert set(env.acting) == set(living(env))
        assert f"round {number + 1}" in request_of(env, env.acting[0]).instruction
        act_together(env)
    assert phase(env) == (1, "vote")


def test_a_peaceful_first_night() -> None:
    env = started(2, first_night_kill=False, wolf_chat_rounds=0)
    assert list(env.acting) == with_role(env, "seer")
    act_together(env)
    assert len(living(env)) == 7
    assert "Nobody died in the night." in env.observe("player_0")["text"]
    assert "In the first night nobody is killed." in env.observe("player_0")["text"]
    play_until(env, "vote")
    act_together(env, lambda view: "abstain")
    assert len(env.acting) == 4


def test_the_terse_style_is_few_fixed_words() -> None:
    env = started(4, prompt_style="terse", invalid_penalty=0.1)
    vocabulary = {
        *("you", "players", "wolves", "day", "night", "talk", "whisper", "vote", "kill"),
        *("protect", "investigate", "abstain", "dies", "out", "nobody", "invalid", "is", "good"),
        *("village", "villager", "werewolf", "seer", "doctor", "wins", "draw", ":", "hello"),
        *env.view("player_0").names.values(),
    }

    def answer(view: View) -> str:
        assert view.request is not None
        if view.request.kind is SPEAK:
            return "hello"
        return pure(view) if view.num_acts % 2 else "?"

    finish(env, answer)
    for agent in env.possible_agents:
        for message in env.view(agent).messages:
            if message["role"] != "assistant":
                words = re.split("[ \n]", message["content"])
                assert {word for word in words if not word.isdigit()} <= vocabulary


configs = st.fixed_dictionaries(
    {},
    optional={
        "num_players": st.integers(5, 9),
        "discussion": st.sampled_from(["simultaneous", "round_robin"]),
        "discussion_rounds": st.integers(0, 2),
        "wolf_chat_rounds": st.integers(0, 2),
        "first_phase": st.sampled_from(["night", "day"]),
        "vote_tie": st.sampled_from(["random", "none"]),
        "vote_rule": st.sampled_from(["plurality", "majority"]),
        "allow_abstain": st.booleans(),
        "reveal_on_death": st.sampled_from(["none", "team", "role"]),
        "doctor_self_save": st.booleans(),
        "win_rule": st.sampled_from(["parity", "extinction"]),
        "max_days": st.integers(1, 3),
        "max_speech_chars": st.integers(1, 20),
        "elimination_discount": st.floats(0.1, 1.0),
        "invalid_penalty": st.floats(0.0, 1.0),
        "prompt_style": st.sampled_from(["plain", "terse"]),
    },
)


@settings(max_examples=40)
@given(configs, st.integers(0, 99), st.integers(2, 5))
def test_any_configuration_plays_to_its_end(config: dict[str, Any], seed: int, bad: int) -> None:
    """And its config makes it again, its reward parts add up, its episode replays."""
    env = started(seed, **config)
    assert rollout.make("werewolf_v0", env.config).config == env.config
    assert config.items() <= env.config.items()
    rewards = dict.fromkeys(env.possible_agents, 0.0)
    acts = 0
    while not env.over:
        acts += 1
        env.step("garbage?" if acts % bad == 0 else pure(env.view(env.agent_selection)))
        for agent in env.possible_agents:
            rewards[agent] += env.rewards[agent]
            parts = env.infos[agent]["reward_components"]
            assert sum(parts.values()) == pytest.approx(env._cumulative_rewards[agent])
    episode = env.episode()
    for agent in env.possible_agents:
        assert episode.total_reward(agent) == pytest.approx(rewards[agent])
        turns = episode.turns_of(agent)
        for part, total in episode.rewards[agent].items():
            paid = sum(turn.reward_components[part] or 0.0 for turn in turns)
            assert not turns or paid == pytest.approx(total)
        invalid = sum(not turn.valid for turn in turns)
        assert episode.rewards[agent]["invalid"] == pytest.approx(
            -invalid * config.get("invalid_penalty", 0.0)
        )
    assert episode.terminated != episode.truncated
    assert rollout.replay(episode) == episode
