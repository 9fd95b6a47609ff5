"""What each role does, by the rules alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from omar_envs.werewolf.roles import ROLE_CLASSES, Learned
from omar_envs.werewolf.rules import Death, Game, Rules, Step, Vote, team_of


def deal(seed: int = 0, **settings: Any) -> Game:
    settings = {"num_players": 9, "discussion_rounds": 0, "wolf_chat_rounds": 0} | settings
    return Game(Rules(**settings), np.random.default_rng(seed))


def skip_to(game: Game, kind: str) -> Step:
    while (step := game.next_step()) is not None:
        if step.kind == kind:
            return step
    raise AssertionError(f"no {kind} came")


def first(game: Game, role: str) -> int:
    return game.living(role)[0]


def begin_night(game: Game, named: Mapping[int, int | None]) -> Step:
    """The first round of a night; returns the second one."""
    assert game.resolve_night(skip_to(game, "night"), named) == []
    step = game.next_step()
    assert step is not None
    assert (step.kind, step.round) == ("night", 2)
    return step


def elect(game: Game, named: Mapping[int, int | None]) -> Vote:
    return game.resolve_vote(skip_to(game, "vote"), named)


def all_vote(game: Game, target: int) -> Vote:
    step = skip_to(game, "vote")
    return game.resolve_vote(step, {p: target for p in game.actors(step) if p != target})


def test_teams_and_who_counts_as_a_wolf() -> None:
    assert {role for role in ROLE_CLASSES if team_of(role) == "werewolf"} == {
        "werewolf",
        "possessed",
    }
    assert [role for role, kind in ROLE_CLASSES.items() if kind.is_wolf] == ["werewolf"]
    assert team_of("jester") == "jester"
    assert all(kind.name == name for name, kind in ROLE_CLASSES.items())


# --- witch --------------------------------------------------------------------

WITCH: dict[str, Any] = {"roles": {"werewolf": 2, "witch": 1, "doctor": 1, "hunter": 1}}


def test_the_witch_acts_after_the_wolves_and_is_told_whom_they_chose() -> None:
    game = deal(**WITCH)
    witch, wolf, prey = first(game, "witch"), first(game, "werewolf"), first(game, "villager")
    step = skip_to(game, "night")
    assert witch not in game.actors(step)
    assert game.resolve_night(step, {wolf: prey}) == []
    assert prey in game.living()
    step = game.next_step()
    assert step == Step("night", 1, 2, dark=True)
    assert game.actors(step) == [witch]
    assert game.held[witch].told(game.night) == prey
    assert game.targets(witch, "night") == [p for p in game.living() if p != witch]


def test_healing_saves_once_and_then_the_victim_is_no_longer_told() -> None:
    game = deal(**WITCH)
    witch, wolf, prey = first(game, "witch"), first(game, "werewolf"), first(game, "villager")
    assert game.resolve_night(begin_night(game, {wolf: prey}), {witch: prey}) == []
    assert prey in game.living()
    step = begin_night(game, {wolf: prey})
    assert game.held[witch].told(game.night) is None
    # The other potion is left, and may be for anybody: no gap shows the victim.
    assert game.targets(witch, "night") == [p for p in game.living() if p != witch]
    assert game.resolve_night(step, {witch: None}) == [Death(prey, 2, "killed")]


def test_a_witch_may_heal_itself_but_not_poison_itself() -> None:
    game = deal(**WITCH)
    witch, wolf = first(game, "witch"), first(game, "werewolf")
    step = begin_night(game, {wolf: witch})
    assert witch in game.targets(witch, "night")
    assert game.resolve_night(step, {witch: witch}) == []
    step = begin_night(game, {wolf: witch})
    assert witch not in game.targets(witch, "night")


def test_poison_kills_whom_the_doctor_protects_and_is_used_once() -> None:
    game = deal(**WITCH)
    witch, wolf, doctor = first(game, "witch"), first(game, "werewolf"), first(game, "doctor")
    prey, other = game.living("villager")[:2]
    step = begin_night(game, {wolf: other, doctor: other})
    deaths = game.resolve_night(step, {witch: prey})
    assert deaths == [Death(prey, 1, "poisoned")]
    begin_night(game, {wolf: other})
    assert game.targets(witch, "night") == [other]  # to heal; no poison is left
    game = deal(**WITCH)
    step = begin_night(game, {wolf: other, doctor: prey})
    assert game.resolve_night(step, {witch: prey}) == sorted(
        [Death(prey, 1, "poisoned"), Death(other, 1, "killed")]
    )


def test_two_protections_are_one() -> None:
    game = deal(**WITCH)
    witch, wolf, doctor = first(game, "witch"), first(game, "werewolf"), first(game, "doctor")
    prey = first(game, "villager")
    step = begin_night(game, {wolf: prey, doctor: prey})
    assert game.resolve_night(step, {witch: prey}) == []
    assert prey in game.living()


def test_a_witch_without_anything_to_do_is_not_asked() -> None:
    game = deal(**WITCH)
    witch, wolf = first(game, "witch"), first(game, "werewolf")
    one, two = game.living("villager")[:2]
    game.resolve_night(begin_night(game, {wolf: one}), {witch: one})
    game.resolve_night(begin_night(game, {wolf: one}), {witch: two})
    step = begin_night(game, {wolf: first(game, "doctor")})
    assert game.actors(step) == []


def test_a_peaceful_night_has_no_potions() -> None:
    game = deal(first_night_kill=False, **WITCH)
    assert game.actors(skip_to(game, "night")) == []
    step = game.next_step()
    assert step is not None
    assert game.actors(step) == []


# --- hunter -------------------------------------------------------------------


def test_a_hunter_who_is_voted_out_shoots_before_anybody_has_died() -> None:
    game = deal(roles={"werewolf": 1, "hunter": 1})
    hunter, wolf = first(game, "hunter"), first(game, "werewolf")
    all_vote(game, hunter)
    assert hunter in game.living()
    assert game.winner() is None
    step = game.next_step()
    assert step == Step("shot", 1, 1, hunter)
    assert game.actors(step) == [hunter]
    assert game.targets(hunter, "shot") == [p for p in game.living() if p != hunter]
    assert game.resolve_shot(step, wolf) == Death(wolf, 1, "shot")
    assert [death.player for death in game.deaths] == [hunter, wolf]
    assert game.winner() == "village"


def test_a_hunter_killed_at_night_shoots_before_the_day() -> None:
    game = deal(roles={"werewolf": 1, "hunter": 1})
    hunter, wolf = first(game, "hunter"), first(game, "werewolf")
    prey = first(game, "villager")
    game.resolve_night(skip_to(game, "night"), {wolf: hunter})
    step = game.next_step()
    assert step == Step("shot", 1, 1, hunter, dark=True)
    game.resolve_shot(step, prey)
    assert hunter not in game.living()
    assert prey not in game.living()
    assert game.days_begun == 0


def test_a_poisoned_hunter_does_not_shoot_even_if_the_wolves_chose_it_too() -> None:
    for victim in ("villager", "hunter"):
        game = deal(**WITCH)
        witch, wolf, hunter = first(game, "witch"), first(game, "werewolf"), first(game, "hunter")
        game.held[witch].heals = False  # type: ignore[attr-defined]
        step = begin_night(game, {wolf: first(game, victim)})
        deaths = game.resolve_night(step, {witch: hunter})
        assert Death(hunter, 1, "poisoned") in deaths
        assert len(deaths) == (2 if victim == "villager" else 1)
        after = game.next_step()
        assert after is not None
        assert after.kind == "vote"


def test_shots_can_follow_one_another() -> None:
    game = deal(roles={"werewolf": 1, "hunter": 2})
    one, two = game.living("hunter")
    wolf = first(game, "werewolf")
    all_vote(game, one)
    game.resolve_shot(skip_to(game, "shot"), two)
    assert game.deaths == []
    step = game.next_step()
    assert step == Step("shot", 1, 1, two)
    assert one not in game.targets(two, "shot")
    game.resolve_shot(step, wolf)
    assert [(d.player, d.cause) for d in game.deaths] == [
        (one, "voted_out"),
        (two, "shot"),
        (wolf, "shot"),
    ]


def test_a_shot_can_win_for_the_wolves() -> None:
    game = deal(num_players=4, roles={"werewolf": 1, "hunter": 1}, first_phase="day")
    hunter, prey = first(game, "hunter"), first(game, "villager")
    all_vote(game, hunter)
    game.resolve_shot(skip_to(game, "shot"), prey)
    assert game.winner() == "werewolf"
    assert game.next_step() is None


# --- medium, possessed, mason -------------------------------------------------


def test_the_medium_learns_of_the_executed_only() -> None:
    game = deal(roles={"werewolf": 2, "medium": 1, "possessed": 1})
    medium, wolf = first(game, "medium"), first(game, "werewolf")
    possessed, prey = first(game, "possessed"), first(game, "villager")
    game.resolve_night(skip_to(game, "night"), {wolf: prey})
    assert game.night.learned == []
    assert all_vote(game, possessed).learned == (Learned(medium, possessed, "village"),)
    assert all_vote(game, wolf).learned == (Learned(medium, wolf, "werewolf"),)
    assert all_vote(game, medium).learned == ()


def test_a_dead_medium_learns_nothing() -> None:
    game = deal(roles={"werewolf": 2, "medium": 2})
    dead, alive = game.living("medium")
    wolf, prey = first(game, "werewolf"), first(game, "villager")
    game.resolve_night(skip_to(game, "night"), {wolf: dead})
    assert all_vote(game, prey).learned == (Learned(alive, prey, "village"),)


def test_the_possessed_is_human_to_all_that_looks_or_counts_and_wins_with_the_wolves() -> None:
    game = deal(num_players=5, roles={"werewolf": 1, "possessed": 1, "seer": 1})
    seer, wolf, possessed = (first(game, role) for role in ("seer", "werewolf", "possessed"))
    prey = game.living("villager")
    assert possessed in game.targets(wolf, "night")
    assert game.held[wolf].partners(game, wolf) == []
    assert game.held[possessed].partners(game, possessed) == []
    game.resolve_night(skip_to(game, "night"), {wolf: prey[0], seer: possessed})
    assert game.night.learned == [Learned(seer, possessed, "village")]
    all_vote(game, prey[1])
    # One wolf, one possessed, one seer: not half of the living are wolves.
    assert game.winner() is None
    game.resolve_night(skip_to(game, "night"), {wolf: seer})
    assert game.winner() == "werewolf"
    rewards = game.rewards()
    assert rewards[wolf] == rewards[possessed] == 1.0
    assert rewards[seer] == -1.0


def test_masons_know_one_another() -> None:
    game = deal(roles={"werewolf": 2, "mason": 3})
    masons = game.living("mason")
    for mason in masons:
        assert game.held[mason].partners(game, mason) == [m for m in masons if m != mason]
    villager = first(game, "villager")
    assert game.held[villager].partners(game, villager) == []


# --- mayor --------------------------------------------------------------------


def five_votes(game: Game, mayors_choice: int, others_choice: int) -> dict[int, int | None]:
    (mayor,) = game.living("mayor")
    voters = [p for p in game.living() if p not in (mayor, mayors_choice, others_choice)]
    return {mayor: mayors_choice, voters[0]: others_choice} | dict.fromkeys(voters[1:])


def test_a_double_vote_outweighs_one() -> None:
    game = deal(roles={"werewolf": 2, "mayor": 1}, vote_tie="none")
    one, two = game.living("villager")[:2]
    assert elect(game, five_votes(game, one, two)).out == one


def test_a_double_vote_counts_in_a_majority_on_both_sides() -> None:
    game = deal(num_players=5, roles={"werewolf": 1, "mayor": 1}, vote_rule="majority")
    (mayor,) = game.living("mayor")
    one, two, three = game.living("villager")
    votes: dict[int, int | None] = {mayor: one, two: one, three: None, one: None}
    # Three of six votes are no majority, four are.
    assert elect(game, votes | {first(game, "werewolf"): None}).out is None
    assert elect(game, votes | {three: one, first(game, "werewolf"): None}).out == one


def test_a_tie_breaking_vote_decides_ties_only() -> None:
    settings = {"roles": {"werewolf": 2, "mayor": 1}, "mayor_vote": "tiebreak"}
    for tie in ("none", "random", "revote"):
        game = deal(vote_tie=tie, **settings)
        one, two = game.living("villager")[:2]
        assert elect(game, five_votes(game, one, two)).out == one
        (mayor,) = game.living("mayor")
        voters = [p for p in game.living() if p not in (mayor, two)]
        assert elect(game, {mayor: voters[0], voters[1]: two, voters[2]: two}).out == two


def test_a_double_vote_breaks_no_tie() -> None:
    game = deal(roles={"werewolf": 2, "mayor": 1}, vote_tie="none")
    (mayor,) = game.living("mayor")
    one, two, three, four = game.living("villager")[:4]
    assert elect(game, {mayor: one, three: two, four: two}) == Vote()


# --- idiot, jester ------------------------------------------------------------


def test_the_idiot_stays_once_and_votes_no_more() -> None:
    game = deal(roles={"werewolf": 2, "idiot": 1})
    idiot = first(game, "idiot")
    assert all_vote(game, idiot) == Vote(spared=idiot)
    assert idiot in game.living()
    assert game.deaths == []
    step = skip_to(game, "vote")
    assert idiot not in game.actors(step)
    game.resolve_vote(step, {})
    assert all_vote(game, idiot) == Vote(out=idiot)
    assert idiot not in game.living()


def test_the_idiot_dies_at_night_like_anybody() -> None:
    game = deal(roles={"werewolf": 1, "idiot": 1})
    idiot, wolf = first(game, "idiot"), first(game, "werewolf")
    game.resolve_night(skip_to(game, "night"), {wolf: idiot})
    assert game.deaths == [(idiot, 1, "killed")]


def test_the_jester_wins_alone_by_being_voted_out_and_by_nothing_else() -> None:
    game = deal(roles={"werewolf": 2, "jester": 1})
    jester = first(game, "jester")
    all_vote(game, jester)
    assert game.winner() == "jester"
    assert game.next_step() is None
    assert not game.hit_limit()
    assert [reward > 0 for reward in game.rewards()] == [p == jester for p in range(9)]
    game = deal(roles={"werewolf": 2, "jester": 1})
    game.resolve_night(skip_to(game, "night"), {first(game, "werewolf"): jester})
    assert game.winner() is None
    assert jester not in game.living()


def test_the_jester_counts_as_no_wolf() -> None:
    game = deal(num_players=4, roles={"werewolf": 1, "jester": 1})
    wolf, (one, two) = first(game, "werewolf"), game.living("villager")
    game.resolve_night(skip_to(game, "night"), {wolf: one})
    # A wolf, a jester and a villager: not half of the living are wolves.
    assert game.winner() is None
    all_vote(game, two)
    assert game.winner() == "werewolf"


# --- doctor -------------------------------------------------------------------


def test_without_repeat_save_last_nights_player_may_not_be_protected_again() -> None:
    game = deal(roles={"werewolf": 1, "doctor": 1}, doctor_repeat_save=False)
    doctor, prey = first(game, "doctor"), first(game, "villager")
    game.resolve_night(skip_to(game, "night"), {doctor: prey})
    skip_to(game, "night")
    assert prey not in game.targets(doctor, "night")
    game.resolve_night(Step("night", 2, dark=True), {doctor: doctor})
    skip_to(game, "night")
    assert prey in game.targets(doctor, "night")
    assert doctor not in game.targets(doctor, "night")


def test_a_doctor_with_nobody_else_left_may_repeat() -> None:
    game = deal(
        num_players=3,
        roles={"werewolf": 1, "doctor": 1},
        win_rule="extinction",
        doctor_self_save=False,
        doctor_repeat_save=False,
    )
    doctor, wolf, other = (first(game, role) for role in ("doctor", "werewolf", "villager"))
    game.resolve_night(skip_to(game, "night"), {wolf: doctor, doctor: wolf})
    assert game.deaths  # the doctor dies; a fresh game keeps it alive instead
    game = deal(
        num_players=3,
        roles={"werewolf": 1, "doctor": 1},
        win_rule="extinction",
        doctor_self_save=False,
        doctor_repeat_save=False,
    )
    game.resolve_night(skip_to(game, "night"), {wolf: other, doctor: wolf})
    skip_to(game, "night")
    assert game.targets(doctor, "night") == [wolf]


# --- wolves, seer -------------------------------------------------------------


def test_a_tie_between_wolves_kills_one_of_the_tied_or_nobody() -> None:
    for kill_tie, deaths in (("random", 1), ("none", 0)):
        game = deal(roles={"werewolf": 2}, kill_tie=kill_tie)
        one, two = game.living("werewolf")
        prey = game.living("villager")
        named = {one: prey[0], two: prey[1]}
        assert len(game.resolve_night(skip_to(game, "night"), named)) == deaths
        assert game.resolve_night(skip_to(game, "night"), {one: prey[2], two: prey[2]})


def test_a_seer_may_learn_roles() -> None:
    game = deal(roles={"werewolf": 2, "seer": 1, "possessed": 1}, seer_learns="role")
    seer, possessed = first(game, "seer"), first(game, "possessed")
    game.resolve_night(skip_to(game, "night"), {seer: possessed})
    assert game.night.learned == [Learned(seer, possessed, "village", "possessed")]


# --- last words, revotes, bids ------------------------------------------------


@pytest.mark.parametrize(("mode", "by_day", "by_night"), [("none", 0, 0), ("day", 1, 0)])
def test_last_words(mode: str, by_day: int, by_night: int) -> None:
    game = deal(roles={"werewolf": 1}, last_words=mode)
    wolf, (one, two, *_) = first(game, "werewolf"), game.living("villager")
    game.resolve_night(skip_to(game, "night"), {wolf: one})
    assert (one in game.living()) == bool(by_night)
    all_vote(game, two)
    assert (two in game.living()) == bool(by_day)
    if by_day:
        step = game.next_step()
        assert step == Step("last_words", 1, 1, two)
        assert game.actors(step) == [two]
        game.next_step()
        assert two not in game.living()


def test_last_words_at_night_come_before_the_shot_and_one_by_one() -> None:
    roles = {"werewolf": 1, "witch": 1, "hunter": 1}
    game = deal(roles=roles, last_words="all")
    wolf, witch, hunter = (first(game, role) for role in ("werewolf", "witch", "hunter"))
    prey = first(game, "villager")
    game.resolve_night(begin_night(game, {wolf: hunter}), {witch: prey})
    expected = [Step("last_words", 1, 1, p, dark=True) for p in sorted((hunter, prey))]
    shot = Step("shot", 1, 1, hunter, dark=True)
    expected.insert(expected.index(Step("last_words", 1, 1, hunter, dark=True)) + 1, shot)
    seen = []
    for _ in range(3):
        step = game.next_step()
        assert step is not None
        seen.append(step)
        if step.kind == "shot":
            game.resolve_shot(step, game.targets(hunter, "shot")[0])
    assert seen == expected


def test_a_revote_is_between_the_tied_and_happens_once() -> None:
    for revote_tie, ends in (("none", {None}), ("random", {0, 1})):
        outs = set()
        for seed in range(20):
            game = deal(seed, roles={"werewolf": 1}, vote_tie="revote", revote_tie=revote_tie)
            one, two, three = game.living("villager")[:3]
            tie: dict[int, int | None] = {one: two, two: one}
            assert elect(game, tie | {three: None}) == Vote(tied=(one, two))
            step = game.next_step()
            assert step == Step("vote", 1, 2)
            assert game.targets(three, "vote") == [one, two]
            assert game.targets(one, "vote") == [two]
            out = game.resolve_vote(step, tie).out
            outs.add(None if out is None else (one, two).index(out))
            night = game.next_step()
            assert night is None or night.kind == "night"
            if night is not None:
                game.resolve_night(night, {})
                step = game.next_step()
                assert step is not None
                assert len(game.targets(three, "vote")) == len(game.living()) - 1
        assert outs == ends


def test_a_revote_under_majority_is_between_the_two_most_named() -> None:
    game = deal(roles={"werewolf": 1}, vote_tie="revote", vote_rule="majority")
    a, b, c, d, e, f, g = game.living("villager")[:7]
    votes: dict[int, int | None] = {a: b, c: b, d: b, b: a, e: a, f: c, g: None}
    assert elect(game, votes | dict.fromkeys(p for p in game.living() if p not in votes)) == Vote(
        tied=tuple(sorted((a, b)))
    )
    step = game.next_step()
    assert step is not None
    assert game.resolve_vote(step, dict.fromkeys(game.living(), b)).out == b
    # Nothing to vote again on where fewer than two were named.
    game = deal(roles={"werewolf": 1}, vote_tie="revote", vote_rule="majority")
    few = dict.fromkeys(game.living()) | {a: b}
    assert elect(game, few) == Vote()


def test_the_highest_bid_speaks() -> None:
    game = deal(discussion="bidding", discussion_rounds=2)
    bid, talk = skip_to(game, "bid"), None
    assert game.actors(bid) == game.living()
    assert game.resolve_bids({0: 1, 1: 4, 2: 3}) == 1
    talk = game.next_step()
    assert talk is not None
    assert (talk.kind, game.actors(talk)) == ("discussion", [1])


def test_tied_bids_go_to_whom_the_talk_named_last_then_to_who_spoke_least_then_to_chance() -> None:
    tied = {0: 2, 1: 2, 2: 2, 3: 0}
    game = deal(discussion="bidding", discussion_rounds=9)
    skip_to(game, "bid")
    assert game.resolve_bids(tied, named_last=[3, 2, 0]) == 2
    assert game.resolve_bids(tied, named_last=[2, 0]) == 2
    assert {game.resolve_bids(tied), game.resolve_bids(tied)} == {0, 1}
    counts = Counter(deal(seed).resolve_bids(tied) for seed in range(300))
    assert set(counts) == {0, 1, 2}
    assert min(counts.values()) > 60
    assert game.resolve_bids({}) is None


def test_who_has_spoken_least_is_counted_day_by_day() -> None:
    keen, other = 0, 1
    speakers = set()
    for seed in range(40):
        game = deal(seed, discussion="bidding", discussion_rounds=1, first_phase="day")
        skip_to(game, "bid")
        game.resolve_bids({keen: 4, other: 0})
        game.resolve_vote(skip_to(game, "vote"), {})
        skip_to(game, "bid")
        speakers.add(game.resolve_bids({keen: 4, other: 4}))
    assert speakers == {keen, other}


def test_random_order_is_seeded_and_new_each_round() -> None:
    orders = []
    for _ in range(2):
        game = deal(3, discussion="random_order", discussion_rounds=3)
        steps = [skip_to(game, "discussion") for _ in range(3)]
        assert [step.round for step in steps] == [1, 2, 3]
        game = deal(3, discussion="random_order", discussion_rounds=3)
        orders.append([game.actors(skip_to(game, "discussion")) for _ in range(3)])
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders[0]}) == 3
    assert all(sorted(order) == list(range(9)) for order in orders[0])


def test_a_daily_order_is_drawn_once_a_day() -> None:
    game = deal(discussion="daily_order", discussion_rounds=2, max_days=3)
    orders = [game.actors(skip_to(game, "discussion")) for _ in range(6)]
    assert orders[0] == orders[1] != orders[2] == orders[3] != orders[4] == orders[5]
    assert all(sorted(order) == list(range(9)) for order in orders)


def test_votes_in_turn_go_in_seat_order_or_in_an_order_of_their_own() -> None:
    for discussion, drawn in (("round_robin", False), ("random_order", True)):
        game = deal(discussion=discussion, voting="sequential", max_days=3)
        steps = [skip_to(game, "vote") for _ in range(2)]
        game = deal(discussion=discussion, voting="sequential", max_days=3)
        orders = []
        for _ in steps:
            step = skip_to(game, "vote")
            assert game.actors(step) == game.actors(step)
            orders.append(game.actors(step))
        assert (orders[0] == list(range(9))) == (not drawn)
        assert (orders[0] == orders[1]) == (not drawn)


def test_a_first_day_without_a_vote() -> None:
    game = deal(first_day_vote=False, discussion_rounds=1, max_days=2)
    kinds = [(step.kind, step.day) for step in iter(game.next_step, None)]
    assert [day for kind, day in kinds if kind == "vote"] == [2]
    assert [day for kind, day in kinds if kind == "discussion"] == [1, 2]


def test_who_may_vote_against_itself() -> None:
    for allowed in (True, False):
        game = deal(allow_self_vote=allowed)
        assert (3 in game.targets(3, "vote")) is allowed


# --- rewards ------------------------------------------------------------------


def test_win_only_pays_nothing_for_a_loss_and_nothing_at_the_limit() -> None:
    game = deal(roles={"werewolf": 1}, outcome_reward="win_only", max_days=1)
    assert game.rewards() == [0.0] * 9
    wolf = first(game, "werewolf")
    all_vote(game, wolf)
    assert sorted(set(game.rewards())) == [0.0, 1.0]
    assert game.rewards()[wolf] == 0.0


@pytest.mark.parametrize("scale", ["plus_minus", "win_only"])
@pytest.mark.parametrize("discount", [1.0, 0.5])
def test_zero_sum_sums_to_zero_and_keeps_differences(scale: str, discount: float) -> None:
    ends = []
    for zero_sum in (False, True):
        game = deal(
            roles={"werewolf": 1},
            outcome_reward=scale,
            elimination_discount=discount,
            zero_sum=zero_sum,
        )
        wolf, prey = first(game, "werewolf"), first(game, "villager")
        game.resolve_night(skip_to(game, "night"), {wolf: prey})
        all_vote(game, wolf)
        ends.append(game.rewards())
    assert sum(ends[1]) == pytest.approx(0.0, abs=1e-12)
    assert ends[0] != ends[1]
    assert np.allclose(np.subtract.outer(ends[0], ends[0]), np.subtract.outer(ends[1], ends[1]))
