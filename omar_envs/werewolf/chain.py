"""The nights and days of a game under random play, as a Markov chain.

A position is how many live of each kind (:class:`Card`). What a player may do, or what
may be done to it, is all that makes a kind: a villager, seer, medium, mason and
possessed are one, a witch is another by each of its potions, an idiot by whether it was
shown, and whom a doctor may not name again is marked on the one it named.

A night marks cards, one act after another, each with its probability; then the marked
die together. Nothing is drawn, so that the same acts in another order are one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache, partial
from itertools import permutations
from typing import NamedTuple, TypeVar

from omar_envs.werewolf.ballots import top_shares
from omar_envs.werewolf.roles import Team
from omar_envs.werewolf.settings import Rules
from omar_envs.werewolf.vote_odds import Roll, Shares

__all__ = ["Chain", "Place", "Position", "Spread", "absorbed", "after", "dealt"]

ZERO = Fraction(0)
ONE = Fraction(1)

VICTIM, PROTECTED, POISONED, ACTED = 1, 2, 4, 8
"""Marks of one night; a card has the sum of its marks."""

_POTIONS = {
    "witch": (True, True),
    "witch who poisoned": (True, False),
    "witch who healed": (False, True),
}
"""Whether a witch of this kind can still heal, and poison; with neither she is plain."""

_WITCHES = {potions: kind for kind, potions in _POTIONS.items()} | {(False, False): "plain"}

_SORTS = {"mayor": 1, "shown": 2}
"""Places in a Roll; all others are ordinary voters."""

_STAGES = {"idiot": 1, "witch": 2, "witch who poisoned": 1, "witch who healed": 1}
"""How often a player of a kind can still become one of another."""


class Card(NamedTuple):
    """A living player, as far as it matters.

    Attributes:
        kind: a role, ``plain`` for all those who only talk, look and vote, ``shown``
            for an idiot without a vote, or a witch by what she did.
        seat: number of a doctor who may not repeat itself, a power of two; else 0.
        barred: sum of the ``seat`` of all doctors who named it last.
        marks: what this night has done to it so far.
    """

    kind: str
    seat: int = 0
    barred: int = 0
    marks: int = 0


Cards = tuple[tuple[Card, int], ...]
"""Kinds of the living in order, and how many there are of each."""


class Position(NamedTuple):
    """A night or a day about to begin."""

    cards: Cards
    by_day: bool

    @property
    def stages(self) -> int:
        """How much is left to lose: no position leads to one that has more."""
        return sum(number * (1 + _STAGES.get(card.kind, 0)) for card, number in self.cards)


Place = Position | Team
"""Where a game can be: in a position, or won."""

Spread = dict[Place, Fraction]
"""Probabilities of places."""

_Marked = dict[Cards, Fraction]
"""Probabilities of what a night has come to."""

_S = TypeVar("_S")
_T = TypeVar("_T")


def _put(spread: dict[_T, Fraction], place: _T, chance: Fraction) -> None:
    if chance:
        spread[place] = spread.get(place, ZERO) + chance


def _add(spread: dict[_T, Fraction], more: Mapping[_T, Fraction], weight: Fraction) -> None:
    if weight:
        for place, chance in more.items():
            _put(spread, place, weight * chance)


def dealt(kinds: Mapping[str, int], rules: Rules) -> Cards:
    """The cards of a new game: so many of each kind; doctors with a memory have a seat."""
    counts = {Card(kind): number for kind, number in kinds.items() if number}
    if not rules.doctor_repeat_save:
        doctors = counts.pop(Card("doctor"), 0)
        counts |= {Card("doctor", seat=1 << place): 1 for place in range(doctors)}
    return tuple(sorted(counts.items()))


def _living(cards: Cards) -> int:
    return sum(number for _, number in cards)


def _number(cards: Cards, kind: str) -> int:
    return sum(number for card, number in cards if card.kind == kind)


def _turned(cards: Cards, one: Card | None, into: Card | None = None) -> Cards:
    """One card turned into another; without ``one`` added, without ``into`` taken away."""
    counts = dict(cards)
    if one is not None:
        counts[one] -= 1
    if into is not None:
        counts[into] = counts.get(into, 0) + 1
    return tuple(sorted((card, number) for card, number in counts.items() if number))


def _marked(card: Card, mark: int) -> Card:
    return card._replace(marks=card.marks | mark)


@dataclass(frozen=True)
class Chain:
    """The transitions of a game.

    Attributes:
        rules: the game's.
        elected: whom a vote puts out, :func:`omar_envs.werewolf.vote_odds.elected` under
            these rules.
    """

    rules: Rules
    elected: Callable[[Roll], Shares]

    def step(self, position: Position) -> Spread:
        """What a night leaves to the day, or a day to the night."""
        if position.by_day:
            return self.day(position.cards)
        return self.night(position.cards)

    # --- day ----------------------------------------------------------------------

    def day(self, cards: Cards) -> Spread:
        """Somebody may be voted out; players of one sort are as likely each."""
        mayors, mute = _number(cards, "mayor"), _number(cards, "shown")
        roll = Roll(_living(cards) - mayors - mute, mayors, mute)
        shares = self.elected(roll)
        spread: Spread = {}
        _put(spread, Position(cards, by_day=False), 1 - sum(shares, ZERO))
        for card, number in cards:
            sort = _SORTS.get(card.kind, 0)
            share = shares[sort] * Fraction(number, roll[sort])
            if card.kind == "jester":
                _put(spread, "jester", share)
            elif card.kind == "idiot":
                shown = _turned(cards, card, card._replace(kind="shown"))
                _put(spread, Position(shown, by_day=False), share)
            else:
                shots = int(card.kind == "hunter")
                _add(spread, self.dying(_turned(cards, card), shots, by_day=False), share)
        return spread

    # --- night --------------------------------------------------------------------

    def night(self, cards: Cards) -> Spread:
        """The wolves' choice, the doctors', the witches', and the deaths of it all."""
        marked = _then({cards: ONE}, self.attack)
        marked = _then(marked, self.protect)
        return _then(_then(marked, self.brew), self.dawn)

    def attack(self, cards: Cards) -> _Marked:
        """The victim is uniform among those who are no wolves; if ties spare, there may be none."""
        wolves = _number(cards, "werewolf")
        prey = _living(cards) - wolves
        tie_kills = self.rules.kill_tie == "random"
        strike = ONE if tie_kills else top_shares(wolves, prey, self_vote=True)[1]
        marked: _Marked = {}
        _put(marked, cards, 1 - strike)
        for card, number in cards:
            if card.kind != "werewolf":
                struck = _turned(cards, card, _marked(card, VICTIM))
                _put(marked, struck, strike * Fraction(number, prey))
        return marked

    def protect(self, cards: Cards) -> _Marked:
        """Doctors who may not repeat themselves are followed by whom each names.

        Else it matters only whether one names the victim: each of d with 1/n; where none
        may name itself with 1/(n−1), and a doctor who is the victim has only the others.
        So none does with (1 − 1/n)^d and the like.
        """
        if not self.rules.doctor_repeat_save:
            marked: _Marked = {cards: ONE}
            for seat in _seats(cards):
                marked = _then(marked, partial(self.name, seat=seat))
            return marked
        victim = next((card for card, _ in cards if card.marks & VICTIM), None)
        if victim is None:
            return {cards: ONE}
        alone = not self.rules.doctor_self_save
        doctors = _number(cards, "doctor") - (alone and victim.kind == "doctor")
        dies = (1 - Fraction(1, _living(cards) - alone)) ** doctors
        marked = {cards: dies}
        _put(marked, _turned(cards, victim, _marked(victim, PROTECTED)), 1 - dies)
        return marked

    def name(self, cards: Cards, seat: int) -> _Marked:
        """The doctor of this seat names one; that of last night only where there is no other."""
        last = next((card for card, _ in cards if card.barred & seat), None)
        allowed = {
            card: number
            for card, number in cards
            if self.rules.doctor_self_save or card.seat != seat
        }
        if last in allowed and sum(allowed.values()) > 1:
            del allowed[last]
        marked: _Marked = {}
        for card, number in allowed.items():
            named = card._replace(barred=card.barred | seat)
            if card.marks & VICTIM:
                named = _marked(named, PROTECTED)
            protected = _turned(cards, card, named)
            if last is not None and last != card:
                protected = _turned(protected, last, last._replace(barred=last.barred ^ seat))
            _put(marked, protected, Fraction(number, sum(allowed.values())))
        return marked

    def brew(self, cards: Cards) -> _Marked:
        """Each witch names the victim to heal it, another to poison it, or passes."""
        witch = next((c for c, _ in cards if c.kind in _POTIONS and not c.marks & ACTED), None)
        if witch is None:
            return {cards: ONE}
        heals, poisons = _POTIONS[witch.kind]
        passed = _marked(witch, ACTED)
        healed = passed._replace(kind=_WITCHES[False, poisons])
        poisoned = passed._replace(kind=_WITCHES[heals, False])
        others = _turned(cards, witch)
        options = [(passed, others, 1)]
        if heals and witch.marks & VICTIM:
            options.append((_marked(healed, PROTECTED), others, 1))
        for card, number in others:
            if heals and card.marks & VICTIM:
                saved = _turned(others, card, _marked(card, PROTECTED))
                options.append((healed, saved, number))
            elif poisons:
                doomed = _turned(others, card, _marked(card, POISONED))
                options.append((poisoned, doomed, number))
        choices = sum(number for _, _, number in options)
        marked: _Marked = {}
        for herself, rest, number in options:
            _add(marked, self.brew(_turned(rest, None, herself)), Fraction(number, choices))
        return marked

    def dawn(self, cards: Cards) -> Spread:
        """The poisoned die, and the victim unless it was protected or healed."""
        counts: Counter[Card] = Counter()
        shots = 0
        for card, number in cards:
            if card.marks & POISONED:
                continue
            if card.marks & (VICTIM | PROTECTED) == VICTIM:
                shots += card.kind == "hunter"
            else:
                counts[card._replace(marks=0)] += number
        return self.dying(tuple(sorted(counts.items())), shots, by_day=True)

    # --- deaths -------------------------------------------------------------------

    def dying(self, left: Cards, shots: int, *, by_day: bool) -> Spread:
        """What the shots of the dying leave; a hunter who is hit shoots too.

        Only when all have died is it asked who has won.

        Args:
            left: who lives after all deaths so far.
            shots: how many of the dead have yet to shoot.
            by_day: whether it is a day that follows.
        """
        if not shots or not left:
            return {self.settled(left, by_day=by_day): ONE}
        spread: Spread = {}
        for card, number in left:
            more = shots - 1 + (card.kind == "hunter")
            hit = self.dying(_turned(left, card), more, by_day=by_day)
            _add(spread, hit, Fraction(number, _living(left)))
        return spread

    def settled(self, cards: Cards, *, by_day: bool) -> Place:
        """The position, or who has won in it."""
        wolves = _number(cards, "werewolf")
        others = _living(cards) - wolves
        if wolves == 0:
            return "village"
        if others == 0 or (self.rules.win_rule == "parity" and wolves >= others):
            return "werewolf"
        return Position(_reseated(cards), by_day)


def _then(
    spread: Mapping[_S, Fraction], act: Callable[[_S], Mapping[_T, Fraction]]
) -> dict[_T, Fraction]:
    """What an act makes of each."""
    acted: dict[_T, Fraction] = {}
    for place, chance in spread.items():
        _add(acted, act(place), chance)
    return acted


def _seats(cards: Cards) -> list[int]:
    return [card.seat for card, _ in cards if card.seat]


@lru_cache(maxsize=1 << 16)
def _reseated(cards: Cards) -> Cards:
    """The same with what the dead remember forgotten, and seats given anew.

    Which doctor has which seat is of no matter, so of all that differ in it one stands
    for all.
    """
    seats = _seats(cards)
    new = [1 << place for place in range(len(seats))]
    if not any(card.barred for card, _ in cards) and seats == new:
        return cards
    return min(_seated(cards, dict(zip(seats, order, strict=True))) for order in permutations(new))


def _seated(cards: Cards, new: Mapping[int, int]) -> Cards:
    counts: Counter[Card] = Counter()
    for card, number in cards:
        barred = sum(seat for old, seat in new.items() if card.barred & old)
        counts[card._replace(seat=new.get(card.seat, 0), barred=barred)] += number
    return tuple(sorted(counts.items()))


# --- where it leads ---------------------------------------------------------------


def after(chain: Chain, spread: Spread, steps: int) -> Spread:
    """Where the chain is after so many nights and days."""
    step = cache(chain.step)
    for _ in range(steps):
        spread = _then(spread, lambda p: step(p) if isinstance(p, Position) else {p: ONE})
    return spread


def absorbed(chain: Chain, spread: Spread) -> Spread:
    """Where the chain ends, by eliminating its positions, those with most to lose first.

    A night and a day in which nobody is lost lead back to where they began, or to where
    only the doctors' memory differs. To eliminate a position, its row is divided by
    1 − P(stay), and whatever leads to it leads on to where it leads.
    """
    by_stages: dict[int, dict[Position, Spread]] = {}
    found = [place for place in spread if isinstance(place, Position)]
    while found:
        position = found.pop()
        rows = by_stages.setdefault(position.stages, {})
        if position not in rows:
            rows[position] = chain.step(position)
            found.extend(place for place in rows[position] if isinstance(place, Position))
    spread = dict(spread)
    for stages in sorted(by_stages, reverse=True):
        rows = by_stages[stages]
        for position in list(rows):
            row = rows.pop(position)
            leaves = 1 - row.pop(position, ZERO)
            for other in (spread, *rows.values()):
                if position in other:
                    _add(other, row, other.pop(position) / leaves)
    return spread
