"""Wrappers around the environments."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from omar_envs.wrappers.single_policy import SinglePolicyWrapper

# A seat needs policies by name, which stand on a higher floor than the wrappers.
_HIGHER = {"SingleAgentEnv": "omar_envs.wrappers.single_agent"}

__all__ = ["SingleAgentEnv", "SinglePolicyWrapper"]


def __getattr__(name: str) -> Any:
    if name in _HIGHER:
        return getattr(import_module(_HIGHER[name]), name)
    raise AttributeError(f"module 'omar_envs.wrappers' has no attribute {name!r}")
