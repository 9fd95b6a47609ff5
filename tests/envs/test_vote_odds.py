"""The exact odds of one random vote: every ballot of small ones, laws of large ones."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import pytest

from omar_envs.errors import ConfigError
from omar_envs.werewolf.rules import Rules
from omar_envs.werewolf.theory import top_shares, vote_out_probability
from omar_envs.werewolf.vote_odds import Roll, Shares, elected

# --- who is tied, against every ballot ------------------------------------------


def ballots(
    voters: int, candidates: int, abstain: bool, self_vote: bool
) -> Iterator[tuple[int | None, ...]]:
    choices = [
        [
            *(c for c in range(candidates) if self_vote or c != voter),
            *([None] if abstain else []),
        ]
        for voter in range(voters)
    ]
    return itertools.product(*choices)


def tied_at_the_top(ballot: Sequence[int | None]) -> list[int]:
    counts = Counter(vote for vote in ballot if vote is not None)
    return [c for c, votes in counts.items() if votes == max(counts.values())]


both = pytest.mark.parametrize("abstain", [False, True])
either = pytest.mark.parametrize("self_vote", [False, True])


@both
@either
@pytest.mark.parametrize("voters", range(1, 6))
def test_top_shares_count_every_ballot(voters: int, abstain: bool, self_vote: bool) -> None:
    for candidates in range(1, 7) if self_vote else range(2, voters + 1):
        every = ballots(voters, candidates, abstain, self_vote)
        sizes = Counter(len(tied_at_the_top(ballot)) for ballot in every)
        expected = tuple(Fraction(sizes[k], sizes.total()) for k in range(candidates + 1))
        assert top_shares(voters, candidates, abstain=abstain, self_vote=self_vote) == expected


@either
@pytest.mark.parametrize("voters", [2, 3, 7, 12, 18, 24, 28])
def test_top_shares_of_many(voters: int, self_vote: bool) -> None:
    """Entry 0 is what the others leave of 1, so it checks them all."""
    for candidates in {2, (voters + 2) // 2, voters}:
        shares = top_shares(voters, candidates, self_vote=self_vote)
        assert shares[0] == 0
        assert all(0 <= share <= 1 for share in shares)
        silent = top_shares(voters, candidates, abstain=True, self_vote=self_vote)[0]
        own = 0 if self_vote else candidates
        assert silent == Fraction(1, candidates**own * (candidates + 1) ** (voters - own))


@pytest.mark.parametrize("voters", range(2, 25))
def test_everybody_tied_is_a_permutation(voters: int) -> None:
    """All share the top exactly in the permutations, without fixed points or with them."""
    derangements = sum((-1) ** k * math.perm(voters, voters - k) for k in range(voters + 1))
    assert top_shares(voters, voters)[voters] == Fraction(derangements, (voters - 1) ** voters)
    own = top_shares(voters, voters, self_vote=True)
    assert own[voters] == Fraction(math.factorial(voters), voters**voters)


# --- who goes, against every ballot ---------------------------------------------

VOTES: list[dict[str, Any]] = [
    {"vote_tie": "random"},
    {"vote_tie": "none"},
    {"vote_tie": "revote", "revote_tie": "none"},
    {"vote_tie": "revote", "revote_tie": "random"},
    {"vote_rule": "majority"},
    {"vote_rule": "majority", "vote_tie": "revote"},
]


def counted(living: Roll, rules: Rules) -> Shares:
    """Who is voted out, by counting every ballot, of the second vote too."""
    sorts = [sort for sort, number in enumerate(living) for _ in range(number)]
    voters = [player for player, sort in enumerate(sorts) if sort != 2]
    mayors = [player for player, sort in enumerate(sorts) if sort == 1]
    double = rules.mayor_vote == "double"

    def outcomes(
        candidates: Sequence[int], tie: str
    ) -> tuple[Counter[int], Counter[tuple[int, ...]], int]:
        """How often each goes, and each set of players is voted on again, of how many."""
        own = rules.allow_self_vote
        choices = [
            [*(c for c in candidates if own or c != v), *([None] if rules.allow_abstain else [])]
            for v in voters
        ]
        out: Counter[Any] = Counter()
        again: Counter[tuple[int, ...]] = Counter()
        every = 0
        for ballot in itertools.product(*choices):
            every += 1
            votes: Counter[int] = Counter()
            for voter, choice in zip(voters, ballot, strict=True):
                if choice is not None:
                    votes[choice] += 2 if double and voter in mayors else 1
            ranks = sorted(votes.values(), reverse=True)
            if rules.vote_rule == "majority":
                if ranks and 2 * ranks[0] > len(voters) + double * len(mayors):
                    out[max(votes, key=lambda c: votes[c])] += 1
                elif len(ranks) > 1 and tie == "revote":
                    again[tuple(sorted(c for c in votes if votes[c] >= ranks[1]))] += 1
                continue
            top = sorted(c for c in votes if votes[c] == ranks[0])
            named = [c for m in mayors if (c := ballot[voters.index(m)]) in top]
            if len(top) == 1:
                out[top[0]] += 1
            elif top and named and not double:
                out[named[0]] += 1
            elif top and tie == "random":
                for candidate in top:
                    out[candidate] += Fraction(1, len(top))
            elif top and tie == "revote":
                again[tuple(top)] += 1
        return out, again, every

    first, again, every = outcomes(range(living.total), rules.vote_tie)
    shares = [Fraction(0)] * 3
    for player, number in first.items():
        shares[sorts[player]] += Fraction(number) / every
    for among, number in again.items():
        second, _, ballots_again = outcomes(among, rules.revote_tie)
        for player, wins in second.items():
            shares[sorts[player]] += Fraction(number, every) * Fraction(wins) / ballots_again
    return Shares(*shares)


SMALL = [
    Roll(total - mayors - mute, mayors, mute)
    for total in (2, 3, 4)
    for mayors in range(total)
    for mute in range(total - mayors)
]


@both
@either
@pytest.mark.parametrize("vote", VOTES)
def test_elected_counts_every_ballot(vote: dict[str, Any], self_vote: bool, abstain: bool) -> None:
    for living in SMALL:
        for mayor_vote in ("double", "tiebreak") if living.mayors else ("double",):
            rules = Rules(
                mayor_vote=mayor_vote, allow_abstain=abstain, allow_self_vote=self_vote, **vote
            )
            assert elected(living, rules) == counted(living, rules), (living, rules)


@pytest.mark.parametrize("vote", VOTES)
@pytest.mark.parametrize("living", [Roll(3, 1, 1), Roll(2, 3), Roll(3, 2), Roll(5)])
@pytest.mark.parametrize("mayor_vote", ["double", "tiebreak"])
def test_elected_counts_every_ballot_of_five(
    vote: dict[str, Any], living: Roll, mayor_vote: str
) -> None:
    rules = Rules(mayor_vote=mayor_vote, allow_abstain=False, **vote)
    assert elected(living, rules) == counted(living, rules)
    if living == Roll(5):
        assert vote_out_probability(5, rules) == sum(counted(living, rules))


# --- laws of large votes --------------------------------------------------------

LARGE = [Roll(24), Roll(11, 1), Roll(10, 0, 2), Roll(8, 2, 1), Roll(3, 6)]


@pytest.mark.parametrize("living", LARGE)
@pytest.mark.parametrize("mayor_vote", ["double", "tiebreak"])
@both
@either
def test_where_ties_are_drawn_somebody_goes(
    living: Roll, mayor_vote: str, abstain: bool, self_vote: bool
) -> None:
    """Unless all abstain: what the ballots of each outcome come to is all ballots."""
    settings = {"mayor_vote": mayor_vote, "allow_abstain": abstain, "allow_self_vote": self_vote}
    out = elected(living, Rules(vote_tie="random", **settings))
    own = living.total - living.mute
    silent = (living.total - 1 + self_vote + abstain) ** own
    assert sum(out) == 1 - Fraction(abstain, silent)
    if not abstain and living.total < 12:
        assert sum(elected(living, Rules(vote_tie="revote", revote_tie="random", **settings))) == 1


@both
@either
def test_gentler_rules_put_out_fewer(abstain: bool, self_vote: bool) -> None:
    gentlest_first = (
        {"vote_rule": "majority"},
        {"vote_tie": "none"},
        {"vote_tie": "revote", "revote_tie": "none"},
        {"vote_tie": "revote", "revote_tie": "random"},
        {"vote_tie": "random"},
    )
    for living in (2, 3, 4, 5, 6, 9, 13, 18, 24):
        settings = {"allow_abstain": abstain, "allow_self_vote": self_vote}
        out = [vote_out_probability(living, Rules(**settings, **rule)) for rule in gentlest_first]
        assert out == sorted(out)
        assert (out[-1] == 1) == (not abstain)
        runoff = vote_out_probability(
            living, Rules(vote_rule="majority", vote_tie="revote", **settings)
        )
        assert out[0] <= runoff <= 1


@pytest.mark.parametrize("vote", VOTES)
def test_alike_in_what_they_may_do_they_are_as_likely_to_go(vote: dict[str, Any]) -> None:
    """Where one may name oneself, the mute are named as often as the others."""
    shares = elected(Roll(6, 0, 3), Rules(allow_self_vote=True, **vote))
    assert shares.mute * 2 == shares.ordinary
    if "vote_rule" in vote:
        tiebreak = elected(Roll(6, 3), Rules(mayor_vote="tiebreak", **vote))
        assert tiebreak.mayors * 2 == tiebreak.ordinary


def test_whoever_cannot_be_named_by_all_goes_less() -> None:
    for vote in VOTES:
        voter, _, mute = elected(Roll(6, 0, 1), Rules(**vote))
        assert voter / 6 < mute
    double = elected(Roll(6, 1), Rules(mayor_vote="double"))
    assert double.mayors < double.ordinary / 6


# --- what is refused ------------------------------------------------------------


@pytest.mark.parametrize(
    ("voters", "candidates", "self_vote"),
    [(5, 1, False), (5, 6, False), (1, 1, False), (0, 3, True), (3, 0, True)],
)
def test_votes_without_a_choice_are_refused(voters: int, candidates: int, self_vote: bool) -> None:
    with pytest.raises(ConfigError, match="a vote needs"):
        top_shares(voters, candidates, self_vote=self_vote)


@pytest.mark.parametrize("living", [Roll(1), Roll(0, 1), Roll(0, 0, 3)])
def test_votes_of_nobody_are_refused(living: Roll) -> None:
    with pytest.raises(ConfigError, match="2 or more of the living, and a voter"):
        elected(living, Rules())
    with pytest.raises(ConfigError, match="2 or more of the living"):
        vote_out_probability(1, Rules())


def test_votes_of_too_many_are_refused() -> None:
    """Where there are mayors; without, as many may vote as one has time for."""
    with pytest.raises(ConfigError, match="less than 32 voters"):
        elected(Roll(32, 1), Rules(vote_tie="none"))
    assert vote_out_probability(40, Rules(vote_tie="none")) < 1
