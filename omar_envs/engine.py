"""The conversation engine: runs a game's stages, acts, messages and rewards.

A game is a sequence of stages. A stage has the agents who act in it, an
audience for what they say, and a mode: in a *simultaneous* stage nobody sees
another's act until all have acted, in a *sequential* one each sees the ones
before. :class:`Engine` runs them and knows nothing of any particular game; a
game answers the questions of :class:`omar_envs.stages.Game` (which stage is
next, what is asked, what an act means, who has won).

An agent sees the messages whose audience holds it, and its own private facts.
:meth:`Engine.post` adds to one log, where each message is rendered once, and hands
what not everybody may read to its audience alone; :class:`omar_envs.log.Reader` is
the only place where the log meets a reader.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium.utils import seeding

from omar_envs.errors import ConfigError, StateError
from omar_envs.inbox import Act, Inbox
from omar_envs.judging import JUDGE, judged, reward_of
from omar_envs.ledger import Ledger
from omar_envs.log import Log
from omar_envs.parsing import DEFAULT_PRIVATE_TAGS, Parsed, clean, parse_clean, single_line
from omar_envs.stages import Announcement, Game, Stage
from omar_envs.types import (
    MODERATOR,
    SCHEMA_VERSION,
    SPEAK,
    Audience,
    Episode,
    Judge,
    JudgeResult,
    Message,
    MessageKind,
    Request,
    Seat,
    StageRecord,
    Turn,
)


class Engine(Game):
    """One game at a time, from its first stage to its end.

    A judge is asked once, when the game ends, and pays the component ``judge``.
    A judgement that is not ``ok`` pays nothing: the component is then ``None``,
    and no part of the reward. The judge sees an episode in which it is ``None``.

    Args:
        agents: ids of the agents, in seat order.
        components: names of the game's own reward components.
        invalid_penalty: subtracted per invalid act, as the component ``invalid``.
        format_penalty: subtracted per valid act that is not in the form asked for
            (:class:`omar_envs.parsing.Parsed`), as the component ``format``, which
            exists only if this is positive.
        length_penalty: subtracted per speech, times its share of ``max_chars``, as
            the component ``length``, which exists only if this is positive.
        judge: scores the finished game; an object with the method ``judge``.
        judge_weight: times an agent's mean score is its component ``judge``.
        private_tags: what stands inside these tags never reaches another agent.

    Raises:
        ConfigError: a penalty is negative, or it or the weight no finite number; or the
            judge is none.
    """

    metadata: dict[str, Any]

    # CPython looks attributes up fast while an instance's dictionary has at most 30:
    # these stand outside it, which leaves it to the game.
    __slots__ = (
        *("_acts", "_alive", "_audiences", "_components", "_format_penalty"),
        *("_generator", "_held", "_inboxes", "_invalid_penalty", "_judge", "_judge_weight"),
        *("_judgement", "_ledger", "_length_penalty", "_log", "_over", "_pending", "_plain_talk"),
        *("_private_tags", "_publishes_plainly", "_roles", "_sequential", "_speech_begins"),
        *("_stage", "_stages", "_takes_as_asked", "_turn"),
        *("pauses", "seed_used", "waits_for_judgement"),
    )

    def __init__(
        self,
        agents: tuple[str, ...],
        components: tuple[str, ...],
        *,
        invalid_penalty: float = 0.0,
        format_penalty: float = 0.0,
        length_penalty: float = 0.0,
        judge: Judge | None = None,
        judge_weight: float = 1.0,
        private_tags: tuple[str, ...] = DEFAULT_PRIVATE_TAGS,
    ) -> None:
        self.possible_agents = list(agents)
        self._invalid_penalty = _checked_penalty("invalid_penalty", invalid_penalty)
        self._format_penalty = _checked_penalty("format_penalty", format_penalty)
        self._length_penalty = _checked_penalty("length_penalty", length_penalty)
        self._judge = _checked_judge(judge)
        self._judge_weight = _checked_number("judge_weight", judge_weight)
        self._components = (
            *components,
            "invalid",
            *(("format",) if self._format_penalty else ()),
            *(("length",) if self._length_penalty else ()),
            *(() if judge is None else (JUDGE,)),
        )
        self._private_tags = private_tags
        # Whether nothing but the text matters of an act that is in the form asked for.
        fined = bool(invalid_penalty or format_penalty or length_penalty)
        self._takes_as_asked = not fined and type(self)._read is Engine._read
        self._publishes_plainly = type(self)._publish_act is Engine._publish_act
        self._generator: np.random.Generator | None = None
        self._inboxes: dict[str, Inbox] = {}
        self._pending: list[str] = []
        self._over = False
        self._judgement: JudgeResult | None = None
        self.pauses = False
        """Whether a stage in which nobody acts waits to be passed, as one with agents does."""
        self.waits_for_judgement = False
        """Whether a finished game waits for its judgement to be brought, and asks for none."""
        self.seed_used = 0
        """Seed of the running game: what was given to ``reset``, or was drawn there."""

    # --- what anybody may ask ---------------------------------------------

    @property
    def acting(self) -> tuple[str, ...]:
        """The agents who may act now without waiting for one another.

        In a simultaneous stage all who have not acted yet, in selection order;
        in a sequential one the agent to move; before ``reset`` and after the end
        nobody.
        """
        if self._pending and not self._sequential:
            return tuple(self._pending)
        return tuple(self._pending[:1])

    @property
    def paused(self) -> bool:
        """Whether the running stage is one in which nobody acts."""
        return bool(self._inboxes) and not self._over and not self._pending

    @property
    def over(self) -> bool:
        """Whether the game has ended."""
        return self._over

    @property
    def judgement(self) -> JudgeResult | None:
        """What the judge said of the finished game; ``None`` before that, or without one."""
        return self._judgement

    @property
    def judge(self) -> Judge | None:
        """What scores the finished game, if anything does."""
        return self._judge

    @property
    def teams(self) -> dict[str, str | None]:
        """Team of every agent, ``None`` where the game has no teams. Not for players' eyes.

        Raises:
            StateError: no game was started.
        """
        if not self._inboxes:
            raise StateError("no game is running: call reset() first")
        return {agent: self._team(agent) for agent in self.possible_agents}

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments, in plain JSON types, that make this environment again.

        A judge is not among them: :func:`omar_envs.rollout.replay` asks nobody.
        """
        return self._config()

    def read(self, agent: str, reply: str) -> Parsed:
        """What ``reply`` would come to as the agent's act now; changes nothing.

        Raises:
            StateError: the agent is not asked anything.
        """
        request = self._inbox(agent).request
        if request is None:
            raise StateError(f"{agent} is not asked anything now")
        return self._read(agent, request, clean(reply))

    def episode(self) -> Episode:
        """The finished game.

        Raises:
            StateError: the game is still running, or none was started.
        """
        if not self._inboxes or not self._over:
            raise StateError("the episode is complete only once the game has ended")
        paid = self._ledger.per_turn([act.agent for act in self._acts])
        return Episode(
            schema_version=SCHEMA_VERSION,
            env=str(self.metadata["name"]),
            config=self.config,
            seed=self.seed_used,
            seats=tuple(
                Seat(agent, self._name(agent), self._roles[agent]) for agent in self.possible_agents
            ),
            stages=tuple(
                StageRecord(turn, stage.phase, stage.label)
                for turn, stage in enumerate(self._stages)
            ),
            messages=tuple(message for message, _ in self._log.all()),
            turns=tuple(
                Turn(
                    turn=act.turn,
                    agent=act.agent,
                    request=act.request,
                    reply=act.reply,
                    text=act.text,
                    valid=act.valid,
                    error=act.error,
                    reward_components=parts,
                )
                for act, parts in zip(self._acts, paid, strict=True)
            ),
            rewards=self._ledger.totals(),
            outcome=self._outcome(),
            terminated=not self._hit_limit(),
            truncated=self._hit_limit(),
        )

    # --- for games --------------------------------------------------------

    @property
    def np_random(self) -> np.random.Generator:
        """The one generator of the running game."""
        if self._generator is None:
            raise StateError("no game is running: call reset() first")
        return self._generator

    def post(
        self,
        text: str,
        audience: Audience = None,
        sender: str = MODERATOR,
        kind: MessageKind = "event",
    ) -> None:
        """Add a message to the log, where its audience will find it."""
        self._log_line(single_line(text), audience, sender, kind)

    def pay(self, agent: str, component: str, amount: float) -> None:
        """Add ``amount`` to one of the agent's reward components."""
        # The first turn also takes what was paid before it.
        inbox = self._inboxes.get(agent)
        turn = len(inbox.acts) - 1 if inbox is not None and inbox.acts else 0
        self._ledger.pay(agent, component, amount, turn=turn)

    # --- the course of a game ---------------------------------------------

    def _start(self, seed: int | None) -> None:
        if seed is None:
            # Drawn small: readers of episodes in other languages have 53-bit integers.
            source = self._generator or np.random.default_rng()
            seed = int(source.integers(2**31))
        self._generator, _ = seeding.np_random(seed)
        self.seed_used = int(seed)
        self._ledger = Ledger(self.possible_agents, self._components)
        self._log = Log()
        self._inboxes = {}
        self._stages: list[Stage] = []
        self._acts: list[Act] = []
        self._turn = 0
        self._pending = []
        self._held: dict[str, str] = {}
        # Each audience that was addressed, in seat order.
        self._audiences: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._over = False
        self._judgement = None
        self._begin()
        self._roles = {agent: self._role(agent) for agent in self.possible_agents}
        self._speech_begins = self._before_speech()
        self._alive = self._alive_by_seat()
        self._inboxes = {
            agent: Inbox(agent, seat, self._system_prompt(agent), self._log)
            for seat, agent in enumerate(self.possible_agents)
        }
        self._announce(self._introductions())
        self._advance()

    def _hold_to_form(self, agent: str, request: Request, parsed: Parsed, text: str) -> None:
        # Says so where a reply could not be read, and takes what its form costs.
        if not parsed.valid:
            self._inboxes[agent].invalid_acts += 1
            self.post(self._invalid_notice(request, text, parsed.error), (agent,))
            if self._invalid_penalty:
                self.pay(agent, "invalid", -self._invalid_penalty)
            return
        if self._format_penalty and not parsed.exact:
            self.pay(agent, "format", -self._format_penalty)
        if self._length_penalty and parsed.text and request.kind is SPEAK:
            share = len(parsed.text) / request.max_chars
            self.pay(agent, "length", -self._length_penalty * share)

    def _advance(self) -> None:
        while (stage := self._next_stage()) is not None:
            agents = stage.agents
            self._stage = stage
            self._sequential = stage.mode == "sequential"
            self._plain_talk = (
                self._publishes_plainly
                and self._sequential
                and stage.audience is None
                and stage.request is not None
                and stage.request.kind is SPEAK
            )
            self._turn = len(self._stages)
            self._stages.append(stage)
            if stage.opening:
                self._announce(stage.opening)
            self._held = {}
            self._pending = list(agents)
            if agents:
                for agent in agents[:1] if self._sequential else agents:
                    self._inboxes[agent].open(stage.request or self._request(agent))
                return
            if self.pauses:
                return
            self._close_stage()
        self._finish()

    def _go_on(self) -> None:
        self._ledger.begin_step("")
        self._close_stage()
        self._advance()

    def _publish_act(self, agent: str, request: Request, text: str) -> None:
        if request.kind is not SPEAK:
            notice = self._act_notice(agent, request, text)
            self._log_line(notice.text, notice.audience, agent, "action")
        elif text:
            self._log_line(text, self._stage.audience, agent, "speech")

    def _announce(self, announcements: tuple[Announcement, ...]) -> None:
        for announcement in announcements:
            self._log_line(announcement.text, announcement.audience, MODERATOR, "event")

    def _log_line(self, text: str, audience: Audience, sender: str, kind: MessageKind) -> None:
        # As post, but for a text that is one line already.
        if audience is not None:
            self._log_privately(text, audience, sender, kind)
            return
        message = Message(self._turn, sender, None, kind, text)
        log = self._log
        log.lines.append(self._line(message))
        log.messages.append(message)

    def _log_privately(
        self, text: str, audience: tuple[str, ...], sender: str, kind: MessageKind
    ) -> None:
        if len(audience) > 1:
            audience = self._in_order(audience)
        message = Message(self._turn, sender, audience, kind, text)
        line = self._line(message)
        self._log.add_private(message, line)
        for agent in audience:
            self._inboxes[agent].receive(message, line)

    def _in_order(self, audience: tuple[str, ...]) -> tuple[str, ...]:
        ordered = self._audiences.get(audience)
        if ordered is None:
            ordered = tuple(sorted(set(audience), key=self.possible_agents.index))
            self._audiences[audience] = ordered
        return ordered

    def _close_stage(self) -> None:
        if not self._sequential:
            for act in self._acts[len(self._acts) - len(self._held) :]:
                self._publish_act(act.agent, act.request, act.text)
        self._resolve(self._stage, self._held)

    def _finish(self) -> None:
        self._over = True
        self._settle()
        for inbox in self._inboxes.values():
            inbox.open(None)
        if self._judge is not None:
            self._ledger.set_unknown(JUDGE)
            if not self.waits_for_judgement:
                self._take_judgement(judged(self._judge, [self.episode()])[0])

    def _take_judgement(self, judgement: JudgeResult) -> None:
        self._judgement = judgement
        if judgement.status != "ok":
            return
        self._ledger.set_unknown(None)
        for agent in self.possible_agents:
            reward = self._judge_weight * reward_of(judgement, agent)
            if judgement.importances is None:
                self.pay(agent, JUDGE, reward)
            else:
                for turn, share in enumerate(judgement.importances[agent]):
                    self._ledger.pay(agent, JUDGE, share * reward, turn=turn)

    # --- what is read of it -----------------------------------------------

    def _inbox(self, agent: str) -> Inbox:
        """The agent's inbox, brought up to date."""
        if not self._inboxes:
            raise StateError("no game is running: call reset() first")
        inbox = self._inboxes[agent]
        inbox.read()
        return inbox

    def _log_lines(self, start: int) -> Iterator[str]:
        for message, line in self._log.all()[start:]:
            if message.audience is None:
                yield line
            else:
                readers = ", ".join(self._name(agent) for agent in message.audience)
                yield f"({readers} only) {line}"

    # --- what a game may say differently ----------------------------------

    def _before_speech(self) -> dict[str, str]:
        """What the line of each agent's public speech begins with, fixed for the game.

        :meth:`_line` says the same.
        """
        return {agent: f"{self._name(agent)}: " for agent in self.possible_agents}

    def _line(self, message: Message) -> str:
        """The message as a line of the transcript, beginning with who it comes from.

        The same for all who see it, and made once.
        """
        if message.sender == MODERATOR:
            return f"* {message.text}"
        if message.kind == "action":
            return f"* {self._name(message.sender)} {message.text}"
        if message.audience is not None:
            return f"{self._name(message.sender)} (in private): {message.text}"
        return f"{self._name(message.sender)}: {message.text}"

    def _read(self, agent: str, request: Request, reply: str) -> Parsed:
        """What a reply comes to; :func:`omar_envs.parsing.clean` has been over it."""
        return parse_clean(request, reply, self._private_tags)

    def _invalid_notice(self, request: Request, text: str, error: str) -> str:
        """Told to an agent whose reply could not be read; ``error`` says why."""
        done = f"it counts as: {text}" if text else "you say nothing"
        return f"Your reply could not be read; {done}."


def _checked_judge(judge: Judge | None) -> Judge | None:
    if isinstance(judge, str):
        raise ConfigError(
            "judge must be a judge, not a text: make one with judge_from_url of "
            f"omar_envs.judge: got {judge!r}"
        )
    if isinstance(judge, type):
        raise ConfigError(f"judge must be a judge, not a class: make one: got {judge.__name__}")
    try:
        usable = judge is None or callable(judge.judge)
    except AttributeError:
        usable = False
    if not usable:
        raise ConfigError(f"judge must have the method judge(episode): got {judge!r}")
    return judge


def _checked_penalty(name: str, value: float) -> float:
    if _checked_number(name, value) < 0:
        raise ConfigError(f"{name} must be at least 0: got {value}")
    return float(value)


def _checked_number(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name} must be a finite number: got {value!r}")
    return float(value)
