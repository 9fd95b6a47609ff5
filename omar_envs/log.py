"""The log of a game: every message once, as it stands in the transcript, and who sees it."""

from __future__ import annotations

from bisect import bisect_left

from omar_envs.types import Message


class Log:
    """Messages and their lines, in order. It only grows.

    Attributes:
        messages: every message, whoever may read it.
        lines: the transcript line of each.
    """

    __slots__ = ("_private", "lines", "messages")

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.lines: list[str] = []
        self._private: list[int] = []  # where those stand that not everybody may read

    def add(self, message: Message, line: str) -> None:
        """Add a message, rendered as ``line``."""
        if message.audience is not None:
            self._private.append(len(self.messages))
        self.messages.append(message)
        self.lines.append(line)

    def seen_by(
        self, agent: str, start: int, stop: int | None = None
    ) -> tuple[list[Message], list[str]]:
        """The messages from ``start`` to before ``stop`` that ``agent`` may read, and their lines.

        Whatever an agent is shown of the log comes from here.
        """
        messages, lines = self.messages[start:stop], self.lines[start:stop]
        private = self._private
        if private and private[-1] >= start:
            # From the end, so that what is taken out moves nothing that is still to be looked at.
            for position in reversed(private[bisect_left(private, start) :]):
                place = position - start
                if place < len(messages) and not self.messages[position].visible_to(agent):
                    del messages[place], lines[place]
        return messages, lines
