"""Reward components of every agent: by step, since its last act, by turn, in total."""

from __future__ import annotations

from collections.abc import Sequence

Components = dict[str, float]


class Ledger:
    """Keeps each payment in the four sums that readers ask for.

    Args:
        agents: agent ids.
        components: names of the reward components; each sum has all of them.
    """

    def __init__(self, agents: Sequence[str], components: Sequence[str]) -> None:
        self._names = tuple(components)
        self._step = {agent: self._zeros() for agent in agents}
        self._since_act = {agent: self._zeros() for agent in agents}
        self._total = {agent: self._zeros() for agent in agents}
        self._turns: dict[str, list[Components]] = {agent: [] for agent in agents}
        self._before_first = {agent: self._zeros() for agent in agents}

    def _zeros(self) -> Components:
        return dict.fromkeys(self._names, 0.0)

    def begin_step(self, agent: str) -> None:
        """``agent`` acts: a new step for all, a new turn for it."""
        self._step = {other: self._zeros() for other in self._step}
        self._since_act[agent] = self._zeros()
        first = not self._turns[agent]
        self._turns[agent].append(self._before_first[agent] if first else self._zeros())

    def pay(self, agent: str, component: str, amount: float) -> None:
        """Add ``amount`` to a component, in every sum."""
        turns = self._turns[agent]
        turn = turns[-1] if turns else self._before_first[agent]
        for sums in (self._step[agent], self._since_act[agent], self._total[agent], turn):
            sums[component] += amount

    def step_components(self) -> dict[str, Components]:
        """What the latest step paid."""
        return {agent: dict(sums) for agent, sums in self._step.items()}

    def step_rewards(self) -> dict[str, float]:
        """Sum over components of the latest step: PettingZoo's ``rewards``."""
        return {agent: sum(sums.values()) for agent, sums in self._step.items()}

    def components_since_act(self, agent: str) -> Components:
        """What was paid since the agent last acted, that act included."""
        return dict(self._since_act[agent])

    def rewards_since_act(self) -> dict[str, float]:
        """Sum over components since each agent's last act: what ``last()`` returns."""
        return {agent: sum(sums.values()) for agent, sums in self._since_act.items()}

    def per_turn(self, actors: Sequence[str]) -> list[dict[str, float | None]]:
        """Components of each act, for the acts in the order in which they were made."""
        queues = {agent: iter(turns) for agent, turns in self._turns.items()}
        return [dict(next(queues[agent])) for agent in actors]

    def totals(self) -> dict[str, dict[str, float | None]]:
        """Everything paid so far."""
        return {agent: dict(sums) for agent, sums in self._total.items()}
