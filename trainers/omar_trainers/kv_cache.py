"""Keys and values of rows that wait between turns, and of the batch in work.

A waiting row owns exactly its own keys and values (:class:`CachedRow`). To work
on a batch, rows of any lengths are copied side by side into one buffer, every
row from position 0 (:class:`WorkingCache`); each forward pass writes every
row's new tokens at that row's own positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer


class KVShape(NamedTuple):
    """What one token leaves in the cache."""

    num_layers: int
    num_heads: int
    head_dim: int
    dtype: torch.dtype
    device: torch.device

    @property
    def bytes_per_token(self) -> int:
        """Keys and values of all layers."""
        return 2 * self.num_layers * self.num_heads * self.head_dim * self.dtype.itemsize


_HIDDEN = -1e30
"""Added to the scores of what is not to be seen. The least float32 would be an infinity
under autocast to bfloat16, and padding, which sees nothing, would become NaN."""


def kv_shape(model: PreTrainedModel, token_id: int, max_context: int) -> KVShape:
    """Find by one forward pass over one token how the model caches.

    Raises:
        ValueError: it does not cache plain keys and values of the whole row.
    """
    attention = model.config._attn_implementation
    if attention not in ("sdpa", "eager"):
        raise ValueError(
            f"attention implementation {attention!r} takes no 4-D mask: load the model with "
            "attn_implementation='sdpa'"
        )
    output = model(input_ids=torch.tensor([[token_id]], device=model.device), use_cache=True)
    layers = output.past_key_values.layers
    shapes: set[tuple[int, int, torch.device]] = set()
    dtypes: list[torch.dtype] = []
    for layer in layers:
        if not isinstance(layer, DynamicLayer):
            raise ValueError(f"{type(model).__name__} has a layer without keys and values")
        if layer.is_sliding and layer.sliding_window < max_context:
            raise ValueError(
                f"{type(model).__name__} attends to {layer.sliding_window} tokens only, fewer "
                f"than max_context={max_context}"
            )
        for part in (layer.keys, layer.values):
            shapes.add((part.shape[1], part.shape[3], part.device))
            dtypes.append(part.dtype)
    if len(shapes) != 1:
        raise ValueError(f"{type(model).__name__} has layers of different cache shapes: {shapes}")
    heads, dim, device = shapes.pop()
    # Under autocast keys, which were turned by their position, may be wider than values.
    return KVShape(len(layers), heads, dim, reduce(torch.promote_types, dtypes), device)


class CachedRow:
    """A waiting row: its token ids and their keys and values (2 L, H, n, D)."""

    def __init__(self, ids: list[int], states: Tensor) -> None:
        self.ids = ids
        self.states = states

    def is_proper_prefix_of(self, ids: Sequence[int]) -> bool:
        """Whether ``ids`` begins with this row and goes on."""
        return len(self.ids) < len(ids) and list(ids[: len(self.ids)]) == self.ids


class Step(NamedTuple):
    """What a forward pass over B rows and Q new tokens needs besides the ids.

    ``mask`` (B, 1, Q, T) is additive, ``position_ids`` is (B, Q).
    """

    cache: Cache
    mask: Tensor
    position_ids: Tensor


class _RowsLayer(CacheLayerMixin):
    """One layer of some rows of the working buffer: keys and values (B, H, T + 1, D).

    Column T is a bin for the states of padding; nothing ever attends to it.
    """

    is_sliding = False

    def __init__(self, keys: Tensor, values: Tensor, columns: Tensor, length: int) -> None:
        super().__init__()
        self.keys, self.values = keys, values
        self.is_initialized = True
        self._columns = columns  # (B, Q)
        self._length = length

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """The buffer exists before the layer does."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write the new states (B, H, Q, D) at their columns. -> all of them (B, H, T, D)."""
        batch, heads, width, dim = key_states.shape
        key_states, value_states = (x.to(self.keys.dtype) for x in (key_states, value_states))
        if width == 1:
            rows = torch.arange(batch, device=key_states.device)
            column = self._columns[:, 0]
            self.keys[rows, :, column] = key_states[:, :, 0]
            self.values[rows, :, column] = value_states[:, :, 0]
        else:
            index = self._columns[:, None, :, None].expand(batch, heads, width, dim)
            self.keys.scatter_(2, index, key_states)
            self.values.scatter_(2, index, value_states)
        return self.keys[:, :, : self._length], self.values[:, :, : self._length]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._length, 0

    def get_seq_length(self) -> int:
        return self._length

    def get_max_length(self) -> int:
        return self.keys.shape[2] - 1


class WorkingCache:
    """Keys and values of a batch of rows, side by side (2 L, B, H, T + 1, D).

    Its memory lives on from one batch to the next and is only ever enlarged:
    asking the system for it anew costs as much as the attention does.
    """

    def __init__(self, shape: KVShape) -> None:
        self._shape = shape
        self._memory = torch.zeros(0, dtype=shape.dtype, device=shape.device)
        self._states = self._memory
        self.lengths: list[int] = []

    def load(self, rows: Sequence[CachedRow | None], capacity: int) -> None:
        """Start on other rows, of at most ``capacity`` tokens each; None is an unread row."""
        shape = self._shape
        size = (2 * shape.num_layers, len(rows), shape.num_heads, capacity + 1, shape.head_dim)
        if self._memory.numel() < math.prod(size):
            # Zeros, for a masked NaN would still be a NaN after the weighted sum.
            self._memory = torch.zeros(
                math.prod(size) * 5 // 4, dtype=shape.dtype, device=shape.device
            )
        self._states = self._memory[: math.prod(size)].view(size)
        self.lengths = [0 if row is None else len(row.ids) for row in rows]
        for i, row in enumerate(rows):
            if row is not None:
                self._states[:, i, :, : len(row.ids)] = row.states

    def row(self, index: int, ids: list[int]) -> CachedRow:
        """A copy of one row, to wait for its next turn."""
        return CachedRow(ids, self._states[:, index, :, : len(ids)].clone())

    def drop(self, index: int) -> None:
        """Go on without this row: the last one takes its place."""
        last = self.lengths.pop()
        if index < len(self.lengths):
            self.lengths[index] = last
            self._states[:, index, :, :last] = self._states[:, len(self.lengths), :, :last]

    def release(self) -> None:
        """Give the memory back."""
        self._memory = self._states = torch.zeros(
            0, dtype=self._shape.dtype, device=self._shape.device
        )
        self.lengths = []

    def advance(self, rows: slice, new: list[int]) -> Step:
        """Make room for ``new[i]`` tokens, padded on the left, in each row of the slice."""
        shape = self._shape
        lengths = [n + m for n, m in zip(self.lengths[rows], new, strict=True)]
        self.lengths[rows] = lengths
        width, longest = max(new), max(lengths)
        end = torch.tensor(lengths, device=shape.device)[:, None]
        count = torch.tensor(new, device=shape.device)[:, None]
        column = torch.arange(width, device=shape.device)[None, :]
        positions = end - width + column  # (B, Q)
        is_pad = column < width - count
        bin_column = self._states.shape[3] - 1
        columns = positions.masked_fill(is_pad, bin_column)
        hidden = torch.arange(longest, device=shape.device) > positions[:, None, :, None]
        mask = torch.zeros(hidden.shape, dtype=shape.dtype, device=shape.device)
        mask.masked_fill_(hidden, max(torch.finfo(shape.dtype).min, _HIDDEN))
        states = self._states[:, rows]
        cache = Cache(
            layers=[
                _RowsLayer(states[2 * layer], states[2 * layer + 1], columns, longest)
                for layer in range(shape.num_layers)
            ]
        )
        return Step(cache, mask, positions.clamp_min(0))
