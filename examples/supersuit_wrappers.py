"""SuperSuit around a discretized game: what fits, and many games as one Gymnasium vector.

python examples/supersuit_wrappers.py

Needs: pip install 'omar-envs[supersuit]'
"""

# ruff: noqa: E402

import argparse

from discrete_score import needs

needs("supersuit")

import numpy as np
import supersuit

from omar_envs import sotopia_v0, werewolf_v0
from omar_envs.wrappers.discretize import discretize

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=200, help="steps per wrapper")
args = parser.parse_args()
FLAT = {"flat": True, "length": 64, "dtype": "float32"}


def walk(env, name: str) -> None:
    """Random acts, games beginning anew as they end."""
    env.reset(seed=0)
    games = 0
    for _ in range(args.steps):
        if not env.agents:
            env.reset()
            games += 1
        env.step({agent: env.action_space(agent).sample() for agent in env.agents})
    print(f"{name}: {args.steps} steps, {games} games")


for name, make in {
    "werewolf_v0": lambda: werewolf_v0.parallel_env(num_players=5, prompt_style="terse"),
    "sotopia_v0": lambda: sotopia_v0.parallel_env("two_boats_count_whales", max_turns=4),
}.items():
    for wrapper in (
        lambda env: supersuit.dtype_v0(env, np.float32),
        lambda env: supersuit.normalize_obs_v0(env, env_min=0, env_max=1),
        lambda env: supersuit.frame_stack_v1(env, 2),
        lambda env: supersuit.agent_indicator_v0(env),
        lambda env: supersuit.clip_reward_v0(env),
        lambda env: supersuit.black_death_v3(env),
        lambda env: supersuit.pad_action_space_v0(env),
        lambda env: supersuit.pad_observations_v0(env),
    ):
        env = wrapper(discretize(make(), **FLAT))
        walk(env, f"{name} in {wrapper.__code__.co_names[1]}")
    vector = supersuit.pettingzoo_env_to_vec_env_v1(discretize(make(), **FLAT))
    games = supersuit.concat_vec_envs_v1(vector, 4, num_cpus=1, base_class="gymnasium")
    observations, _ = games.reset(seed=0)
    for _ in range(args.steps):
        acts = np.array([games.action_space.sample() for _ in range(games.num_envs)])
        observations, *_ = games.step(acts)
    print(f"{name} as a vector of {games.num_envs} seats: observations {observations.shape}")
