"""A seat in SkyRL-Gym's registry, driven as SkyRL's generator drives it."""

from __future__ import annotations

from typing import Any

import pytest

from omar_envs.errors import ConfigError
from omar_envs.integrations.libraries import check
from omar_envs.integrations.skyrl_gym import register
from omar_envs.rollout import make
from omar_envs.wrappers.single_agent import SingleAgentEnv

try:
    check("skyrl_gym")
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)

import skyrl_gym
from skyrl_gym.envs.base_text_env import BaseTextEnv

SETTINGS: dict[str, Any] = {"num_players": 5, "invalid_penalty": 0.25}


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    register("omar-werewolf", "werewolf", opponents="scripted", **SETTINGS)


def made(**extras: Any) -> Any:
    return skyrl_gym.make("omar-werewolf", env_config={}, extras=extras)


def test_whole_games_pay_what_the_seat_is_paid_and_the_chat_only_grows() -> None:
    for seed in range(5):
        env = made(seed=seed, reward_spec={})
        assert isinstance(env, BaseTextEnv)
        chat, _ = env.init([{"role": "user", "content": "from the data set"}])
        paid, done = 0.0, False
        while not done:
            reply = "Ana"
            output = env.step(reply)
            chat = [*chat, {"role": "assistant", "content": reply}, *output["observations"]]
            paid, done = paid + output["reward"], output["done"]
        ours = SingleAgentEnv(make("werewolf_v0", SETTINGS), 0, "scripted")
        ours.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            expected = ours.view().messages
            _, reward, terminated, truncated, _ = ours.step("Ana")
            total, over = total + reward, terminated or truncated
        assert paid == pytest.approx(total)
        assert chat[: len(expected)] == list(expected)
        assert chat[-1]["role"] == "assistant"
        numbers = env.get_metrics()
        assert type(env).aggregate_metrics([numbers, numbers]) == pytest.approx(numbers)


def test_the_row_says_which_game_and_which_seat() -> None:
    _, info = made(extra_info={"seed": 1, "seat": 2}).init([])
    assert info["seat"] == "player_2"
    same, _ = made(seed=1, seat=2).init([])
    assert same == made(extra_info={"seed": 1, "seat": 2}).init([])[0]
    assert same != made(seed=2, seat=2).init([])[0]


def test_a_limit_on_turns_still_pays_the_game() -> None:
    env = made(seed=2, max_turns=1)
    env.init([])
    output = env.step("Ana")
    assert output["done"]
    assert output["observations"] == []
    assert output["metadata"]["reward_components"]["outcome"] != 0
    with pytest.raises(ConfigError, match="max_turns"):
        made(max_turns=0)


def test_what_is_wrong_shows_when_it_is_registered() -> None:
    with pytest.raises(ConfigError, match="num_players"):
        register("broken", "werewolf", num_players=1)
    with pytest.raises(ConfigError, match="seat"):
        register("broken", "werewolf", seat="nobody")
