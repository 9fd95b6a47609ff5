"""The menu of a social scenario: proposals, answers, and a few things to say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from omar_envs.sotopia.bot_deals import deals
from omar_envs.sotopia.bot_table import Table, accept, answer, leave, nothing, propose, table
from omar_envs.sotopia.env import SotopiaEnv
from omar_envs.sotopia.mechanisms import (
    AnyOutcome,
    Assignment,
    Division,
    HiddenProfile,
    Matrix,
    MutualFriend,
    Price,
    PublicGoods,
    Schedule,
    Split,
)
from omar_envs.types import View

MAX_DEALS = 64
"""Where there are no more possible deals than that, each is an act of its own."""

ASPIRATIONS = 21
"""Otherwise one proposes what is worth 0, 5, … 100% of one's best deal."""

PRICES = 40
"""Prices at 5, 10, … 200% of what is asked."""

AMOUNTS = 41
"""What may be given: each amount up to 40, or else 41 even steps of what one has."""

_SENTENCES = (
    "Hello. It is good to see you.",
    "What matters most to you?",
    "I agree with that.",
    "I cannot agree to that.",
    "Let us find something that is fair to all of us.",
)
_LEAVE = 1
_FIRST_SENTENCE = 2
_FIRST_TELL = _FIRST_SENTENCE + len(_SENTENCES)


class SotopiaMenu:
    """What a participant can do, in this order.

    ================  ======================================================================
    ``pass``          nothing
    ``leave``         for good
    ``say …``         one of five sentences that fit anywhere
    ``tell K``        the K-th thing that one knows or means to do: a clue, a friend, a
                      choice, a pledge, or (only one) what one likes best
    ``accept A``      the standing proposal of the participant A
    ``close K``       propose the K-th deal, or give the K-th answer
    ================  ======================================================================

    What ``close K`` is depends on the scenario. Slots, options and friends: the K-th of the
    own list. A price: 5·(K + 1)% of the asking price. Gifts: K units, or K/40 of what one has
    where somebody has more than 40. Of at most 64 possible deals the K-th; else, of the deals
    that are worth at least 5·K% of the best one to the participant itself, the one that is best
    for the others, as far as they have said what they like: a discrete act cannot spell out
    thousands of deals, and this is the choice that matters.

    Where the environment draws one of several scenarios, the menu is as long as the longest.

    Args:
        env: whose scenarios.
    """

    def __init__(self, env: SotopiaEnv) -> None:
        self._agents = tuple(env.possible_agents)
        outcomes = [each.outcome for each in env.scenarios if each.outcome is not None]
        told = max(map(_things_to_tell, outcomes), default=0)
        closing = max(map(_closing_acts, outcomes), default=0)
        self._most_given = max(
            (max(each.endowments) for each in outcomes if isinstance(each, PublicGoods)), default=0
        )
        accepting = len(self._agents) if outcomes else 0
        self.labels: tuple[str, ...] = (
            "pass",
            "leave",
            *(f"say {sentence}" for sentence in _SENTENCES),
            *(f"tell {number}" for number in range(told)),
            *(f"accept {agent}" for agent in self._agents[:accepting]),
            *(f"close {number}" for number in range(closing)),
        )
        self._first_accept = _FIRST_TELL + told
        self._first_close = self._first_accept + accepting

    def legal(self, view: View) -> Sequence[int]:
        """Silence, leaving and the sentences always; the rest where it has a meaning."""
        known = table(view)
        always = range(_FIRST_TELL)
        if known.private is None:
            return always
        telling = range(_FIRST_TELL, _FIRST_TELL + len(self._told(known, known.private)))
        accepting = [
            self._first_accept + seat
            for seat, agent in enumerate(self._agents)
            if _acceptable(known, known.private, view.names[agent])
        ]
        closing = [self._first_close + number for number in self._closing(known, known.private)]
        return [*always, *telling, *accepting, *closing]

    def reply(self, view: View, action: int) -> str:
        """A sentence, or an act as a JSON object."""
        if action == 0:
            return nothing()
        if action == _LEAVE:
            return leave()
        if action < _FIRST_TELL:
            return _SENTENCES[action - _FIRST_SENTENCE]
        known = table(view)
        private = known.private
        assert private is not None  # nothing else is legal then
        if action < self._first_accept:
            words = self._told(known, private)[action - _FIRST_TELL]
            return words or deals(known).opening
        if action < self._first_close:
            return accept(view.names[self._agents[action - self._first_accept]])
        return self._closed(known, private, action - self._first_close)

    def _told(self, known: Table, private: dict[str, Any]) -> list[str]:
        """What there is to tell; "" is what one likes, which takes long to find words for."""
        match private["mechanism"]:
            case "price":
                return []
            case "hidden_profile":
                return [
                    f"About {clue['option']}: {clue['text']} ({clue['weight']:+d})."
                    for clue in private["clues"]
                ]
            case "mutual_friend":
                return [f"I know {_particulars(friend)}." for friend in private["friends"]]
            case "matrix":
                return [f'I will choose "{option}".' for option in private["options"]]
            case "public_goods":
                has, unit = private["endowment"], private["unit"]
                return [f"I will give {n} of my {has} {unit}." for n in self._amounts(has)]
        return [""]

    def _closing(self, known: Table, private: dict[str, Any]) -> Sequence[int]:
        mechanism = private["mechanism"]
        if "needed" not in private and known.name in known.answered:
            return ()
        match mechanism:
            case "price":
                return range(PRICES)
            case "schedule":
                free = private["free"]
                return [n for n, slot in enumerate(private["slots"]) if slot in free]
            case "matrix" | "hidden_profile":
                return range(len(private["options"]))
            case "mutual_friend":
                return range(len(private["friends"]))
            case "public_goods":
                return range(len(self._amounts(private["endowment"])))
        number = _number_of_deals(private, len(known.names))
        return range(number if number <= MAX_DEALS else ASPIRATIONS)

    def _closed(self, known: Table, private: dict[str, Any], number: int) -> str:
        match private["mechanism"]:
            case "price":
                asked = private["list_price"]
                return propose({"price": round(2 * asked * (number + 1) / PRICES)})
            case "matrix" | "hidden_profile":
                return answer(private["options"][number])
            case "mutual_friend":
                return answer(private["friends"][number]["name"])
            case "public_goods":
                return answer(self._amounts(private["endowment"])[number])
        possible = deals(known)
        if private["mechanism"] == "schedule":
            return propose(possible.deal(number))
        if _number_of_deals(private, len(known.names)) <= MAX_DEALS:
            return propose(possible.deal(number))
        own = possible.worth[:, known.names.index(known.name)]
        rows = np.flatnonzero(own >= own.max() * number / (ASPIRATIONS - 1) - 1e-9)
        others = np.delete(possible.worth[rows], known.names.index(known.name), axis=1)
        best = np.log(np.maximum(others, 0) + 0.02).sum(axis=1).argmax()
        return propose(possible.deal(int(rows[best])))

    def _amounts(self, has: int) -> Sequence[int]:
        if self._most_given < AMOUNTS:
            return range(has + 1)
        return [round(has * step / (AMOUNTS - 1)) for step in range(AMOUNTS)]


def _things_to_tell(outcome: AnyOutcome) -> int:
    match outcome:
        case Price():
            return 0
        case HiddenProfile():
            return max(map(len, outcome.private))
        case MutualFriend():
            return max(map(len, outcome.friends))
        case Matrix():
            return len(outcome.options)
        case PublicGoods():
            return min(AMOUNTS, max(outcome.endowments) + 1)
    return 1


def _closing_acts(outcome: AnyOutcome) -> int:
    match outcome:
        case Price():
            return PRICES
        case Schedule():
            return len(outcome.slots)
        case HiddenProfile() | Matrix():
            return len(outcome.options)
        case MutualFriend():
            return max(map(len, outcome.friends))
        case PublicGoods():
            return min(AMOUNTS, max(outcome.endowments) + 1)
        case Assignment() | Division() | Split():
            names = tuple(f"seat {seat}" for seat in range(outcome.num_seats))
            number = _number_of_deals(outcome.facts(0, names), outcome.num_seats)
            return number if number <= MAX_DEALS else ASPIRATIONS


def _number_of_deals(private: dict[str, Any], seats: int) -> int:
    match private["mechanism"]:
        case "assignment":
            return math.factorial(seats)
        case "split":
            return math.comb(private["budget"] + seats - 1, seats - 1)
    pieces = private["items"].values()
    return math.prod(math.comb(count + seats - 1, count) for count in pieces)


def _acceptable(known: Table, private: dict[str, Any], name: str) -> bool:
    if name not in known.standing or name == known.name or known.name in known.accepted[name]:
        return False
    return private["mechanism"] != "schedule" or known.standing[name]["slot"] in private["free"]


def _particulars(friend: dict[str, Any]) -> str:
    details = ", ".join(f"{what}: {value}" for what, value in friend["attributes"].items())
    return f"{friend['name']} ({details})" if details else str(friend["name"])
