"""What the command line writes to a terminal, and what it must not."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

# Controls can move the cursor, retitle the window or hide text; the marks of
# writing direction can show a line in another order than it has.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """``text`` with everything replaced by U+FFFD that a terminal would act on.

    Line feeds and tabs stay. Lone surrogates, which no terminal can be sent,
    are replaced too.
    """
    return _UNSAFE.sub("\ufffd", text.encode("utf-8", "replace").decode("utf-8"))


def show(text: str) -> None:
    """Print a text that players may have written to standard output."""
    print(printable(text), flush=True)


def ask(prompt: str) -> str:
    """Read a line, as ``input`` does."""
    return input(printable(prompt))


def counter(what: str, total: int) -> Callable[[int], None] | None:
    """A line on standard error that counts up; ``None`` where nobody would see it move."""
    if not sys.stderr.isatty():
        return None

    def update(done: int) -> None:
        end = "\n" if done >= total else ""
        print(f"\r{what}: {done} of {total}", end=end, file=sys.stderr, flush=True)

    return update
