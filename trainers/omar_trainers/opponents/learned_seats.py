"""Which seats are learned from, where the settings name roles or teams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelerate.utils import gather_object

from omar_envs.errors import ConfigError
from omar_envs.types import Episode
from omar_trainers.config import OMARConfig
from omar_trainers.game_plans import GamePlan, Lineup, SeatKind
from omar_trainers.seat_rows import RowFacts, facts_of

DEALS = 16
"""Deals of each scenario that are looked at to learn which roles there are."""


@dataclass(frozen=True)
class LearnedSeats:
    """Tells whether a row is learned from.

    Attributes:
        roles, teams: those that are; None takes all. A row must be in both.
    """

    roles: frozenset[str] | None
    teams: frozenset[str] | None

    def __call__(self, facts: RowFacts) -> bool:
        return (self.roles is None or facts.role in self.roles) and (
            self.teams is None or facts.team in self.teams
        )


def learned_seats(args: OMARConfig, lineup: Lineup | None) -> LearnedSeats | None:
    """What the settings say; None where all rows are learned from.

    Args:
        args: ``learn_roles`` and ``learn_teams``.
        lineup: who plays in a game; None if nobody knows before it is played.

    Raises:
        ConfigError: a name that no game has, or no seat has both.
    """
    if args.learn_roles is None and args.learn_teams is None:
        return None
    learns = LearnedSeats(_named(args.learn_roles), _named(args.learn_teams))
    if lineup is not None:
        _check(learns, _dealt(args.load_scenarios(), lineup))
    return learns


def check_some_meant(learns: LearnedSeats, episodes: Sequence[Episode]) -> None:
    """Stop a run whose settings no seat of its first games fits, before anything is learned.

    For games of which nobody knew before who plays in them. Call it in every process;
    each sees the games of all.

    Raises:
        ConfigError: on all processes.
    """
    mine = {facts[:3] for episode in episodes for facts in facts_of(episode)}
    seen = {RowFacts(*facts, 0.0) for part in gather_object([sorted(mine)]) for facts in part}
    if not any(learns(facts) for facts in seen):
        raise ConfigError(
            f"learn_roles {learns.roles and sorted(learns.roles)} and learn_teams "
            f"{learns.teams and sorted(learns.teams)} leave no row to learn from: the first games "
            "have the roles (and teams) "
            + ", ".join(sorted({f"{facts.role} ({facts.team})" for facts in seen}))
        )


def learned_agents(
    learns: Callable[[RowFacts], bool] | None, seats: Mapping[str, SeatKind]
) -> set[str]:
    """The agents of a game whose rows are learned from.

    Args:
        learns: tells it of a row; None takes all.
        seats: who will play in the game.
    """
    return {facts.agent for facts in _facts_before(seats) if learns is None or learns(facts)}


def _facts_before(seats: Mapping[str, SeatKind]) -> Iterator[RowFacts]:
    """What is known of a game's seats before it is played."""
    for agent, kind in seats.items():
        role = kind.role or agent
        yield RowFacts(agent, role, kind.team or role, 0.0)


def _dealt(scenarios: Sequence[dict[str, Any]], lineup: Lineup) -> Iterator[RowFacts]:
    for scenario in scenarios:
        for seed in range(DEALS):
            yield from _facts_before(lineup(GamePlan(scenario, seed)))


def _check(learns: LearnedSeats, dealt: Iterable[RowFacts]) -> None:
    """Look at deals until each name was dealt once, and one seat is learned from."""
    roles: set[str] = set()
    teams: set[str] = set()
    learned = False
    for facts in dealt:
        roles.add(facts.role)
        teams.add(facts.team)
        learned = learned or learns(facts)
        if learned and (learns.roles or roles) <= roles and (learns.teams or teams) <= teams:
            return
    for setting, wanted, there in (
        ("learn_roles", learns.roles, roles),
        ("learn_teams", learns.teams, teams),
    ):
        missing = sorted((wanted or frozenset()) - there)
        if missing:
            raise ConfigError(
                f"{setting} names {', '.join(missing)}, which no game has: they have "
                f"{', '.join(sorted(there))}"
            )
    raise ConfigError("no role in learn_roles is on a team in learn_teams: nothing is learned")


def _named(names: Sequence[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)
