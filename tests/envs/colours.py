"""A small game of the engine's own: three agents talk and pick colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omar_envs.conversation import ConversationEnv
from omar_envs.stages import Announcement, Stage
from omar_envs.types import CHOOSE, SPEAK, Message, Request

A, B, C = AGENTS = ("a", "b", "c")
COLOURS = ("red", "blue")


def stage(
    phase: str,
    agents: Sequence[str] = AGENTS,
    mode: Any = "simultaneous",
    audience: Any = None,
    request: Request | None = None,
) -> Stage:
    opening = (Announcement(None, f"{phase} opens"),) if agents else ()
    return Stage(phase, phase.title(), tuple(agents), mode, audience, opening, request)


class Beginning(str):
    """What a line begins with; tells of each line that is made of it."""

    rendered: list[str]

    @classmethod
    def told(cls, text: str, rendered: list[str]) -> Beginning:
        beginning = cls(text)
        beginning.rendered = rendered
        return beginning

    def __add__(self, text: str) -> str:
        self.rendered.append(text)
        return super().__add__(text)


class Colours(ConversationEnv):
    """Agents talk and pick colours in the stages that the test lays out.

    After each stage everybody is paid 1 as ``game``, and ``c`` 10 more.
    """

    metadata: dict[str, Any] = {**ConversationEnv.metadata, "name": "colours_v0"}

    def __init__(
        self, *plan: Stage, limit: bool = False, may_pass: bool = False, **settings: Any
    ) -> None:
        super().__init__(AGENTS, ("game",), **settings)
        self.plan = plan
        self.limit = limit
        self.may_pass = may_pass
        self.rendered: list[str] = []
        self.resolved: list[tuple[str, dict[str, str]]] = []

    def _begin(self) -> None:
        self.resolved = []
        self._queue = list(self.plan)
        self.lucky = COLOURS[int(self.np_random.integers(2))]

    def _system_prompt(self, agent: str) -> str:
        return f"You are {agent}."

    def _introductions(self) -> tuple[Announcement, ...]:
        return (Announcement(None, "hello"), Announcement((C, A), "only a and c"))

    def _next_stage(self) -> Stage | None:
        return self._queue.pop(0) if self._queue else None

    def _request(self, agent: str) -> Request:
        if self.resolved and self.resolved[-1][0] == "talk":
            return Request(CHOOSE, "Which colour?", COLOURS)
        return Request(SPEAK, "Speak.", max_chars=20, may_pass=self.may_pass)

    def _neutral(self, agent: str, request: Request) -> str:
        return "" if request.kind is SPEAK else COLOURS[int(self.np_random.integers(2))]

    def _line(self, message: Message) -> str:
        self.rendered.append(message.text)
        return super()._line(message)

    def _before_speech(self) -> dict[str, str]:
        before = super()._before_speech()
        return {agent: Beginning.told(text, self.rendered) for agent, text in before.items()}

    def _act_notice(self, agent: str, request: Request, text: str) -> Announcement:
        return Announcement(None, f"picks {text}")

    def _resolve(self, stage: Stage, acts: dict[str, str]) -> None:
        self.resolved.append((stage.phase, acts))
        for agent in AGENTS:
            self.pay(agent, "game", 11.0 if agent == C else 1.0)

    def _settle(self) -> None:
        self.post("bye")
        self.pay(A, "game", 100.0)

    def _hit_limit(self) -> bool:
        return self.limit

    def _outcome(self) -> dict[str, Any]:
        return {"lucky": self.lucky}

    def _config(self) -> dict[str, Any]:
        return {}

    def _name(self, agent: str) -> str:
        return agent.upper()

    def _role(self, agent: str) -> str | None:
        return None

    def _facts(self, agent: str) -> dict[str, Any]:
        return {}


def begun(*plan: Stage, seed: int = 0, **settings: Any) -> Colours:
    env = Colours(*plan, **settings)
    env.reset(seed=seed)
    return env


TALK = stage("talk")
RING = stage("talk", (C, A, B), "sequential")
WHISPER = stage("talk", (A, B), audience=(B, A))
# All are asked the same, one after another: in the open, and apart.
ROUND = stage("talk", (C, A, B), "sequential", request=Request(SPEAK, "Speak.", max_chars=20))
HUDDLE = stage("talk", (A, B), "sequential", (B, A), Request(SPEAK, "Speak.", max_chars=20))
