"""Which games an arena plays: every seed with all rotations of teams or seats.

The two teams of a game are rarely equally strong, nor are its seats, nor the seeds. So
each seed is a block of games in which everything but who plays whom stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from omar_envs.errors import ConfigError
from omar_envs.playing import AnyEnv, conversation
from omar_envs.rollout import game_seed

CONTROL = -1
"""The rotation of a control game: the second entrant of the pair in every seat."""

TeamOf = Callable[[str], str]
"""Role to team."""


class Deal(NamedTuple):
    """What a seed deals.

    Attributes:
        block: number of the seed in the run, from 0.
        seed: the ``reset`` seed.
        agents: in seat order.
        teams: team of each agent; empty where the game has no two teams.
    """

    block: int
    seed: int
    agents: tuple[str, ...]
    teams: dict[str, str]


class Plan(NamedTuple):
    """One game to play.

    Attributes:
        deal: the seed and what it deals.
        pair: the two entrants, by number; the first one is A.
        rotation: which one of the seed's, from 0, or :data:`CONTROL`.
        seating: number of the entrant in each seat.
    """

    deal: Deal
    pair: tuple[int, int]
    rotation: int
    seating: tuple[int, ...]

    @property
    def is_control(self) -> bool:
        """Whether B has every seat."""
        return self.rotation == CONTROL

    @property
    def key(self) -> tuple[int, tuple[int, int], int]:
        """Which game of the run it is, however many games there are."""
        return self.deal.block, self.pair, self.rotation

    def policy_seed(self, run_seed: int, entrant: int) -> int:
        """Seed of an entrant's own policy in this game, whatever else is played."""
        key = [run_seed, self.deal.block, *self.pair, self.rotation + 1, entrant]
        return int(np.random.SeedSequence(key).generate_state(1)[0])


def deals(
    make_env: Callable[[], AnyEnv], team_of: TeamOf | None, count: int, seed: int
) -> list[Deal]:
    """What the first seeds of a run deal.

    Args:
        make_env: makes one environment.
        team_of: team of a role; ``None`` for games whose seats are compared.
        count: of seeds.
        seed: of the run.

    Raises:
        ConfigError: ``team_of`` is given, and the game has not exactly two teams.
    """
    game = conversation(make_env())
    agents = tuple(game.possible_agents)
    if team_of is None:
        return [Deal(block, game_seed(seed, block), agents, {}) for block in range(count)]
    found = []
    for block in range(count):
        game.reset(seed=game_seed(seed, block))
        teams = {agent: _team(game.view(agent).role, team_of) for agent in agents}
        if len(set(teams.values())) != 2:
            raise ConfigError(
                f"the arena needs a game of exactly two teams; got {sorted(set(teams.values()))}"
            )
        found.append(Deal(block, game_seed(seed, block), agents, teams))
    return found


def has_two_teams(make_env: Callable[[], AnyEnv], team_of: TeamOf) -> bool:
    """Whether every agent of the game has a role, and the roles make two teams."""
    game = conversation(make_env())
    game.reset(seed=0)
    roles = [game.view(agent).role for agent in game.possible_agents]
    return None not in roles and len({team_of(role) for role in roles if role is not None}) == 2


def rotations(seats: int) -> list[tuple[bool, ...]]:
    """Who is A, seat by seat, in each game of a seed.

    A and B alternate, and then change places; where the seats are odd in number, and one
    of the two has one more, the pattern also moves on by a seat until it is back. Each
    of the two has each seat equally often.

    Args:
        seats: at least 2.

    Raises:
        ConfigError: there are fewer.
    """
    if seats < 2:
        raise ConfigError(f"the arena needs a game of at least two seats: got {seats}")
    pattern = [seat % 2 == 0 for seat in range(seats)]
    found = []
    for shift in range(seats if seats % 2 else 1):
        moved = tuple(pattern[(seat - shift) % seats] for seat in range(seats))
        found += [moved, tuple(not is_a for is_a in moved)]
    return found


def games_per_seed(make_env: Callable[[], AnyEnv], *, teams: bool) -> int:
    """How many games of one pair a seed gives."""
    return 2 if teams else len(rotations(len(conversation(make_env()).possible_agents)))


def check_games(games: int, per_seed: int) -> None:
    """Whether so many games are whole blocks.

    Raises:
        ConfigError: they are not.
    """
    if games >= per_seed and games % per_seed == 0:
        return
    if per_seed == 2:
        raise ConfigError(f"games must be even and positive, as each seed gives two: got {games}")
    raise ConfigError(
        f"games must be a multiple of {per_seed}, since each seed is played {per_seed} times "
        f"for the seats to go round: got {games}; take "
        f"{max(1, round(games / per_seed)) * per_seed}"
    )


def plans(dealt: Sequence[Deal], entrants: int, *, control: bool) -> list[Plan]:
    """All games, seed by seed: a run of more seeds begins with the games of a shorter one.

    Args:
        dealt: of :func:`deals`.
        entrants: how many; every two of them meet.
        control: whether the second of each pair also plays alone, once per seed.
    """
    found = []
    for deal in dealt:
        for pair in combinations(range(entrants), 2):
            found += [
                Plan(deal, pair, number, tuple(pair[0] if is_a else pair[1] for is_a in sides))
                for number, sides in enumerate(_sides(deal))
            ]
            if control:
                found.append(Plan(deal, pair, CONTROL, (pair[1],) * len(deal.agents)))
    return found


def _sides(deal: Deal) -> list[tuple[bool, ...]]:
    if not deal.teams:
        return rotations(len(deal.agents))
    return [
        tuple(deal.teams[agent] == team for agent in deal.agents)
        for team in sorted(set(deal.teams.values()))
    ]


def _team(role: str | None, team_of: TeamOf) -> str:
    if role is None:
        raise ConfigError(
            "this compares two teams, and here not every agent has a role: take a game of two "
            "teams, or omar_envs.arena.evaluate, which compares rewards where there are none"
        )
    return team_of(role)
