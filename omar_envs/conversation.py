"""Conversations as PettingZoo AEC environments: what both games share.

:class:`omar_envs.engine.Engine` runs the game; :class:`ConversationEnv` shows it
to PettingZoo, and to each agent as a :class:`~omar_envs.types.View`.
"""

from __future__ import annotations

from typing import Any

from gymnasium import logger
from gymnasium.spaces import Dict as DictSpace
from gymnasium.spaces import Space
from pettingzoo import AECEnv

from omar_envs.engine import Engine
from omar_envs.errors import StateError
from omar_envs.inbox import Act, Inbox
from omar_envs.ledger import Components
from omar_envs.parsing import DEFAULT_PRIVATE_TAGS, as_asked, clean, single_line
from omar_envs.spaces import TextSpace
from omar_envs.types import Judge, JudgeResult, Message, Request, View

Observation = dict[str, str]


class ConversationEnv(Engine, AECEnv[str, Observation, str]):
    """A multi-agent conversation as a PettingZoo AEC environment.

    Observations are ``{"text": str}``: all that the agent may know, ready to
    read. Actions are ``str``, and every ``str`` is in the action space: what
    cannot be read is an invalid act, replaced by a neutral one. ``infos[agent]``
    holds ``request``, ``messages`` (all visible ones), ``new_messages`` (since
    its last act), ``alive``, ``role`` (its own), ``reward_components`` (the
    parts of the reward that ``last()`` returns) and ``invalid_actions``; with a
    judge, once the game has ended, also ``judge_status``.

    Args:
        render_mode: ``"human"`` prints new lines, ``"ansi"`` returns the log.

    The other arguments are those of :class:`omar_envs.engine.Engine`.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "ansi"], "is_parallelizable": False}

    # As in Engine.
    __slots__ = (
        *("_action_space", "_info_now", "_infos", "_observation_space"),
        *(
            "_printed",
            "agent_selection",
            "agents",
            "render_mode",
            "terminations",
            "truncations",
        ),
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
        render_mode: str | None = None,
    ) -> None:
        super().__init__(
            agents,
            components,
            invalid_penalty=invalid_penalty,
            format_penalty=format_penalty,
            length_penalty=length_penalty,
            judge=judge,
            judge_weight=judge_weight,
            private_tags=private_tags,
        )
        self.agents: list[str] = []
        self.render_mode = render_mode
        # Made when asked for. Not shared between environments: a space has a generator.
        self._action_space: TextSpace | None = None
        self._observation_space: DictSpace | None = None
        # Of the selected agent alone, and of all: each made when it is asked for.
        self._info_now: dict[str, Any] | None = None
        self._infos: dict[str, dict[str, Any]] | None = None
        self._printed = 0

    # --- PettingZoo -------------------------------------------------------

    def observation_space(self, agent: str) -> Space[Any]:
        """The same object for every agent: ``Dict({"text": TextSpace()})``."""
        if self._observation_space is None:
            self._observation_space = DictSpace({"text": TextSpace()})
        return self._observation_space

    def action_space(self, agent: str) -> Space[Any]:
        """The same object for every agent: every ``str``."""
        if self._action_space is None:
            self._action_space = TextSpace()
        return self._action_space

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Start a new game.

        Args:
            seed: non-negative; the same seed and acts give the same bytes. Without
                one, the running generator draws it (or the system, the first time).
            options: ignored; present for PettingZoo.
        """
        self._start(seed)
        self.agents = list(self.possible_agents)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self._printed = 0
        self._publish()

    def step(self, action: Any) -> None:
        """Take the selected agent's act. Anything but a ``str`` counts as an empty reply.

        Raises:
            StateError: before ``reset``, or after the last agent has left.
        """
        pending = self._pending
        if not pending:
            if not (self._over and self.agents):
                raise StateError(self._why_nobody_acts())
            self._leave(action)
            return
        # Short calls are written out in the following: nothing else is done as often.
        agent = pending[0]
        inbox = self._inboxes[agent]
        request: Request = inbox.request  # type: ignore[assignment]  # it was asked before
        if self._ledger.unsettled:
            self._ledger.begin_step(agent)
        text = parsed = None
        # Only what is recorded is read, so that the record replays to the same bytes.
        if type(action) is str and action.isprintable():
            reply = action
            if self._takes_as_asked:
                text = as_asked(request, reply)
        else:
            reply = clean(action) if isinstance(action, str) else ""
        if text is None:
            parsed = self._read(agent, request, reply)
            text = parsed.text if parsed.valid else single_line(self._neutral(agent, request))
            act = Act(self._turn, agent, request, reply, text, parsed.valid, parsed.error)
        else:
            act = Act(self._turn, agent, request, reply, text, True, "")
        log = self._log
        inbox.num_seen_at_last_act = len(log.messages) + inbox.num_private
        inbox.acts.append(act)
        inbox.request = None
        self._acts.append(act)
        del pending[0]
        if parsed is not None:
            self._hold_to_form(agent, request, parsed, text)
        self._held[agent] = text
        if self._plain_talk:
            # As _publish_act would, without the call.
            if text:
                log.lines.append(self._speech_begins[agent] + text)
                log.messages.append(Message(self._turn, agent, None, "speech", text))
        elif self._sequential:
            self._publish_act(agent, request, text)
        if pending:
            following = self.agent_selection = pending[0]
            if self._sequential:
                inbox = self._inboxes[following]
                inbox.asked_at.append(len(log.messages) + inbox.num_private)
                inbox.request = self._stage.request or self._request(following)
            self._info_now = self._infos = None
        else:
            self._close_stage()
            self._advance()
            self._publish()
        if self.render_mode is not None and self.render_mode == "human":
            self.render()

    def pass_stage(self) -> None:
        """Go on from a stage in which nobody acts, where :attr:`pauses` made it wait.

        Raises:
            StateError: no stage waits.
        """
        if not self.paused:
            raise StateError("no stage waits to be passed")
        self._go_on()
        self._publish()

    def bring_judgement(self, judgement: JudgeResult) -> None:
        """Pay what the judge said of the finished game, where it waits for that.

        Whoever runs many games asks their judge of all that have ended at once
        (:func:`omar_envs.judging.judged`) and brings each its own.

        Raises:
            StateError: no finished game waits.
        """
        if not (self._over and self.waits_for_judgement and self._judgement is None):
            raise StateError("no finished game waits for a judgement")
        self._take_judgement(judgement)
        self._publish()

    def observe(self, agent: str) -> Observation:
        """``{"text": …}`` for any agent, at any time after ``reset``; changes nothing."""
        return {"text": self._inbox(agent).read()}

    def last(
        self, observe: bool = True
    ) -> tuple[Observation | None, float, bool, bool, dict[str, Any]]:
        """As PettingZoo's, but makes no other agent's part of :attr:`infos`."""
        agent = self.agent_selection
        inbox = self._inboxes[agent]
        text = inbox.read()
        info = self._info_now
        if info is None:
            info = self._info_now = self._info(agent, inbox)
        return (
            {"text": text} if observe else None,
            self._ledger.rewards_since_act[agent],
            self._over and self.terminations[agent],
            self._over and self.truncations[agent],
            info,
        )

    @property
    def rewards(self) -> dict[str, float]:  # type: ignore[override]
        """What the latest step paid each of ``agents``."""
        return self._ledger.rewards

    @property
    def _cumulative_rewards(self) -> dict[str, float]:  # type: ignore[override]
        return self._ledger.rewards_since_act

    @property
    def infos(self) -> dict[str, dict[str, Any]]:  # type: ignore[override]
        """What each of ``agents`` may know beside its observation, by agent.

        Made when it is first read after a step, and never changed by a later one.
        """
        if self._infos is None:
            self._infos = {agent: self._info(agent, self._inbox(agent)) for agent in self.agents}
            if self._info_now is not None:
                self._infos[self.agent_selection] = self._info_now
            elif self.agents:
                self._info_now = self._infos[self.agent_selection]
        return self._infos

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
            return "\n".join(self._log_lines(0))
        for line in self._log_lines(self._printed):
            print(line)
            self._printed += 1
        return None

    def close(self) -> None:
        """Nothing to release."""

    # --- beyond PettingZoo ------------------------------------------------

    def view(self, agent: str) -> View:
        """All that ``agent`` may know now, with chat messages; changes nothing."""
        inbox = self._inbox(agent)
        return View(
            agent=agent,
            name=self._name(agent),
            role=self._roles[agent],
            alive=self._alive[inbox.seat],
            request=inbox.request,
            text=inbox.read(),
            messages=inbox.chat,
            log=inbox.messages,
            names={other: self._name(other) for other in self.possible_agents},
            facts=self._facts(agent),
            num_acts=len(inbox.acts),
        )

    def step_components(self) -> dict[str, Components]:
        """Reward components that the latest ``step`` paid, per agent.

        ``None`` is one that could not be determined: a judgement that failed.

        Raises:
            StateError: before ``reset``.
        """
        if not self._inboxes:
            raise StateError("no game is running: call reset() first")
        return self._ledger.step_components()

    def _publish(self) -> None:
        if self._pending:
            self.agent_selection = self._pending[0]
        elif self._over:
            ended = self.truncations if self._hit_limit() else self.terminations
            ended.update(dict.fromkeys(self.agents, True))
            self.agent_selection = self.agents[0]
        self._info_now = self._infos = None

    def _why_nobody_acts(self) -> str:
        if self.paused:
            return "a stage in which nobody acts waits: call pass_stage()"
        return "no game is running: call reset() before step()"

    def _leave(self, action: Any) -> None:
        agent = self.agent_selection
        if action is not None or not (self.terminations[agent] or self.truncations[agent]):
            self._was_dead_step(action)  # which says what is wrong
            return
        # As _was_dead_step, which would make the infos of all the others, too.
        agents, ledger, infos = self.agents, self._ledger, self._infos
        del self.terminations[agent], self.truncations[agent], ledger.rewards_since_act[agent]
        self._info_now = None
        if infos is not None:
            del infos[agent]
        agents.remove(agent)
        ledger.rewards = dict.fromkeys(agents, 0.0)
        if agents:
            agent = self.agent_selection = agents[0]
            self._info_now = None if infos is None else infos[agent]

    def _info(self, agent: str, inbox: Inbox) -> dict[str, Any]:
        messages, ledger = inbox.messages, self._ledger
        info: dict[str, Any] = {
            "request": inbox.request,
            "messages": messages,
            "new_messages": messages[inbox.num_seen_at_last_act :],
            "alive": self._alive[inbox.seat],
            "role": self._roles[agent],
            "reward_components": (
                ledger.components_since_act(agent) if ledger.unsettled else ledger.nothing.copy()
            ),
            "invalid_actions": inbox.invalid_acts,
        }
        if self._judgement is not None:
            info["judge_status"] = self._judgement.status
        return info
