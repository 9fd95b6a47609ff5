"""One game written down: what every agent sees after every act, what it is paid, how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

import msgspec

from omar_envs.conversation import ConversationEnv
from omar_envs.policy import Policy
from omar_envs.types import View


def playthrough(
    env: ConversationEnv, policy: Policy, seed: int, odd: Mapping[int, str] | None = None
) -> str:
    """Play one game and write it down.

    Agents whose observations grow by the same lines stand together.

    Args:
        odd: replies by number of act, in place of the policy's.
    """
    env.reset(seed=seed)
    out = [f"Settings: {_json(env.config)}", f"Seed: {env.seed_used}"]
    shown: dict[str, list[str]] = {agent: [] for agent in env.possible_agents}
    facts: dict[str, dict[str, Any]] = {agent: {} for agent in env.possible_agents}
    act = 0
    while True:
        groups: dict[str, list[str]] = {}
        for agent in env.possible_agents:
            news = _news(env.view(agent), env.infos[agent], shown, facts)
            if news:
                groups.setdefault(news, []).append(agent)
        for news, agents in groups.items():
            out += ["", f"=== {' '.join(agents)} after {act} acts", news]
        if env.over:
            break
        mover = env.agent_selection
        (reply,) = policy.act([env.view(mover)])
        reply = (odd or {}).get(act, reply)
        out += ["", f">>> {mover} acts: {reply!r}"]
        env.step(reply)
        act += 1
    episode = env.episode()
    out += ["", f"Outcome: {_json(episode.outcome)}", f"Rewards: {_json(episode.rewards)}", ""]
    return "\n".join(line.rstrip() for line in "\n".join(out).split("\n"))


def _news(
    view: View,
    info: Mapping[str, Any],
    shown: dict[str, list[str]],
    facts: dict[str, dict[str, Any]],
) -> str:
    """What is new in one agent's observation, request, facts and pay; "" if nothing is."""
    old, lines = shown[view.agent], view.text.split("\n")
    told = {**view.facts, "lives": view.alive, "paid": info["reward_components"]}
    changed = {key: value for key, value in told.items() if facts[view.agent].get(key) != value}
    if lines == old and not changed:
        return ""
    same = sum(takewhile(bool, (a == b for a, b in zip(old, lines, strict=False))))
    news = [f"| (the first {same} lines as before)"] if same else [f"{view.name}, {view.role}"]
    news += ["| " + line for line in lines[same:]]
    if view.request is not None:
        news.append(f"request: {view.request.kind} {list(view.request.choices)}")
    if changed:
        news.append(f"facts: {_json(changed)}")
    shown[view.agent], facts[view.agent] = lines, told
    return "\n".join(news)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
