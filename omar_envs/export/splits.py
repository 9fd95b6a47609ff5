"""Which part of a data set a game belongs to, by its seed alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from omar_envs.errors import ConfigError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)


@dataclass(frozen=True)
class Splits:
    """Shares of seeds that are held back.

    A seed's split follows from the seed alone: all seats of a game, and all games of equal
    seed, are in the same one, whatever else is exported with them and in whatever format.
    The shares hold on average over seeds.

    Attributes:
        validation, test: in [0, 1); together below 1.

    Raises:
        ConfigError: a share is out of range, or nothing is left to train on.
    """

    validation: float = 0.0
    test: float = 0.0

    def __post_init__(self) -> None:
        for name, share in (("validation", self.validation), ("test", self.test)):
            if not 0 <= share < 1:
                raise ConfigError(f"the share of {name} must be in [0, 1): got {share}")
        if self.validation + self.test >= 1:
            raise ConfigError(
                f"validation {self.validation:g} and test {self.test:g} leave nothing to train on"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The splits that there may be."""
        shares = {TRAIN: 1.0, VALIDATION: self.validation, TEST: self.test}
        return tuple(name for name, share in shares.items() if share > 0)

    def of(self, seed: int) -> str:
        """The split of a game."""
        digest = hashlib.sha256(f"omar-envs split {seed}".encode()).digest()
        place = int.from_bytes(digest[:8]) / 2**64
        if place < self.test:
            return TEST
        return VALIDATION if place < self.test + self.validation else TRAIN
