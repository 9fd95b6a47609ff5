"""Whom a random vote puts out, under every rule of the vote, exactly.

Every voter names one of those it may name, or abstains where it may, each with the
same probability; whether ballots are sealed makes no difference. Candidates differ only
in what a count of the votes can see: an ordinary voter, who may not name itself; a
mayor; an idiot who was shown and has no vote. Players of one sort are alike, so a vote
is described by how many there are of each (:class:`Roll`), and so is what comes of it:
how likely one of each sort goes (:class:`Shares`). The counting itself is in
:mod:`omar_envs.werewolf.ballots`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import comb, prod
from typing import NamedTuple

from omar_envs.errors import ConfigError
from omar_envs.werewolf.ballots import Counts, Score, Scores, ballots
from omar_envs.werewolf.settings import Rules

__all__ = ["Roll", "Shares", "elected", "vote_out_probability"]

ZERO = Fraction(0)
ONE = Fraction(1)


class Roll(NamedTuple):
    """How many there are of each sort.

    Attributes:
        ordinary: have one vote.
        mayors: have a vote that counts double or breaks ties.
        mute: have none, and may be named like all others: idiots who were shown.
    """

    ordinary: int
    mayors: int = 0
    mute: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)

    def less(self, other: Roll) -> Roll:
        """Who are left without ``other``."""
        return Roll(*(most - some for most, some in zip(self, other, strict=True)))

    def subsets(self) -> Iterator[Roll]:
        """Every number of each sort that can be taken from it."""
        return itertools.starmap(Roll, itertools.product(*(range(most + 1) for most in self)))


_ONE_OF = (Roll(1), Roll(0, 1), Roll(0, 0, 1))


class Shares(NamedTuple):
    """Probabilities that one of each sort is voted out."""

    ordinary: Fraction = ZERO
    mayors: Fraction = ZERO
    mute: Fraction = ZERO

    def plus(self, other: Shares, weight: Fraction = ONE) -> Shares:
        """``weight`` of the other added."""
        return Shares(*(mine + weight * more for mine, more in zip(self, other, strict=True)))


def elected(living: Roll, rules: Rules) -> Shares:
    """Who is voted out when the living vote once, and once more where ``rules`` say so.

    Args:
        living: voters and candidates, 2 or more, one of them a voter.
        rules: its settings of the vote, of ties and of the mayor.

    Raises:
        ConfigError: fewer than 2 live, or nobody of them votes.
    """
    if living.total < 2 or living.ordinary + living.mayors < 1:
        raise ConfigError(f"a vote needs 2 or more of the living, and a voter: got {living}")
    vote = _Vote(living, living, rules)
    if rules.vote_rule == "majority":
        out = vote.over_half()
        if rules.vote_tie == "revote":
            for among, chance in vote.two_most().items():
                out = out.plus(_Vote(living, among, rules).over_half(), chance)
    elif rules.vote_tie == "revote":
        out = vote.settled("none")
        for among, chance in vote.ties().items():
            out = out.plus(_Vote(living, among, rules).settled(rules.revote_tie), chance)
    else:
        out = vote.settled(rules.vote_tie)
    return out


def vote_out_probability(living: int, rules: Rules) -> Fraction:
    """Probability out(n) that a random vote among n ordinary voters puts somebody out.

    - A majority: somebody has more than half of the votes there are.
    - A plurality whose ties put out nobody: somebody has more than each other.
    - Ties at random: 1, less the case that all abstain.
    - A revote: the living vote once more, among those who tied, or under a majority
      among the two most named and whoever shares the second place. Where all abstain
      nobody is out; nor, under a majority, where only one was named.

    Args:
        living: voters and candidates, at least 2.
        rules: its settings of the vote and of ties.

    Raises:
        ConfigError: ``living`` is less than 2.
    """
    return sum(elected(Roll(living), rules), ZERO)


@dataclass(frozen=True)
class _Vote:
    """One vote of the living on some of them.

    Attributes:
        living: who may vote, but for the mute.
        candidates: who may be named.
        rules: the game's.
    """

    living: Roll
    candidates: Roll
    rules: Rules

    @cached_property
    def voters(self) -> Counts:
        """Of each class: the ordinary, and mayors if there are any."""
        return self.living[:2] if self.living.mayors else self.living[:1]

    @cached_property
    def weights(self) -> Counts:
        """What a vote of each class counts."""
        mayor = 2 if self.rules.mayor_vote == "double" else 1
        return (1, mayor)[: len(self.voters)]

    @cached_property
    def votes(self) -> int:
        """All that there are, cast or not."""
        return sum(
            number * weight for number, weight in zip(self.voters, self.weights, strict=True)
        )

    @cached_property
    def every(self) -> int:
        """Number of ballots."""
        choices = self.candidates.total + self.rules.allow_abstain
        own = 0 if self.rules.allow_self_vote else self.candidates.total - self.candidates.mute
        return prod([choices - 1] * own + [choices] * (sum(self.voters) - own))

    @cached_property
    def silence(self) -> Fraction:
        """Probability that all abstain."""
        return Fraction(self.rules.allow_abstain, self.every)

    @cached_property
    def breaks_ties(self) -> bool:
        """Whether mayors decide between the tied."""
        return self.rules.mayor_vote == "tiebreak" and self.living.mayors > 0

    # --- what comes of it ---------------------------------------------------------

    def over_half(self) -> Shares:
        """Who has more than half of the votes there are, cast or not."""
        enough = self._scores(self.votes // 2 + 1, self.votes)
        any_other = self._scores(0, self.votes)
        return Shares(*(self._chance(any_other, (enough, one)) for one in _ONE_OF))

    def settled(self, tie: str) -> Shares:
        """Who goes, where a tie that no mayor breaks takes one at random or ``none``."""
        if tie == "random" and max(self.candidates) == self.candidates.total:
            anybody = 1 - self.silence
            return Shares(*(anybody if number else ZERO for number in self.candidates))
        out = Shares(*(self._at_the_top(one) for one in _ONE_OF))
        if self.breaks_ties:
            for before in range(self.living.mayors):
                out = out.plus(self._decided_after(before))
        if tie == "random":
            for tied, chance in self.ties().items():
                shares = (Fraction(number, tied.total) for number in tied)
                out = out.plus(Shares(*shares), chance)
        return out

    def ties(self) -> dict[Roll, Fraction]:
        """Who share the most votes, two or more, and no mayor decides between them."""
        return {
            tied: self._at_the_top(tied) for tied in self.candidates.subsets() if tied.total > 1
        }

    def two_most(self) -> dict[Roll, Fraction]:
        """Who have the most votes and next to most, two or more, nobody over half."""
        most = self.votes // 2
        among = {
            tied: self._at_the_top(tied, decided=False)
            for tied in self.candidates.subsets()
            if tied.total > 1
        }
        for leader in _ONE_OF:
            for both in list(among):
                second = both.less(leader)
                if min(second) < 0:
                    continue
                for score in range(1, self.votes // both.total + 1):
                    among[both] += self._chance(
                        self._scores(0, score - 1),
                        (self._scores(score + 1, most), leader),
                        (self._scores(score, score), second),
                    )
        return among

    # --- counting ballots ---------------------------------------------------------

    def _scores(self, low: int, high: int) -> Scores:
        return (Score(low, high, self.weights),)

    def _at_the_top(self, tied: Roll, *, decided: bool = True) -> Fraction:
        """Probability that just these share the most votes, at least one.

        Args:
            tied: how many of each sort.
            decided: leave out what a mayor decides, by having named one of several.
        """
        weights = (1, 0) if decided and self.breaks_ties and tied.total > 1 else self.weights
        total = ZERO
        for top in range(1, self.votes // tied.total + 1):
            most = (Score(top, top, weights[: len(self.voters)]),)
            total += self._chance(self._scores(0, top - 1), (most, tied))
        return total

    def _chance(self, rest: Scores, *groups: tuple[Scores, Roll]) -> Fraction:
        """Probability that just so many of each sort have such scores, and all others ``rest``."""
        left, ways = self.candidates, 1
        parts = []
        for scores, some in groups:
            ways *= prod(map(comb, left, some))
            if not ways:
                return ZERO
            left = left.less(some)
            parts.append((scores, self._classes(some)))
        parts.append((rest, self._classes(left)))
        count = ballots(self.voters, parts, abstain=self.rules.allow_abstain)
        return Fraction(ways * count, self.every)

    def _classes(self, some: Roll) -> Counts:
        """Candidates by the class in which they vote and may not name themselves."""
        classes = len(self.voters)
        if self.rules.allow_self_vote:
            return (*[0] * classes, some.total)
        return (*some[:classes], some.mute)

    def _decided_after(self, before: int) -> Shares:
        """Whom the mayor elects who comes next after ``before`` others in seat order.

        Those before it have named none of the tied, it has named one of them. Its own
        vote is thus given, and it is here no voter but one whom it may not name itself;
        the mayors after it vote as the ordinary do. Which mayors stand is as likely any.
        """
        after = self.living.mayors - 1 - before
        voters = (self.living.ordinary + after, before)[: 2 if before else 1]
        ordinary, mayors, mute = self.candidates
        own = self.rules.allow_self_vote
        shares = [ZERO, ZERO, ZERO]
        for stands, earlier in itertools.product((0, 1), range(min(before, mayors) + 1)):
            later = mayors - stands - earlier
            if not 0 <= later <= after:
                continue
            likely = Fraction(
                comb(before, earlier) * comb(after, later), comb(before + after + 1, mayors)
            )
            # By place in Roll, and by class among those who may not name themselves: 2 is none.
            stand = {
                (0, 0): ordinary,
                (1, 0): later,
                (1, 1): earlier,
                (1, 2): stands,
                (2, 2): mute,
            }
            if own:
                stand = {(0, 2): ordinary, (1, 2): mayors, (2, 2): mute}
            for (sort, voter), number in stand.items():
                if not number or ((sort, voter) == (1, 2) and not own):
                    continue
                chosen = [int(place == voter) for place in range(3)]
                others = [-one for one in chosen]
                for (_, other), many in stand.items():
                    others[other] += many
                ways = self._elections(voters, _squeezed(chosen, voters), _squeezed(others, voters))
                shares[sort] += likely * number * Fraction(ways, self.every)
        return Shares(*shares)

    def _elections(self, voters: Counts, chosen: Counts, others: Counts) -> int:
        """Ballots in which one whom a mayor named shares the most votes with others.

        Of the second class of voters nobody names any of them.
        """
        level, count = (1, 0)[: len(voters)], 0
        for top in range(1, voters[0] + 2):
            first = ((Score(top - 1, top - 1, level),), chosen)
            below, tied = Score(0, top - 1, self.weights[: len(voters)]), Score(top, top, level)
            for sign, rest in ((1, (below, tied)), (-1, (below,))):
                groups = (first, (rest, others))
                count += sign * ballots(voters, groups, abstain=self.rules.allow_abstain)
        return count


def _squeezed(candidates: Sequence[int], voters: Counts) -> Counts:
    """Without the places of classes of which there is no voter."""
    return (*candidates[: len(voters)], candidates[2])
