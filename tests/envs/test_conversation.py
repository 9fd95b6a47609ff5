"""The conversation engine, by a game that has nothing to do with Werewolf."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
from gymnasium.error import Error
from gymnasium.utils import seeding
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError, StateError
from omar_envs.stages import Stage
from omar_envs.types import MODERATOR, Message, Request, View
from tests.envs.colours import (
    AGENTS,
    COLOURS,
    HUDDLE,
    RING,
    ROUND,
    TALK,
    WHISPER,
    A,
    B,
    C,
    Colours,
    begun,
    stage,
)


def lines(env: ConversationEnv, agent: str) -> list[str]:
    """Transcript lines below the rules, without the request."""
    return [line for line in env.observe(agent)["text"].split("\n")[2:] if line]


def test_simultaneous_acts_are_held_back_until_the_stage_closes() -> None:
    env = begun(TALK, stage("next"))
    assert env.acting == AGENTS
    before = {agent: env.view(agent) for agent in AGENTS}
    env.step("one")
    assert env.acting == (B, C)
    assert env.agent_selection == B
    env.step("two")
    assert env.acting == (C,)
    assert [env.view(agent) for agent in (C,)] == [before[C]]
    assert not any("one" in lines(env, agent)[-1] for agent in AGENTS)
    env.step("three")
    for agent in AGENTS:
        shown = [(m.sender, m.text) for m in env.view(agent).log if m.kind == "speech"]
        assert shown == [(A, "one"), (B, "two"), (C, "three")]
    assert env.resolved[0] == ("talk", {A: "one", B: "two", C: "three"})


def test_sequential_acts_are_heard_at_once_in_order() -> None:
    env = begun(RING)
    assert env.acting == (C,)
    assert [agent for agent in AGENTS if env.view(agent).request] == [C]
    env.step("first")
    assert env.acting == (A,)
    assert lines(env, A)[-2:] == ["C: first", "Speak."]
    env.step("second")
    assert lines(env, B)[-3:] == ["C: first", "A: second", "Speak."]
    env.step("third")
    assert env.over
    assert env.acting == ()


def test_the_audience_hears_and_nobody_else() -> None:
    env = begun(WHISPER, TALK)
    env.step("psst")
    env.step("hm")
    assert "A (in private): psst" in lines(env, B)
    assert "psst" not in env.observe(C)["text"]
    assert [m.text for m in env.view(A).log[:3]] == ["hello", "only a and c", "talk opens"]
    assert [m.text for m in env.view(B).log[:2]] == ["hello", "talk opens"]
    assert [m.audience for m in env.view(A).log if m.sender != MODERATOR] == [(A, B), (A, B)]


def test_a_stage_without_agents_closes_at_once_and_is_numbered() -> None:
    env = begun(stage("empty", ()), TALK)
    assert env.resolved == [("empty", {})]
    for agent in AGENTS:
        env.step(agent)
    assert [record.turn for record in env.episode().stages] == [0, 1]
    assert {m.turn for m in env.episode().messages if m.kind == "speech"} == {1}


def test_a_game_of_no_stages_is_over_at_reset() -> None:
    env = begun()
    assert env.over
    assert env.acting == ()
    assert all(env.terminations.values())
    assert env.episode().total_reward(A) == 100.0
    assert [m["role"] for m in env.view(A).messages] == ["system", "user"]


def test_chat_is_what_was_shown_and_own_replies_as_generated() -> None:
    env = begun(TALK, TALK)
    env.step("<think>hm\n</think> one")
    env.step("two")
    env.step("three")
    assert env.view(A).messages == (
        {"role": "system", "content": "You are a."},
        {"role": "user", "content": "* hello\n* only a and c\n* talk opens\nSpeak."},
        {"role": "assistant", "content": "<think>hm\n</think> one"},
        {"role": "user", "content": "B: two\nC: three\n* talk opens\nWhich colour?"},
    )
    assert lines(env, A)[3:] == ["A: one", "B: two", "C: three", "* talk opens", "Which colour?"]


def test_invalid_acts_are_neutral_counted_told_to_their_agent_alone_and_paid() -> None:
    env = begun(TALK, TALK, invalid_penalty=0.25)
    env.step("")
    assert env.infos[A]["invalid_actions"] == 1
    assert env.rewards == {A: -0.25, B: 0.0, C: 0.0}
    assert env.infos[A]["reward_components"] == {"game": 0.0, "invalid": -0.25}
    assert lines(env, A)[-1] == "* Your reply could not be read; you say nothing."
    env.step("two")
    env.step("three")
    assert env.infos[B]["invalid_actions"] == 0
    assert "could not be read" not in env.observe(B)["text"]
    assert "A:" not in env.observe(B)["text"]
    env.step("green")
    env.step("red")
    env.step("blue")
    turn = env.episode().turns_of(A)[1]
    assert (turn.valid, turn.reply) == (False, "green")
    assert turn.text in COLOURS
    assert env.resolved[1][1][A] == turn.text
    assert turn.error == "the reply names none of the choices"
    assert env.episode().rewards[A]["invalid"] == -0.5


def test_last_returns_what_was_paid_since_the_agents_own_act() -> None:
    env = begun(stage("empty", ()), TALK, RING)
    assert [env.last()[1]] == [1.0]  # paid before its first act
    for agent in AGENTS:
        env.step(agent)
    assert env.rewards == {A: 1.0, B: 1.0, C: 11.0}
    # C acted last, but its act is where the payment began: it is all C's since then.
    assert env.agent_selection == C
    assert env.last()[1] == 11.0
    env.step("red")
    assert env.rewards == {A: 0.0, B: 0.0, C: 0.0}
    assert env.last()[1] == 1.0  # A's, since its act in the talk
    env.step("red")
    env.step("red")
    assert env.rewards == {A: 101.0, B: 1.0, C: 11.0}
    assert {agent: env.last()[1] for agent in [env.agent_selection]} == {A: 101.0}


def test_turns_divide_all_that_was_paid() -> None:
    env = begun(stage("empty", ()), TALK, RING)
    for reply in ("x", "y", "z", "red", "red", "red"):
        env.step(reply)
    episode = env.episode()
    assert [
        [turn.reward_components["game"] for turn in episode.turns_of(agent)] for agent in AGENTS
    ] == [[2.0, 101.0], [2.0, 1.0], [22.0, 11.0]]
    assert [episode.total_reward(agent) for agent in AGENTS] == [103.0, 3.0, 33.0]


class Advance(Colours):
    """Pays once more as the game is dealt."""

    def _begin(self) -> None:
        super()._begin()
        self.pay(B, "game", 0.5)


def test_what_is_paid_while_dealing_counts_to_the_first_act_of_its_game() -> None:
    env = Advance(TALK, TALK)
    for _ in range(2):
        env.reset(seed=1)
        for reply in ("x", "y", "z", "red", "red", "red"):
            env.step(reply)
        paid = [turn.reward_components["game"] for turn in env.episode().turns_of(B)]
        assert paid == [1.5, 1.0]


def test_who_never_acts_is_paid_in_the_total_only() -> None:
    env = begun(WHISPER)
    env.step("x")
    env.step("y")
    assert env.episode().turns_of(C) == ()
    assert env.episode().total_reward(C) == 11.0


# --- penalties, and silence ---------------------------------------------------


def test_a_valid_reply_in_another_form_pays_the_format_penalty() -> None:
    env = begun(TALK, TALK, format_penalty=0.5, invalid_penalty=2.0)
    env.step("x" * 21)
    assert env.rewards == {A: -0.5, B: 0.0, C: 0.0}
    for reply in ("x" * 20, "", "I pick red", "<think>hm</think> red\n", "green"):
        env.step(reply)
    rewards = env.episode().rewards
    assert [rewards[agent]["format"] for agent in AGENTS] == [-1.0, 0.0, 0.0]
    assert [rewards[agent]["invalid"] for agent in AGENTS] == [0.0, 0.0, -4.0]


def test_speech_pays_for_its_share_of_the_length() -> None:
    env = begun(TALK, TALK, length_penalty=1.0)
    for reply in ("x" * 15, "x" * 99, "", "red", "red", "red"):
        env.step(reply)
    rewards = env.episode().rewards
    assert [rewards[agent]["length"] for agent in AGENTS] == [-0.75, -1.0, 0.0]


def test_components_exist_where_something_can_pay_them() -> None:
    def components(**settings: Any) -> list[str]:
        return list(begun(TALK, **settings).infos[A]["reward_components"])

    assert components() == ["game", "invalid"]
    assert components(format_penalty=0.1) == ["game", "invalid", "format"]
    assert components(length_penalty=0.1) == ["game", "invalid", "length"]
    assert components(length_penalty=1, format_penalty=1, invalid_penalty=1) == [
        *("game", "invalid", "format", "length")
    ]


@pytest.mark.parametrize("name", ["invalid_penalty", "format_penalty", "length_penalty"])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "1", None, True])
def test_impossible_penalties_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        Colours(TALK, **{name: value})


@pytest.mark.parametrize("mode", ["simultaneous", "sequential"])
@pytest.mark.parametrize("silence", ["", "Pass.", "<think>hm</think>", None])
def test_silence_is_an_act_where_it_may_pass(mode: str, silence: Any) -> None:
    env = begun(
        *(stage("talk", mode=mode), TALK), may_pass=True, invalid_penalty=1.0, format_penalty=1.0
    )
    for reply in (silence, "hello", silence):
        env.step(reply)
    assert [(m.sender, m.text) for m in env.view(B).log if m.sender != MODERATOR] == [(B, "hello")]
    for _ in AGENTS:
        env.step("red")
    for agent in (A, C):
        turn = env.episode().turns_of(agent)[0]
        assert (turn.text, turn.valid, turn.error) == ("", True, "")
    assert {r[part] for r in env.episode().rewards.values() for part in ("invalid", "format")} == {
        0.0
    }


# --- infos --------------------------------------------------------------------


def test_infos_are_of_their_step() -> None:
    env = begun(TALK, TALK)
    held = env.infos
    first = held[A]
    before = pickle.loads(pickle.dumps(held))
    assert env.last()[4] is first
    env.step("one")
    assert held == before, "what was read stays as it was"
    assert env.infos is not held
    assert env.infos[A] is not first
    assert env.infos[A]["request"] is None
    assert list(env.infos) == list(AGENTS)
    assert env.infos is env.infos, "one dictionary per step"


def test_infos_are_plain_dictionaries_that_may_be_changed() -> None:
    env = begun(TALK, TALK)
    assert type(env.infos) is dict
    assert {type(info) for info in env.infos.values()} == {dict}
    env.infos[A]["mine"] = 1
    assert env.last()[4]["mine"] == 1
    env.step("one")
    env.last()[4]["mine"] = 2
    assert env.infos[B]["mine"] == 2
    assert [*env.infos] == list(AGENTS)


def test_what_came_since_the_readers_last_act_is_new() -> None:
    def new(agent: str) -> list[str]:
        return [m.text for m in env.infos[agent]["new_messages"]]

    env = begun(TALK, TALK)
    assert new(A) == ["hello", "only a and c", "talk opens"]
    env.step("one")
    env.step("two")
    assert (new(A), new(B), new(C)) == ([], [], ["hello", "only a and c", "talk opens"])
    env.step("three")
    for agent in AGENTS:
        assert new(agent) == ["one", "two", "three", "talk opens"]


@pytest.mark.parametrize("limit", [False, True])
def test_all_end_together_in_one_way(limit: bool) -> None:
    env = begun(TALK, limit=limit)
    for agent in AGENTS:
        assert not any({**env.terminations, **env.truncations}.values())
        env.step(agent)
    assert set(env.terminations.values()) == {not limit}
    assert set(env.truncations.values()) == {limit}
    assert (env.episode().terminated, env.episode().truncated) == (not limit, limit)
    rewards = dict(env.rewards)
    for agent in AGENTS:
        assert env.agent_selection == agent
        assert env.last()[1:4] == (rewards[agent], not limit, limit)
        env.step(None)
    assert env.agents == []


def test_infos_that_were_read_stay_while_agents_leave() -> None:
    env = begun(TALK)
    for agent in AGENTS:
        env.step(agent)
    held = dict(env.infos)
    for agent in AGENTS:
        assert env.last()[4] is env.infos[agent] is held[agent]
        env.step(None)


@pytest.mark.parametrize("huddle", [HUDDLE, WHISPER], ids=["in turn", "at once"])
def test_what_is_said_apart_stays_there(huddle: Stage) -> None:
    env = begun(huddle, TALK)
    env.step("apart a")
    env.step("apart b")
    assert env.agent_selection == A
    assert ["apart" in env.observe(agent)["text"] for agent in AGENTS] == [True, True, False]
    assert "apart" not in repr(env.infos[C])


class Whispering(Colours):
    """A game that shows acts in its own way: to nobody but its actor."""

    def _publish_act(self, agent: str, request: Request, text: str) -> None:
        self.post(text, (agent,), agent, "speech")


@pytest.mark.parametrize("plan", [TALK, RING, ROUND], ids=["at once", "in turn", "all alike"])
def test_a_game_may_show_acts_in_its_own_way(plan: Stage) -> None:
    env = Whispering(plan, TALK)
    env.reset(seed=1)
    for _ in AGENTS:
        env.step(f"by {env.agent_selection}")
    for agent in AGENTS:
        said = [m.text for m in env.view(agent).log if m.kind == "speech"]
        assert said == [f"by {agent}"]


def test_calls_at_the_wrong_time_say_so() -> None:
    env = Colours(TALK, render_mode="ansi")
    assert env.acting == ()
    assert not env.over
    for call in (
        env.episode,
        env.render,
        env.step_components,
        lambda: env.step("x"),
        lambda: env.observe(A),
        lambda: env.view(A),
        lambda: env.np_random,
    ):
        with pytest.raises(StateError):
            call()
    env.reset(seed=1)
    with pytest.raises(StateError, match="once the game has ended"):
        env.episode()
    for agent in AGENTS:
        env.step(agent)
    for _ in AGENTS:
        env.step(None)
    with pytest.raises(StateError, match=r"call reset\(\)"):
        env.step("x")


def test_reset_in_the_middle_starts_afresh() -> None:
    env = begun(TALK, TALK, seed=4, invalid_penalty=1.0)
    env.step("")
    env.reset(seed=4)
    fresh = begun(TALK, TALK, seed=4, invalid_penalty=1.0)
    for one in (env, fresh):
        for reply in ("x", "", "z", "red", "?", "blue"):
            one.step(reply)
    assert env.episode() == fresh.episode()


def test_reset_without_a_seed_goes_on_from_the_last_one() -> None:
    def seeds() -> list[int]:
        env = begun(TALK, seed=9)
        used = [env.seed_used]
        for _ in range(3):
            env.reset()
            used.append(env.seed_used)
        return used

    assert seeds() == seeds()
    assert len(set(seeds())) == 4
    unseeded = Colours(TALK)
    unseeded.reset()
    again = begun(TALK, seed=unseeded.seed_used)
    assert unseeded.seed_used < 2**53
    for agent in AGENTS:
        unseeded.step("x")
        again.step("x")
        assert unseeded.view(agent) == again.view(agent)


def test_the_generator_is_gymnasiums() -> None:
    env = Colours(TALK)
    for seed in (0, 7, 2**70):
        env.reset(seed=seed)
        expected, _ = seeding.np_random(seed)
        assert expected.integers(2) == COLOURS.index(env.lucky)
        assert env.np_random.bit_generator.state == expected.bit_generator.state
    for seed in (-1, 1.5):
        with pytest.raises(Error):
            env.reset(seed=seed)  # type: ignore[arg-type]


def test_rendering(capsys: pytest.CaptureFixture[str]) -> None:
    ansi = begun(WHISPER, render_mode="ansi")
    human = begun(WHISPER, render_mode="human")
    for env in (ansi, human):
        env.step("psst")
        env.step("hm")
    log = ansi.render()
    assert log is not None
    assert log.split("\n") == [
        "* hello",
        "(A, C only) * only a and c",
        "* talk opens",
        "(A, B only) A (in private): psst",
        "(A, B only) B (in private): hm",
        "* bye",
    ]
    assert human.render() is None
    assert capsys.readouterr().out == log + "\n"
    with pytest.warns(UserWarning, match="render_mode"):
        assert begun(TALK).render() is None


def line(message: Message) -> str:
    name = "*" if message.sender == MODERATOR else f"{message.sender.upper()}:"
    if message.kind == "action":
        name = f"* {message.sender.upper()}"
    elif message.sender != MODERATOR and message.audience is not None:
        name = f"{message.sender.upper()} (in private):"
    return f"{name} {message.text}"


def own(view: View) -> list[Message]:
    """The agent's words, which stand in its chat as its replies."""
    return [m for m in view.log if m.kind == "speech" and m.sender == view.agent]


def expected_lines(view: View) -> list[str]:
    asked = ["", view.request.instruction] if view.request else []
    return [f"You are {view.agent}.", "", *map(line, view.log), *asked]


@pytest.mark.parametrize("reads", [1, 7, 60])
def test_a_long_transcript_is_whole(reads: int) -> None:
    env = begun(*[RING, WHISPER] * 30)
    for act in range(150):
        env.step(f"red {act}")
        if act % reads == 0:
            for agent in AGENTS:
                view = env.view(agent)
                assert view.text.split("\n") == expected_lines(view)


def told(view: View) -> list[str]:
    """Lines of the chat's user messages, without the questions."""
    spoken = [m["content"].split("\n") for m in view.messages if m["role"] == "user"]
    questions = ("Speak.", "Which colour?")
    return [text for lines in spoken for text in lines if text not in questions]


plans = st.lists(
    st.sampled_from([TALK, RING, ROUND, WHISPER, HUDDLE, stage("pick", (B,)), stage("empty", ())]),
    max_size=5,
)
replies = st.lists(st.sampled_from(["", "red", "blue", "one\ntwo", "<think>x", 3]), min_size=20)


@given(plans, replies, st.integers(0, 9))
def test_laws_of_any_conversation(plan: list[Stage], acts: list[Any], seed: int) -> None:
    env = begun(*plan, seed=seed, invalid_penalty=0.5)
    earlier = {agent: env.view(agent) for agent in AGENTS}
    for act in acts:
        if env.over:
            break
        views = {agent: env.view(agent) for agent in AGENTS}
        for agent, view in views.items():
            old = earlier[agent]
            assert view.messages[: len(old.messages)] == old.messages
            assert view.log[: len(old.log)] == old.log
            assert (view.request is not None) == (agent in env.acting)
            assert view.text == env.observe(agent)["text"]
            assert [m["role"] for m in view.messages[1::2]] == ["user"] * (len(view.messages) // 2)
            if view.request is not None:
                assert view.messages[-1]["role"] == "user"
                assert view.messages[-1]["content"].endswith(view.request.instruction)
            assert env.infos[agent]["messages"] == view.log
            assert view.text.split("\n") == expected_lines(view)
            assert (
                told(view) == [line(m) for m in view.log if m not in own(view)][: len(told(view))]
            )
        assert views == {agent: env.view(agent) for agent in AGENTS}, "looking changes nothing"
        earlier = views
        copied = copy.deepcopy(env)
        for one in (env, copied):
            one.step(act)
        assert [copied.view(agent) for agent in AGENTS] == [env.view(agent) for agent in AGENTS]
    shown = {id(m): m.text for agent in AGENTS for m in env.view(agent).log}
    assert sorted(env.rendered) == sorted(shown.values()), "each message is rendered once"
    if env.over:
        episode = env.episode()
        for agent in AGENTS:
            view = env.view(agent)
            assert told(view) == [line(m) for m in view.log if m not in own(view)]
        for agent in AGENTS:
            assert env.view(agent).log == tuple(
                m for m in episode.messages if m.audience is None or agent in m.audience
            )
            turns = episode.turns_of(agent)
            for part, total in episode.rewards[agent].items():
                paid = [turn.reward_components[part] or 0.0 for turn in turns]
                assert not turns or sum(paid) == total
