"""What a seat knows, in the few words of a header: who, when, who is there, what is secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from omar_envs.types import View

_TOLD_TO_ALL = ("mechanism", "needed", "items", "outside", "slots", "common")
"""Facts of a computed scenario that are no secret, or matter to programs alone."""


class Knowledge(NamedTuple):
    """A view's facts, for reading.

    Attributes:
        who: the seat's name, and its role where there is one.
        when: how far the game is.
        present: what those who live, or are present, are called together; and their names.
        gone: the same of all others.
        secrets: what this seat alone knows, a line each.
        table: what lies open before all, a line each.
    """

    who: str
    when: str
    present: tuple[str, tuple[str, ...]]
    gone: tuple[str, tuple[str, ...]]
    secrets: tuple[str, ...]
    table: tuple[str, ...] = ()


def knowledge(view: View) -> Knowledge:
    """What stands above the question, from the view's own facts."""
    # The facts tell the game: a view does not say which one it is of.
    if "roles_in_play" in view.facts:
        return _werewolf(view)
    if "participants" in view.facts:
        return _sotopia(view)
    return Knowledge(_who(view), "", ("Players", tuple(view.names.values())), ("", ()), ())


def _who(view: View) -> str:
    dead = "" if view.alive else ", out of the game"
    return f"{view.name}, {view.role}{dead}" if view.role else f"{view.name}{dead}"


def _werewolf(view: View) -> Knowledge:
    facts = view.facts
    revealed: dict[str, str] = facts["revealed"]

    def called(name: str) -> str:
        you = " (you)" if name == view.name else ""
        return f"{name}{you}" + (f" ({revealed[name]})" if name in revealed else "")

    alive = [name for name in facts["players"] if name in facts["alive"]]
    dead = [name for name in facts["players"] if name not in facts["alive"]]
    secrets = []
    if facts["partners"]:
        fellows = "werewolves" if view.role == "werewolf" else "fellows"
        secrets.append(f"{fellows} with you: {', '.join(facts['partners'])}")
    if facts["investigations"]:
        secrets.append(f"you looked at {_pairs(facts['investigations'], ' = ')}")
    if facts["executed"]:
        secrets.append(f"of those voted out, {_pairs(facts['executed'], ' = ')}")
    if facts["victim"] is not None:
        secrets.append(f"tonight's victim: {facts['victim']}")
    return Knowledge(
        _who(view),
        _when(facts["phase"], facts["day"]),
        ("Alive", tuple(map(called, alive))),
        ("Dead", tuple(map(called, dead))),
        tuple(secrets),
    )


def _when(phase: str, day: int) -> str:
    match phase:
        case "night" | "wolf_chat":
            return f"Night {day}"
        case "discussion" | "bid" | "vote":
            return f"Day {day}, {'vote' if phase == 'vote' else 'discussion'}"
    # Last words and shots belong to the night as well as to the day.
    return f"{phase.replace('_', ' ').capitalize()}, day {day}"


def _sotopia(view: View) -> Knowledge:
    facts = view.facts

    def called(name: str) -> str:
        return f"{name} (you)" if name == view.name else name

    left = [name for name in facts["participants"] if name not in facts["present"]]
    standing = []
    for proposer, deal in facts["standing"].items():
        by = [name for name in facts["accepted"].get(proposer, ()) if name != proposer]
        accepted = f" (accepted by {', '.join(by)})" if by else ""
        standing.append(f"{called(proposer)} proposes {_told(deal)}{accepted}")
    private: Mapping[str, Any] = facts["private"] or {}
    values = [
        f"{key.replace('_', ' ')}: {_told(value)}"
        for key, value in private.items()
        if key not in _TOLD_TO_ALL
    ]
    return Knowledge(
        _who(view),
        f"Turn {facts['turn']} of {facts['max_turns']}",
        ("Here", tuple(map(called, facts["present"]))),
        ("Left", tuple(map(called, left)) if view.alive else ()),
        (f"your goal: {facts['goal']}", *values),
        (*standing, *(f"{called(name)} has answered" for name in facts["answered"])),
    )


def _pairs(items: Mapping[str, Any], between: str = " ") -> str:
    return ", ".join(f"{key}{between}{_told(value)}" for key, value in items.items())


def _told(value: Any) -> str:
    """A plain JSON value in one line."""
    match value:
        case dict():
            if any(isinstance(item, dict | list | tuple) for item in value.values()):
                return "; ".join(f"{key}: {_told(item)}" for key, item in value.items())
            return _pairs(value)
        case list() | tuple():
            long = any(isinstance(item, dict | list | tuple) for item in value)
            return ("; " if long else ", ").join(map(_told, value))
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
    return str(value)


def joined(names: Sequence[str]) -> str:
    """Names in one line, "nobody" if there are none."""
    return ", ".join(names) or "nobody"
