"""A learner of discrete acts as a policy: it can play any seat, in rollouts and in the arena."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omar_envs.errors import PolicyError
from omar_envs.types import View
from omar_envs.wrappers.discretize import Discretizer

__all__ = ["Chooser", "DiscretePolicy", "uniform"]

Chooser = Callable[[list[Any], NDArray[np.bool_]], Sequence[int] | NDArray[np.integer[Any]]]
"""B observations and their masks (B, N) to B acts."""


class DiscretePolicy:
    """Answers views by acts of a menu.

    Args:
        discretizer: of an environment of the same configuration as those that are played, with
            the options that the learner was trained with.
        choose: picks acts, all that are asked at once in one batch.
        name: what episodes call it.
    """

    def __init__(self, discretizer: Discretizer, choose: Chooser, name: str = "discrete") -> None:
        self._discretizer = discretizer
        self._choose = choose
        self._name = name

    @property
    def name(self) -> str:
        """What episodes call it."""
        return self._name

    def act(self, views: Sequence[View]) -> list[str]:
        """One reply per view.

        Raises:
            PolicyError: ``choose`` returned another number of acts than it had observations.
        """
        if not views:
            return []
        seen = [self._discretizer.observation(view) for view in views]
        masks = np.stack([self._discretizer.mask(view) for view in views]).astype(np.bool_)
        acts = self._choose(seen, masks)
        if len(acts) != len(views):
            raise PolicyError(
                f"policy {self._name!r} chose {len(acts)} acts for {len(views)} observations"
            )
        return [self._discretizer.reply(view, act) for view, act in zip(views, acts, strict=True)]


def uniform(seed: int = 0) -> Chooser:
    """Every legal act is as likely as any other."""
    rng = np.random.default_rng(seed)

    def choose(seen: list[Any], masks: NDArray[np.bool_]) -> list[int]:
        picks: list[int] = np.where(masks, rng.random(masks.shape), -1.0).argmax(axis=1).tolist()
        return picks

    return choose
