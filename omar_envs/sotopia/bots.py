"""Scripted negotiators: they talk, haggle, pool what they know, and settle.

Stateless: all that a bot knows it reads from its view, so that any number of games can be
played at once, and so that what models say counts as much as what other bots say. In
scenarios whose outcome nobody computes they say a few polite words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from omar_envs.errors import ConfigError
from omar_envs.sotopia.bot_answers import choose, find_friend, give, pool_clues
from omar_envs.sotopia.bot_haggling import bargain, haggle
from omar_envs.sotopia.bot_random import random_act
from omar_envs.sotopia.bot_table import Table, nothing, pick, table
from omar_envs.types import View

__all__ = ["NegotiatorPolicy", "act"]

_Player = Callable[[Table, np.random.Generator], str]

_PLAYERS: dict[str, _Player] = {
    "assignment": haggle,
    "division": haggle,
    "hidden_profile": pool_clues,
    "matrix": choose,
    "mutual_friend": find_friend,
    "price": bargain,
    "public_goods": give,
    "schedule": haggle,
    "split": haggle,
}


class NegotiatorPolicy:
    """Scripted play of ``sotopia_v0``.

    Args:
        seed: of its own generator.
        noise: probability of a legal act at random (never to leave), in [0, 1].

    Raises:
        ConfigError: ``noise`` is no probability.
    """

    name = "scripted"

    def __init__(self, seed: int = 0, *, noise: float = 0.0) -> None:
        if not 0.0 <= noise <= 1.0:
            raise ConfigError(f"noise must be a probability, from 0 to 1: got {noise}")
        self._rng = np.random.default_rng(seed)
        self._noise = noise

    def act(self, views: Sequence[View]) -> list[str]:
        """One reply per view."""
        return [act(view, self._rng, self._noise) for view in views]


def act(view: View, rng: np.random.Generator, noise: float) -> str:
    """A bot's reply to its view; with probability ``noise`` a legal act at random."""
    if view.request is None:
        return ""
    known = table(view)
    if rng.random() < noise:
        return random_act(known, rng)
    if known.private is None:
        return _polite(known, rng)
    return _PLAYERS[known.private["mechanism"]](known, rng)


def _polite(table: Table, rng: np.random.Generator) -> str:
    """Words that would do anywhere, then silence."""
    if not table.others:
        return nothing()
    who = table.call(pick(table.others, rng))
    lines = (
        ("Hello. It is good to see you.", f"Hello, {who}.", "Good to have a moment to talk."),
        (f"How do you see this, {who}?", f"I would like to hear what you think, {who}."),
        ("Let us find something that is fair to all of us.", "I am sure we can work this out."),
        (f"Thank you for telling me, {who}.", "I will think about that.", "I understand."),
        ("Let us leave it at that for now.", f"It was good to talk, {who}."),
    )
    if table.moves_made >= len(lines):
        return nothing()
    return table.fresh(lines[table.moves_made], rng)
