"""Werewolf under random play, solved exactly.

When every choice is uniform over the legal ones the game is a Markov chain on
how many players of each kind live. Talk changes nothing, and a villager, seer,
medium, mason or possessed player plays, votes and counts as any other: they are
all *plain* here. Probabilities are :class:`fractions.Fraction`, so an engine can
be held to them without a tolerance of theirs.

**Symmetry.** A random vote treats the living alike, so whoever is voted out is
uniform among them: with w wolves of n living a wolf goes with probability
out(n)·w/n, where out(n) is the probability that the vote puts out anybody
(:func:`vote_out_probability`). Likewise the wolves' victim is uniform among the
others. What is left is to follow the counts.

**Closed recurrences** for the plainest game, every vote putting out somebody and
no special roles: :func:`migdal`, :func:`day_first`, :func:`night_first`.

**All else**: :func:`win_probabilities`, which takes a game's rules::

    win_probabilities(Rules(num_players=8, roles={"werewolf": 2}, vote_tie="none"))
    win_probabilities(werewolf_v0.env(preset="kaggle8").unwrapped.rules)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import comb, factorial, perm
from typing import NamedTuple

from omar_envs.errors import ConfigError
from omar_envs.werewolf.roles import Team
from omar_envs.werewolf.settings import Rules

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


# --- one vote -----------------------------------------------------------------


@cache
def _below(top: int, candidates: int, votes: int) -> tuple[int, ...]:
    """``candidates`` candidates get ``votes`` votes in all, each fewer than ``top``.

    Returns:
        Coefficients, by powers of y, of votes! · [u^votes] (Σ_{c<top} (1−c·y)·u^c/c!)^candidates;
        :func:`_ballots` says what they count.
    """
    if candidates == 0:
        return (1,) if votes == 0 else ()
    total = [0] * (votes + 1)
    for last in range(min(top - 1, votes) + 1):
        ways = comb(votes, last)
        for power, count in enumerate(_below(top, candidates - 1, votes - last)):
            total[power] += ways * count
            if last:
                total[power + 1] -= ways * last * count
    return tuple(total)


def _ballots(voters: int, candidates: int, tied: int, abstain: bool, self_vote: bool) -> int:
    """Number of ballots in which exactly ``tied`` candidates share the most votes, at least one.

    Voter i may name each candidate but itself, so the ballots in which candidate
    j gets c_j votes are the coefficient of Π x_j^{c_j} in Π_i (S − x_i), where
    S = Σ x_j and x_i = 0 for voters who are no candidates. Expanded
    (inclusion–exclusion over a set K of candidates who vote for themselves)::

        Π_i (S − x_i) = Σ_K (−1)^|K| · Π_{i∈K} x_i · S^(voters−|K|)

    In S^f, f free votes, a candidate with c votes has the exponential weight
    u^c/c!; one in K has one vote of its own and c−1 free ones, −u^c/(c−1)!. With
    y marking K they sum to (1 − c·y)·u^c/c!, and the whole count is the
    coefficient of u^voters in the product over the candidates, y^k read as the
    (voters−k)! orders of the free votes. Where voters may abstain the factor is
    1 + S − x_i: with b votes cast, y^k reads (voters−k)!/(voters−b)!. Where they
    may name themselves, or are no candidates, K is empty and y = 0.

    With exactly ``tied`` candidates at the top count t and the rest below it, that
    product is (1−t·y)^tied · (u^t/t!)^tied times the one of :func:`_below`.
    """
    rest = candidates - tied
    count = 0
    for cast in range(tied if abstain else voters, voters + 1):
        most_own = 0 if self_vote else cast
        for top in range(1, cast // tied + 1):
            left = cast - top * tied
            weight = 0
            for own, ways in enumerate(_below(top, rest, left)[: most_own + 1]):
                for own_top in range(min(tied, most_own - own) + 1):
                    orders = perm(voters - own - own_top, cast - own - own_top)
                    weight += ways * comb(tied, own_top) * (-top) ** own_top * orders
            count += weight // (factorial(left) * factorial(top) ** tied)
    return comb(candidates, tied) * count


@cache
def top_shares(
    voters: int, candidates: int, *, abstain: bool = False, self_vote: bool = False
) -> tuple[Fraction, ...]:
    """How many candidates share the most votes of a random vote: exact distribution.

    Args:
        voters: how many vote, at least 1.
        candidates: how many stand. Without ``self_vote`` they are voters too, and
            so 2 to ``voters``; with it, any positive number.
        abstain: whether naming nobody is one of a voter's choices, as likely as each.
        self_vote: whether a candidate who votes may name itself.

    Returns:
        ``candidates + 1`` probabilities that sum to 1. Entry k ≥ 1: exactly k
        candidates share the most votes. Entry 0: no vote was cast.

    Raises:
        ConfigError: a number is out of range.
    """
    low, high = (1, candidates) if self_vote else (2, voters)
    if voters < 1 or not low <= candidates <= high:
        raise ConfigError(
            "a vote needs a voter and, where nobody may name itself, 2 or more candidates "
            f"who are among the voters: got {voters} voters, {candidates} candidates"
        )
    own = candidates if not self_vote else 0
    ballots = (candidates - 1 + abstain) ** own * (candidates + abstain) ** (voters - own)
    shares = [
        Fraction(_ballots(voters, candidates, tied, abstain, self_vote), ballots)
        for tied in range(1, candidates + 1)
    ]
    return (1 - sum(shares, ZERO), *shares)


def vote_out_probability(living: int, rules: Rules) -> Fraction:
    """Probability out(n) that a random vote among the living puts somebody out.

    - A majority: at most one candidate can have more than n/2 votes, and each
      gets a binomial number of them: n · P(B(v, 1/a) > n/2), with v = n − 1 who
      may vote for it, n where they may vote for themselves, and a = v choices of
      each voter, or v + 1 where it may abstain.
    - A plurality whose ties put out nobody: entry 1 of :func:`top_shares`.
    - Ties at random: 1, less the case that all abstain.
    - A revote: the living vote once more, among the k who tied; each k by
      :func:`top_shares`, then one vote on k candidates, whose ties put out one of
      them at random or nobody. Where all abstain, in either vote, nobody is out.

    Args:
        living: voters and candidates, at least 2.
        rules: its settings of the vote and of ties.

    Raises:
        ConfigError: ``vote_rule="majority"`` with ``vote_tie="revote"``, or
            ``living`` is less than 2.
    """
    if living < 2:
        raise ConfigError(f"a vote needs 2 or more of the living: got {living}")
    if rules.vote_rule == "majority":
        return _majority_probability(living, rules)

    def shares(candidates: int) -> tuple[Fraction, ...]:
        return top_shares(
            living, candidates, abstain=rules.allow_abstain, self_vote=rules.allow_self_vote
        )

    if rules.vote_tie == "random":
        choices = living - 1 + rules.allow_self_vote + rules.allow_abstain
        return 1 - Fraction(rules.allow_abstain, choices**living)
    _, winner, *ties = shares(living)
    if rules.vote_tie == "none":
        return winner
    again = [shares(candidates) for candidates in range(2, living + 1)]
    decided = [1 - a[0] if rules.revote_tie == "random" else a[1] for a in again]
    return winner + sum((p * q for p, q in zip(ties, decided, strict=True)), ZERO)


def _majority_probability(living: int, rules: Rules) -> Fraction:
    if rules.vote_tie == "revote":
        raise ConfigError(
            "no exact odds of a runoff: with vote_rule='majority' "
            "take vote_tie='none' or 'random', which are the same there"
        )
    voters = living - 1 + rules.allow_self_vote
    choices = voters + rules.allow_abstain
    enough = sum(
        comb(voters, votes) * (choices - 1) ** (voters - votes)
        for votes in range(living // 2 + 1, voters + 1)
    )
    return Fraction(living * enough, choices**voters)


# --- the chain ----------------------------------------------------------------

WEREWOLF, PLAIN, DOCTOR, HUNTER, JESTER = range(5)
"""Kinds of players, the places in ``_Position.counts``."""

_KIND_OF = {
    "werewolf": WEREWOLF,
    "villager": PLAIN,
    "seer": PLAIN,
    "medium": PLAIN,
    "mason": PLAIN,
    "possessed": PLAIN,
    "doctor": DOCTOR,
    "hunter": HUNTER,
    "jester": JESTER,
}

_UNSOLVED = {
    "witch": "what she may name depends on what the wolves chose and on what she has used up",
    "mayor": "a vote that counts for more breaks the symmetry between the players",
    "idiot": "who lives on without a vote breaks the symmetry between the players",
}


class _Position(NamedTuple):
    """A night or a day about to begin.

    Attributes:
        counts: how many live of each kind.
        by_day: whether it is a day.
        barred: kind of the one, if it lives, whom the doctor may not protect again.
    """

    counts: tuple[int, ...]
    by_day: bool
    barred: int | None = None

    @property
    def living(self) -> int:
        return sum(self.counts)

    def players(self) -> Iterator[tuple[int, bool, int]]:
        """The living in groups of equals: kind, whether it is the barred one, how many."""
        for kind, count in enumerate(self.counts):
            barred = int(kind == self.barred)
            if barred:
                yield kind, True, 1
            if count > barred:
                yield kind, False, count - barred

    def without(self, kind: int, barred: bool) -> _Position:
        """One player less; what a doctor remembers dies with it."""
        counts = tuple(count - (other == kind) for other, count in enumerate(self.counts))
        return _Position(counts, self.by_day, None if barred or kind == DOCTOR else self.barred)


_Spread = dict[_Position | Team, Fraction]
"""Probabilities of positions, and of teams that have won."""


def _add(spread: _Spread, more: _Spread, weight: Fraction) -> None:
    if weight:
        for place, chance in more.items():
            spread[place] = spread.get(place, ZERO) + weight * chance


@dataclass(frozen=True)
class _Chain:
    """The transitions of a game; ``out`` is :func:`vote_out_probability` under its rules."""

    rules: Rules
    out: Callable[[int], Fraction]

    def step(self, position: _Position) -> _Spread:
        """What a night leaves to the day, or a day to the night."""
        following = position._replace(by_day=not position.by_day)
        return self.day(following) if position.by_day else self.night(following)

    def day(self, position: _Position) -> _Spread:
        """Somebody is voted out with probability out(n), each of the n with the same."""
        out = self.out(position.living)
        spread: _Spread = {}
        _add(spread, {position: ONE}, 1 - out)
        for kind, barred, number in position.players():
            share = out * Fraction(number, position.living)
            if kind == JESTER:
                _add(spread, {"jester": ONE}, share)
            else:
                _add(spread, self.death(position, kind, barred), share)
        return spread

    def night(self, position: _Position) -> _Spread:
        """The victim is uniform among those who are no wolves; if ties spare, there may be none."""
        wolves = position.counts[WEREWOLF]
        prey = position.living - wolves
        tie_kills = self.rules.kill_tie == "random"
        strike = ONE if tie_kills else top_shares(wolves, prey, self_vote=True)[1]
        spread: _Spread = {}
        for place, named in self.protections(position).items():
            _add(spread, {place: ONE}, (1 - strike) * named)
        for kind, barred, number in position.players():
            if kind != WEREWOLF:
                _add(spread, self.attack(position, kind, barred), strike * Fraction(number, prey))
        return spread

    def attack(self, position: _Position, kind: int, barred: bool) -> _Spread:
        """The victim dies unless a doctor names it.

        Each of d doctors names it with 1/n; where none may name itself with 1/(n−1),
        and a doctor who is the victim has only the others. So it dies with
        (1 − 1/n)^d and the like. A doctor who may not repeat itself is followed
        by whom it names.
        """
        spread: _Spread = {}
        if self.rules.doctor_repeat_save:
            alone = not self.rules.doctor_self_save
            doctors = position.counts[DOCTOR] - (alone and kind == DOCTOR)
            dies = (1 - Fraction(1, position.living - alone)) ** doctors
            _add(spread, {position: ONE}, 1 - dies)
            _add(spread, self.death(position, kind, barred), dies)
            return spread
        for place, named in self.protections(position).items():
            # Of the players of a kind whom the doctor may name, the victim is one, or none is.
            if place.barred != kind or barred:
                _add(spread, self.death(place, kind, False), named)
                continue
            saved = Fraction(1, self.nameable(position)[kind])
            _add(spread, {place: ONE}, named * saved)
            _add(spread, self.death(place, kind, False), named * (1 - saved))
        return spread

    def nameable(self, position: _Position) -> dict[int, int]:
        """How many of each kind a doctor may name who may not repeat itself."""
        named = {
            kind: number - (kind == DOCTOR and not self.rules.doctor_self_save)
            for kind, barred, number in position.players()
            if not barred
        }
        return {kind: number for kind, number in named.items() if number}

    def protections(self, position: _Position) -> dict[_Position, Fraction]:
        """The position with whom the doctor has named, if that is remembered, before any death."""
        named = {} if self.rules.doctor_repeat_save else self.nameable(position)
        if not position.counts[DOCTOR] or not named:
            return {position._replace(barred=None): ONE}
        total = sum(named.values())
        return {
            position._replace(barred=kind): Fraction(number, total)
            for kind, number in named.items()
        }

    def death(self, position: _Position, kind: int, barred: bool) -> _Spread:
        """One dies; a hunter takes a uniformly random other along, who may be a hunter too.

        Only when all have died is it asked who has won.
        """
        left = position.without(kind, barred)
        if kind != HUNTER or not left.living:
            return {self.settled(left): ONE}
        spread: _Spread = {}
        for other, is_barred, number in left.players():
            _add(spread, self.death(left, other, is_barred), Fraction(number, left.living))
        return spread

    def settled(self, position: _Position) -> _Position | Team:
        """The position, or who has won in it."""
        wolves = position.counts[WEREWOLF]
        others = position.living - wolves
        if wolves == 0:
            return "village"
        if others == 0 or (self.rules.win_rule == "parity" and wolves >= others):
            return "werewolf"
        return position


def _after(chain: _Chain, spread: _Spread, steps: int) -> _Spread:
    """Where the chain is after so many nights and days."""
    step = cache(chain.step)
    for _ in range(steps):
        following: _Spread = {}
        for place, chance in spread.items():
            _add(following, step(place) if isinstance(place, _Position) else {place: ONE}, chance)
        spread = following
    return spread


def _absorbed(chain: _Chain, spread: _Spread) -> _Spread:
    """Where the chain ends, by eliminating its positions, most players first.

    A night and a day without a death lead back to where they began, or to where
    only the doctor's memory differs. To eliminate a position, its row is divided
    by 1 − P(stay), and whatever leads to it leads on to where it leads.
    """
    by_living: dict[int, dict[_Position, _Spread]] = {}
    found = [place for place in spread if isinstance(place, _Position)]
    while found:
        position = found.pop()
        rows = by_living.setdefault(position.living, {})
        if position not in rows:
            rows[position] = chain.step(position)
            found.extend(place for place in rows[position] if isinstance(place, _Position))
    spread = dict(spread)
    for living in sorted(by_living, reverse=True):
        rows = by_living[living]
        for position in list(rows):
            row = rows.pop(position)
            leaves = 1 - row.pop(position, ZERO)
            for other in (spread, *rows.values()):
                if position in other:
                    _add(other, row, other.pop(position) / leaves)
    return spread


# --- the game -----------------------------------------------------------------


def win_probabilities(rules: Rules, *, endless: bool = False) -> Odds:
    """How a game of Werewolf ends when every choice is uniform over the legal ones.

    Follows the chain of the module's docstring through its nights and days. In a
    peaceful first night nothing happens that counts. The hunter's shot falls before
    the living are counted. The jester counts among the others until it is voted out.

    Args:
        rules: the game's. How it is talked, shown and paid makes no difference.
        endless: leave out ``rules.max_days``; ``limit`` is then 0. It is solved, not
            followed day by day, and so much cheaper than a limit of hundreds of
            days: where a day and a night can pass without a death, each adds some
            digits to every fraction. 24 players take seconds, a minute where a
            doctor may not repeat itself beside a hunter, a jester and revotes.

    Raises:
        ConfigError: the game has no exact solution here: a witch, a mayor, an idiot, a
            role that is not of this package, several doctors who may not repeat
            themselves, or a runoff (``vote_rule="majority"`` with ``vote_tie="revote"``).
    """
    # A first day of talk alone counts only as a day: what is left begins by night.
    talk_first = rules.first_phase == "day" and not rules.first_day_vote
    by_day = not rules.first_night_kill or (rules.first_phase == "day" and not talk_first)
    start = _Position(_counts(rules), by_day)
    chain = _Chain(rules, cache(lambda living: vote_out_probability(living, rules)))
    spread: _Spread = {start: ONE}
    steps = 2 * (rules.max_days - talk_first) - by_day
    if not rules.first_day_vote and not talk_first:
        talked = _after(chain, spread, 0 if by_day else 1)
        spread = {_by_night(place): chance for place, chance in talked.items()}
        steps = 2 * (rules.max_days - 1)
    spread = _absorbed(chain, spread) if endless else _after(chain, spread, steps)
    werewolf, village, jester = (spread.pop(team, ZERO) for team in _TEAMS)
    return Odds(werewolf, village, sum(spread.values(), ZERO), jester)


_TEAMS: tuple[Team, ...] = ("werewolf", "village", "jester")


def _by_night(place: _Position | Team) -> _Position | Team:
    return place._replace(by_day=False) if isinstance(place, _Position) else place


def _counts(rules: Rules) -> tuple[int, ...]:
    """How many of each kind are dealt."""
    counts = [0] * (JESTER + 1)
    for role, number in rules.roles.items():
        if number and role not in _KIND_OF:
            why = _UNSOLVED.get(role, "what it does is not known here")
            raise ConfigError(f"no exact odds with the role {role}, for {why}: leave it out")
        if number:
            counts[_KIND_OF[role]] += number
    if counts[DOCTOR] > 1 and not rules.doctor_repeat_save:
        raise ConfigError(
            "no exact odds of doctor_repeat_save=False with several doctors, "
            "for each has a memory of its own: take one doctor"
        )
    return tuple(counts)
