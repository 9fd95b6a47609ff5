"""Which seats of recorded games are worth learning from: of every n, the best.

A seat is compared only with seats of its own kind, so that nobody is kept for having
been dealt the easier side: with the same agent in other episodes of the same deal
(environment, settings and seed) if there are any; else with the same role (or agent,
where the game has no roles) in other deals with the same settings; else, where every
episode has settings of its own, as scenarios drawn from a set have, with the same
role in the others.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

from omar_envs.errors import ConfigError
from omar_envs.types import Episode, Seat

Balance = Literal["none", "role", "team"]


class Candidate(NamedTuple):
    """One seat of one episode.

    Attributes:
        episode: its number among those given, from 0.
        agent: agent id.
        role: its role, or its agent id where the game has none.
        team: its team, or its role where the game has no teams.
        episode_return: everything the seat was paid.
    """

    episode: int
    agent: str
    role: str
    team: str
    episode_return: float


class Selection(NamedTuple):
    """What was kept, and what became of the rest.

    Attributes:
        kept: in the order of the episodes and their seats.
        seats: all there were.
        unscored: seats with a reward component that could not be determined.
        below_minimum: seats that were paid less than ``min_return``.
        beaten: seats whose like did better, or as well and earlier.
        unbalanced: best ones that were left out to keep the balance.
    """

    kept: tuple[Candidate, ...]
    seats: int
    unscored: int
    below_minimum: int
    beaten: int
    unbalanced: int


def best_of(
    episodes: Sequence[Episode],
    n: int,
    *,
    min_return: float | None = None,
    balance: Balance = "role",
) -> Selection:
    """Keep, of every ``n`` seats that can be compared, the one with the highest return.

    Of equal ones the earliest is kept. Where the number of comparable seats is no
    multiple of ``n``, the last one is the best of as many more than ``n`` as are left
    over; of fewer than ``n`` the best is kept.

    Args:
        episodes: in any order, of any games.
        n: at least 1, which keeps every seat that is scored and good enough.
        min_return: the least that a kept seat was paid; None sets no limit.
        balance: keep as large a share of every ``role``, or ``team``, as of the one
            of which the smallest share is left; the worst of the others go first.
            ``none`` lets one side outnumber the others as it may.

    Raises:
        ConfigError: ``n`` is below 1, nothing is left, or nothing of one side.
    """
    if n < 1:
        raise ConfigError(f"best_of must be at least 1, not {n}")
    seats = [(i, episode, seat) for i, episode in enumerate(episodes) for seat in episode.seats]
    scored = [
        (episode, _candidate(i, episode, seat))
        for i, episode, seat in seats
        if None not in episode.rewards[seat.agent].values()
    ]
    best = [max(chunk, key=_value) for pool in _pools(scored) for chunk in _chunks(pool, n)]
    good = [c for c in best if min_return is None or c.episode_return >= min_return]
    if not good:
        raise ConfigError(_why_empty(len(seats), len(scored), best, min_return))
    kept = good if balance == "none" else _balanced(good, [c for _, c in scored], balance)
    return Selection(
        kept=tuple(sorted(kept, key=lambda c: (c.episode, c.agent))),
        seats=len(seats),
        unscored=len(seats) - len(scored),
        below_minimum=len(best) - len(good),
        beaten=len(scored) - len(best),
        unbalanced=len(good) - len(kept),
    )


def _candidate(number: int, episode: Episode, seat: Seat) -> Candidate:
    role = seat.role or seat.agent
    return Candidate(
        number,
        seat.agent,
        role,
        episode.outcome.get("teams", {}).get(seat.agent, role),
        episode.total_reward(seat.agent),
    )


def _value(candidate: Candidate) -> float:
    return candidate.episode_return


def _pools(scored: Sequence[tuple[Episode, Candidate]]) -> list[list[Candidate]]:
    """Seats that can be compared, each pool in the order of the episodes."""
    deals: dict[str, list[Candidate]] = defaultdict(list)
    games: dict[str, list[Candidate]] = defaultdict(list)
    environments: dict[str, list[Candidate]] = defaultdict(list)
    names = [_names(episode, candidate) for episode, candidate in scored]
    for (deal, _, _), (_, candidate) in zip(names, scored, strict=True):
        deals[deal].append(candidate)
    for (deal, game, _), (_, candidate) in zip(names, scored, strict=True):
        if len(deals[deal]) == 1:
            games[game].append(candidate)
    for (deal, game, environment), (_, candidate) in zip(names, scored, strict=True):
        if len(deals[deal]) == 1 and len(games[game]) == 1:
            environments[environment].append(candidate)
    several = [pool for kind in (deals, games) for pool in kind.values() if len(pool) > 1]
    return several + list(environments.values())


class _Names(NamedTuple):
    """What a seat has in common with others: a deal, a game, an environment."""

    deal: str
    game: str
    environment: str


def _names(episode: Episode, candidate: Candidate) -> _Names:
    game = f"{episode.env} {json.dumps(episode.config, sort_keys=True)}"
    return _Names(
        f"{candidate.agent} {episode.seed} {game}",
        f"{candidate.role} {game}",
        f"{candidate.role} {episode.env}",
    )


def _chunks(pool: list[Candidate], n: int) -> list[list[Candidate]]:
    """The pool in groups of ``n``, those left over in the last one."""
    starts = range(0, max(1, len(pool) // n) * n, n)
    chunks = [pool[start : start + n] for start in starts]
    chunks[-1] += pool[starts[-1] + n :]
    return chunks


def _balanced(
    good: list[Candidate], scored: list[Candidate], balance: Literal["role", "team"]
) -> list[Candidate]:
    def side(candidate: Candidate) -> str:
        return candidate.role if balance == "role" else candidate.team

    played, left = Counter(map(side, scored)), Counter(map(side, good))
    missing = sorted(played.keys() - left.keys())
    if missing:
        raise ConfigError(
            f"no seat of {balance} {', '.join(missing)} is good enough to keep, so nothing can be "
            "kept in balance: lower min_return, give more episodes, or set balance to none"
        )
    share = min(left[each] / played[each] for each in played)
    kept: list[Candidate] = []
    for each in played:
        mine = sorted((c for c in good if side(c) == each), key=_value, reverse=True)
        kept += mine[: max(1, round(share * played[each]))]
    return kept


def _why_empty(seats: int, scored: int, best: list[Candidate], min_return: float | None) -> str:
    if not seats:
        return "there is no episode to learn from"
    if not scored:
        return (
            f"none of the {seats} seats is scored in full (a reward is missing, as after a failed "
            "judgement): judge the episodes first"
        )
    highest = max(map(_value, best))
    return (
        f"none of the {scored} scored seats was paid min_return {min_return:g}; the best was paid "
        f"{highest:g}: lower min_return"
    )
