"""Social scenarios as a conversation: turns as stages, acts as messages with their readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from difflib import get_close_matches
from typing import Any

import numpy as np

from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.parsing import Parsed, single_line
from omar_envs.sotopia import prompts
from omar_envs.sotopia.acts import (
    ACTION,
    IDLE,
    LEAVE,
    NON_VERBAL,
    NONE,
    SPEAK,
    TALK_ACTS,
    TO_ALL,
    Act,
    draw,
    readers,
    to_text,
)
from omar_envs.sotopia.meeting import Meeting
from omar_envs.sotopia.outcomes import ClosingAct, Notice, Result, Settlement
from omar_envs.sotopia.profiles import AgentProfile, EnvironmentProfile, ScenarioSet
from omar_envs.sotopia.settings import (
    Settings,
    check_cast,
    checked_judge,
    chosen_cast,
    chosen_meetings,
    chosen_scenarios,
    dealt_cast,
    read_set,
    stored,
)
from omar_envs.stages import Announcement, Stage
from omar_envs.types import MODERATOR, Audience, Judge, Message, Request, RequestKind

_SETTINGS = tuple(field.name for field in fields(Settings))
_IDLE_TEXT = to_text(IDLE)
_DEALING = 1
_MARKS = {NON_VERBAL: "[non-verbal] ", ACTION: "[action] "}


class SotopiaEnv(ConversationEnv):
    """The AEC environment without PettingZoo's wrappers; arguments as in ``sotopia_v0``."""

    metadata: dict[str, Any] = {
        "name": "sotopia_v0",
        "render_modes": ["human", "ansi"],
        "is_parallelizable": False,
    }

    def __init__(
        self,
        scenario: Any = None,
        agents: Any = None,
        num_agents: int | None = None,
        *,
        judge: Judge | None = None,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        _refuse_unknown(settings)
        self.settings = Settings(**settings)
        scenario = read_set(scenario)
        self._set: ScenarioSet | None = None
        if isinstance(scenario, ScenarioSet):
            if agents is not None:
                raise ConfigError("a set of scenarios brings its own casts: leave out agents")
            self._set = scenario
            self._meetings = chosen_meetings(scenario, num_agents, self.settings.reward)
            drawn = {profile.pk: profile for profile, _ in self._meetings}
            self.scenarios = tuple(drawn.values())
        else:
            self.scenarios = chosen_scenarios(scenario, num_agents, self.settings.reward)
        seats = self.scenarios[0].num_agents
        self._given_cast = chosen_cast(agents, seats)
        for profile in self.scenarios if self._given_cast is not None else ():
            check_cast(profile, self._given_cast or ())
        if self.settings.min_present > seats:
            raise ConfigError(f"min_present={self.settings.min_present} of {seats} participants")
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ConfigError(f"render_mode must be None, 'human' or 'ansi': got {render_mode!r}")
        super().__init__(
            tuple(f"agent_{seat}" for seat in range(seats)),
            components=("outcome",) if self.settings.reward == "outcome" else (),
            invalid_penalty=self.settings.invalid_penalty,
            judge=checked_judge(self.settings.reward, judge),
            judge_weight=self.settings.judge_weight,
            private_tags=self.settings.private_tags,
            render_mode=render_mode,
        )
        self._seats = {agent: seat for seat, agent in enumerate(self.possible_agents)}
        self._last_meeting: Meeting | None = None

    # --- dealing ----------------------------------------------------------

    def _begin(self) -> None:
        self.scenario, self.cast = self._dealt()
        meeting = self._meeting = self._met_again() or Meeting(
            self.scenario, self.cast, tuple(self.possible_agents), self.settings
        )
        self._last_meeting = meeting
        self._names = meeting.names
        self._name_of = meeting.name_of
        self._closing = meeting.closing
        self._present = tuple(self.possible_agents)
        self._stays = [True] * len(self._present)
        self._turns = 0
        self._taken: dict[str, Act] = {}
        self._idle_turns = 0
        self._last_to_move = -1
        self._ended = ""
        outcome = self.scenario.outcome
        self._settlement: Settlement | None = outcome.open(self._names) if outcome else None

    def _dealt(self) -> tuple[EnvironmentProfile, tuple[AgentProfile, ...]]:
        if self._set is not None:
            # Of a generator of its own: the episode tells what was drawn, not the whole set,
            # and must replay without drawing.
            dealer = np.random.default_rng([self.seed_used, _DEALING])
            return self._meetings[int(dealer.integers(len(self._meetings)))]
        drawn = 0
        if len(self.scenarios) > 1:
            drawn = int(self.np_random.integers(len(self.scenarios)))
        scenario = self.scenarios[drawn]
        return scenario, self._given_cast or dealt_cast(scenario, self.np_random)

    def _met_again(self) -> Meeting | None:
        last = self._last_meeting
        return last if last is not None and last.is_of(self.scenario, self.cast) else None

    def _introductions(self) -> tuple[Announcement, ...]:
        return ()

    def _system_prompt(self, agent: str) -> str:
        return self._meeting.system_prompts[self._seats[agent]]

    # --- turns ------------------------------------------------------------

    def _next_stage(self) -> Stage | None:
        self._ended = self._reason_to_end()
        if self._ended:
            return None
        self._turns += 1
        self._taken = {}
        self._asked = Request(
            RequestKind.SPEAK,
            prompts.ask(self._turns - 1, self._meeting.terms),
            max_chars=self.settings.max_speech_chars,
        )
        return Stage("turn", f"Turn {self._turns}", self._movers(), "simultaneous")

    def _reason_to_end(self) -> str:
        most_idle = self.settings.max_idle_turns
        if self._settlement is not None and self._settlement.closed:
            return "settled" if self._settlement.result().settled else "broken_off"
        if len(self._present) < self.settings.min_present:
            return "left"
        if most_idle is not None and self._idle_turns > most_idle:
            return "idle"
        return "max_turns" if self._turns == self.settings.max_turns else ""

    def _movers(self) -> tuple[str, ...]:
        if self.settings.order == "simultaneous":
            return self._present
        if self.settings.order == "random":
            return (self._present[int(self.np_random.integers(len(self._present)))],)
        last, seats = self._last_to_move, self._seats
        mover = next((a for a in self._present if seats[a] > last), self._present[0])
        self._last_to_move = seats[mover]
        return (mover,)

    def _request(self, agent: str) -> Request:
        return self._asked

    # --- acts -------------------------------------------------------------

    def _read(self, agent: str, request: Request, reply: str) -> Parsed:
        self._taken[agent] = IDLE
        drawn = draw(reply, self._private_tags, self._closing)
        kind = drawn.action_type
        if not kind:
            return Parsed("", False, drawn.error)
        heard_by = TO_ALL
        if drawn.to is not None:
            present = {n: a for n, a in self._meeting.ids.items() if a in self._present}
            heard_by = readers(drawn.to, present, agent)
            if heard_by.error:
                return Parsed("", False, heard_by.error)
        if kind not in TALK_ACTS:
            if heard_by.agents:
                return Parsed("", False, 'a proposal is for all to see: leave out "to"')
            assert self._settlement is not None  # it names the closing acts
            ruling = self._settlement.check(self._seats[agent], kind, drawn.argument)
            if not ruling.legal:
                return Parsed("", False, ruling.reason)
            return self._taken_as(agent, Act(kind, ruling.argument), drawn.exact)
        if kind in (NONE, LEAVE):
            return self._taken_as(agent, IDLE if kind == NONE else Act(kind), drawn.exact)
        line = single_line(drawn.argument)
        if not line:
            return Parsed("", False, "the reply is empty")
        exact = drawn.exact
        if len(line) > request.max_chars:
            line, exact = line[: request.max_chars].rstrip(), False
        return self._taken_as(agent, Act(kind, line, heard_by.agents), exact)

    def _taken_as(self, agent: str, act: Act, exact: bool) -> Parsed:
        self._taken[agent] = act
        return Parsed(to_text(act), True, "", exact)

    def _neutral(self, agent: str, request: Request) -> str:
        return _IDLE_TEXT

    def _act_notice(self, agent: str, request: Request, text: str) -> Announcement:
        raise AssertionError("every request of a social scenario is for speech")

    def _publish_act(self, agent: str, request: Request, text: str) -> None:
        act = self._taken[agent]
        kind = act.action_type
        if kind == NONE:
            return
        audience = tuple(sorted((agent, *act.to))) if act.to else self._all_present()
        if kind == SPEAK:
            self._log_line(act.argument, audience, agent, "speech")
        elif kind in _MARKS:
            self.post(_MARKS[kind] + act.argument, audience, agent, "action")
        elif kind == LEAVE:
            self.post(prompts.left(), audience, agent, "action")
        else:
            assert self.scenario.outcome is not None
            closing = ClosingAct(self._seats[agent], kind, act.argument)
            self.post(self.scenario.outcome.shown(closing, self._names), audience, agent, "action")

    def _all_present(self) -> Audience:
        # Whoever has left hears nothing more.
        return None if len(self._present) == len(self.possible_agents) else self._present

    def _resolve(self, stage: Stage, acts: dict[str, str]) -> None:
        taken = {agent: act for agent, act in self._taken.items() if act is not IDLE}
        self._idle_turns = 0 if taken else self._idle_turns + 1
        if self._settlement is not None:
            closing = tuple(
                ClosingAct(self._seats[agent], act.action_type, act.argument)
                for agent, act in taken.items()
                if act.action_type not in TALK_ACTS
            )
            if closing:
                self._tell(self._settlement.apply(closing))
        leavers = [agent for agent, act in taken.items() if act.action_type == LEAVE]
        if leavers:
            self._present = tuple(a for a in self._present if a not in leavers)
            for seat in map(self._seats.__getitem__, leavers):
                self._stays[seat] = False
                if self._settlement is not None and not self._settlement.closed:
                    self._settlement.leave(seat)

    def _tell(self, notices: tuple[Notice, ...]) -> None:
        for seat, text in notices:
            reader = None if seat is None else (self.possible_agents[seat],)
            self.post(text, self._all_present() if reader is None else reader)

    # --- the end ----------------------------------------------------------

    def _settle(self) -> None:
        self.post(prompts.over(self._ended))
        if self._settlement is None:
            return
        result = self._settlement.result()
        for seat, agent in enumerate(self.possible_agents):
            self.post(prompts.worth(result.points[seat], result.scores[seat]), (agent,))
            if self.settings.reward == "outcome":
                self.pay(agent, "outcome", result.scores[seat])

    def _hit_limit(self) -> bool:
        return self._ended == "max_turns"

    def _outcome(self) -> dict[str, Any]:
        outcome: dict[str, Any] = {
            "reason": self._ended,
            "turns": self._turns,
            # Whatever pays: a replay of a judged game, which asks nobody, says the same.
            "final_rewards": True,
            "left": [agent for agent in self.possible_agents if agent not in self._present],
            "setting": self._meeting.setting(),
        }
        if self._settlement is not None:
            outcome |= self._computed(self._settlement.result())
        return outcome

    def _computed(self, result: Result) -> dict[str, Any]:
        return {
            "settled": result.settled,
            "deal": result.deal,
            "points": dict(zip(self.possible_agents, result.points, strict=True)),
            "scores": dict(zip(self.possible_agents, result.scores, strict=True)),
            "measures": dict(result.measures),
        }

    # --- facts ------------------------------------------------------------

    def _config(self) -> dict[str, Any]:
        return {
            **self._stored_meeting(),
            "num_agents": len(self.possible_agents),
            **asdict(self.settings),
            "private_tags": list(self.settings.private_tags),
            "reward": "none" if self.settings.reward == "judge" else self.settings.reward,
        }

    def _stored_meeting(self) -> dict[str, Any]:
        if self._set is not None:
            if self._last_meeting is None:
                return {"scenario": stored(self._set), "agents": None}
            return {"scenario": stored(self.scenario), "agents": [stored(a) for a in self.cast]}
        scenarios = [stored(scenario) for scenario in self.scenarios]
        given = self._given_cast
        return {
            "scenario": scenarios if len(scenarios) > 1 else scenarios[0],
            "agents": None if given is None else [stored(profile) for profile in given],
        }

    def _name(self, agent: str) -> str:
        return self._name_of[agent]

    def _role(self, agent: str) -> str | None:
        return None

    def _alive_by_seat(self) -> Sequence[bool]:
        return self._stays

    def _facts(self, agent: str) -> dict[str, Any]:
        return {
            "participants": list(self._names),
            # Whoever has left does not learn who leaves after it.
            "present": [self._name_of[a] for a in self._present if agent in self._present],
            "goal": self._meeting.goal(self._seats[agent], agent),
            "turn": self._turns,
            "max_turns": self.settings.max_turns,
            "order": self.settings.order,
            "action_types": [*TALK_ACTS, *self._closing],
            "private": self._meeting.private(self._seats[agent]),
            **self._settling_facts(agent),
        }

    def _settling_facts(self, agent: str) -> dict[str, Any]:
        names, settlement = self._names, self._settlement
        if settlement is None or agent not in self._present:
            return {"standing": {}, "accepted": {}, "answered": []}
        return {
            "standing": {names[seat]: deal for seat, deal in settlement.standing.items()},
            "accepted": {
                names[proposer]: [names[seat] for seat in seats]
                for proposer, seats in settlement.accepted.items()
            },
            "answered": [names[seat] for seat in settlement.answered],
        }

    # --- words ------------------------------------------------------------

    def _line(self, message: Message) -> str:
        if message.sender == MODERATOR:
            return f"* {message.text}"
        name = self._name_of[message.sender]
        to = "" if message.audience is None else self._heard_by(message.audience, message.sender)
        if message.kind == "action":
            return f"* {name}{to} {message.text}"
        return f"{name}{to}: {message.text}"

    def _heard_by(self, audience: tuple[str, ...], sender: str) -> str:
        if audience == self._all_present():
            return ""
        others = [self._name_of[agent] for agent in audience if agent != sender]
        return f" (to {prompts.listed(others)})"

    def _invalid_notice(self, request: Request, text: str, error: str) -> str:
        return prompts.refused(error)


def _refuse_unknown(settings: dict[str, Any]) -> None:
    for name in settings:
        if name not in _SETTINGS:
            known = (*_SETTINGS, "scenario", "agents", "num_agents")
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise TypeError(f"sotopia_v0 has no setting {name!r}; {hint}")
