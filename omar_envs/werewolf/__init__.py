"""Werewolf: rules, words and the environment. Users import ``omar_envs.werewolf_v0``."""
