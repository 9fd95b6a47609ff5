"""Same seed, same acts: the same bytes, in any copy, process and order of looking."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from omar_envs import rollout, werewolf_v0
from omar_envs.playing import AnyEnv, conversation
from omar_envs.policy import RandomPolicy, ScriptedPolicy
from tests.envs.games import encoded, finish, play, pure

COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "both": lambda env: pickle.loads(pickle.dumps(copy.deepcopy(env), protocol=4)),
}
MAKERS = {
    "raw_env": werewolf_v0.raw_env,
    "env": werewolf_v0.env,
    "parallel_env": werewolf_v0.parallel_env,
}


def advance(env: AnyEnv, garbage: bool) -> None:
    """One act, or one parallel step, through the environment's own interface."""
    game = conversation(env)
    acts = {
        agent: "?" if garbage and len(game.view(agent).text) % 3 == 0 else pure(game.view(agent))
        for agent in game.acting
    }
    if isinstance(env, werewolf_v0.ConversationParallelEnv):
        env.step(acts)
    else:
        env.step(acts[env.agent_selection])


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("maker", MAKERS)
def test_a_copy_made_in_mid_game_goes_on_to_the_same_bytes(maker: str, how: str) -> None:
    env = MAKERS[maker](allow_abstain=False, invalid_penalty=0.25)
    env.reset(seed=12)
    steps = 0
    copies = []
    while not conversation(env).over:
        if steps % 4 == 0:
            copies.append(COPIES[how](env))
        advance(env, garbage=True)
        steps += 1
    expected = encoded(conversation(env).episode())
    for other in copies:
        while not conversation(other).over:
            advance(other, garbage=True)
        assert encoded(conversation(other).episode()) == expected
        # And the copy starts the same next game.
        other.reset()
    env.reset()
    ends = {encoded(finish(conversation(one))) for one in (env, *copies)}
    assert len(ends) == 1


def test_a_copy_shares_nothing() -> None:
    env = werewolf_v0.raw_env()
    env.reset(seed=1)
    other = copy.deepcopy(env)
    before = {agent: env.view(agent) for agent in env.possible_agents}
    finish(other)
    assert {agent: env.view(agent) for agent in env.possible_agents} == before


def test_an_environment_can_be_pickled_before_its_first_reset() -> None:
    env = pickle.loads(pickle.dumps(werewolf_v0.env(num_players=5)))
    env.reset(seed=3)
    assert finish(env.unwrapped) == play(3, num_players=5)


def test_the_past_of_an_environment_does_not_matter() -> None:
    env = werewolf_v0.raw_env()
    for seed in (5, 6):
        env.reset(seed=seed)
        finish(env)
    env.reset(seed=4)
    env.step("something")
    env.reset(seed=5)
    assert finish(env) == play(5)


def test_the_global_generators_are_never_touched() -> None:
    random.seed(1)
    np.random.seed(1)
    states = random.getstate(), np.random.get_state()
    env = werewolf_v0.env()
    env.reset()
    env.reset(seed=3)
    rollout.play(env, RandomPolicy(), 4)
    rollout.play(env, ScriptedPolicy(), 5)
    env.action_space("player_0").sample()
    play(6, lambda view: "?", allow_abstain=False)
    assert random.getstate() == states[0]
    before, after = states[1], np.random.get_state()
    assert before[0] == after[0]
    assert np.array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_global_seeds_do_not_matter() -> None:
    games = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        games.append(rollout.play(werewolf_v0.raw_env(), ScriptedPolicy(3), 7))
    assert games[0] == games[1]


PROGRAM = """
import sys
from tests.envs.games import PurePolicy, encoded
from omar_envs import rollout, werewolf_v0
from omar_envs.policy import RandomPolicy, ScriptedPolicy
configs = [{}, {"discussion": "round_robin", "names": ["Zed", "Yan", "Xia", "Wu", "Vic", "U", "T"]}]
for config in configs:
    for policy in (PurePolicy(), RandomPolicy(1), ScriptedPolicy(1, noise=0.2)):
        make = lambda: werewolf_v0.env(allow_abstain=False, **config)
        for episode in rollout.run(make, policy, 4, seed=9, batch=3):
            sys.stdout.buffer.write(encoded(episode) + b"\\n")
"""


def test_the_same_bytes_in_any_process() -> None:
    digests = set()
    for hash_seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            check=True,
        )
        assert done.stdout.count(b"\n") == 24
        digests.add(hashlib.sha256(done.stdout).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**63, 2**100])
def test_any_seed(seed: int) -> None:
    assert play(seed).seed == seed
    assert play(seed) == play(seed)
    assert play(seed).seats != play(seed + 1).seats
