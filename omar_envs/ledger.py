"""Reward components of every agent: by step, since its last act, by turn, in total."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

import msgspec

Components = dict[str, float | None]
"""Amount by component; ``None`` for one that could not be determined."""

_Key = TypeVar("_Key", bound=Hashable)


class _Payment(msgspec.Struct, frozen=True, gc=False):
    agent: str
    turn: int
    component: str
    amount: float


class Ledger:
    """Keeps every payment, and the two sums of them that are read at every step.

    Where nothing was paid, readers get zeros. The two dictionaries of rewards are
    replaced by the first payment of a step: whoever read them after an earlier step
    keeps what stood there.

    Args:
        agents: agent ids.
        components: names of the reward components; each sum has all of them.

    Attributes:
        rewards: sum over components of the latest step: PettingZoo's ``rewards``.
        rewards_since_act: the same since each agent's last act, that act
            included: what ``last()`` returns.
        unsettled: whether anybody was paid since its last act, or a component is
            unknown; else :meth:`begin_step` has nothing to do, and
            :meth:`components_since_act` are :attr:`nothing` for all.
        nothing: zero for each component.
    """

    def __init__(self, agents: Sequence[str], components: Sequence[str]) -> None:
        self.nothing = dict.fromkeys(components, 0.0)
        self._zeros = dict.fromkeys(agents, 0.0)
        self._step: dict[str, dict[str, float]] = {}
        self._since_act: dict[str, dict[str, float]] = {}
        self._payments: list[_Payment] = []
        self._unknown: str | None = None
        self.rewards = self._zeros.copy()
        self.rewards_since_act = self._zeros.copy()
        self.unsettled = False

    def begin_step(self, agent: str) -> None:
        """``agent`` acts: a new step for all, and what it was paid before is settled."""
        if self._step:
            self._step = {}
            self.rewards = self._zeros.copy()
        if agent in self._since_act:
            del self._since_act[agent]
            self.rewards_since_act = {**self.rewards_since_act, agent: 0.0}
            self.unsettled = bool(self._since_act)

    def pay(self, agent: str, component: str, amount: float, *, turn: int) -> None:
        """Add ``amount`` to a component, in every sum; ``turn`` is the agent's, from 0."""
        if not self._step:
            self.rewards = self._zeros.copy()
            self.rewards_since_act = self.rewards_since_act.copy()
            self.unsettled = True
        self._payments.append(_Payment(agent, turn, component, amount))
        self.rewards[agent] = self._add(self._step, agent, component, amount)
        self.rewards_since_act[agent] = self._add(self._since_act, agent, component, amount)

    def set_unknown(self, component: str | None) -> None:
        """Show a component as ``None``, in the totals and in each agent's latest turn."""
        self._unknown = component
        self.unsettled = component is not None or bool(self._since_act)

    def step_components(self) -> dict[str, Components]:
        """What the latest step paid."""
        return {agent: self._shown(self._step, agent) for agent in self._zeros}

    def components_since_act(self, agent: str) -> Components:
        """What was paid since the agent last acted, that act included."""
        return self._shown(self._since_act, agent)

    def per_turn(self, actors: Sequence[str]) -> list[Components]:
        """Components of each act, for the acts in the order in which they were made."""
        paid: dict[tuple[str, int], dict[str, float]] = {}
        for payment in self._payments:
            key = (payment.agent, payment.turn)
            self._add(paid, key, payment.component, payment.amount)
        count = Counter(actors)
        made = dict.fromkeys(count, 0)
        turns = []
        for agent in actors:
            last = made[agent] == count[agent] - 1
            turns.append(self._shown(paid, (agent, made[agent]), latest=last))
            made[agent] += 1
        return turns

    def totals(self) -> dict[str, Components]:
        """Everything paid so far."""
        paid: dict[str, dict[str, float]] = {}
        for payment in self._payments:
            self._add(paid, payment.agent, payment.component, payment.amount)
        return {agent: self._shown(paid, agent) for agent in self._zeros}

    def _add(
        self, sums: dict[_Key, dict[str, float]], key: _Key, component: str, amount: float
    ) -> float:
        """Add to one of the sums, by component; returns their sum."""
        parts = sums.get(key)
        if parts is None:
            parts = sums[key] = self.nothing.copy()
        parts[component] += amount
        return sum(parts.values())

    def _shown(
        self, sums: dict[_Key, dict[str, float]], key: _Key, *, latest: bool = True
    ) -> Components:
        shown: Components = {**sums.get(key, self.nothing)}
        if self._unknown is not None and latest:
            shown[self._unknown] = None
        return shown
