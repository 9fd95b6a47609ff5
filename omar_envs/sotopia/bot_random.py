"""A legal act at random: what playing without any thought comes to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from omar_envs.sotopia.bot_deals import deals
from omar_envs.sotopia.bot_table import Table, accept, answer, gesture, nothing, pick, propose

_PHRASES = ("I have nothing to say.", "Well.", "Let us see.", "I am not sure.")


def random_act(table: Table, rng: np.random.Generator) -> str:
    """Words, a gesture, silence, or one of the closing acts that are legal now; not leaving."""
    acts: list[Callable[[], str]] = [
        lambda: pick(_PHRASES, rng),
        lambda: gesture("shrugs"),
        nothing,
    ]
    private = table.private
    if private is None:
        return pick(acts, rng)()
    if "needed" not in private:
        if table.name not in table.answered:
            acts.append(lambda: _answer(table, rng))
        return pick(acts, rng)()
    acts.append(lambda: _propose(table, rng))
    acceptable = _acceptable(table)
    if acceptable:
        acts.append(lambda: accept(pick(acceptable, rng)))
    return pick(acts, rng)()


def _answer(table: Table, rng: np.random.Generator) -> str:
    private = table.private
    assert private is not None
    match private["mechanism"]:
        case "mutual_friend":
            return answer(pick([friend["name"] for friend in private["friends"]], rng))
        case "public_goods":
            return answer(int(rng.integers(private["endowment"] + 1)))
    return answer(pick(private["options"], rng))


def _propose(table: Table, rng: np.random.Generator) -> str:
    private = table.private
    assert private is not None
    if private["mechanism"] == "price":
        return propose({"price": int(rng.integers(2 * private["list_price"] + 1))})
    known = deals(table)
    possible = np.flatnonzero(known.worth[:, table.names.index(table.name)] >= 0)
    return propose(known.deal(pick(possible.tolist(), rng)))


def _acceptable(table: Table) -> list[str]:
    """Whose proposals can be accepted: those not yet accepted, at a time when one is free."""
    private = table.private
    assert private is not None
    return [
        name
        for name in table.others
        if name in table.standing
        and table.name not in table.accepted[name]
        and (private["mechanism"] != "schedule" or table.standing[name]["slot"] in private["free"])
    ]
