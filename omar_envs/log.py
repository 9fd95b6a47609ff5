"""The log of a game: every message once, as it stands in the transcript, and who reads it.

What everybody may read is kept once, and each :class:`Reader` finds it there when it is
asked for. Anything else is handed to its readers alone, and stands nowhere where another
one looks.
"""

from __future__ import annotations

from bisect import bisect_left

import msgspec

from omar_envs.types import Message, Request

_MOST_PARTS = 16


class _Private(msgspec.Struct, frozen=True, gc=False):
    """A message that came when there were ``place`` public ones."""

    place: int
    message: Message
    line: str


class Log:
    """Messages and their lines, in order. It only grows.

    Attributes:
        messages: the messages that everybody may read.
        lines: the transcript line of each.
        snapshot: the messages as of when somebody last read them all.
    """

    __slots__ = ("_private", "lines", "messages", "snapshot")

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.lines: list[str] = []
        self.snapshot: tuple[Message, ...] = ()
        self._private: list[_Private] = []

    def add_private(self, message: Message, line: str) -> None:
        """Keep a message that not everybody may read."""
        self._private.append(_Private(len(self.messages), message, line))

    def all(self) -> list[tuple[Message, str]]:
        """Every message, whoever may read it, with its line."""
        everything = list(zip(self.messages, self.lines, strict=True))
        # From the end, so that what is put in moves nothing before it.
        for private in reversed(self._private):
            everything.insert(private.place, (private.message, private.line))
        return everything


class Reader:
    """One agent's reading of the log, as of the latest :meth:`read`.

    Whatever an agent is shown of the log comes from here. A message that everybody may
    read costs a reader its part of the text and a reference, one that only some may read
    a few more.

    Args:
        heading: what stands above the transcript, an empty line between.
        log: what is read.

    Attributes:
        messages: every visible message, oldest first.
        num_private: how many of them only some may read.
        request: what the agent is asked now, if anything.
    """

    __slots__ = (
        *("_log", "_num_lines", "_parts", "_private_lines"),
        *("messages", "num_private", "request"),
    )

    def __init__(self, heading: str, log: Log) -> None:
        self._log = log
        # Of the transcript. Few, since all are copied at every reading, and seldom put
        # together, since that copies all once more.
        self._parts = [heading, ""]
        # How many of the public lines they hold.
        self._num_lines = 0
        # Lines of what only some may read, each with its place among ``messages``.
        self._private_lines: list[tuple[int, str]] = []
        self.messages: tuple[Message, ...] = ()
        self.num_private = 0
        self.request: Request | None = None

    def read(self) -> str:
        """Read what has come; returns heading, transcript, and the request if there is one."""
        parts, log, start = self._parts, self._log, self._num_lines
        stop = len(log.lines)
        if start != stop:
            self._num_lines = stop
            parts.append("\n".join(log.lines[start:]))
            if self.num_private:
                self.messages += tuple(log.messages[start:])
            else:
                # One for all who read at the same moment.
                if len(log.snapshot) != stop:
                    log.snapshot = tuple(log.messages)
                self.messages = log.snapshot
        if len(parts) > _MOST_PARTS:
            parts[:] = ["\n".join(parts)]
        request = self.request
        return "\n".join(parts if request is None else [*parts, "", request.instruction])

    def receive(self, message: Message, line: str) -> None:
        """Take a message that only some may read, after all that everybody may by now."""
        if self._num_lines != len(self._log.lines):
            self.read()
        self._private_lines.append((len(self.messages), line))
        self._parts.append(line)
        self.messages += (message,)
        self.num_private += 1

    def lines(self, start: int, stop: int) -> list[str]:
        """The transcript lines of ``messages[start:stop]``."""
        before = bisect_left(self._private_lines, (start, ""))
        lines = self._log.lines[start - before : stop - before]
        for place, line in self._private_lines[before:]:
            if place >= stop:
                break
            lines.insert(place - start, line)
        return lines[: stop - start]
