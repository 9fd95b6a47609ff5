"""Social self-play for language models: PettingZoo environments of conversation.

::

    from omar_envs import werewolf_v0
    env = werewolf_v0.env()

Importing this package loads neither torch nor any model library.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from omar_envs.registry import register_environments

try:
    __version__ = version("omar-envs")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_EXPORTS = {
    "ChatPolicy": "omar_envs.chat_policy",
    "Episode": "omar_envs.types",
    "HumanPolicy": "omar_envs.policy",
    "NegotiatorPolicy": "omar_envs.sotopia.bots",
    "Policy": "omar_envs.policy",
    "RandomPolicy": "omar_envs.policy",
    "ScriptedPolicy": "omar_envs.policy",
    "SinglePolicyWrapper": "omar_envs.wrappers",
    "View": "omar_envs.types",
}
_MODULES = ("errors", "judge", "rollout", "sotopia_v0", "transcript", "werewolf_v0")

__all__ = ["__version__", *sorted(_EXPORTS), *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    if name in _MODULES:
        return import_module(f"omar_envs.{name}")
    raise AttributeError(f"module 'omar_envs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


register_environments()
