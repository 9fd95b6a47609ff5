"""Planned games to episodes, on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from omar_envs.arena.entrants import Contestant
from omar_envs.arena.schedule import Plan
from omar_envs.chat_policy import ChatPolicy
from omar_envs.metering import Usage
from omar_envs.playing import AnyEnv, play_games
from omar_envs.policy import Policy
from omar_envs.types import Episode

OnEnd = Callable[[int, Episode], None]
"""Told a plan's number, and its finished game."""


class Job(NamedTuple):
    """What all games of a run have in common.

    Attributes:
        make_env: makes one environment.
        entrants: who plays, by number.
        seed: of the run.
        batch: at most this many games live at once.
    """

    make_env: Callable[[], AnyEnv]
    entrants: tuple[Contestant, ...]
    seed: int
    batch: int = 256


class Players:
    """The policies of a job's entrants: one for all games, or one for each.

    Args:
        job: whose entrants. Policies for all games are made here, so that what is wrong
            with them shows before a game is played.

    Raises:
        OmarError: a policy cannot be made.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._shared: dict[int, Policy] = {
            number: entrant.make(job.seed + number)
            for number, entrant in enumerate(job.entrants)
            if not entrant.per_game
        }
        for entrant in job.entrants:
            if entrant.per_game:
                entrant.make(job.seed)
        self._own: dict[tuple[object, int], Policy] = {}

    def policy(self, plan: Plan, entrant: int) -> Policy:
        """Of an entrant in a game."""
        if entrant in self._shared:
            return self._shared[entrant]
        key = (plan.key, entrant)
        if key not in self._own:
            self._own[key] = self._job.entrants[entrant].make(
                plan.policy_seed(self._job.seed, entrant)
            )
        return self._own[key]

    def end(self, plan: Plan) -> None:
        """A game has ended: its own policies are needed no more."""
        for entrant in set(plan.seating):
            self._own.pop((plan.key, entrant), None)

    @property
    def usage(self) -> dict[str, Usage]:
        """What the endpoints among them were asked so far."""
        return {
            self._job.entrants[number].name: policy.usage
            for number, policy in self._shared.items()
            if isinstance(policy, ChatPolicy)
        }

    def close(self) -> None:
        """Close the connections."""
        for policy in self._shared.values():
            if isinstance(policy, ChatPolicy):
                policy.close()


def play_plans(job: Job, plans: Mapping[int, Plan], players: Players, on_end: OnEnd) -> None:
    """Play games, many at once, and hand out each as it ends.

    Args:
        job: what they have in common.
        plans: by number.
        players: of the same job.
        on_end: told each finished game, whose seats name the entrants.

    Raises:
        OmarError: a policy failed. What ended before was handed out.
    """
    if not plans:
        return
    numbers = list(plans)
    seats: Sequence[Plan] = [plans[number] for number in numbers]
    places = {agent: seat for seat, agent in enumerate(seats[0].deal.agents)}

    def policy_for(game: int, agent: str) -> Policy:
        return players.policy(seats[game], seats[game].seating[places[agent]])

    def ended(game: int, episode: Episode) -> None:
        on_end(numbers[game], named(episode, seats[game], job.entrants))
        players.end(seats[game])

    play_games(
        [job.make_env() for _ in range(min(job.batch, len(seats)))],
        [plan.deal.seed for plan in seats],
        policy_for,
        on_end=ended,
    )


def named(episode: Episode, plan: Plan, entrants: Sequence[Contestant]) -> Episode:
    """The episode with the entrants' names in its seats."""
    return msgspec.structs.replace(
        episode,
        seats=tuple(
            msgspec.structs.replace(seat, policy=entrants[number].name)
            for seat, number in zip(episode.seats, plan.seating, strict=True)
        ),
    )
