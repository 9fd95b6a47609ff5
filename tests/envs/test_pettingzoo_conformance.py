"""PettingZoo's own tests, over configurations that take every branch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pettingzoo
import pytest
from pettingzoo.test import (
    api_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
    seed_test,
)

from omar_envs import werewolf_v0

CONFIGS: list[dict[str, Any]] = [
    {},
    {"num_players": 3, "discussion_rounds": 0, "wolf_chat_rounds": 0},
    {"num_players": 5, "discussion": "round_robin", "first_phase": "day", "prompt_style": "terse"},
    {
        "num_players": 12,
        "roles": {"werewolf": 3, "seer": 2, "doctor": 2},
        "vote_rule": "majority",
        "win_rule": "extinction",
        "reveal_on_death": "none",
        "allow_abstain": False,
        "max_days": 2,
        "invalid_penalty": 0.1,
    },
    {"first_night_kill": False, "vote_tie": "none", "doctor_self_save": False, "max_days": 1},
]
configs = pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))


@pytest.fixture(autouse=True)
def _known_warnings() -> Iterator[None]:
    """Of all warnings only those that text must earn are let through.

    PettingZoo expects every observation to be an array, or a Dict with an
    ``observation`` that is one, and says so where it is text.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Observation is not a NumPy array")
        warnings.filterwarnings("ignore", "Observation space for each agent probably should be")
        warnings.filterwarnings("ignore", "Action space for each agent probably should be")
        yield


@configs
def test_api(config: dict[str, Any]) -> None:
    api_test(werewolf_v0.env(**config), num_cycles=200)
    api_test(werewolf_v0.raw_env(**config), num_cycles=200)


@configs
def test_parallel_api(config: dict[str, Any]) -> None:
    parallel_api_test(werewolf_v0.parallel_env(**config), num_cycles=200)


@configs
def test_seeds(config: dict[str, Any]) -> None:
    seed_test(lambda: werewolf_v0.env(**config), num_cycles=100)
    parallel_seed_test(lambda: werewolf_v0.parallel_env(**config), num_cycles=100)


@configs
def test_rendering(config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    render_test(lambda render_mode: werewolf_v0.env(**config, render_mode=render_mode))
    capsys.readouterr()


def test_the_documented_loop() -> None:
    env = werewolf_v0.env()
    env.reset(seed=42)
    rewards = dict.fromkeys(env.possible_agents, 0.0)
    for agent in env.agent_iter():
        observation, reward, termination, truncation, info = env.last()
        rewards[agent] += reward
        done = termination or truncation
        assert observation in env.observation_space(agent)
        env.step(None if done else (*info["request"].choices, "Hello.")[0])
    assert env.agents == []
    # Every act's reward arrives once: the sums are the whole episode's.
    episode = env.unwrapped.episode()
    assert rewards == pytest.approx({a: episode.total_reward(a) for a in rewards})


def test_spaces_are_the_same_object_for_all() -> None:
    for env in (werewolf_v0.env(), werewolf_v0.parallel_env()):
        for space in (env.observation_space, env.action_space):
            assert len({id(space(agent)) for agent in env.possible_agents}) == 1
            assert space("player_0") is space("player_0")


def test_each_environment_has_spaces_of_its_own() -> None:
    """A seeded space gives its samples whatever other environments sample in between."""

    def samples(env: Any, disturb: bool) -> list[str]:
        env.action_space("player_0").seed(3)
        drawn = []
        for _ in range(5):
            if disturb:
                werewolf_v0.env().action_space("player_0").sample()
                other.action_space("player_1").sample()
            drawn.append(env.action_space("player_2").sample())
        return drawn

    other = werewolf_v0.env()
    assert samples(werewolf_v0.env(), False) == samples(werewolf_v0.env(), True)


def test_the_aec_wrapper_checks_actions() -> None:
    env = werewolf_v0.env()
    env.reset(seed=1)
    with pytest.raises(AssertionError):
        env.step(3)
    with pytest.raises(AssertionError, match="reset"):
        werewolf_v0.env().step("hello")


@pytest.mark.skipif(not hasattr(pettingzoo, "make"), reason="needs PettingZoo's registry (1.27)")
def test_registered() -> None:
    import omar_envs

    assert omar_envs.__version__
    env = pettingzoo.make("aec", "omar/werewolf-v0", num_players=5)
    assert len(env.possible_agents) == 5
    parallel = pettingzoo.make("parallel", "omar/werewolf-v0", num_players=6)
    observations, _ = parallel.reset(seed=1)
    assert len(observations) == 6


def test_metadata() -> None:
    assert werewolf_v0.env().metadata["name"] == "werewolf_v0"
    assert werewolf_v0.env().metadata["is_parallelizable"] is False
    assert werewolf_v0.parallel_env().metadata["is_parallelizable"] is True
    assert str(werewolf_v0.env()) == "werewolf_v0"
