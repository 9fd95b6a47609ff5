"""Scripted negotiators at deals: open high, listen, concede as time passes, close in time.

What a bot holds out for falls from near its best to just above its walk-away value (a
time-dependent tactic: Faratin, Sierra and Jennings 1998, Robotics and Autonomous Systems
24). What it proposes is, of all deals that are worth that much to it, the one that is best
for all by the Nash product of its guesses: it trades what it cares little for.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from omar_envs.sotopia.bot_deals import Deals, deals
from omar_envs.sotopia.bot_table import Table, accept, gesture, leave, propose

OPENING = 0.95
"""Share of its best that a bot holds out for at first."""

GAIN = 0.04
"""Least gain over having no deal for which a bot agrees."""

_OFFER = re.compile(r"\b(?:take|for|pay|at|to) \D{0,2}(\d[\d,]*)(?!\d)")


def haggle(table: Table, rng: np.random.Generator) -> str:
    """A reply where a deal settles it, and it is no price."""
    known = deals(table)
    if table.moves_made == 0 and table.moves >= 3:
        return known.opening
    wanted = _held_out_for(known, table.pressure(reserve=1))
    chosen = _to_accept(table, known, wanted)
    if chosen is not None:
        return accept(chosen)
    offer = _proposal(table, known, wanted)
    if offer is not None and _may_propose(table):
        return propose(offer)
    return _remark(table, known, wanted, rng)


def _held_out_for(known: Deals, pressure: float) -> float:
    least = known.walk_away + GAIN * (1 - known.walk_away)
    return max(least, OPENING - (OPENING - least) * pressure)


def _behind(table: Table, proposer: str) -> set[str]:
    """Who stands behind the deal that ``proposer`` proposes."""
    deal = table.standing[proposer]
    same = [name for name, other in table.standing.items() if other == deal]
    return {*same, *(name for proposed in same for name in table.accepted[proposed])}


def _to_accept(table: Table, known: Deals, wanted: float) -> str | None:
    """Whose proposal to accept now, if anybody's."""
    assert table.private is not None
    fine = [
        name
        for name in table.others
        if name in table.standing
        and table.name not in _behind(table, name)
        and known.own_worth(table.standing[name]) >= wanted
    ]
    if not fine:
        return None

    def appeal(name: str) -> tuple[int, float]:
        worth = known.own_worth(table.standing[name])
        return len(_behind(table, name)), table.priority(name) if table.together else worth

    best = max(fine, key=appeal)
    return None if _crossing(table, best) else best


def _crossing(table: Table, theirs: str) -> bool:
    """Whether two deals could be made at once, and this bot is the one to wait."""
    assert table.private is not None
    enough = table.private["needed"] - 1
    return (
        table.together
        and table.name in table.standing
        and len(_behind(table, theirs)) >= enough
        and len(_behind(table, table.name)) >= enough
        and table.priority(table.name) > table.priority(theirs)
    )


def _proposal(table: Table, known: Deals, wanted: float) -> Any:
    """What to propose now; ``None`` if that stands already."""
    assert table.private is not None
    own = table.names.index(table.name)
    worth = known.worth
    rows = np.flatnonzero(worth[:, own] >= min(wanted, worth[:, own].max()))
    there = [table.names.index(name) for name in table.others]
    gains = np.log(np.maximum(worth[rows][:, there], 0) + 0.02)
    # Those who must agree count in full, whoever may be left out counts less.
    gains = -np.sort(-gains, axis=1)
    weights = np.where(np.arange(len(there)) < table.private["needed"] - 1, 1.0, 0.3)
    product = gains @ weights + np.log(np.maximum(worth[rows, own], 0) + 0.02)
    deal = known.deal(int(rows[int(np.argmax(product))]))
    return None if deal in table.standing.values() else deal


def _may_propose(table: Table) -> bool:
    """Whether it is time for another proposal: others need a turn to take the last one."""
    since = table.own_moves_since("proposes", "accepts")
    if since is None or table.moves <= 5:
        return True
    return since >= (3 if table.accepted.get(table.name) else 1)


def _remark(table: Table, known: Deals, wanted: float, rng: np.random.Generator) -> str:
    """Something true about where they stand."""
    behind = {name: _behind(table, name) for name in table.standing}
    mine = [name for name in behind if table.name in behind[name]]
    if mine:
        proposer = max(mine, key=lambda name: len(behind[name]))
        waiting = [name for name in table.others if name not in behind[proposer]]
        whose = "my proposal" if proposer == table.name else f"{table.call(proposer)}'s proposal"
        if waiting:
            return _urge(table, whose, table.call(waiting[int(rng.integers(len(waiting)))]), rng)
        return table.fresh([f"I am for {whose}.", f"I still stand by {whose}."], rng)
    poor = [
        name
        for name in table.others
        if name in behind and known.own_worth(table.standing[name]) < wanted
    ]
    if poor:
        who = table.call(poor[int(rng.integers(len(poor)))])
        return table.fresh(
            [
                f"I cannot say yes to that yet, {who}.",
                f"That is not enough for me, {who}.",
                f"{who}, we are not quite there. {known.opening}",
                f"I see your point, {who}, but let us look for something that suits me, too.",
            ],
            rng,
        )
    if rng.random() < 0.3:
        return gesture("looks round and waits for a proposal")
    return table.fresh([known.opening, "What do the rest of you think?", "I am listening."], rng)


def _urge(table: Table, whose: str, who: str, rng: np.random.Generator) -> str:
    return table.fresh(
        [
            f"What do you say to {whose}, {who}?",
            f"{who}, could you live with {whose}?",
            f"I would be glad if we could agree on {whose}, {who}.",
            f"Time is getting on, {who}. Can we take {whose}?",
            f"{who}, what would you need to say yes?",
        ],
        rng,
    )


# --- a price ----------------------------------------------------------------------


def bargain(table: Table, rng: np.random.Generator) -> str:
    """A reply of a seller or a buyer."""
    private = table.private
    assert private is not None
    (other,) = table.others
    sells = private["role"] == "seller"
    offer = _offer(private, table.pressure(reserve=2))
    heard = _heard(table, other)
    if table.moves_made == 0 and table.moves >= 4:
        return _first_words(private, offer)
    theirs = table.standing[other]["price"] if other in table.standing else None
    if theirs is not None and (theirs >= offer if sells else theirs <= offer):
        if not _crossing(table, other):
            return accept(other)
        return table.fresh(["I think we have it.", "I believe we agree.", "Then we agree."], rng)
    if heard is not None and heard <= 2 * private["list_price"]:
        # Nobody needs to offer more than the other one has asked for.
        offer = max(offer, heard) if sells else min(offer, heard)
    standing = table.standing.get(table.name, {}).get("price")
    since = table.own_moves_since("proposes")
    if standing != offer and (since is None or since >= 1 or table.moves <= 6):
        return propose({"price": offer})
    if table.turn == table.max_turns and offer == private["limit"]:
        return leave()
    return _price_words(table, private, offer, rng)


def _offer(private: dict[str, Any], pressure: float) -> int:
    """The price to stand at: from the opening to the limit, in round steps, never beyond."""
    limit, asked = private["limit"], private["list_price"]
    step = max(1, 10 ** math.floor(math.log10(asked)) // 20)
    if private["role"] == "seller":
        first = max(asked, limit)
        return (
            max(limit, math.ceil((first - (first - limit) * pressure) / step) * step)
            if pressure < 1
            else int(limit)
        )
    first = min(math.floor(0.6 * asked), math.floor(0.8 * limit))
    if pressure == 1:
        return int(limit)
    return min(limit, max(1, math.floor((first + (limit - first) * pressure) / step) * step))


def _heard(table: Table, other: str) -> int | None:
    """The last price that the other one has named in words."""
    found = [number for sentence in table.speech(other) for number in _OFFER.findall(sentence)]
    digits = found[-1].replace(",", "") if found else ""
    return int(digits) if 0 < len(digits) < 9 else None


def _first_words(private: dict[str, Any], offer: int) -> str:
    unit, item = private["unit"], private["item"]
    if private["role"] == "seller":
        return f"I would like to have {private['list_price']:,} {unit} for {item}."
    return f"I would gladly have {item}. Would you take {offer:,} {unit}?"


def _price_words(
    table: Table, private: dict[str, Any], offer: int, rng: np.random.Generator
) -> str:
    unit, item = private["unit"], private["item"]
    sells, at_limit = private["role"] == "seller", offer == private["limit"]
    if at_limit:
        beyond = "below" if sells else "above"
        return table.fresh(
            [
                f"I am sorry, but I cannot go {beyond} {offer:,} {unit}.",
                f"{offer:,} {unit} is my last word.",
                "If we cannot meet there, let us part as friends.",
                f"That is as far as I can go for {item}.",
            ],
            rng,
        )
    if sells:
        lines = [
            f"I could let {item} go for {offer:,} {unit}.",
            f"I am still looking for something near {offer:,} {unit}.",
            "That is too little for me. Can you come up a bit?",
            "We are getting closer, but not there yet.",
        ]
    else:
        lines = [
            f"I would pay {offer:,} {unit} today.",
            f"I am thinking of something near {offer:,} {unit}.",
            "That is too much for me. Can you come down a bit?",
            "We are getting closer, but not there yet.",
        ]
    return table.fresh(lines, rng)
