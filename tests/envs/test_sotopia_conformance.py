"""PettingZoo's own tests for social scenarios, and copies, processes and generators."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import random
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np
import pettingzoo
import pytest
from pettingzoo.test import (
    api_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
    seed_test,
)

from omar_envs import rollout, sotopia_v0
from omar_envs.playing import AnyEnv, conversation
from omar_envs.policy import RandomPolicy
from tests.envs.games import encoded, finish
from tests.envs.sotopia_configs import meeting, outcomes, people, reply, seeded

CONFIGS: list[dict[str, Any]] = [
    {"scenario": meeting(), "reward": "none", "num_agents": 2},
    {"scenario": meeting(2, outcomes(2)[5]), "order": "round_robin", "max_turns": 3},
    {"scenario": meeting(3, outcomes(3)[4]), "order": "random", "invalid_penalty": 0.5},
    {"scenario": meeting(8, outcomes(8)[1]), "omniscient": True, "max_turns": 1},
    {"scenario": [meeting(4), meeting(4, outcomes(4)[2])], "reward": "none", "min_present": 4},
]
configs = pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))


@pytest.fixture(autouse=True)
def _known_warnings() -> Iterator[None]:
    """As in ``test_pettingzoo_conformance.py``: observations are text, and PettingZoo says so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Observation is not a NumPy array")
        warnings.filterwarnings("ignore", "Observation space for each agent probably should be")
        warnings.filterwarnings("ignore", "Action space for each agent probably should be")
        yield


@configs
def test_api(config: dict[str, Any]) -> None:
    api_test(sotopia_v0.env(**config), num_cycles=200)
    api_test(sotopia_v0.raw_env(**config), num_cycles=200)


@configs
def test_parallel_api(config: dict[str, Any]) -> None:
    parallel_api_test(sotopia_v0.parallel_env(**config), num_cycles=200)


@configs
def test_seeds(config: dict[str, Any]) -> None:
    seed_test(lambda: sotopia_v0.env(**config), num_cycles=100)
    parallel_seed_test(lambda: sotopia_v0.parallel_env(**config), num_cycles=100)


@configs
def test_rendering(config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    render_test(lambda render_mode: sotopia_v0.env(**config, render_mode=render_mode))
    capsys.readouterr()


def test_the_rendering_tells_all_and_who_reads_what() -> None:
    cast = people(["Ana", "Ben", "Carl"])
    env = sotopia_v0.raw_env(meeting(3), cast, reward="none", render_mode="ansi", max_turns=1)
    env.reset(seed=1)
    env.step('{"action_type": "speak", "argument": "Psst.", "to": ["Ben"]}')
    env.step("<think>Hm.</think>What?")
    env.step('{"action_type": "leave"}')
    assert env.render() == "\n".join(
        [
            "(Ana, Ben only) Ana (to Ben): Psst.",
            "Ben: What?",
            "* Carl has left the conversation.",
            "* The conversation is over: the time is up.",
        ]
    )


def test_the_documented_loop() -> None:
    env = sotopia_v0.env(meeting(2, outcomes(2)[5]), people(["Ana", "Ben"]), invalid_penalty=0.125)
    env.reset(seed=42)
    rewards = dict.fromkeys(env.possible_agents, 0.0)
    replies = iter(["Hello.", "", "propose 300", "{}", "Well?", "accept"])
    for agent in env.agent_iter():
        observation, reward, termination, truncation, info = env.last()
        rewards[agent] += reward
        assert observation in env.observation_space(agent)
        assert sum(info["reward_components"].values()) == reward
        env.step(None if termination or truncation else next(replies))
    assert env.agents == []
    # Every act's reward arrives once: the sums are the whole episode's.
    episode = env.unwrapped.episode()
    assert episode.outcome["reason"] == "settled"
    assert rewards == pytest.approx({a: episode.total_reward(a) for a in rewards})
    assert min(rewards.values()) > 0


def test_spaces_and_metadata() -> None:
    for env in (sotopia_v0.env(**CONFIGS[0]), sotopia_v0.parallel_env(**CONFIGS[0])):
        for space in (env.observation_space, env.action_space):
            assert len({id(space(agent)) for agent in env.possible_agents}) == 1
        assert env.possible_agents == ["agent_0", "agent_1"]
    assert str(sotopia_v0.env(**CONFIGS[0])) == "sotopia_v0"
    assert sotopia_v0.env(**CONFIGS[0]).metadata["is_parallelizable"] is False
    assert sotopia_v0.parallel_env(**CONFIGS[0]).metadata["is_parallelizable"] is True


def test_registered() -> None:
    import omar_envs

    assert omar_envs.sotopia_v0 is sotopia_v0
    env = pettingzoo.make("aec", "omar/sotopia-v0", **CONFIGS[2])
    assert len(env.possible_agents) == 3
    parallel = pettingzoo.make("parallel", "omar/sotopia-v0", **CONFIGS[0])
    observations, _ = parallel.reset(seed=1)
    assert len(observations) == 2


# --- the same bytes -------------------------------------------------------------

COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
}
MAKERS = {
    "raw_env": sotopia_v0.raw_env,
    "env": sotopia_v0.env,
    "parallel_env": sotopia_v0.parallel_env,
}


def advance(env: AnyEnv) -> None:
    """One act, or one parallel step, that depends on nothing but the views."""
    game = conversation(env)
    views = {agent: game.view(agent) for agent in game.acting}
    acts = {a: reply(v, Random(f"{v.agent} {v.text}").randrange) for a, v in views.items()}
    acts = {agent: text if isinstance(text, str) else "" for agent, text in acts.items()}
    if isinstance(env, sotopia_v0.ConversationParallelEnv):
        env.step(acts)
    else:
        env.step(acts[env.agent_selection])


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("maker", MAKERS)
def test_a_copy_made_in_mid_game_goes_on_to_the_same_bytes(maker: str, how: str) -> None:
    for seed in range(12):
        env = MAKERS[maker](**seeded(seed))
        env.reset(seed=seed)
        copies = [COPIES[how](env)]
        while not conversation(env).over:
            advance(env)
            if len(copies) < 4:
                copies.append(COPIES[how](env))
        expected = encoded(conversation(env).episode())
        for other in copies:
            while not conversation(other).over:
                advance(other)
            assert encoded(conversation(other).episode()) == expected


def test_the_past_of_an_environment_does_not_matter() -> None:
    for seed in range(10):
        config = seeded(seed)
        fresh = sotopia_v0.raw_env(**config)
        fresh.reset(seed=3)
        used = sotopia_v0.raw_env(**config)
        for number in (1, 2):
            used.reset(seed=number)
            finish(used, lambda view: "Hello." if view.num_acts else "accept")
        used.reset(seed=4)
        used.step("something")
        used.reset(seed=3)
        assert finish(used, lambda view: view.text[-40:]) == finish(
            fresh, lambda view: view.text[-40:]
        )


def test_the_global_generators_are_never_touched() -> None:
    random.seed(1)
    np.random.seed(1)
    states = random.getstate(), np.random.get_state()
    for seed in range(10):
        env = sotopia_v0.env(**seeded(seed))
        env.reset()
        env.reset(seed=3)
        rollout.play(env, RandomPolicy(), 4)
    sotopia_v0.raw_env(meeting(5), reward="none").reset(seed=2)
    assert random.getstate() == states[0]
    before, after = states[1], np.random.get_state()
    assert before[0] == after[0]
    assert np.array_equal(before[1], after[1])
    assert before[2:] == after[2:]


PROGRAM = """
import sys
from random import Random
from omar_envs import sotopia_v0
from tests.envs.games import encoded, finish
from tests.envs.sotopia_configs import meeting, reply, seeded
def answer(view):
    return reply(view, Random(view.agent + view.text).randrange)
configs = [seeded(seed) for seed in range(20)]
configs += [{"scenario": meeting(4), "reward": "none", "order": "random"}]
for seed, config in enumerate(configs):
    env = sotopia_v0.raw_env(**config)
    env.reset(seed=seed)
    sys.stdout.buffer.write(encoded(finish(env, answer)) + b"\\n")
"""


def test_the_same_bytes_in_any_process() -> None:
    digests = set()
    for hash_seed in ("0", "4242"):
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
        assert done.stdout.count(b"\n") == 21
        digests.add(hashlib.sha256(done.stdout).hexdigest())
    assert len(digests) == 1


def test_seeds_deal_different_games() -> None:
    """Casts, scenarios and the order by lot are drawn; the same seed draws the same."""
    scenarios = [meeting(3), meeting(3, pk="own-other", codename="other")]
    dealt, movers = set(), set()
    for seed in range(40):
        games = []
        for _ in range(2):
            env = sotopia_v0.raw_env(scenarios, reward="none", order="random", max_turns=3)
            env.reset(seed=seed)
            order = []
            while not env.over:
                order.append(env.agent_selection)
                env.step("Hello.")
            games.append((env.episode(), tuple(order)))
        assert games[0] == games[1]
        episode, order_of = games[0]
        dealt.add((episode.outcome["setting"]["codename"], episode.seats[0].name))
        movers.add(order_of)
    assert len({codename for codename, _ in dealt}) == 2
    assert len({name for _, name in dealt}) > 10
    assert len(movers) > 15
