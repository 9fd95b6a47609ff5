"""What the command line writes to a terminal, and what it must not."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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


def show_json(value: Any) -> None:
    """Print one JSON document to standard output, in ASCII: nothing in it can act on a terminal.

    Args:
        value: what ``json`` writes, without NaN and infinities.
    """
    print(json.dumps(value, indent=2, allow_nan=False), flush=True)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """A bar on standard error that follows a count; ``None`` where nobody would see it move."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(printable(what), total=total)
        yield lambda done: bar.update(task, completed=done)
