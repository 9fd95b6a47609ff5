"""Ways to play, and to look at, games in tests."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from omar_envs import werewolf_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.types import CHOOSE, Episode, View

Answer = Callable[[View], Any]
"""What an agent replies to its view."""


def pure(view: View) -> str:
    """A reply that depends on nothing but what the agent may know."""
    assert view.request is not None
    digest = zlib.crc32(view.text.encode())
    if view.request.kind is CHOOSE:
        return view.request.choices[digest % len(view.request.choices)]
    return f"I say {digest % 1000}"


class PurePolicy:
    """:func:`pure` as a policy."""

    name = "pure"

    def act(self, views: Sequence[View]) -> list[str]:
        return [pure(view) for view in views]


class AnswerPolicy:
    """Any function of a view as a policy; remembers the sizes of its batches."""

    def __init__(self, answer: Answer, name: str = "answer") -> None:
        self.name = name
        self.batches: list[int] = []
        self._answer = answer

    def act(self, views: Sequence[View]) -> list[Any]:
        self.batches.append(len(views))
        return [self._answer(view) for view in views]


def step(env: ConversationEnv, answer: Answer = pure) -> None:
    """One act of the selected agent."""
    env.step(answer(env.view(env.agent_selection)))


def phase(env: ConversationEnv) -> tuple[int, str]:
    """Day and phase as the agent to move sees them."""
    facts = env.view(env.agent_selection).facts
    return facts["day"], facts["phase"]


def act_together(env: ConversationEnv, answer: Answer | Mapping[str, Any] = pure) -> None:
    """One act of each agent in ``acting``; a mapping gives replies by agent, "" if missing."""
    for agent in env.acting:
        env.step(_reply(env.view(agent), answer))


def play_phase(env: ConversationEnv, answer: Answer | Mapping[str, Any] = pure) -> None:
    """Acts until the next phase, or the end: all rounds of a day's talk, say."""
    begun = phase(env)
    while not env.over and phase(env) == begun:
        step(env, lambda view: _reply(view, answer))


def play_until(env: ConversationEnv, wanted: str, answer: Answer = pure) -> None:
    """Acts until the agent to move is in the phase ``wanted``."""
    while phase(env)[1] != wanted:
        step(env, answer)
        assert not env.over, f"the game ended before a phase {wanted!r}"


def _reply(view: View, answer: Answer | Mapping[str, Any]) -> Any:
    return answer.get(view.agent, "") if isinstance(answer, Mapping) else answer(view)


def finish(env: ConversationEnv, answer: Answer = pure) -> Episode:
    """Play on to the end."""
    while not env.over:
        step(env, answer)
    return env.episode()


def play(seed: int, answer: Answer = pure, **settings: Any) -> Episode:
    """One whole game of Werewolf."""
    env = werewolf_v0.raw_env(**settings)
    env.reset(seed=seed)
    return finish(env, answer)


def started(seed: int = 0, **settings: Any) -> ConversationEnv:
    """A game of Werewolf before its first act."""
    env = werewolf_v0.raw_env(**settings)
    env.reset(seed=seed)
    return env


def with_role(env: ConversationEnv, role: str) -> list[str]:
    """Agents of a role, in seat order."""
    return [agent for agent in env.possible_agents if env.view(agent).role == role]


def name_of(env: ConversationEnv, agent: str) -> str:
    """Display name."""
    return env.view(agent).name


def everything(env: ConversationEnv, agent: str) -> bytes:
    """All that an environment shows to an agent, in every form in which it does."""
    shown = (
        env.observe(agent),
        env.view(agent),
        env.infos.get(agent),
        env.rewards.get(agent),
        env.terminations.get(agent),
        env.truncations.get(agent),
    )
    return msgspec.json.encode(shown)


def encoded(episode: Episode) -> bytes:
    """An episode's bytes."""
    return msgspec.json.encode(episode)
