"""The nouns that every part of the suite shares.

Everything here is an immutable value that pickles, compares by content and
(except :class:`View` and the judge's types, which live only in memory) goes to
JSON and back without loss.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, Protocol, TypedDict

import msgspec

SCHEMA_VERSION = 1
"""Version of the :class:`Episode` layout. It grows with every change that an
older reader would misread."""

MODERATOR = "moderator"
"""Sender of every message that no agent wrote. It is never an agent id."""

Audience = tuple[str, ...] | None
"""Who may read a message: ``None`` is everyone, else the sorted agent ids."""

MessageKind = Literal["speech", "action", "event"]


class RequestKind(StrEnum):
    """What an environment asks of the agent to move."""

    SPEAK = "SPEAK"
    CHOOSE = "CHOOSE"


SPEAK = RequestKind.SPEAK
CHOOSE = RequestKind.CHOOSE


class ChatMessage(TypedDict):
    """One message in the form that chat templates and chat APIs take."""

    role: Literal["system", "user", "assistant"]
    content: str


class Message(msgspec.Struct, frozen=True, gc=False):
    """One line of the game's log.

    Attributes:
        turn: number of the stage in which it was posted, from 0.
        sender: agent id, or :data:`MODERATOR`.
        audience: who may read it; ``None`` is everyone.
        kind: ``speech`` (an agent's words), ``action`` (an agent's choice that
            its audience may see) or ``event`` (what the game announces).
        text: a single line, without NUL, control characters or lone surrogates.
    """

    turn: int
    sender: str
    audience: Audience
    kind: MessageKind
    text: str

    def visible_to(self, agent: str) -> bool:
        """Whether ``agent`` is in the audience."""
        return self.audience is None or agent in self.audience


class Request(msgspec.Struct, frozen=True, gc=False):
    """What the environment asks of the agent to move.

    Attributes:
        kind: ``SPEAK`` (free text) or ``CHOOSE`` (one of ``choices``).
        instruction: the question in words, as it stands in the observation.
        choices: legal labels, each accepted verbatim; empty for ``SPEAK``.
        max_chars: longer speech is cut here (characters); 0 for ``CHOOSE``.
        may_pass: whether saying nothing is a legal answer to ``SPEAK``: an empty
            reply, or the word "pass" alone, is then a valid silence.
    """

    kind: RequestKind
    instruction: str
    choices: tuple[str, ...] = ()
    max_chars: int = 0
    may_pass: bool = False


class View(msgspec.Struct, frozen=True):
    """All that one agent may know at one moment.

    Attributes:
        agent: agent id.
        name: display name; what other agents call it.
        role: its own role, or ``None`` where the game has none.
        alive: false once eliminated.
        request: what it is asked now, ``None`` when it is not its move.
        text: the observation, ready to read.
        messages: the same as chat messages. They only ever grow at the end: an
            earlier view's messages are a prefix of a later one's. When it is
            the agent's move the last one is a user message that ends with the
            request; its own replies stand as assistant messages, as generated.
        log: the visible part of the game's log.
        names: display name of every agent id.
        facts: the game's private facts for this agent, in plain JSON types.
        num_acts: how many times it has acted; the index k of its next turn.
        game: handle of the live game among those that a batch runner plays at
            once: ``(game, agent)`` names one growing row. 0 outside of one.
    """

    agent: str
    name: str
    role: str | None
    alive: bool
    request: Request | None
    text: str
    messages: tuple[ChatMessage, ...]
    log: tuple[Message, ...]
    names: dict[str, str]
    facts: dict[str, Any]
    num_acts: int
    game: int = 0


class Seat(msgspec.Struct, frozen=True):
    """Who sat where. ``policy`` names what played the seat, "" if unknown."""

    agent: str
    name: str
    role: str | None = None
    policy: str = ""


class StageRecord(msgspec.Struct, frozen=True):
    """One stage as it happened: ``turn`` is the key that messages refer to."""

    turn: int
    phase: str
    label: str


class Turn(msgspec.Struct, frozen=True):
    """One act of one agent: its reply, and what the environment made of it.

    Attributes:
        turn: number of the stage.
        agent: who acted.
        request: what it had been asked.
        reply: the text as the policy gave it (NUL and lone surrogates replaced).
        text: what the environment acted on: speech, or the label chosen; the
            neutral act if the reply was invalid.
        valid: whether the reply could be read.
        error: why not, "" if valid.
        reward_components: everything the agent was paid from this act until its
            next one, by component; the first act also takes what came before it.
    """

    turn: int
    agent: str
    request: Request
    reply: str
    text: str
    valid: bool
    error: str
    reward_components: dict[str, float | None]


class Episode(msgspec.Struct, frozen=True):
    """One finished game. Replaying ``turns`` on ``seed`` gives the same bytes.

    Attributes:
        schema_version: :data:`SCHEMA_VERSION` of the writer.
        env: environment name, ``"werewolf_v0"``.
        config: constructor arguments that make the same environment again.
        seed: the ``reset`` seed.
        seats: one per agent, in agent order.
        stages: the stages in order.
        messages: the whole log, each message with its audience.
        turns: every act in the order in which it was made, valid or not.
        rewards: total per agent and component; ``None`` marks a component that
            could not be determined (a failed judgement), which is not a zero.
        outcome: game-specific, plain JSON types.
        terminated, truncated: how it ended; exactly one is true.
    """

    schema_version: int
    env: str
    config: dict[str, Any]
    seed: int
    seats: tuple[Seat, ...]
    stages: tuple[StageRecord, ...]
    messages: tuple[Message, ...]
    turns: tuple[Turn, ...]
    rewards: dict[str, dict[str, float | None]]
    outcome: dict[str, Any]
    terminated: bool
    truncated: bool

    def total_reward(self, agent: str) -> float:
        """Sum of the agent's known reward components.

        Raises:
            KeyError: there is no such agent.
        """
        return sum(value for value in self.rewards[agent].values() if value is not None)

    def turns_of(self, agent: str) -> tuple[Turn, ...]:
        """The agent's own acts, in order."""
        return tuple(turn for turn in self.turns if turn.agent == agent)


JudgeStatus = Literal["ok", "failed", "refused"]


class JudgeResult(msgspec.Struct, frozen=True):
    """One judgement of one episode. A failed judgement is not a zero.

    Attributes:
        status: ``ok``, ``failed`` (no readable answer) or ``refused``.
        scores: per agent and dimension; ``None`` unless ``ok``.
        reasons: per agent and dimension, in the judge's words.
        model, rubric_version, date: what gave the scores, and when (ISO 8601).
        error: why there are none, "" if ``ok``.
        rewards: per agent, what the scores are worth on the scale that the judge was
            set to; ``None`` stands for the plain mean of the agent's scores.
        importances: per agent, one number in [0, 1] for each of its acts in order:
            that share of the agent's reward is paid for that act (Sotopia-RL, arXiv
            2508.03905); ``None`` pays all at the end.
    """

    status: JudgeStatus
    scores: dict[str, dict[str, float]] | None = None
    reasons: dict[str, dict[str, str]] | None = None
    model: str = ""
    rubric_version: str = ""
    date: str = ""
    error: str = ""
    rewards: dict[str, float] | None = None
    importances: dict[str, tuple[float, ...]] | None = None


class Judge(Protocol):
    """Scores a finished conversation."""

    async def judge(self, episode: Episode) -> JudgeResult:
        """Judge one episode. Failures are results, not exceptions.

        Called from any event loop, many times at once. An ordinary method that
        returns the result will do, too, but all others wait while it runs.
        """
        ...
