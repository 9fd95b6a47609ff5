"""The log of a game: every message once, as it stands in the transcript, and who reads it."""

from __future__ import annotations

from omar_envs.types import Message


class Log:
    """Messages and their lines, in order. It only grows.

    Attributes:
        messages: every message, whoever may read it.
        lines: the transcript line of each.
    """

    __slots__ = ("_private", "_private_until", "lines", "messages")

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.lines: list[str] = []
        # Where those stand that not everybody may read, and who may.
        self._private: list[tuple[int, tuple[str, ...]]] = []
        self._private_until = 0

    def add(self, message: Message, line: str) -> None:
        """Add a message, rendered as ``line``."""
        if message.audience is not None:
            self._private.append((len(self.messages), message.audience))
            self._private_until = len(self.messages) + 1
        self.messages.append(message)
        self.lines.append(line)


class Reader:
    """One agent's reading of the log, brought up to date whenever it is asked for.

    Whatever an agent is shown of the log comes from here. A message costs a reader
    two references, to it and to its line, and its part of the text.

    Args:
        agent: who reads.
        heading: what the transcript begins with.
        log: what is read.
    """

    __slots__ = ("_agent", "_cursor", "_lines", "_log", "_messages", "_transcript")

    def __init__(self, agent: str, heading: str, log: Log) -> None:
        self._agent = agent
        self._log = log
        self._cursor = 0
        self._messages: tuple[Message, ...] = ()
        self._lines: list[str] = []
        self._transcript = heading

    def messages(self) -> tuple[Message, ...]:
        """Every visible message, oldest first."""
        if self._cursor != len(self._log.messages):
            self._catch_up()
        return self._messages

    def _catch_up(self) -> None:
        log, start = self._log, self._cursor
        messages, lines = log.messages[start:], log.lines[start:]
        self._cursor = len(log.messages)
        if start < log._private_until:
            # From the end, so that what is taken out moves nothing still to be looked at.
            for place, readers in reversed(log._private):
                if place < start:
                    break
                if self._agent not in readers:
                    del messages[place - start], lines[place - start]
        self._messages += tuple(messages)
        self._lines += lines
        self._transcript = "\n".join((self._transcript, *lines))
