"""A seat in GEM's registry, alone and in its vector environments."""

from __future__ import annotations

import pytest

from omar_envs.errors import ConfigError, StateError
from omar_envs.integrations.gem import register
from omar_envs.integrations.libraries import check
from omar_envs.rollout import make
from omar_envs.wrappers.single_agent import SingleAgentEnv

try:
    check("gem")
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)

import gem

IDS = {"omar:Werewolf-v0": "werewolf_v0", "omar:Sotopia-v0": "sotopia_v0"}


@pytest.fixture(autouse=True)
def registered() -> None:
    register()
    register()  # again is harmless


@pytest.mark.parametrize("name", sorted(IDS))
def test_whole_games_are_those_of_the_seat(name: str) -> None:
    env = gem.make(name, seat=1, opponents="scripted")
    assert isinstance(env, gem.Env)
    ours = SingleAgentEnv(make(IDS[name]), 1, "scripted")
    for seed in range(3):
        text, info = env.reset(seed=seed)
        ours.reset(seed=seed)
        over = False
        while not over:
            assert text == ours.view().text
            assert info["request"] == ours.view().request
            action = env.sample_random_action()
            text, reward, terminated, truncated, info = env.step(action)
            _, *same, _ = ours.step(action)
            assert [reward, terminated, truncated] == same
            over = terminated or truncated
        with pytest.raises(StateError):
            env.step("more")


def test_a_vector_of_seats_has_a_seed_each() -> None:
    envs = gem.make_vec(["omar:Werewolf-v0"] * 3, seed=7, num_players=5)
    first, _ = envs.reset()
    for number, text in enumerate(first):
        assert text == gem.make("omar:Werewolf-v0", num_players=5).reset(seed=7 + number)[0]
    _, rewards, *_ = envs.step(["Ana"] * 3)
    assert len(rewards) == 3


def test_spawn_makes_another_of_the_same_kind() -> None:
    env = gem.make("omar:Werewolf-v0", seat="random", num_players=5, prompt_style="terse")
    assert env.spawn().reset(seed=3)[0] == env.reset(seed=3)[0]
    assert env.spawn(num_players=6).reset(seed=3)[0] != env.reset(seed=3)[0]
    with pytest.raises(NotImplementedError, match="copied"):
        env.spawn(same_state=True)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="seat"):
        gem.make("omar:Werewolf-v0", seat=99)
