"""A small outcome of every mechanism, and short ways to play one."""

from __future__ import annotations

from omar_envs.sotopia.mechanisms import (
    AnyOutcome,
    Assignment,
    Clue,
    Division,
    Friend,
    HiddenProfile,
    Matrix,
    MutualFriend,
    Price,
    PublicGoods,
    Schedule,
    Split,
)
from omar_envs.sotopia.outcomes import ClosingAct, Notice, Ruling, Settlement

NAMES = ("Ana Lima", "Ben Okoro", "Cho Park", "Dov Katz", "Eva Roy")

LAMPS = Division({"lamps": 3, "map": 1}, ({"lamps": 2, "map": 4}, {"lamps": 3, "map": 1}))
THREE_WAYS = Division(
    {"lamps": 2, "map": 1, "rug": 1},
    ({"lamps": 1, "map": 5}, {"lamps": 3, "rug": 2}, {"map": 1, "rug": 7}),
)
PIANO = Price("the piano", 500, (300, 420))
NO_ZONE = Price("the boat", 500, (420, 300), unit="euros")
FRIENDS = MutualFriend(
    (
        (Friend("Mo Abel", {"job": "cook"}), Friend("Li Berg", {"job": "vet"}), Friend("Al Cole")),
        (Friend("Mo Abel", {"job": "vet"}), Friend("Li Berg", {"job": "vet"})),
    )
)
MEETING = Schedule(
    ("Mon 9:00", "Tue 9:00", "Wed 9:00"),
    (
        {"Mon 9:00": 3, "Tue 9:00": 5},
        {"Mon 9:00": 8, "Tue 9:00": 2},
        {"Mon 9:00": 1, "Tue 9:00": 4},
    ),
)
POT = PublicGoods((10, 12, 8), 2.0, "hours", threshold=5)
STAG = Matrix(("stag", "hare"), ({"stag": (0, 0, 9), "hare": (4, 4, 4)},) * 3)
GRANT = Split(12, "thousand euros", 3, (2, 3, 0, 1), (6, 5, 9, 4))
CHORES = Assignment(
    ("the dishes", "the floor", "the bins"),
    (
        {"the dishes": 3, "the floor": 5, "the bins": 1},
        {"the dishes": 2, "the floor": 2, "the bins": 6},
        {"the dishes": 8, "the floor": 4, "the bins": 4},
    ),
    undone=9,
)
SITE = HiddenProfile(
    ("the hill", "the bay"),
    (Clue("the hill", 2, "it is near"),),
    ((Clue("the bay", 2, "it is warm"),), (Clue("the bay", 1, "it is cheap"),), ()),
)

SAMPLES: dict[str, AnyOutcome] = {
    "division": LAMPS,
    "division, three": THREE_WAYS,
    "price": PIANO,
    "price, no zone": NO_ZONE,
    "mutual_friend": FRIENDS,
    "schedule": MEETING,
    "public_goods": POT,
    "matrix": STAG,
    "split": GRANT,
    "assignment": CHORES,
    "hidden_profile": SITE,
}


def names_of(outcome: AnyOutcome) -> tuple[str, ...]:
    return NAMES[: outcome.num_seats]


def opened(outcome: AnyOutcome) -> Settlement:
    return outcome.open(names_of(outcome))


def legal(settlement: Settlement, seat: int, act: str, argument: object = None) -> ClosingAct:
    """The act, which must be legal now."""
    ruling = settlement.check(seat, act, argument)
    assert ruling.legal, ruling.reason
    assert ruling.reason == ""
    return ClosingAct(seat, act, ruling.argument)


def refused(settlement: Settlement, seat: int, act: str, argument: object = None) -> str:
    """Why the act, which must not be legal now, is refused."""
    ruling = settlement.check(seat, act, argument)
    assert ruling == Ruling(False, "", ruling.reason)
    assert ruling.reason
    return ruling.reason


def together(settlement: Settlement, *acts: tuple[object, ...]) -> tuple[Notice, ...]:
    """Check all acts against the state as it is, then apply them as one turn."""
    return settlement.apply(tuple([legal(settlement, *act) for act in acts]))  # type: ignore[arg-type]


def in_turn(settlement: Settlement, *acts: tuple[object, ...]) -> tuple[Notice, ...]:
    """Acts one after another, each seeing the ones before; the last one's notices."""
    notices: tuple[Notice, ...] = ()
    for act in acts:
        notices = together(settlement, act)
    return notices
