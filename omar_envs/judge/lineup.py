"""One judgement of one episode: in which order its participants stand, under which names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from omar_envs.judge.prompt import keys_for, record
from omar_envs.types import Episode, Turn


class Lineup:
    """One judgement's order of participants, their keys, and the record in that order.

    The order is drawn from the seed and the record, so that a rerun asks the same. Each
    further sample moves everybody on by one place: nobody is always first.

    Args:
        episode: whose participants.
        seed: of the order, and of what is sent; ``None`` sends none.
        sample: which of several judgements of the episode, from 0.

    Attributes:
        agents: agent ids in order.
        keys: the neutral key of each.
        document: the record, for the user message.
        fields: of the request's body, for this judgement alone.

    Raises:
        ValueError: there is nobody to judge, the episode's setting is damaged, or it
            could not stand in a file of episodes.
    """

    def __init__(self, episode: Episode, seed: int | None, sample: int) -> None:
        seats = [seat.agent for seat in episode.seats]
        if not seats:
            raise ValueError("it has no seats")
        try:
            as_seated = json.dumps([seed, record(episode, seats)], sort_keys=True, allow_nan=False)
        except KeyError as error:
            raise ValueError(f"{error} sent or heard a message, and has no seat") from None
        except (TypeError, RecursionError) as error:
            raise ValueError(f"it cannot be written as JSON: {error}") from None
        drawn = hashlib.sha256(as_seated.encode()).digest()
        order = np.random.default_rng(list(drawn)).permutation(len(seats))
        self.agents = [seats[place] for place in np.roll(order, sample)]
        self.episode = episode
        self.sample = sample
        self.keys = keys_for(self.agents)
        self.document = record(episode, self.agents)
        number = int.from_bytes(drawn[:4]) + sample
        # Some servers keep it in a signed integer.
        self.fields = {} if seed is None else {"seed": number % 2**31}


class Act(NamedTuple):
    """One act, and which of the episode's messages it became; ``None`` for silence."""

    turn: Turn
    entry: int | None


def acts_of(episode: Episode, agent: str) -> dict[str, Act]:
    """The agent's acts in order, by the keys under which they are asked about."""
    entries = {
        message.turn: number
        for number, message in enumerate(episode.messages)
        if message.sender == agent
    }
    return {
        f"act_{number}": Act(turn, entries.get(turn.turn))
        for number, turn in enumerate(episode.turns_of(agent), start=1)
    }


def read_acts(episode: Episode, agent: str, wanted: Callable[[Turn], bool]) -> dict[str, int]:
    """The messages of those acts that are ``wanted`` and neither silent nor unreadable."""
    return {
        key: entry
        for key, (turn, entry) in acts_of(episode, agent).items()
        if entry is not None and turn.valid and wanted(turn)
    }
