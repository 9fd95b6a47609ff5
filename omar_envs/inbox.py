"""What one agent has been shown, as messages, as text and as a growing chat."""

from __future__ import annotations

from omar_envs.log import Log
from omar_envs.types import ChatMessage, Message, Request


class Inbox:
    """One agent's reading of the log, brought up to date whenever it is asked for.

    A message costs a reader one reference; the observation is the text as it was
    last read, the lines that have come since, and the question. The chat only ever
    grows at the end: what arrives between two requests becomes one user message
    when the next request opens, or when the game ends.

    Args:
        agent: whose it is.
        system_prompt: beginning of the observation and of the chat.
        log: the game's log.

    Attributes:
        request: what the agent is asked now, if anything.
        invalid_acts: how many of its replies could not be read.
        num_seen_at_last_act: how many of :meth:`messages` came before its last act.
    """

    __slots__ = (
        "_agent",
        "_asked",
        "_chat",
        "_cursor",
        "_log",
        "_messages",
        "_pieces",
        "_replies",
        "invalid_acts",
        "num_seen_at_last_act",
        "request",
    )

    def __init__(self, agent: str, system_prompt: str, log: Log) -> None:
        self._agent = agent
        self._log = log
        self._cursor = 0
        self._messages: tuple[Message, ...] = ()
        self._pieces: list[str] = [system_prompt, ""]
        self.num_seen_at_last_act = 0
        self._chat: list[ChatMessage] = [{"role": "system", "content": system_prompt}]
        # Of each user message: where in the log its lines end, and the question after them.
        self._asked: list[tuple[int, str | None]] = []
        self._replies: list[str] = []
        self.request: Request | None = None
        self.invalid_acts = 0

    def open(self, request: Request) -> None:
        """Ask: what is unread and the instruction become one user message."""
        self.request = request
        self._asked.append((len(self._log.messages), request.instruction))

    def answer(self, reply: str, valid: bool) -> None:
        """Take the agent's reply, as generated."""
        if self._cursor != len(self._log.messages):
            self._catch_up()
        self.num_seen_at_last_act = len(self._messages)
        self._replies.append(reply)
        self.request = None
        self.invalid_acts += not valid

    def finish(self) -> None:
        """The game is over: what is unread becomes the last user message."""
        self._asked.append((len(self._log.messages), None))

    @property
    def num_acts(self) -> int:
        """How many times the agent has acted."""
        return len(self._replies)

    def messages(self) -> tuple[Message, ...]:
        """Every visible message, oldest first."""
        if self._cursor != len(self._log.messages):
            self._catch_up()
        return self._messages

    def text(self) -> str:
        """The observation: rules, transcript, and the request if there is one."""
        if self._cursor != len(self._log.messages):
            self._catch_up()
        text = "\n".join(self._pieces)
        self._pieces = [text]
        return text if self.request is None else f"{text}\n\n{self.request.instruction}"

    @property
    def chat(self) -> tuple[ChatMessage, ...]:
        """System prompt, then user and assistant messages in turn."""
        while (message := self._next_in_chat()) is not None:
            self._chat.append(message)
        return tuple(self._chat)

    def _catch_up(self) -> None:
        messages, lines = self._log.seen_by(self._agent, self._cursor)
        self._cursor = len(self._log.messages)
        self._messages = (*self._messages, *messages)
        self._pieces += lines

    def _next_in_chat(self) -> ChatMessage | None:
        number, answered = divmod(len(self._chat) - 1, 2)
        if answered:
            if number == len(self._replies):
                return None
            return {"role": "assistant", "content": self._replies[number]}
        if number == len(self._asked):
            return None
        start = self._asked[number - 1][0] if number else 0
        stop, instruction = self._asked[number]
        messages, lines = self._log.seen_by(self._agent, start, stop)
        content = [
            line
            for message, line in zip(messages, lines, strict=True)
            # Its own words stand in the chat as its reply.
            if message.kind != "speech" or message.sender != self._agent
        ]
        if instruction is not None:
            content.append(instruction)
        return {"role": "user", "content": "\n".join(content)} if content else None
