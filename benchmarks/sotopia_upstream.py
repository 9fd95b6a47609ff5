"""SOTOPIA's own environment with scripted agents, for ``sotopia_speed.py``; runs in its own venv.

Reads the play (``sotopia_play.json``) and prints one JSON line. The agents read, before they
act, either ``history``, all that they were ever told, joined as the package's own agent joins it
for its model, or ``last``, the newest observation alone. Episodes end by the package's own rule
on their number of turns.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from sotopia.agents import Agents, BaseAgent
from sotopia.database import AgentProfile, EnvironmentProfile
from sotopia.envs import ParallelSotopiaEnv
from sotopia.envs.evaluators import RuleBasedTerminatedEvaluator
from sotopia.messages import AgentAction, Observation


class ScriptedAgent(BaseAgent[Observation, AgentAction]):
    """Says the lines of a script, one after another, and reads before each."""

    def __init__(self, profile: AgentProfile, lines: list[str], whole: bool) -> None:
        super().__init__(agent_profile=profile)
        self.lines = lines
        self.whole = whole
        self.acts = 0
        self.characters = 0

    def act(self, obs: Observation) -> AgentAction:
        self.recv_message("Environment", obs)
        if obs.available_actions == ["none"]:
            return AgentAction(action_type="none", argument="")
        told = [message for _, message in self.inbox] if self.whole else [obs]
        self.characters += len("\n".join(message.to_natural_language() for message in told))
        self.acts += 1
        return AgentAction(action_type="speak", argument=self.lines[self.acts % len(self.lines)])


def play(order: str, whole: bool, episodes: int, given: dict[str, Any]) -> dict[str, float]:
    """Play episodes to their end, one after another, and time them."""
    env = ParallelSotopiaEnv(
        env_profile=EnvironmentProfile(**given["scenario"]),
        action_order=order,
        evaluators=[RuleBasedTerminatedEvaluator(max_turn_number=given["turns"])],
    )
    profiles = [AgentProfile(**character) for character in given["characters"]]
    cast = [ScriptedAgent(profile, given["lines"], whole) for profile in profiles]
    agents = Agents({agent.agent_name: agent for agent in cast})
    turns = 0
    start = time.process_time()
    for _ in range(episodes):
        observations = env.reset(agents=agents)
        agents.reset()
        done = False
        while not done:
            observations, _, terminated, _, _ = env.step(agents.act(observations))
            done = all(terminated.values())
            turns += 1
    seconds = time.process_time() - start
    acts = sum(agent.acts for agent in cast)
    return {
        "acts_per_second": acts / seconds,
        "turns_per_episode": turns / episodes,
        "acts_per_episode": acts / episodes,
        "characters": sum(agent.characters for agent in cast) / acts,
    }


if __name__ == "__main__":
    reading, order, episodes, path = sys.argv[1:]
    given = json.loads(Path(path).read_text("utf-8"))
    named = order.replace("_", "-")
    print(json.dumps(play(named, reading == "history", int(episodes), given)))
