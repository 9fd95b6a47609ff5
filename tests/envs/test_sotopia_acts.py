"""What replies do in a social scenario: acts, readers, and what counts as invalid."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.conversation import ConversationEnv
from omar_envs.sotopia.acts import (
    ACTION,
    LEAVE,
    NON_VERBAL,
    NONE,
    SPEAK,
    Act,
    Drawn,
    draw,
    from_text,
    to_text,
)
from omar_envs.types import Turn
from tests.envs.sotopia_configs import act, example, meeting, outcomes, people, started

CAST = ["Noor Haddad", "Ben Carter", "Ana Sol"]


def one_turn(reply: Any, names: list[str] = CAST, **settings: Any) -> tuple[ConversationEnv, Turn]:
    """The game after a turn in which the first agent replies so, and its act as recorded."""
    settings = {"max_turns": 1, **settings}
    env = started(0, len(names), names=names, **settings)
    for _ in names:
        env.step(reply if env.agent_selection == "agent_0" else act("none"))
    return env, env.episode().turns[0]


def lines(env: ConversationEnv, agent: str) -> list[str]:
    """What stands in the agent's observation of all participants' acts."""
    view = env.view(agent)
    text = view.text.removeprefix(view.messages[0]["content"])
    if view.request is not None:
        text = text.removesuffix(view.request.instruction)
    shown = [line for line in text.split("\n") if line]
    return [line for line, m in zip(shown, view.log, strict=True) if m.sender != "moderator"]


# --- what is read ---------------------------------------------------------------

READ: dict[str, tuple[str, str]] = {
    "Hello there.": (SPEAK, "Hello there."),
    " two \n lines\tand  more ": (SPEAK, "two lines and more"),
    "<think>what?</think> Hello.": (SPEAK, "Hello."),
    '{"action_type": "speak", "argument": "Hello."}': (SPEAK, "Hello."),
    '{"action_type": "speak", "argument": " a\\nb\\u2028c "}': (SPEAK, "a b c"),
    '```json\n{"action_type": "speak", "argument": "Hello."}\n```': (SPEAK, "Hello."),
    '<think>x</think>{"action_type": "speak", "argument": "<think>y</think>Hi"}': (SPEAK, "Hi"),
    '{"action_type": "speak", "argument": "\\u003cthink\\u003ey\\u003c/think\\u003eHi"}': (
        SPEAK,
        "Hi",
    ),
    '{" Action_Type": "SPEAK", "ARGUMENT\\t": "Hello."}': (SPEAK, "Hello."),
    '{"action_type": "non-verbal communication", "argument": "nods"}': (NON_VERBAL, "nods"),
    '{"action_type": "Non_verbal communication", "argument": "nods"}': (NON_VERBAL, "nods"),
    '{"action_type": "nonverbal", "argument": "nods"}': (NON_VERBAL, "nods"),
    '{"action_type": "action", "argument": "sits down"}': (ACTION, "sits down"),
    '{"action_type": "none", "argument": ""}': (NONE, ""),
    '{"action_type": "none", "argument": "said"}': (NONE, ""),
    '{"action_type": "none"}': (NONE, ""),
    '{"action_type": "leave", "argument": "Bye!"}': (LEAVE, ""),
    # Not an act: words.
    '"speak"': (SPEAK, '"speak"'),
    "leave": (SPEAK, "leave"),
    "none": (SPEAK, "none"),
    '{"argument": "Hello."}': (SPEAK, '{"argument": "Hello."}'),
    '["action_type"]': (SPEAK, '["action_type"]'),
    "{goal}": (SPEAK, "{goal}"),
    "accept": (SPEAK, "accept"),
    'propose {"price": 3}': (SPEAK, 'propose {"price": 3}'),
    "What is action_type: speak?": (SPEAK, "What is action_type: speak?"),
    '{goal} The key "action_type" is new.': (SPEAK, '{goal} The key "action_type" is new.'),
    'No {braces}. action_type: "speak"': (SPEAK, 'No {braces}. action_type: "speak"'),
    '{"from": "9:00", "to": "10:00"} suits me': (SPEAK, '{"from": "9:00", "to": "10:00"} suits me'),
    '{"from": "9:00", "to": "10:00"}': (SPEAK, '{"from": "9:00", "to": "10:00"}'),
    '{"cushions": "yours"}?': (SPEAK, '{"cushions": "yours"}?'),
    '{"a": 1, "a": 2}': (SPEAK, '{"a": 1, "a": 2}'),
    '<think>{"action_type": "leave"}?</think>No {way}.': (SPEAK, "No {way}."),
    'I could {"action_type": "leave"}</think>No, 5" will do.': (SPEAK, 'No, 5" will do.'),
    # Text is data.
    "I <3 you & me": (SPEAK, "I <3 you & me"),
    "<b>bold</b> {goal} {0} %s %(x)s $x &amp; ]]> \\n \\u0041": (
        SPEAK,
        "<b>bold</b> {goal} {0} %s %(x)s $x &amp; ]]> \\n \\u0041",
    ),
    '{"action_type": "speak", "argument": "<p viewer=\'agent_1\'>x</p> &lt;"}': (
        SPEAK,
        "<p viewer='agent_1'>x</p> &lt;",
    ),
    '{"action_type": "action", "argument": "{\\"action_type\\": \\"leave\\"}"}': (
        ACTION,
        '{"action_type": "leave"}',
    ),
}


@pytest.mark.parametrize("reply", READ)
def test_read(reply: str) -> None:
    kind, argument = READ[reply]
    env, turn = one_turn(reply)
    assert turn.valid
    assert from_text(turn.text) == Act(kind, argument)
    shown = {
        SPEAK: f"Noor Haddad: {argument}",
        NON_VERBAL: f"* Noor Haddad [non-verbal] {argument}",
        ACTION: f"* Noor Haddad [action] {argument}",
        LEAVE: "* Noor Haddad has left the conversation.",
    }
    for agent in env.possible_agents:
        assert lines(env, agent) == ([shown[kind]] if kind in shown else [])
        assert kind == NONE or shown[kind] in env.observe(agent)["text"].split("\n")
    assert env.view("agent_0").messages[2] == {"role": "assistant", "content": reply}


INVALID: dict[Any, str] = {
    "": "empty",
    " \n\t": "empty",
    "<think>only that</think>": "empty",
    "<think>never closed": "empty",
    None: "empty",
    3: "empty",
    '{"action_type": "speak", "argument": "half': "not whole JSON",
    '{"action_type": "speak", "argument": "x"} and more': "not whole JSON",
    "{'action_type': 'speak', 'argument': 'x', 'to': ['Ben Carter']}": "not whole JSON",
    '{"action_type": "speak", "argument": "x"': "not whole JSON",
    '```json\n{"action_type": "speak"\n```': "not whole JSON",
    '{"action_type": "shout", "argument": "x"}': "'shout': take one of none, speak",
    '{"action_type": "", "argument": "x"}': "take one of",
    '{"action_type": null, "argument": "x"}': "must be text",
    '{"action_type": ["speak"], "argument": "x"}': "must be text",
    '{"action_type": ' + "[" * 900 + "]" * 900 + "}": "must be text",
    '{"action_type": "propose", "argument": {"price": 3}}': "take one of",
    '{"action_type": "speak"}': '"argument" of speak is empty',
    '{"action_type": "speak", "argument": ""}': '"argument" of speak is empty',
    '{"action_type": "action", "argument": " \\n\\u2028 "}': "is empty",
    '{"action_type": "speak", "argument": "<think>x</think>"}': "is empty",
    '{"action_type": "speak", "argument": "\\u003cthink>x"}': "is empty",
    '{"action_type": "speak", "argument": null}': "must be text",
    '{"action_type": "speak", "argument": ["x"]}': "must be text",
    '{"action_type": "speak", "argument": 5}': "must be text",
    '{"action_type": "speak", "argument": ' + "[" * 900 + "]" * 900 + "}": "",
    '{"action_type": "speak", "argument": "x", "to": "Nobody"}': "'Nobody', who is not here",
    '{"action_type": "speak", "argument": "x", "to": ["Ben Carter", "Nobody"]}': "'Nobody'",
    '{"action_type": "speak", "argument": "x", "to": ["Ben Carter", 3]}': "a name or a list",
    '{"action_type": "speak", "argument": "x", "to": {"Ben Carter": 1}}': "a name or a list",
    '{"action_type": "speak", "argument": "x", "to": 1}': "a name or a list",
    '{"action_type": "speak", "argument": "x", "to": true}': "a name or a list",
    '{"action_type": "speak", "argument": "x", "to": [["Ben Carter"]]}': "a name or a list",
    '{"action_type": "speak", "argument": "x", "to": "Noor Haddad"}': "nobody else",
    '{"action_type": "speak", "argument": "x", "to": ["agent_0", "noor"]}': "nobody else",
    '{"action_type": "speak", "argument": "x", "to": "Ben Carter, Ana Sol"}': "who is not here",
    '{"action_type": "speak", "argument": "a</think>x", "to": ["Ben Carter"]}': "across its JSON",
    '{"action_type": "speak", "argument": "x<think>y", "to": ["Ben Carter"]}': "not whole JSON",
    '{"argument": "x", "to": ["Ben Carter"], "act': "not whole JSON",
    'He said {"action_type": "leave"}': "send the JSON object alone",
    '{"action_type": "speak", "argument": "x", "why": 1}': (
        "the keys of an act are action_type, argument, to, not 'why'"
    ),
}


WHISPER = '{"action_type": "speak", "argument": "zzqx", "to": ["Ben Carter"]}'
ALONE = "send the JSON object alone"
KEYS = "the keys of an act are action_type, argument, to"
NEARLY_PRIVATE: dict[str, str] = {
    f"Sure! ```json\n{WHISPER}\n```": ALONE,
    f"```json\n{WHISPER}\n```\nDone.": ALONE,
    f"Sure! {WHISPER}": ALONE,
    f"{WHISPER} Done.": "not whole JSON",
    f"{WHISPER}\n{WHISPER}": "not whole JSON",
    f"Sure! {WHISPER[:-3]}": ALONE,
    f"Sure! {WHISPER.upper()}": ALONE,
    "Sure! " + WHISPER.replace('"', "'"): ALONE,
    "Sure! " + WHISPER.replace('"', "“"): ALONE,
    "Sure! " + WHISPER.replace('"action_type"', "action_type"): ALONE,
    "Sure! " + WHISPER.replace('"action_type"', '"action_type" '): ALONE,
    "Sure! " + WHISPER.replace("action_type", " actionType "): ALONE,
    'Sure! {"to": ["Ben Carter"], "argument": "zzqx",\n "action_type": "speak"}': ALONE,
    f"<json>{WHISPER}</json>": ALONE,
    f"\ufeff{WHISPER}": ALONE,
    f"[{WHISPER}]": ALONE,
    f'{{"act": {WHISPER}}}': ALONE,
    f'[{{"acts": [1, {WHISPER}]}}]': ALONE,
    json.dumps(WHISPER): ALONE,
    json.dumps(json.dumps(json.loads(WHISPER), indent=2)): ALONE,
    json.dumps({"content": WHISPER}): ALONE,
    f"<think>x</think>Sure! {WHISPER}": ALONE,
    "Sure! " + WHISPER.replace("zzqx", "a</think>zzqx"): "across its JSON",
    WHISPER[:-1].replace("zzqx", "a</think>zzqx"): "across its JSON",
    "Sure! " + WHISPER.replace("zzqx", "zzqx<think>a"): "across its JSON",
    WHISPER.replace('"to"', '"audience"'): f"{KEYS}, not 'audience'",
    WHISPER.replace('"to"', '"recipient"'): f"{KEYS}, not 'recipient'",
    WHISPER.replace("action_type", "actionType"): KEYS,
    WHISPER.replace("action_type", "action"): KEYS,
    '{"argument": "zzqx", "to": ["Ben Carter"]}': KEYS,
    WHISPER.replace("}", ', "to": []}'): "a key stands twice",
    WHISPER.replace("}", ', "To": []}'): "a key stands twice",
    WHISPER.replace("}", ', " to": "all"}'): "a key stands twice",
    WHISPER.replace("}", ', "Argument": "x"}'): "a key stands twice",
}


@pytest.mark.parametrize("reply", NEARLY_PRIVATE)
def test_what_is_nearly_a_private_act_is_nobodys_to_hear(reply: str) -> None:
    env, turn = one_turn(reply)
    assert not turn.valid
    assert NEARLY_PRIVATE[reply] in turn.error
    for other in ("agent_1", "agent_2"):
        assert "zzqx" not in str(env.view(other))
        assert lines(env, other) == []


@pytest.mark.parametrize("key", ["To", "TO", " to", "to\\n", "\\tTo "])
def test_keys_may_have_any_case_and_white_space(key: str) -> None:
    reply = WHISPER.replace('"to"', f'"{key}"').replace("action_type", "Action_Type ")
    env, turn = one_turn(reply)
    assert turn.valid
    assert from_text(turn.text) == Act(SPEAK, "zzqx", ("agent_1",))
    assert "zzqx" not in str(env.view("agent_2"))
    assert not draw(reply, (), ()).exact


@pytest.mark.parametrize("reply", INVALID)
def test_invalid(reply: Any) -> None:
    env, turn = one_turn(reply, invalid_penalty=0.5)
    assert not turn.valid
    assert INVALID[reply] in turn.error
    assert from_text(turn.text) == Act(NONE)
    assert turn.reward_components["invalid"] == -0.5
    assert [env.infos[a]["invalid_actions"] for a in env.possible_agents] == [1, 0, 0]
    assert [lines(env, agent) for agent in env.possible_agents] == [[], [], []]
    told = [m for m in env.view("agent_0").log if turn.error.rstrip(".") in m.text]
    assert [m.audience for m in told] == [("agent_0",)]
    assert len(told[0].text) < 250
    for other in ("agent_1", "agent_2"):
        assert turn.error not in str(env.view(other))


def test_drawn_says_whether_it_is_the_form_asked_for() -> None:
    assert draw("Hello.", ("think",), ()).exact
    assert draw(act("speak", "Hello."), ("think",), ()).exact
    assert draw(f"<think>x</think>{act('speak', 'Hello.')}", ("think",), ()).exact
    assert not draw(f"```\n{act('speak', 'Hello.')}\n```", ("think",), ()).exact
    assert not draw("", ("think",), ()).action_type


# --- readers --------------------------------------------------------------------

TO: dict[str, tuple[list[str], str]] = {
    # "to" in JSON: who reads it beside the actor, and how it is shown
    '["Ben Carter"]': (["agent_1"], " (to Ben Carter)"),
    '"Ben Carter"': (["agent_1"], " (to Ben Carter)"),
    '"ben  carter "': (["agent_1"], " (to Ben Carter)"),
    '["BEN"]': (["agent_1"], " (to Ben Carter)"),
    '["agent_1"]': (["agent_1"], " (to Ben Carter)"),
    '["Ben Carter", "Ben Carter", "ben", "agent_1", "Noor Haddad", ""]': (
        ["agent_1"],
        " (to Ben Carter)",
    ),
    '["Ben Carter", "Ana Sol"]': (["agent_1", "agent_2"], ""),
    "[]": (["agent_1", "agent_2"], ""),
    '""': (["agent_1", "agent_2"], ""),
    "null": (["agent_1", "agent_2"], ""),
    '"all"': (["agent_1", "agent_2"], ""),
    '["Everyone"]': (["agent_1", "agent_2"], ""),
    '["Ben Carter", "everybody"]': (["agent_1", "agent_2"], ""),
}


@pytest.mark.parametrize("to", TO)
@pytest.mark.parametrize("kind", [SPEAK, NON_VERBAL, ACTION])
def test_readers(kind: str, to: str) -> None:
    by, shown = TO[to]
    env, turn = one_turn(act(kind, "zzqx", to=json.loads(to)))
    assert turn.valid
    line = {
        SPEAK: f"Noor Haddad{shown}: zzqx",
        NON_VERBAL: f"* Noor Haddad{shown} [non-verbal] zzqx",
        ACTION: f"* Noor Haddad{shown} [action] zzqx",
    }[kind]
    for agent in env.possible_agents:
        assert lines(env, agent) == ([line] if agent in ("agent_0", *by) else [])
    for agent in env.possible_agents[1:]:
        assert ("zzqx" in str(env.view(agent))) == (agent in by)


def test_readers_in_their_seats_order() -> None:
    names = ["Noor", "Ben", "Ana", "Zed"]
    env, _ = one_turn(act("speak", "x", to=["Zed", "Ben"]), names)
    assert lines(env, "agent_3") == ["Noor (to Ben and Zed): x"]
    env = started(0, 4, names=names, order="round_robin", max_turns=4)
    for reply in ("a", act("speak", "x", to=["Zed", "Ana"]), "b", "c"):
        env.step(reply)
    assert lines(env, "agent_2")[1] == "Ben (to Ana and Zed): x"
    assert env.episode().messages[1].audience == ("agent_1", "agent_2", "agent_3")


def test_names_that_mean_something_else_are_names_first() -> None:
    """A participant called All, or by another one's id, can be spoken to alone."""
    names = ["Noor", "All", "agent_3", "Zed", "Everyone Else"]
    for to, reader in [("all", 1), ("ALL", 1), ("agent_3", 2), ("Zed", 3), ("everyone", 4)]:
        env, turn = one_turn(act("speak", "zzqx", to=[to]), names)
        assert turn.valid
        heard = [i for i, agent in enumerate(env.possible_agents) if lines(env, agent)]
        assert heard == [0, reader]


def test_first_names_of_two_name_nobody() -> None:
    names = ["Noor", "Ana Lee", "Ana Sol", "Lee"]
    _, turn = one_turn(act("speak", "x", to=["Ana"]), names)
    assert not turn.valid
    env, turn = one_turn(act("speak", "x", to=["Lee"]), names)
    assert turn.valid
    assert [bool(lines(env, agent)) for agent in env.possible_agents] == [True, False, False, True]
    # A full name is stronger than a first name.
    env, turn = one_turn(act("speak", "x", to=["Ana"]), ["Noor", "Ana Lee", "Ana"])
    assert [bool(lines(env, agent)) for agent in env.possible_agents] == [True, False, True]


def test_who_has_left_cannot_be_spoken_to() -> None:
    env = started(0, 4, names=[*CAST, "Zed"], max_turns=3)
    for agent in env.acting:
        env.step(act("leave") if agent == "agent_1" else "Hello.")
    env.step(act("speak", "x", to=["Ben Carter"]))
    env.step(act("speak", "y", to=["Noor Haddad", "Zed"]))
    env.step(act("speak", "z", to=["Noor Haddad"]))
    turns = env._acts[-3:]
    assert [turn.valid for turn in turns] == [False, True, True]
    assert "'Ben Carter', who is not here" in turns[0].error
    # To all who are left is to everybody, and yet not to who is not there.
    assert lines(env, "agent_2")[-1] == "Ana Sol: y"
    assert lines(env, "agent_0")[-1] == "Zed (to Noor Haddad): z"
    assert not any("y" in line for line in lines(env, "agent_1")[4:])


# --- length ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SPEAK, ACTION])
def test_what_is_said_or_done_is_cut(kind: str) -> None:
    for text, left in [
        ("abcdef", "abcd"),
        ("abc def", "abc"),
        ("ab", "ab"),
        ("\U0001f43a" * 9, "\U0001f43a" * 4),
    ]:
        reply = act(kind, text)
        env, turn = one_turn(reply, max_speech_chars=4)
        assert from_text(turn.text).argument == left
        assert lines(env, "agent_1")[0].endswith(left)
        assert turn.reply == reply


# --- closing acts ---------------------------------------------------------------


def settled_by(scenario: Any, acts: list[list[str]]) -> tuple[ConversationEnv, list[bool]]:
    env = started(0, scenario=scenario, agents=people(CAST[:2]), max_turns=len(acts))
    for replies in acts:
        for reply in replies:
            env.step(reply)
    return env, [turn.valid for turn in env._acts]


PRICE = meeting(outcome=outcomes(2)[5])
MATRIX = meeting(outcome=outcomes(2)[3])


@pytest.mark.parametrize(
    "proposal",
    [
        *('{"action_type": "propose", "argument": {"price": 300}}', 'propose {"price": 300}'),
        *(
            '{"action_type": "propose", "argument": "{\\"price\\": 300}"}',
            "propose 300",
            "Propose: 300",
            "propose $300",
            "propose 300!",
            "propose 300 €.",
            "propose {'price': 300}",
            'propose {"price": 300}.',
        ),
        *(
            '<think>low</think>propose {"price": 300}',
            '{"action_type": "propose", "argument": 300}',
        ),
    ],
)
@pytest.mark.parametrize(
    "acceptance",
    [
        *(act("accept"), "accept", "Accept.", 'accept "Noor Haddad"', "accept Noor Haddad"),
        *("accept 'Noor Haddad'", "Accept: “Noor Haddad”.", "Accept Noor!", "ACCEPT: Haddad"),
    ],
)
def test_a_deal(proposal: str, acceptance: str) -> None:
    env, valid = settled_by(PRICE, [[proposal, "Hm."], ["Well?", acceptance]])
    assert valid == [True] * 4
    assert env.over
    outcome = env.episode().outcome
    assert (outcome["reason"], outcome["deal"]) == ("settled", {"price": 300})
    assert "* Noor Haddad proposes" in env.observe("agent_1")["text"]
    assert "* Ben Carter accepts" in env.observe("agent_0")["text"]


def test_closing_acts_of_other_scenarios_are_none() -> None:
    for reply in ("accept", "propose 300", 'answer "share"'):
        assert draw(reply, (), ()).action_type == SPEAK
    assert draw('answer "share"', (), ("propose", "accept")).action_type == SPEAK
    assert draw("I accept.", (), ("propose", "accept")) == Drawn(SPEAK, "I accept.")
    assert draw("accept that, please", (), ("propose", "accept")).action_type == SPEAK
    assert "whole JSON" in draw("propose {'price: 3}", (), ("propose",)).error


ALL_CLOSING = ("propose", "accept", "answer")
PLAIN: dict[str, Drawn] = {
    "accept Catarina Quintela": Drawn("accept", "Catarina Quintela"),
    "accept Niamh O'Brien": Drawn("accept", "Niamh O'Brien"),
    "accept 'Niamh O'Brien'": Drawn("accept", "Niamh O'Brien"),
    "accept ‘Niamh O’Brien’": Drawn("accept", "Niamh O’Brien"),
    "accept “Ana Sol”!": Drawn("accept", "Ana Sol"),
    'Accept: "Ana Sol"': Drawn("accept", "Ana Sol"),
    "accept\nAna Maria Sol.": Drawn("accept", "Ana Maria Sol."),
    "propose $6,500": Drawn("propose", "$6,500"),
    "propose 6500!": Drawn("propose", "6500"),
    'propose {"A": 1}.': Drawn("propose", {"A": 1}),
    "propose {'a': 10}": Drawn("propose", {"a": 10}),
    "propose Mon 9:00": Drawn("propose", "Mon 9:00"),
    "answer Cristina": Drawn("answer", "Cristina"),
    "answer 12": Drawn("answer", "12"),
    "answer 'the bay'": Drawn("answer", "the bay"),
    "Answer: “the bay”.": Drawn("answer", "the bay"),
    # Illegal, and told so.
    "accept This Offer": Drawn("accept", "This Offer"),
    "accept 300": Drawn("accept", "300"),
}


@pytest.mark.parametrize("reply", PLAIN)
def test_short_forms(reply: str) -> None:
    assert draw(reply, (), ALL_CLOSING) == PLAIN[reply]
    assert draw(reply, (), ()) == Drawn(SPEAK, reply)


@pytest.mark.parametrize(
    "reply",
    [
        *("accept my apologies, please", "Accept my apologies", "accept Ana's offer, please"),
        *("accept Ana Sol, then", "accept the Hill", "accept Ana Sol?", "accept it", "Accepted."),
        *("accept Ana Sol or Ben Carter", "accept 'it' or 'that'", "acceptAna", "accept:"),
        *("propose a toast", "propose 6500 or less", "propose {a} and more", "propose", "Propose!"),
        *('propose "a" or "b"', "answer me!", "Answer me", "answer", "answer: I do not know"),
        *("answer 'yes' or 'no'", "answer What Is Asked Here", "I propose 300", "answering 12"),
    ],
)
def test_prose_that_begins_like_a_closing_act_is_speech(reply: str) -> None:
    assert draw(reply, (), ALL_CLOSING) == Drawn(SPEAK, reply)


def test_a_deal_that_says_a_thing_twice_is_refused() -> None:
    for reply in (
        'propose {"a": 1, "a": 2}',
        '{"action_type": "propose", "argument": {"a": 1, "a": 2}}',
    ):
        assert "twice" in draw(reply, (), ALL_CLOSING).error


def test_who_accepts_somebody_else_is_told() -> None:
    env, valid = settled_by(PRICE, [["propose 300", "Hm."], ["Well?", "accept Catarina Quintela"]])
    assert valid == [True, True, True, False]
    assert any("Catarina Quintela" in message.text for message in env.view("agent_1").log)
    assert "Catarina" not in str(env.view("agent_0"))


def test_sealed_answers_open_together() -> None:
    env, valid = settled_by(MATRIX, [[act("answer", "share"), "Hm."]])
    assert valid == [True, True]
    assert "share" not in str(env.view("agent_1").log)
    assert "* Noor Haddad has given a sealed answer" in env.observe("agent_1")["text"]
    env, valid = settled_by(MATRIX, [[act("answer", "share"), "Hm."], ["x", 'answer "grab"']])
    assert valid == [True] * 4
    assert "share" in str(env.view("agent_1").log)
    assert env.episode().outcome["reason"] == "settled"


def test_an_illegal_closing_act_is_told_to_its_agent_alone() -> None:
    env, valid = settled_by(PRICE, [["accept", act("propose", {"price": "zzqx"})]])
    assert valid == [False, False]
    assert "zzqx" in str(env.view("agent_1").log)
    assert "zzqx" not in str(env.view("agent_0").log)


def test_a_proposal_is_never_private() -> None:
    """What was meant for some alone is not shown to all: it is refused."""
    scenario = meeting(3, outcomes(3)[5])
    for to, valid in [
        (["agent_1"], False),
        (["Nobody"], False),
        (["agent_1", "agent_2"], True),
        ("all", True),
        ([], True),
    ]:
        env = started(0, 3, scenario=scenario)
        proposal = json.loads(example(env.view("agent_0")))
        for agent in env.acting:
            env.step(json.dumps({**proposal, "to": to}) if agent == "agent_0" else "Hm.")
        assert env._acts[0].valid == valid
        assert ("proposes" in env.observe("agent_2")["text"].split("How to act")[1]) == valid


def test_the_examples_of_the_rules_are_legal() -> None:
    for seats in range(2, 6):
        for outcome in outcomes(seats)[1:]:
            env = started(0, seats, scenario=meeting(seats, outcome), order="round_robin")
            env.step(example(env.view("agent_0")))
            turn = env._acts[0]
            placeholder = "the friend's name" in turn.reply
            assert turn.valid != placeholder, (outcome, turn.error)


@pytest.mark.parametrize(
    "reply",
    [
        *(
            f"{word}{{0}}x"
            for word in ("propose", "answer", "accept", "propose:", "```", "```json")
        ),
        *("```{0}x```", "propose {{{0}x", 'answer "{0}x', "<think{0}x", "x{0}<", "{{{0}x"),
        *("x{{{0}action_type", "accept '{0}x", "accept A{0}x", '{{"{0}": 1}}', '{{"argument{0}"'),
    ],
)
@pytest.mark.parametrize(
    "filler",
    [" ", "\n", "a", "1,", "`", "<", "}", '"', "{", "\\", ', "', '{"', "'s", "A ", "action_type"],
)
def test_a_reply_without_end_is_read_all_the_same(reply: str, filler: str) -> None:
    """Where reading takes the square of the length, this test does not end."""
    drawn = draw(reply.format(filler * 300_000), ("think",), ("propose", "accept", "answer"))
    assert drawn.action_type or drawn.error


# --- laws -----------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {"action_type": st.sampled_from(["speak", "action", "leave", "accept"]) | json_values},
        optional={"argument": json_values, "to": json_values},
    ),
    st.integers(0, 80),
)
def test_any_json_is_an_act_or_told_why_not(value: dict[str, Any], cut: int) -> None:
    for reply in (json.dumps(value), json.dumps(value)[:cut]):
        _, turn = one_turn(reply)
        done = from_text(turn.text)
        assert to_text(done) == turn.text
        assert turn.valid or done == Act(NONE)
        assert turn.valid == (not turn.error)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_speech_arrives_as_written(text: str) -> None:
    for reply in (act("speak", text), text):
        _, turn = one_turn(reply)
        if turn.valid:
            said = from_text(turn.text).argument
            assert "".join(said.split()) == "".join(text.split())
