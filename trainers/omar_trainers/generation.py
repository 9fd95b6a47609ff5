"""Sampling of token ids: what a model policy asks for, and one way to answer.

Rows of tokens only ever grow at the end, so :class:`TransformersGenerator`
keeps the keys and values of every row between turns and feeds the model no
token twice. It is exact: under cache and padding the logits are those of a
full forward pass over the row, up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from omar_envs.errors import PolicyError
from omar_trainers.generation_protocol import (
    GenerationRequest,
    GenerationResult,
    StreamingGenerator,
    TextGenerator,
    check_request,
)
from omar_trainers.kv_cache import CachedRow, KVShape, WorkingCache, kv_shape
from omar_trainers.reply import Decode, ReplyFactory, ReplyState, StopFinder

__all__ = [
    "GenerationRequest",
    "GenerationResult",
    "StreamingGenerator",
    "TextGenerator",
    "TransformersGenerator",
]


BATCH_TOKENS = 65_536
"""Tokens of rows that are worked on at once, where the device is no GPU."""

GPU_SHARE = 8
"""One part in so many of a GPU's memory is for the rows that are worked on at once."""


@dataclass
class _Running:
    """A reply on its way, and what the model has read of its row already."""

    reply: ReplyState
    cached: CachedRow | None

    @property
    def request(self) -> GenerationRequest:
        return self.reply.request

    @property
    def num_cached(self) -> int:
        return 0 if self.cached is None else len(self.cached.ids)

    @property
    def final_length(self) -> int:
        return len(self.request.ids) + self.request.max_new_tokens


def _grouped_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention of query heads in groups, without a copy of keys and values per head.

    `transformers` makes that copy whenever there is a mask, which CUDA's kernels
    need and the CPU's do not; here it would cost as much as the attention.
    """
    if more.get("softcap") is not None or more.get("position_bias") is not None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **more
        )
    output = scaled_dot_product_attention(
        query, key, value, attn_mask=attention_mask, scale=scaling, enable_gqa=True
    )
    return output.transpose(1, 2).contiguous(), None


_GROUPED_ATTENTION = "omar_grouped_attention"
AttentionInterface.register(_GROUPED_ATTENTION, _grouped_attention)


class TransformersGenerator:
    """Batched sampling from a causal LM of `transformers`, caching rows between turns.

    Random numbers come from its own generator, seeded by ``seed``; the global
    one is never touched. Same model, seed and requests: same replies.

    Args:
        model: any causal LM whose layers all attend to the whole row, with the
            ``sdpa`` or ``eager`` attention implementation. It is read, never
            changed; call :meth:`forget` after changing its weights.
        end_token_id: ends every reply.
        pad_token_id: fills the holes of a batch.
        seed: of the sampling.
        max_context: longest row (tokens) that will be asked for.
        max_batch_tokens: tokens of rows, padding included, that are held in one
            batch; more requests are worked off batch by batch. Bounds memory. By
            default 65,536, or as many as an eighth of a GPU's memory holds, if more.
        max_prefill_tokens: new tokens, padding included, in one forward pass; by
            default 4,096, and 32,768 on a GPU.
        autocast: what the model computes in, as in training by mixed precision; by
            default what its weights are stored in.
        decode: reads the tokens of a reply; needed where requests have stop strings.

    Raises:
        ValueError: the model or a setting is unusable; the message says why.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        end_token_id: int,
        pad_token_id: int,
        seed: int,
        max_context: int,
        max_batch_tokens: int | None = None,
        max_prefill_tokens: int | None = None,
        autocast: torch.dtype | None = None,
        decode: Decode | None = None,
    ) -> None:
        for name, value in (
            ("max_context", max_context),
            ("max_batch_tokens", max_batch_tokens),
            ("max_prefill_tokens", max_prefill_tokens),
        ):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self._model = model
        self._begin = ReplyFactory(end_token_id).begin
        self._stops = None if decode is None else StopFinder(decode)
        self._pad = pad_token_id
        self._max_context = max_context
        self._autocast = autocast
        self._random = torch.Generator(device=model.device).manual_seed(seed)
        self._rows: dict[Hashable, CachedRow] = {}
        with _evaluating(model, autocast):
            shape = kv_shape(model, end_token_id, max_context)
            self._cache = WorkingCache(shape)
        self._max_batch_tokens = max_batch_tokens or _batch_tokens(shape)
        self._max_prefill_tokens = max_prefill_tokens or _prefill_tokens(shape)

    @property
    def max_context(self) -> int:
        """Longest row, sampled tokens included, in tokens."""
        return self._max_context

    def forget(self) -> None:
        """Drop all cached rows, and the memory that batches are worked in."""
        self._rows.clear()
        self._cache.release()

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        """Sample one reply per request, in order.

        Raises:
            ValueError: an impossible request: an empty row, two requests for one
                row, a row that would outgrow ``max_context``, an empty choice, or stop
                strings where the generator cannot read its tokens.
            PolicyError: the model's logits are NaN or infinite.
        """
        running = self._start(requests)
        with self._inference():
            for batch in self._batches(running):
                self._run(batch)
        return [state.reply.result(state.num_cached) for state in running]

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """No gradients, no dropout, cheap attention; the model is put back afterwards."""
        config = self._model.config
        attention = config._attn_implementation
        if attention == "sdpa" and self._model.device.type == "cpu":
            config._attn_implementation = _GROUPED_ATTENTION
        try:
            with _evaluating(self._model, self._autocast):
                yield
        finally:
            config._attn_implementation = attention

    def _start(self, requests: Sequence[GenerationRequest]) -> list[_Running]:
        running: list[_Running] = []
        seen: set[Hashable] = set()
        for request in requests:
            if request.row in seen:
                raise ValueError(f"row {request.row!r} is asked for twice in one call")
            check_request(request, self._max_context)
            if request.stop and self._stops is None:
                raise ValueError(
                    f"row {request.row!r} has stop strings, but the generator cannot read its "
                    "tokens: construct it with decode"
                )
            seen.add(request.row)
            cached = self._rows.get(request.row)
            # The last token is always fed, for it is its logits that are wanted.
            if cached is not None and not cached.is_proper_prefix_of(request.ids):
                cached = None
            running.append(_Running(self._begin(request), cached))
        return running

    def _batches(self, running: list[_Running]) -> Iterator[list[_Running]]:
        """Rows of like lengths together, each batch within ``max_batch_tokens``."""
        batch: list[_Running] = []
        longest = 0
        waiting = [r for r in running if not r.reply.done]
        for state in sorted(waiting, key=lambda r: r.final_length):
            longest = max(longest, state.final_length)
            if batch and (len(batch) + 1) * longest > self._max_batch_tokens:
                yield batch
                batch, longest = [], state.final_length
            batch.append(state)
        if batch:
            yield batch

    def _run(self, batch: list[_Running]) -> None:
        """Sample a batch to its end; it shrinks as rows finish."""
        # Rows that wait for few tokens first, so that prefill parts pad little.
        batch = sorted(batch, key=lambda r: len(r.request.ids) - r.num_cached)
        cache = self._cache
        cache.load([r.cached for r in batch], max(r.final_length for r in batch))
        active = list(batch)
        logits = self._prefill(active)
        while True:
            self._sample(active, logits)
            for i in range(len(active) - 1, -1, -1):
                if active[i].reply.done:
                    self._store(i, active[i])
                    cache.drop(i)
                    active[i] = active[-1]
                    active.pop()
            if not active:
                return
            fresh = [
                state.reply.ids[length - len(state.request.ids) :]
                for state, length in zip(active, cache.lengths, strict=True)
            ]
            logits = self._forward(slice(0, len(active)), fresh)

    def _store(self, index: int, state: _Running) -> None:
        """Remember the row's keys and values. Its last tokens, unread so far, are
        read with whatever the row's next request adds."""
        ids = [*state.request.ids, *state.reply.ids][: self._cache.lengths[index]]
        self._rows[state.request.row] = self._cache.row(index, ids)

    def _prefill(self, active: list[_Running]) -> Tensor:
        """Read all that the model has not read of the rows. -> logits (B, V)."""
        fresh = [[*r.request.ids[r.num_cached :], *r.reply.ids] for r in active]
        parts: list[Tensor] = []
        start = 0
        while start < len(active):
            stop = start + 1
            # Ascending lengths: the last row of a part is its longest.
            while (
                stop < len(active)
                and (stop + 1 - start) * len(fresh[stop]) <= self._max_prefill_tokens
            ):
                stop += 1
            parts.append(self._forward(slice(start, stop), fresh[start:stop]))
            start = stop
        return torch.cat(parts)

    def _forward(self, rows: slice, fresh: list[list[int]]) -> Tensor:
        """Read ``fresh`` tokens at the end of some rows. -> logits after them (B, V)."""
        width = max(len(ids) for ids in fresh)
        # Padding stands on the left: every row's last token is in the last column.
        input_ids = torch.tensor(
            [[self._pad] * (width - len(ids)) + ids for ids in fresh], device=self._model.device
        )
        step = self._cache.advance(rows, [len(ids) for ids in fresh])
        output = self._model(
            input_ids=input_ids,
            attention_mask=step.mask,
            position_ids=step.position_ids,
            past_key_values=step.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1].float()

    def _sample(self, active: list[_Running], logits: Tensor) -> None:
        """Sample the next token of each row from its logits (B, V)."""
        allowed = [state.reply.allowed_next() for state in active]
        _mask_choices(logits, allowed)
        temperatures = [state.request.temperature for state in active]
        scale = torch.tensor([t if t > 0 else 1.0 for t in temperatures], device=logits.device)
        log_probs = torch.log_softmax(logits / scale[:, None], dim=-1)
        # One NaN makes the whole row NaN; on a GPU sampling from it would end the process.
        weights = log_probs.exp().masked_fill_(log_probs[:, :1].isnan(), 1.0)
        tokens = torch.multinomial(weights, 1, generator=self._random)[:, 0]
        if 0 in temperatures:
            greedy = torch.tensor([t == 0 for t in temperatures], device=logits.device)
            tokens = torch.where(greedy, logits.argmax(dim=-1), tokens)
        scores = log_probs.gather(1, tokens[:, None])[:, 0]
        # One transfer: on a GPU each of them waits for all that is queued.
        sampled = torch.stack((tokens.double(), scores.double())).tolist()
        if any(map(math.isnan, sampled[1])):
            raise PolicyError(
                "the model's logits are no numbers (NaN or infinity), so nothing can be sampled: "
                "its weights are damaged, or too large for their precision. Look at them, try "
                "another dtype (float32 or bfloat16, not float16), or go back to an earlier "
                "checkpoint"
            )
        for state, token, score, legal in zip(active, *sampled, allowed, strict=True):
            self._take(state, int(token), score, legal)

    def _take(
        self, state: _Running, token: int, score: float, legal: tuple[int, ...] | None
    ) -> None:
        reply, stop = state.reply, state.request.stop
        reply.take(token, score, legal)
        if stop and legal is None and not reply.finished:
            assert self._stops is not None  # else the request had been refused
            reply.stopped = self._stops.reached(reply.ids, stop)
        reply.take_forced()


@contextmanager
def _evaluating(model: PreTrainedModel, autocast: torch.dtype | None) -> Iterator[None]:
    """No gradients and no dropout, and layers that are recomputed in training keep a cache."""
    was_training = model.training
    precision = torch.autocast(model.device.type, autocast, enabled=autocast is not None)
    model.eval()
    try:
        with torch.inference_mode(), precision:
            yield
    finally:
        model.train(was_training)


def _batch_tokens(shape: KVShape) -> int:
    """Tokens of rows in one batch: a GPU is hardly slower with many rows than with few.

    By all of its memory, not by what is free: which rows share a batch decides which
    random numbers they get, and a run that goes on has to get the same.
    """
    if shape.device.type != "cuda":
        return BATCH_TOKENS
    memory = torch.cuda.get_device_properties(shape.device).total_memory
    return max(BATCH_TOKENS, memory // GPU_SHARE // shape.bytes_per_token)


def _prefill_tokens(shape: KVShape) -> int:
    return 32_768 if shape.device.type == "cuda" else 4_096


def _mask_choices(logits: Tensor, allowed: list[tuple[int, ...] | None]) -> None:
    """Set to -inf, in place, what each row of the logits (B, V) does not allow."""
    constrained = [i for i, legal in enumerate(allowed) if legal is not None]
    if not constrained:
        return
    forbidden = torch.zeros_like(logits, dtype=torch.bool)
    forbidden[constrained] = True
    where = [(i, token) for i, legal in enumerate(allowed) if legal is not None for token in legal]
    rows, tokens = torch.tensor(where, device=logits.device).unbind(1)
    forbidden[rows, tokens] = False
    logits.masked_fill_(forbidden, -torch.inf)
