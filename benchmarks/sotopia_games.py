"""Our SOTOPIA environment with scripted agents, for ``sotopia_speed.py``.

Reads the play (``sotopia_play.json``) and prints one JSON line: the AEC environment, ``wrapped``
in PettingZoo's checks or ``raw``, the observation of the agent to move read before each of its
acts.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from omar_envs import sotopia_v0


def play(way: str, order: str, episodes: int, given: dict[str, Any]) -> dict[str, float]:
    """Play episodes to their end, one after another, and time them."""
    make = {"wrapped": sotopia_v0.env, "raw": sotopia_v0.raw_env}[way]
    env = make(
        scenario=given["scenario"],
        agents=given["characters"],
        order=order,
        max_turns=given["turns"],
        reward="none",
    )
    lines = given["lines"]
    acts = characters = 0
    start = time.process_time()
    for episode in range(episodes):
        env.reset(seed=episode)
        for _ in env.agent_iter():
            observation, _, terminated, truncated, _ = env.last()
            if terminated or truncated:
                env.step(None)
                continue
            characters += len(observation["text"])
            acts += 1
            env.step(lines[acts % len(lines)])
    seconds = time.process_time() - start
    return {
        "acts_per_second": acts / seconds,
        "turns_per_episode": env.unwrapped.episode().outcome["turns"],
        "acts_per_episode": acts / episodes,
        "characters": characters / acts,
    }


if __name__ == "__main__":
    way, order, episodes, path = sys.argv[1:]
    print(json.dumps(play(way, order, int(episodes), json.loads(Path(path).read_text("utf-8")))))
