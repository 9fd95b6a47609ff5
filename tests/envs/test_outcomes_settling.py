"""How proposals, acceptances and sealed answers settle, and what leaving does."""

from __future__ import annotations

import json
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs.sotopia.mechanisms import Split
from omar_envs.sotopia.outcomes import Notice, Settlement
from tests.envs.settlements import (
    CHORES,
    FRIENDS,
    GRANT,
    MEETING,
    NAMES,
    PIANO,
    POT,
    SITE,
    STAG,
    in_turn,
    legal,
    opened,
    refused,
    together,
)

ANA, BEN, CHO, DOV = range(4)
EVEN = dict.fromkeys(NAMES[:4], 3)
ODD = {"Ana": 6, "Ben": 4, "Cho": 2}


def price(settlement: Settlement) -> object:
    deal = settlement.result().deal
    return None if deal is None else deal["price"]


# --- proposals ------------------------------------------------------------------


def test_a_deal_is_made_when_the_other_accepts() -> None:
    game = opened(PIANO)
    assert not game.closed
    assert together(game, (ANA, "propose", 400)) == ()
    assert not game.closed
    (notice,) = together(game, (BEN, "accept"))
    assert notice == Notice(
        None,
        "All have agreed. The deal: Ana Lima sells the piano to Ben Okoro for 400 dollars.",
    )
    assert game.closed
    assert game.result().settled
    assert price(game) == 400
    for seat in (ANA, BEN):
        for act in ("propose", "accept"):
            assert "made already" in refused(game, seat, act, 300)


def test_a_new_proposal_replaces_the_last_one() -> None:
    game = opened(PIANO)
    in_turn(game, (ANA, "propose", 450), (ANA, "propose", 410), (BEN, "accept", "Ana"))
    assert price(game) == 410


def test_a_replaced_proposal_loses_its_acceptances() -> None:
    game = opened(MEETING)
    in_turn(
        game,
        (ANA, "propose", "Mon 9:00"),
        (BEN, "accept"),
        (ANA, "propose", "Tue 9:00"),
        (CHO, "accept"),
    )
    assert not game.closed
    together(game, (BEN, "accept"))
    assert game.result().deal == {"slot": "Tue 9:00"}


def test_to_propose_the_same_again_changes_nothing() -> None:
    game = opened(MEETING)
    in_turn(
        game,
        (ANA, "propose", "Mon 9:00"),
        (BEN, "accept"),
        (ANA, "propose", {"slot": "mon 9:00"}),
        (CHO, "accept"),
    )
    assert game.result().deal == {"slot": "Mon 9:00"}


def test_an_acceptance_stands_while_other_proposals_come() -> None:
    game = opened(MEETING)
    in_turn(
        game,
        (ANA, "propose", "Mon 9:00"),
        (BEN, "accept"),
        (CHO, "propose", "Tue 9:00"),
        (CHO, "accept", "Ana"),
    )
    assert game.result().deal == {"slot": "Mon 9:00"}


def test_to_accept_without_a_name_needs_one_standing_proposal() -> None:
    game = opened(GRANT)
    assert "nobody else" in refused(game, ANA, "accept")
    together(game, (ANA, "propose", EVEN))
    assert "nobody else" in refused(game, ANA, "accept")
    for nothing in (None, "", "  ", {}):
        assert json.loads(legal(game, BEN, "accept", nothing).argument) == "Ana Lima"
    together(game, (BEN, "propose", ODD))
    assert json.loads(legal(game, ANA, "accept").argument) == "Ben Okoro"
    reason = refused(game, CHO, "accept")
    assert "Ana Lima" in reason
    assert "Ben Okoro" in reason


@pytest.mark.parametrize("name", ["Ben Okoro", "ben okoro", "Ben", "OKORO", '"Ben"', " ben. "])
def test_to_accept_by_name(name: str) -> None:
    game = opened(GRANT)
    together(game, (ANA, "propose", EVEN), (BEN, "propose", ODD))
    assert json.loads(legal(game, CHO, "accept", name).argument) == "Ben Okoro"


@pytest.mark.parametrize("name", ["Cho", "Dov", "Zoe", "Ana Okoro", "Ana or Ben", ["Ben"], 1, True])
def test_names_without_a_standing_proposal_are_refused(name: object) -> None:
    game = opened(GRANT)
    together(game, (ANA, "propose", EVEN), (BEN, "propose", ODD))
    assert "Ana Lima and Ben Okoro" in refused(game, CHO, "accept", name)


def test_nobody_accepts_their_own_or_twice() -> None:
    game = opened(GRANT)
    together(game, (ANA, "propose", EVEN), (BEN, "propose", ODD))
    assert "your own" in refused(game, ANA, "accept", "Ana")
    together(game, (CHO, "accept", "Ana"))
    assert "already" in refused(game, CHO, "accept", "Ana")


def test_first_names_of_two_name_neither() -> None:
    game = MEETING.open(("Ana Lima", "Ana Park", "Cho Park"))
    together(game, (0, "propose", "Mon 9:00"), (1, "propose", "Tue 9:00"))
    refused(game, 2, "accept", "Ana")
    refused(game, 2, "accept", "Park")
    assert json.loads(legal(game, 2, "accept", "Lima").argument) == "Ana Lima"


# --- acts unseen by one another -------------------------------------------------


def test_an_acceptance_means_what_stood_before_the_turn() -> None:
    game = opened(PIANO)
    together(game, (ANA, "propose", 400))
    together(game, (ANA, "propose", 480), (BEN, "accept"))
    assert price(game) == 400


def test_cross_acceptance_of_different_deals_holds_for_neither() -> None:
    game = opened(PIANO)
    together(game, (ANA, "propose", 400), (BEN, "propose", 350))
    (notice,) = together(game, (ANA, "accept"), (BEN, "accept"))
    assert "none of them holds" in notice.text
    assert notice.seat is None
    assert not game.closed
    together(game, (ANA, "accept"))
    assert price(game) == 350


def test_cross_acceptance_of_the_same_deal_holds() -> None:
    game = opened(PIANO)
    together(game, (ANA, "propose", 400))
    together(game, (BEN, "propose", "400.00"))
    assert price(game) == 400


def test_the_same_proposal_at_once_is_a_deal() -> None:
    game = opened(PIANO)
    (notice,) = together(game, (ANA, "propose", 380), (BEN, "propose", '{"price": "380"}'))
    assert notice.text.startswith("All have agreed")
    assert price(game) == 380


def test_proposals_that_swap_meet_nobody() -> None:
    game = opened(PIANO)
    together(game, (ANA, "propose", 400), (BEN, "propose", 350))
    assert together(game, (ANA, "propose", 350), (BEN, "propose", 400)) == ()
    assert not game.closed


def test_two_majorities_at_once_hold_for_neither() -> None:
    game = opened(Split(12, "crates", 2, (0, 0, 0), (6, 6, 6)))
    together(game, (ANA, "propose", {"Ana": 12}), (BEN, "propose", {"Ben": 12}))
    (notice,) = together(game, (CHO, "accept", "Ana"), (ANA, "accept", "Ben"))
    assert "none of them holds" in notice.text
    together(game, (CHO, "accept", "Ben"))
    assert game.result().deal == {"Ana Lima": 0, "Ben Okoro": 12, "Cho Park": 0}


TURNS = st.lists(
    st.lists(
        st.sampled_from([None, "accept Ana", "accept Ben", "accept Cho", "Mon 9:00", "Tue 9:00"]),
        min_size=3,
        max_size=3,
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60)
@given(turns=TURNS)
def test_the_order_inside_a_turn_is_without_effect(turns: list[list[str | None]]) -> None:
    """Three people's turns, each applied in all six orders, give the same game."""
    games = [opened(MEETING) for _ in range(6)]
    for turn in turns:
        acts = []
        for seat, words in enumerate(turn):
            if words is None:
                continue
            act, _, whose = words.partition(" ") if words[0] == "a" else ("propose", "", words)
            if games[0].check(seat, act, whose).legal:
                acts.append(legal(games[0], seat, act, whose))
        orders = [tuple(order) for order in permutations(acts)]
        told = {games[i].apply(orders[i % len(orders)]) for i in range(6)}
        assert len(told) == 1
        assert len({game.closed for game in games}) == 1
        assert all(game.result() == games[0].result() for game in games)


# --- quotas and leaving ---------------------------------------------------------


def test_a_quota_settles_without_the_rest() -> None:
    game = opened(GRANT)
    notices = in_turn(game, (ANA, "propose", ODD), (DOV, "propose", EVEN), (BEN, "accept", "Ana"))
    assert notices == ()
    (notice,) = together(game, (CHO, "accept", "Ana"))
    assert notice.text == (
        "Ana Lima, Ben Okoro and Cho Park have agreed. The deal: Ana Lima gets 6, Ben Okoro 4, "
        "Cho Park 2 and Dov Katz nothing (thousand euros)."
    )
    assert game.closed


def test_where_all_are_needed_a_leaver_ends_it() -> None:
    for outcome in (PIANO, MEETING, CHORES):
        game = opened(outcome)
        game.leave(BEN)
        assert game.closed
        assert not game.result().settled
        assert "left" in refused(game, ANA, "propose", 400)
        assert "you have left" in refused(game, BEN, "propose", 400)


def test_a_quota_can_do_without_a_leaver() -> None:
    game = opened(GRANT)
    in_turn(game, (ANA, "propose", ODD), (DOV, "accept"))
    game.leave(DOV)
    together(game, (BEN, "accept"))
    assert not game.closed  # the leaver's acceptance has gone with it
    together(game, (CHO, "accept"))
    assert game.result().settled


def test_a_quota_out_of_reach_ends_it() -> None:
    game = opened(GRANT)
    game.leave(ANA)
    assert not game.closed
    game.leave(BEN)
    assert game.closed


def test_a_leavers_proposal_goes_with_it() -> None:
    game = opened(GRANT)
    together(game, (ANA, "propose", ODD), (BEN, "propose", EVEN))
    acceptance = legal(game, CHO, "accept", "Ana")
    game.leave(ANA)
    assert game.apply((acceptance,)) == ()
    assert json.loads(legal(game, CHO, "accept").argument) == "Ben Okoro"
    assert "Ben Okoro" in refused(game, CHO, "accept", "Ana")


def test_leaving_undoes_no_deal() -> None:
    game = opened(PIANO)
    in_turn(game, (ANA, "propose", 400), (BEN, "accept"))
    before = game.result()
    game.leave(ANA)
    assert game.result() == before


# --- sealed answers -------------------------------------------------------------


def test_answers_stay_sealed_until_all_have_come() -> None:
    game = opened(STAG)
    acts = [legal(game, seat, "answer", choice) for seat, choice in enumerate(("stag",) * 3)]
    shown = {STAG.shown(act, NAMES[:3]) for act in acts} | {
        STAG.shown(legal(game, 0, "answer", "hare"), NAMES[:3])
    }
    assert shown == {"has given a sealed answer"}
    assert game.apply((acts[0], acts[1])) == ()
    assert not game.closed
    (notice,) = game.apply((acts[2],))
    assert notice == Notice(
        None, "The answers are opened. Ana Lima: stag; Ben Okoro: stag; Cho Park: stag."
    )
    assert game.closed
    assert game.result().deal == dict.fromkeys(NAMES[:3], "stag")


def test_an_answer_is_final() -> None:
    game = opened(POT)
    together(game, (ANA, "answer", 0))
    assert "final" in refused(game, ANA, "answer", 3)


def test_who_leaves_without_an_answer_gives_none() -> None:
    game = opened(POT)
    together(game, (ANA, "answer", 10))
    game.leave(CHO)
    (notice,) = together(game, (BEN, "answer", 12))
    assert notice.text.endswith("Cho Park: no answer.")
    result = game.result()
    assert game.closed
    assert not result.settled
    assert result.points == (22 * 2 / 3, 22 * 2 / 3, 0.0)
    assert result.scores[CHO] == 0


def test_who_leaves_after_answering_has_answered() -> None:
    game = opened(STAG)
    together(game, (ANA, "answer", "stag"))
    game.leave(ANA)
    together(game, (BEN, "answer", "stag"), (CHO, "answer", "stag"))
    assert game.result().settled
    assert game.result().scores == (1.0, 1.0, 1.0)


def test_where_all_answers_are_needed_a_leaver_ends_it() -> None:
    game = opened(FRIENDS)
    game.leave(ANA)
    assert game.closed
    assert game.result().scores == (0.0, 0.0)
    assert "left" in refused(game, BEN, "answer", "Li Berg")


def test_a_majority_can_be_right_without_the_rest() -> None:
    game = opened(SITE)
    together(game, (ANA, "answer", "the bay"))
    game.leave(CHO)
    assert game.result().scores == (0.0,) * 3
    together(game, (BEN, "answer", "the bay"))
    assert game.closed
    assert game.result().scores == (1.0,) * 3
