"""Policies: what plays a seat. The interface is batched from the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from omar_envs.errors import PolicyError
from omar_envs.parsing import Parsed, parse
from omar_envs.types import SPEAK, Request, View
from omar_envs.werewolf.bots import Speech, act

__all__ = [
    "HumanPolicy",
    "MutedPolicy",
    "Policy",
    "RandomPolicy",
    "Reply",
    "ScriptedPolicy",
    "StreamingPolicy",
    "by_number",
]

STOCK_PHRASE = "I have nothing to say"


class Policy(Protocol):
    """Anything that answers views.

    ``act`` gets the views of all agents, of all live games, who may act now, and
    returns one reply for each, in order. ``(view.game, view.agent)`` names one
    growing row; ``view.num_acts == 0`` begins it.
    """

    @property
    def name(self) -> str:
        """What episodes call it."""

    def act(self, views: Sequence[View]) -> Sequence[str]:
        """One reply per view."""


class Reply(NamedTuple):
    """A reply, and to which view: its ``game`` and ``agent``."""

    game: int
    agent: str
    text: str


@runtime_checkable
class StreamingPolicy(Policy, Protocol):
    """A policy that can answer each view as soon as it knows the reply.

    Games then go on when all replies that they wait for are there, whatever the
    others do. It is asked by :meth:`submit`, never about one agent of one game twice
    before it has answered.
    """

    def submit(self, views: Sequence[View]) -> None:
        """Take on views of agents who may act now, beside those not answered yet."""

    def poll(self) -> Sequence[Reply]:
        """Replies since the last call; waits for at least one if any is to come."""


class RandomPolicy:
    """Uniform over ``request.choices``; a stock phrase when asked to speak.

    Args:
        seed: of its own generator.
    """

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)

    def act(self, views: Sequence[View]) -> list[str]:
        """One reply per view."""
        return [self._reply(view) for view in views]

    def _reply(self, view: View) -> str:
        if view.request is None or not view.request.choices:
            return STOCK_PHRASE
        return view.request.choices[int(self._rng.integers(len(view.request.choices)))]


class ScriptedPolicy:
    """Role-aware Werewolf bots that really use the talk.

    Seers report what they saw, villagers weigh claims and accusations against
    what deaths revealed, wolves agree on victims, lie and vote together. They
    read and speak one small grammar ("I am the seer. Ana is a werewolf.").

    Args:
        seed: of its own generator.
        noise: probability of an act at random, in [0, 1].
        brief: speak without articles and stops, for models of a hundred words.
    """

    name = "scripted"

    def __init__(self, seed: int = 0, *, noise: float = 0.0, brief: bool = False) -> None:
        self._rng = np.random.default_rng(seed)
        self._noise = noise
        self._speech = Speech(brief=brief)

    def act(self, views: Sequence[View]) -> list[str]:
        """One reply per view."""
        return [act(view, self._speech, self._rng, self._noise) for view in views]


def by_number(request: Request, reply: str) -> str:
    """The choice whose number in ``request.choices``, from 1, is all of the reply.

    Any other reply comes back as it is, and so does every number where choices are
    numbers themselves.
    """
    choices, text = request.choices, reply.strip().removesuffix(".")
    if not text.isascii() or not text.isdecimal() or len(text) > 4:
        return reply
    if not 1 <= int(text) <= len(choices) or any(choice.isdecimal() for choice in choices):
        return reply
    return choices[int(text) - 1]


class HumanPolicy:
    """A person at a terminal. Asks again until a reply can be read.

    A choice may be named, or given by its number in the list, from 1. The command
    ``omar-envs play`` has more: saved games, and a screen (:mod:`omar_envs.terminal_play`).

    Args:
        ask: shows a prompt and returns a line, as ``input`` does.
        show: shows a text, as ``print`` does.
        read: what an agent's reply would come to; the environment's ``read`` knows the
            game's own rules. By default a reply is read as any game's
            (:func:`omar_envs.parsing.parse`).

    Raises:
        PolicyError: from ``act``, when the input ends.
    """

    name = "human"

    def __init__(
        self,
        ask: Callable[[str], str] = input,
        show: Callable[[str], None] = print,
        *,
        read: Callable[[str, str], Parsed] | None = None,
    ) -> None:
        self._ask = ask
        self._show = show
        self._read = read
        self._shown: dict[tuple[int, str], int] = {}

    def act(self, views: Sequence[View]) -> list[str]:
        """One reply per view."""
        return [self._reply(view) for view in views]

    def _reply(self, view: View) -> str:
        if view.request is None:
            return ""
        row = (view.game, view.agent)
        seen = 0 if view.num_acts == 0 else self._shown.get(row, 0)
        for message in view.messages[seen:]:
            if message["role"] != "assistant":
                self._show(message["content"])
        self._shown[row] = len(view.messages) + 1  # its own reply comes next
        while True:
            try:
                reply = by_number(view.request, self._ask(f"{view.name}> "))
            except EOFError:
                raise PolicyError("the input ended before the game did") from None
            read = self._read
            parsed = parse(view.request, reply) if read is None else read(view.agent, reply)
            if parsed.valid:
                return reply
            self._show(f"{parsed.error}; try again")


class MutedPolicy:
    """Plays as another policy but says the same empty phrase whenever it may speak.

    The inner policy is not asked for words. Comparing with it shows how much of
    a policy's strength is talk.

    Args:
        policy: makes the choices.
        phrase: said instead of anything else; one that claims nothing.
    """

    def __init__(self, policy: Policy, phrase: str = "I am villager") -> None:
        self._policy = policy
        self._phrase = phrase

    @property
    def name(self) -> str:
        """The inner policy's name, marked."""
        return f"{self._policy.name} (muted)"

    def act(self, views: Sequence[View]) -> list[str]:
        """One reply per view."""
        silent = [view.request is None or view.request.kind is SPEAK for view in views]
        choosing = [view for view, mute in zip(views, silent, strict=True) if not mute]
        choices = iter(self._policy.act(choosing) if choosing else ())
        return [self._phrase if mute else next(choices) for mute in silent]
