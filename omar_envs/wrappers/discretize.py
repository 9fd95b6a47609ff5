"""Conversations for learners that know no text: token ids in, numbers of a menu out.

::

    from omar_envs import werewolf_v0
    from omar_envs.wrappers.discretize import discretize
    env = discretize(werewolf_v0.parallel_env(num_players=5))

=================  ==============================================================
Observation        ``Dict``: ``observation``, ``Box(0, V, (L,), int32)``, the ids of
                   the text's last L tokens, after padding with 0; and
                   ``action_mask``, ``Box(0, 1, (N,), int8)``
Action             ``Discrete(N)``: one menu per configuration of a game
                   (:class:`~omar_envs.wrappers.discrete_werewolf.WerewolfMenu`,
                   :class:`~omar_envs.wrappers.discrete_sotopia.SotopiaMenu`)
=================  ==============================================================

The infos of an agent hold numbers alone, which TorchRL makes tensors of: ``alive`` and
``invalid_actions``. What else there is to know of a game, ``env.unwrapped`` of an AEC
environment tells, or ``env.conversation`` of a parallel one.

Both spaces are the same for every agent, stage and seed. The mask of who may act allows what
is legal, at least one act; that of everybody else allows act 0, ``pass``, alone, which the
environments ignore: a learner that samples for all agents at once never meets a mask of zeros.
An act that the mask forbids counts as an empty reply: as invalid, but where the game's
settings let players stay silent (``allow_silence``), as that.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, overload

import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.spaces import Dict as DictSpace
from numpy.typing import DTypeLike, NDArray
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.wrappers import BaseWrapper

from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.parallel import ConversationParallelEnv
from omar_envs.playing import conversation
from omar_envs.types import View
from omar_envs.wrappers.discrete_menu import PASS, menu_of
from omar_envs.wrappers.discrete_tokens import TextTokens, Tokenizer

__all__ = ["DiscreteAECEnv", "DiscreteParallelEnv", "Discretizer", "discretize"]

MASK = "action_mask"


class Discretizer:
    """Views to observations, actions to replies; what all the wrappers share.

    Args:
        env: the conversation.
        length: L, how many tokens of the text's end are seen.
        tokenizer: one of `transformers`; by default UTF-8 bytes are tokens, and V is 256.
        key: of the tokens in the observation; RLlib's is ``observations``.
        dtype: of the tokens, by name or as NumPy's; RLlib wants ``float32``.
        flat: the observation is the tokens alone, a ``Box``; the mask is then in the infos.
        legend: the text ends with who sits where and who lives, ``[player_0 Ana; player_1
            Ben (out); …]``: the menu names players by seat, the text by name.

    Raises:
        ConfigError: a value is impossible, or there is no menu for this conversation.
    """

    def __init__(
        self,
        env: ConversationEnv,
        *,
        length: int = 512,
        tokenizer: Tokenizer | None = None,
        key: str = "observation",
        dtype: DTypeLike = "int32",
        flat: bool = False,
        legend: bool = False,
    ) -> None:
        if not isinstance(key, str) or not key or key == MASK:
            raise ConfigError(f"key must be a name other than {MASK!r}: got {key!r}")
        self.menu = menu_of(env)
        """What the actions mean: ``menu.labels``."""
        self.flat = flat
        self._tokens = TextTokens(length, tokenizer)
        self._key = key
        self._dtype = _checked_dtype(dtype)
        self._legend = legend
        number = len(self.menu.labels)
        tokens = Box(0, self._tokens.max_id, (self._tokens.length,), self._dtype.type)
        self.action_space = Discrete(number)
        self.observation_space: Space[Any] = (
            tokens if flat else DictSpace({key: tokens, MASK: Box(0, 1, (number,), np.int8)})
        )

    def observation(self, view: View) -> Any:
        """What the agent sees: fresh arrays."""
        text = f"{view.text}\n{_who_sits_where(view)}" if self._legend else view.text
        tokens = self._tokens.encode(text).astype(self._dtype, copy=False)
        return tokens if self.flat else {self._key: tokens, MASK: self.mask(view)}

    def mask(self, view: View) -> NDArray[np.int8]:
        """(N,) 1 where an act is legal; ``pass`` alone for who is not to move."""
        mask = np.zeros(len(self.menu.labels), dtype=np.int8)
        mask[[PASS] if view.request is None else list(self.menu.legal(view))] = 1
        return mask

    def masked(self, view: View, info: dict[str, Any]) -> dict[str, Any]:
        """An info, with the mask where the observation has no place for it."""
        return {**info, MASK: self.mask(view)} if self.flat else info

    def reply(self, view: View, action: Any) -> str:
        """The text of an act; "" for one that is illegal or no number of the menu."""
        try:
            number = operator.index(action)
        except TypeError:
            return ""
        if view.request is None or number not in self.menu.legal(view):
            return ""
        return self.menu.reply(view, number)


class DiscreteAECEnv(BaseWrapper[str, Any, Any]):
    """An AEC conversation with discrete spaces; see :func:`discretize`."""

    def __init__(self, env: AECEnv[str, Any, Any], **options: Any) -> None:
        super().__init__(env)
        self._conversation = conversation(env)
        self._kept: tuple[dict[str, Any], dict[str, dict[str, Any]]] | None = None
        self.discretizer = Discretizer(self._conversation, **options)

    def observation_space(self, agent: str) -> Space[Any]:
        """The same object for every agent."""
        return self.discretizer.observation_space

    def action_space(self, agent: str) -> Space[Any]:
        """The same object for every agent."""
        return self.discretizer.action_space

    def observe(self, agent: str) -> Any:
        """The observation of any agent, at any time after ``reset``; changes nothing."""
        return self.discretizer.observation(self._view(agent))

    @property
    def infos(self) -> dict[str, dict[str, Any]]:  # type: ignore[override]
        """``alive`` and ``invalid_actions``; ``action_mask`` where observations are flat."""
        infos = self._conversation.infos
        # Made once a step, as the conversation's are.
        if self._kept is None or self._kept[0] is not infos:
            kept = {
                agent: _numbers(self.discretizer, self._view(agent), infos[agent])
                for agent in infos
            }
            self._kept = (infos, kept)
        # Some may have left since; and TorchRL takes the mask out of what it gets.
        return {agent: dict(self._kept[1][agent]) for agent in infos}

    def last(self, observe: bool = True) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As ``AECEnv.last``."""
        _, reward, terminated, truncated, info = self.env.last(observe=False)
        agent = self.env.agent_selection
        seen = self.observe(agent) if observe else None
        # With a mask, that of infos: PettingZoo's tests compare the two, and arrays only if
        # they are one and the same.
        flat = self.discretizer.flat
        told = self.infos[agent] if flat else _numbers(self.discretizer, self._view(agent), info)
        return seen, reward, terminated, truncated, told

    def step(self, action: Any) -> None:
        """Take the selected agent's act, a number of the menu; ``None`` once it has ended."""
        if action is not None and self.env.agents:
            action = self.discretizer.reply(self._view(self.env.agent_selection), action)
        self.env.step(action)

    def _view(self, agent: str) -> View:
        return self._conversation.view(agent)


class DiscreteParallelEnv(ParallelEnv[str, Any, Any]):
    """A parallel conversation with discrete spaces; see :func:`discretize`."""

    metadata: dict[str, Any]

    def __init__(self, env: ConversationParallelEnv, **options: Any) -> None:
        self._env = env
        self.metadata = env.metadata
        self.possible_agents = env.possible_agents
        self.render_mode = env.render_mode
        self.discretizer = Discretizer(env.aec, **options)

    def observation_space(self, agent: str) -> Space[Any]:
        """The same object for every agent."""
        return self.discretizer.observation_space

    def action_space(self, agent: str) -> Space[Any]:
        """The same object for every agent."""
        return self.discretizer.action_space

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start a new game."""
        _, infos = self._env.reset(seed=seed, options=options)
        return self._observations(), self._infos(infos)

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[
        dict[str, Any],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Act for all of :attr:`acting`; acts of the others are ignored."""
        replies = {
            agent: self.discretizer.reply(self._env.view(agent), actions[agent])
            for agent in self._env.acting
            if agent in actions
        }
        observations, rewards, terminations, truncations, infos = self._env.step(replies)
        seen = self._observations() if observations else {}
        return seen, rewards, terminations, truncations, self._infos(infos)

    @property
    def agents(self) -> list[str]:  # type: ignore[override]
        """All agents while a game is running, else none."""
        return self._env.agents

    @property
    def acting(self) -> tuple[str, ...]:
        """The agents whose acts the next ``step`` takes; in some steps nobody."""
        return self._env.acting

    @property
    def conversation(self) -> ConversationEnv:
        """The game behind this environment."""
        return self._env.aec

    def render(self) -> Any:
        """As :meth:`ConversationEnv.render`."""
        return self._env.render()

    def close(self) -> None:
        """Nothing to release."""

    def _observations(self) -> dict[str, Any]:
        return {
            agent: self.discretizer.observation(self._env.view(agent))
            for agent in self._env.aec.agents
        }

    def _infos(self, infos: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {
            agent: _numbers(self.discretizer, self._env.view(agent), info)
            for agent, info in infos.items()
        }


@overload
def discretize(env: ConversationParallelEnv, **options: Any) -> DiscreteParallelEnv: ...


@overload
def discretize(env: AECEnv[str, Any, Any], **options: Any) -> DiscreteAECEnv: ...


def discretize(
    env: ConversationParallelEnv | AECEnv[str, Any, Any], **options: Any
) -> DiscreteParallelEnv | DiscreteAECEnv:
    """A conversation with ``Dict`` or ``Box`` observations and ``Discrete`` actions.

    Args:
        env: AEC, wrapped or not, or parallel.
        options: those of :class:`Discretizer`: ``length``, ``tokenizer``, ``key``, ``dtype``,
            ``flat``, ``legend``.

    Raises:
        ConfigError: ``env`` is no conversation, or an option is impossible.
    """
    if isinstance(env, DiscreteAECEnv | DiscreteParallelEnv):
        raise ConfigError(f"{env} is discrete already: discretize the conversation itself")
    if isinstance(env, ConversationParallelEnv):
        return DiscreteParallelEnv(env, **options)
    return DiscreteAECEnv(env, **options)


def _checked_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = None
    if wanted not in (np.int32, np.float32):
        raise ConfigError(f"dtype must be 'int32' or 'float32': got {dtype!r}")
    return wanted


def _numbers(discretizer: Discretizer, view: View, info: dict[str, Any]) -> dict[str, Any]:
    told = {"alive": info["alive"], "invalid_actions": info["invalid_actions"]}
    return discretizer.masked(view, told)


def _who_sits_where(view: View) -> str:
    alive = view.facts.get("alive", view.facts.get("present", ()))
    seats = (
        f"{agent} {name}{'' if name in alive else ' (out)'}" for agent, name in view.names.items()
    )
    return f"[{'; '.join(seats)}; you {view.agent}]"
