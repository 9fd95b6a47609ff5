"""A fixed menu of acts: what a discrete action means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.sotopia.env import SotopiaEnv
from omar_envs.types import View
from omar_envs.werewolf.env import WerewolfEnv
from omar_envs.wrappers.discrete_sotopia import SotopiaMenu
from omar_envs.wrappers.discrete_werewolf import WerewolfMenu

PASS = 0
"""The first act of every menu: to say or choose nothing."""


class Menu(Protocol):
    """The acts of one configuration of a game; the same for every agent, stage and seed."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What each act is, by agent ids."""

    def legal(self, view: View) -> Sequence[int]:
        """The acts that are legal for an agent who is to move; at least one."""

    def reply(self, view: View, action: int) -> str:
        """A legal act as the text that the game reads."""


def menu_of(env: ConversationEnv) -> Menu:
    """The menu of a game.

    Raises:
        ConfigError: there is none for it.
    """
    if isinstance(env, WerewolfEnv):
        return WerewolfMenu(env)
    if isinstance(env, SotopiaEnv):
        return SotopiaMenu(env)
    raise ConfigError(f"there is no menu of acts for {env}: discretize Werewolf or SOTOPIA")
