"""What a scripted negotiator reads from its view: who is there, how time stands, what was said.

The bots speak plain sentences and read the same ones: a sentence that names some of the
things at stake tells, by its words, which of them its speaker likes and in which order, or
which it has no use for. Models and people who talk like that are understood, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

from omar_envs.sotopia.acts import NON_VERBAL, NONE
from omar_envs.sotopia.mechanisms.arguments import read
from omar_envs.types import View

LOST_CHANCE = 0.1
"""Where lots are drawn: the risk never to be drawn again that a bot takes."""

_Item = TypeVar("_Item")

_SENTENCES = re.compile(r"(?<=[.!?;])\s+")
_NUMBERS = re.compile(r"[\d,]+")
_DISLIKES = re.compile(r"\b(no use|cannot|can't|not|don't|never|nothing)\b", re.IGNORECASE)
_LIKES = re.compile(
    r"\b(most|best|rather|gladly|prefer|like|love|want|need|then|free|make)\b", re.IGNORECASE
)
_ABOVE_ALL = re.compile(r"\bmore than (all|everything)\b", re.IGNORECASE)


class Said(NamedTuple):
    """One message of a participant, by display name; ``turn`` counts from 0."""

    turn: int
    speaker: str
    kind: str
    text: str


class Liking(NamedTuple):
    """What someone has said it likes.

    Attributes:
        ranked: from the best down.
        unwanted: what is of no use to it.
        above_all: whether the best is worth more to it than all the rest together.
    """

    ranked: tuple[str, ...] = ()
    unwanted: frozenset[str] = frozenset()
    above_all: bool = False


@dataclass(frozen=True)
class Table:
    """One moment of the game as one bot sees it.

    Attributes:
        name: its own display name.
        names: all participants, in seat order.
        others: the other ones who are still there, in seat order.
        private: its private facts, ``None`` where nothing is computed.
        turn, max_turns: the running turn, from 1, and the last one.
        moves_made: own moves so far.
        moves_left: own moves still to come after this one; a guess where lots are drawn.
        order: as in ``View.facts``.
        said: what participants have said and done, as far as it could see, in order.
        standing, accepted, answered: as in ``View.facts``.
    """

    name: str
    names: tuple[str, ...]
    others: tuple[str, ...]
    private: dict[str, Any] | None
    turn: int
    max_turns: int
    moves_made: int
    moves_left: int
    order: str
    said: tuple[Said, ...]
    standing: dict[str, Any]
    accepted: dict[str, list[str]]
    answered: tuple[str, ...]

    @property
    def moves(self) -> int:
        """Own moves in all, those to come included."""
        return self.moves_made + 1 + self.moves_left

    @property
    def together(self) -> bool:
        """Whether all act at once."""
        return self.order == "simultaneous"

    @property
    def last_chance(self) -> bool:
        """Whether there may well be no other move after this one."""
        if self.order != "random":
            return self.moves_left == 0
        missed = 1 - 1 / (1 + len(self.others))
        return missed ** (self.max_turns - self.turn) > LOST_CHANCE

    def pressure(self, reserve: int) -> float:
        """How much of the time for holding out has passed, 0 to 1; ``reserve`` moves remain."""
        if self.order == "random":
            kept = (reserve + 1) * (1 + len(self.others))
            return min(1.0, (self.turn - 1) / max(1, self.max_turns - 1 - kept))
        return min(1.0, self.moves_made / max(1, self.moves - 1 - reserve))

    def priority(self, name: str) -> int:
        """A number that differs between participants and goes round with the turns.

        All know it, so it decides who yields where two would do the same at once.
        """
        return (self.names.index(name) + self.turn) % len(self.names)

    @property
    def host(self) -> str:
        """Who has the highest priority among those present."""
        return max((self.name, *self.others), key=self.priority)

    def speech(self, name: str) -> list[str]:
        """What a participant has said, sentence by sentence."""
        return [
            sentence
            for said in self.said
            if said.speaker == name and said.kind == "speech"
            for sentence in _SENTENCES.split(said.text)
        ]

    def own_moves_since(self, *beginnings: str) -> int | None:
        """Own messages after the last action that begins like this; ``None`` if there is none."""
        own = [said for said in self.said if said.speaker == self.name]
        for count, said in enumerate(reversed(own)):
            if said.kind == "action" and said.text.startswith(beginnings):
                return count
        return None

    def liking(self, name: str, things: Sequence[str]) -> Liking:
        """What ``name`` has said it likes of ``things``."""
        ranked: dict[str, None] = {}
        unwanted: set[str] = set()
        above_all = False
        for sentence in self.speech(name):
            named = mentioned(sentence, tuple(things))
            if not named or "?" in sentence:
                continue
            if _DISLIKES.search(sentence):
                unwanted.update(named)
            elif _LIKES.search(sentence):
                above_all = above_all or bool(_ABOVE_ALL.search(sentence) and not ranked)
                ranked.update(dict.fromkeys(named))
        return Liking(
            tuple(thing for thing in ranked if thing not in unwanted),
            frozenset(unwanted),
            above_all,
        )

    def call(self, name: str) -> str:
        """How one addresses somebody: by first name where nobody else has it."""
        first = name.split()[0]
        return first if sum(other.split()[0] == first for other in self.names) == 1 else name

    def fresh(self, sentences: Sequence[str], rng: np.random.Generator) -> str:
        """One of the sentences, if it can be one that it has not said yet, but for numbers."""
        own = {_NUMBERS.sub("", said.text) for said in self.said if said.speaker == self.name}
        fresh = [each for each in sentences if _NUMBERS.sub("", each) not in own]
        return pick(fresh or sentences, rng)


def table(view: View) -> Table:
    """Everything that a bot needs, from its view."""
    facts = view.facts
    present = [name for name in facts["participants"] if name in facts["present"]]
    turns_left = facts["max_turns"] - facts["turn"]
    return Table(
        name=view.name,
        names=tuple(facts["participants"]),
        others=tuple(name for name in present if name != view.name),
        private=facts["private"],
        turn=facts["turn"],
        max_turns=facts["max_turns"],
        moves_made=view.num_acts,
        moves_left=turns_left
        if facts["order"] == "simultaneous"
        else turns_left // max(1, len(present)),
        order=facts["order"],
        said=tuple(
            Said(message.turn, view.names[message.sender], message.kind, message.text)
            for message in view.log
            if message.sender in view.names
        ),
        standing=facts["standing"],
        accepted=facts["accepted"],
        answered=tuple(facts["answered"]),
    )


def mentioned(text: str, things: tuple[str, ...]) -> tuple[str, ...]:
    """Which of ``things`` the text names, in the order in which it first does."""
    by_fold = {thing.casefold(): thing for thing in things}
    found = _pattern(things).findall(text.casefold())
    return tuple(dict.fromkeys(by_fold[name] for name in found))


@lru_cache(maxsize=256)
def _pattern(things: tuple[str, ...]) -> re.Pattern[str]:
    # The longest first: "the hill road" is not "the hill".
    longest = sorted({thing.casefold() for thing in things}, key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:{})(?!\w)".format("|".join(map(re.escape, longest))))


# --- acts -------------------------------------------------------------------------


def propose(deal: Any) -> str:
    """A proposal, as a reply."""
    return _object("propose", deal)


def accept(name: str) -> str:
    """Acceptance of somebody's proposal, as a reply."""
    return _object("accept", _text(name))


def answer(value: str | int) -> str:
    """A sealed answer, as a reply."""
    return _object("answer", value if isinstance(value, int) else _text(value))


def gesture(text: str) -> str:
    """Something shown without words, as a reply."""
    return _object(NON_VERBAL, text)


def nothing() -> str:
    """Silence, as a reply."""
    return _object(NONE, "")


def leave() -> str:
    """Leaving for good, as a reply."""
    return _object("leave", "")


def pick(items: Sequence[_Item], rng: np.random.Generator) -> _Item:
    """One of the items."""
    return items[int(rng.integers(len(items)))]


def _object(kind: str, argument: Any) -> str:
    return json.dumps({"action_type": kind, "argument": argument}, ensure_ascii=False)


def _text(name: str) -> str:
    # A name that is JSON by itself, "null" say, is not read as text.
    return name if read(name) == name else json.dumps(name, ensure_ascii=False)
