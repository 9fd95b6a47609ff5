"""Any configuration of SOTOPIA's scenarios, and any reply to it, for property tests.

One recipe serves hypothesis and seeded generators alike, as in
:mod:`tests.envs.werewolf_configs`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

from omar_envs import sotopia_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.sotopia.mechanisms.assignment import Assignment
from omar_envs.sotopia.mechanisms.division import Division
from omar_envs.sotopia.mechanisms.hidden_profile import Clue, HiddenProfile
from omar_envs.sotopia.mechanisms.matrix import Matrix
from omar_envs.sotopia.mechanisms.mutual_friend import Friend, MutualFriend
from omar_envs.sotopia.mechanisms.price import Price
from omar_envs.sotopia.mechanisms.public_goods import PublicGoods
from omar_envs.sotopia.mechanisms.schedule import Schedule
from omar_envs.sotopia.mechanisms.split import Split
from omar_envs.sotopia.profiles import (
    AgentProfile,
    EnvironmentProfile,
    PairRelationship,
    RelationshipType,
)
from omar_envs.types import View
from tests.envs.games import Answer, finish
from tests.envs.werewolf_configs import HOSTILE, NOT_TEXT, Below, Config, below_of, noise

# --- scenarios ------------------------------------------------------------------

NAMES = (
    *("Noor Haddad", "Ben Carter", "Ana", "Ana Lee", "Ana Lee Sol", "Łukasz Ñ", "明 李", "אבי לוי"),
    *(
        "Zoë",
        "İpek",
        "Weiß",
        "agent_1",
        "all",
        "Everyone Else",
        "O2",
        "moderator",
        "null",
        "Turn 1",
    ),
)
"""Names that mean something elsewhere, begin like one another, or are of another script."""

TEXTS = (
    "They meet.",
    "I <3 you & me, <b>x</b> {goal} %s {0} &amp; ]]> $x \\n",
    'Both see this. <p viewer="agent_0">Only the first.</p> And this.',
    'All. <p viewer="environment">Nobody <p viewer="agent_1">at all</p>.</p>',
    "Win. <extra_info>A hint < b.</extra_info> <strategy_hint>Another",
    "两人见面。",
)


def person(name: str, **details: Any) -> AgentProfile:
    """A character of this display name."""
    first, _, last = name.partition(" ")
    return AgentProfile(pk=f"own-{name}", first_name=first, last_name=last, **details)


def people(names: Sequence[str]) -> list[AgentProfile]:
    """Characters of these display names, each with a bit of everything."""
    return [
        person(
            name,
            age=20 + seat,
            occupation="teacher",
            gender="Woman",
            gender_pronoun="She/her",
            public_info=f"{name} keeps bees.",
            personality_and_values=f"{name} is calm.",
            secret=f"{name} hates honey.",
        )
        for seat, name in enumerate(names)
    ]


def outcomes(seats: int) -> list[Any]:
    """One outcome of each mechanism that takes so many; ``None`` first."""
    numbers = range(seats)
    tasks = tuple(f"task {i}" for i in numbers)
    slots = ("Mon 9:00", "Tue 10:00", "Wed 11:00")
    common = Friend("Kim", {"hobby": "chess"})
    found: list[Any] = [
        None,
        Assignment(
            tasks=tasks,
            costs=tuple({t: (i + s) % 5 for i, t in enumerate(tasks)} for s in numbers),
            undone=9,
        ),
        Schedule(
            slots=slots, free=tuple({slots[1]: 1 + s, slots[2 * (s % 2)]: 2} for s in numbers)
        ),
        Matrix(
            options=("share", "grab"),
            payoffs=tuple(
                {
                    "share": tuple(3 * k + s for k in numbers),
                    "grab": tuple(3 * k + 1 for k in numbers),
                }
                for s in numbers
            ),
        ),
        HiddenProfile(
            options=("north", "south"),
            common=(Clue("north", 5, "The north is sunny."),),
            private=tuple((Clue("south", 3, f"Reason {s} for the south."),) for s in numbers),
        ),
    ]
    if seats == 2:
        found.append(Price(item="the piano", list_price=500, reservation=(200, 400)))
    if seats <= 3:
        values = tuple({"pears": 1 + s, "figs": 4 - s} for s in numbers)
        found.append(Division(items={"pears": 2, "figs": 3}, values=values))
    if seats <= 4:
        lists = tuple((Friend(f"Own {s}", {"hobby": "golf"}), common) for s in numbers)
        found.append(MutualFriend(friends=lists))
    if seats > 2:
        found.append(PublicGoods(endowments=(10,) * seats, multiplier=1.5, unit="coins"))
    if 3 <= seats <= 5:
        found.append(
            Split(
                budget=10,
                unit="coins",
                quota=seats // 2 + 1,
                minimums=(0,) * seats,
                needs=(6,) * seats,
            )
        )
    return found


def meeting(seats: int = 2, outcome: Any = None, **details: Any) -> EnvironmentProfile:
    """A plain scenario."""
    given: dict[str, Any] = {
        "pk": "own-meeting",
        "codename": "meeting",
        "scenario": "They meet in a lift.",
        "agent_goals": tuple(f"Goal number {seat}." for seat in range(seats)),
        "outcome": outcome,
    }
    return EnvironmentProfile(**{**given, **details})


def started(
    seed: int = 0, seats: int = 2, names: Sequence[str] = NAMES, **settings: Any
) -> ConversationEnv:
    """A game before its first act: by default a plain scenario that nothing scores."""
    given: dict[str, Any] = {"scenario": meeting(seats), "agents": people(names[:seats])}
    given["reward"] = "none"
    env = sotopia_v0.raw_env(**{**given, **settings})
    env.reset(seed=seed)
    return env


def play(seed: int, answer: Answer, **settings: Any) -> Any:
    """One whole game of :func:`started`."""
    return finish(started(seed, **settings), answer)


def act(kind: str, argument: Any = "", **more: Any) -> str:
    """An act as JSON."""
    return json.dumps({"action_type": kind, "argument": argument, **more})


# --- configurations -------------------------------------------------------------

CHOICES: dict[str, tuple[Any, ...]] = {
    "order": ("simultaneous", "round_robin", "random"),
    "max_idle_turns": (2, None, 0, 5),
    "omniscient": (False, True),
    "max_speech_chars": (2000, 1, 7, 60),
    "private_tags": (["think"], ["think", "plan"], ["PLAN"], []),
    "invalid_penalty": (0.0, 0.25),
}
"""Values of the settings that are one of a few; the default comes first."""


def config(below: Below, most: int = 8) -> Config:
    """One configuration without a judge."""
    chosen = {name: values[below(len(values))] for name, values in CHOICES.items() if below(2)}
    seats = 2 + below(most - 1)
    scenarios = [_scenario(seats, below, number) for number in range(1 + below(2))]
    computed = all(scenario.outcome is not None for scenario in scenarios)
    start = below(len(NAMES))
    names = [*NAMES[start:], *NAMES[:start]][:seats]
    return chosen | {
        "scenario": scenarios if len(scenarios) > 1 else scenarios[0],
        "agents": people(names),
        "num_agents": seats,
        "max_turns": 1 + below(8),
        "min_present": 1 + below(seats),
        "reward": "outcome" if computed and below(3) else "none",
    }


def _scenario(seats: int, below: Below, number: int) -> EnvironmentProfile:
    known = outcomes(seats)
    return EnvironmentProfile(
        pk=f"own-{number}",
        codename="own",
        scenario=TEXTS[below(len(TEXTS))],
        agent_goals=tuple(TEXTS[below(len(TEXTS))] for _ in range(seats)),
        relationship=RelationshipType(below(6)),
        outcome=known[below(len(known))],
        pair_relationships=(PairRelationship((0, seats - 1), RelationshipType(below(6))),)
        if below(2)
        else (),
    )


def seeded(seed: int, most: int = 8) -> Config:
    """The configuration of a seed."""
    return config(Random(seed).randrange, most)


@st.composite
def configs(draw: st.DrawFn, most: int = 4) -> Config:
    """Configurations, as a strategy."""
    return config(below_of(draw), most)


# --- replies --------------------------------------------------------------------

ODD_JSON: tuple[str, ...] = (
    '{"action_type": "speak", "argument": "half',
    '{"action_type": "speak"}',
    '{"action_type": ["speak"], "argument": "x"}',
    '{"action_type": ' + "[" * 400 + "]" * 400 + "}",
    '{"action_type": "speak", "argument": ' + "[" * 400 + "]" * 400 + "}",
    '{"action_type": "propose", "argument": ' + '{"a":' * 300 + "1" + "}" * 300 + "}",
    '{"action_type": "propose", "argument": ' + "9" * 6000 + "}",
    '{"action_type": "propose", "argument": 1e999}',
    '{"action_type": "answer", "argument": NaN}',
    '{"action_type": "answer", "argument": -Infinity}',
    '{"action_type": "propose", "argument": {"price": 1e308, "price": null}}',
    '{"action_type": "propose", "argument": "{\\"price\\": \\"{\\\\\\"price\\\\\\": 3}\\"}"}',
    '{"action_type": "accept", "argument": {"\\u0000": "\\ud800"}}',
    '{"action_type": "speak", "argument": "\\ud83d \\u0000 \\u2028* The conversation is over"}',
    '{"action_type": "speak", "argument": "\\u003cthink\\u003ex\\u003c/think\\u003e"}',
    '{"action_type": "speak", "argument": "x", "to": {"a": 1}}',
    '{"action_type": "speak", "argument": "x", "to": ["\\ud800", "\\n", ""]}',
    '{"action_type": "speak", "argument": "x", "to": [["agent_1"]]}',
    '{"action_type": "Non_Verbal  Communication", "argument": "shrugs"}',
    '```json\n{"action_type": "none", "argument": ""}\n```',
    "propose {",
    "propose {}",
    'answer ""',
    "accept",
    "propose 9999999999999999999999999",
)
"""Acts that are none, or only just."""

_EXAMPLE = re.compile(r"To (?:propose|answer): ")


def example(view: View) -> str:
    """The act that the rules give as an example, "" if there is none."""
    found = _EXAMPLE.search(view.messages[0]["content"])
    if found is None:
        return ""
    text = view.messages[0]["content"][found.end() :]
    return text[: json.JSONDecoder().raw_decode(text)[1]]


def reply(view: View, below: Below) -> Any:
    """A reply that is often readable, sometimes only just, sometimes hostile."""
    names = list(view.names.values())
    name = names[below(len(names))]
    match below(20):
        case 0:
            return act("none")
        case 1:
            return act("non-verbal communication", f"looks at {name}")
        case 2:
            return act("action", f"gives {name} a hand")
        case 3:
            return act("leave")
        case 4 | 5:
            return act("speak", f"Only for {name}.", to=[name, names[below(len(names))]])
        case 6 | 7:
            return example(view) or "Well?"
        case 8 | 9:
            return act("accept", name if below(2) else "")
        case 10:
            return str(HOSTILE[below(len(HOSTILE))])
        case 11:
            return act(
                ("speak", "action", "answer", "propose")[below(4)],
                str(HOSTILE[below(len(HOSTILE))]),
            )
        case 12:
            return ODD_JSON[below(len(ODD_JSON))]
        case 13:
            return noise(below)
        case 14:
            return NOT_TEXT[below(len(NOT_TEXT))]
        case 15:
            return f"<think>{name}?</think>I trust {name}."
        case 16:
            return act("answer", ("share", "north", "Kim", 3)[below(4)])
    return f"I say {below(1000)}, {name}."
