"""Words planted for some to read reach nobody else, in any configuration, however they are wrapped.

Every reply carries words that stand nowhere else, each with a list of who may read
it. After every act everything that every agent, dead or alive, is shown is searched.
What is no free text (targets, findings, ballots) is held to the laws of
:func:`lawful_log` and :func:`lawful_facts`, and to twin games in
``test_werewolf_twins.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs import werewolf_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.types import MODERATOR, SPEAK, Episode, Request, View
from omar_envs.werewolf.roles import ROLE_CLASSES
from tests.envs.canaries import TOKEN, Canaries, shown, thought
from tests.envs.games import name_of, started
from tests.envs.werewolf_configs import HOSTILE, NOT_TEXT, SMALL, Config, configs, reply, seeded

PLANTED_PERSONAS = [f"You are zq{i}qz." for i in range(24)]

HEARD_BY_ALL = ("discussion", "last_words")


class Reply(NamedTuple):
    """A reply, its word for those who hear it, and whether that word must arrive."""

    text: Any
    spoken: str = ""
    arrives: bool = False


def marked_speech(
    view: View, request: Request, tags: Sequence[str], words: Canaries, rng: Random
) -> Reply:
    secret, spoken = words.new(view.agent), words.new(view.agent)
    hostile = rng.choice(HOSTILE)
    fits = request.max_chars >= len(spoken)
    match rng.randrange(9):
        case 0:
            return Reply(f"{thought(tags, secret, rng)}{spoken}", spoken, fits)
        case 1:
            return Reply(f"{hostile} {thought(tags, secret, rng)} {spoken} {hostile}", spoken)
        case 2:
            return Reply(f"{spoken} {'x' * request.max_chars} {secret}", spoken, fits)
        case 3 if tags:
            return Reply(f"{secret}\n</{tags[0]}> {spoken}", spoken, fits)
        case 4 if tags:
            return Reply(f"{spoken} <{tags[-1].upper()} {secret} {hostile}", spoken)
        case 5:
            return Reply(hostile)
        case 6:
            return Reply(rng.choice(NOT_TEXT))
        case 7:
            return Reply(reply(request, list(view.names.values()), rng.randrange))
    return Reply(spoken, spoken, fits)


def marked_choice(
    view: View, request: Request, tags: Sequence[str], words: Canaries, rng: Random
) -> Reply:
    secret = words.new(view.agent)
    choice, other = rng.choice(request.choices), rng.choice(request.choices)
    hidden = thought(tags, secret, rng)
    return Reply(
        rng.choice(
            [
                choice,
                f"{hidden}{choice}",
                f"{choice}{hidden}",
                f"I am sure, {secret}: my vote: {choice}",
                f'{{"why": "{secret}", "vote": "{choice}"}}',
                f"{secret} {choice} or {other}",
                secret,
                f"{secret} {rng.choice(HOSTILE)}",
                rng.choice(NOT_TEXT),
                reply(request, list(view.names.values()), rng.randrange),
            ]
        )
    )


def hearers(env: ConversationEnv, speaker: str) -> list[str]:
    """Who hears what the agent says now: the law, told again."""
    if env.view(speaker).facts["phase"] in HEARD_BY_ALL:
        return env.possible_agents
    views = [env.view(agent) for agent in env.possible_agents]
    return [view.agent for view in views if view.role == "werewolf" and view.alive]


def play_marked(
    config: Config, seed: int, after: Callable[[ConversationEnv], None] = lambda env: None
) -> tuple[ConversationEnv, int]:
    """Play a game of marked replies, searched after every act.

    Returns:
        The finished game, and how many words were said that others had to hear.
    """
    env = started(seed, **{**config, "personas": PLANTED_PERSONAS})
    rng, words = Random(seed), Canaries()
    for persona in PLANTED_PERSONAS:
        word = words.new()
        told = [a for a in env.possible_agents if persona in env.observe(a)["text"]]
        assert len(told) < 2
        words.allow(word, told)
    before = {agent: shown(env, agent) for agent in env.possible_agents}
    waiting: list[tuple[Reply, list[str]]] = []
    heard = 0
    while not env.over:
        agent = env.agent_selection
        view = env.view(agent)
        assert view.request is not None
        make = marked_speech if view.request.kind is SPEAK else marked_choice
        act = make(view, view.request, env.config["private_tags"], words, rng)
        if act.spoken:
            waiting.append((act, hearers(env, agent)))
        held_back = len(env.acting) > 1
        env.step(act.text)
        now = {agent: shown(env, agent) for agent in env.possible_agents}
        if held_back:
            assert {a for a in now if now[a] != before[a]} <= {agent}
        else:
            for said, by in waiting:
                words.allow(said.spoken, by)
                if said.arrives:
                    assert all(said.spoken.encode() in now[reader] for reader in by)
                    heard += len(by) > 1
            waiting.clear()
        for reader, text in now.items():
            words.check(reader, text)
        lawful_facts(env)
        after(env)
        before = now
    return env, heard


# --- laws -----------------------------------------------------------------------


def names_of_role(env: ConversationEnv, role: str | None) -> list[str]:
    return [name_of(env, a) for a in env.possible_agents if env.view(a).role == role]


def reveals(env: ConversationEnv) -> tuple[str, str]:
    given = env.config["reveal_on_death"]
    return (given, given) if isinstance(given, str) else tuple(given)


def lawful_facts(env: ConversationEnv) -> None:
    """Which private facts an agent of a role may hold at this moment, and that they are true."""
    views = [env.view(agent) for agent in env.possible_agents]
    role_of = {view.name: view.role for view in views}
    team_of = {n: "werewolf" if r == "werewolf" else "village" for n, r in role_of.items()}
    found = role_of if env.config["seer_learns"] == "role" else team_of
    alive = [view.name for view in views if view.alive]
    for view in views:
        facts = view.facts
        assert set(facts) == KNOWN_FACTS
        assert facts["players"] == [other.name for other in views]
        assert facts["alive"] == alive
        assert facts["day"] == views[0].facts["day"]
        assert facts["revealed"] == views[0].facts["revealed"]
        assert sum(facts["roles_in_play"].values()) == len(views)
        partners = names_of_role(env, view.role) if view.role in ("werewolf", "mason") else []
        assert facts["partners"] == [name for name in partners if name != view.name]
        assert view.role == "seer" or not facts["investigations"]
        assert facts["investigations"].items() <= found.items()
        assert view.role == "medium" or not facts["executed"]
        assert facts["executed"].items() <= team_of.items()
        assert facts["victim"] is None or (view.role, facts["phase"]) == ("witch", "night")
        assert view.role == "werewolf" or facts["phase"] != "wolf_chat"
        if view.request is not None:
            assert view.alive
            assert facts["phase"] != "night" or view.role in NIGHT_ROLES
            named = set(view.request.choices) & set(role_of)
            assert facts["phase"] == "bid" or named <= set(alive)
    shown_words = {"role": role_of, "team": team_of, "none": {}}
    for name, word in views[0].facts["revealed"].items():
        assert word == "idiot" == role_of[name] or word in {
            shown_words[how].get(name) for how in reveals(env)
        }


KNOWN_FACTS = {
    *("players", "alive", "partners", "investigations", "executed", "victim", "revealed"),
    *("phase", "day", "roles_in_play"),
}
"""A fact that is not here has no law yet: say above who may hold it."""

NIGHT_ROLES = {name for name, role in ROLE_CLASSES.items() if role.night_round}


def lawful_log(env: ConversationEnv, episode: Episode) -> None:
    """Who may hear what: every message of a game, by the phase in which it came."""
    roles = {seat.agent: seat.role for seat in episode.seats}
    wolves = {agent for agent, role in roles.items() if role == "werewolf"}
    phases = {stage.turn: stage.phase for stage in episode.stages}
    unread = {(turn.turn, turn.agent) for turn in episode.turns if not turn.valid}
    for message in episode.messages:
        where = phases[message.turn]
        by = set(roles if message.audience is None else message.audience)
        if message.sender == MODERATOR:
            assert message.kind == "event"
            if message.audience is not None:
                (hearer,) = by
                finding = (roles[hearer], where) in {("seer", "night"), ("medium", "vote")}
                assert finding or (message.turn, hearer) in unread
        elif message.kind == "speech" and where == "wolf_chat":
            assert message.sender in by <= wolves
        elif message.kind == "speech":
            assert where in HEARD_BY_ALL
            assert message.audience is None
        elif where == "vote":
            assert message.audience == (None if episode.config["show_votes"] else (message.sender,))
        elif where == "night" and message.sender in wolves:
            assert message.sender in by <= wolves
        elif where == "shot":
            assert message.audience is None
        else:
            assert where in ("night", "bid")
            assert by == {message.sender}
    for agent in roles:
        assert env.view(agent).log == tuple(m for m in episode.messages if m.visible_to(agent))


def lawful_findings(env: ConversationEnv, episode: Episode) -> None:
    """Seers know whom they looked at, mediums who was voted out while they lived, and no more."""
    phases = {stage.turn: stage.phase for stage in episode.stages}
    out = {name_of(env, d["agent"]) for d in episode.outcome["deaths"] if d["cause"] == "voted_out"}
    for agent in env.possible_agents:
        facts = env.view(agent).facts
        looked = {t.text for t in episode.turns_of(agent) if phases[t.turn] == "night"}
        assert set(facts["investigations"]) == (looked if env.view(agent).role == "seer" else set())
        assert set(facts["executed"]) <= out
    died_of = {name_of(env, d["agent"]): d["cause"] for d in episode.outcome["deaths"]}
    night, day = reveals(env)
    for name, word in env.view("player_0").facts["revealed"].items():
        how = {"killed": night, "poisoned": night, "voted_out": day}.get(died_of.get(name, "lives"))
        assert word == "idiot" or how != "none"
        assert name in died_of or word == "idiot"


def lawful_transcript(env: ConversationEnv) -> None:
    """The all-knowing rendering marks who sees a line; what is not marked for an agent it lacks."""
    rendered = str(env.render()).split("\n")
    messages = env.episode().messages
    assert len(rendered) == len(messages)
    names = {agent: name_of(env, agent) for agent in env.possible_agents}
    lines = []
    for line, message in zip(rendered, messages, strict=True):
        mark = ""
        if message.audience is not None:
            mark = f"({', '.join(names[agent] for agent in message.audience)} only) "
        assert line.startswith(mark)
        lines.append(line.removeprefix(mark))
        assert line.endswith(message.text)
        if message.sender != MODERATOR:
            assert lines[-1].removeprefix("* ").startswith(names[message.sender])
        assert len(line.splitlines()) <= 1
        assert message.text.encode()
    for agent in env.possible_agents:
        view = env.view(agent)
        own = [ln for ln, m in zip(lines, messages, strict=True) if m.visible_to(agent)]
        assert view.text == "\n".join([view.messages[0]["content"], "", *own])
        told = "\n".join(m["content"] for m in view.messages[1:] if m["role"] == "user")
        spoke = [m.sender == agent and m.kind == "speech" for m in view.log]
        heard = [line for line, mine in zip(own, spoke, strict=True) if not mine]
        assert [line for line in told.split("\n") if line in set(heard)] == heard


# --- tests ----------------------------------------------------------------------


def lawful_game(config: Config, seed: int) -> int:
    env, heard = play_marked({**config, "render_mode": "ansi"}, seed)
    episode = env.episode()
    lawful_log(env, episode)
    lawful_findings(env, episode)
    lawful_transcript(env)
    return heard


@given(configs(SMALL), st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_nothing_planted_for_some_reaches_another(config: Config, seed: int) -> None:
    lawful_game(config, seed)


def test_words_do_arrive_where_they_may() -> None:
    """The search above finds what is there."""
    assert sum(lawful_game(seeded(seed, SMALL), seed) for seed in range(60)) > 150


@given(configs(SMALL), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_the_parallel_environment_shows_what_the_other_shows(config: Config, seed: int) -> None:
    rng = Random(seed)
    aec, parallel = started(seed, **config), werewolf_v0.parallel_env(**config)
    observations, infos = parallel.reset(seed=seed)
    while not aec.over:
        while not parallel.acting:
            observations, _, _, _, infos = parallel.step({})  # a stage in which nobody acts
        for agent in aec.possible_agents:
            assert observations[agent] == aec.observe(agent)
            assert parallel.view(agent) == aec.view(agent)
            seen = {**infos[agent], "reward_components": None}
            assert seen == {**aec.infos[agent], "reward_components": None}
        assert parallel.acting == aec.acting
        acts: dict[str, Any] = {}
        for agent in parallel.acting:
            view = parallel.view(agent)
            assert view.request is not None
            hostile = rng.random() < 0.2
            plain = reply(view.request, list(view.names.values()), rng.randrange)
            acts[agent] = rng.choice(HOSTILE + NOT_TEXT) if hostile else plain
        bystanders = dict.fromkeys(parallel.agents, "zq0qz")
        observations, _, _, _, infos = parallel.step(bystanders | acts)
        for agent in aec.acting:
            aec.step(acts[agent])
        for agent in aec.possible_agents:
            assert b"zq0qz" not in shown(parallel.aec, agent)
    while parallel.agents:
        parallel.step({})
    assert parallel.episode() == aec.episode()


@pytest.mark.parametrize("style", ["plain", "terse"])
def test_personas_are_their_own_players_secret(style: str) -> None:
    env, _ = play_marked({"num_players": 6, "prompt_style": style}, 1)
    seen = [set(TOKEN.findall(shown(env, agent))) for agent in env.possible_agents]
    personas = [{n for n in numbers if int(n) < len(PLANTED_PERSONAS)} for numbers in seen]
    assert [len(own) for own in personas] == [1] * 6
    assert len(set.union(*personas)) == 6
