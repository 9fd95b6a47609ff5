"""Laws that every mechanism obeys: data, secrecy, and games of any acts at all."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs.errors import ConfigError
from omar_envs.sotopia.mechanisms import AnyOutcome, Clue, Friend
from omar_envs.sotopia.outcomes import CLOSING_ACTS, ClosingAct, Settlement
from tests.envs.settlements import (
    CHORES,
    FRIENDS,
    GRANT,
    LAMPS,
    MEETING,
    NAMES,
    PIANO,
    POT,
    SAMPLES,
    SITE,
    STAG,
    THREE_WAYS,
    names_of,
    opened,
)

every_mechanism = pytest.mark.parametrize("outcome", SAMPLES.values(), ids=SAMPLES.keys())

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from([*NAMES, "ana", "lamps", "map", "the dishes", "Tue 9:00", "stag", "price"])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*NAMES, "lamps", "price", "slot"]) | st.text(), inner)
    ),
    max_leaves=8,
)
HOSTILE: tuple[object, ...] = (
    "[" * 5000,
    '{"a":' * 3000,
    "9" * 5000,
    10**6000,
    {"price": 10**6000},
    {"Ana Lima": {"lamps": float("nan")}},
    '{"price": 1e999}',
    '{"price": NaN}',
    '{"price": 1, "price": 2}',
    "\ud800\x00\u202e",
    {"\ud800": 1},
    {"Ana Lima": {"lamps": {"lamps": []}}},
    (),
    b"bytes",
    float("inf"),
    -1,
    True,
    "x" * 500,
    {"x" * 500: {"x" * 500: 1}},
    {"Ana Lima": "x" * 500, "Ben Okoro": "x" * 500},
    ["x" * 500],
)


# --- data -----------------------------------------------------------------------


@every_mechanism
def test_to_json_and_back(outcome: AnyOutcome) -> None:
    data = msgspec.json.encode(outcome)
    assert json.loads(data)["mechanism"]
    assert msgspec.json.decode(data, type=AnyOutcome) == outcome


def test_an_unknown_mechanism_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="lottery"):
        msgspec.json.decode(b'{"mechanism":"lottery"}', type=AnyOutcome)


@every_mechanism
def test_an_unknown_field_is_refused(outcome: AnyOutcome) -> None:
    data = msgspec.to_builtins(outcome) | {"thresold": 3}
    with pytest.raises(msgspec.ValidationError, match="thresold"):
        msgspec.convert(data, AnyOutcome)


@pytest.mark.parametrize(
    ("outcome", "changes", "field"),
    [
        (LAMPS, {"values": ({"lamps": 1},)}, "values"),
        (LAMPS, {"values": ({"lamps": 1},) * 6}, "values"),
        (LAMPS, {"values": ({"lamps": 1}, {"rug": 1})}, "rug"),
        (LAMPS, {"values": ({"lamps": 1}, {"lamps": 0})}, "values"),
        (LAMPS, {"values": ({"lamps": 1}, {"lamps": -1})}, "values"),
        (LAMPS, {"items": {}}, "items"),
        (LAMPS, {"items": {"lamps": 0, "map": 1}}, "items"),
        (LAMPS, {"items": {"lamps": 1, "map": 1, "Lamp": 1}}, "items"),
        (LAMPS, {"items": {"lamps": 1, "map": 1, " ": 1}}, "items"),
        (LAMPS, {"outside": (1,)}, "outside"),
        (LAMPS, {"outside": (1, 11)}, "outside"),
        (LAMPS, {"outside": (-1, 1)}, "outside"),
        (THREE_WAYS, {"items": dict.fromkeys(("lamps", "map", "rug"), 20)}, "items"),
        (PIANO, {"reservation": (300, 300)}, "reservation"),
        (PIANO, {"reservation": (300, 1001)}, "reservation"),
        (PIANO, {"reservation": (0, 300)}, "reservation"),
        (PIANO, {"seller": 2}, "seller"),
        (PIANO, {"list_price": 0}, "list_price"),
        (PIANO, {"item": " "}, "item"),
        (PIANO, {"unit": ""}, "unit"),
        (FRIENDS, {"friends": ((Friend("A"),), (Friend("B"),))}, "friends"),
        (FRIENDS, {"friends": ((Friend("A"), Friend("B")),) * 2}, "friends"),
        (FRIENDS, {"friends": ((Friend("A"), Friend("a", {"x": "y"})), (Friend("A"),))}, "twice"),
        (FRIENDS, {"friends": ((Friend("A"),),)}, "friends"),
        (FRIENDS, {"friends": ((Friend("A"),), ())}, r"friends\[1\]"),
        (FRIENDS, {"friends": ((Friend("A"),),) * 5}, "friends"),
        (MEETING, {"slots": ("Mon 9:00",)}, "slots"),
        (MEETING, {"slots": ("Mon 9:00", "Tue 9:00", "mon 9:00")}, "slots"),
        (MEETING, {"free": ({"Mon 9:00": 3}, {"Tue 9:00": 3})}, "free"),
        (MEETING, {"free": ({"Mon 9:00": 3}, {"Mon 9:00": 11})}, "free"),
        (MEETING, {"free": ({"Mon 9:00": 3}, {"Mon 9:00": 1, "Sun": 3})}, "Sun"),
        (POT, {"endowments": (5, 5)}, "endowments"),
        (POT, {"endowments": (5,) * 9}, "endowments"),
        (POT, {"endowments": (5, 5, 0)}, "endowments"),
        (POT, {"multiplier": 1.0}, "multiplier"),
        (POT, {"multiplier": 3.0}, "multiplier"),
        (POT, {"threshold": 31}, "threshold"),
        (POT, {"unit": ""}, "unit"),
        (STAG, {"options": ("stag",)}, "options"),
        (STAG, {"options": ("stag", "Stag")}, "options"),
        (STAG, {"payoffs": ({"stag": (0, 1)},) * 2}, "payoffs"),
        (STAG, {"payoffs": ({"stag": (0, 1), "hare": (1,)},) * 2}, "payoffs"),
        (STAG, {"payoffs": ({"stag": (0, 0), "hare": (0, 0)},) * 2}, "payoffs"),
        (STAG, {"payoffs": ({"stag": (0, -1), "hare": (0, 1)},) * 2}, "payoffs"),
        (GRANT, {"quota": 2}, "quota"),
        (GRANT, {"quota": 5}, "quota"),
        (GRANT, {"budget": 0}, "budget"),
        (GRANT, {"budget": 2000}, "budget|needs"),
        (GRANT, {"minimums": (1, 1, 1)}, "minimums"),
        (GRANT, {"minimums": (7, 3, 0, 1)}, "minimums"),
        (GRANT, {"minimums": (6, 5, 1, 1)}, "minimums"),
        (GRANT, {"needs": (6, 5, 13, 4)}, "needs"),
        (GRANT, {"unit": ""}, "unit"),
        (CHORES, {"tasks": ("the dishes", "the floor")}, "tasks"),
        (CHORES, {"tasks": ("the dishes", "the floor", "floor")}, "tasks"),
        (CHORES, {"tasks": ("the dishes", "the floor", "the cat")}, "costs"),
        (CHORES, {"undone": 8}, "costs"),
        (CHORES, {"unit": ""}, "unit"),
        (SITE, {"options": ("the hill",)}, "options"),
        (SITE, {"common": (Clue("the sea", 2, "it is wet"),)}, "the sea"),
        (SITE, {"common": (Clue("the hill", 11, "it is near"),)}, "weight"),
        (SITE, {"common": (Clue("the hill", 2, ""),)}, "text"),
        (SITE, {"common": (Clue("the hill", 3, "it is near"),)}, "options"),
        (SITE, {"common": (Clue("the hill", 1, "it is near"),)}, r"private\[0\]"),
        (SITE, {"private": ((),)}, "private"),
    ],
)
def test_impossible_data_name_their_field(
    outcome: AnyOutcome, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigError, match=field):
        msgspec.structs.replace(outcome, **changes)
    bad = msgspec.to_builtins(outcome) | msgspec.to_builtins(changes)
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.json.decode(msgspec.json.encode(bad), type=AnyOutcome)


@every_mechanism
def test_a_game_needs_one_name_a_seat(outcome: AnyOutcome) -> None:
    names = names_of(outcome)
    for wrong in (names[1:], (*names, "Zoe Zander"), (names[0], *names[:-1]), ("", *names[1:])):
        with pytest.raises(ConfigError, match="names"):
            outcome.open(wrong)


def test_nobody_is_called_like_a_thing() -> None:
    for outcome, thing in ((LAMPS, "Lamp"), (CHORES, "The Floor"), (MEETING, "mon 9:00")):
        with pytest.raises(ConfigError, match="thing"):
            outcome.open((thing, *names_of(outcome)[1:]))


# --- what is told ---------------------------------------------------------------


@every_mechanism
def test_the_examples_in_the_rules_are_legal(outcome: AnyOutcome) -> None:
    names = names_of(outcome)
    rules = outcome.rules(names)
    decoder = json.JSONDecoder()
    examples = [
        decoder.raw_decode(rules[at:])[0]
        for at in range(len(rules))
        if rules.startswith('{"action_type"', at)
    ]
    assert {example["action_type"] for example in examples} == set(outcome.acts)
    assert "A reply that is only the act works too" in rules
    settlement = opened(outcome)
    for example in examples:
        if example["action_type"] == "propose":
            act = settlement.check(0, "propose", example["argument"])
            assert act.legal, act.reason
            settlement.apply((ClosingAct(0, "propose", act.argument),))
        elif example["action_type"] == "accept":
            assert settlement.check(1, "accept", example["argument"]).legal
        elif outcome != FRIENDS:  # whose names are private
            assert settlement.check(0, "answer", example["argument"]).legal


@pytest.mark.parametrize(
    ("outcome", "other"),
    [
        (LAMPS, {"values": (LAMPS.values[0], {"lamps": 17, "map": 13}), "outside": (0, 29)}),
        (PIANO, {"reservation": (300, 437)}),
        (FRIENDS, {"friends": (FRIENDS.friends[0], (Friend("Al Cole"), Friend("Zed Quill")))}),
        (MEETING, {"free": (*MEETING.free[:2], {"Tue 9:00": 7})}),
        (POT, {"endowments": (10, 12, 17)}),
        (STAG, {"payoffs": (*STAG.payoffs[:2], {"stag": (1, 17, 19), "hare": (0, 3, 13)})}),
        (GRANT, {"minimums": (2, 3, 0, 3), "needs": (6, 5, 9, 7)}),
        (
            CHORES,
            {"costs": (*CHORES.costs[:2], {"the dishes": 7, "the floor": 7, "the bins": 7})},
        ),
        (
            SITE,
            {"private": (*SITE.private[:2], (Clue("the bay", 1, "zebras live there"),))},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_private_is_told_to_its_seat_alone(
    outcome: AnyOutcome, other: dict[str, Any]
) -> None:
    changed = msgspec.structs.replace(outcome, **other)
    names = names_of(outcome)
    last = outcome.num_seats - 1
    assert changed.rules(names) == outcome.rules(names)
    for seat in range(last):
        assert changed.told(seat, names) == outcome.told(seat, names)
    assert changed.told(last, names) != outcome.told(last, names)


# --- any acts at all ------------------------------------------------------------


def judged(settlement: Settlement, seat: int, act: str, argument: object) -> None:
    ruling = settlement.check(seat, act, argument)
    if ruling.legal:
        assert ruling.reason == ""
        assert settlement.check(seat, act, ruling.argument) == ruling
        if ruling.argument:
            value = json.loads(ruling.argument)
            text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            assert text == ruling.argument
    else:
        assert ruling.argument == ""
        assert 0 < len(ruling.reason) < 400
        assert "x" * 81 not in ruling.reason
        ruling.reason.encode()
        assert ruling.reason.splitlines() == [ruling.reason]


@every_mechanism
@settings(max_examples=30)
@given(argument=ANYTHING, act=st.sampled_from(CLOSING_ACTS), begun=st.booleans())
def test_no_argument_raises(outcome: AnyOutcome, argument: object, act: str, begun: bool) -> None:
    settlement = opened(outcome)
    if begun:
        play_one(outcome, settlement)
    judged(settlement, 0, act, argument)


@every_mechanism
@pytest.mark.parametrize("argument", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_arguments_are_refused(outcome: AnyOutcome, argument: object) -> None:
    settlement = opened(outcome)
    for act in CLOSING_ACTS:
        judged(settlement, 0, act, argument)
        assert not settlement.check(0, act, argument).legal


def play_one(outcome: AnyOutcome, settlement: Settlement) -> None:
    """The last seat's first legal act, so that there is something to accept."""
    seat = outcome.num_seats - 1
    seat, act, argument = next(choices(outcome, settlement, seat))
    settlement.apply((ClosingAct(seat, act, argument),))


def choices(outcome: AnyOutcome, settlement: Settlement, seat: int) -> Any:
    """Some legal acts of a seat now."""
    names = names_of(outcome)
    for act, argument in [
        *[("accept", name) for name in names],
        *[
            ("propose", {names[(seat + turn) % len(names)]: {"lamps": 3, "map": 1}})
            for turn in (0, 1)
        ],
        *[("propose", {names[turn]: {"lamps": 2, "map": 1, "rug": 1}}) for turn in (0, 1)],
        *[("propose", price) for price in (250, 333, 450)],
        *[("propose", slot) for slot in ("Mon 9:00", "Tue 9:00")],
        *[("propose", {names[seat]: 9, names[0]: most}) for most in (1, 2)],
        *[
            ("propose", dict(zip(names, tasks, strict=False)))
            for tasks in (CHORES.tasks, CHORES.tasks[::-1])
        ],
        *[("answer", word) for word in ("stag", "hare", "the hill", "the bay", 0, 7)],
        *[("answer", name) for name in ("Mo Abel", "Li Berg")],
    ]:
        ruling = settlement.check(seat, act, argument)
        if ruling.legal:
            yield ClosingAct(seat, act, ruling.argument)


@every_mechanism
@settings(max_examples=30)
@given(data=st.data())
def test_any_game_keeps_the_laws(outcome: AnyOutcome, data: st.DataObject) -> None:
    settlement = opened(outcome)
    seats = range(outcome.num_seats)
    names = names_of(outcome)
    gone: set[int] = set()
    for _ in range(data.draw(st.integers(1, 6), label="turns")):
        was_closed, before = settlement.closed, settlement.result()
        acts = []
        for seat in seats:
            possible = list(choices(outcome, settlement, seat))
            if seat in gone or was_closed:
                assert not possible
            elif possible and data.draw(st.booleans(), label="acts"):
                acts.append(data.draw(st.sampled_from(possible), label="act"))
        assert settlement.result() == before
        for act in acts:
            assert outcome.shown(act, names).split()[0] in ("proposes:", "accepts", "has")
        for notice in settlement.apply(tuple(acts)):
            assert notice.text.splitlines() == [notice.text]
        if data.draw(st.integers(0, 5), label="leaves") == 0:
            leaver = data.draw(st.sampled_from(seats), label="leaver")
            settlement.leave(leaver)
            gone.add(leaver)
        after = settlement.result()
        assert not was_closed or (settlement.closed and after == before)
        assert len(after.scores) == len(after.points) == outcome.num_seats
        assert all(0 <= score <= 1 for score in after.scores)
        assert all(0 <= measure <= 1 for measure in after.measures.values())
        assert not after.settled or settlement.closed
        assert msgspec.json.decode(msgspec.json.encode(after), type=type(after)) == after


@every_mechanism
def test_acts_of_another_mechanism_are_refused_by_name(outcome: AnyOutcome) -> None:
    settlement = opened(outcome)
    for act in set(CLOSING_ACTS) - set(outcome.acts):
        ruling = settlement.check(0, act, None)
        assert not ruling.legal
        assert act in ruling.reason
        assert all(known in ruling.reason for known in outcome.acts)
