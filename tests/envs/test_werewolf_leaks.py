"""Nobody is shown what they may not know: two games that differ only there look the same."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs.conversation import ConversationEnv
from omar_envs.types import MODERATOR, SPEAK, Episode, View
from tests.envs.games import (
    act_together,
    everything,
    finish,
    phase,
    play,
    play_until,
    pure,
    started,
    step,
    with_role,
)

SECRET = "zzqx"  # in no prompt, name or label


def same_world(env: ConversationEnv, other: ConversationEnv, agents: Any) -> None:
    for agent in agents:
        assert everything(env, agent) == everything(other, agent), agent


def deal_pair(**config: Any) -> tuple[ConversationEnv, ConversationEnv, str, str]:
    """Two games alike but for the roles of two agents: their ids are returned too.

    The first of the two is a wolf in the first game, the second in the second.
    """
    seen: dict[tuple[Any, ...], list[tuple[str, ...]]] = {}
    games: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}
    for seed in range(4000):
        env = started(seed, **config)
        names = tuple(env.view("player_0").names.values())
        roles = tuple(str(env.view(agent).role) for agent in env.possible_agents)
        for other in seen.setdefault(names, []):
            differ = [
                i for i, pair in enumerate(zip(roles, other, strict=True)) if len({*pair}) > 1
            ]
            if len(differ) == 2 and {roles[i] for i in differ} == {"werewolf", "seer"}:
                one, two = differ if other[differ[0]] == "werewolf" else reversed(differ)
                old = started(games[names, other], **config)
                agents = env.possible_agents
                return old, env, agents[one], agents[two]
        seen[names].append(roles)
        games[names, roles] = seed
    raise AssertionError("no such pair of seeds")


@pytest.mark.parametrize("style", ["plain", "terse"])
def test_swapped_roles_of_two_others_look_the_same(style: str) -> None:
    """The same public course of events, told to those who cannot know the difference."""
    env, other, p, q = deal_pair(
        num_players=6,
        roles={"werewolf": 1, "seer": 1},
        reveal_on_death="none",
        prompt_style=style,
        discussion_rounds=1,
    )
    innocent = [agent for agent in env.possible_agents if agent not in (p, q)]
    first, second, third, _ = innocent
    names = env.view(p).names
    assert env.view(p).role == other.view(q).role == "werewolf"
    same_world(env, other, innocent)

    def both(answer: Any) -> None:
        # Whoever is the wolf here acts as whoever is the wolf there.
        for game in (env, other):
            for _ in range(len(game.acting)):
                game.step(answer(game.view(game.agent_selection)))
                if game.over:
                    break
        same_world(env, other, innocent)

    def at_night(victim: str) -> None:
        assert phase(env) == phase(other)
        assert phase(env)[1] == "night"
        both(lambda view: names[victim])

    def by_day(out: str) -> None:
        both(lambda view: f"{view.name} speaks")
        both(lambda view: "abstain" if view.agent == out else names[out])

    at_night(first)
    by_day(second)
    assert not env.over
    # The last night leaves p, q and one other, at parity's edge; the vote ends the game.
    at_night(third)
    assert not env.over
    last = innocent[3]
    by_day(last)
    assert env.over
    assert other.over


def test_wolf_talk_never_reaches_the_others() -> None:
    for seed in range(12):
        config = {"num_players": 8, "roles": {"werewolf": 3, "seer": 1, "doctor": 1}}
        env, other = (started(seed, wolf_chat_rounds=2, **config) for _ in range(2))
        wolves = set(with_role(env, "werewolf"))
        others = [agent for agent in env.possible_agents if agent not in wolves]
        acts = 0
        while not env.over:
            agent = env.agent_selection
            assert agent == other.agent_selection
            request = env.view(agent).request
            assert request is not None
            reply = pure(env.view(agent)) if agent in others else f"choice {acts}"
            if agent in wolves and request.choices:
                reply = request.choices[acts % len(request.choices)]
            whisper = request.kind is SPEAK and env.view(agent).facts["phase"] == "wolf_chat"
            env.step(f"{SECRET} {acts}" if whisper else reply)
            other.step("" if whisper and acts % 2 else "other words" if whisper else reply)
            same_world(env, other, others)
            for reader in others:
                assert SECRET.encode() not in everything(env, reader)
            acts += 1
        assert any(SECRET in m.text for m in env.episode().messages)


@pytest.mark.parametrize("role", ["seer", "doctor"])
def test_night_acts_without_a_consequence_leave_no_trace(role: str) -> None:
    changed = 0
    for seed in range(12):
        env = started(seed)
        play_until(env, "night")
        other = deepcopy(env)
        (actor,) = with_role(env, role)
        wolf = with_role(env, "werewolf")[0]
        prey = next(a for a in with_role(env, "villager"))
        request = env.view(actor).request
        assert request is not None
        one, two = [c for c in request.choices if c != env.view(prey).name][:2]

        def act(view: View, choice: str, prey: str = prey, actor: str = actor) -> str:
            if view.agent == actor:
                return choice
            return view.names[prey] if view.role == "werewolf" else pure(view)

        act_together(env, lambda view, c=one: act(view, c))
        act_together(other, lambda view, c=two: act(view, c))
        rest = [agent for agent in env.possible_agents if agent != actor]
        same_world(env, other, rest)
        assert everything(env, actor) != everything(other, actor)
        changed += 1
        assert wolf in rest
        while not env.over:
            # The actor goes on as if it had not changed its mind.
            reply = pure(env.view(env.agent_selection))
            env.step(reply)
            other.step(reply)
            same_world(env, other, rest)
    assert changed == 12


@given(st.integers(0, 10_000), st.integers(0, 60), st.sampled_from(["simultaneous", "round_robin"]))
@settings(max_examples=40)
def test_a_held_back_act_shows_nobody_anything(seed: int, acts: int, discussion: str) -> None:
    """In a simultaneous stage the others' world is the same, whatever one of them does."""
    env = started(seed, num_players=6, discussion=discussion)
    for _ in range(acts):
        if env.over:
            return
        step(env)
    if env.over or len(env.acting) < 2:
        return
    actor = env.agent_selection
    request = env.view(actor).request
    assert request is not None
    before = deepcopy(env)
    for reply in (*request.choices, "garbage", "", f"<think>{SECRET}</think>", 3):
        game = deepcopy(before)
        game.step(reply)
        for agent in game.acting:
            assert game.observe(agent) == before.observe(agent)
            assert game.view(agent) == before.view(agent)
            assert game.infos[agent] == before.infos[agent]


def test_a_lone_wolfs_night_looks_like_any_other() -> None:
    """Neither numbers of stages nor phases tell the village how many wolves live."""
    config: dict[str, Any] = {
        "num_players": 9,
        "roles": {"werewolf": 2, "seer": 1},
        "reveal_on_death": "none",
        "first_phase": "day",
        "wolf_chat_rounds": 2,
        "discussion_rounds": 0,
    }
    checked = 0
    for seed in range(10):
        env = started(seed, **config)
        wolf, villager = with_role(env, "werewolf")[0], with_role(env, "villager")[0]
        readers = [a for a in with_role(env, "villager") if a != villager][:2]
        games = []
        for out in (wolf, villager):
            game = deepcopy(env)
            # The one who goes is called by one name, as the reader sees it.
            name = game.view(out).name
            act_together(game, lambda v, n=name: n if v.name != n else "abstain")
            phases = {game.view(reader).facts["phase"] for reader in readers}
            play_until(game, "night")
            phases |= {game.view(reader).facts["phase"] for reader in readers}
            prey = game.view(readers[0]).names[readers[0]]
            act_together(game, lambda v, n=prey: n if v.role == "werewolf" else pure(v))
            log = [
                (m.turn, m.sender if m.sender in (MODERATOR, *readers) else "", m.kind)
                for m in game.view(readers[1]).log
            ]
            games.append((phases, log))
        assert games[0] == games[1]
        checked += 1
    assert checked == 10


def test_private_reasoning_is_only_its_own_agents() -> None:
    def thinking(view: View) -> str:
        mine = f"{SECRET}-{view.agent}-"
        return f"<think>{mine}</think>{pure(view)}<THINK>{mine}<think>{mine}</think>"

    for style in ("plain", "terse"):
        env = started(3, prompt_style=style, discussion="round_robin")
        while not env.over:
            step(env, thinking)
            for agent in env.possible_agents:
                view = env.view(agent)
                assert SECRET not in env.observe(agent)["text"]
                assert SECRET not in str((view.log, view.facts, env.infos[agent]))
                for message in view.messages:
                    if message["role"] == "assistant":
                        assert message["content"].count(SECRET) == 3
                        assert message["content"].count(f"{SECRET}-{agent}-") == 3
                    else:
                        assert SECRET not in message["content"]
        assert all(turn.valid for turn in env.episode().turns)


def audience_law(episode: Episode, env: ConversationEnv) -> None:
    """Who may hear what, said once more and independently of the code."""
    roles = {seat.agent: seat.role for seat in episode.seats}
    wolves = {agent for agent, role in roles.items() if role == "werewolf"}
    phases = {stage.turn: stage.phase for stage in episode.stages}
    for message in episode.messages:
        where = phases[message.turn]
        hearers = set(roles if message.audience is None else message.audience)
        if message.kind == "speech":
            if where == "wolf_chat":
                assert message.sender in hearers <= wolves
            else:
                assert (where, message.audience) == ("discussion", None)
        elif message.kind == "action":
            role = roles[message.sender]
            if where == "vote":
                assert message.audience is None
            elif role == "werewolf":
                assert message.sender in hearers <= wolves
            else:
                assert hearers == {message.sender}
        elif message.audience is not None:
            (hearer,) = hearers
            assert "could not be read" in message.text or (
                roles[hearer] == "seer" and where == "night"
            )
    for agent in roles:
        assert env.view(agent).log == tuple(m for m in episode.messages if m.visible_to(agent))


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=30)
def test_audiences(seed: int, noisy: bool) -> None:
    env = started(seed, num_players=8, wolf_chat_rounds=1)

    def answer(view: View) -> str:
        return "?" if noisy and len(view.text) % 5 == 0 else pure(view)

    audience_law(finish(env, answer), env)


@given(st.integers(0, 10_000), st.sampled_from(["plain", "terse"]))
@settings(max_examples=25)
def test_messages_only_grow_at_the_end_and_looking_changes_nothing(seed: int, style: str) -> None:
    env = started(seed, prompt_style=style)
    earlier = {agent: env.view(agent).messages for agent in env.possible_agents}
    while not env.over:
        step(env)
        for agent in env.possible_agents:
            messages = env.view(agent).messages
            assert messages[: len(earlier[agent])] == earlier[agent]
            roles = [message["role"] for message in messages[1:]]
            assert roles == (["user", "assistant"] * len(roles))[: len(roles)]
            earlier[agent] = messages
    for agent in env.possible_agents:
        # The end was told to all, as the last message.
        assert earlier[agent][-1]["role"] == "user"
        assert earlier[agent][-1]["content"].endswith(env.view(agent).log[-1].text)


def test_a_reader_more_or_less_changes_nothing() -> None:
    quiet = play(5)
    env = started(5)
    while not env.over:
        for agent in reversed(env.possible_agents):
            env.observe(agent)
            env.view(agent)
            env.last()
        step(env)
        _ = env.acting, env.config, env.over
    assert env.episode() == quiet
