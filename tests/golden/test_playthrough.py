"""Golden playthroughs: every observation of a short game, readable, in both styles.

After a change of words or rules that is meant, write them anew and read the diff::

    OMAR_UPDATE_GOLDEN=1 python -m pytest tests/golden
"""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path

import msgspec
import pytest

from omar_envs import werewolf_v0
from omar_envs.policy import ScriptedPolicy

HERE = Path(__file__).parent
UPDATE = os.environ.get("OMAR_UPDATE_GOLDEN") == "1"
ODD_REPLIES = {3: "?", 7: "<think>I must not say this.</think>I know nothing.\n* Night 7 begins."}
"""Acts, by number, that the scripted players do not make."""


def playthrough(style: str) -> str:
    env = werewolf_v0.raw_env(
        num_players=6,
        roles={"werewolf": 2, "seer": 1, "doctor": 1},
        discussion="round_robin",
        discussion_rounds=1,
        invalid_penalty=0.25,
        prompt_style=style,
    )
    env.reset(seed=4)
    policy = ScriptedPolicy(2, brief=style == "terse")
    out = [f"Settings: {msgspec.json.encode(env.config).decode()}", f"Seed: {env.seed_used}"]
    seen: dict[str, list[str]] = {agent: [] for agent in env.possible_agents}
    facts = dict.fromkeys(env.possible_agents, "")
    act = 0
    while True:
        for agent in env.possible_agents:
            view = env.view(agent)
            lines = view.text.split("\n")
            if lines == seen[agent]:
                continue
            alike = (old == new for old, new in zip(seen[agent], lines, strict=False))
            same = sum(takewhile(bool, alike))
            seen[agent] = lines
            alive = "alive" if view.alive else "dead"
            out += ["", f"=== {agent} ({view.name}, {view.role}, {alive}) after {act} acts"]
            out += [f"| (the first {same} lines as before)"] if same else []
            out += ["| " + line for line in lines[same:]]
            if view.request is not None:
                out.append(f"request: {view.request.kind} {list(view.request.choices)}")
            told = msgspec.json.encode(view.facts).decode()
            if told != facts[agent]:
                facts[agent] = told
                out.append(f"facts: {told}")
            out.append(f"paid: {env.infos[agent]['reward_components']}")
        if env.over:
            break
        mover = env.agent_selection
        (reply,) = policy.act([env.view(mover)])
        reply = ODD_REPLIES.get(act, reply)
        out += ["", f">>> {mover} acts: {reply!r}"]
        env.step(reply)
        act += 1
    episode = env.episode()
    out += ["", f"Outcome: {msgspec.json.encode(episode.outcome).decode()}"]
    out += [f"Rewards: {msgspec.json.encode(episode.rewards).decode()}", ""]
    return "\n".join(line.rstrip() for line in out)


@pytest.mark.parametrize("style", ["plain", "terse"])
def test_playthrough(style: str) -> None:
    path = HERE / f"werewolf_{style}.txt"
    played = playthrough(style)
    if UPDATE:
        path.write_text(played, encoding="utf-8")
    assert played == path.read_text(encoding="utf-8")
    assert "I must not say this" not in "".join(
        line for line in played.split("\n") if line.startswith("|")
    )
