"""Wrappers around the environments."""

from omar_envs.wrappers.single_policy import SinglePolicyWrapper

__all__ = ["SinglePolicyWrapper"]
