"""Counting the ballots of a vote, exactly.

Voter i may name each candidate but itself, so the ballots in which candidate j gets
c_j votes are the coefficient of Π x_j^{c_j} in Π_i (S − x_i), where S = Σ x_j, and
x_i = 0 for voters who are no candidates. Expanded (inclusion–exclusion over a set K of
candidates who vote for themselves)::

    Π_i (S − x_i) = Σ_K (−1)^|K| · Π_{i∈K} x_i · S^(voters−|K|)

In S^f, f free votes, a candidate with c votes has the exponential weight u^c/c!; one in
K has one vote of its own and c−1 free ones, −u^c/(c−1)!. With y marking K they sum to
(1 − c·y)·u^c/c!, and the whole count is the coefficient of u^voters in the product over
the candidates, y^k read as the (voters−k)! orders of the free votes. Where voters may
abstain the factor is 1 + S − x_i: with b votes cast, y^k reads (voters−k)!/(voters−b)!.
A candidate who is no voter, or may name itself, has y = 0.

Voters may be of several classes, whose votes weigh differently. Each class has a u and
a y of its own: whatever is said of u^c/c! above is said of the product over classes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from math import comb, factorial, perm, prod
from operator import mul, sub
from typing import NamedTuple

from omar_envs.errors import ConfigError

__all__ = ["Score", "ballots", "top_shares"]

Counts = tuple[int, ...]
"""One number for each class of voters; of candidates, one more: who are of no class."""

ZERO = Fraction(0)
_MOST = 32
"""More than the voters of any class, where there are several."""


class Score(NamedTuple):
    """What a candidate may come to: ``low`` to ``high`` votes.

    Attributes:
        weights: for each class of voters, how many votes one of theirs is; where it
            is 0 none of them may name the candidate.
    """

    low: int
    high: int
    weights: Counts = (1,)


Scores = tuple[Score, ...]
"""Alternatives, no two of which can both hold."""


def ballots(
    voters: Counts, groups: Sequence[tuple[Scores, Counts]], *, abstain: bool = False
) -> int:
    """Number of ballots in which the candidates of each group have such scores.

    Args:
        voters: how many vote, of each class.
        groups: scores, and how many candidates; these vote too, if they are of a class,
            but not for themselves.
        abstain: whether naming nobody is one of a voter's choices.

    Raises:
        ConfigError: of several classes one has 32 voters or more.
    """
    if len(voters) > 1 and max(voters) >= _MOST:
        raise ConfigError(f"of several classes each must have less than {_MOST} voters: {voters}")
    standing = sum(sum(candidates) for _, candidates in groups)
    slot = max(192, sum(voters) * (standing.bit_length() + 1) + 2)
    return sum(
        _read(_product(tuple(groups), cast, slot), voters, cast, slot)
        for cast in itertools.product(*(range(0 if abstain else v, v + 1) for v in voters))
    )


def _product(groups: tuple[tuple[Scores, Counts], ...], cast: Counts, slot: int) -> int:
    """The groups' polynomials multiplied: over all ways of splitting the votes among them."""
    (scores, candidates), *others = groups
    if not others:
        return _ways(scores, candidates, cast, slot)
    total = 0
    for got in _up_to(cast):
        if here := _ways(scores, candidates, got, slot):
            left = tuple(map(sub, cast, got))
            total += prod(map(comb, cast, got)) * here * _product(tuple(others), left, slot)
    return total


@cache
def _ways(scores: Scores, candidates: Counts, votes: Counts, slot: int) -> int:
    """votes! · [u^votes] of the product over the candidates, a polynomial in the y.

    Its coefficients are at most (2 · candidates)^votes, so it is kept as its value where
    y is a power of two that they cannot reach: y = 2^slot, and for the next class the
    :data:`_MOST`-th power of that. :func:`_read` takes them apart.
    """
    standing = sum(candidates)
    if not standing:
        return int(not any(votes))
    if len(scores) == 1:
        total_score = sum(map(mul, votes, scores[0].weights))
        if not scores[0].low * standing <= total_score <= scores[0].high * standing:
            return 0
    kind = next(place for place, number in enumerate(candidates) if number)
    fewer = tuple(number - (place == kind) for place, number in enumerate(candidates))
    total = 0
    for got in _up_to(votes):
        if any(_allows(score, got) for score in scores):
            others = _ways(scores, fewer, tuple(map(sub, votes, got)), slot)
            ways = prod(map(comb, votes, got)) * others
            total += ways
            if ways and kind < len(votes):
                total -= (ways * got[kind]) << (slot * _MOST**kind)
    return total


def _up_to(votes: Counts) -> Iterator[Counts]:
    return itertools.product(*(range(number + 1) for number in votes))


def _allows(score: Score, got: Counts) -> bool:
    if not score.low <= sum(map(mul, got, score.weights)) <= score.high:
        return False
    return all(weight or not votes for votes, weight in zip(got, score.weights, strict=True))


def _read(packed: int, voters: Counts, cast: Counts, slot: int) -> int:
    """The count: each power of the y as the orders of the free votes."""
    count = 0
    place = 0
    while packed:
        coefficient = packed & ((1 << slot) - 1)
        if coefficient >> (slot - 1):
            coefficient -= 1 << slot
        packed = (packed - coefficient) >> slot
        if coefficient:
            own = _powers(place, len(voters))
            orders = (perm(v - k, c - k) for v, c, k in zip(voters, cast, own, strict=True))
            count += coefficient * prod(orders)
        place += 1
    return count // prod(map(factorial, cast))


def _powers(place: int, classes: int) -> Counts:
    """Of which powers of the y a slot is the coefficient."""
    if classes == 1:
        return (place,)
    return tuple(place // _MOST**k % _MOST for k in range(classes))


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
    every = (candidates - 1 + abstain) ** own * (candidates + abstain) ** (voters - own)

    def sharing(tied: int) -> int:
        def group(number: int) -> Counts:
            return (0, number) if self_vote else (number, 0)

        return comb(candidates, tied) * sum(
            ballots(
                (voters,),
                (
                    ((Score(top, top),), group(tied)),
                    ((Score(0, top - 1),), group(candidates - tied)),
                ),
                abstain=abstain,
            )
            for top in range(1, voters // tied + 1)
        )

    shares = [Fraction(sharing(tied), every) for tied in range(1, candidates + 1)]
    return (1 - sum(shares, ZERO), *shares)
