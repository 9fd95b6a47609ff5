"""What a person's line means: a reply, or a command to the screen.

A line that begins with a slash is a command; a second slash says the text as it stands.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Any, NamedTuple

from omar_envs.policy import by_number
from omar_envs.sotopia.acts import ACTION, LEAVE, NON_VERBAL, NONE, SPEAK
from omar_envs.sotopia.outcomes import CLOSING_ACTS
from omar_envs.types import CHOOSE, View

HELP, LOG, ME, QUIT = "help", "log", "me", "quit"

_COMMANDS = {
    HELP: "/help           this list",
    LOG: "/log            the whole conversation so far",
    ME: "/me             who you are, what only you know, and the rules",
    QUIT: "/quit           leave now; the game is saved",
}
_ACTS = {
    "gesture": "/gesture TEXT   show something by a gesture, a look, a tone",
    "act": "/act TEXT       do something",
    "to": "/to NAME: TEXT  say it so that only NAME hears it (NAME, NAME: for several)",
    "nothing": "/nothing        say and do nothing in this turn",
    "leave": "/leave          leave the conversation for good",
}
_KINDS = {"gesture": NON_VERBAL, "act": ACTION, "nothing": NONE, "leave": LEAVE}


class Reply(NamedTuple):
    """Words for the game."""

    text: str


class Command(NamedTuple):
    """``help``, ``log``, ``me`` or ``quit``."""

    name: str


class Mistake(NamedTuple):
    """A command that there is not, or that lacks something; ``why`` says what to do."""

    why: str


def meaning(view: View, line: str) -> Reply | Command | Mistake:
    """What a line that a person typed asks for."""
    text = line.strip()
    if text.startswith("//"):
        return Reply(text[1:])
    if not text.startswith("/"):
        return Reply(line if view.request is None else by_number(view.request, line))
    word, _, rest = text[1:].partition(" ")
    name, rest = word.casefold(), rest.strip()
    if name in _COMMANDS:
        return Command(name)
    if name in _known(view):
        return _act(name, rest)
    near = get_close_matches(name, _known(view), n=1)
    hint = f"did you mean /{near[0]}?" if near else "/help lists them."
    return Mistake(f"there is no command /{word[:40]}: {hint} To say it, begin with two slashes")


def help_text(view: View) -> str:
    """The commands, and how to reply to the request."""
    known = {**_COMMANDS, **_ACTS}
    commands = [known[name] for name in _known(view)]
    return "\n".join(
        [
            *commands,
            "//TEXT          say a text that begins with a slash",
            "Ctrl-C          as /quit",
        ]
    )


def how_to_reply(view: View) -> str:
    """A line under the request."""
    request = view.request
    if request is None:
        return ""
    if request.kind is CHOOSE:
        bids = any(choice.isdecimal() for choice in request.choices)
        return "Type your choice" if bids else "Type a number or a name"
    if request.may_pass:
        return "Type what you say; Enter alone says nothing"
    closing = [act for act in CLOSING_ACTS if act in view.facts.get("action_types", ())]
    return " or ".join(["Type what you say,", *closing]) if closing else "Type what you say"


def _known(view: View) -> tuple[str, ...]:
    acts = tuple(_ACTS) if "action_types" in view.facts else ()
    return (*_COMMANDS, *acts)


def _act(name: str, rest: str) -> Reply | Mistake:
    """A social scenario's act in the form that the game reads."""
    if name == "to":
        names, colon, words = rest.partition(":")
        readers = [reader.strip() for reader in names.split(",") if reader.strip()]
        if not colon or not readers or not words.strip():
            return Mistake("say to whom, and what: /to NAME: TEXT")
        return _object(SPEAK, words.strip(), to=readers)
    if name in ("gesture", "act") and not rest:
        return Mistake(f"say what it looks like: /{name} TEXT")
    if name in ("nothing", "leave") and rest:
        return Mistake(f"/{name} stands alone")
    return _object(_KINDS[name], rest)


def _object(kind: str, argument: str, **others: Any) -> Reply:
    act = {"action_type": kind, "argument": argument, **others}
    return Reply(json.dumps(act, ensure_ascii=False))
