"""The one space of these environments: text without bounds."""

from __future__ import annotations

import string
import sys
from typing import Any

import numpy as np
from gymnasium.spaces import Space, Text
from numpy.typing import NDArray

_SAMPLE_CHARSET = string.ascii_letters + string.digits + " .,!?'-"
_SAMPLE_MAX_LENGTH = 40
_TABLES = Text(sys.maxsize, min_length=0, charset=_SAMPLE_CHARSET)


class TextSpace(Text):
    """Every ``str``, whatever its length or characters.

    ``gymnasium.spaces.Text`` holds a table over its charset and checks length
    and characters one by one; with all of Unicode that takes seconds and tens
    of megabytes, and no reply of a language model may be out of bounds here.
    Samples are short ASCII strings, the empty one included.
    """

    def __init__(self, *, seed: int | np.random.Generator | None = None) -> None:
        # The tables over the charset are the same in each space, and slow to make.
        self.__dict__.update(_TABLES.__dict__)
        Space.__init__(self, dtype=str, seed=seed)

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a ``str``."""
        return isinstance(x, str)

    def sample(
        self,
        mask: tuple[int | None, NDArray[np.int8] | None] | None = None,
        probability: tuple[int | None, NDArray[np.float64] | None] | None = None,
    ) -> str:
        """A random string of 0 to 40 ASCII characters.

        Args:
            mask, probability: as in ``gymnasium.spaces.Text.sample``; a length
                of ``None`` in them is drawn here, not from the unbounded range.
        """
        length = int(self.np_random.integers(0, _SAMPLE_MAX_LENGTH + 1))
        if mask is not None:
            return super().sample(mask=(length if mask[0] is None else mask[0], mask[1]))
        if probability is not None:
            chosen = length if probability[0] is None else probability[0]
            return super().sample(probability=(chosen, probability[1]))
        picks = self.np_random.integers(0, len(self.character_list), size=length)
        return "".join(self.character_list[i] for i in picks)

    def __repr__(self) -> str:
        return "TextSpace()"

    def __eq__(self, other: object, /) -> bool:
        return isinstance(other, TextSpace)

    def __hash__(self) -> int:
        return hash(TextSpace)

    @property
    def is_np_flattenable(self) -> bool:
        """False: there is no longest text."""
        return False
