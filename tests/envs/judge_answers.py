"""A judging model for tests: it scores by name, and so can be found out if keys are mixed up."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

from omar_envs.judge import SOTOPIA, OpenAIJudge, Rubric
from omar_envs.types import (
    CHOOSE,
    MODERATOR,
    SCHEMA_VERSION,
    SPEAK,
    Episode,
    Message,
    Request,
    Seat,
    StageRecord,
    Turn,
)
from tests.envs.chat_server import Call, ChatServer, Send, say

NAMES = {"agent_0": "Ana Sá", "agent_1": "Ben Ito", "agent_2": "Chloe Roy"}
SECRETS = {agent: f"the secret of {name}" for agent, name in NAMES.items()}

Scorer = Callable[[str, str, int, int], Any]
"""Name (or text of an act), dimension, lowest and highest score."""


def true_score(name: str, dimension: str, low: int, high: int) -> int:
    """A score that nothing but the name and the dimension decides."""
    return low + zlib.crc32(f"{name}/{dimension}".encode()) % (high - low + 1)


def true_scores(episode: Episode, rubric: Rubric = SOTOPIA) -> dict[str, dict[str, float]]:
    """What a sound judgement of the episode says."""
    return {
        seat.agent: {
            d.name: float(true_score(seat.name, d.name, d.low, d.high)) for d in rubric.dimensions
        }
        for seat in episode.seats
    }


def document(call: Call) -> dict[str, Any]:
    """The record that a request holds."""
    system, user = call.body["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    found: dict[str, Any] = json.loads(user["content"])
    return found


def subjects(call: Call) -> dict[str, str]:
    """What each key of the answer stands for: a name, or an act's text."""
    record = document(call)
    if "acts" in record:
        texts = {entry["entry"]: entry["text"] for entry in record["transcript"]}
        return {key: texts[act["entry"]] for key, act in record["acts"].items()}
    return {one["key"]: one["name"] for one in record["participants"]}


def answer(call: Call, score: Scorer = true_score) -> dict[str, Any]:
    """The object that was asked for."""
    schema = call.body["response_format"]["json_schema"]["schema"]
    dimensions = schema["$defs"]["scores"]["properties"]
    found: dict[str, Any] = {}
    for key, subject in subjects(call).items():
        found[key] = {}
        for name, form in dimensions.items():
            allowed = form["properties"]["score"]["enum"]
            value = score(subject, name, allowed[0], allowed[-1])
            found[key][name] = {"reasoning": f"{subject}: {name}", "score": value}
    return found


def judging(call: Call) -> Send:
    """A sound answer, for a hundred tokens and twenty."""
    return say(json.dumps(answer(call)), tokens=(100, 20))


def judge_at(server: ChatServer, **settings: Any) -> OpenAIJudge:
    """A judge that asks the server, and once only."""
    return OpenAIJudge("tiny", **{"base_url": server.url, "max_retries": 0, **settings})


def talk(*texts: str, seats: int = 2, names: dict[str, str] | None = None) -> Episode:
    """A conversation in a social scenario, one line after another; "" is silence."""
    agents = dict(list((names or NAMES).items())[:seats])
    stages, messages, turns = [], [], []
    for number, text in enumerate(texts):
        agent = list(agents)[number % seats]
        stages.append(StageRecord(number, "talk", f"Turn {number}"))
        if text:
            messages.append(Message(number, agent, None, "speech", text))
        request = Request(SPEAK, "Speak.", max_chars=20_000, may_pass=True)
        reply = f"<think>PRIVATE {number}</think>{text}"
        turns.append(Turn(number, agent, request, reply, text, True, "", {}))
    stages.append(StageRecord(len(texts), "end", "End"))
    messages.append(Message(len(texts), MODERATOR, None, "event", "The conversation is over."))
    setting = {
        "codename": "bazaar",
        "scenario": "Two people haggle over a lamp.",
        "participants": {
            agent: {
                "name": name,
                "background": f"{name} sells lamps.",
                "goal": f"{name} wants a good price.",
                "secret": SECRETS.get(agent, ""),
            }
            for agent, name in agents.items()
        },
        "relationships": [{"agents": list(agents)[:2], "relationship": "friend"}],
    }
    return Episode(
        schema_version=SCHEMA_VERSION,
        env="sotopia_v0",
        config={},
        seed=1,
        seats=tuple(Seat(agent, name) for agent, name in agents.items()),
        stages=tuple(stages),
        messages=tuple(messages),
        turns=tuple(turns),
        rewards={agent: {"judge": None} for agent in agents},
        outcome={"reason": "left", "left": ["agent_0"], "setting": setting},
        terminated=True,
        truncated=False,
    )


def many_talks(number: int) -> list[Episode]:
    """Conversations that all differ."""
    return [talk(f"Hello, number {n}.", "Well met.", "Five?", "Four.") for n in range(number)]


def with_choice(episode: Episode, agent: str, label: str) -> Episode:
    """The episode with one more act, a choice."""
    import msgspec

    turn = episode.stages[-1].turn
    request = Request(CHOOSE, "Which?", choices=(label,))
    act = Turn(turn, agent, request, label, label, True, "", {})
    message = Message(turn, agent, None, "action", f"chooses {label}.")
    return msgspec.structs.replace(
        episode, turns=(*episode.turns, act), messages=(*episode.messages, message)
    )
