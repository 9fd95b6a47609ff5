"""The log of a game: every message once, as it stands in the transcript, and who reads it.

What everybody may read is kept once, and each :class:`Reader` fetches it from there
when it is asked for. Anything else is handed to its readers alone, and stands nowhere
where another one looks.
"""

from __future__ import annotations

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
    """

    __slots__ = ("_private", "lines", "messages")

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.lines: list[str] = []
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

    Whatever an agent is shown of the log comes from here. A message costs a reader
    two references, to it and to its line, and its part of the text.

    Args:
        heading: what the transcript begins with.
        log: what is read.

    Attributes:
        messages: every visible message, oldest first.
        request: what the agent is asked now, if anything.
    """

    __slots__ = ("_cursor", "_lines", "_log", "_num_private", "_parts", "messages", "request")

    def __init__(self, heading: str, log: Log) -> None:
        self._log = log
        self._cursor = 0
        self._num_private = 0
        self._lines: list[str] = []
        # Of the transcript. Few, since all are copied at every reading, and seldom put
        # together, since that copies all once more.
        self._parts = [heading]
        self.messages: tuple[Message, ...] = ()
        self.request: Request | None = None

    def read(self) -> str:
        """Read what has come; returns heading, transcript, and the request if there is one."""
        log, start = self._log, self._cursor
        stop = len(log.messages)
        if start != stop:
            lines = log.lines[start:]
            self._cursor = stop
            self._lines += lines
            self.messages += tuple(log.messages[start:])
            self._parts.append("\n".join(lines))
        parts, request = self._parts, self.request
        if len(parts) > _MOST_PARTS:
            parts[:] = ["\n".join(parts)]
        return "\n".join(parts if request is None else [*parts, "", request.instruction])

    def receive(self, message: Message, line: str) -> None:
        """Take a message that only some may read, after all that everybody may by now."""
        if self._cursor != len(self._log.messages):
            self.read()
        self._num_private += 1
        self.messages += (message,)
        self._lines.append(line)
        self._parts.append(line)
