"""Text as a fixed number of token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from omar_envs.errors import ConfigError

PADDING = 0
BYTES = 256


class Tokenizer(Protocol):
    """What is asked of a tokenizer; those of `transformers` have it."""

    def __len__(self) -> int:
        """How many ids there are, added tokens included."""

    def encode(self, text: str, *, add_special_tokens: bool) -> Sequence[int]:
        """The ids of a text."""


class TextTokens:
    """The last ``length`` tokens of a text, each id one higher, after padding with 0.

    What a text ends with, the question, always stands at the same place.

    Args:
        length: how many ids.
        tokenizer: by default the UTF-8 bytes are the tokens.

    Raises:
        ConfigError: ``length`` is not positive, or the tokenizer is none.
    """

    def __init__(self, length: int, tokenizer: Tokenizer | None = None) -> None:
        if isinstance(length, bool) or not isinstance(length, int | np.integer) or length < 1:
            raise ConfigError(f"length must be a positive integer: got {length!r}")
        if tokenizer is not None:
            _check(tokenizer)
        self.length = int(length)
        self._tokenizer = tokenizer
        self.max_id = BYTES if tokenizer is None else len(tokenizer)
        """The largest id."""

    def encode(self, text: str) -> NDArray[np.int32]:
        """(length,) ids from 0 to :attr:`max_id`; 0 is padding."""
        row = np.full(self.length, PADDING, dtype=np.int32)
        tail = self._tail(text)
        if len(tail):
            row[-len(tail) :] = tail + 1
        return row

    def _tail(self, text: str) -> NDArray[np.int32]:
        if self._tokenizer is None:
            # No character has less than one byte.
            raw = text[-self.length :].encode("utf-8", "replace")[-self.length :]
            return np.frombuffer(raw, dtype=np.uint8).astype(np.int32)
        ids = self._tokenizer.encode(text, add_special_tokens=False)
        return np.asarray(ids[-self.length :], dtype=np.int32)


def _check(tokenizer: Tokenizer) -> None:
    try:
        len(tokenizer)
        tokenizer.encode("", add_special_tokens=False)
    except (AttributeError, TypeError) as error:
        raise ConfigError(
            "tokenizer must be one of transformers, AutoTokenizer.from_pretrained(…), or None "
            f"for bytes: got {tokenizer!r} ({error})"
        ) from None
