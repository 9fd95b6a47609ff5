"""The conversation engine: stages, audiences, requests and views.

A game is a sequence of stages. A stage has the agents who act in it, an
audience for what they say, and a mode: in a *simultaneous* stage nobody sees
another's act until all have acted, in a *sequential* one each sees the ones
before. :class:`ConversationEnv` runs them as a PettingZoo AEC environment and
knows nothing of any particular game; a game is a subclass that answers the
questions of :class:`omar_envs.stages.Game` (which stage is next, what is asked,
what an act means, who has won).

An agent sees the messages whose audience holds it, and its own private facts.
:meth:`ConversationEnv.post` is the only place where a message meets its
readers; everything an agent is shown is made from what was delivered there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gymnasium import logger
from gymnasium.spaces import Dict as DictSpace
from gymnasium.spaces import Space
from gymnasium.utils import seeding
from pettingzoo import AECEnv

from omar_envs.errors import StateError
from omar_envs.inbox import Inbox
from omar_envs.ledger import Ledger
from omar_envs.parsing import DEFAULT_PRIVATE_TAGS, clean, parse, single_line
from omar_envs.spaces import TextSpace
from omar_envs.stages import Game
from omar_envs.types import (
    MODERATOR,
    SCHEMA_VERSION,
    SPEAK,
    Audience,
    Episode,
    Message,
    MessageKind,
    Request,
    Seat,
    StageRecord,
    Turn,
    View,
)

Observation = dict[str, str]


class _Act(NamedTuple):
    turn: int
    agent: str
    request: Request
    reply: str
    text: str
    valid: bool
    error: str


class ConversationEnv(Game, AECEnv[str, Observation, str]):
    """A multi-agent conversation as a PettingZoo AEC environment.

    Observations are ``{"text": str}``: all that the agent may know, ready to
    read. Actions are ``str``, and every ``str`` is in the action space: what
    cannot be read is an invalid act, replaced by a neutral one. ``infos[agent]``
    holds ``request``, ``messages`` (all visible ones), ``new_messages`` (since
    its last act), ``alive``, ``role`` (its own), ``reward_components`` (the
    parts of the reward that ``last()`` returns) and ``invalid_actions``.

    Args:
        agents: ids of the agents, in seat order.
        components: names of the reward components, beside ``invalid``.
        invalid_penalty: subtracted per invalid act, as the component ``invalid``.
        private_tags: what stands inside these tags never reaches another agent.
        render_mode: ``"human"`` prints new lines, ``"ansi"`` returns the log.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "ansi"], "is_parallelizable": False}

    def __init__(
        self,
        agents: tuple[str, ...],
        components: tuple[str, ...],
        *,
        invalid_penalty: float = 0.0,
        private_tags: tuple[str, ...] = DEFAULT_PRIVATE_TAGS,
        render_mode: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PettingZoo's has no annotations
        self.possible_agents = list(agents)
        self.agents: list[str] = []
        self.render_mode = render_mode
        self._components = (*components, "invalid")
        self._invalid_penalty = invalid_penalty
        self._private_tags = private_tags
        self._action_space = TextSpace()
        self._observation_space = DictSpace({"text": TextSpace()})
        self._generator: np.random.Generator | None = None
        self._inboxes: dict[str, Inbox] = {}
        self._messages: list[Message] = []
        self._pending: list[str] = []
        self._over = False
        self.seed_used = 0
        """Seed of the running game: what was given to ``reset``, or was drawn there."""

    # --- PettingZoo -------------------------------------------------------

    def observation_space(self, agent: str) -> Space[Any]:
        """The same object for every agent: ``Dict({"text": TextSpace()})``."""
        return self._observation_space

    def action_space(self, agent: str) -> Space[Any]:
        """The same object for every agent: every ``str``."""
        return self._action_space

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Start a new game.

        Args:
            seed: non-negative; the same seed and acts give the same bytes. Without
                one, the running generator draws it (or the system, the first time).
            options: ignored; present for PettingZoo.
        """
        if seed is None:
            # Drawn small: readers of episodes in other languages have 53-bit integers.
            source = self._generator or np.random.default_rng()
            seed = int(source.integers(2**31))
        self._generator, _ = seeding.np_random(seed)
        self.seed_used = int(seed)
        self.agents = list(self.possible_agents)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self._skip_agent_selection = None  # type: ignore[assignment]
        self._ledger = Ledger(self.possible_agents, self._components)
        self._messages = []
        self._stages: list[StageRecord] = []
        self._acts: list[_Act] = []
        self._turn = 0
        self._pending = []
        self._held: dict[str, str] = {}
        self._over = False
        self._printed = 0
        self._begin()
        self._inboxes = {agent: Inbox(self._system_prompt(agent)) for agent in self.possible_agents}
        for announcement in self._introductions():
            self.post(announcement.text, announcement.audience)
        self._advance()
        self._publish()

    def step(self, action: Any) -> None:
        """Take the selected agent's act. Anything but a ``str`` counts as unreadable.

        Raises:
            StateError: before ``reset``, or after the last agent has left.
        """
        if not self.agents:
            raise StateError("no game is running: call reset() before step()")
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        self._ledger.begin_step(agent)
        self._act(agent, action)
        if not self._pending:
            self._close_stage()
            self._advance()
        elif self._stage.mode == "sequential":
            self._ask(self._pending[0])
        self._publish()
        if self.render_mode == "human":
            self.render()

    def observe(self, agent: str) -> Observation:
        """``{"text": …}`` for any agent, at any time after ``reset``; changes nothing."""
        return {"text": self._inbox(agent).text}

    def render(self) -> str | None:
        """The whole log, private messages marked (``ansi``), or print what is new (``human``).

        Raises:
            StateError: before ``reset``.
        """
        if self.render_mode is None:
            logger.warn("render() does nothing without a render_mode, 'human' or 'ansi'")
            return None
        if not self._inboxes:
            raise StateError("no game is running: call reset() before render()")
        if self.render_mode == "ansi":
            return "\n".join(self._log_line(message) for message in self._messages)
        for message in self._messages[self._printed :]:
            print(self._log_line(message))
        self._printed = len(self._messages)
        return None

    def close(self) -> None:
        """Nothing to release."""

    # --- beyond PettingZoo ------------------------------------------------

    @property
    def acting(self) -> tuple[str, ...]:
        """The agents who may act now without waiting for one another.

        In a simultaneous stage all who have not acted yet, in selection order;
        in a sequential one the agent to move; before ``reset`` and after the end
        nobody.
        """
        if self._stage_is_simultaneous():
            return tuple(self._pending)
        return tuple(self._pending[:1])

    def view(self, agent: str) -> View:
        """All that ``agent`` may know now, with chat messages; changes nothing."""
        inbox = self._inbox(agent)
        return View(
            agent=agent,
            name=self._name(agent),
            role=self._role(agent),
            alive=self._alive(agent),
            request=inbox.request,
            text=inbox.text,
            messages=inbox.chat,
            log=inbox.messages,
            names={other: self._name(other) for other in self.possible_agents},
            facts=self._facts(agent),
            num_acts=inbox.num_acts,
        )

    def step_components(self) -> dict[str, dict[str, float]]:
        """Reward components that the latest ``step`` paid, per agent.

        Raises:
            StateError: before ``reset``.
        """
        if not self._inboxes:
            raise StateError("no game is running: call reset() first")
        return self._ledger.step_components()

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments, in plain JSON types, that make this environment again."""
        return self._config()

    @property
    def over(self) -> bool:
        """Whether the game has ended."""
        return self._over

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
                Seat(agent, self._name(agent), self._role(agent)) for agent in self.possible_agents
            ),
            stages=tuple(self._stages),
            messages=tuple(self._messages),
            turns=tuple(
                Turn(*act, reward_components=parts)
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
        """Add a message to the log and deliver it to its audience."""
        ordered = None if audience is None else tuple(sorted(audience, key=self._seat_index))
        message = Message(self._turn, sender, ordered, kind, single_line(text))
        self._messages.append(message)
        for agent, inbox in self._inboxes.items():
            if message.visible_to(agent):
                own_words = kind == "speech" and sender == agent
                inbox.deliver(message, self._line(message, agent), already_in_chat=own_words)

    def pay(self, agent: str, component: str, amount: float) -> None:
        """Add ``amount`` to one of the agent's reward components."""
        self._ledger.pay(agent, component, amount)

    # --- machinery --------------------------------------------------------

    def _advance(self) -> None:
        while (stage := self._next_stage()) is not None:
            self._stage = stage
            self._turn = len(self._stages)
            self._stages.append(StageRecord(self._turn, stage.phase, stage.label))
            for announcement in stage.opening:
                self.post(announcement.text, announcement.audience)
            self._held = {}
            self._pending = list(stage.agents)
            if stage.agents:
                first = stage.agents if stage.mode == "simultaneous" else stage.agents[:1]
                for agent in first:
                    self._ask(agent)
                return
            self._close_stage()
        self._finish()

    def _ask(self, agent: str) -> None:
        self._inboxes[agent].open(self._request(agent))

    def _act(self, agent: str, action: object) -> None:
        inbox = self._inboxes[agent]
        request = inbox.request
        assert request is not None  # _ask came before
        # Only what is recorded is read, so that the record replays to the same bytes.
        reply = clean(action) if isinstance(action, str) else ""
        parsed = parse(request, reply, self._private_tags)
        text = parsed.text if parsed.valid else self._neutral(agent, request)
        inbox.answer(reply, parsed.valid)
        self._acts.append(_Act(self._turn, agent, request, reply, text, parsed.valid, parsed.error))
        self._pending.remove(agent)
        if not parsed.valid:
            if self._invalid_penalty:
                self.pay(agent, "invalid", -self._invalid_penalty)
            self.post(self._invalid_notice(agent, request, text), (agent,))
        if self._stage.mode == "sequential":
            self._publish_act(agent, request, text)
        else:
            self._held[agent] = text

    def _publish_act(self, agent: str, request: Request, text: str) -> None:
        if request.kind is SPEAK:
            if text:
                self.post(text, self._stage.audience, sender=agent, kind="speech")
        else:
            announcement = self._act_notice(agent, request, text)
            self.post(announcement.text, announcement.audience, sender=agent, kind="action")
        self._held[agent] = text

    def _close_stage(self) -> None:
        if self._stage.mode == "simultaneous":
            for act in self._acts[len(self._acts) - len(self._held) :]:
                self._publish_act(act.agent, act.request, act.text)
        self._resolve(self._stage, dict(self._held))

    def _finish(self) -> None:
        self._over = True
        self._settle()
        ended = self.truncations if self._hit_limit() else self.terminations
        for agent in self.agents:
            ended[agent] = True
            self._inboxes[agent].finish()
        self.agent_selection = self.agents[0]

    def _publish(self) -> None:
        if self._pending:
            self.agent_selection = self._pending[0]
        self.rewards = self._ledger.step_rewards()
        self._cumulative_rewards = self._ledger.rewards_since_act()
        self.infos = {agent: self._info(agent) for agent in self.agents}

    def _info(self, agent: str) -> dict[str, Any]:
        inbox = self._inboxes[agent]
        return {
            "request": inbox.request,
            "messages": inbox.messages,
            "new_messages": inbox.new_messages,
            "alive": self._alive(agent),
            "role": self._role(agent),
            "reward_components": self._ledger.components_since_act(agent),
            "invalid_actions": inbox.invalid_acts,
        }

    def _inbox(self, agent: str) -> Inbox:
        if not self._inboxes:
            raise StateError("no game is running: call reset() first")
        return self._inboxes[agent]

    def _stage_is_simultaneous(self) -> bool:
        return bool(self._pending) and self._stage.mode == "simultaneous"

    def _seat_index(self, agent: str) -> int:
        return self.possible_agents.index(agent)

    def _log_line(self, message: Message) -> str:
        if message.audience is None:
            return self._line(message, "")
        readers = ", ".join(self._name(agent) for agent in message.audience)
        return f"({readers} only) {self._line(message, '')}"

    # --- what a game may say differently ----------------------------------

    def _line(self, message: Message, reader: str) -> str:
        """One line of the transcript, beginning with who it comes from."""
        if message.sender == MODERATOR:
            return f"* {message.text}"
        name = self._name(message.sender)
        if message.kind == "action":
            return f"* {name} {message.text}"
        if message.audience is not None:
            return f"{name} (in private): {message.text}"
        return f"{name}: {message.text}"

    def _invalid_notice(self, agent: str, request: Request, text: str) -> str:
        """Told to an agent whose reply could not be read."""
        done = f"it counts as: {text}" if text else "you say nothing"
        return f"Your reply could not be read; {done}."
