"""The exact odds of random play against the real games: every choice of small ones, samples."""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs import werewolf_v0
from omar_envs.werewolf.env import WerewolfEnv
from omar_envs.werewolf.rules import Game, Rules, team_of
from omar_envs.werewolf.theory import Odds, win_probabilities
from tests.envs.every_choice import choices, every_end, resolve

# --- every choice of every player -----------------------------------------------

DOCTOR = {"roles": {"werewolf": 1, "doctor": 1}, "win_rule": "extinction"}
LONG = {"win_rule": "extinction", "allow_abstain": False}
MEMORY = {"doctor_repeat_save": False, "allow_abstain": False, "max_days": 3}

SMALL: list[dict[str, Any]] = [
    {"num_players": 5, "roles": {"werewolf": 2}, "vote_tie": "none"},
    {"num_players": 6, "roles": {"werewolf": 2}, "vote_rule": "majority", "allow_abstain": False},
    {"num_players": 5, "roles": {"werewolf": 1, "seer": 1, "doctor": 2}},
    {"num_players": 5, "roles": {"werewolf": 1, "doctor": 2}, "doctor_self_save": False},
    {"num_players": 5, **DOCTOR, **MEMORY},
    {"num_players": 5, **DOCTOR, **MEMORY, "doctor_self_save": False, "vote_tie": "none"},
    {"num_players": 5, "roles": {"werewolf": 2, "hunter": 1}, "win_rule": "extinction"},
    {"num_players": 5, "roles": {"werewolf": 1, "hunter": 3}, "first_phase": "day"},
    {"num_players": 5, "roles": {"werewolf": 1, "doctor": 1, "hunter": 1, "jester": 1}},
    {"num_players": 5, "roles": {"werewolf": 1, "jester": 2}, "first_night_kill": False},
    {"num_players": 5, **DOCTOR, "vote_tie": "revote", "first_phase": "day"},
    {"num_players": 4, **DOCTOR, "vote_tie": "revote", "revote_tie": "random"},
    {"num_players": 4, **DOCTOR, "allow_self_vote": True, "vote_tie": "revote"},
    {"num_players": 4, **DOCTOR, "vote_rule": "majority", "vote_tie": "revote"},
    {"num_players": 5, "roles": {"werewolf": 2, "doctor": 1}, "kill_tie": "none"},
    {
        "num_players": 5,
        "roles": {"werewolf": 2, "doctor": 1},
        **LONG,
        **MEMORY,
        "kill_tie": "none",
        "first_day_vote": False,
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
    {
        "num_players": 5,
        "roles": {"werewolf": 1, "doctor": 2, "hunter": 1},
        "doctor_self_save": False,
        **LONG,
        **MEMORY,
    },
    {"num_players": 5, "roles": {"werewolf": 1, "witch": 1}},
    {"num_players": 5, "roles": {"werewolf": 1, "witch": 2, "hunter": 1}, **LONG},
    {"num_players": 5, "roles": {"werewolf": 2, "witch": 1, "hunter": 1}, "kill_tie": "none"},
    {"num_players": 5, "roles": {"werewolf": 1, "witch": 1, "doctor": 1, "idiot": 1}, **LONG},
    {
        "num_players": 5,
        "roles": {"werewolf": 1, "witch": 1, "doctor": 1},
        "first_night_kill": False,
        **MEMORY,
    },
    {"num_players": 5, "roles": {"werewolf": 1, "idiot": 2}, "first_phase": "day"},
    {"num_players": 5, "roles": {"werewolf": 2, "idiot": 1, "hunter": 1}, **LONG},
    *(
        {
            "num_players": 5,
            "roles": {"werewolf": 1, "mayor": 2, "idiot": 1, "jester": 1},
            "mayor_vote": mayor_vote,
            "first_phase": "day",
            **rule,
        }
        for mayor_vote in ("double", "tiebreak")
        for rule in (
            {"vote_tie": "none"},
            {"vote_tie": "random", "allow_abstain": False},
            {"vote_tie": "revote", "allow_abstain": False},
            {"vote_rule": "majority", "vote_tie": "revote", "allow_abstain": False},
        )
    ),
    {
        "num_players": 5,
        "roles": {"werewolf": 1, "seer": 1, "medium": 1, "mason": 2},
        "voting": "sequential",
        "last_words": "all",
        **LONG,
    },
]


@pytest.mark.parametrize("game", SMALL)
def test_odds_of_every_choice(game: dict[str, Any]) -> None:
    game = {"max_days": 2, **game}
    assert win_probabilities(Rules(**game)) == every_end(game)


any_roles = st.lists(
    st.sampled_from(["doctor", "hunter", "jester", "witch", "mayor", "idiot"]), max_size=3
)


@settings(max_examples=40)
@given(
    # Five who may abstain cast three times the ballots.
    st.sampled_from([(4, True), (4, False), (5, False)]),
    any_roles.filter(lambda roles: roles.count("doctor") < 3 and roles.count("jester") < 3),
    st.fixed_dictionaries(
        {
            "first_phase": st.sampled_from(["night", "day"]),
            "first_day_vote": st.booleans(),
            "kill_tie": st.sampled_from(["random", "none"]),
            "vote_rule": st.sampled_from(["plurality", "majority"]),
            "vote_tie": st.sampled_from(["random", "none", "revote"]),
            "revote_tie": st.sampled_from(["random", "none"]),
            "voting": st.sampled_from(["sealed", "sequential"]),
            "allow_self_vote": st.booleans(),
            "mayor_vote": st.sampled_from(["double", "tiebreak"]),
            "doctor_self_save": st.booleans(),
            "doctor_repeat_save": st.booleans(),
            "win_rule": st.sampled_from(["parity", "extinction"]),
            "max_days": st.integers(1, 3),
        }
    ),
)
def test_odds_of_every_choice_in_any_small_game(
    table: tuple[int, bool], roles: list[str], game: dict[str, Any]
) -> None:
    players, abstain = table
    game |= {"num_players": players, "allow_abstain": abstain}
    game["roles"] = {"werewolf": 1, **Counter(roles)}
    assert win_probabilities(Rules(**game)) == every_end(game)


# --- samples of the real games --------------------------------------------------

GAMES = 20_000

NAMED: dict[str, Any] = {"allow_abstain": False, "max_days": 1000}
"""Every voter names somebody, and the game goes on until somebody wins."""

VALUES: list[tuple[int, dict[str, int], dict[str, Any]]] = [
    *((n, {"werewolf": m}, {"first_phase": "day"}) for n, m in ((7, 2), (8, 2), (9, 3), (10, 3))),
    (8, {"werewolf": 2, "doctor": 1}, {"doctor_self_save": False}),
    (9, {"werewolf": 2, "doctor": 1}, {}),
    (7, {"werewolf": 2}, {"vote_tie": "none"}),
    (8, {"werewolf": 2}, {"vote_rule": "majority"}),
]
"""The games whose odds are known from elsewhere too."""

OTHERS: list[dict[str, Any]] = [
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
    {"num_players": 9, "roles": {"werewolf": 3, "seer": 1, "witch": 1, "hunter": 1}},
    {
        "num_players": 8,
        "roles": {"werewolf": 2, "witch": 2, "doctor": 1, "hunter": 1},
        "kill_tie": "none",
    },
    {"num_players": 9, "roles": {"werewolf": 2, "idiot": 3}, "first_phase": "day"},
    {
        "num_players": 9,
        "roles": {"werewolf": 2, "mayor": 2, "idiot": 1},
        "vote_tie": "revote",
        "voting": "sequential",
        "discussion": "random_order",
    },
    {
        "num_players": 9,
        "roles": {"werewolf": 2, "mayor": 2},
        "mayor_vote": "tiebreak",
        "vote_tie": "none",
    },
    {
        "num_players": 9,
        "roles": {"werewolf": 2, "mayor": 1, "idiot": 1, "mason": 2},
        "vote_rule": "majority",
        "vote_tie": "revote",
    },
    {
        "num_players": 8,
        "roles": {"werewolf": 2, "doctor": 2},
        "doctor_repeat_save": False,
        **NAMED,
    },
]


def agrees(ends: Counter[str], exact: Odds) -> bool:
    """Whether each end is as frequent as its odds, within 3.5 standard errors."""
    return all(
        abs(ends[end] / GAMES - chance) <= 3.5 * math.sqrt(chance * (1 - chance) / GAMES)
        for end, chance in exact._asdict().items()
    )


def winner(env: WerewolfEnv) -> str:
    """The team of whoever was paid for a win; an episode would say it too, but slowly."""
    for agent, reward in env.rewards.items():
        if reward > 0:
            return team_of(str(env.view(agent).role))
    return "limit"


@pytest.mark.slow
@pytest.mark.parametrize(("players", "roles", "rules"), VALUES)
def test_the_environment_has_these_odds(
    players: int, roles: dict[str, int], rules: dict[str, Any]
) -> None:
    game = {"num_players": players, "roles": roles, **rules, **NAMED}
    env = werewolf_v0.raw_env(discussion_rounds=0, wolf_chat_rounds=0, **game)
    pick = Random(0).choice
    ends: Counter[str] = Counter()
    for seed in range(GAMES):
        env.reset(seed=seed)
        while not env.over:
            *_, info = env.last(observe=False)
            env.step(pick(info["request"].choices))
        ends[winner(env)] += 1
    # What lies beyond a thousand days is less than any float.
    exact = win_probabilities(env.rules, endless=True)
    assert agrees(ends, exact), (ends, exact)


@pytest.mark.slow
@pytest.mark.parametrize("game", OTHERS)
def test_the_rules_have_these_odds(game: dict[str, Any]) -> None:
    """The environment's rules without its texts: a quarter of the time."""
    rules = Rules(discussion_rounds=0, wolf_chat_rounds=0, **game)
    exact = win_probabilities(rules, endless=rules.max_days == 1000)
    pick, rng = Random(0).choice, np.random.default_rng(0)
    ends: Counter[str] = Counter()
    for _ in range(GAMES):
        played = Game(rules, rng)
        while (step := played.next_step()) is not None:
            named = {player: pick(may) for player, may in choices(played, step).items()}
            resolve(played, step, named)
        ends[played.winner() or "limit"] += 1
    assert agrees(ends, exact), (ends, exact)
