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

    The observation is the text as it was last read, the lines that have come since,
    and the question. The chat only ever grows at the end: what arrives between two
    requests becomes one user message when the next request opens, or when the game ends.

    Args:
        agent: whose it is.
        system_prompt: beginning of the observation and of the chat.
        log: the game's log.

    Attributes:
        invalid_acts: how many of its replies could not be read.
        num_seen_at_last_act: how many of ``messages`` came before its last act.
    """

    __slots__ = (
        "_acts",
        "_agent",
        "_asked_at",
        "_chat",
        "_system_prompt",
        "invalid_acts",
        "num_seen_at_last_act",
    )

    def __init__(self, agent: str, system_prompt: str, log: Log) -> None:
        super().__init__(f"{system_prompt}\n", log)
        self._agent = agent
        self._system_prompt = system_prompt
        # Without the system prompt.
        self._chat: list[ChatMessage] = []
        # How many messages each user message of the chat, and those before it, are made of.
        self._asked_at: list[int] = []
        self._acts: list[Act] = []
        self.num_seen_at_last_act = 0
        self.invalid_acts = 0

    def open(self, request: Request | None) -> None:
        """Ask: what is unread and the instruction become one user message.

        The last one, of a game that is over, asks nothing.
        """
        self._asked_at.append(len(self._log.messages) + self._num_private)
        self.request = request

    def answer(self, act: Act) -> None:
        """Take the agent's act, with its reply as generated."""
        self.num_seen_at_last_act = len(self._log.messages) + self._num_private
        self._acts.append(act)
        self.request = None

    @property
    def num_acts(self) -> int:
        """How many times the agent has acted."""
        return len(self._acts)

    @property
    def chat(self) -> tuple[ChatMessage, ...]:
        """System prompt, then user and assistant messages in turn."""
        while (message := self._next_in_chat()) is not None:
            self._chat.append(message)
        return ({"role": "system", "content": self._system_prompt}, *self._chat)

    def _next_in_chat(self) -> ChatMessage | None:
        number, answered = divmod(len(self._chat), 2)
        if answered:
            if number == len(self._acts):
                return None
            return {"role": "assistant", "content": self._acts[number].reply}
        if number == len(self._asked_at):
            return None
        start = self._asked_at[number - 1] if number else 0
        stop = self._asked_at[number]
        content = [
            line
            for message, line in zip(
                self.messages[start:stop], self._lines[start:stop], strict=True
            )
            # Its own words stand in the chat as its reply.
            if message.kind != "speech" or message.sender != self._agent
        ]
        request = self._acts[number].request if number < len(self._acts) else self.request
        if request is not None:
            content.append(request.instruction)
        return {"role": "user", "content": "\n".join(content)} if content else None
