"""The exact odds of random play: known values, laws, and what has none."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omar_envs import werewolf_v0
from omar_envs.errors import ConfigError
from omar_envs.werewolf.roles import ROLE_CLASSES, Role
from omar_envs.werewolf.rules import ROLES, Rules
from omar_envs.werewolf.theory import (
    Odds,
    day_first,
    migdal,
    night_first,
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
    # Under a majority, too, 6 of the 8 ballots decide, and so does a second vote.
    runoff = odds(**by_day, vote_rule="majority", vote_tie="revote", max_days=1)
    assert runoff.limit == Fraction(1, 16)
    # Two wolves agree on one of three with 1/3; two against two is a win.
    tie = odds(num_players=5, roles={"werewolf": 2}, kill_tie="none", **{**PLAIN, "max_days": 1})
    assert tie.werewolf == Fraction(1, 3) + Fraction(2, 3) * Fraction(3, 5)


def test_games_of_three_with_a_role() -> None:
    three = {"num_players": 3, "allow_abstain": False, "max_days": 1}
    # Who is voted out is the wolf, the villager, or the idiot, who stays.
    idiot = odds(**three, roles={"werewolf": 1, "idiot": 1}, first_phase="day")
    assert idiot == Odds(Fraction(1, 3), Fraction(1, 3), Fraction(1, 3))
    # Of 4 votes, 3 are the mayor's two and that of another who may name the same one.
    mayor = {**three, "roles": {"werewolf": 1, "mayor": 1}, "first_phase": "day"}
    double = odds(**mayor, vote_rule="majority")
    assert double == Odds(Fraction(1, 4), Fraction(1, 4), Fraction(1, 2))
    # Each of three has two votes in 2 of the 8 ballots; in the other 2 the mayor's decides.
    tiebreak = odds(**mayor, mayor_vote="tiebreak", vote_tie="none")
    assert tiebreak == Odds(Fraction(5, 8), Fraction(3, 8))
    # The villager is the victim: heal it, and the vote hits with 1/3; poison the wolf; or pass.
    # The witch is: heal herself, poison the wolf, poison the villager, or pass.
    witch = odds(**three, roles={"werewolf": 1, "witch": 1})
    hit = Fraction(1, 3)
    assert witch.village == Fraction(1, 2) * (hit + 1) / 3 + Fraction(1, 2) * (hit + 1) / 4


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


# --- laws of the odds -----------------------------------------------------------

RULES: dict[str, Any] = {
    "first_phase": st.sampled_from(["night", "day"]),
    "first_day_vote": st.booleans(),
    "kill_tie": st.sampled_from(["random", "none"]),
    "revote_tie": st.sampled_from(["random", "none"]),
    "allow_self_vote": st.booleans(),
    "doctor_self_save": st.booleans(),
    "doctor_repeat_save": st.booleans(),
    "mayor_vote": st.sampled_from(["double", "tiebreak"]),
    "win_rule": st.sampled_from(["parity", "extinction"]),
}

votes = st.one_of(
    st.fixed_dictionaries({"vote_tie": st.sampled_from(["random", "none", "revote"])}),
    st.fixed_dictionaries(
        {"vote_rule": st.just("majority"), "vote_tie": st.sampled_from(["none", "revote"])}
    ),
)

special = st.sampled_from(["seer", "doctor", "hunter", "jester", "witch", "mayor", "idiot"])

any_games = st.fixed_dictionaries(
    {
        **RULES,
        "num_players": st.integers(7, 8),
        "roles": st.builds(
            lambda wolves, others: {"werewolf": wolves, **dict.fromkeys(others, 1)},
            st.integers(1, 3),
            st.lists(special, max_size=2, unique=True),
        ),
        "allow_abstain": st.booleans(),
    }
)


@settings(max_examples=15)
@given(any_games, votes, st.integers(1, 6))
@example(
    {
        "num_players": 9,
        "roles": {"werewolf": 2, "doctor": 1, "hunter": 2, "jester": 1},
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


@settings(max_examples=15)
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
    mayor = {"num_players": 8, "roles": {"werewolf": 1, "mayor": 1}, "mayor_vote": "tiebreak"}
    assert odds(**mayor, vote_rule="majority") == majority
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

PLAIN_ROLES = {"villager", "seer", "medium", "possessed", "mason"}
"""Roles that do nothing which counts under random play."""

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
    "mayor_vote": "tiebreak",
    "win_rule": "extinction",
    "max_days": 2,
}
"""Another value than a base game's for every setting that the odds depend on."""


def test_every_rule_is_known() -> None:
    """A setting that the rules gain must be counted, be refused, or have no effect."""
    settable = {field.name for field in dataclasses.fields(Rules) if field.init}
    assert settable == MATTERS.keys() | NO_MATTER


@pytest.mark.parametrize("setting", MATTERS)
def test_every_rule_that_matters_is_counted(setting: str) -> None:
    tie = "revote" if setting == "revote_tie" else "random"
    base = {"num_players": 9, "roles": {"werewolf": 2, "doctor": 1, "mayor": 1}, "vote_tie": tie}
    assert odds(**base) != odds(**{**base, setting: MATTERS[setting]})


@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_solved(role: str) -> None:
    game = {"num_players": 9, "roles": {"werewolf": 2}}
    with_it = odds(num_players=9, roles={"werewolf": 2, "seer": 4, role: 3})
    assert sum(with_it) == 1
    assert (with_it == odds(**game)) == (role in PLAIN_ROLES)


def test_a_role_of_ones_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    nurse = type("Nurse", (Role,), {"name": "nurse", "plural": "nurses"})
    monkeypatch.setitem(ROLE_CLASSES, "nurse", nurse)
    with pytest.raises(ConfigError, match="no exact odds with the role nurse"):
        odds(roles={"werewolf": 2, "nurse": 1})
    assert sum(odds(roles={"werewolf": 2})) == 1


def test_what_has_no_exact_odds_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"with 3 doctors.*take 2 at most"):
        odds(roles={"werewolf": 1, "doctor": 3}, doctor_repeat_save=False)


@pytest.mark.parametrize("recurrence", [migdal, day_first, night_first])
@pytest.mark.parametrize("numbers", [(-1, 0), (5, -1), (2.5, 1), (True, 1), (5, None)])
def test_no_numbers_of_players_are_refused(recurrence: Any, numbers: tuple[Any, Any]) -> None:
    with pytest.raises(ConfigError, match="must be an integer, at least 0"):
        recurrence(*numbers)


def test_the_recurrences_hold_for_thousands() -> None:
    for n, m in ((2001, 3), (1000, 30)):
        left, stays = Fraction(m, n) * migdal(n - 2, m - 1), Fraction(n - m, n)
        assert migdal(n, m) == left + stays * migdal(n - 2, m)
        assert night_first(n + 1, m) == day_first(n, m) >= migdal(n, m)
