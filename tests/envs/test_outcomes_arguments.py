"""What players may write for a deal or an answer, and what is refused with a reason."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.sotopia.mechanisms import AnyOutcome, Friend, MutualFriend
from tests.envs.settlements import (
    CHORES,
    FRIENDS,
    GRANT,
    LAMPS,
    MEETING,
    PIANO,
    POT,
    SITE,
    STAG,
    THREE_WAYS,
    legal,
    opened,
    refused,
    together,
)

ANA_2 = {"Ana Lima": {"lamps": 2}, "Ben Okoro": {"lamps": 1, "map": 1}}
CHORE_DEAL = {"Ana Lima": "the bins", "Ben Okoro": "the dishes", "Cho Park": "the floor"}


@pytest.mark.parametrize(
    ("outcome", "written", "deal"),
    [
        (LAMPS, {"lamps": 2}, ANA_2),
        (LAMPS, {"Lamp": 2, "map": 0}, ANA_2),
        (LAMPS, {"the lamps": "2"}, ANA_2),
        (LAMPS, '{"lamps": 2.0}', ANA_2),
        (LAMPS, "{'lamps': 2}", ANA_2),
        (LAMPS, json.dumps(ANA_2), ANA_2),
        (LAMPS, {"ana": {"LAMPS": 2, "map": 0}, "Okoro": {"lamps": 1, "map": 1}}, ANA_2),
        (LAMPS, {"lamps": 0, "map": 0}, {"Ana Lima": {}, "Ben Okoro": {"lamps": 3, "map": 1}}),
        (
            THREE_WAYS,
            {"Cho": {"lamps": 2, "map": 1}, "Ben": {"rug": 1}},
            {"Ana Lima": {}, "Ben Okoro": {"rug": 1}, "Cho Park": {"lamps": 2, "map": 1}},
        ),
        (PIANO, 42, {"price": 42}),
        (PIANO, 42.0, {"price": 42}),
        (PIANO, 42.5, {"price": 42.5}),
        (PIANO, "42.05", {"price": 42.05}),
        (PIANO, "$42", {"price": 42}),
        (PIANO, "42 dollars", {"price": 42}),
        (PIANO, " 42 dollar. ", {"price": 42}),
        (PIANO, "1,000", {"price": 1000}),
        (PIANO, {"Price": "€42.50"}, {"price": 42.5}),
        (PIANO, '{"price": 0}', {"price": 0}),
        (PIANO, 1000, {"price": 1000}),
        (MEETING, "Tue 9:00", {"slot": "Tue 9:00"}),
        (MEETING, {"slot": "tue  9:00"}, {"slot": "Tue 9:00"}),
        (MEETING, '"Tue 9:00."', {"slot": "Tue 9:00"}),
        (
            GRANT,
            {"Ana": 6, "ben": "4 thousand euros", "Dov Katz": 2.0},
            {"Ana Lima": 6, "Ben Okoro": 4, "Cho Park": 0, "Dov Katz": 2},
        ),
        (GRANT, {"Ana": 1}, {"Ana Lima": 1, "Ben Okoro": 0, "Cho Park": 0, "Dov Katz": 0}),
        (CHORES, CHORE_DEAL, CHORE_DEAL),
        (CHORES, {"cho": "Floor", "ana": "bin", "ben": "dishes"}, CHORE_DEAL),
        (FRIENDS, "Mo Abel", "Mo Abel"),
        (FRIENDS, '"mo abel"', "Mo Abel"),
        (FRIENDS, "berg", "Li Berg"),
        (POT, 7, 7),
        (POT, "7", 7),
        (POT, "7 hours", 7),
        (POT, 0, 0),
        (POT, 10.0, 10),
        (STAG, "Stag", "stag"),
        (STAG, '"stag"', "stag"),
        (SITE, "bay", "the bay"),
        (SITE, "The Bay!", "the bay"),
    ],
)
def test_forms_that_are_read(outcome: AnyOutcome, written: object, deal: object) -> None:
    act = outcome.acts[0]
    assert json.loads(legal(opened(outcome), 0, act, written).argument) == deal


@pytest.mark.parametrize(
    ("outcome", "written", "reason"),
    [
        (LAMPS, None, "not nothing"),
        (LAMPS, {}, "who gets how many"),
        (LAMPS, 2, "who gets how many"),
        (LAMPS, "two lamps", "two lamps"),
        (LAMPS, [{"lamps": 2}], "who gets how many"),
        (LAMPS, {"lamps": 4}, "from 0 to 3"),
        (LAMPS, {"lamps": -1}, "from 0 to 3"),
        (LAMPS, {"lamps": 1.5}, "from 0 to 3"),
        (LAMPS, {"lamps": True}, "from 0 to 3"),
        (LAMPS, {"lamps": None}, "from 0 to 3"),
        (LAMPS, {"lamps": 10**400}, "that number"),
        (LAMPS, {"rug": 1}, "lamps and map"),
        (LAMPS, {"lamps": 1, "Lamp": 1}, "twice"),
        (LAMPS, {"Ana": 1, "Ben": 2}, "lamps and map"),
        (LAMPS, {"Ana": {"lamps": 3}}, "map: you hand out 0"),
        (LAMPS, {"Ana": {"lamps": 3, "map": 1}, "Ben": {"lamps": 1}}, "you hand out 4"),
        (LAMPS, {"Ana": {"lamps": 3, "map": 1}, "Zoe": {}}, "Ana Lima and Ben Okoro"),
        (LAMPS, {"Ana": {"lamps": 3}, "ana lima": {"map": 1}}, "twice"),
        (LAMPS, {"Ana": {"lamps": 3, "map": 1}, "Ben": 0}, "who gets how many"),
        (LAMPS, {"Ana": {"rug": 1}}, "lamps and map"),
        (THREE_WAYS, {"lamps": 1}, "who gets how many"),
        (PIANO, None, "not nothing"),
        (PIANO, -1, "at most two decimals"),
        (PIANO, "-1", "at most two decimals"),
        (PIANO, 42.555, "at most two decimals"),
        (PIANO, "42.555", "at most two decimals"),
        (PIANO, 1000.01, "1,000"),
        (PIANO, True, "at most two decimals"),
        (PIANO, float("nan"), "at most two decimals"),
        (PIANO, float("inf"), "at most two decimals"),
        (PIANO, "42%", "42%"),
        (PIANO, "42k", "42k"),
        (PIANO, "42 or 43", "42 or 43"),
        (PIANO, "42 euros", "42 euros"),
        (PIANO, "12,50", "12,50"),
        (PIANO, [42], "at most two decimals"),
        (PIANO, {"price": 42, "rug": 1}, "alone"),
        (PIANO, {"amount": 42}, "price"),
        (PIANO, {"price": {"price": 42}}, "at most two decimals"),
        (MEETING, "Wed 9:00", "you are not free at Wed 9:00"),
        (MEETING, "9:00", "Mon 9:00, Tue 9:00 or Wed 9:00"),
        (MEETING, "Mon 9:00 or Tue 9:00", "one of the times"),
        (MEETING, {"time": "Mon 9:00"}, "slot"),
        (MEETING, {"slot": 9}, 'not "9"'),
        (MEETING, None, "not nothing"),
        (GRANT, {"Ana": 13}, "from 0 to 12"),
        (GRANT, {"Ana": 7, "Ben": 6}, "13 together; there are only 12"),
        (GRANT, {"Ana": 0}, "nobody"),
        (GRANT, {"Ana": 1.5}, "whole number"),
        (GRANT, {"Ana": "1 kilo"}, "1 kilo"),
        (GRANT, {"Zoe": 1}, "Zoe"),
        (GRANT, {"Ana": 1, "Lima": 1}, "twice"),
        (GRANT, {}, "who gets how much"),
        (GRANT, 12, "who gets how much"),
        (CHORES, {"Ana": "the bins", "Ben": "the dishes"}, "which task Cho Park"),
        (CHORES, {"Ana": "the bins", "Ben": "the bins"}, "the bins stands there twice"),
        (CHORES, {"Ana": "the bins", "Lima": "the floor"}, "Ana Lima stands there twice"),
        (CHORES, {"Ana": "the cat"}, "no task"),
        (CHORES, {"Zoe": "the bins"}, "Zoe"),
        (CHORES, {}, "Ana Lima, Ben Okoro and Cho Park"),
        (CHORES, "the bins", "which task"),
        (FRIENDS, "Zed Quill", "Zed Quill"),
        (FRIENDS, None, "nothing"),
        (FRIENDS, "", "nothing"),
        (FRIENDS, 7, "7"),
        (FRIENDS, ["Mo Abel"], "Mo Abel"),
        (POT, 11, "from 0 to 10"),
        (POT, -1, "from 0 to 10"),
        (POT, 0.5, "from 0 to 10"),
        (POT, "seven", "seven"),
        (POT, False, "from 0 to 10"),
        (POT, None, "nothing"),
        (STAG, "stag or hare", "stag or hare"),
        (STAG, "", "nothing"),
        (STAG, {"choice": "stag"}, "answer with"),
        (SITE, "the sea", "the sea"),
    ],
)
def test_forms_that_are_refused(outcome: AnyOutcome, written: object, reason: str) -> None:
    assert re.search(reason, refused(opened(outcome), 0, outcome.acts[0], written))


def test_what_one_takes_is_the_proposers_share() -> None:
    deal = json.loads(legal(opened(LAMPS), 1, "propose", {"lamps": 2}).argument)
    assert deal == {"Ana Lima": {"lamps": 1, "map": 1}, "Ben Okoro": {"lamps": 2}}


def test_nobody_accepts_a_time_when_they_are_not_free() -> None:
    busy = msgspec.structs.replace(
        MEETING, free=({"Mon 9:00": 3, "Tue 9:00": 5}, {"Tue 9:00": 2}, {"Tue 9:00": 4})
    )
    game = opened(busy)
    together(game, (0, "propose", "Mon 9:00"))
    assert refused(game, 1, "accept") == "you are not free at Mon 9:00; you are at Tue 9:00"
    together(game, (0, "propose", "Tue 9:00"))
    legal(game, 1, "accept")


@given(hundredths=st.integers(0, 100_000))
def test_every_price_of_two_decimals_comes_back_unchanged(hundredths: int) -> None:
    game = opened(PIANO)
    written = f"{hundredths // 100}.{hundredths % 100:02d}"
    for argument in (written, {"price": hundredths / 100}, json.dumps({"price": written})):
        deal = json.loads(legal(game, 0, "propose", argument).argument)
        assert round(deal["price"] * 100) == hundredths
        assert f"{deal['price']:.2f}" == written


def test_what_could_be_two_is_neither() -> None:
    known = (Friend("Mo Abel"), Friend("Mo Abels"), Friend("Li Berg"))
    game = opened(MutualFriend((known, (Friend("Mo Abel"),))))
    assert json.loads(legal(game, 0, "answer", "mo abel").argument) == "Mo Abel"
    assert json.loads(legal(game, 0, "answer", "mo abels").argument) == "Mo Abels"
    for either in ("the Mo Abel", "Mo"):
        assert "on your list" in refused(game, 0, "answer", either)


def test_equal_deals_have_equal_text() -> None:
    game = opened(LAMPS)
    texts = {
        legal(game, 0, "propose", {"map": 0, "lamps": 2}).argument,
        legal(game, 1, "propose", {"map": 1, "lamps": 1}).argument,
        legal(game, 1, "propose", dict(reversed(ANA_2.items()))).argument,
    }
    assert texts == {
        '{"Ana Lima":{"lamps":2},"Ben Okoro":{"lamps":1,"map":1}}',
    }
