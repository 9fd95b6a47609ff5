"""Games to play, games that were played, and the seeds of both.

TRL's ``rollout_func`` sees prompts and nothing else, so a prompt here is no text
for the model but a *plan*: which scenario to play, on which seed. A prompt
stands in a batch once per seat and episode; every run of ``seats`` prompts is one
game.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset

from omar_envs.metering import Usage
from omar_envs.types import Episode
from omar_trainers.generation_protocol import TextGenerator
from omar_trainers.rows import TokenRow

SeatKey = tuple[int, str]
"""Index of a game, and agent."""


class GamePlan(NamedTuple):
    """One game to play: further environment arguments, and the ``reset`` seed."""

    scenario: dict[str, Any]
    seed: int


class PlayedGames(NamedTuple):
    """What came of some plans.

    Attributes:
        episodes: one per plan, in order.
        rows: by (index of the plan, agent); an agent that never acted has none.
        frozen: the past model that played in a seat, by (index of the plan, agent);
            the learning model played in all others.
        judge_usage: what was asked of judges for these games, where they count it.
    """

    episodes: list[Episode]
    rows: dict[SeatKey, TokenRow]
    frozen: Mapping[SeatKey, str] = {}
    judge_usage: Usage | None = None


class SeatKind(NamedTuple):
    """Role and team of a seat, None where the game has none."""

    role: str | None
    team: str | None


Lineup = Callable[[GamePlan], Mapping[str, SeatKind]]
"""Who will play in a game, by agent, before it is played."""

PlayGames = Callable[[Sequence[GamePlan], TextGenerator], PlayedGames]
"""Plays games with one generator in every seat."""


class SeedStream(IntEnum):
    """What a seed derived from the run's is for."""

    GAMES = 0
    SAMPLING = 1
    CRITIC = 2
    WATCH = 3
    OPPONENTS = 4


def derive_seed(*key: int) -> int:
    """A seed (31 bits) that depends on every number of ``key`` and on nothing else."""
    # SeedSequence takes (1,) and (1, 0) for the same.
    return int(np.random.SeedSequence((len(key), *key)).generate_state(1)[0] >> 1)


def plan_dataset(scenarios: Sequence[dict[str, Any]], prompts: int, seed: int) -> Dataset:
    """The prompts of a whole run: prompt i plays scenario i modulo their number.

    A longer run begins with the prompts of a shorter one.
    """
    plans = [
        json.dumps(
            {
                "scenario": scenarios[i % len(scenarios)],
                "seed": derive_seed(seed, SeedStream.GAMES, i),
            }
        )
        for i in range(prompts)
    ]
    return Dataset.from_dict({"prompt": plans})


def plans_of(prompts: Sequence[str], seats: int, first_row: int, group: int) -> list[GamePlan]:
    """The games that a process's prompts stand for.

    Args:
        prompts: one per row; equal within a game.
        seats: rows per game.
        first_row: index of the first prompt in the batch of all processes.
        group: rows per prompt, over all processes.

    Raises:
        ValueError: the prompts do not divide into games.
    """
    if len(prompts) % seats or first_row % seats:
        raise ValueError(
            f"{len(prompts)} rows from row {first_row} do not divide into games of {seats} seats"
        )
    plans = []
    for start in range(0, len(prompts), seats):
        if any(prompt != prompts[start] for prompt in prompts[start : start + seats]):
            raise ValueError("the rows of one game carry different plans")
        plan = json.loads(prompts[start])
        episode = (first_row + start) % group // seats
        plans.append(GamePlan(plan["scenario"], derive_seed(plan["seed"], episode)))
    return plans
