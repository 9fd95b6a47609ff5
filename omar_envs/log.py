"""The log of a game: every message once, as it stands in the transcript, and who sees it."""

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

    def seen_by(self, agent: str, start: int) -> tuple[list[Message], list[str]]:
        """The messages from ``start`` that ``agent`` may read, and their lines.

        Whatever an agent is shown of the log comes from here.
        """
        messages, lines = self.messages[start:], self.lines[start:]
        if start < self._private_until:
            # From the end, so that what is taken out moves nothing still to be looked at.
            for place, readers in reversed(self._private):
                if place < start:
                    break
                if agent not in readers:
                    del messages[place - start], lines[place - start]
        return messages, lines
