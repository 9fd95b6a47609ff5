"""PettingZoo's own loop: every seat says and votes at random, the last reward is shown.

python examples/aec_loop.py
"""

import random

from omar_envs import werewolf_v0

rng = random.Random(0)
env = werewolf_v0.env(num_players=5)
env.reset(seed=1)
rewards = {}
for agent in env.agent_iter():
    observation, reward, termination, truncation, info = env.last()
    if termination or truncation:
        rewards[agent] = reward
        env.step(None)
    else:
        choices = info["request"].choices
        env.step(rng.choice(choices) if choices else "I trust nobody.")
print(rewards)
