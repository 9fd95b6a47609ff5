"""The rules by themselves: dealing, schedule, acts, ends, rewards, and exact odds."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from functools import cache
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.errors import ConfigError
from omar_envs.werewolf.roles import Learned
from omar_envs.werewolf.rules import (
    MAX_PLAYERS,
    MIN_PLAYERS,
    ROLES,
    Death,
    Game,
    Rules,
    Step,
    Vote,
    default_roles,
)


def deal(seed: int = 0, **settings: Any) -> Game:
    return Game(Rules(**settings), np.random.default_rng(seed))


def by_role(game: Game) -> dict[str, list[int]]:
    return {role: game.living(role) for role in ROLES}


def skip_to(game: Game, kind: str) -> Step:
    while (step := game.next_step()) is not None:
        if step.kind == kind:
            return step
    raise AssertionError(f"no {kind} came")


def night(game: Game, named: Mapping[int, int | None]) -> list[Death]:
    return game.resolve_night(skip_to(game, "night"), named)


def elect(game: Game, named: Mapping[int, int | None]) -> Vote:
    return game.resolve_vote(skip_to(game, "vote"), named)


def kinds(game: Game) -> list[tuple[str, int, int]]:
    """The schedule of a game in which nobody dies."""
    steps = iter(game.next_step, None)
    return [(step.kind, step.day, step.round) for step in steps]


# --- dealing ------------------------------------------------------------------


@pytest.mark.parametrize("players", range(MIN_PLAYERS, MAX_PLAYERS + 1))
def test_default_roles_make_a_game(players: int) -> None:
    rules = Rules(num_players=players)
    assert sum(rules.roles.values()) == players
    assert set(rules.roles) == set(ROLES)
    assert deal(num_players=players).winner() is None


def test_default_roles_of_seven() -> None:
    assert default_roles(7) == {"werewolf": 2, "seer": 1, "doctor": 1}


def test_villagers_fill_the_rest() -> None:
    roles = Rules(num_players=6, roles={"werewolf": 2, "doctor": 1}).roles
    assert roles == dict.fromkeys(ROLES, 0) | {"villager": 3, "werewolf": 2, "doctor": 1}


def test_roles_are_copied() -> None:
    given_roles = {"werewolf": 1}
    rules = Rules(num_players=5, roles=given_roles)
    given_roles["werewolf"] = 4
    assert rules.roles["werewolf"] == 1


def test_the_deal_follows_the_seed_and_favours_no_seat() -> None:
    assert deal(3, num_players=9).roles == deal(3, num_players=9).roles
    games = 3000
    counts = Counter(
        seat for seed in range(games) for seat in deal(seed, num_players=5).living("werewolf")
    )
    expected, spread = games / 5, math.sqrt(games * 0.2 * 0.8)
    assert all(abs(counts[seat] - expected) < 4 * spread for seat in range(5))


# --- what is refused ----------------------------------------------------------

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"num_players": 2}, "num_players must be from 3 to 24: got 2"),
    ({"num_players": 25}, "num_players must be from 3 to 24: got 25"),
    ({"num_players": 5.0}, "num_players must be an integer"),
    ({"num_players": True}, "num_players must be an integer"),
    ({"num_players": "7"}, "num_players must be an integer"),
    ({"roles": {"wizard": 1, "werewolf": 1}}, "unknown role 'wizard'.*villager, werewolf, seer"),
    ({"roles": {"mason": 1, "werewolf": 1}}, r"roles\['mason'\] must be 0 or at least 2: got 1"),
    ({"num_players": 3, "roles": {"werewolf": 1, "possessed": 2}}, "nobody on the village's team"),
    ({"roles": {"werewolf": -1}}, r"roles\['werewolf'\] must be from 0"),
    ({"roles": {"werewolf": 1.0}}, r"roles\['werewolf'\] must be an integer"),
    ({"roles": {"werewolf": True}}, r"roles\['werewolf'\] must be an integer"),
    ({"roles": {"werewolf": 2, "seer": 6}}, "name 8 players but num_players is 7"),
    ({"roles": {"werewolf": 2, "villager": 6}}, "name 8 players but num_players is 7"),
    ({"roles": {"seer": 1}}, "no werewolf"),
    ({"roles": {"werewolf": 0}}, "no werewolf"),
    ({"num_players": 4, "roles": {"werewolf": 2}}, "2 werewolves among 4 players have won before"),
    ({"num_players": 5, "roles": {"werewolf": 3}}, "win_rule='parity'.*lower the number"),
    (
        {"num_players": 3, "roles": {"werewolf": 3}, "win_rule": "extinction"},
        "3 werewolves among 3 players have won before",
    ),
    ({"discussion": "debate"}, "discussion must be one of 'simultaneous', 'round_robin', 'random"),
    ({"discussion": None}, "discussion must be one of"),
    ({"discussion_rounds": -1}, "discussion_rounds must be from 0"),
    ({"discussion_rounds": 1.5}, "discussion_rounds must be an integer"),
    ({"wolf_chat_rounds": -1}, "wolf_chat_rounds must be from 0"),
    ({"wolf_chat_rounds": None}, "wolf_chat_rounds must be an integer"),
    ({"first_phase": "dusk"}, "first_phase must be one of 'night', 'day'"),
    ({"first_night_kill": 1}, "first_night_kill must be True or False"),
    ({"first_phase": "day", "first_night_kill": False}, "first_night_kill=False needs first_phase"),
    ({"vote_tie": "again"}, "vote_tie must be one of 'random', 'none', 'revote'"),
    ({"revote_tie": "revote"}, "revote_tie must be one of 'none', 'random'"),
    ({"voting": "open"}, "voting must be one of 'sealed', 'sequential'"),
    ({"last_words": True}, "last_words must be one of 'none', 'day', 'all'"),
    ({"mayor_vote": 2}, "mayor_vote must be one of 'double', 'tiebreak'"),
    ({"outcome_reward": 1}, "outcome_reward must be one of 'plus_minus', 'win_only'"),
    ({"seer_learns": "all"}, "seer_learns must be one of 'team', 'role'"),
    ({"kill_tie": "revote"}, "kill_tie must be one of 'random', 'none'"),
    ({"first_day_vote": 0}, "first_day_vote must be True or False"),
    ({"allow_self_vote": 1}, "allow_self_vote must be True or False"),
    ({"show_votes": False, "voting": "sequential"}, "show_votes=False needs voting='sealed'"),
    (
        {"first_phase": "day", "first_day_vote": False, "discussion_rounds": 0, "max_days": 1},
        "nothing would happen on the only day",
    ),
    ({"zero_sum": 1}, "zero_sum must be True or False"),
    ({"doctor_repeat_save": None}, "doctor_repeat_save must be True or False"),
    ({"reveal_on_death": ("role",)}, "or a pair of them"),
    ({"reveal_on_death": ("role", "all")}, "reveal_on_death must be one of"),
    ({"reveal_on_death": {"role", "none"}}, "or a pair of them"),
    ({"vote_rule": "unanimity"}, "vote_rule must be one of 'plurality', 'majority'"),
    ({"allow_abstain": "yes"}, "allow_abstain must be True or False"),
    ({"reveal_on_death": "all"}, "reveal_on_death must be one of 'none', 'team', 'role'"),
    ({"reveal_on_death": True}, "reveal_on_death must be one of"),
    ({"doctor_self_save": 0}, "doctor_self_save must be True or False"),
    ({"win_rule": "majority"}, "win_rule must be one of 'parity', 'extinction'"),
    ({"max_days": 0}, "max_days must be from 1"),
    ({"max_days": math.inf}, "max_days must be an integer"),
    ({"elimination_discount": 0.0}, r"elimination_discount must be in \(0, 1\]"),
    ({"elimination_discount": 1.01}, r"elimination_discount must be in \(0, 1\]"),
    ({"elimination_discount": -0.5}, r"elimination_discount must be in \(0, 1\]"),
    ({"elimination_discount": math.nan}, "elimination_discount must be a finite number"),
    ({"elimination_discount": "0.9"}, "elimination_discount must be a finite number"),
    ({"elimination_discount": True}, "elimination_discount must be a finite number"),
]


@pytest.mark.parametrize(("settings", "reason"), REFUSED)
def test_impossible_settings_say_which_and_why(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Rules(**settings)


def test_extinction_allows_what_parity_refuses() -> None:
    assert deal(num_players=3, roles={"werewolf": 2}, win_rule="extinction").winner() is None


def test_one_player_may_be_all_that_is_left_to_fill() -> None:
    rules = Rules(num_players=5, roles={"werewolf": 1, "seer": 2, "doctor": 2})
    assert rules.roles["villager"] == 0


# --- schedule -----------------------------------------------------------------


def test_schedule_by_night() -> None:
    game = deal(discussion_rounds=2, wolf_chat_rounds=1, max_days=2)
    assert kinds(game) == [
        ("wolf_chat", 1, 1),
        ("night", 1, 1),
        ("discussion", 1, 1),
        ("discussion", 1, 2),
        ("vote", 1, 1),
        ("wolf_chat", 2, 1),
        ("night", 2, 1),
        ("discussion", 2, 1),
        ("discussion", 2, 2),
        ("vote", 2, 1),
    ]
    assert game.hit_limit()
    assert game.winner() is None


def test_schedule_by_day() -> None:
    game = deal(discussion_rounds=1, wolf_chat_rounds=2, max_days=2, first_phase="day")
    assert kinds(game) == [
        ("discussion", 1, 1),
        ("vote", 1, 1),
        ("wolf_chat", 1, 1),
        ("wolf_chat", 1, 2),
        ("night", 1, 1),
        ("discussion", 2, 1),
        ("vote", 2, 1),
    ]
    assert game.hit_limit()


def test_schedule_without_any_talk() -> None:
    game = deal(discussion_rounds=0, wolf_chat_rounds=0, max_days=1)
    assert kinds(game) == [("night", 1, 1), ("vote", 1, 1)]


def test_first_night_without_a_kill_is_the_seers() -> None:
    game = deal(first_night_kill=False)
    assert game.actors(skip_to(game, "night")) == game.living("seer")
    everyone = {*game.living("seer"), *game.living("werewolf"), *game.living("doctor")}
    assert game.actors(skip_to(game, "night")) == sorted(everyone)


# --- targets ------------------------------------------------------------------


def test_targets() -> None:
    game = deal(num_players=9, roles={"werewolf": 3, "seer": 1, "doctor": 1})
    dead = game.living("villager")[0]
    elect(game, {0: dead})
    roles = by_role(game)
    others = [p for p in range(9) if p != dead and p not in roles["werewolf"]]
    seer, doctor, wolf = roles["seer"][0], roles["doctor"][0], roles["werewolf"][0]
    assert game.targets(wolf, "night") == others
    assert game.targets(doctor, "night") == game.living()
    assert game.targets(seer, "night") == [p for p in game.living() if p != seer]
    for voter in game.living():
        assert game.targets(voter, "vote") == [p for p in game.living() if p != voter]


def test_a_doctor_without_self_save_may_not_name_itself() -> None:
    game = deal(doctor_self_save=False)
    (doctor,) = game.living("doctor")
    assert doctor not in game.targets(doctor, "night")
    assert len(game.targets(doctor, "night")) == 6


# --- nights -------------------------------------------------------------------


def test_the_victim_that_most_wolves_name_dies() -> None:
    game = deal(num_players=9, roles={"werewolf": 3})
    first, second = game.living("villager")[:2]
    one, two, three = game.living("werewolf")
    deaths = night(game, {one: first, two: second, three: second})
    assert deaths == game.deaths == [(second, 1, "killed")]
    assert second not in game.living()


def test_wolves_ties_are_broken_by_the_seed_among_the_tied() -> None:
    settings = {"num_players": 11, "roles": {"werewolf": 5}, "win_rule": "extinction"}
    victims: Counter[int] = Counter()
    for seed in range(300):
        killed = []
        for _ in range(2):
            game = deal(seed, **settings)
            prey = game.living("villager")
            named = dict(zip(game.living("werewolf"), [0, 0, 1, 1, 2], strict=True))
            (death,) = night(game, {wolf: prey[i] for wolf, i in named.items()})
            killed.append(prey.index(death.player))
        assert killed[0] == killed[1]
        victims[killed[0]] += 1
    assert set(victims) == {0, 1}
    assert min(victims.values()) > 100


def test_the_doctor_saves_and_is_saved() -> None:
    for saved_role in ("villager", "doctor"):
        game = deal()
        (doctor,) = game.living("doctor")
        target = game.living(saved_role)[0]
        named = dict.fromkeys(game.living("werewolf"), target) | {doctor: target}
        assert night(game, named) == game.deaths == []


def test_the_wrong_protection_saves_nobody() -> None:
    game = deal()
    (doctor,) = game.living("doctor")
    first, second = game.living("villager")[:2]
    named = dict.fromkeys(game.living("werewolf"), first) | {doctor: second}
    assert [death.player for death in night(game, named)] == [first]


def test_any_of_several_doctors_saves() -> None:
    game = deal(num_players=8, roles={"werewolf": 1, "doctor": 3})
    (wolf,) = game.living("werewolf")
    target = game.living("villager")[0]
    doctors = game.living("doctor")
    named = {wolf: target} | {doctor: doctor for doctor in doctors} | {doctors[2]: target}
    assert night(game, named) == []


def test_a_seer_learns_in_the_night_of_its_death() -> None:
    game = deal()
    (seer,) = game.living("seer")
    wolf, other = game.living("werewolf")
    (death,) = night(game, {wolf: seer, other: seer, seer: wolf})
    assert death.player == seer
    assert game.night.learned == [Learned(seer, wolf, "werewolf")]


def test_every_seer_learns_its_own_targets_team() -> None:
    game = deal(num_players=8, roles={"werewolf": 2, "seer": 2, "doctor": 1})
    one, two = game.living("seer")
    wolf, doctor = game.living("werewolf")[0], game.living("doctor")[0]
    assert night(game, {one: wolf, two: doctor}) == []
    assert game.night.learned == [
        Learned(one, wolf, "werewolf"),
        Learned(two, doctor, "village"),
    ]


# --- votes --------------------------------------------------------------------


def vote(votes: Mapping[int, int | None], seed: int = 0, **settings: Any) -> int | None:
    game = deal(seed, num_players=6, roles={"werewolf": 1}, **settings)
    out = elect(game, votes).out
    assert (out is None) == (game.deaths == [])
    return out


def test_most_votes_are_out() -> None:
    assert vote({0: 1, 1: 2, 2: 1, 3: None, 4: None, 5: None}) == 1


def test_abstentions_never_win() -> None:
    assert vote({0: 1, 1: None, 2: None, 3: None, 4: None, 5: None}) == 1
    assert vote(dict.fromkeys(range(6))) is None


def test_ties_none() -> None:
    assert vote({0: 1, 1: 2, 2: 1, 3: 2, 4: 3, 5: None}, vote_tie="none") is None
    assert vote({0: 1, 1: 2, 2: 1, 3: 2, 4: 1, 5: None}, vote_tie="none") == 1


def test_ties_random_follow_the_seed_among_the_tied() -> None:
    votes = {0: 1, 1: 2, 2: 1, 3: 2, 4: 3, 5: None}
    outs = [vote(votes, seed) for seed in range(200)]
    assert outs == [vote(votes, seed) for seed in range(200)]
    assert set(outs) == {1, 2}
    assert 60 < outs.count(1) < 140


def test_majority_is_more_than_half_of_the_living() -> None:
    half = {0: 1, 1: None, 2: 1, 3: 1, 4: None, 5: None}
    for tie in ("random", "none"):
        assert vote(half, vote_rule="majority", vote_tie=tie) is None
        assert vote({**half, 4: 1}, vote_rule="majority", vote_tie=tie) == 1
        # Most votes are not enough, nor is more than half of the votes cast.
        few = {0: 1, 1: None, 2: 1, 3: 2, 4: None, 5: None}
        assert vote(few, vote_rule="majority", vote_tie=tie) is None


def test_majority_counts_the_living_only() -> None:
    game = deal(num_players=7, roles={"werewolf": 1}, vote_rule="majority")
    prey = game.living("villager")
    (wolf,) = game.living("werewolf")
    night(game, {wolf: prey[0]})
    night(game, {wolf: prey[1]})
    assert len(game.living()) == 5
    votes = dict.fromkeys(game.living()) | dict.fromkeys(prey[3:6], prey[2])
    assert elect(game, votes).out == prey[2]


# --- the end ------------------------------------------------------------------


@pytest.mark.parametrize("win_rule", ["parity", "extinction"])
def test_the_winner_is_checked_after_every_death(win_rule: str) -> None:
    for wolves, others in itertools.product(range(1, 5), range(1, 6)):
        if win_rule == "parity" and wolves >= others:
            continue
        players = wolves + others
        if players < 3:
            continue
        roles = {"werewolf": wolves}
        for order in set(itertools.permutations("w" * wolves + "v" * others)):
            game = deal(num_players=players, roles=roles, win_rule=win_rule)
            for dies in order:
                living = game.living("werewolf" if dies == "w" else "villager")
                w, v = len(game.living("werewolf")), len(game.living("villager"))
                if w == 0:
                    expected = "village"
                elif v == 0 or (win_rule == "parity" and w >= v):
                    expected = "werewolf"
                else:
                    expected = None
                assert game.winner() == expected
                if expected:
                    assert game.next_step() is None
                    assert not game.hit_limit()
                    break
                elect(game, {0: living[0]})


def test_parity_by_night_ends_the_game_before_the_day() -> None:
    game = deal(num_players=4, roles={"werewolf": 1}, discussion_rounds=1, wolf_chat_rounds=0)
    (wolf,) = game.living("werewolf")
    prey = game.living("villager")
    for victim in prey[:2]:
        step = game.next_step()
        assert step is not None
        if step.kind != "night":
            pytest.fail("a night should come first")
        game.resolve_night(step, {wolf: victim})
        if game.winner() is None:
            talk, ballot = game.next_step(), game.next_step()
            assert talk is not None and ballot is not None
            assert (talk.kind, ballot.kind) == ("discussion", "vote")
            game.resolve_vote(ballot, {})
    assert game.winner() == "werewolf"
    assert game.next_step() is None


def test_a_win_on_the_last_day_is_no_limit() -> None:
    game = deal(num_players=3, roles={"werewolf": 1}, first_phase="day", max_days=1)
    while (step := game.next_step()) is not None and step.kind != "vote":
        pass
    assert step is not None
    game.resolve_vote(step, {0: game.living("werewolf")[0]})
    assert game.winner() == "village"
    assert not game.hit_limit()


# --- rewards ------------------------------------------------------------------


def test_winners_miss_a_day_for_each_that_began_after_their_death() -> None:
    game = deal(num_players=7, roles={"werewolf": 1}, elimination_discount=0.5, max_days=9)
    (wolf,) = game.living("werewolf")
    prey = game.living("villager")
    game.resolve_night(skip_to(game, "night"), {wolf: prey[0]})  # before day 1
    game.resolve_vote(skip_to(game, "vote"), {wolf: prey[1]})  # on day 1
    game.resolve_night(skip_to(game, "night"), {wolf: prey[2]})  # before day 2
    game.resolve_vote(skip_to(game, "vote"), {})  # day 2: nobody
    game.resolve_night(skip_to(game, "night"), {})  # night 3: nobody
    game.resolve_vote(skip_to(game, "vote"), {prey[3]: wolf})  # day 3
    assert game.winner() == "village"
    assert [game.days_missed(player) for player in prey] == [3, 2, 2, 0, 0, 0]
    assert [game.rewards()[player] for player in prey] == [0.125, 0.25, 0.25, 1.0, 1.0, 1.0]
    assert game.rewards()[wolf] == -1.0


def test_losses_are_never_discounted_and_dead_wolves_win_discounted() -> None:
    game = deal(num_players=7, roles={"werewolf": 2}, elimination_discount=0.5, first_phase="day")
    one, two = game.living("werewolf")
    prey = game.living("villager")
    game.resolve_vote(skip_to(game, "vote"), {0: one})
    for victim in prey[:4]:
        step = skip_to(game, "night")
        game.resolve_night(step, {two: victim})
        if game.winner() is None:
            skip_to(game, "vote")
    assert game.winner() == "werewolf"
    assert game.rewards()[two] == 1.0
    assert game.days_missed(one) == game.days_begun - 1
    assert game.rewards()[one] == 0.5 ** game.days_missed(one)
    assert {game.rewards()[player] for player in prey} == {-1.0}


def test_discount_one_is_off_and_the_limit_pays_nothing() -> None:
    game = deal(num_players=5, roles={"werewolf": 1}, elimination_discount=1, max_days=2)
    (wolf,) = game.living("werewolf")
    victim, *others = game.living("villager")
    game.resolve_night(skip_to(game, "night"), {wolf: victim})
    assert game.rewards() == [0.0] * 5
    skip_to(game, "vote")
    game.resolve_vote(skip_to(game, "vote"), {others[0]: wolf})
    assert game.rewards()[victim] == 1.0


# --- any game -----------------------------------------------------------------

settings_strategy = st.fixed_dictionaries(
    {
        "num_players": st.integers(15, 20),
        "roles": st.fixed_dictionaries(
            {"werewolf": st.integers(1, 3), "mason": st.sampled_from([0, 2])}
            | {role: st.integers(0, 1) for role in ROLES[2:] if role != "mason"}
        ),
        "discussion": st.sampled_from(["simultaneous", "random_order", "daily_order", "bidding"]),
        "voting": st.sampled_from(["sealed", "sequential"]),
        "kill_tie": st.sampled_from(["random", "none"]),
        "first_day_vote": st.booleans(),
        "allow_self_vote": st.booleans(),
        "last_words": st.sampled_from(["none", "day", "all"]),
        "doctor_repeat_save": st.booleans(),
        "mayor_vote": st.sampled_from(["double", "tiebreak"]),
        "revote_tie": st.sampled_from(["none", "random"]),
        "first_phase": st.sampled_from(["night", "day"]),
        "vote_tie": st.sampled_from(["random", "none", "revote"]),
        "vote_rule": st.sampled_from(["plurality", "majority"]),
        "win_rule": st.sampled_from(["parity", "extinction"]),
        "doctor_self_save": st.booleans(),
        "max_days": st.integers(1, 6),
        "discussion_rounds": st.integers(0, 2),
        "wolf_chat_rounds": st.integers(0, 2),
    }
)


def random_play(game: Game, seed: int, abstain: bool) -> None:
    """Uniform over what may be named."""
    pick = Random(seed).choice

    while (step := game.next_step()) is not None:
        actors = game.actors(step)
        assert len(set(actors)) == len(actors)
        assert set(actors) <= set(game.living())
        targets = {player: game.targets(player, step.kind) for player in actors}
        if step.kind == "night":
            passing = {p: [None] if game.held[p].may_pass else [] for p in actors}
            named = {p: pick([*targets[p], *passing[p]]) for p in actors}
            game.resolve_night(step, named)
        elif step.kind == "vote":
            also = [None] if abstain else []
            game.resolve_vote(step, {p: pick([*targets[p], *also]) for p in actors})
        elif step.kind == "shot":
            for player in actors:
                game.resolve_shot(step, pick(targets[player]))
        elif step.kind == "bid":
            game.resolve_bids({player: pick(range(5)) for player in actors})


@given(settings_strategy, st.integers(0, 2**32 - 1), st.booleans())
def test_laws_of_any_game(settings: dict[str, Any], seed: int, abstain: bool) -> None:
    # A first day without a vote is followed by one with a vote.
    settings = {**settings, "max_days": settings["max_days"] + (not settings["first_day_vote"])}
    game = deal(seed, **settings)
    random_play(game, seed, abstain)
    dead = [death.player for death in game.deaths]
    assert len(dead) == len(set(dead))
    assert sorted(dead + game.living()) == list(range(settings["num_players"]))
    assert (game.winner() is None) == game.hit_limit()
    assert game.days_begun <= settings["max_days"]
    if game.winner() is None:
        assert game.days_begun == settings["max_days"]
    for player in range(settings["num_players"]):
        reward = game.rewards()[player]
        if game.winner() is None:
            assert reward == 0.0
        elif game.team(player) == game.winner():
            assert reward == pytest.approx(0.9 ** game.days_missed(player))
            assert reward == 1.0 or player in dead
        else:
            assert reward == -1.0


# --- exact odds of random play ------------------------------------------------


class Odds(NamedTuple):
    village: float
    wolves: float
    limit: float


def vote_odds(living: int, rule: str, tie: str, abstain: bool) -> float:
    """Probability that a uniformly random vote puts somebody out, by counting every ballot."""
    if rule == "plurality" and tie == "random" and not abstain:
        return 1.0
    ballots = [
        [other for other in range(living) if other != voter] + ([-1] if abstain else [])
        for voter in range(living)
    ]
    hits = total = 0
    for ballot in itertools.product(*ballots):
        counts = sorted(Counter(vote for vote in ballot if vote >= 0).values(), reverse=True)
        total += 1
        if not counts:
            continue
        if rule == "majority":
            hits += counts[0] > living / 2
        else:
            hits += tie == "random" or len(counts) == 1 or counts[0] > counts[1]
    return hits / total


def exact_odds(settings: Mapping[str, Any], abstain: bool) -> Odds:
    """Win probabilities by recursion over (wolves, others, doctor alive, days left).

    Uniform random votes put out each of the living with the same probability, and
    uniform random wolves kill each of the others with the same probability.
    """
    rules = {"vote_rule": "plurality", "vote_tie": "random", "win_rule": "parity", **settings}
    chance_out = cache(
        lambda living: vote_odds(living, rules["vote_rule"], rules["vote_tie"], abstain)
    )

    def mixed(cases: list[tuple[float, Odds]]) -> Odds:
        return Odds(*(sum(p * odds[i] for p, odds in cases) for i in range(3)))

    def over(wolves: int, others: int) -> Odds | None:
        if wolves == 0:
            return Odds(1, 0, 0)
        if others == 0 or (rules["win_rule"] == "parity" and wolves >= others):
            return Odds(0, 1, 0)
        return None

    @cache
    def night(wolves: int, others: int, doctor: int, days: int) -> Odds:
        if (end := over(wolves, others)) is not None:
            return end
        if days == 0:
            return Odds(0, 0, 1)
        living = wolves + others
        own = rules.get("doctor_self_save", True)
        # The doctor names each player that it may with the same probability.
        save_doctor = 1 / living if own else 0.0
        save_other = 1 / living if own else 1 / (living - 1)
        die_doctor = doctor / others * (1 - save_doctor)
        die_other = (others - doctor) / others * (1 - doctor * save_other)
        return mixed(
            [
                (die_doctor, day(wolves, others - 1, 0, days)),
                (die_other, day(wolves, others - 1, doctor, days)),
                (1 - die_doctor - die_other, day(wolves, others, doctor, days)),
            ]
        )

    @cache
    def day(wolves: int, others: int, doctor: int, days: int) -> Odds:
        if (end := over(wolves, others)) is not None:
            return end
        living = wolves + others
        out = chance_out(living)
        hit, doctor_hit = out * wolves / living, out * doctor / living
        cases = [
            (hit, night(wolves - 1, others, doctor, days - 1)),
            (doctor_hit, night(wolves, others - 1, 0, days - 1)),
            (1 - out, night(wolves, others, doctor, days - 1)),
        ]
        if others > doctor:
            rest = out - hit - doctor_hit
            cases.append((rest, night(wolves, others - 1, doctor, days - 1)))
        return mixed(cases)

    roles = rules["roles"]
    first = day if rules.get("first_phase") == "day" else night
    others = rules["num_players"] - roles["werewolf"]
    return first(roles["werewolf"], others, roles.get("doctor", 0), rules.get("max_days", 10))


def test_the_reference_itself() -> None:
    """Three players, one wolf, by day: the vote hits the wolf with 1/3."""
    odds = exact_odds({"num_players": 3, "roles": {"werewolf": 1}, "first_phase": "day"}, False)
    assert odds == pytest.approx((1 / 3, 2 / 3, 0))
    # Five players: the night kills a villager, then 1/4; else 2 against 1 at night, lost.
    odds = exact_odds({"num_players": 5, "roles": {"werewolf": 1}}, False)
    assert odds == pytest.approx((1 / 4, 3 / 4, 0))


ODDS: list[tuple[dict[str, Any], bool]] = [
    ({"num_players": 5, "roles": {"werewolf": 1}}, False),
    ({"num_players": 7, "roles": {"werewolf": 2, "seer": 1, "doctor": 1}}, False),
    ({"num_players": 7, "roles": {"werewolf": 1, "doctor": 1}, "doctor_self_save": False}, False),
    ({"num_players": 7, "roles": {"werewolf": 3}, "win_rule": "extinction"}, False),
    ({"num_players": 8, "roles": {"werewolf": 2, "doctor": 1}, "first_phase": "day"}, False),
    ({"num_players": 5, "roles": {"werewolf": 1}, "vote_tie": "none", "max_days": 3}, True),
    ({"num_players": 5, "roles": {"werewolf": 1}, "vote_rule": "majority", "max_days": 2}, True),
    (
        {
            "num_players": 6,
            "roles": {"werewolf": 1, "doctor": 1},
            "vote_tie": "none",
            "max_days": 2,
        },
        False,
    ),
]


@pytest.mark.parametrize(("settings", "abstain"), ODDS)
def test_random_play_has_the_exact_odds(settings: dict[str, Any], abstain: bool) -> None:
    games = 3000
    ends: Counter[str | None] = Counter()
    rules = Rules(discussion_rounds=0, wolf_chat_rounds=0, **settings)
    for seed in range(games):
        game = Game(rules, np.random.default_rng(seed))
        random_play(game, seed, abstain)
        ends[game.winner()] += 1
    exact = exact_odds(settings, abstain)
    seen = (ends["village"], ends["werewolf"], ends[None])
    for hits, p in zip(seen, exact, strict=True):
        assert abs(hits / games - p) <= 3.5 * math.sqrt(p * (1 - p) / games), (seen, exact)
