"""Werewolf under random play, solved exactly.

When every choice is uniform over the legal ones the game is a Markov chain on
how many players of each kind live. Talk changes nothing, and a villager, seer,
medium, mason or possessed player plays, votes and counts as any other. Probabilities
are :class:`fractions.Fraction`, so an engine can be held to them without a tolerance
of theirs.

**Symmetry.** A random vote treats alike all who may do the same in it, so whoever is
voted out is uniform among them: where nobody has a vote of more or less weight, with
w wolves of n living a wolf goes with probability out(n)·w/n, where out(n) is the
probability that the vote puts out anybody (:func:`vote_out_probability`; mayors, and
idiots without a vote, are counted apart: :mod:`omar_envs.werewolf.vote_odds`). Likewise
the wolves' victim is uniform among the others, and a witch's choice over what she is
offered. What is left is to follow the counts: :mod:`omar_envs.werewolf.chain`.

**Closed recurrences** for the plainest game, every vote putting out somebody and
no special roles: :func:`migdal`, :func:`day_first`, :func:`night_first`.

**All else**, every rule and every role of ``werewolf_v0``: :func:`win_probabilities`,
which takes a game's rules::

    win_probabilities(Rules(num_players=8, roles={"werewolf": 2}, vote_tie="none"))
    win_probabilities(werewolf_v0.env(preset="witch9").unwrapped.rules)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from omar_envs.errors import ConfigError
from omar_envs.werewolf.ballots import top_shares
from omar_envs.werewolf.chain import Chain, Place, Position, Spread, absorbed, after, dealt
from omar_envs.werewolf.roles import Team
from omar_envs.werewolf.settings import Rules
from omar_envs.werewolf.vote_odds import elected, vote_out_probability

__all__ = [
    "Odds",
    "day_first",
    "migdal",
    "night_first",
    "top_shares",
    "vote_out_probability",
    "win_probabilities",
]

ZERO = Fraction(0)
ONE = Fraction(1)


class Odds(NamedTuple):
    """Probabilities of how a game ends; they sum to 1.

    Attributes:
        werewolf: the wolves win.
        village: the village wins.
        limit: ``max_days`` days pass without a winner.
        jester: a jester is voted out.
    """

    werewolf: Fraction
    village: Fraction
    limit: Fraction = ZERO
    jester: Fraction = ZERO


# --- the plainest game --------------------------------------------------------


def migdal(n: int, m: int) -> Fraction:
    """Wolf-win probability by day, the wolves winning only once nobody else lives.

    The day takes a wolf with m/n, the night one of the others::

        w(n, m) = m/n · w(n−2, m−1) + (n−m)/n · w(n−2, m),   w(·, 0) = 0,   w(n, m≥n) = 1

    Where the day takes the last of the others, n − 1 = m, nobody is left for the
    night to take; w(n−2, m) with n − 2 < m is 1 all the same.
    P. Migdal, "A mathematical model of the Mafia game", arXiv 1009.1031.

    Args:
        n: players living as a day begins, at least 0.
        m: wolves among them, at least 0.

    Raises:
        ConfigError: one of them is no integer, or negative.
    """
    return _two_by_two(n, m, lambda living, wolves: wolves >= living)


def day_first(n: int, m: int) -> Fraction:
    """Wolf-win probability D(n, m) by day, the wolves winning at half of the living (parity).

    As :func:`migdal`, but the game may also end between the vote and the night::

        D(n, m) = m/n · N(n−1, m−1) + (n−m)/n · N(n−1, m),   D(·, 0) = 0,   D(n, m≥n/2) = 1

    Args:
        n: players living as a day begins, at least 0.
        m: wolves among them, at least 0.

    Raises:
        ConfigError: one of them is no integer, or negative.
    """
    return _two_by_two(n, m, lambda living, wolves: 2 * wolves >= living)


def night_first(n: int, m: int) -> Fraction:
    """Wolf-win probability N(n, m) by night under parity: the night takes one of the others.

    N(n, m) = D(n−1, m), also where the wolves have won before the night.

    Args:
        n: players living as a night begins, at least 0.
        m: wolves among them, at least 0.

    Raises:
        ConfigError: one of them is no integer, or negative.
    """
    _check_counts(n, m)
    return day_first(max(n - 1, 0), m)


def _two_by_two(n: int, m: int, won: Callable[[int, int], bool]) -> Fraction:
    """v(n, m) = m/n · v(n−2, m−1) + (n−m)/n · v(n−2, m), v(·, 0) = 0, and 1 where ``won``."""
    _check_counts(n, m)
    row: list[Fraction] = []
    for living in range(n % 2, n + 1, 2):
        row = [ZERO] + [
            ONE
            if won(living, wolves)
            else Fraction(wolves, living) * row[wolves - 1]
            + Fraction(living - wolves, living) * row[wolves]
            for wolves in range(1, m + 1)
        ]
    return row[m]


def _check_counts(n: int, m: int) -> None:
    for name, count in (("n", n), ("m", m)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ConfigError(f"{name} must be an integer, at least 0: got {count!r}")


# --- the game -----------------------------------------------------------------

_MOST_DOCTORS = 2
"""With a memory: each more multiplies the positions by those whom it may have named."""

_PLAIN = ("villager", "seer", "medium", "mason", "possessed")
_OTHERS = ("werewolf", "doctor", "witch", "hunter", "jester", "mayor", "idiot")
_KIND_OF = dict.fromkeys(_PLAIN, "plain") | {role: role for role in _OTHERS}


def win_probabilities(rules: Rules, *, endless: bool = False) -> Odds:
    """How a game of Werewolf ends when every choice is uniform over the legal ones.

    Follows the chain through its nights and days. In a peaceful first night nothing
    happens that counts. The jester counts among the others until it is voted out.

    Args:
        rules: the game's. How it is talked, shown and paid makes no difference, nor
            whether votes are sealed.
        endless: leave out ``rules.max_days``; ``limit`` is then 0. It is solved, not
            followed day by day, and so much cheaper than a limit of hundreds of
            days: where a day and a night can pass without a death, each adds some
            digits to every fraction. Most games are solved within a second, those of
            24 players too; a minute is needed for 24 with four or five special
            roles, or with a doctor who may not repeat itself beside others, and
            more where several mayors vote again and again.

    Raises:
        ConfigError: the game has no exact solution here: a role that is not of this
            package, or more than two doctors who may not repeat themselves.
    """
    # A first day of talk alone counts only as a day: what is left begins by night.
    talk_first = rules.first_phase == "day" and not rules.first_day_vote
    by_day = not rules.first_night_kill or (rules.first_phase == "day" and not talk_first)
    start = Position(dealt(_kinds(rules), rules), by_day)
    chain = Chain(rules, cache(lambda living: elected(living, rules)))
    spread: Spread = {start: ONE}
    steps = 2 * (rules.max_days - talk_first) - by_day
    if not rules.first_day_vote and not talk_first:
        talked = after(chain, spread, 0 if by_day else 1)
        spread = {_by_night(place): chance for place, chance in talked.items()}
        steps = 2 * (rules.max_days - 1)
    spread = absorbed(chain, spread) if endless else after(chain, spread, steps)
    werewolf, village, jester = (spread.pop(team, ZERO) for team in _TEAMS)
    return Odds(werewolf, village, sum(spread.values(), ZERO), jester)


_TEAMS: tuple[Team, ...] = ("werewolf", "village", "jester")


def _by_night(place: Place) -> Place:
    return place._replace(by_day=False) if isinstance(place, Position) else place


def _kinds(rules: Rules) -> dict[str, int]:
    """How many of each kind of card are dealt."""
    kinds: Counter[str] = Counter()
    for role, number in rules.roles.items():
        if number and role not in _KIND_OF:
            raise ConfigError(
                f"no exact odds with the role {role}, for what it does is not known here: "
                "leave it out"
            )
        if number:
            kinds[_KIND_OF[role]] += number
    if rules.vote_rule == "majority" and rules.mayor_vote == "tiebreak":
        kinds["plain"] += kinds.pop("mayor", 0)  # a majority has no ties to break
    if kinds["doctor"] > _MOST_DOCTORS and not rules.doctor_repeat_save:
        raise ConfigError(
            f"no exact odds of doctor_repeat_save=False with {kinds['doctor']} doctors, "
            f"for each has a memory of its own: take {_MOST_DOCTORS} at most"
        )
    return dict(kinds)
