"""Words planted for some to read reach nobody else.

Every text of a scenario and of its characters, and every reply, carries words that stand
nowhere else, each with a list of who may read it. After every act all that every agent
is shown is searched, whoever has left included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs import sotopia_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.sotopia import acts
from omar_envs.sotopia import env as env_module
from omar_envs.sotopia import meeting as meeting_module
from omar_envs.sotopia.env import SotopiaEnv
from omar_envs.sotopia.mechanisms.hidden_profile import Clue, HiddenProfile
from omar_envs.sotopia.mechanisms.mutual_friend import Friend, MutualFriend
from omar_envs.sotopia.mechanisms.sealed import AnswerOutcome
from omar_envs.sotopia.profiles import (
    AgentProfile,
    EnvironmentProfile,
    PairRelationship,
    RelationshipType,
)
from tests.envs.canaries import Canaries, shown, thought
from tests.envs.sotopia_configs import (
    NAMES,
    act,
    meeting,
    people,
    person,
    reply,
    started,
)
from tests.envs.werewolf_configs import HOSTILE, NOT_TEXT

# --- planting -------------------------------------------------------------------

ORDERS = ("simultaneous", "round_robin", "random")


class Planted(NamedTuple):
    """A scenario with a word in every field.

    Attributes:
        settings: arguments of the environment.
        words: the words, and who may read each.
        answers: per agent, what it may answer, where there are sealed answers.
    """

    settings: dict[str, Any]
    words: Canaries
    answers: dict[str, list[str]]


def planted(rng: Random) -> Planted:
    """A random scenario and cast, planted by the law of who knows what."""
    words = Canaries()
    seats = rng.randint(2, 5)
    agents = [f"agent_{seat}" for seat in range(seats)]
    relationship = RelationshipType(rng.randrange(6))
    near = PairRelationship((seats - 1, 0), RelationshipType(rng.randrange(6)))
    omniscient = rng.random() < 0.3

    def close(seat: int, least: int) -> list[str]:
        def between(other: int) -> int:
            return near.relationship if {seat, other} == set(near.seats) else relationship

        return [a for i, a in enumerate(agents) if i == seat or between(i) >= least]

    def goal(seat: int) -> str:
        own = agents[seat]
        readers = agents if omniscient else [own]
        viewer = rng.choice(agents)
        parts = [
            words.new(*readers),
            f"<extra_info>{words.new(own)}</extra_info>",
            f"<Strategy_Hint >{words.new(own)} < {words.new(own)}</strategy_hint>",
            f"< clarification_hint>{words.new(own)}</ clarification_hint >",
            f"<p viewer='{viewer}'>{words.new(*({viewer} & set(readers)))}</p>",
            f"<p viewer=environment>{words.new()}</p>",
            f'<extra_info viewer="{viewer}">{words.new(*({viewer} & set(readers)))}</extra_info>',
        ]
        rng.shuffle(parts)
        unclosed = rng.choice(["", f"<extra_info>{words.new(own)}", f'<p viewer="x">{words.new()}'])
        return f"{' '.join(parts)} {words.new(*readers)} {unclosed}"

    def character(seat: int) -> AgentProfile:
        known, befriended, own = close(seat, 2), close(seat, 3), agents[seat]
        return person(
            NAMES[seat],
            age=7001 + seat,
            occupation=words.new(*known),
            gender=words.new(*known),
            gender_pronoun=words.new(*known),
            public_info=words.new(*known),
            personality_and_values=words.new(*befriended),
            big_five=words.new(own),
            moral_values=(words.new(own),),
            schwartz_personal_values=(words.new(own),),
            decision_making_style=words.new(own),
            secret=words.new(own),
            mbti=words.new(own),
            model_id=words.new(own),
            tag=words.new(own),
        )

    one, other = rng.sample(agents, 2)
    scenario = (
        f'{words.new(*agents)} <p viewer="{one}">{words.new(one)} '
        f'<p viewer="{other}">{words.new()}</p> {words.new(one)}</p> '
        f'<P VIEWER = "environment">{words.new()} <p viewer="all">{words.new()}</p></P> '
        f'<p\nviewer="{one}, {other}">{words.new(one, other)}</p> {words.new(*agents)} '
        + rng.choice(["", f"<p viewer={one}>{words.new(one)}", f'<p viewer="{words.new()}'])
    )
    outcome, answers = _outcome(agents, words, rng)
    return Planted(
        {
            "scenario": EnvironmentProfile(
                pk=words.new(),
                codename=words.new(),
                source=words.new(),
                scenario=scenario,
                agent_goals=tuple(map(goal, range(seats))),
                relationship=relationship,
                age_constraint=words.new(),
                occupation_constraint=words.new(),
                agent_constraint=words.new(),
                tag=words.new(),
                category=words.new(),
                difficulty=words.new(),
                outcome=outcome,
                pair_relationships=(near,),
            ),
            "agents": [character(seat) for seat in range(seats)],
            "omniscient": omniscient,
            "order": rng.choice(ORDERS),
            "max_turns": rng.randint(2, 7),
            "max_idle_turns": None,
            "min_present": rng.randint(1, 2),
            "max_speech_chars": rng.choice([2000, 40, 9]),
            "private_tags": rng.choice([["think"], ["think", "plan"], ["PLAN"]]),
            "reward": "none",
            "render_mode": "ansi",
        },
        words,
        answers,
    )


def _outcome(agents: list[str], words: Canaries, rng: Random) -> tuple[Any, dict[str, list[str]]]:
    """An outcome whose private values are words, and what each agent may answer."""
    kind = rng.choice(["none", "friends", "clues"])
    if kind == "friends" and len(agents) < 5:
        common = words.new(*agents)
        own = {agent: [words.new(agent) for _ in range(3)] for agent in agents}
        lists = tuple(
            (*(Friend(name, {"hobby": words.new(agent)}) for name in own[agent]), Friend(common))
            for agent in agents
        )
        return MutualFriend(friends=lists), {agent: [*own[agent], common] for agent in agents}
    if kind == "clues":
        options = (words.new(*agents), words.new(*agents))
        return HiddenProfile(
            options=options,
            common=(Clue(options[0], 5, words.new(*agents)),),
            private=tuple((Clue(options[1], 3, words.new(agent)),) for agent in agents),
        ), {}
    return None, {}


class Reply(NamedTuple):
    """A reply, its word for others, who reads that, and whether it must arrive."""

    text: Any
    word: str = ""
    readers: tuple[str, ...] = ()
    arrives: bool = False
    sealed: str = ""


def marked(env: ConversationEnv, plan: Planted, rng: Random) -> Reply:
    """A reply of the agent to move, with words in it."""
    agent, words = env.agent_selection, plan.words
    view, tags = env.view(agent), plan.settings["private_tags"]
    here = [a for a in env.possible_agents if env.view(a).alive]
    others = [a for a in here if a != agent]
    word, secret = words.new(agent), words.new(agent)
    hidden = thought(tags, secret, rng)
    escaped = hidden.replace("<", "\\u003c").replace("\n", " ")
    fits = env.config["max_speech_chars"] >= len(word)
    kind = rng.choice(["speak", "action", "non-verbal communication", "Non_Verbal"])
    chosen = sorted(rng.sample(others, rng.randint(1, len(others)))) if others else []
    to = [rng.choice([a, view.names[a], view.names[a].upper()]) for a in chosen]
    match rng.randrange(20):
        case 0:
            return Reply(f"{hidden}{word}", word, tuple(here), fits)
        case 1 | 2 | 3 if chosen:
            return Reply(act(kind, word, to=to), word, (agent, *chosen), fits)
        case 4 if chosen:
            text = f'{{"to": {json.dumps(to)}, "action_type": "speak", "argument": "'
            return Reply(f'{text}{escaped}{word}"}}', word, (agent, *chosen), fits)
        case 5 if chosen:
            # Broken in one way or another: nobody else reads of it.
            whole = act(kind, f"{word} {secret}", to=to)
            return Reply(
                rng.choice(
                    [
                        whole[:-1],
                        whole + "}",
                        whole.replace('"', "'"),
                        whole.replace(word, f"</{tags[0]}>{word}"),
                        whole.replace(word, f"{word}<{tags[-1]}>"),
                        f"```json\n{whole.replace(word, f'</{tags[0]}>{word}')}\n```",
                        act(kind, f"{word}", to=[*to, "Nobody I know"]),
                        act(kind, f"{word}", to=agent),
                        act(kind, f"{word}", to=5),
                        act(secret, word),
                        f"Sure! ```json\n{whole}\n```",
                        f"{thought(tags, secret, rng)}Sure: {whole} Done.",
                        f"[{whole}]",
                        json.dumps({"act": json.loads(whole)}),
                        json.dumps(whole),
                        whole.replace('"to"', '"audience"'),
                        whole.replace("}", ', "To": []}'),
                        whole.replace('"action_type"', '"type"'),
                    ]
                )
            )
        case 6:
            return Reply(act(kind, f"{word} {'x' * 3000} {secret}"), word, tuple(here), fits)
        case 7:
            return Reply(f"```\n{act('action', word)}\n```", word, tuple(here), fits)
        case 8:
            tag = tags[-1].upper()
            return Reply(f"{word} <{tag} {secret} {rng.choice(HOSTILE)}", word, tuple(here))
        case 9:
            return Reply(f"{hidden}{act('leave', secret)}")
        case 10:
            return Reply(act("none", secret, to=to))
        case 11 | 12 if plan.answers:
            answer = rng.choice(plan.answers[agent])
            given = rng.choice([act("answer", answer), f'answer "{answer}"'])
            return Reply(f"{hidden}{given}", sealed=answer)
        case 13:
            return Reply(act(rng.choice(["answer", "propose", "accept"]), {word: secret}))
        case 14:
            return Reply(rng.choice(NOT_TEXT))
        case 15:
            return Reply(reply(view, rng.randrange))
    return Reply(word, word, tuple(here), fits)


def play_planted(seed: int) -> int:
    """Play a game of planted words, searched after every act; how many of them arrived."""
    rng = Random(seed)
    plan = planted(rng)
    words = plan.words
    env = sotopia_v0.raw_env(**plan.settings)
    env.reset(seed=seed)
    agents = env.possible_agents
    before = {agent: shown(env, agent) for agent in agents}
    heard = sum(len(set(re.findall(rb"zq\d+qz", text))) for text in before.values())
    for agent in agents:
        words.check(agent, before[agent])
    waiting: list[Reply] = []
    while not env.over:
        agent = env.agent_selection
        said = marked(env, plan, rng)
        held_back = len(env.acting) > 1
        gone = {a for a in agents if not env.view(a).alive}
        env.step(said.text)
        waiting.append(said)
        now = {agent: shown(env, agent) for agent in agents}
        if held_back:
            assert {a for a in now if now[a] != before[a]} <= {agent}
        else:
            for each in waiting:
                if each.word:
                    words.allow(each.word, each.readers)
                if each.arrives:
                    assert all(each.word.encode() in now[reader] for reader in each.readers)
                    heard += len(each.readers)
            if any(b"answers are opened" in text for text in now.values()):
                for answers in plan.answers.values():
                    for answer in answers:
                        words.allow(answer, sorted(set(agents) - gone))
            waiting.clear()
        for reader, text in now.items():
            words.check(reader, text)
            if reader in gone and not env.over:
                assert json.loads(text)[0] == json.loads(before[reader])[0]
        if not env.over:
            _, _, _, _, info = env.last()
            assert info == env.infos[env.agent_selection]
        before = now
    return heard


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_nothing_planted_for_some_reaches_another(seed: int) -> None:
    play_planted(seed)


def test_words_do_arrive_where_they_may() -> None:
    """The search above finds what is there."""
    assert sum(play_planted(seed) for seed in range(40)) > 2000


def test_ages_are_for_acquaintances() -> None:
    for relationship in RelationshipType:
        env = started(scenario=meeting(relationship=relationship), agents=people(["Ana", "Ben"]))
        known = "21 years" in env.observe("agent_0")["text"]
        assert known == (relationship >= 2)
        assert "20 years" in env.observe("agent_0")["text"]


def test_the_parallel_environment_shows_what_the_other_shows() -> None:
    for seed in range(60):
        plan, rng = planted(Random(seed)), Random(seed)
        aec, parallel = (
            sotopia_v0.raw_env(**plan.settings),
            sotopia_v0.parallel_env(**plan.settings),
        )
        aec.reset(seed=seed)
        observations, infos = parallel.reset(seed=seed)
        while not aec.over:
            assert parallel.acting == aec.acting
            for agent in aec.possible_agents:
                assert observations[agent] == aec.observe(agent)
                assert parallel.view(agent) == aec.view(agent)
                seen = {**infos[agent], "reward_components": None}
                assert seen == {**aec.infos[agent], "reward_components": None}
            given = {a: reply(aec.view(a), rng.randrange) for a in parallel.acting}
            bystanders = dict.fromkeys(parallel.agents, "zq0qz")
            observations, _, _, _, infos = parallel.step(bystanders | given)
            for agent in aec.acting:
                aec.step(given[agent])
        assert set(observations) == set(aec.possible_agents)
        for agent in aec.possible_agents:
            plan.words.check(agent, msgspec.json.encode((observations[agent], infos[agent])))
        assert parallel.episode() == aec.episode()


# --- what the search must notice ------------------------------------------------


def secrets_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = meeting_module.described
    monkeypatch.setattr(meeting_module, "described", lambda p, r: f"{real(p, r)} {p.secret}")


def strangers_known(monkeypatch: pytest.MonkeyPatch) -> None:
    real = meeting_module.described
    monkeypatch.setattr(meeting_module, "described", lambda p, r: real(p, max(r, 2)))


def acquaintances_befriended(monkeypatch: pytest.MonkeyPatch) -> None:
    real = meeting_module.described
    monkeypatch.setattr(meeting_module, "described", lambda p, r: real(p, 3 if r == 2 else r))


def hints_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = meeting_module.visible_text
    monkeypatch.setattr(
        meeting_module, "visible_text", lambda text, viewer, owner=None: real(text, viewer)
    )


def viewers_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        meeting_module,
        "visible_text",
        lambda text, viewer, owner=None: meeting_module.full_text(text),
    )


def goals_open(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = SotopiaEnv._facts
    monkeypatch.setattr(
        SotopiaEnv,
        "_facts",
        lambda self, agent: {**facts(self, agent), "goal": self._meeting.goal(0, agent)},
    )


def readers_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env_module, "readers", lambda to, ids, sender: acts.Readers())


def leavers_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SotopiaEnv, "_all_present", lambda self: None)


def acts_shown_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = SotopiaEnv._read

    def and_publish(self: SotopiaEnv, agent: str, request: Any, reply: str) -> Any:
        parsed = read(self, agent, request, reply)
        if parsed.valid:
            self._publish_act(agent, request, parsed.text)
        return parsed

    monkeypatch.setattr(SotopiaEnv, "_read", and_publish)


def thoughts_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "strip_private", lambda text, tags: text)


def escaped_thoughts_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "_tidy", lambda value, tags: value)


def cut_private_messages_told(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = acts.draw
    monkeypatch.setattr(
        env_module,
        "draw",
        lambda reply, tags, closing: draw(acts.strip_private(reply, tags), (), closing),
    )


def answers_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnswerOutcome, "shown", lambda self, act, names: f"answers {act.argument}")


def values_open(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = SotopiaEnv._system_prompt

    def with_all_values(self: SotopiaEnv, agent: str) -> str:
        outcome = self.scenario.outcome
        return prompt(self, agent) + (outcome.told(0, self._names) if outcome else "")

    monkeypatch.setattr(SotopiaEnv, "_system_prompt", with_all_values)


def invalid_acts_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from omar_envs.engine import Engine

    post = Engine.post

    def to_all(self: Any, text: str, audience: Any = None, *rest: Any) -> None:
        post(self, text, None if "could not be taken" in text else audience, *rest)

    monkeypatch.setattr(Engine, "post", to_all)


FAULTS: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    *(secrets_told, strangers_known, acquaintances_befriended, hints_told, viewers_ignored),
    *(goals_open, readers_ignored, leavers_hear, acts_shown_at_once, thoughts_told),
    *(escaped_thoughts_told, cut_private_messages_told, answers_open, values_open),
    *(invalid_acts_told,),
)


def names(faults: Iterable[Any]) -> list[str]:
    return [fault.__name__ for fault in faults]


@pytest.mark.parametrize("fault", FAULTS, ids=names(FAULTS))
def test_it_notices(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        for seed in range(300):
            play_planted(seed)
    monkeypatch.undo()
