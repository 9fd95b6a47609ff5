"""One seat as a Gymnasium environment: Gymnasium's own checks, and what learners rely on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import omar_envs  # noqa: F401  (registers the seats)
from omar_envs import sotopia_v0, werewolf_v0
from omar_envs.errors import ConfigError, StateError
from omar_envs.policy import RandomPolicy, ScriptedPolicy
from omar_envs.rollout import replay
from omar_envs.types import View
from omar_envs.wrappers import SingleAgentEnv

WEREWOLF, SOTOPIA = "omar/werewolf-seat-v0", "omar/sotopia-seat-v0"
SEATS: list[tuple[str, dict[str, Any]]] = [
    (WEREWOLF, {}),
    (WEREWOLF, {"seat": "random", "opponents": "random", "num_players": 5}),
    (WEREWOLF, {"seat": "player_2", "discrete": True, "preset": "arena8"}),
    (WEREWOLF, {"seat": 1, "discrete": {"flat": True, "dtype": "float32"}, "num_players": 4}),
    (SOTOPIA, {}),
    (SOTOPIA, {"seat": 1, "discrete": {"length": 64}, "scenario": "the_harbour_grant"}),
]
each_seat = pytest.mark.parametrize(("name", "arguments"), SEATS)


def make(name: str = WEREWOLF, **arguments: Any) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(name, **arguments)


def legal_act(env: gymnasium.Env[Any, Any], info: dict[str, Any], rng: np.random.Generator) -> str:
    request = info["request"]
    if request is None or not request.choices:
        return "I have nothing to say."
    return str(rng.choice(request.choices))


def play(env: gymnasium.Env[Any, Any], seed: int) -> list[Any]:
    """All that one game gives, acts drawn from the seed."""
    rng = np.random.default_rng(seed)
    observation, info = env.reset(seed=seed)
    told = [observation, info["seat"]]
    over = False
    while not over:
        act = legal_act(env, info, rng)
        observation, reward, terminated, truncated, info = env.step(act)
        told += [observation, reward, terminated, truncated, info["reward_components"]]
        over = terminated or truncated
    return [*told, info["omar_episode"]]


@each_seat
def test_gymnasium_finds_nothing_wrong(
    name: str, arguments: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    check_env(make(name, **arguments).unwrapped)
    capsys.readouterr()


def test_the_id_can_bring_its_package() -> None:
    env = gymnasium.make("omar_envs:omar/werewolf-seat-v0", num_players=3)
    assert env.reset(seed=1)[0].keys() == {"text"}


@pytest.mark.parametrize(
    "opponents", ["random", "scripted", RandomPolicy, lambda: ScriptedPolicy(3)]
)
def test_equal_seeds_give_equal_games_whatever_was_played_before(opponents: Any) -> None:
    env = make(seat="random", opponents=opponents, num_players=5)
    once = play(env, 11)
    play(env, 12)
    assert play(env, 11) == once
    assert play(make(seat="random", opponents=opponents, num_players=5), 11) == once
    assert play(env, 13) != once


def test_a_seed_starts_the_game_that_it_starts_in_the_conversation() -> None:
    env, game = make(num_players=5), werewolf_v0.raw_env(num_players=5)
    env.reset(seed=42)
    game.reset(seed=42)
    view = env.unwrapped.view()
    assert (view.names, view.role) == (game.view("player_0").names, game.view("player_0").role)


def test_the_reward_arrives_whoever_died_and_the_episode_replays() -> None:
    died = 0
    env = make(num_players=6, opponents="scripted", invalid_penalty=0.25)
    for seed in range(25):
        _, info = env.reset(seed=seed)
        total, over, acts = 0.0, False, 0
        while not over:
            asked = info["request"] is not None
            assert info["alive"] or not asked
            _, reward, terminated, truncated, info = env.step("")
            total, over, acts = total + reward, terminated or truncated, acts + asked
            assert reward == pytest.approx(sum(info["reward_components"].values()))
        episode = info["omar_episode"]
        died += not info["alive"]
        assert terminated != truncated
        assert terminated == episode.terminated
        assert total == pytest.approx(episode.total_reward("player_0"))
        assert abs(episode.rewards["player_0"]["outcome"]) > 0 or truncated
        assert len(episode.turns_of("player_0")) == acts
        assert replay(episode) == episode
    assert died > 5


def test_a_seat_that_is_never_asked_still_ends_its_game() -> None:
    env = make(num_players=3, discussion_rounds=0, roles={"werewolf": 1}, opponents="random")
    never = 0
    for seed in range(30):
        _, info = env.reset(seed=seed)
        if info["request"] is None:
            never += 1
            _, reward, terminated, truncated, info = env.step("whatever")
            assert terminated and not truncated
            assert reward == info["omar_episode"].total_reward("player_0") == -1.0
    assert never > 3


def test_the_seat_acts_only_when_asked_and_opponents_play_the_rest() -> None:
    asked: list[tuple[int, str]] = []

    class Noting(RandomPolicy):
        def act(self, views: Sequence[View]) -> list[str]:
            asked.extend((view.game, view.agent) for view in views)
            return super().act(views)

    env = make(seat=1, opponents=Noting(0), num_players=4)
    other = make(seat=1, opponents=Noting(0), num_players=4)
    play(env, 1)
    play(other, 1)
    assert {agent for _, agent in asked} == {"player_0", "player_2", "player_3"}
    # A policy that keeps a row per game and agent must not mix up two environments.
    assert len({game for game, _ in asked}) == 2


def test_the_episode_names_who_played() -> None:
    episode = play(make(opponents="random", num_players=3), 3)[-1]
    assert [seat.policy for seat in episode.seats] == ["", "random", "random"]


def test_an_environment_of_ones_own_and_a_parallel_one() -> None:
    for env in (
        werewolf_v0.env(num_players=4),
        werewolf_v0.parallel_env(num_players=4),
        sotopia_v0.env(order="round_robin", max_turns=4),
    ):
        seat = SingleAgentEnv(env, "random", "scripted")
        assert play(seat, 5) == play(seat, 5)


@pytest.mark.parametrize("seat", [-1, 7, "player_7", "agent_0", 1.0, True, None])
def test_there_is_no_such_seat(seat: Any) -> None:
    with pytest.raises(ConfigError, match=r"seat must be 'random', an index from 0 to 6"):
        make(seat=seat)


@pytest.mark.parametrize(
    ("opponents", "said"),
    [("nobody", "unknown policy 'nobody'"), (7, "opponents must be"), ("human", "a person")],
)
def test_opponents_that_cannot_play(opponents: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make(opponents=opponents)


def test_calls_at_the_wrong_time() -> None:
    env = SingleAgentEnv(werewolf_v0.raw_env(num_players=3))
    with pytest.raises(StateError, match="reset"):
        env.step("hello")
    with pytest.raises(StateError, match="reset"):
        env.view()
    play(env, 1)
    with pytest.raises(StateError, match="reset"):
        env.step("hello")


def test_rendering() -> None:
    env = make(render_mode="ansi", num_players=3)
    env.reset(seed=1)
    assert "Night 1" in env.render()
    with pytest.raises(TypeError, match="render_mode must be None or one of human, ansi"):
        make(render_mode="rgb_array")


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("discrete", [False, True])
def test_many_seats_side_by_side(mode: str, discrete: bool) -> None:
    # Text has no longest, and shared memory a size.
    shared = {"shared_memory": discrete} if mode == "async" else {}
    envs = gymnasium.make_vec(
        WEREWOLF,
        num_envs=2,
        vectorization_mode=mode,
        vector_kwargs=shared,
        opponents="random",
        num_players=3,
        discrete=discrete,
    )
    try:
        observations, _ = envs.reset(seed=[3, 4])
        assert observations in envs.observation_space
        ended = 0
        for _ in range(20):
            step = envs.step(envs.action_space.sample())
            observations, rewards, terminated, truncated, _ = step
            assert observations in envs.observation_space
            assert rewards.shape == (2,)
            ended += int((terminated | truncated).sum())
        assert ended
    finally:
        envs.close()


def test_shared_memory_is_refused_with_what_to_do() -> None:
    with (
        warnings.catch_warnings(),
        pytest.raises(ValueError, match="shared_memory=False"),
    ):
        warnings.simplefilter("ignore")
        gymnasium.make_vec(WEREWOLF, num_envs=2, vectorization_mode="async", num_players=3)


def test_masks_of_a_discrete_seat_are_those_of_sb3() -> None:
    env = make(discrete=True, num_players=4)
    observation, _ = env.reset(seed=2)
    masks = env.get_wrapper_attr("action_masks")()
    assert masks.dtype == bool
    assert masks.tolist() == observation["action_mask"].astype(bool).tolist()
    flat = make(discrete={"flat": True}, num_players=4)
    tokens, info = flat.reset(seed=2)
    assert tokens.tolist() == observation["observation"].tolist()
    assert info["action_mask"].tolist() == observation["action_mask"].tolist()
