"""What ``vf-eval omar-selfplay`` loads: see :mod:`omar_envs.integrations.verifiers`.

verifiers looks for an environment in a module of its own, named as on its command line.
"""

from omar_envs.integrations.verifiers import SelfPlayEnv, SelfPlayTaskset

__all__ = ["SelfPlayEnv", "SelfPlayTaskset"]
