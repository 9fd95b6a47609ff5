"""What a person sees: the screen that any terminal or pipe can show, in plain text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from omar_envs.terminal_play.commands import help_text
from omar_envs.terminal_play.ending import Ending
from omar_envs.terminal_play.knowledge import Knowledge, joined, knowledge
from omar_envs.terminal_play.lines import lines
from omar_envs.types import View


class Screen(Protocol):
    """Shows a seat's views, and brings the person's lines. It is given nothing else."""

    def begin(self, view: View) -> None:
        """The game begins, or goes on: the rules, and the conversation so far."""

    def follow(self, view: View) -> None:
        """Show what is new, where the seat is not asked."""

    def request(self, view: View) -> None:
        """Show what is new, and the request."""

    def line(self, view: View) -> str:
        """What the person types.

        Raises:
            EOFError: the input has ended.
        """

    def note(self, text: str) -> None:
        """Say something beside the game, as what was wrong with a line."""

    def wait(self) -> None:
        """The others are to reply. Lasts until something is shown; doing it twice is once."""

    def help(self, view: View) -> None:
        """The commands."""

    def log(self, view: View) -> None:
        """The whole conversation."""

    def me(self, view: View) -> None:
        """What the seat knows, and the rules."""

    def end(self, ending: Ending) -> None:
        """The game is over."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class PlainScreen:
    """Plain text without a control character, for pipes and simple terminals.

    Args:
        ask: shows a prompt and returns a line, as ``input`` does.
        show: shows a text, as ``print`` does.
    """

    def __init__(self, ask: Callable[[str], str], show: Callable[[str], None]) -> None:
        self._ask = ask
        self._show = show
        self._shown = 0

    def begin(self, view: View) -> None:
        self._show(view.messages[0]["content"])
        self.log(view)
        self._shown = len(view.log)

    def follow(self, view: View) -> None:
        self._news(view)

    def request(self, view: View) -> None:
        self._news(view)
        assert view.request is not None
        self._show(view.request.instruction)

    def line(self, view: View) -> str:
        return self._ask(f"{view.name}> ")

    def note(self, text: str) -> None:
        self._show(text)

    def wait(self) -> None:
        pass

    def help(self, view: View) -> None:
        self._show(help_text(view))

    def log(self, view: View) -> None:
        for line in lines(view):
            self._show(line.text)

    def me(self, view: View) -> None:
        for line in header(knowledge(view)):
            self._show(line)
        self._show(view.messages[0]["content"])

    def end(self, ending: Ending) -> None:
        self._show(ending.text())

    def close(self) -> None:
        pass

    def _news(self, view: View) -> None:
        for line in lines(view, self._shown):
            if line.message.kind != "speech" or line.message.sender != view.agent:
                self._show(line.text)
        self._shown = len(view.log)


def header(known: Knowledge) -> list[str]:
    """What a seat knows, a line each."""
    (here, present), (away, gone) = known.present, known.gone
    return [
        f"You are {known.who}. {known.when}".rstrip(),
        f"{here}: {joined(present)}",
        *([f"{away}: {joined(gone)}"] if gone else []),
        *known.table,
        *(f"Only you know: {secret}" for secret in known.secrets),
    ]
