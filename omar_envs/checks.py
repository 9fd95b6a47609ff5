"""PettingZoo's standard wrappers, with short cuts to what a loop reads at every step.

``BaseWrapper`` looks up ``agents``, ``infos`` and the like through ``__getattr__``,
once per wrapper, which takes longer than an act in a game of text.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils.wrappers import AssertOutOfBoundsWrapper, OrderEnforcingWrapper
from pettingzoo.utils.wrappers.order_enforcing import (
    AECOrderEnforcingIterable,
    AECOrderEnforcingIterator,
)


def _direct(name: str) -> Any:
    return property(attrgetter(f"env.{name}"))


def _after_reset(name: str) -> Any:
    lookup = attrgetter(f"env.{name}")

    def read(wrapper: CheckedEnv) -> Any:
        if wrapper._has_reset:
            return lookup(wrapper)
        # Python turns to __getattr__ now, where PettingZoo says what is wrong.
        raise AttributeError(name)

    return property(read)


class CheckedEnv(
    OrderEnforcingWrapper[str, Any, Any],
    AssertOutOfBoundsWrapper[str, Any, Any],
):
    """``OrderEnforcingWrapper`` around ``AssertOutOfBoundsWrapper``, as one wrapper.

    Every check, error and warning is PettingZoo's own: a call that may need one
    goes to PettingZoo's method. What is looked up in the environment cannot be
    assigned here.

    Args:
        env: any AEC environment.
    """

    agents = _after_reset("agents")
    agent_selection = _after_reset("agent_selection")
    rewards = _after_reset("rewards")
    terminations = _after_reset("terminations")
    truncations = _after_reset("truncations")
    infos = _after_reset("infos")
    _cumulative_rewards = _direct("_cumulative_rewards")

    def __init__(self, env: AECEnv[str, Any, Any]) -> None:
        super().__init__(env)

    def last(self, observe: bool = True) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As ``AECEnv.last``."""
        return self.env.last(observe) if self._has_reset else super().last(observe)

    def step(self, action: Any) -> None:
        """As in PettingZoo: before ``reset``, after the end and out of bounds are refused."""
        env = self.env
        if (
            self._has_reset
            and env.agents
            and env.action_space(env.agent_selection).contains(action)
        ):
            self._has_updated = True
            env.step(action)
        else:
            super().step(action)

    def agent_iter(self, max_iter: int = 2**63) -> AECOrderEnforcingIterable[str, Any, Any]:
        """As in PettingZoo: refused before ``reset``, and to go on without a ``step``."""
        super().agent_iter(max_iter)
        return _Turns(self, max_iter)  # type: ignore[no-untyped-call]

    def __str__(self) -> str:
        return str(self.env)


class _Turns(AECOrderEnforcingIterable[str, Any, Any]):
    env: CheckedEnv
    max_iter: int

    def __iter__(self) -> _Turn:
        return _Turn(self.env, self.max_iter)


class _Turn(AECOrderEnforcingIterator[str, Any, Any]):
    env: CheckedEnv

    def __init__(self, env: CheckedEnv, max_iter: int) -> None:
        super().__init__(env, max_iter)
        self.checked_env = env.env

    def __next__(self) -> str:
        checked, env = self.env, self.checked_env
        if not checked._has_updated or not env.agents or self.iters_til_term <= 0:
            return super().__next__()
        self.iters_til_term -= 1
        checked._has_updated = False
        return env.agent_selection
