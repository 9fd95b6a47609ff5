"""Every deal there could be, and what each is worth to each, as far as one participant knows.

Its own worth it knows exactly. That of the others it guesses from what they have said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from omar_envs.sotopia.bot_table import Liking, Table
from omar_envs.sotopia.mechanisms.arguments import listed
from omar_envs.sotopia.mechanisms.measures import Points, compositions

_UP_TO = re.compile(r"up to (\d+)")
_LESS_THAN = re.compile(r"less than (\d+)")


class Deals(NamedTuple):
    """The deals of one scenario, as one participant sees them.

    Attributes:
        worth: (N, seats) scores in [0, 1]; the own column is exact, −1 where it cannot
            agree; the others' are guesses.
        walk_away: its own score without a deal.
        deal: row number to the deal.
        own_worth: a deal to its own score, −1 where it cannot agree.
        opening: what it says of itself, true, in words that the bots read.
        objection: a deal, and the score that it holds out for, to a true sentence on what
            stands in its way.
    """

    worth: NDArray[np.float64]
    walk_away: float
    deal: Callable[[int], Any]
    own_worth: Callable[[Any], float]
    opening: str
    objection: Callable[[Any, float], str]


def deals(table: Table) -> Deals:
    """The deals of a division, split, schedule or assignment."""
    assert table.private is not None
    return _MAKERS[table.private["mechanism"]](table, table.private)


def _division(table: Table, private: dict[str, Any]) -> Deals:
    items, values = private["items"], private["values"]
    piles = {item: values[item] * count for item, count in items.items()}
    total = sum(piles.values())
    shares = _handouts(tuple(items.values()), len(table.names))
    worth = np.empty(shares.shape[:2])
    for seat, name in enumerate(table.names):
        if name == table.name:
            pieces = np.array(list(values.values())) / total
        else:
            guess = _pile_guess(table.liking(name, tuple(items)), tuple(items))
            pieces = np.array(guess) / np.array(list(items.values()))
        worth[:, seat] = shares[:, seat] @ pieces

    def deal(row: int) -> dict[str, dict[str, int]]:
        return {
            name: {item: int(n) for item, n in zip(items, shares[row, seat], strict=True) if n}
            for seat, name in enumerate(table.names)
        }

    def own_worth(deal: dict[str, dict[str, int]]) -> float:
        return float(sum(values[item] * n for item, n in deal[table.name].items()) / total)

    def objection(deal: dict[str, dict[str, int]], wanted: float) -> str:
        mine = deal[table.name]
        more = {item: values[item] for item in liked if mine.get(item, 0) < items[item]}
        missing = wanted - own_worth(deal)
        enough = [item for item, value in more.items() if value / total >= missing]
        if enough:
            item = min(enough, key=lambda item: more[item])
            piece = f"one more of the {item}" if mine.get(item) else _piece(item, items[item])
            return f"With {piece} on top I could say yes."
        if not mine:
            return "That leaves me with nothing at all."
        item = next(iter(more))
        return f"I had hoped for {'more of ' if items[item] > 1 else ''}the {item}."

    liked = sorted((item for item in items if piles[item]), key=lambda item: -piles[item])
    useless = [f"the {item}" for item in items if not piles[item]]
    first, *rest = liked
    above = ", more than all the rest together" if 2 * piles[first] > total and rest else ""
    then = "".join(f", then the {item}" for item in rest)
    said = f"To me the {first} matter{'s' * (items[first] == 1)} most{above}{then}."
    if useless:
        said = f"{said} I have no use for {listed(useless, 'or')}."
    return Deals(worth, private["outside"] / total, deal, own_worth, said, objection)


def _piece(item: str, count: int) -> str:
    return f"one of the {item}" if count > 1 else f"the {item}"


def _pile_guess(liking: Liking, items: tuple[str, ...]) -> list[float]:
    """Shares of all points that somebody has in each pile."""
    ranked = liking.ranked
    weights = {item: 0.0 if item in liking.unwanted else 1.0 for item in items}
    weights |= {item: 1.5 * (len(ranked) - place) for place, item in enumerate(ranked)}
    if liking.above_all:
        weights[ranked[0]] = 1.3 * (sum(weights.values()) - weights[ranked[0]])
    total = sum(weights.values()) or 1.0
    return [weights[item] / total for item in items]


def _split(table: Table, private: dict[str, Any]) -> Deals:
    budget, unit = private["budget"], private["unit"]
    least, need = private["minimum"], private["need"]
    amounts = _divisions(budget, len(table.names))
    worth = np.empty(amounts.shape)
    for seat, name in enumerate(table.names):
        low, high = (least, need) if name == table.name else _needs(table, name, budget)
        got = amounts[:, seat]
        worth[:, seat] = np.where(got < low, 0, np.minimum(got, high)) / high

    def deal(row: int) -> dict[str, int]:
        return {name: int(n) for name, n in zip(table.names, amounts[row], strict=True)}

    def own_worth(deal: dict[str, int]) -> float:
        got = deal[table.name]
        return float(min(got, need) / need) if got >= least else 0.0

    def objection(deal: dict[str, int], wanted: float) -> str:
        got = deal[table.name]
        enough = max(least, math.ceil(wanted * need))
        if got == 0:
            return "That leaves me with nothing at all."
        if got < least:
            return f"I could do nothing with {got} {unit}; I would need {enough}."
        return f"With {enough} instead of {got} I could say yes."

    useless = f", and less than {least} would be of no use to me" if least else ""
    said = f"I could use up to {need} {unit}{useless}."
    return Deals(worth, 0.0, deal, own_worth, said, objection)


def _needs(table: Table, name: str, budget: int) -> tuple[int, int]:
    """The least that is of use to somebody and the most, as it said or as a guess."""
    text = " ".join(table.speech(name))
    most, least = _UP_TO.findall(text), _LESS_THAN.findall(text)
    high = int(most[-1]) if most else round(1.5 * budget / len(table.names))
    high = min(budget, max(1, high))
    return (min(high, int(least[-1])) if least else 0), high


def _schedule(table: Table, private: dict[str, Any]) -> Deals:
    slots, free = private["slots"], private["free"]
    best = max(free.values())
    worth = np.empty((len(slots), len(table.names)))
    for seat, name in enumerate(table.names):
        if name == table.name:
            worth[:, seat] = [free[slot] / best if slot in free else -1 for slot in slots]
        else:
            worth[:, seat] = _order_guess(table.liking(name, slots), slots, unnamed=0.03)

    def own_worth(deal: dict[str, str]) -> float:
        return float(free[deal["slot"]] / best) if deal["slot"] in free else -1.0

    def objection(deal: dict[str, str], wanted: float) -> str:
        if deal["slot"] not in free:
            return f"I am sorry, I am not free {deal['slot']}."
        return f"I could make {deal['slot']}, but other times suit me better."

    liked = sorted(free, key=lambda slot: -free[slot])
    order = ", in that order of preference" if len(liked) > 1 else ""
    said = f"I could make {listed(liked, 'or')}{order}."
    return Deals(worth, 0.0, lambda row: {"slot": slots[row]}, own_worth, said, objection)


def _assignment(table: Table, private: dict[str, Any]) -> Deals:
    tasks, costs, undone = private["tasks"], private["costs"], private["undone"]
    most = undone - min(costs.values())
    ways = _orders(len(tasks))
    worth = np.empty(ways.shape)
    for seat, name in enumerate(table.names):
        if name == table.name:
            column = [(undone - costs[task]) / most for task in tasks]
        else:
            column = _order_guess(table.liking(name, tasks), tasks, unnamed=0.3)
        worth[:, seat] = np.array(column)[ways[:, seat]]

    def deal(row: int) -> dict[str, str]:
        return {name: tasks[n] for name, n in zip(table.names, ways[row], strict=True)}

    def own_worth(deal: dict[str, str]) -> float:
        return float((undone - costs[deal[table.name]]) / most)

    def objection(deal: dict[str, str], wanted: float) -> str:
        task = deal[table.name]
        return f"{task[:1].upper()}{task[1:]} would cost me a lot."

    first, *rest = sorted(tasks, key=lambda task: costs[task])
    if len(rest) == 1:
        said = f"I would rather take {first} than {rest[0]}."
    else:
        middle = "".join(f", then {task}" for task in rest[:-1])
        said = f"I would most gladly take {first}{middle}, and {rest[-1]} only if I must."
    return Deals(worth, 0.0, deal, own_worth, said, objection)


def _order_guess(liking: Liking, things: list[str], unnamed: float) -> list[float]:
    """Scores by the order in which somebody has named what it likes."""
    if not liking.ranked:
        return [0.03 if thing in liking.unwanted else 0.5 for thing in things]
    last = max(1, len(liking.ranked) - 1)
    scores = {thing: 1 - 0.7 * place / last for place, thing in enumerate(liking.ranked)}
    return [scores.get(thing, unnamed) for thing in things]


_MAKERS: dict[str, Callable[[Table, dict[str, Any]], Deals]] = {
    "division": _division,
    "split": _split,
    "schedule": _schedule,
    "assignment": _assignment,
}


@lru_cache(maxsize=8)
def _handouts(counts: tuple[int, ...], seats: int) -> Points:
    """All ways to hand out so many pieces of each item: (N, seats, items)."""
    ways = np.zeros((1, seats, 0), dtype=np.int64)
    for count in counts:
        pieces = compositions(count, seats)[:, :, None]
        old, new = len(ways), len(pieces)
        ways = np.concatenate([ways.repeat(new, axis=0), np.tile(pieces, (old, 1, 1))], axis=2)
    return ways


@lru_cache(maxsize=8)
def _divisions(budget: int, seats: int) -> Points:
    """All ways to divide a budget without a rest: (N, seats)."""
    return compositions(budget, seats)


@lru_cache(maxsize=8)
def _orders(seats: int) -> Points:
    """All ways to hand out as many tasks: (N, seats), the number of each seat's task."""
    return np.array(list(permutations(range(seats))))
