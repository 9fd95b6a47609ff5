"""What a game answers to the conversation engine: its stages, requests and results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from omar_envs.types import Audience, Request


class Announcement(msgspec.Struct, frozen=True, gc=False):
    """A moderator's line: who hears it, and its text, a single line."""

    audience: Audience
    text: str


class Stage(msgspec.Struct, frozen=True, gc=False):
    """A part of the game in which some agents act under the same rules.

    Attributes:
        phase: machine-readable name of the phase, ``"night"``.
        label: its name for readers, ``"Night 1"``.
        agents: who acts, in order; with nobody the stage closes at once.
        mode: ``simultaneous`` or ``sequential``.
        audience: who hears what is said in it; ``None`` is everyone.
        opening: announced before anybody acts.
        request: what all of ``agents`` are asked; ``None`` if each is asked something
            of its own (:meth:`Game._request`).
    """

    phase: str
    label: str
    agents: tuple[str, ...]
    mode: Literal["simultaneous", "sequential"]
    audience: Audience = None
    opening: tuple[Announcement, ...] = ()
    request: Request | None = None


class Game(ABC):
    """The questions that :class:`omar_envs.conversation.ConversationEnv` asks a game.

    Attributes:
        possible_agents: ids of the agents, in seat order.
    """

    possible_agents: list[str]

    @abstractmethod
    def _begin(self) -> None:
        """Deal a new game from ``np_random``. Nothing can be posted yet."""

    @abstractmethod
    def _system_prompt(self, agent: str) -> str:
        """The rules and the agent's private facts, fixed for the game."""

    @abstractmethod
    def _introductions(self) -> tuple[Announcement, ...]:
        """What is announced before the first stage."""

    @abstractmethod
    def _next_stage(self) -> Stage | None:
        """The stage that follows, or ``None`` if the game is over."""

    @abstractmethod
    def _request(self, agent: str) -> Request:
        """What ``agent`` is asked in the running stage, if that has no ``request`` for all."""

    @abstractmethod
    def _neutral(self, agent: str, request: Request) -> str:
        """The act that stands in for an unreadable reply."""

    @abstractmethod
    def _act_notice(self, agent: str, request: Request, text: str) -> Announcement:
        """How a choice is shown, after the agent's name, and to whom, once it is known there."""

    @abstractmethod
    def _resolve(self, stage: Stage, acts: dict[str, str]) -> None:
        """Apply the acts of a stage that has closed; post what follows from them."""

    @abstractmethod
    def _settle(self) -> None:
        """Announce the end and pay the final rewards."""

    @abstractmethod
    def _hit_limit(self) -> bool:
        """Whether a limit ended the game (truncation), not its rules."""

    @abstractmethod
    def _outcome(self) -> dict[str, Any]:
        """The result in plain JSON types."""

    @abstractmethod
    def _config(self) -> dict[str, Any]:
        """Constructor arguments in plain JSON types."""

    @abstractmethod
    def _name(self, agent: str) -> str:
        """Display name; a single line without a colon."""

    @abstractmethod
    def _role(self, agent: str) -> str | None:
        """The agent's own role, fixed for the game."""

    def _team(self, agent: str) -> str | None:
        """The agent's team, fixed for the game; ``None`` where there are no teams."""
        return None

    def _alive_by_seat(self) -> Sequence[bool]:
        """Whether each agent is still in the game: one object all game long, kept up to date.

        Asked for once the game is dealt. Where nobody ever leaves there is nothing to say.
        """
        return (True,) * len(self.possible_agents)

    @abstractmethod
    def _facts(self, agent: str) -> dict[str, Any]:
        """The agent's private facts in plain JSON types."""
