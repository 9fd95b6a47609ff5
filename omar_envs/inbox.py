"""What one agent has been shown and has done, as messages, as text and as a growing chat."""

from __future__ import annotations

import msgspec

from omar_envs.log import Log, Reader
from omar_envs.types import ChatMessage, Request


class Act(msgspec.Struct, frozen=True, gc=False):
    """One act as it was made: a :class:`~omar_envs.types.Turn` but for what it was paid."""

    turn: int
    agent: str
    request: Request
    reply: str
    text: str
    valid: bool
    error: str


class Inbox(Reader):
    """One agent's reading of the log, what it is asked, and what it has answered.

    The chat only ever grows at the end: what arrives between two
    requests becomes one user message when the next request opens, or when the game ends.

    Args:
        agent: whose it is.
        seat: the agent's number.
        system_prompt: beginning of the observation and of the chat.
        log: the game's log.

    Attributes:
        acts: what the agent has done, in order.
        asked_at: how many messages each user message of the chat, and those before it, are
            made of.
        invalid_acts: how many of its replies could not be read.
        num_seen_at_last_act: how many of ``messages`` came before its last act.
        seat: the agent's number, from 0.
    """

    __slots__ = (
        "_agent",
        "_chat",
        "_system_prompt",
        "acts",
        "asked_at",
        "invalid_acts",
        "num_seen_at_last_act",
        "seat",
    )

    def __init__(self, agent: str, seat: int, system_prompt: str, log: Log) -> None:
        super().__init__(system_prompt, log)
        self._agent = agent
        self.seat = seat
        self._system_prompt = system_prompt
        # Without the system prompt.
        self._chat: list[ChatMessage] = []
        self.asked_at: list[int] = []
        self.acts: list[Act] = []
        self.num_seen_at_last_act = 0
        self.invalid_acts = 0

    def open(self, request: Request | None) -> None:
        """Ask: what is unread and the instruction become one user message.

        The last one, of a game that is over, asks nothing.
        """
        self.asked_at.append(len(self._log.messages) + self.num_private)
        self.request = request

    @property
    def chat(self) -> tuple[ChatMessage, ...]:
        """System prompt, then user and assistant messages in turn."""
        while (message := self._next_in_chat()) is not None:
            self._chat.append(message)
        return ({"role": "system", "content": self._system_prompt}, *self._chat)

    def _next_in_chat(self) -> ChatMessage | None:
        number, answered = divmod(len(self._chat), 2)
        if answered:
            if number == len(self.acts):
                return None
            return {"role": "assistant", "content": self.acts[number].reply}
        if number == len(self.asked_at):
            return None
        start = self.asked_at[number - 1] if number else 0
        stop = self.asked_at[number]
        content = [
            line
            for message, line in zip(
                self.messages[start:stop], self.lines(start, stop), strict=True
            )
            # Its own words stand in the chat as its reply.
            if message.kind != "speech" or message.sender != self._agent
        ]
        request = self.acts[number].request if number < len(self.acts) else self.request
        if request is not None:
            content.append(request.instruction)
        return {"role": "user", "content": "\n".join(content)} if content else None
