"""The exact odds of random play: known values, enumeration, laws, and the real games."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omar_envs import werewolf_v0
from omar_envs.errors import ConfigError
from omar_envs.werewolf.env import WerewolfEnv
from omar_envs.werewolf.roles import ROLE_CLASSES, Role
from omar_envs.werewolf.rules import ROLES, Rules, team_of
from omar_envs.werewolf.theory import (
    Odds,
    day_first,
    migdal,
    night_first,
    top_shares,
    vote_out_probability,
    win_probabilities,
)

ZERO, ONE = Fraction(0), Fraction(1)

PLAIN: dict[str, Any] = {"allow_abstain": False, "max_days": None}
"""Every voter names somebody, and the game goes on until somebody wins."""


def odds(*, max_days: int | None = 10, **settings: Any) -> Odds:
    """Exact odds; without a day limit where ``max_days`` is ``None``."""
    rules = Rules(max_days=max_days or 1, **settings)
    return win_probabilities(rules, endless=max_days is None)


# --- known values -------------------------------------------------------------

EXACT = {(7, 2): "27/35", (8, 2): "27/32", (9, 3): "31/35", (10, 3): "149/160"}

VALUES: list[tuple[dict[str, Any], float]] = [
    *(
        (
            {"num_players": n, "roles": {"werewolf": m}, "first_phase": "day"},
            float(Fraction(value)),
        )
        for (n, m), value in EXACT.items()
    ),
    (
        {"num_players": 8, "roles": {"werewolf": 2, "doctor": 1}, "doctor_self_save": False},
        0.77992,
    ),
    ({"num_players": 9, "roles": {"werewolf": 2, "doctor": 1}}, 0.79542),
    ({"num_players": 7, "roles": {"werewolf": 2}, "vote_tie": "none"}, 0.92375),
    ({"num_players": 8, "roles": {"werewolf": 2}, "vote_rule": "majority"}, 0.96784),
]


@pytest.mark.parametrize(("players", "value"), EXACT.items())
def test_exact_values(players: tuple[int, int], value: str) -> None:
    assert day_first(*players) == Fraction(value)


@pytest.mark.parametrize(("game", "value"), VALUES)
def test_values(game: dict[str, Any], value: float) -> None:
    assert round(float(odds(**game, **PLAIN).werewolf), 5) == round(value, 5)


def test_games_that_fit_on_a_napkin() -> None:
    three = {"num_players": 3, "roles": {"werewolf": 1}, "allow_abstain": False}
    by_day = {**three, "first_phase": "day"}
    # One wolf of three: hit with 1/3, else one against one.
    assert odds(**by_day) == Odds(Fraction(2, 3), Fraction(1, 3))
    # Each of the three names one of two others: 2 of the 8 ballots are circles.
    once = odds(**by_day, vote_tie="none", max_days=1)
    assert once == Odds(Fraction(1, 2), Fraction(1, 4), Fraction(1, 4))
    # A second vote among all three has the same odds.
    assert odds(**by_day, vote_tie="revote", max_days=1).limit == Fraction(1, 16)
    # With oneself among three choices: 6 of the 27 ballots are permutations.
    own = odds(**by_day, vote_tie="none", allow_self_vote=True, max_days=1)
    assert own.limit == Fraction(6, 27)
    # A first day without a vote, and the night leaves one against one.
    assert odds(**by_day, first_day_vote=False) == Odds(ONE, ZERO)
    # The doctor names one of three: the victim lives with 1/3, and votes as above.
    doctor = {"num_players": 3, "roles": {"werewolf": 1, "doctor": 1}, "allow_abstain": False}
    assert odds(**doctor, max_days=1) == Odds(Fraction(2, 3) + Fraction(2, 9), Fraction(1, 9))
    # A hunter voted out, 1/3, hits the wolf with 1/2; so does the vote itself, 1/3.
    hunter = {"num_players": 3, "roles": {"werewolf": 1, "hunter": 1}, "first_phase": "day"}
    assert odds(**hunter, **PLAIN).village == Fraction(1, 3) + Fraction(1, 3) * Fraction(1, 2)
    # The first day's vote finds the wolf or the jester with 1/5 each.
    jester = {"num_players": 5, "roles": {"werewolf": 1, "jester": 1}, "first_phase": "day"}
    day = odds(**jester, allow_abstain=False, max_days=1)
    assert day == Odds(ZERO, Fraction(1, 5), Fraction(3, 5), Fraction(1, 5))
    # Two wolves agree on one of three with 1/3; two against two is a win.
    tie = odds(num_players=5, roles={"werewolf": 2}, kill_tie="none", **{**PLAIN, "max_days": 1})
    assert tie.werewolf == Fraction(1, 3) + Fraction(2, 3) * Fraction(3, 5)


# --- closed recurrences -------------------------------------------------------

SIZES = [(n, m) for n in range(3, 25) for m in range(1, n)]


@pytest.mark.parametrize("win_rule", ["parity", "extinction"])
@pytest.mark.parametrize("first_phase", ["day", "night"])
def test_the_chain_meets_the_closed_recurrences(win_rule: str, first_phase: str) -> None:
    for n, m in SIZES:
        if win_rule == "parity" and 2 * m >= n:
            continue
        game = {"num_players": n, "roles": {"werewolf": m}, "first_phase": first_phase}
        exact = odds(**game, win_rule=win_rule, **PLAIN)
        if win_rule == "extinction":
            expected = migdal(n, m) if first_phase == "day" else migdal(n - 1, m)
        else:
            expected = day_first(n, m) if first_phase == "day" else night_first(n, m)
        assert exact == Odds(expected, 1 - expected), (n, m)


def double_factorial(n: int) -> int:
    return math.prod(range(n, 0, -2))


def test_one_wolf_is_never_hit() -> None:
    """One wolf outlives votes among n, n−2, …: (n−1)!!/n!!; under parity the last has 3 or 4."""
    for n in range(1, 25):
        assert migdal(n, 1) == Fraction(double_factorial(n - 1), double_factorial(n))
        missed = [Fraction(k - 1, k) for k in range(n, 2, -2)]
        assert day_first(n, 1) == math.prod(missed, start=Fraction(1))


@pytest.mark.parametrize("recurrence", [migdal, day_first, night_first])
def test_more_wolves_win_more(recurrence: Any) -> None:
    for n in range(1, 25):
        wins = [recurrence(n, m) for m in range(n + 1)]
        assert wins == sorted(wins)
        assert (wins[0], wins[n]) == (0, 1)


def test_two_more_villagers_help_and_one_may_not() -> None:
    for n, m in SIZES:
        assert day_first(n + 2, m) <= day_first(n, m)
    assert day_first(8, 2) > day_first(7, 2)
    assert night_first(8, 2) < day_first(8, 2)


# --- votes, against every ballot ----------------------------------------------


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
@pytest.mark.parametrize("voters", [2, 3, 7, 12, 18, 24])
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


@both
@either
@pytest.mark.parametrize("living", range(2, 6))
def test_vote_out_probability_counts_every_ballot(
    living: int, abstain: bool, self_vote: bool
) -> None:
    settings = {"allow_abstain": abstain, "allow_self_vote": self_vote}
    every = list(ballots(living, living, abstain, self_vote))
    majority = sum(max(Counter(b).get(c, 0) for c in range(living)) * 2 > living for b in every)
    out = vote_out_probability(living, Rules(vote_rule="majority", **settings))
    assert out == Fraction(majority, len(every))
    tops = Counter(len(tied_at_the_top(ballot)) for ballot in every)
    for revote_tie in ("random", "none"):
        hits = Fraction(tops[1])
        for size in range(2, living + 1):
            # Who is tied does not matter, so let it be the first.
            again = [len(tied_at_the_top(b)) for b in ballots(living, size, abstain, self_vote)]
            lost = again.count(0) if revote_tie == "random" else len(again) - again.count(1)
            hits += tops[size] * (1 - Fraction(lost, len(again)))
        rules = Rules(vote_tie="revote", revote_tie=revote_tie, **settings)
        assert vote_out_probability(living, rules) == hits / len(every)


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
        out = [
            vote_out_probability(
                living, Rules(allow_abstain=abstain, allow_self_vote=self_vote, **rule)
            )
            for rule in gentlest_first
        ]
        assert out == sorted(out)
        assert (out[-1] == 1) == (not abstain)


# --- games, against every choice of every player --------------------------------


def enumerated(settings: dict[str, Any]) -> Odds:
    """Odds by walking through every choice of every named player."""
    rules = Rules(**settings)
    roles = rules.deck

    def mean(ends: Iterable[tuple[Fraction, Odds]]) -> Odds:
        weighed = [[p * part for part in odds] for p, odds in ends]
        return Odds(*(sum(column, Fraction(0)) for column in zip(*weighed, strict=True)))

    def over(alive: frozenset[int]) -> Odds | None:
        wolves = sum(roles[p] == "werewolf" for p in alive)
        if wolves == 0:
            return Odds(Fraction(0), Fraction(1))
        if wolves == len(alive) or (rules.win_rule == "parity" and 2 * wolves >= len(alive)):
            return Odds(Fraction(1), Fraction(0))
        return None

    def after(alive: frozenset[int], dead: int | None, then: Callable[..., Odds]) -> Odds:
        if dead is None:
            return then(alive)
        left = alive - {dead}
        if roles[dead] == "hunter" and left:
            return mean((Fraction(1, len(left)), after(left, shot, then)) for shot in left)
        return over(left) or then(left)

    def protectable(alive: frozenset[int], doctor: int, last: int | None) -> list[int | None]:
        own = set() if rules.doctor_self_save else {doctor}
        again = set() if rules.doctor_repeat_save else {last}
        return [*(alive - own - again)] or [None]

    @cache
    def night(alive: frozenset[int], last: int | None, days: int) -> Odds:
        if days == 0:
            return Odds(Fraction(0), Fraction(0), Fraction(1))
        wolves = [p for p in alive if roles[p] == "werewolf"]
        prey = [p for p in alive if roles[p] != "werewolf"]
        doctors = [p for p in alive if roles[p] == "doctor"]
        kills = list(itertools.product(prey, repeat=len(wolves)))
        saves = list(itertools.product(*(protectable(alive, d, last) for d in doctors)))
        results: Counter[tuple[int | None, int | None]] = Counter()
        for kill, save in itertools.product(kills, saves):
            victims: list[int | None] = [*tied_at_the_top(kill)]
            if len(victims) > 1 and rules.kill_tie == "none":
                victims = [None]
            for victim in victims:
                dead = None if victim in save else victim
                results[dead, save[0] if save else None] += Fraction(1, len(victims))
        return mean(
            (
                share / (len(kills) * len(saves)),
                after(alive, dead, lambda left, now=now: day(left, now, days)),
            )
            for (dead, now), share in results.items()
        )

    def choices(voter: int, candidates: frozenset[int]) -> list[int | None]:
        others = candidates if rules.allow_self_vote else candidates - {voter}
        return [*others, *([None] if rules.allow_abstain else [])]

    @cache
    def voted_out(alive: frozenset[int], candidates: frozenset[int], tie: str) -> dict[Any, Any]:
        ballots = list(itertools.product(*(choices(p, candidates) for p in alive)))
        tops: Counter[frozenset[int]] = Counter()
        for ballot in ballots:
            top = tied_at_the_top(ballot)
            if rules.vote_rule == "majority":
                top = [p for p in top if 2 * ballot.count(p) > len(alive)]
            tops[frozenset(top)] += 1
        out: Counter[int | None] = Counter()
        for top, number in tops.items():
            share = Fraction(number, len(ballots))
            if len(top) < 2 or tie == "random":
                for player in top or [None]:
                    out[player] += share / max(1, len(top))
            elif tie == "none":
                out[None] += share
            else:
                for player, part in voted_out(alive, top, rules.revote_tie).items():
                    out[player] += share * part
        return out

    @cache
    def day(alive: frozenset[int], last: int | None, days: int) -> Odds:
        def gone(player: int | None) -> Odds:
            if player is not None and roles[player] == "jester":
                return Odds(Fraction(0), Fraction(0), Fraction(0), Fraction(1))
            return after(alive, player, lambda left: night(left, last, days - 1))

        if days == rules.max_days and not rules.first_day_vote:
            # The first night is before this day, or is yet to come.
            peace = rules.first_phase == "day" and not rules.first_night_kill
            return (day if peace and days > 1 else night)(alive, last, days - 1)
        out = voted_out(alive, alive, rules.vote_tie)
        return mean((share, gone(player)) for player, share in out.items())

    everybody = frozenset(range(len(roles)))
    by_day = rules.first_phase == "day" or not rules.first_night_kill
    return (day if by_day else night)(everybody, None, rules.max_days)


DOCTOR = {"roles": {"werewolf": 1, "doctor": 1}, "win_rule": "extinction"}

ENUMERATED: list[dict[str, Any]] = [
    {"num_players": 5, "roles": {"werewolf": 2}, "vote_tie": "none"},
    {"num_players": 6, "roles": {"werewolf": 2}, "vote_rule": "majority", "allow_abstain": False},
    {"num_players": 5, "roles": {"werewolf": 1, "seer": 1, "doctor": 2}},
    {"num_players": 5, "roles": {"werewolf": 1, "doctor": 2}, "doctor_self_save": False},
    {"num_players": 6, **DOCTOR, "doctor_repeat_save": False, "allow_abstain": False},
    {"num_players": 5, **DOCTOR, "doctor_repeat_save": False, "doctor_self_save": False},
    {"num_players": 5, "roles": {"werewolf": 2, "hunter": 1}, "win_rule": "extinction"},
    {"num_players": 5, "roles": {"werewolf": 1, "hunter": 3}, "first_phase": "day"},
    {"num_players": 5, "roles": {"werewolf": 1, "doctor": 1, "hunter": 1, "jester": 1}},
    {"num_players": 5, "roles": {"werewolf": 1, "jester": 2}, "first_night_kill": False},
    {"num_players": 5, **DOCTOR, "vote_tie": "revote", "first_phase": "day"},
    {"num_players": 5, **DOCTOR, "vote_tie": "revote", "revote_tie": "random"},
    {"num_players": 5, **DOCTOR, "allow_self_vote": True, "vote_tie": "revote"},
    {"num_players": 5, "roles": {"werewolf": 2, "doctor": 1}, "kill_tie": "none"},
    {
        "num_players": 6,
        "roles": {"werewolf": 3, "doctor": 1},
        "win_rule": "extinction",
        "kill_tie": "none",
        "doctor_repeat_save": False,
        "first_day_vote": False,
        "allow_abstain": False,
    },
    *(
        {
            "num_players": 5,
            "roles": {"werewolf": 1, "doctor": 1, "jester": 1},
            "first_phase": first_phase,
            "first_day_vote": False,
            "first_night_kill": False,
        }
        for first_phase in ("day", "night")
    ),
]


@pytest.mark.parametrize("game", ENUMERATED)
def test_odds_of_every_choice(game: dict[str, Any]) -> None:
    for max_days in (1, 3):
        game = {**game, "max_days": max_days}
        assert odds(**game) == enumerated(game)


RULES: dict[str, Any] = {
    "first_phase": st.sampled_from(["night", "day"]),
    "first_day_vote": st.booleans(),
    "kill_tie": st.sampled_from(["random", "none"]),
    "revote_tie": st.sampled_from(["random", "none"]),
    "allow_self_vote": st.booleans(),
    "doctor_self_save": st.booleans(),
    "doctor_repeat_save": st.booleans(),
    "win_rule": st.sampled_from(["parity", "extinction"]),
}

votes = st.one_of(
    st.fixed_dictionaries({"vote_tie": st.sampled_from(["random", "none", "revote"])}),
    st.just({"vote_rule": "majority"}),
)


@settings(max_examples=40)
@given(
    st.fixed_dictionaries(
        {
            **RULES,
            "num_players": st.integers(4, 5),
            "roles": st.fixed_dictionaries(
                {
                    "werewolf": st.just(1),
                    "doctor": st.integers(0, 1),
                    "hunter": st.integers(0, 1),
                    "jester": st.integers(0, 1),
                }
            ),
            "allow_abstain": st.just(False),
            "max_days": st.integers(1, 4),
        }
    ),
    votes,
)
def test_odds_of_every_choice_in_any_small_game(game: dict[str, Any], vote: dict[str, Any]) -> None:
    assert odds(**game, **vote) == enumerated({**game, **vote})


# --- laws of the odds -----------------------------------------------------------

any_games = st.fixed_dictionaries(
    {
        **RULES,
        "num_players": st.integers(7, 12),
        "roles": st.fixed_dictionaries(
            {
                "werewolf": st.integers(1, 3),
                "seer": st.integers(0, 1),
                "doctor": st.integers(0, 1),
                "hunter": st.integers(0, 1),
                "jester": st.integers(0, 1),
            }
        ),
        "allow_abstain": st.booleans(),
    }
)


@settings(max_examples=30)
@given(any_games, votes, st.integers(1, 8))
@example(
    {
        "num_players": 12,
        "roles": {"werewolf": 3, "doctor": 1, "hunter": 2, "jester": 1},
        "doctor_repeat_save": False,
    },
    {"vote_tie": "revote"},
    4,
)
def test_a_limit_only_cuts_games_short(
    game: dict[str, Any], vote: dict[str, Any], days: int
) -> None:
    """Both ways through the chain: day by day, and by elimination."""
    short, longer, endless = (
        odds(**game, **vote, max_days=limit) for limit in (days, days + 1, None)
    )
    for ends in (short, longer, endless):
        assert sum(ends) == 1
        assert all(0 <= chance <= 1 for chance in ends)
    assert endless.limit == 0
    assert longer.limit <= short.limit
    for team in ("werewolf", "village", "jester"):
        before, after, last = (ends._asdict()[team] for ends in (short, longer, endless))
        assert before <= after <= last <= before + short.limit


def test_the_limit_goes_to_no_limit() -> None:
    game = {"num_players": 7, "roles": {"werewolf": 2, "doctor": 1}, "vote_tie": "none"}
    far, endless = (odds(**game, max_days=limit) for limit in (120, None))
    assert 0 < far.limit < Fraction(1, 10**60)
    assert 0 < endless.werewolf - far.werewolf <= far.limit


def test_who_merely_talks_and_looks_is_plain() -> None:
    plain = odds(num_players=12, roles={"werewolf": 3, "doctor": 1})
    talkers = {"seer": 1, "medium": 1, "mason": 2, "possessed": 1}
    assert odds(num_players=12, roles={"werewolf": 3, "doctor": 1, **talkers}) == plain


def test_a_peaceful_first_night_is_no_night() -> None:
    game = {"num_players": 9, "roles": {"werewolf": 2, "doctor": 1}}
    peaceful = odds(**game, first_night_kill=False)
    assert peaceful == odds(**game, first_phase="day")
    assert peaceful != odds(**game)


@settings(max_examples=30)
@given(any_games, votes, st.booleans(), st.integers(1, 4))
def test_a_first_day_of_talk_is_a_day_less(
    game: dict[str, Any], vote: dict[str, Any], kill: bool, days: int
) -> None:
    voted = {**game, **vote, "first_day_vote": True, "first_night_kill": kill}
    talked = {**voted, "first_phase": "day", "first_day_vote": False, "max_days": days + 1}
    assert odds(**talked) == odds(**{**voted, "first_phase": "night", "max_days": days})


def test_presets_that_can_be_solved_by_hand() -> None:
    for preset, value in {"mini4": Fraction(2, 3), "aiwolf5": day_first(5, 1)}.items():
        assert win_probabilities(werewolf_v0.raw_env(preset=preset).rules)[0] == value


def test_a_rule_that_nobody_meets_changes_nothing() -> None:
    """Nobody protects, one wolf ties with nobody, and a majority has no ties."""
    game = {"num_players": 8, "roles": {"werewolf": 1}}
    plain = odds(**game)
    for rule in ("doctor_self_save", "doctor_repeat_save"):
        assert odds(**game, **{rule: False}) == plain
    assert odds(**game, kill_tie="none") == plain
    majority = odds(**game, vote_rule="majority")
    assert odds(**game, vote_rule="majority", vote_tie="none") == majority
    assert odds(**game, revote_tie="random") == plain


def test_more_wolves_win_more_under_any_vote() -> None:
    for rule in ({"vote_tie": "none"}, {"vote_tie": "revote"}, {"vote_rule": "majority"}):
        wins = [odds(num_players=12, roles={"werewolf": m}, **rule).werewolf for m in range(1, 6)]
        assert wins == sorted(set(wins))


# --- what is counted, and what is refused ----------------------------------------

NO_MATTER = {
    *("discussion", "discussion_rounds", "wolf_chat_rounds", "last_words"),
    *("voting", "show_votes", "reveal_on_death", "seer_learns"),
    *("outcome_reward", "elimination_discount", "zero_sum"),
}
"""How a game is talked, shown and paid."""

SOLVED = {
    *("villager", "werewolf", "seer", "doctor", "hunter", "medium", "possessed", "mason"),
    "jester",
}
"""All other roles are refused."""

MATTERS: dict[str, Any] = {
    "num_players": 8,
    "roles": {"werewolf": 1, "doctor": 1},
    "first_phase": "day",
    "first_night_kill": False,
    "first_day_vote": False,
    "kill_tie": "none",
    "vote_rule": "majority",
    "vote_tie": "none",
    "revote_tie": "random",
    "allow_abstain": False,
    "allow_self_vote": True,
    "doctor_self_save": False,
    "doctor_repeat_save": False,
    "win_rule": "extinction",
    "max_days": 2,
}
"""Another value than a base game's for every setting that the odds depend on."""


def test_every_rule_is_known() -> None:
    """A setting that the rules gain must be counted, be refused, or have no effect."""
    settable = {field.name for field in dataclasses.fields(Rules) if field.init}
    assert settable == MATTERS.keys() | NO_MATTER | {"mayor_vote"}


@pytest.mark.parametrize("setting", MATTERS)
def test_every_rule_that_matters_is_counted(setting: str) -> None:
    tie = "revote" if setting == "revote_tie" else "random"
    base = {"num_players": 9, "roles": {"werewolf": 2, "doctor": 1}, "vote_tie": tie}
    assert odds(**base) != odds(**{**base, setting: MATTERS[setting]})


@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_solved_or_refused(role: str) -> None:
    game = {"num_players": 9, "roles": {"werewolf": 2, "seer": 5, role: 2}}
    if role not in SOLVED:
        with pytest.raises(ConfigError, match=f"no exact odds with the role {role}"):
            odds(**game)
    else:
        assert sum(odds(**game)) == 1


def test_a_role_of_ones_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    nurse = type("Nurse", (Role,), {"name": "nurse", "plural": "nurses"})
    monkeypatch.setitem(ROLE_CLASSES, "nurse", nurse)
    with pytest.raises(ConfigError, match="no exact odds with the role nurse"):
        odds(roles={"werewolf": 2, "nurse": 1})
    assert sum(odds(roles={"werewolf": 2})) == 1


def test_what_has_no_exact_odds_is_refused() -> None:
    with pytest.raises(ConfigError, match="take one doctor"):
        odds(roles={"werewolf": 1, "doctor": 2}, doctor_repeat_save=False)
    with pytest.raises(ConfigError, match="no exact odds of a runoff"):
        odds(vote_rule="majority", vote_tie="revote")
    with pytest.raises(ConfigError, match="2 or more of the living"):
        vote_out_probability(1, Rules())


@pytest.mark.parametrize(
    ("voters", "candidates", "self_vote"),
    [(5, 1, False), (5, 6, False), (1, 1, False), (0, 3, True), (3, 0, True)],
)
def test_votes_without_a_choice_are_refused(voters: int, candidates: int, self_vote: bool) -> None:
    with pytest.raises(ConfigError, match="a vote needs"):
        top_shares(voters, candidates, self_vote=self_vote)


@pytest.mark.parametrize("recurrence", [migdal, day_first, night_first])
@pytest.mark.parametrize("numbers", [(-1, 0), (5, -1), (2.5, 1), (True, 1), (5, None)])
def test_no_numbers_of_players_are_refused(recurrence: Any, numbers: tuple[Any, Any]) -> None:
    with pytest.raises(ConfigError, match="must be an integer, at least 0"):
        recurrence(*numbers)


def test_the_recurrences_hold_for_thousands() -> None:
    for n, m in ((2001, 3), (2000, 40)):
        left, stays = Fraction(m, n) * migdal(n - 2, m - 1), Fraction(n - m, n)
        assert migdal(n, m) == left + stays * migdal(n - 2, m)
        assert night_first(n + 1, m) == day_first(n, m) >= migdal(n, m)


# --- the real games -------------------------------------------------------------

GAMES = 20_000

PLAYED: list[dict[str, Any]] = [
    *({**game, "allow_abstain": False, "max_days": 1000} for game, _ in VALUES),
    {
        "num_players": 7,
        "roles": {"werewolf": 2, "doctor": 1, "hunter": 2, "jester": 1},
        "kill_tie": "none",
        "allow_self_vote": True,
        "max_days": 3,
    },
    {
        "num_players": 6,
        "roles": {"werewolf": 1, "doctor": 1},
        "first_day_vote": False,
        "vote_tie": "revote",
        "doctor_repeat_save": False,
        "win_rule": "extinction",
        "max_days": 3,
    },
    {
        "num_players": 6,
        "roles": {"werewolf": 1, "possessed": 1, "doctor": 1},
        "first_phase": "day",
        "first_day_vote": False,
        "first_night_kill": False,
        "max_days": 4,
    },
]


def winner(env: WerewolfEnv) -> str:
    """The team of whoever was paid for a win; an episode would say it too, but slowly."""
    for agent, reward in env.rewards.items():
        if reward > 0:
            return team_of(str(env.view(agent).role))
    return "limit"


@pytest.mark.slow
@pytest.mark.parametrize("game", PLAYED)
def test_the_environment_has_these_odds(game: dict[str, Any]) -> None:
    env = werewolf_v0.raw_env(discussion_rounds=0, wolf_chat_rounds=0, **game)
    # What lies beyond a thousand days is less than any float.
    exact = win_probabilities(env.rules, endless=game["max_days"] == 1000)
    pick = Random(0).choice
    ends: Counter[str] = Counter()
    for seed in range(GAMES):
        env.reset(seed=seed)
        while not env.over:
            *_, info = env.last(observe=False)
            env.step(pick(info["request"].choices))
        ends[winner(env)] += 1
    for end, chance in exact._asdict().items():
        error = math.sqrt(chance * (1 - chance) / GAMES)
        assert abs(ends[end] / GAMES - chance) <= 3.5 * error, (end, ends, exact)
