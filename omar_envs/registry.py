"""Entries in the registries of PettingZoo (1.27 and later) and of Gymnasium.

Gymnasium looks for no plugins (since 1.0): ``import omar_envs`` comes first, or the id names
it: ``gymnasium.make("omar_envs:omar/werewolf-seat-v0")``.
"""

from __future__ import annotations

from importlib.util import find_spec

_ENVIRONMENTS = ("werewolf", "sotopia")


def register_environments() -> None:
    """Make the ids known; nothing of the games is imported before one is made.

    ``pettingzoo.make("aec", "omar/werewolf-v0")`` and ``"parallel"``;
    ``gymnasium.make("omar/werewolf-seat-v0")``; ``sotopia`` likewise.
    """
    _register_games()
    _register_seats()


def _register_games() -> None:
    if find_spec("pettingzoo.env_registry") is None:
        return
    from pettingzoo.env_registry.registration import aec_registry, register

    for name in _ENVIRONMENTS:
        if f"omar/{name}-v0" in aec_registry:
            continue
        register("aec", f"omar/{name}-v0", f"omar_envs.{name}_v0:env")
        register("parallel", f"omar/{name}-v0", f"omar_envs.{name}_v0:parallel_env")


def _register_seats() -> None:
    from gymnasium.envs.registration import register, registry

    for name in _ENVIRONMENTS:
        seat = f"omar/{name}-seat-v0"
        if seat not in registry:
            register(seat, f"omar_envs.wrappers.single_agent:{name}_seat")
