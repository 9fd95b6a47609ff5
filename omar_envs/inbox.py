"""What one agent has been shown, as messages, as text and as a growing chat."""

from __future__ import annotations

from omar_envs.types import ChatMessage, Message, Request


class Inbox:
    """All that was delivered to one agent.

    The chat only ever grows at the end: what arrives between two requests is
    kept back and becomes one user message when the next request opens, or when
    the game ends.

    Args:
        system_prompt: content of the first chat message.
    """

    def __init__(self, system_prompt: str) -> None:
        self._messages: list[Message] = []
        self._lines: list[str] = [system_prompt, ""]
        self._unread: list[str] = []
        self._chat: list[ChatMessage] = [{"role": "system", "content": system_prompt}]
        self._seen_at_last_act = 0
        self.request: Request | None = None
        self.num_acts = 0
        self.invalid_acts = 0

    def deliver(self, message: Message, line: str, *, already_in_chat: bool) -> None:
        """Add a message, rendered as ``line``.

        Args:
            already_in_chat: the agent's own words stand there as its reply.
        """
        self._messages.append(message)
        self._lines.append(line)
        if not already_in_chat:
            self._unread.append(line)

    def open(self, request: Request) -> None:
        """Ask: the unread lines and the instruction become one user message."""
        self.request = request
        self._say_unread(request.instruction)

    def answer(self, reply: str, valid: bool) -> None:
        """Take the agent's reply, as generated."""
        self._chat.append({"role": "assistant", "content": reply})
        self.request = None
        self.num_acts += 1
        self.invalid_acts += not valid
        self._seen_at_last_act = len(self._messages)

    def finish(self) -> None:
        """The game is over: what is unread becomes the last user message."""
        if self._unread:
            self._say_unread()

    def _say_unread(self, *more: str) -> None:
        self._chat.append({"role": "user", "content": "\n".join((*self._unread, *more))})
        self._unread.clear()

    @property
    def messages(self) -> tuple[Message, ...]:
        """Every visible message, oldest first."""
        return tuple(self._messages)

    @property
    def new_messages(self) -> tuple[Message, ...]:
        """Those that came since the agent's last act."""
        return tuple(self._messages[self._seen_at_last_act :])

    @property
    def chat(self) -> tuple[ChatMessage, ...]:
        """System prompt, then user and assistant messages in turn."""
        return tuple(self._chat)

    @property
    def text(self) -> str:
        """The observation: rules, transcript, and the request if there is one."""
        if self.request is None:
            return "\n".join(self._lines)
        return "\n".join((*self._lines, "", self.request.instruction))
