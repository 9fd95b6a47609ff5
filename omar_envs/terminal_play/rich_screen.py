"""The screen of a terminal that can show more than plain text, drawn by ``rich``.

It scrolls, as a chat does, and so loses nothing that was said; the question always
stands below what was said, with what the seat knows above it. Every text that a player may
have written reaches ``rich`` as text, never as markup, and without anything that a
terminal would act on.
"""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich import box
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.status import Status
from rich.table import Table
from rich.text import Text

from omar_envs.terminal import ask, printable
from omar_envs.terminal_play.commands import help_text, how_to_reply
from omar_envs.terminal_play.ending import Ending
from omar_envs.terminal_play.knowledge import joined, knowledge
from omar_envs.terminal_play.lines import Line, lines
from omar_envs.types import View

WIDEST = 100
"""Columns that are used at most: longer lines are hard to read."""

LONGEST = 4000
"""Characters of a line that are shown; ``/log`` shows all."""

_LONGEST_FACT = 240
_SETTLED = 0.2  # seconds without another change of size, as while a window is dragged
# The terminal's own twelve: its theme makes them legible on its background.
_COLOURS = (
    *("cyan", "magenta", "green", "blue", "yellow", "red"),
    *("bright_cyan", "bright_magenta", "bright_green", "bright_blue", "bright_yellow"),
    "bright_red",
)
_SET_IN = "   "
_NEW_PHASE = re.compile(r"\* (?:Night|Day) \d+ begins\.")


class RichScreen:
    """A chat with colours and names, and a box around each question.

    Args:
        console: where to draw; by default standard output, in colour where the
            terminal has it and ``NO_COLOR`` does not forbid it.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, emoji=False)
        _typed()  # brings a line that can be edited, where there is one
        self._status: Status | None = None
        self._shown = 0

    def begin(self, view: View) -> None:
        self._print(self._rules(view))
        self._chat(view, 0, whole=False)

    def follow(self, view: View) -> None:
        if len(view.log) > self._shown:
            self._chat(view, self._shown, whole=False)

    def request(self, view: View) -> None:
        self._chat(view, self._shown, whole=False)
        self._print(Text())
        self._print(self._question(view))

    def line(self, view: View) -> str:
        with self._drawn_anew(view):
            return ask(f"{view.name}> ")

    def note(self, text: str) -> None:
        self._print(_text(text, "bold red"))

    def wait(self) -> None:
        if self._status is None:
            self._status = self._console.status("The others are thinking…", spinner="line")
            self._status.start()

    def help(self, view: View) -> None:
        self._print(Panel(_text(help_text(view)), title="Commands", title_align="left"))

    def log(self, view: View) -> None:
        self._print(Rule("The whole conversation", characters="─"))
        self._chat(view, 0, whole=True)

    def me(self, view: View) -> None:
        self._print(self._rules(view))
        self._print(self._known(view, whole=True))

    def end(self, ending: Ending) -> None:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        with_roles = any(seat.role for seat in ending.seats)
        for column in ("Name", *(["Role"] if with_roles else []), "Fate", "Played by"):
            table.add_column(column, overflow="fold")
        for column in (*ending.components, "Reward"):
            table.add_column(_text(column), justify="right", no_wrap=True)
        for seat in ending.seats:
            name = _text(f"{seat.name} (you)" if seat.you else seat.name, "bold" * seat.you)
            role = [_text(seat.role)] if with_roles else []
            pay = map(_text, (*seat.pay, seat.total))
            table.add_row(name, *role, _text(seat.fate), _text(seat.policy), *pay)
        told = [_text(ending.verdict, "bold"), *map(_text, ending.outcome)]
        self._print(Panel(Group(*told), title="The end", title_align="left"))
        self._print(table)
        for line in ending.kept:
            # Not cut into lines: they are there to be copied.
            self._still()
            self._console.print(_text(line), soft_wrap=True)

    def close(self) -> None:
        self._still()

    # --- parts ------------------------------------------------------------

    def _rules(self, view: View) -> RenderableType:
        rules = view.messages[0]["content"]
        return Panel(_text(rules), title="What you are told", title_align="left")

    def _chat(self, view: View, start: int, *, whole: bool) -> None:
        for line in lines(view, start):
            self._print(self._drawn(line, view, whole=whole))
        self._shown = len(view.log)

    def _drawn(self, line: Line, view: View, *, whole: bool) -> RenderableType:
        if _NEW_PHASE.fullmatch(line.text):
            return Rule(_text(line.text[2:], "bold"), characters="─", style="default")
        drawn = _text(line.text if whole else _cut(line.text, LONGEST, "/log shows all"))
        if line.message.kind == "event":
            drawn.stylize("bold")
        elif line.speaker:
            start = line.text.find(line.speaker)
            end = start + len(line.speaker)
            seat = list(view.names).index(line.message.sender)
            drawn.stylize(f"bold {_COLOURS[seat % len(_COLOURS)]}", start, end)
            if line.message.sender == view.agent:
                drawn = Text.assemble(drawn[:end], (" (you)", "bold"), drawn[end:])
        # Set in from the second row on: no part of a speech can pass for a line of its own.
        rows = drawn.wrap(self._console, max(self._width - len(_SET_IN), 1))
        return Text(f"\n{_SET_IN}").join(rows)

    def _question(self, view: View) -> RenderableType:
        request = view.request
        assert request is not None
        asked = request.instruction
        parts = [self._known(view, whole=False), Text()]
        if request.choices:
            # The numbered list says it again.
            asked = asked.replace(f" Answer with one of: {', '.join(request.choices)}.", "")
        parts.append(_text(asked, "bold"))
        if request.choices:
            parts.append(_numbered(request.choices))
        return Panel(
            Group(*parts),
            title=_text(f"You are {knowledge(view).who}", "bold"),
            title_align="left",
            subtitle=Text(f"{how_to_reply(view)}  (/help)"),
            subtitle_align="left",
            box=box.ROUNDED,
        )

    def _known(self, view: View, *, whole: bool) -> RenderableType:
        known = knowledge(view)
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        if known.when:
            grid.add_row("Now", _text(known.when))
        for heading, names in (known.present, known.gone):
            if names or heading == known.present[0]:
                grid.add_row(heading, _text(joined(names)))
        for heading, facts in (("Open to all", known.table), ("Only you know", known.secrets)):
            for number, fact in enumerate(facts):
                shown = fact if whole else _cut(fact, _LONGEST_FACT, "/me shows all")
                grid.add_row("" if number else heading, _text(shown))
        return grid

    # --- printing ---------------------------------------------------------

    def _print(self, what: RenderableType) -> None:
        self._still()
        self._console.print(what, width=self._width)

    @property
    def _width(self) -> int:
        return min(self._console.width, WIDEST)

    def _still(self) -> None:
        """Nobody is waited for while something is shown."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    @contextmanager
    def _drawn_anew(self, view: View) -> Iterator[None]:
        """Inside of it the question is drawn again when the terminal changes its size."""
        if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
            yield
            return

        def resized(number: int, frame: FrameType | None) -> None:
            signal.setitimer(signal.ITIMER_REAL, _SETTLED)

        def draw(number: int, frame: FrameType | None) -> None:
            self._console.print()
            self._print(self._question(view))
            sys.stdout.write(printable(f"{view.name}> {_typed()}"))
            sys.stdout.flush()

        before = (signal.signal(signal.SIGALRM, draw), signal.signal(signal.SIGWINCH, resized))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before[0])
            signal.signal(signal.SIGWINCH, before[1])


def _numbered(choices: tuple[str, ...]) -> RenderableType:
    if any(choice.isdecimal() for choice in choices):
        return _text("  ".join(choices))
    items = [_text(f"{number:>2} {choice}") for number, choice in enumerate(choices, start=1)]
    return Columns(items, padding=(0, 3))


def _cut(text: str, most: int, hint: str) -> str:
    if len(text) <= most:
        return text
    return f"{text[:most]}… [{len(text) - most} more characters: {hint}]"


def _text(text: str, style: str = "") -> Text:
    """Text without markup, and without what a terminal would act on."""
    return Text(printable(text), style=style)


def _typed() -> str:
    """What stands behind the prompt so far."""
    try:
        import readline
    except ImportError:
        return ""
    return readline.get_line_buffer()
