"""Entries in PettingZoo's registry, where it has one (1.27 and later)."""

from __future__ import annotations

from importlib.util import find_spec

_ENVIRONMENTS = ("werewolf", "sotopia")


def register_environments() -> None:
    """Make ``pettingzoo.make("aec", "omar/werewolf-v0")`` and ``"parallel"`` work."""
    if find_spec("pettingzoo.env_registry") is None:
        return
    from pettingzoo.env_registry.registration import aec_registry, register

    for name in _ENVIRONMENTS:
        if f"omar/{name}-v0" in aec_registry:
            continue
        register("aec", f"omar/{name}-v0", f"omar_envs.{name}_v0:env")
        register("parallel", f"omar/{name}-v0", f"omar_envs.{name}_v0:parallel_env")
