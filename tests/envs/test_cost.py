"""What a step costs does not grow with the game: work is counted, not timed."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from omar_envs import werewolf_v0
from tests.envs.colours import AGENTS, Colours, begun, stage

LONG = [stage(f"talk {number}") for number in range(201)]


def work(call: Callable[[], Any]) -> int:
    """How many functions a call runs, in Python and below."""
    count = 0

    def seen(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


def turn(env: Colours) -> None:
    """One stage, everything read at every step."""
    for _ in AGENTS:
        _, _, _, _, info = env.last()
        assert info["messages"]
        env.step("some words")


def test_a_stage_late_in_the_game_takes_no_more_work_than_an_early_one() -> None:
    env = begun(*LONG)
    work_by_turn = [work(lambda: turn(env)) for _ in range(200)]
    early, late = work_by_turn[15:35], work_by_turn[180:200]
    assert max(late) <= 1.2 * min(early)
    assert sum(late) <= 1.01 * sum(early)


def test_each_message_is_rendered_once_whoever_reads_it_how_often() -> None:
    env = begun(*LONG)
    for _ in range(50):
        for agent in AGENTS:
            env.observe(agent)
            env.view(agent)
        assert env.infos
        env.step("some words")
    shown = {id(m): m.text for agent in AGENTS for m in env.view(agent).log}
    assert sorted(env.rendered) == sorted(shown.values())


def test_nothing_is_kept_of_steps_that_pay_nothing() -> None:
    env = begun(*LONG)
    rewards, cumulative = env.rewards, env._cumulative_rewards
    env.step("x")
    env.step("y")
    assert env.rewards is rewards
    assert env._cumulative_rewards is cumulative
    env.step("z")
    assert env.rewards is not rewards
    assert rewards == dict.fromkeys(AGENTS, 0.0)


@pytest.mark.parametrize("reading", ["observations", "views"])
def test_a_live_game_of_eight_fits_in_150_kilobytes(reading: str) -> None:
    games = 20
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        envs = [
            werewolf_v0.env(num_players=8, roles={"werewolf": 2, "doctor": 1, "seer": 1})
            for _ in range(games)
        ]
        for number, env in enumerate(envs):
            env.reset(seed=number)
            for act, _ in enumerate(env.agent_iter()):
                _, _, terminated, truncated, info = env.last()
                if act == 35 or terminated or truncated:
                    break
                if reading == "views":
                    env.unwrapped.view(env.agent_selection)
                env.step((*info["request"].choices, "I have nothing to say")[0])
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / games < 150_000
