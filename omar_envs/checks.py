"""PettingZoo's standard wrappers, with short cuts to what a loop reads at every step.

``BaseWrapper`` looks up ``agents``, ``infos`` and the like through ``__getattr__``,
once per wrapper, which takes longer than an act in a game of text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import repeat
from operator import attrgetter
from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils.wrappers import AssertOutOfBoundsWrapper, OrderEnforcingWrapper
from pettingzoo.utils.wrappers.order_enforcing import (
    AECOrderEnforcingIterable,
    AECOrderEnforcingIterator,
)

from omar_envs.conversation import ConversationEnv


class _State:
    """What a wrapper reads at every step, to be looked up there once.

    Python looks up the attributes of a class that has ``__getattr__``, as PettingZoo's
    wrappers have, several times more slowly than those of any other class.

    Attributes:
        conversation: ``env`` if that was reset and is a conversation with the space of all
            conversations: every text is in bounds there.
    """

    __slots__ = ("conversation", "env", "has_reset", "has_updated")

    conversation: ConversationEnv | None
    env: AECEnv[str, Any, Any]
    has_reset: bool
    has_updated: bool


def _kept(name: str) -> Any:
    lookup = attrgetter(f"_state.{name}")

    def keep(wrapper: CheckedEnv, value: Any) -> None:
        setattr(wrapper._state, name, value)

    return property(lookup, keep)


def _direct(name: str) -> Any:
    return property(attrgetter(f"_state.env.{name}"))


def _after_reset(name: str) -> Any:
    lookup = attrgetter(name)

    def read(wrapper: CheckedEnv) -> Any:
        state = wrapper._state
        if state.has_reset:
            return lookup(state.env)
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

    __slots__ = ("_state",)

    agents = _after_reset("agents")
    agent_selection = _after_reset("agent_selection")
    rewards = _after_reset("rewards")
    terminations = _after_reset("terminations")
    truncations = _after_reset("truncations")
    infos = _after_reset("infos")
    _cumulative_rewards = _direct("_cumulative_rewards")
    _has_reset = _kept("has_reset")
    _has_updated = _kept("has_updated")

    def __init__(self, env: AECEnv[str, Any, Any]) -> None:
        self._state = _State()
        super().__init__(env)

    @property
    def env(self) -> AECEnv[str, Any, Any]:
        """What is wrapped."""
        return self._state.env

    @env.setter
    def env(self, env: AECEnv[str, Any, Any]) -> None:
        self._state.env = env
        self._state.conversation = None
        self.__dict__.pop("last", None)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """As in PettingZoo."""
        super().reset(seed=seed, options=options)
        env = self._state.env
        if isinstance(env, ConversationEnv):
            if type(env).action_space is ConversationEnv.action_space:
                self._state.conversation = env
            if type(self) is CheckedEnv:
                # Found before the method below, which has nothing to add from now on.
                self.__dict__["last"] = env.last

    def last(self, observe: bool = True) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As ``AECEnv.last``."""
        state = self._state
        return state.env.last(observe) if state.has_reset else super().last(observe)

    def step(self, action: Any) -> None:
        """As in PettingZoo: before ``reset``, after the end and out of bounds are refused."""
        state = self._state
        conversation = state.conversation
        if (
            conversation is not None
            and conversation.agents
            and (type(action) is str or (action is None and conversation.over))
        ):
            state.has_updated = True
            conversation.step(action)
            return
        env = state.env
        if state.has_reset and env.agents:
            agent = env.agent_selection
            if action is None:
                accepted = env.terminations[agent] or env.truncations[agent]
            else:
                accepted = env.action_space(agent).contains(action)
            if accepted:
                state.has_updated = True
                env.step(action)
                return
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

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        state = self.env._state
        env = state.env
        for _ in repeat(None, min(self.max_iter, sys.maxsize)):
            if not (state.has_updated and env.agents):
                # PettingZoo's ends here, or says what is wrong.
                yield from AECOrderEnforcingIterator(self.env, 1)
                return
            state.has_updated = False
            yield env.agent_selection
