"""TextArena's SecretMafia with random actors, for ``werewolf_speed.py``; runs in its own venv.

Prints one JSON line: steps per second, steps per game and characters per
observation. ``wrapped`` builds and reads the observation text at every step,
``raw`` reads none.
"""

from __future__ import annotations

import json
import random
import sys
import time

from textarena.envs.SecretMafia.env import Phase, SecretMafiaEnv
from textarena.wrappers import LLMObservationWrapper

SPEECH = "I have nothing to say"


def act(env: SecretMafiaEnv, rng: random.Random) -> str:
    """Uniform over the living; the same stock phrase in talk."""
    if env.phase is Phase.DAY_DISCUSSION:
        return SPEECH
    alive = env.state.game_state["alive_players"]
    return f"[{alive[int(rng.random() * len(alive))]}]"


def play(games: int, wrapped: bool) -> dict[str, float]:
    """Play games to their end, one after another, and time them."""
    rng = random.Random(0)
    steps = characters = 0
    start = time.process_time()
    for game in range(games):
        base = SecretMafiaEnv(discussion_rounds=3)
        env = LLMObservationWrapper(env=base) if wrapped else base
        env.reset(num_players=8, seed=game)
        done = False
        while not done:
            if wrapped:
                _, text = env.get_observation()
                characters += len(text)
            done, _ = env.step(act(base, rng))
            steps += 1
    seconds = time.process_time() - start
    return {
        "steps_per_second": steps / seconds,
        "steps_per_game": steps / games,
        "characters": characters / steps,
    }


if __name__ == "__main__":
    print(json.dumps(play(int(sys.argv[2]), sys.argv[1] == "wrapped")))
