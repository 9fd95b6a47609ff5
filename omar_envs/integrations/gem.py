"""One seat of a game in GEM's registry.

::

    import gem
    from omar_envs.integrations.gem import register
    register()
    env = gem.make("omar:Werewolf-v0", seat=0, opponents="scripted", num_players=5)
    observation, info = env.reset(seed=1)
    observation, reward, terminated, truncated, info = env.step("I trust Ana.")

Ids: ``omar:Werewolf-v0`` and ``omar:Sotopia-v0``. Observations are text, all that the seat may
know, ending with what it is asked; actions are text. ``info`` is that of
:class:`~omar_envs.wrappers.single_agent.SingleAgentEnv`. ``gem.make_vec`` works, too.

Supported: ``gem-llm>=0.1,<0.2``; ``pip install 'omar-envs[gem]'`` (Python below 3.12.1, by
GEM's own bound).
"""

from __future__ import annotations

from typing import Any

from omar_envs.by_name import environment_name
from omar_envs.integrations.libraries import library
from omar_envs.policy import RandomPolicy
from omar_envs.rollout import make
from omar_envs.wrappers.opponents import Opponents
from omar_envs.wrappers.single_agent import SingleAgentEnv

__all__ = ["SeatEnv", "register"]

IDS = {"omar:Werewolf-v0": "werewolf_v0", "omar:Sotopia-v0": "sotopia_v0"}


def register() -> None:
    """Put the games into GEM's registry; again is harmless.

    Raises:
        ConfigError: GEM is missing, or in an unsupported version.
    """
    gem = library("gem")
    registry = library("gem", "envs.registration").ENV_REGISTRY
    gem.Env.register(SeatEnv)
    for name, env in IDS.items():
        if name not in registry:
            gem.register(name, SeatEnv, env=env)


class SeatEnv:
    """One seat as a ``gem.Env``.

    Args:
        env: ``"werewolf"`` or ``"sotopia"``.
        seat, opponents: as for :class:`~omar_envs.wrappers.single_agent.SingleAgentEnv`.
        seed: of the first game where ``reset`` names none, as GEM's vector environments
            hand it out, and of random actions.
        settings: arguments of ``werewolf_v0`` or ``sotopia_v0``.

    Raises:
        ConfigError: an argument is impossible.
    """

    def __init__(
        self,
        env: str = "werewolf",
        seat: int | str = 0,
        opponents: Opponents = "scripted",
        seed: int | None = None,
        **settings: Any,
    ) -> None:
        self._arguments = {"env": env, "seat": seat, "opponents": opponents, **settings}
        self._env = SingleAgentEnv(make(environment_name(env), settings), seat, opponents)
        self._first_seed = seed
        self._random = RandomPolicy(0 if seed is None else seed)

    def reset(self, seed: int | None = None) -> tuple[str, dict[str, Any]]:
        """Start a game and play it up to the seat's first act."""
        chosen, self._first_seed = self._first_seed if seed is None else seed, None
        _, info = self._env.reset(seed=chosen)
        return self._env.view().text, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Act, and play on up to the seat's next act or the game's end.

        Raises:
            StateError: before ``reset``, or after the end.
        """
        _, reward, terminated, truncated, info = self._env.step(action)
        return self._env.view().text, reward, terminated, truncated, info

    def sample_random_action(self) -> str:
        """A random legal choice; a stock phrase where speech is asked for.

        Raises:
            StateError: before ``reset``.
        """
        return self._random.act([self._env.view()])[0]

    def spawn(self, same_state: bool = False, **arguments: Any) -> SeatEnv:
        """Another environment like this one.

        Args:
            same_state: refused: a running game has opponents with a memory of their own.
            arguments: of the constructor, in place of this one's.

        Raises:
            NotImplementedError: with ``same_state``.
        """
        if same_state:
            raise NotImplementedError("a running game cannot be copied: spawn a fresh one")
        return SeatEnv(**{**self._arguments, **arguments})

    @property
    def unwrapped(self) -> SeatEnv:
        """Itself."""
        return self

    def close(self) -> None:
        """Nothing to release."""
