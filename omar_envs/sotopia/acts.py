"""What a reply does in a social scenario. Nothing here raises, whatever a player writes.

An act is ``{"action_type": …, "argument": …, "to": …}``, SOTOPIA's own form with an
optional list of readers. A reply without such an object is speech, as it stands. One that
has it somewhere inside, or nearly has it, is nothing: it might be meant for some alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from omar_envs.parsing import clean, single_line, strip_private
from omar_envs.sotopia.outcomes import CLOSING_ACTS

NONE = "none"
SPEAK = "speak"
NON_VERBAL = "non-verbal communication"
ACTION = "action"
LEAVE = "leave"

TALK_ACTS = (NONE, SPEAK, NON_VERBAL, ACTION, LEAVE)
"""The published action types."""

_KEYS = ("action_type", "argument", "to")
_NON_VERBAL = re.compile(r"non[- ]?verbal( communication)?")
_EVERYBODY = ("all", "everyone", "everybody")
_FENCE = re.compile(r"```[a-z]*+", re.IGNORECASE)
# Possessive: white space without end must not take time without end.
_GAP = r"(?:\s|\\[nrt])*+"
_QUOTE = r"\\*+[\"'`“”‘’]?"
_ACT_KEY = re.compile(
    rf"[{{,\"'\]]{_GAP}{_QUOTE}\s*+action[\s_-]?type\s*+{_QUOTE}{_GAP}(?::|\Z)", re.IGNORECASE
)
_OPENS_LIKE_AN_ACT = re.compile(
    rf"\{{\s*+{_QUOTE}\s*+(?:argument|to)\s*+{_QUOTE}\s*+:", re.IGNORECASE
)
# An apostrophe before a letter stands in a name.
_QUOTED = r"\"[^\"]*+\"|“[^“”]*+”|'(?:[^']|'(?=\w))*+'|‘(?:[^‘’]|’(?=\w))*+’"
_AMOUNT = r"[-+]?[$€£¥₹]?\s*+[-+]?\d[\d.,]*+\s*+[$€£¥₹]?"
_WORD = r"\w[\w'’.:-]*+"
_PLAIN_CLOSING = re.compile(
    r"(?P<act>accept|propose|answer)"
    rf"(?:\s*+:?\s*+(?:(?P<quoted>{_QUOTED})|(?P<object>\{{.*\}})|(?P<amount>{_AMOUNT}))"
    rf"|(?:\s*+:\s*+|\s++)(?P<words>{_WORD}(?:\s++{_WORD}){{0,2}}))?[.!]?",
    re.IGNORECASE | re.DOTALL,
)


class Act(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One act in its one canonical form.

    Attributes:
        action_type: one of :data:`TALK_ACTS`, or of the scenario's closing acts.
        argument: what is said or done, a single line; for closing acts compact JSON.
        to: sorted agent ids who alone may read it, beside the actor; empty is all.
    """

    action_type: str
    argument: str = ""
    to: tuple[str, ...] = ()


IDLE = Act(NONE)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Act).decode


def to_text(act: Act) -> str:
    """The act as compact JSON: what stands in ``Turn.text``."""
    return _encode(act).decode()


def from_text(text: str) -> Act:
    """The act that :func:`to_text` wrote.

    Raises:
        msgspec.DecodeError: ``text`` is no act.
    """
    return _decode(text)


class Drawn(NamedTuple):
    """What a reply asks for, before the scenario has its say.

    Attributes:
        action_type: as in :class:`Act`; "" if the reply cannot be read.
        argument: text for talk, any JSON value for closing acts.
        to: as the player gave it, any JSON value.
        exact: whether the reply is in the form asked for.
        error: why it cannot be read, "" if it can.
    """

    action_type: str
    argument: Any = ""
    to: Any = None
    exact: bool = True
    error: str = ""


def draw(reply: str, private_tags: Sequence[str], closing: Sequence[str]) -> Drawn:
    """Read a reply.

    Args:
        reply: :func:`omar_envs.parsing.clean` has been over it.
        private_tags: what stands inside them is nobody's to read.
        closing: the closing acts that the scenario takes.
    """
    whole = reply.strip()
    text = strip_private(whole, private_tags).strip() if "<" in reply else whole
    if not text:
        return _unreadable("the reply is empty")
    body = _body(text)
    if body[:1] == "{":
        found = _object(body)
        if found is not None and _is_act(found):
            return _from_object(found, private_tags, closing, exact=body is text)
        if found is None and (_holds_act(body) or _OPENS_LIKE_AN_ACT.match(body)):
            return _unreadable("the reply is not whole JSON")
    # What is left of a private message is not for everybody.
    if text != whole and _stands_across(text, whole):
        return _unreadable("a private tag stands across its JSON")
    if _holds_act(text):
        return _unreadable(
            f"an act stands inside something else: send the JSON object alone ({', '.join(_KEYS)})"
        )
    if closing:
        plain = _PLAIN_CLOSING.fullmatch(text)
        if plain is not None:
            return _from_plain(plain, private_tags, closing)
    return Drawn(SPEAK, text)


class Readers(NamedTuple):
    """Who alone may read an act, beside the actor; nobody in ``agents`` is all."""

    agents: tuple[str, ...] = ()
    error: str = ""


TO_ALL = Readers()


def readers(to: Any, ids: dict[str, str], sender: str) -> Readers:
    """Who may read an act, or why that is unclear.

    Args:
        to: a name, a list of names, or nothing, as a player gave it.
        ids: agent id by name, folded, of all who are present.
        sender: who acts.
    """
    names = [to] if isinstance(to, str) else to
    if names is None:
        return TO_ALL
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return Readers(error='"to" must be a name or a list of names')
    names = [name for name in map(single_line, names) if name]
    found: set[str] = set()
    for name in names:
        agent = ids.get(name.casefold())
        if agent is not None:
            found.add(agent)
        elif name.casefold() in _EVERYBODY:
            found.update(ids.values())
        else:
            return Readers(error=f'"to" names {_quoted(name)}, who is not here')
    found.discard(sender)
    if names and not found:
        return Readers(error='"to" names nobody else')
    everyone = set(ids.values()) - {sender}
    return TO_ALL if found == everyone else Readers(tuple(sorted(found)))


class _Object(NamedTuple):
    """A JSON object as written, and whether in it, or inside it, a key stands twice."""

    value: dict[str, Any]
    repeated: bool

    def folded(self) -> dict[str, Any]:
        """By key without case and the white space around it."""
        return {key.strip().casefold(): value for key, value in self.value.items()}


def _is_act(found: _Object) -> bool:
    """Whether the object was meant as an act, even if not written as one."""
    keys = found.folded().keys()
    return "action_type" in keys or ("argument" in keys and len(keys) > 1)


def _holds_act(text: str) -> bool:
    start = text.find("{")
    return start >= 0 and _ACT_KEY.search(text, start) is not None


def _stands_across(text: str, whole: str) -> bool:
    """Whether ``text``, what is not private of ``whole``, is a piece of an act."""
    body = _body(whole)
    found = _object(body) if body[:1] == "{" else None
    if found is not None:
        return _is_act(found)
    # An act that was only thought of leaves no brace and no quote without its other half.
    halved = _unbalanced(text) or (_unbalanced(whole) and text.count('"') % 2 == 1)
    return halved and _holds_act(whole)


def _unbalanced(text: str) -> bool:
    return text.count("{") != text.count("}")


def _from_object(
    found: _Object, private_tags: Sequence[str], closing: Sequence[str], *, exact: bool
) -> Drawn:
    fields = found.folded()
    unknown = [key for key in fields if key not in _KEYS]
    if unknown or "action_type" not in fields:
        given = f", not {_quoted(unknown[0])}" if unknown else ""
        return _unreadable(f"the keys of an act are {', '.join(_KEYS)}{given}")
    if found.repeated or len(fields) < len(found.value):
        return _unreadable("a key stands twice in its JSON")
    exact = exact and fields.keys() == found.value.keys()
    return _from_fields(fields, private_tags, closing, exact=exact)


def _from_fields(
    value: dict[str, Any],
    private_tags: Sequence[str],
    closing: Sequence[str],
    *,
    exact: bool = True,
) -> Drawn:
    kind = value["action_type"]
    known = (*TALK_ACTS, *closing)
    if not isinstance(kind, str):
        return _unreadable(f'"action_type" must be text: take one of {", ".join(known)}')
    named = _action_type(kind)
    if named is None or named not in known:
        return _unreadable(f'"action_type" is {_quoted(kind)}: take one of {", ".join(known)}')
    try:
        argument = _tidy(value.get("argument", ""), private_tags)
    except RecursionError:
        return _unreadable('"argument" is nested too deep')
    if named in CLOSING_ACTS:
        # An answer is sealed, and whose proposal is accepted stands in the argument.
        return Drawn(named, argument, value.get("to") if named == "propose" else None, exact)
    if named in (NONE, LEAVE):
        return Drawn(named, exact=exact)
    if not isinstance(argument, str):
        return _unreadable(f'"argument" of {named} must be text')
    if not argument:
        return _unreadable(f'"argument" of {named} is empty')
    return Drawn(named, argument, value.get("to"), exact)


def _from_plain(match: re.Match[str], private_tags: Sequence[str], closing: Sequence[str]) -> Drawn:
    act = match["act"].lower()
    words = match["words"]
    given = words or match["amount"] or (match["quoted"] or "")[1:-1]
    prose = words is not None and any(word[0].islower() for word in words.split())
    alone = match.end("act") >= len(match.string.rstrip(".!"))
    if act not in closing or prose or (alone and act != "accept"):
        return Drawn(SPEAK, match.string)
    if match["object"] is None:
        return Drawn(act, _tidy(given, private_tags))
    found = _plain_object(match["object"])
    if found is None:
        return _unreadable(f"what follows {act} is not whole JSON")
    if found.repeated:
        return _unreadable("a key stands twice in its JSON")
    return _from_fields({"action_type": act, "argument": found.value}, private_tags, closing)


def _action_type(text: str) -> str | None:
    name = " ".join(re.split(r"[\s_]+", text.strip().lower()))
    if _NON_VERBAL.fullmatch(name):
        return NON_VERBAL
    return name if name in TALK_ACTS or name in CLOSING_ACTS else None


def _object(text: str) -> _Object | None:
    repeated = False

    def paired(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        value = dict(pairs)
        repeated = repeated or len(value) < len(pairs)
        return value

    try:
        # Takes lone surrogates, which half a sampled character leaves in an escape.
        value = json.loads(text, strict=False, object_pairs_hook=paired)
    except (ValueError, RecursionError):
        return None
    return _Object(value, repeated) if isinstance(value, dict) else None


def _plain_object(text: str) -> _Object | None:
    found = _object(text)
    if found is None and '"' not in text:
        found = _object(text.replace("'", '"'))
    return found


def _tidy(value: Any, private_tags: Sequence[str]) -> Any:
    # An escape in JSON may hold what no plain text may.
    if isinstance(value, str):
        text = clean(value)
        return single_line(strip_private(text, private_tags) if "<" in text else text)
    if isinstance(value, dict):
        return {_tidy(key, ()): _tidy(item, private_tags) for key, item in value.items()}
    if isinstance(value, list):
        return [_tidy(item, private_tags) for item in value]
    return value


def _body(text: str) -> str:
    fence = _FENCE.match(text) if text[0] == "`" else None
    if fence is None or not text.endswith("```") or len(text) < fence.end() + 3:
        return text
    return text[fence.end() : -3].strip()


def _quoted(value: str) -> str:
    text = repr(single_line(value))
    return text if len(text) <= 60 else f"{text[:60]}…"


def _unreadable(why: str) -> Drawn:
    return Drawn("", error=why)
