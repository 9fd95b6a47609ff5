"""Wrappers around the environments."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from omar_envs.wrappers.single_policy import SinglePolicyWrapper

# A seat needs policies by name, which stand on a higher floor than the wrappers; menus need
# both games.
_LAZY = {
    "DiscreteAECEnv": "discretize",
    "DiscreteParallelEnv": "discretize",
    "DiscretePolicy": "discrete_policy",
    "DiscreteSeatEnv": "single_agent",
    "Discretizer": "discretize",
    "SingleAgentEnv": "single_agent",
}

__all__ = [
    "DiscreteAECEnv",
    "DiscreteParallelEnv",
    "DiscretePolicy",
    "DiscreteSeatEnv",
    "Discretizer",
    "SingleAgentEnv",
    "SinglePolicyWrapper",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_LAZY]
