"""One seat of a game in SkyRL-Gym's registry.

::

    import skyrl_gym
    from omar_envs.integrations.skyrl_gym import register
    register("omar-werewolf", "werewolf", opponents="scripted", num_players=5)
    env = skyrl_gym.make("omar-werewolf", extras={"seed": 1})
    chat, info = env.init([])
    output = env.step("I trust Ana.")     # observations, reward, done, metadata

A row of the training data names the environment (``env_class``) and may have ``seed`` and
``seat`` among its extras, or in their ``extra_info``; its prompt is not used, since the game
writes its own: rules and role as the system message, then what is told and asked. The reward
of a step is what the seat was paid from its last act until its next one. An episode ends with
its game; ``max_turns`` among the extras ends it earlier, with the generator's own limit, and
then the rest of the game is played in silence, so that the seat is paid for what it has done.

Supported: ``skyrl-gym>=0.4,<0.5``; ``pip install 'omar-envs[skyrl-gym]'``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omar_envs.by_name import environment_name
from omar_envs.errors import ConfigError
from omar_envs.integrations.libraries import library
from omar_envs.rollout import make
from omar_envs.types import ChatMessage
from omar_envs.wrappers.single_agent import SingleAgentEnv

__all__ = ["register"]


def register(
    id: str,
    env: str = "werewolf",
    *,
    seat: int | str = 0,
    opponents: str = "scripted",
    **settings: Any,
) -> None:
    """Put a game into SkyRL-Gym's registry, in every process that makes it.

    Args:
        id: what rows of the training data call it.
        env: ``"werewolf"`` or ``"sotopia"``.
        seat: index, agent id or ``"random"``, where a row says nothing.
        opponents: name of the policy in the other seats; each environment makes its own.
        settings: arguments of ``werewolf_v0`` or ``sotopia_v0``.

    Raises:
        ConfigError: an argument is impossible, or SkyRL-Gym is missing or unsupported.
    """
    gym = library("skyrl_gym")
    base = library("skyrl_gym", "envs.base_text_env").BaseTextEnv
    name = environment_name(env)
    SingleAgentEnv(make(name, settings), seat, opponents)
    gym.register(
        id,
        # SkyRL-Gym takes only what inherits from its own class.
        type("ConversationSeatEnv", (_Seat, base), {}),
        {"game": name, "seat": seat, "opponents": opponents, "settings": settings},
    )


class _Seat:
    """What the environment does; SkyRL-Gym's base class comes behind it."""

    def __init__(
        self,
        game: str,
        seat: int | str,
        opponents: str,
        settings: dict[str, Any],
        env_config: Any = None,
        extras: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        row = {} if extras is None else dict(extras)
        row = {**(row.get("extra_info") or {}), **row}
        self.turns = 0
        self.max_turns = _limit(row.get("max_turns"))
        self._seed = row.get("seed")
        self._env = SingleAgentEnv(make(game, settings), row.get("seat", seat), opponents)
        self._info: dict[str, Any] = {}

    def init(self, prompt: list[ChatMessage]) -> tuple[list[ChatMessage], dict[str, Any]]:
        """Start the row's game. -> the whole chat so far, and the seat's info"""
        self.turns = 0
        _, self._info = self._env.reset(seed=self._seed)
        return [*self._env.view().messages], self._metadata()

    def step(self, action: str) -> dict[str, Any]:
        """Act. -> observations (the next user message, none at the end), reward, done, metadata"""
        self.turns += 1
        reward, over = self._act(action)
        done = over or (self.max_turns is not None and self.turns >= self.max_turns)
        while not over and done:
            paid, over = self._act("")
            reward += paid
        # While the game goes on the seat is being asked, and that stands in a user message.
        return {
            "observations": [] if done else [self._env.view().messages[-1]],
            "reward": reward,
            "done": done,
            "metadata": self._metadata(),
        }

    def get_metrics(self) -> dict[str, Any]:
        """Numbers of the episode, which SkyRL averages."""
        return {"turns": self.turns, "invalid_actions": self._info["invalid_actions"]}

    def _act(self, action: str) -> tuple[float, bool]:
        _, reward, terminated, truncated, self._info = self._env.step(action)
        return reward, terminated or truncated

    def _metadata(self) -> dict[str, Any]:
        keys = ("seat", "role", "alive", "reward_components", "invalid_actions")
        return {key: self._info[key] for key in keys}


def _limit(turns: Any) -> int | None:
    if turns is None:
        return None
    if isinstance(turns, bool) or not isinstance(turns, int) or turns < 1:
        raise ConfigError(f"max_turns must be an integer from 1: got {turns!r}")
    return turns
