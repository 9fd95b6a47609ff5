"""Proposals and acceptances: the settlement that every mechanism with deals shares.

Each seat has at most one standing proposal; another one replaces it, and the replaced
one loses its acceptances. A seat is behind a deal if it proposes it or has accepted a
standing proposal of it. A deal with a quota of seats behind it is settled.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from omar_envs.sotopia.mechanisms.arguments import (
    alone,
    canonical,
    find_name,
    in_full,
    listed,
    quote,
    read,
)
from omar_envs.sotopia.mechanisms.validity import check_names
from omar_envs.sotopia.outcomes import ClosingAct, Notice, Outcome, Result, Ruling, Settlement


class DealOutcome(Outcome, frozen=True):
    """Base of the mechanisms that a deal settles. A deal is plain JSON.

    A mechanism gives :meth:`read_deal`, :meth:`describe` and :meth:`worth`, and the words.
    """

    @property
    def acts(self) -> tuple[str, ...]:
        """``propose`` and ``accept``."""
        return ("propose", "accept")

    @property
    def seats_needed(self) -> int:
        """How many seats must be behind a deal; all of them unless a mechanism says otherwise."""
        return self.num_seats

    def read_deal(self, seat: int, terms: object, names: tuple[str, ...]) -> Ruling:
        """Whether ``seat`` may propose these terms (JSON already read), and the deal they are."""
        raise NotImplementedError

    def objection(self, seat: int, deal: Any, names: tuple[str, ...]) -> str:
        """Why ``seat`` cannot accept the deal, told to it alone; "" if it can."""
        return ""

    def describe(self, deal: Any, names: tuple[str, ...]) -> str:
        """The deal in words, without a full stop."""
        raise NotImplementedError

    def worth(self, deal: Any, names: tuple[str, ...]) -> Result:
        """What the deal comes to; ``None`` is no deal."""
        raise NotImplementedError

    def shown(self, act: ClosingAct, names: tuple[str, ...]) -> str:
        """``proposes: …`` or ``accepts the proposal of …``."""
        content = json.loads(act.argument)
        if act.act == "accept":
            return f"accepts the proposal of {content}"
        return f"proposes: {self.describe(content, names)}"

    def open(self, names: tuple[str, ...]) -> Settlement:
        """Begin a game."""
        check_names(names, self.num_seats, self.things)
        return Bargain(self, names)

    @property
    def things(self) -> tuple[str, ...]:
        """Names beside the participants' in a proposal; a participant may have none of them."""
        return ()

    def how_to_close(self, example: object, names: tuple[str, ...], short: object = None) -> str:
        """How to propose and accept, with an example of each; ``short`` is one for short forms."""
        propose = f"To propose: {in_full('propose', example)}."
        brief = alone("propose", short or example)
        if self.num_seats == 2:
            return (
                f"{propose} It is a deal when the other one accepts: {in_full('accept')}. "
                f"A reply that is only the act works too: {brief} or: {alone('accept')}. A new "
                "proposal replaces your last one. If one of you leaves first, there is no deal."
            )
        all_needed = self.seats_needed == self.num_seats
        needed = (
            "all others have accepted"
            if all_needed
            else f"{self.seats_needed} of you, whoever proposed it included, stand behind"
        )
        leaving = " If one of you leaves first, there is no deal." if all_needed else ""
        return (
            f"{propose} To accept, say whose proposal: {in_full('accept', names[0])}. It is a "
            f"deal when {needed} the same proposal. A reply that is only the act works too: "
            f"{brief} or: {alone('accept', names[0])}. A new proposal replaces your last "
            f"one, and who had accepted that must accept again.{leaving}"
        )


class Bargain(Settlement):
    """Proposals and acceptances in one game.

    Acts that are applied together were made unseen by one another: acceptances mean the
    proposals as they stood before, and may settle one of them; only then do new proposals
    replace old ones. If two different deals come to have enough seats behind them at
    once, neither holds: their acceptances are void, and all are told.

    Who leaves takes its proposal and its acceptances with it. Once too few are left for
    any deal, nothing can be settled any more and the settlement is closed.
    """

    def __init__(self, outcome: DealOutcome, names: tuple[str, ...]) -> None:
        self._outcome = outcome
        self._names = names
        self._standing: dict[int, str] = {}
        self._accepted: dict[int, set[int]] = {}  # proposer to who has accepted
        self._gone: set[int] = set()
        self._deal: str | None = None

    @property
    def closed(self) -> bool:
        """Whether there is a deal, or too few are left to make one."""
        left = len(self._names) - len(self._gone)
        return self._deal is not None or left < self._outcome.seats_needed

    def check(self, seat: int, act: str, argument: object) -> Ruling:
        """Whether ``seat`` may propose or accept this now."""
        if self._deal is not None:
            return Ruling(False, reason="a deal has been made already; nothing can change it")
        if seat in self._gone:
            return Ruling(False, reason="you have left the conversation")
        if self.closed:
            return Ruling(False, reason="too many have left: no deal can be made any more")
        if act == "propose":
            return self._outcome.read_deal(seat, read(argument), self._names)
        if act == "accept":
            return self._check_accept(seat, read(argument))
        return Ruling(False, reason=f"there is no {quote(act)} here: use propose or accept")

    def apply(self, acts: tuple[ClosingAct, ...]) -> tuple[Notice, ...]:
        """Apply the acceptances, then, unless that settles it, the proposals.

        An acceptance of a proposal whose proposer has left in the meantime has no effect.
        """
        notices: list[Notice] = []
        if self.closed:
            return ()
        for act in acts:
            if act.act == "accept":
                proposer = self._names.index(json.loads(act.argument))
                self._accepted.get(proposer, set()).add(act.seat)
        self._settle(notices)
        if self._deal is None:
            for act in acts:
                if act.act == "propose" and self._standing.get(act.seat) != act.argument:
                    self._standing[act.seat] = act.argument
                    self._accepted[act.seat] = set()
            self._settle(notices)
        return tuple(notices)

    @property
    def standing(self) -> dict[int, Any]:
        """Seat to the deal that it proposes."""
        # Read anew, so that nobody can change what stands by changing what it was shown.
        return {seat: msgspec.json.decode(deal) for seat, deal in self._standing.items()}

    @property
    def accepted(self) -> dict[int, tuple[int, ...]]:
        """For each standing proposal, who has accepted it."""
        return {seat: tuple(sorted(self._accepted[seat])) for seat in self._standing}

    def leave(self, seat: int) -> None:
        """``seat``'s proposal and acceptances go with it; a deal that is made stays."""
        if self._deal is not None:
            return
        self._gone.add(seat)
        self._standing.pop(seat, None)
        self._accepted.pop(seat, None)
        for accepted in self._accepted.values():
            accepted.discard(seat)

    def result(self) -> Result:
        """What the deal comes to, or what it is worth to have none."""
        deal = None if self._deal is None else json.loads(self._deal)
        return self._outcome.worth(deal, self._names)

    def _check_accept(self, seat: int, wanted: object) -> Ruling:
        others = [other for other in sorted(self._standing) if other != seat]
        whose = listed([self._names[other] for other in others])
        if not others:
            return Ruling(False, reason="nobody else has a proposal standing: make one yourself")
        if wanted is None or wanted == {}:
            if len(others) > 1:
                return Ruling(
                    False, reason=f"proposals stand of {whose}: say whose you accept, by name"
                )
            chosen = others[0]
        else:
            found = find_name(wanted, self._names)
            if found is None or found not in others:
                why = "is your own" if found == seat else "names no standing proposal of another"
                return Ruling(
                    False, reason=f"{quote(wanted)} {why}; accept with the name of {whose}"
                )
            chosen = found
        if seat in self._accepted[chosen]:
            return Ruling(False, reason=f"you have accepted that of {self._names[chosen]} already")
        objection = self._outcome.objection(seat, json.loads(self._standing[chosen]), self._names)
        if objection:
            return Ruling(False, reason=objection)
        return Ruling(True, canonical(self._names[chosen]))

    def _settle(self, notices: list[Notice]) -> None:
        behind: dict[str, set[int]] = {}
        for proposer, deal in self._standing.items():
            behind.setdefault(deal, set()).update({proposer}, self._accepted[proposer])
        enough = [
            deal for deal, seats in behind.items() if len(seats) >= self._outcome.seats_needed
        ]
        if len(enough) > 1:
            for proposer, deal in self._standing.items():
                if deal in enough:
                    self._accepted[proposer].clear()
            notices.append(
                Notice(
                    None,
                    "Different proposals were accepted at the same time, so none of them holds. "
                    "They stand as proposals; accept one of them.",
                )
            )
        elif enough:
            self._deal = enough[0]
            words = self._outcome.describe(json.loads(enough[0]), self._names)
            seats = behind[enough[0]]
            who = "All have agreed" if len(seats) == len(self._names) else self._by(seats)
            notices.append(Notice(None, f"{who}. The deal: {words}."))

    def _by(self, seats: set[int]) -> str:
        return f"{listed([self._names[seat] for seat in sorted(seats)])} have agreed"
