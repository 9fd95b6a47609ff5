"""The conversation of a view as lines, each with who it comes from."""

from __future__ import annotations

from typing import NamedTuple

from omar_envs.types import Message, View


class Line(NamedTuple):
    """One line of the conversation, as the game words it.

    Attributes:
        message: the message that it shows.
        speaker: the sender's display name where the line begins with it, else "".
        text: the whole line.
    """

    message: Message
    speaker: str
    text: str


def lines(view: View, start: int = 0) -> list[Line]:
    """Lines of ``view.log`` from message ``start`` on.

    They are the view's own text, which the rules precede and the request follows: what a
    person reads is what a model reads.
    """
    rules = view.messages[0]["content"]
    told = view.text[len(rules) + 2 :].split("\n") if view.log else []
    return [
        Line(message, view.names.get(message.sender, ""), text)
        for message, text in zip(view.log[start:], told[start : len(view.log)], strict=True)
    ]
