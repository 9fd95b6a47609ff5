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

    __slots__ = ("_private", "_readers", "lines", "messages")

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.lines: list[str] = []
        # Where those stand that not everybody may read, and who may.
        self._private: list[int] = []
        self._readers: list[tuple[str, ...]] = []

    def add(self, message: Message, line: str) -> None:
        """Add a message, rendered as ``line``."""
        if message.audience is not None:
            self._private.append(len(self.messages))
            self._readers.append(message.audience)
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
            for number in range(len(private) - 1, bisect_left(private, start) - 1, -1):
                place = private[number] - start
                if agent not in self._readers[number] and place < len(messages):
                    del messages[place], lines[place]
        return messages, lines
