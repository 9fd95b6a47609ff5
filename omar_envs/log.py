"""The log of a game: every message once, as it stands in the transcript, and who sees it."""

from __future__ import annotations

from itertools import compress

from omar_envs.types import Message


class Log:
    """Messages and their lines, in order. It only grows.

    Attributes:
        messages: every message, whoever may read it.
        lines: the transcript line of each.
    """

    __slots__ = ("_last_private", "lines", "messages")

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.lines: list[str] = []
        self._last_private = -1

    def add(self, message: Message, line: str) -> None:
        """Add a message, rendered as ``line``."""
        if message.audience is not None:
            self._last_private = len(self.messages)
        self.messages.append(message)
        self.lines.append(line)

    def seen_by(
        self, agent: str, start: int, stop: int | None = None
    ) -> tuple[list[Message], list[str]]:
        """The messages from ``start`` to before ``stop`` that ``agent`` may read, and their lines.

        Whatever an agent is shown of the log comes from here.
        """
        messages, lines = self.messages[start:stop], self.lines[start:stop]
        if self._last_private < start:
            return messages, lines
        seen = [message.visible_to(agent) for message in messages]
        return list(compress(messages, seen)), list(compress(lines, seen))
