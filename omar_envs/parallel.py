"""Any conversation as a PettingZoo parallel environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gymnasium.spaces import Space
from pettingzoo import ParallelEnv

from omar_envs.conversation import ConversationEnv, Observation
from omar_envs.ledger import Components
from omar_envs.types import Episode, View

StepResult = tuple[
    dict[str, Observation],
    dict[str, float],
    dict[str, bool],
    dict[str, bool],
    dict[str, dict[str, Any]],
]


class ConversationParallelEnv(ParallelEnv[str, Observation, str]):
    """One ``step`` takes the acts of all of :attr:`acting` at once.

    A stage in which nobody acts takes a step too, one that takes no acts: were it
    left out, the number of steps would tell who lives.

    Acts from agents who are not in :attr:`acting` are ignored without penalty;
    an acting agent that is missing from ``actions`` has given an empty reply.
    Rewards and ``reward_components`` are those of the step.

    Args:
        env: the conversation, without wrappers.
    """

    metadata: dict[str, Any]

    def __init__(self, env: ConversationEnv) -> None:
        self._env = env
        self.metadata = {**env.metadata, "is_parallelizable": True}
        self.possible_agents = env.possible_agents
        self.render_mode = env.render_mode

    def observation_space(self, agent: str) -> Space[Any]:
        """As :meth:`ConversationEnv.observation_space`."""
        return self._env.observation_space(agent)

    def action_space(self, agent: str) -> Space[Any]:
        """As :meth:`ConversationEnv.action_space`."""
        return self._env.action_space(agent)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Start a new game; see :meth:`ConversationEnv.reset`."""
        self._env.reset(seed=seed, options=options)
        return self._observations(), dict(self._env.infos)

    def step(self, actions: Mapping[str, Any]) -> StepResult:
        """Act for all of :attr:`acting`. After the end, empty dictionaries."""
        agents = self.agents
        if not agents:
            return {}, {}, {}, {}, {}
        self._env.pauses = True
        try:
            paid = self._pass() if self._env.paused else self._act(actions)
        finally:
            self._env.pauses = False
        infos = {
            agent: {**info, "reward_components": paid[agent]}
            for agent, info in self._env.infos.items()
        }
        return (
            self._observations(),
            {agent: _known(paid[agent]) for agent in agents},
            dict(self._env.terminations),
            dict(self._env.truncations),
            infos,
        )

    def _pass(self) -> dict[str, Components]:
        self._env.pass_stage()
        return self._env.step_components()

    def _act(self, actions: Mapping[str, Any]) -> dict[str, Components]:
        paid: dict[str, Components] = {}
        for agent in self._env.acting:
            self._env.step(actions.get(agent, ""))
            for payee, parts in self._env.step_components().items():
                before = paid.get(payee)
                paid[payee] = parts if before is None else _sum_of(before, parts)
        return paid

    def _observations(self) -> dict[str, Observation]:
        return {agent: self._env.observe(agent) for agent in self._env.agents}

    @property
    def agents(self) -> list[str]:  # type: ignore[override]
        """All agents while a game is running, else none."""
        return [] if self._env.over else list(self._env.agents)

    @property
    def acting(self) -> tuple[str, ...]:
        """The agents whose acts the next ``step`` takes; in some steps nobody."""
        return self._env.acting

    def view(self, agent: str) -> View:
        """As :meth:`ConversationEnv.view`."""
        return self._env.view(agent)

    def episode(self) -> Episode:
        """As :meth:`ConversationEnv.episode`."""
        return self._env.episode()

    @property
    def aec(self) -> ConversationEnv:
        """The conversation behind this environment; both are in the same state."""
        return self._env

    def render(self) -> Any:
        """As :meth:`ConversationEnv.render`."""
        return self._env.render()

    def close(self) -> None:
        """Nothing to release."""


def _sum_of(one: Components, other: Components) -> Components:
    return {
        component: None if amount is None else (one[component] or 0.0) + amount
        for component, amount in other.items()
    }


def _known(parts: Components) -> float:
    return sum(amount for amount in parts.values() if amount is not None)
