"""Reply text to action. Nothing here raises, whatever a player writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import msgspec

from omar_envs.types import CHOOSE, Request

DEFAULT_PRIVATE_TAGS = ("think",)

_REPLACEMENT = "�"
# NUL, lone surrogates and the other C0/C1 controls: they break files, terminals
# and UTF-8. Tab and the line breaks are text.
_FORBIDDEN = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_LINE_BREAKS = re.compile("[\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029]+")
_SPACES = re.compile(" {2,}")
_PASS = re.compile(r"[\W_]*pass[\W_]*", re.IGNORECASE)
_JSON_OBJECT = re.compile(r"\{[^{}]*\}")
_ASKED = r"(?:answer|choice|choose|action|target|vote|kill|protect|investigate|name)"
_EXPLICIT = _ASKED + r"[\"'`*]{0,3}\s*(?:is\s*)?[:=]\s*[\"'`*_(\[]*"
# What may stand between the members of a list: "Ana, or perhaps Ben".
_JOINT = (
    r"[ \t\"'`*_,;/&|+)\]]*+"
    r"(?:(?:or|and|then|else|even|maybe|perhaps|possibly|rather)\b[ \t\"'`*_,(\[]*+)*+"
)
_NEGATION = r"(?:\b(?:not|never|except|besides|without)|\bcannot|n['’]t|\banyone but)\b"
_ASKED_KEY = re.compile(_ASKED, re.IGNORECASE)
_QUOTES = " \t\r\n\"'`“”‘’«»*_.,;:!?()[]{}<>"


class Parsed(msgspec.Struct, frozen=True, gc=False):
    """What a reply came to.

    Attributes:
        text: the speech, or the label chosen; "" if ``valid`` is false.
        valid: whether the reply could be read.
        error: why not, in one sentence; "" if valid.
        exact: valid, and in the form that was asked for: a choice verbatim, but
            for private reasoning and white space around it; a speech of which
            nothing was cut.
    """

    text: str
    valid: bool
    error: str
    exact: bool = False


def clean(text: str) -> str:
    """Replace NUL, lone surrogates and other controls."""
    if type(text) is str and text.isprintable():
        return text
    return _FORBIDDEN.sub(_REPLACEMENT, text)


def single_line(text: str) -> str:
    """Line breaks and tabs become spaces, so that no text can begin a line of its own."""
    if text.isprintable() and "  " not in text:
        return text.strip()
    return _SPACES.sub(" ", _LINE_BREAKS.sub(" ", text)).strip()


def strip_private(text: str, tags: Sequence[str] = DEFAULT_PRIVATE_TAGS) -> str:
    """Remove private reasoning: everything inside ``<tag>…</tag>``, nested or not.

    An opening tag without its closing one hides the rest of the text, a closing
    tag without an opening one hides what comes before it (chat templates that
    open the tag in the prompt leave such replies), and a tag counts without its
    closing bracket. No tag remains in the result.
    """
    if not tags or "<" not in text:
        return text
    kept: list[str] = []
    depth = 0
    start = 0
    for match in _tag_pattern(tuple(tags)).finditer(text):
        if match.group("close"):
            if depth == 0:
                kept.clear()
            elif depth == 1:
                depth = 0
            else:
                depth -= 1
        else:
            if depth == 0:
                kept.append(text[start : match.start()])
            depth += 1
        start = match.end()
    if depth == 0:
        kept.append(text[start:])
    # Joined by a space, the pieces around a removed span cannot make up a new tag.
    return " ".join(piece for piece in kept if piece)


def parse(
    request: Request, reply: object, private_tags: Sequence[str] = DEFAULT_PRIVATE_TAGS
) -> Parsed:
    """Read a reply to ``request``.

    For ``SPEAK`` the text without private reasoning, on one line, cut at
    ``request.max_chars``; a reply with nothing in it is invalid. For ``CHOOSE``
    exactly one label, found leniently: the label itself in any case and
    quoting, a JSON string or object, ``vote: label``, a line with only the
    label, or else the only label that the text names. Two labels, or one that
    is only negated, are never guessed between.

    Args:
        request: what was asked.
        reply: the reply; anything but a ``str`` is invalid.
        private_tags: names of the tags around private reasoning.
    """
    if not isinstance(reply, str):
        return Parsed("", False, f"the reply is a {type(reply).__name__}, not text")
    return parse_clean(request, clean(reply), private_tags)


def parse_clean(request: Request, reply: str, private_tags: Sequence[str]) -> Parsed:
    """As :func:`parse`, for a reply that :func:`clean` has been over."""
    if request.kind is CHOOSE and reply in request.choices:
        return Parsed(reply, True, "", True)
    text = (strip_private(reply, private_tags) if "<" in reply else reply).strip()
    if request.kind is CHOOSE:
        if text in request.choices:
            return Parsed(text, True, "", True)
        return _lenient_choice(text, request.choices)
    if request.may_pass and (not text or _PASS.fullmatch(text)):
        return Parsed("", True, "", True)
    # What single_line would return: the text is stripped already.
    line = text if text.isprintable() and "  " not in text else single_line(text)
    if line and len(line) <= request.max_chars:
        return Parsed(line, True, "", True)
    line = line[: request.max_chars].rstrip()
    return Parsed(line, True, "") if line else Parsed("", False, "the reply is empty")


def as_asked(request: Request, reply: str) -> str | None:
    """The text of a reply that is plainly in the form asked for; ``None`` if that takes a look.

    A text is what :func:`parse_clean` says of ``reply``, valid and exact.

    Args:
        request: what was asked.
        reply: printable characters, no others.
    """
    if request.kind is CHOOSE:
        return reply if reply in request.choices else None
    if request.may_pass or "<" in reply or "  " in reply:
        return None
    text = reply.strip()
    return text if 0 < len(text) <= request.max_chars else None


def _lenient_choice(text: str, choices: Sequence[str]) -> Parsed:
    if not text:
        return Parsed("", False, "the reply is empty")
    by_fold = {choice.casefold(): choice for choice in choices}
    whole = by_fold.get(text.strip(_QUOTES).casefold())
    if whole is not None:
        return Parsed(whole, True, "")
    stated = _from_json(text, by_fold) | _explicit(text, by_fold)
    for candidates in (stated, _named(text, by_fold)):
        if len(candidates) == 1:
            return Parsed(candidates.pop(), True, "")
        if len(candidates) > 1:
            return Parsed("", False, "the reply names more than one choice")
    return Parsed("", False, "the reply names none of the choices")


def _from_json(text: str, by_fold: dict[str, str]) -> set[str]:
    found: set[str] = set()
    for match in _JSON_OBJECT.finditer(text):
        try:
            pairs = json.loads(match.group(), object_pairs_hook=list)
        except (ValueError, RecursionError):
            continue
        for key, item in pairs:
            if isinstance(item, str):
                label = by_fold.get(item.strip(_QUOTES).casefold())
                if label is not None:
                    found.add(label)
                elif _ASKED_KEY.search(key):
                    found |= _labels(_occurrences(item, by_fold), by_fold)
    return found


def _explicit(text: str, by_fold: dict[str, str]) -> set[str]:
    pattern, _ = _label_patterns(_spellings(by_fold))
    explicit = re.compile(f"{_EXPLICIT}({pattern}(?:{_JOINT}{pattern})*)", re.IGNORECASE)
    found: set[str] = set()
    for match in explicit.finditer(text):
        found |= _labels(_occurrences(match.group(1), by_fold), by_fold)
    for line in text.splitlines():
        label = by_fold.get(line.strip(_QUOTES).casefold())
        if label is not None:
            found.add(label)
    return found


def _named(text: str, by_fold: dict[str, str]) -> set[str]:
    _, negated = _label_patterns(_spellings(by_fold))
    if re.search(negated, text, re.IGNORECASE):
        return set()
    return _labels(_occurrences(text, by_fold), by_fold)


def _occurrences(text: str, by_fold: dict[str, str]) -> Iterator[str]:
    pattern, _ = _label_patterns(_spellings(by_fold))
    return (match.group() for match in re.finditer(pattern, text, re.IGNORECASE))


def _spellings(by_fold: dict[str, str]) -> tuple[str, ...]:
    # "Weiß" folds to "weiss", which a regex does not find in "Weiß".
    return tuple(dict.fromkeys((*by_fold, *by_fold.values())))


def _labels(found: Iterable[str], by_fold: dict[str, str]) -> set[str]:
    # A letter may match another one's case in a regex and still fold differently.
    return {by_fold[text.casefold()] for text in found if text.casefold() in by_fold}


@lru_cache(maxsize=256)
def _label_patterns(labels: tuple[str, ...]) -> tuple[str, str]:
    # Longest first, so that a label that begins with another one wins.
    ordered = sorted(labels, key=len, reverse=True)
    pattern = r"(?<!\w)(?:" + "|".join(re.escape(label) for label in ordered) + r")(?!\w)"
    return pattern, _NEGATION + r"[\s,]+(?:\w+[\s,]+){0,3}" + pattern


@lru_cache(maxsize=64)
def _tag_pattern(tags: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join(re.escape(tag) for tag in tags)
    return re.compile(rf"<\s*+(?P<close>/?+)\s*+(?:{names})\b(?:[^<>]*>)?", re.IGNORECASE)


def private_parts(text: str, tags: Sequence[str] = DEFAULT_PRIVATE_TAGS) -> Iterator[str]:
    """The pieces of private reasoning in a reply, outermost tags removed, in order."""
    if not tags:
        return
    depth = 0
    start = 0
    for match in _tag_pattern(tuple(tags)).finditer(text):
        if match.group("close"):
            if depth <= 1:
                yield text[start : match.start()].strip()
            depth = max(depth - 1, 0)
            if depth == 0:
                start = match.end()
        else:
            if depth == 0:
                start = match.end()
            depth += 1
    if depth:
        yield text[start:].strip()
