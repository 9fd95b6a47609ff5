"""The wrapper of ``env()`` refuses, warns and answers as PettingZoo's own two do."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Discrete, Text
from pettingzoo import AECEnv
from pettingzoo.utils.wrappers import (
    AssertOutOfBoundsWrapper,
    BaseWrapper,
    OrderEnforcingWrapper,
)

from omar_envs import werewolf_v0
from omar_envs.checks import CheckedEnv
from tests.envs.games import pure


class Counting(AECEnv[str, Any, Any]):
    """Two agents count; a game of numbers, with a state, that ends after four acts."""

    metadata = {"name": "counting_v0", "render_modes": []}
    render_mode = None

    def __init__(self) -> None:
        self.possible_agents = ["a", "b"]
        self.spaces = {agent: Discrete(5) for agent in self.possible_agents}

    def observation_space(self, agent: str) -> Discrete:
        return self.spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        return self.spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        self.agents = list(self.possible_agents)
        self.agent_selection = "a"
        self.count = 0
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}

    def step(self, action: Any) -> None:
        agent = self.agent_selection
        if self.terminations[agent]:
            self._was_dead_step(action)
            return
        self.count += 1
        self.rewards = {other: float(action) for other in self.agents}
        self._cumulative_rewards[agent] = 0.0
        self._accumulate_rewards()
        self.infos = {other: {"count": self.count} for other in self.agents}
        self.agent_selection = "b" if agent == "a" else "a"
        if self.count == 4:
            self.terminations = dict.fromkeys(self.agents, True)

    def observe(self, agent: str) -> Any:
        return np.int64(self.count)

    def state(self) -> Any:
        return np.array([self.count])

    def render(self) -> Any:
        return f"count {self.count}"


def pettingzoos(env: AECEnv[str, Any, Any]) -> AECEnv[str, Any, Any]:
    return OrderEnforcingWrapper(AssertOutOfBoundsWrapper(env))


def raw_werewolf() -> AECEnv[str, Any, Any]:
    return werewolf_v0.raw_env(num_players=5, first_phase="day", discussion_rounds=1)


GAMES: dict[str, Callable[[], AECEnv[str, Any, Any]]] = {
    "counting": Counting,
    "werewolf": raw_werewolf,
}
Env = Any
Act = Callable[[Env], Any]


def legal(env: Env) -> Any:
    """A legal action of the agent to move."""
    agent = env.unwrapped.agent_selection
    if env.unwrapped.terminations[agent] or env.unwrapped.truncations[agent]:
        return None
    return 1 if isinstance(env.unwrapped, Counting) else pure(env.unwrapped.view(agent))


def play_on(env: Env) -> list[Any]:
    seen = []
    for agent in env.agent_iter():
        seen.append((agent, *env.last()))
        env.step(legal(env))
    return seen


def iterate_without_step(env: Env) -> None:
    for _ in env.agent_iter(9):
        pass


def look(name: str) -> Act:
    return lambda env: getattr(env, name)


def reset_then(*acts: Act) -> Act:
    def play(env: Env) -> Any:
        env.reset(seed=3)
        return [act(env) for act in acts]

    return play


READ = [
    *("agents", "agent_selection", "num_agents", "rewards", "terminations", "truncations"),
    *("infos", "_cumulative_rewards", "possible_agents", "max_num_agents", "metadata"),
    *("render_mode", "_private", "no_such_thing", "acting", "__len__"),
]
USES: dict[str, Act] = {
    **{f"read {name} before reset": look(name) for name in READ},
    **{f"read {name} after reset": reset_then(look(name)) for name in READ},
    "str": lambda env: str(env),
    "hasattr": lambda env: [hasattr(env, name) for name in READ],
    "step before reset": lambda env: env.step("x"),
    "last before reset": lambda env: env.last(),
    "last without observing, before reset": lambda env: env.last(observe=False),
    "observe before reset": lambda env: env.observe("a"),
    "state before reset": lambda env: env.state(),
    "render before reset": lambda env: env.render(),
    "iterate before reset": lambda env: env.agent_iter(),
    "state": reset_then(lambda env: list(env.state())),
    "last": reset_then(lambda env: env.last(), lambda env: env.last(False)),
    "an action that is None": reset_then(lambda env: env.step(None)),
    "an action out of bounds": reset_then(lambda env: env.step([3])),
    "a number out of bounds": reset_then(lambda env: env.step(7)),
    "iterate without step": reset_then(iterate_without_step),
    "iterate a little": reset_then(lambda env: [env.step(legal(env)) for _ in env.agent_iter(3)]),
    "iterate not at all": reset_then(lambda env: list(env.agent_iter(0))),
    "play": reset_then(play_on),
    "play on after the end": reset_then(play_on, lambda env: env.step("x"), play_on),
    "read after the end": reset_then(play_on, *(look(name) for name in READ[:8])),
    "last after the end": reset_then(play_on, lambda env: env.last()),
    "act when dead": reset_then(
        lambda env: [env.step(legal(env)) for _ in range(4)] if len(env.agents) == 2 else None,
        lambda env: env.step("x"),
    ),
    "reset in the middle": reset_then(
        lambda env: env.step(legal(env)), lambda env: env.reset(seed=3), play_on
    ),
    "another step between two turns": reset_then(
        lambda env: [env.step(legal(env)) for _ in range(2)], play_on
    ),
    "copies": reset_then(
        lambda env: env.step(legal(env)),
        lambda env: play_on(copy.deepcopy(env)),
        lambda env: play_on(pickle.loads(pickle.dumps(env))),
    ),
}


def outcome(act: Act, env: Env, log: pytest.LogCaptureFixture) -> tuple[str, str, list[str]]:
    """What came of it: the value or the error, and the warnings."""
    log.clear()
    try:
        result = f"value {act(env)!r}"
    except (AssertionError, AttributeError, KeyError, ValueError, NotImplementedError) as error:
        result = f"{type(error).__name__}: {error}"
    return result, str(env), [record.getMessage() for record in log.records]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("game", GAMES)
def test_every_use_and_misuse_ends_as_in_pettingzoo(
    game: str, use: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    ours = outcome(USES[use], CheckedEnv(GAMES[game]()), caplog)
    theirs = outcome(USES[use], pettingzoos(GAMES[game]()), caplog)
    assert ours == theirs


@pytest.mark.parametrize("game", GAMES)
def test_inside_another_wrapper_too(game: str) -> None:
    ours = reset_then(play_on)(BaseWrapper(CheckedEnv(GAMES[game]())))
    theirs = reset_then(play_on)(BaseWrapper(pettingzoos(GAMES[game]())))
    assert repr(ours) == repr(theirs)


def test_it_is_both_wrappers() -> None:
    env = werewolf_v0.env()
    assert isinstance(env, OrderEnforcingWrapper)
    assert isinstance(env, AssertOutOfBoundsWrapper)
    assert type(env.unwrapped) is werewolf_v0.raw_env


def test_what_is_looked_up_cannot_be_assigned() -> None:
    env = werewolf_v0.env()
    env.reset(seed=1)
    with pytest.raises(AttributeError):
        env.agent_selection = "player_3"


def copies(env: CheckedEnv) -> list[CheckedEnv]:
    return [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]


@pytest.mark.parametrize("number", [0, 1])
def test_a_copy_looks_at_its_own_game(number: int) -> None:
    env = werewolf_v0.env(num_players=4)
    assert isinstance(env, CheckedEnv)
    env.reset(seed=1)
    before = env.last()
    copied = copies(env)[number]
    copied.step("abstain")
    assert repr(env.last()) == repr(before)
    assert repr(copied.last()) == repr(copied.unwrapped.last()) != repr(before)


def test_another_game_put_inside_is_the_one_that_is_seen() -> None:
    env, other = CheckedEnv(werewolf_v0.raw_env()), werewolf_v0.raw_env(num_players=4)
    env.reset(seed=1)
    other.reset(seed=2)
    env.env = other
    assert repr(env.last()) == repr(other.last())
    env.step("a reply")
    assert repr(env.last()) == repr(other.last())
    env.reset(seed=3)
    assert repr(env.last()) == repr(other.last())


class Loud(CheckedEnv):
    """Says what it sees, and what it passes on."""

    def last(self, observe: bool = True) -> Any:
        return "last", super().last(observe)

    def step(self, action: Any) -> None:
        super().step(action.upper())


def test_a_wrapper_of_ones_own_may_say_something_else() -> None:
    env = Loud(werewolf_v0.raw_env(num_players=4, discussion="round_robin", first_phase="day"))
    env.reset(seed=1)
    assert env.last()[0] == "last"
    env.step("hello")
    assert "HELLO" in env.last()[1][0]["text"]


class FewWords(werewolf_v0.raw_env):  # type: ignore[misc, valid-type]
    """A game that takes no text but this."""

    def action_space(self, agent: str) -> Text:
        return Text(3, charset="ab")


def test_a_narrower_space_is_checked() -> None:
    env = CheckedEnv(FewWords(num_players=4, discussion="round_robin", first_phase="day"))
    env.reset(seed=1)
    env.step("ab")
    with pytest.raises(AssertionError, match="action is not in action space"):
        env.step("hello")
