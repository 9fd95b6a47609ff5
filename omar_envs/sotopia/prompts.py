"""Every word of a social scenario that a participant reads, beside the scenario's own."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from omar_envs.sotopia.acts import ACTION, LEAVE, NON_VERBAL, NONE, SPEAK

ACT_HELP = {
    SPEAK: "say the argument",
    NON_VERBAL: "show the argument by a gesture, a look, a tone",
    ACTION: "do what the argument says",
    NONE: "say and do nothing for now",
    LEAVE: "leave the conversation for good",
}


class Told(msgspec.Struct, frozen=True, gc=False):
    """What one participant is told before the conversation begins.

    Attributes:
        name: its display name.
        background: its own profile, in full.
        goal: its own goal, with the hints that are meant for it.
        private: its private values where the outcome is computed, else "".
        others: display name to what it may know of that participant, "" for nothing.
        other_goals: display name to goal, where goals are open.
    """

    name: str
    background: str
    goal: str
    private: str
    others: dict[str, str]
    other_goals: dict[str, str]


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What is the same for all: how long it goes on, and how it can be settled.

    Attributes:
        order: ``simultaneous``, ``round_robin`` or ``random``.
        max_turns: after so many turns it ends.
        settling: rules of the closing acts, "" if there are none.
        closing: their names.
    """

    order: str
    max_turns: int
    settling: str
    closing: tuple[str, ...]


_ORDERS = {
    "simultaneous": "In every turn all act at once and see what the others did afterwards.",
    "round_robin": "One participant acts in each turn, all in the same order again and again.",
    "random": "One participant acts in each turn, drawn by lot.",
}


def system(scenario: str, told: Told, terms: Terms) -> str:
    """Scenario, characters, goal and rules: the beginning of every observation."""
    names = [told.name, *told.others]
    parts = [
        f"You are {told.name}. Stay in character and pursue your goal.",
        f"Scenario: {scenario}",
        f"Participants: {listed(names)}.",
        f"About you: {told.background}" if told.background else "",
        *(f"About {name}: {text}" for name, text in told.others.items() if text),
        f"Your goal: {told.goal}",
        told.private,
        *(f"The goal of {name}: {goal}" for name, goal in told.other_goals.items()),
        terms.settling,
        _how_to_act(terms),
    ]
    return "\n\n".join(part for part in parts if part)


def _how_to_act(terms: Terms) -> str:
    acts = "; ".join(f'"{name}": {text}' for name, text in ACT_HELP.items())
    return (
        f"How to act: {_ORDERS[terms.order]} There are at most {terms.max_turns} turns. Plain text "
        'is speech. Or reply with one JSON object, {"action_type": …, "argument": …}. '
        f"Action types are {acts}. "
        'With "to": ["a name", …] only those named hear or see it.'
    )


def ask(turn: int, terms: Terms) -> str:
    """The question of a turn, counted from 0."""
    kinds = ", ".join((*ACT_HELP, *terms.closing))
    return (
        f"Turn {turn + 1} of {terms.max_turns}: it is your move. "
        f'Reply with what you say, or with {{"action_type": …, "argument": …}} ({kinds}).'
    )


def refused(error: str) -> str:
    """Told to a participant whose act could not be taken."""
    return f"Your reply could not be taken: {error.rstrip('.')}. You do nothing in this turn."


def left() -> str:
    """After the name of whoever leaves."""
    return "has left the conversation."


def over(reason: str) -> str:
    """Announced at the end."""
    why = {
        "settled": "all is settled",
        "broken_off": "nothing can be settled any more",
        "left": "too few are left",
        "idle": "nobody has anything to add",
        "max_turns": "the time is up",
    }[reason]
    return f"The conversation is over: {why}."


def worth(points: float, score: float) -> str:
    """Told to each participant alone where the outcome is computed."""
    return f"For you this is worth {points:g} points, a score of {score:.2f} out of 1."


def listed(names: Sequence[str]) -> str:
    """``A``, ``A and B``, ``A, B and C``."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
