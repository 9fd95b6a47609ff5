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
from numpy.typing import NDArray

from omar_envs.sotopia.bot_deals import Deals, deals
from omar_envs.sotopia.bot_table import Table, accept, leave, pick, propose

OPENING = 0.95
"""Share of its best that a bot holds out for at first."""

GAIN = 0.04
"""Least gain over having no deal for which a bot agrees."""

PATIENCE = 14
"""Own moves after which a bot holds out for no more than that, however long there is."""

HOPELESS = 0.05
"""What somebody would agree to is guessed to be worth more than that to it."""

_OFFER = re.compile(r"\b(?:take|for|pay|at|to) \D{0,2}(\d[\d,]*)(?!\d)")


def haggle(table: Table, rng: np.random.Generator) -> str:
    """A reply where a deal settles it, and it is no price."""
    known = deals(table)
    pressure = min(1.0, max(table.pressure(reserve=1), table.moves_made / PATIENCE))
    if table.moves_made == 0 and pressure < 1 and table.moves >= 3:
        return known.opening
    rows = _credible(table, known)
    wanted = _held_out_for(table, known, rows, pressure)
    chosen = _to_accept(table, known, wanted)
    if chosen is not None:
        return accept(chosen)
    offer = _proposal(table, known, rows, wanted)
    if offer is not None and _may_propose(table):
        return propose(offer)
    return _remark(table, known, wanted, rng)


def _credible(table: Table, known: Deals) -> NDArray[np.intp]:
    """Rows of the deals that as many as must agree might agree to, if there are any."""
    assert table.private is not None
    there = [table.names.index(name) for name in table.others]
    possible = known.worth[:, table.names.index(table.name)] >= known.walk_away
    might = (known.worth[:, there] > HOPELESS).sum(axis=1) >= table.private["needed"] - 1
    rows = np.flatnonzero(possible & might)
    return rows if len(rows) else np.flatnonzero(possible)


def _held_out_for(table: Table, known: Deals, rows: NDArray[np.intp], pressure: float) -> float:
    least = known.walk_away + GAIN * (1 - known.walk_away)
    first = OPENING * float(known.worth[rows, table.names.index(table.name)].max())
    return max(least, first - (first - least) * pressure)


def _behind(table: Table, proposer: str) -> set[str]:
    """Who stands behind the deal that ``proposer`` proposes."""
    deal = table.standing[proposer]
    same = [name for name, other in table.standing.items() if other == deal]
    return {*same, *(name for proposed in same for name in table.accepted[proposed])}


def _to_accept(table: Table, known: Deals, wanted: float) -> str | None:
    """Whose proposal to accept now, if anybody's."""
    fine = [
        name
        for name in table.others
        if name in table.standing
        and table.name not in _behind(table, name)
        and known.own_worth(table.standing[name]) >= wanted
    ]

    def appeal(name: str) -> tuple[int, float]:
        worth = known.own_worth(table.standing[name])
        return len(_behind(table, name)), table.priority(name) if table.together else worth

    free = [name for name in fine if not _crossing(table, name)]
    return max(free, key=appeal) if free else None


def _crossing(table: Table, proposer: str) -> bool:
    """Whether to keep to another deal in this turn, so that no two are made at once.

    Where all act at once, those behind one deal might accept the other, and the other
    way round. In each turn one deal goes before all others, by a rule that all know.
    """

    def rank(name: str) -> int:
        deal = table.standing[name]
        return max(table.priority(n) for n, other in table.standing.items() if other == deal)

    return table.together and any(
        table.name in _behind(table, other) and rank(other) > rank(proposer)
        for other in table.standing
    )


def _proposal(table: Table, known: Deals, rows: NDArray[np.intp], wanted: float) -> Any:
    """What to propose now; ``None`` if that stands already."""
    assert table.private is not None
    own = known.worth[rows, table.names.index(table.name)]
    enough = own >= min(wanted, own.max())
    rows, own = rows[enough], own[enough]
    there = [table.names.index(name) for name in table.others]
    gains = np.log(np.maximum(known.worth[rows][:, there], 0) + 0.02)
    # Those who must agree count in full, whoever may be left out counts less.
    gains = -np.sort(-gains, axis=1)
    weights = np.where(np.arange(len(there)) < table.private["needed"] - 1, 1.0, 0.3)
    product = gains @ weights + np.log(np.maximum(own, 0) + 0.02)
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
    worth = {name: known.own_worth(deal) for name, deal in table.standing.items()}
    poor = [name for name in table.others if name in worth and worth[name] < wanted]
    lines: list[str] = []
    if poor:
        name = pick(poor, rng)
        who, why = table.call(name), known.objection(table.standing[name], wanted)
        lines = [
            why,
            f"I cannot say yes to that, {who}. {why}",
            f"I see your point, {who}. {why}",
            f"We are not there yet, {who}.",
        ]
    if mine:
        proposer = max(mine, key=lambda name: len(behind[name]))
        whose = "my proposal" if proposer == table.name else f"{table.call(proposer)}'s proposal"
        waiting = [name for name in table.others if name not in behind[proposer]]
        lines += _urging(table, whose, table.call(pick(waiting, rng))) if waiting else []
    quiet = [name for name in table.others if not table.speech(name) and name not in behind]
    if quiet:
        lines.append(f"What do you want out of this, {table.call(pick(quiet, rng))}?")
    return table.fresh(lines or [known.opening, "What do the rest of you think?"], rng)


def _urging(table: Table, whose: str, who: str) -> list[str]:
    late = [
        "Time is getting on. Let us agree on something.",
        f"{who}, let us not go without a deal.",
    ]
    return [
        f"What do you say to {whose}, {who}?",
        f"{who}, could you live with {whose}?",
        f"I would be glad if we could agree on {whose}, {who}.",
        f"{who}, what would you need to say yes?",
        f"I think {whose} is fair to you, {who}.",
        *(late if table.pressure(reserve=1) > 0.5 else ()),
    ]


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
    limit: int = private["limit"]
    asked: int = private["list_price"]
    if pressure == 1:
        return limit
    step = max(1, int(10 ** math.floor(math.log10(asked))) // 20)
    if private["role"] == "seller":
        first = max(asked, limit)
        return max(limit, math.ceil((first - (first - limit) * pressure) / step) * step)
    first = max(1, min(math.floor(0.6 * asked), math.floor(0.8 * limit)))
    return min(limit, max(first, math.floor((first + (limit - first) * pressure) / step) * step))


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
            f"Make it {offer:,} {unit}, and {item} is yours.",
            f"Meet me at {offer:,} {unit}?",
            "We are getting closer, but not there yet.",
        ]
    else:
        lines = [
            f"I would pay {offer:,} {unit} today.",
            f"I am thinking of something near {offer:,} {unit}.",
            "That is too much for me. Can you come down a bit?",
            f"Let me have {item} for {offer:,} {unit}, and we are done.",
            f"Meet me at {offer:,} {unit}?",
            "We are getting closer, but not there yet.",
        ]
    return table.fresh(lines, rng)
