"""What a player wrote as an argument, read without guessing. Nothing here raises."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from omar_envs.parsing import clean, single_line

MAX_NUMBER = 10**9
"""Numbers beyond it are refused unread."""

_QUOTED_CHARS = 60
_EDGES = " \t\r\n\"'`“”‘’«».,;:!?"
_AMOUNT = re.compile(r"(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)")
_SIGNS = "$€£¥₹"
_ARTICLE = re.compile("^(?:the|an?) ")


def read(argument: object) -> object:
    """The value that the argument holds: text that is JSON is read as JSON.

    An object written with single quotes alone is read, too. ``None`` stands for no
    argument; other text comes back without the white space around it.
    """
    if not isinstance(argument, str):
        return argument
    text = argument.strip()
    if not text:
        return None
    value = _json(text)
    if value is _UNREADABLE and text[0] in "{[" and '"' not in text:
        value = _json(text.replace("'", '"'))
    if isinstance(value, str):
        return value.strip() or None
    return text if value is _UNREADABLE else value


def canonical(value: object) -> str:
    """Compact JSON with sorted keys: equal values have equal text."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def quote(value: object) -> str:
    """The value on one line of at most 62 characters, for a reason that names it."""
    if value is None:
        return "nothing"
    if isinstance(value, int) and abs(value) > MAX_NUMBER:
        return "that number"
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    text = single_line(clean(text))
    return f'"{text}"' if len(text) <= _QUOTED_CHARS else f'"{text[: _QUOTED_CHARS - 1]}…"'


def whole(value: object, unit: str = "") -> int | None:
    """A whole number from 0 to :data:`MAX_NUMBER`, or ``None``: ``7``, ``"7"``, ``"7 coins"``."""
    hundredths = cents(value, unit)
    return hundredths // 100 if hundredths is not None and hundredths % 100 == 0 else None


def cents(value: object, unit: str = "") -> int | None:
    """An amount of at most two decimals, in hundredths, or ``None``.

    Numbers, and text that is one number: ``"42"``, ``"$1,250.50"``, ``"42 dollars"`` where
    ``unit`` is ``dollars``.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        return _cents_in(value, unit)
    if not 0 <= value <= MAX_NUMBER:
        return None
    return _hundredths(str(value))


def find(wanted: object, known: Sequence[str]) -> int | None:
    """Index of the one among ``known`` that reads the same, as :func:`same` says."""
    if not isinstance(wanted, str):
        return None
    plain = _plain(wanted)
    found = [i for i, name in enumerate(known) if _plain(name) == plain]
    if not found:
        found = [i for i, name in enumerate(known) if _stem(name) == _stem(wanted)]
    return found[0] if len(found) == 1 else None


def find_name(wanted: object, names: Sequence[str]) -> int | None:
    """Index of the person who is meant by a full name, or by a first or last name of one."""
    if not isinstance(wanted, str):
        return None
    plain = _plain(wanted)
    found = [i for i, name in enumerate(names) if _plain(name) == plain]
    if not found and plain:
        found = [i for i, name in enumerate(names) if plain in _plain(name).split()]
    return found[0] if len(found) == 1 else None


def same(first: str, second: str) -> bool:
    """Whether two names read the same, but for case, quotes, article and plural."""
    return _plain(first) == _plain(second) or _stem(first) == _stem(second)


def listed(words: Sequence[str], joint: str = "and") -> str:
    """``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


def in_full(act: str, argument: object = "") -> str:
    """The act as the JSON object of a whole reply."""
    return json.dumps({"action_type": act, "argument": argument}, ensure_ascii=False)


def alone(act: str, argument: object = "") -> str:
    """The act in its short form, which is a whole reply, too."""
    return f"{act} {json.dumps(argument, ensure_ascii=False)}" if argument != "" else act


# --- inside ---------------------------------------------------------------------

_UNREADABLE = object()


class _Repeated(ValueError):
    """An object has a key twice."""


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return _UNREADABLE


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Repeated
    return found


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _cents_in(text: str, unit: str) -> int | None:
    found = _AMOUNT.search(text)
    if found is None or len(text) > 80:
        return None
    before, after = text[: found.start()].strip(), text[found.end() :].strip(" .!")
    if before not in ("", *_SIGNS) or (after and after not in _SIGNS and not same(after, unit)):
        return None
    return _hundredths(found["number"].replace(",", ""))


def _hundredths(number: str) -> int | None:
    hundredths = Decimal(number) * 100
    if hundredths != hundredths.to_integral_value() or hundredths > MAX_NUMBER * 100:
        return None
    return int(hundredths)


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("_", " ").strip(_EDGES).split())


def _stem(text: str) -> str:
    return _ARTICLE.sub("", _plain(text)).removesuffix("s").removesuffix("e")
