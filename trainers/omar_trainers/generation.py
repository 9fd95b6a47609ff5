"""Sampling of token ids: what a model policy asks for, and one way to answer.

Rows of tokens only ever grow at the end, so :class:`TransformersGenerator`
keeps the keys and values of every row between turns and feeds the model no
token twice. It is exact: under cache and padding the logits are those of a
full forward pass over the row, up to rounding.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from omar_trainers.kv_cache import CachedRow, WorkingCache, kv_shape
from omar_trainers.trie import ChoiceTrie


@dataclass(frozen=True)
class GenerationRequest:
    """One reply to sample.

    Attributes:
        row: names the row; requests of one row only ever grow at the end.
        ids: the whole row so far, at least one token.
        max_new_tokens: at most this many tokens are sampled, at least 1.
        choices: token ids of each legal label, without the end token; the
            reply is one of them and then the end token. None is free text.
        temperature: 0 is greedy.
    """

    row: Hashable
    ids: Sequence[int]
    max_new_tokens: int
    choices: tuple[tuple[int, ...], ...] | None
    temperature: float


@dataclass(frozen=True)
class GenerationResult:
    """One sampled reply.

    Attributes:
        ids: the new tokens, with the end token if it was sampled.
        logprobs: log-probability (nats) of each under the request's temperature
            and choice mask; 0.0 at temperature 0.
        allowed: the token ids that were allowed at each, None for all.
        finished: whether the end token was sampled.
    """

    ids: list[int]
    logprobs: list[float]
    allowed: list[tuple[int, ...] | None]
    finished: bool


class TextGenerator(Protocol):
    """Samples replies for a batch of rows.

    Attributes:
        max_context: longest row (tokens, sampled ones included) it can hold.
    """

    @property
    def max_context(self) -> int: ...

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        """One result per request, in order."""
        ...

    def forget(self) -> None:
        """Drop what is cached about rows, for instance after a weight update."""
        ...


@dataclass
class _Running:
    """A request on its way: what is sampled, and what the model has yet to read."""

    request: GenerationRequest
    trie: ChoiceTrie | None
    cached: CachedRow | None
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    allowed: list[tuple[int, ...] | None] = field(default_factory=list)
    finished: bool = False

    @property
    def done(self) -> bool:
        return self.finished or len(self.ids) >= self.request.max_new_tokens

    @property
    def num_cached(self) -> int:
        return 0 if self.cached is None else len(self.cached.ids)

    @property
    def final_length(self) -> int:
        return len(self.request.ids) + self.request.max_new_tokens

    def allowed_next(self, end_token_id: int) -> tuple[int, ...] | None:
        return None if self.trie is None else self.trie.allowed(tuple(self.ids), end_token_id)

    def take(self, token: int, logprob: float, allowed: tuple[int, ...] | None, end: int) -> None:
        self.ids.append(token)
        self.logprobs.append(logprob)
        self.allowed.append(allowed)
        self.finished = token == end

    def take_forced(self, end_token_id: int) -> None:
        """Take every token to which there is no alternative: it needs no forward pass."""
        while not self.done:
            allowed = self.allowed_next(end_token_id)
            if allowed is None or len(allowed) > 1:
                return
            self.take(allowed[0], 0.0, allowed, end_token_id)


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
            batch; more requests are worked off batch by batch. Bounds memory.
        max_prefill_tokens: new tokens, padding included, in one forward pass.

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
        max_batch_tokens: int = 65_536,
        max_prefill_tokens: int = 4_096,
    ) -> None:
        for name, value in (
            ("max_context", max_context),
            ("max_batch_tokens", max_batch_tokens),
            ("max_prefill_tokens", max_prefill_tokens),
        ):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self._model = model
        self._end = end_token_id
        self._pad = pad_token_id
        self._max_context = max_context
        self._max_batch_tokens = max_batch_tokens
        self._max_prefill_tokens = max_prefill_tokens
        self._random = torch.Generator(device=model.device).manual_seed(seed)
        self._rows: dict[Hashable, CachedRow] = {}
        with torch.inference_mode():
            self._cache = WorkingCache(kv_shape(model, end_token_id, max_context))

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
                row, a row that would outgrow ``max_context``, or an empty choice.
        """
        running = self._start(requests)
        with self._inference():
            for batch in self._batches(running):
                self._run(batch)
        return [GenerationResult(r.ids, r.logprobs, r.allowed, r.finished) for r in running]

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """No gradients, no dropout, cheap attention; the model is put back afterwards."""
        config = self._model.config
        was_training, attention = self._model.training, config._attn_implementation
        self._model.eval()
        if attention == "sdpa" and self._model.device.type == "cpu":
            config._attn_implementation = _GROUPED_ATTENTION
        try:
            with torch.inference_mode():
                yield
        finally:
            config._attn_implementation = attention
            self._model.train(was_training)

    def _start(self, requests: Sequence[GenerationRequest]) -> list[_Running]:
        tries: dict[tuple[tuple[int, ...], ...], ChoiceTrie] = {}
        running: list[_Running] = []
        seen: set[Hashable] = set()
        for request in requests:
            self._check(request, seen)
            seen.add(request.row)
            trie = None
            if request.choices is not None:
                trie = tries.get(request.choices)
                if trie is None:
                    trie = tries[request.choices] = ChoiceTrie(request.choices)
            cached = self._rows.get(request.row)
            # The last token is always fed, for it is its logits that are wanted.
            if cached is not None and not cached.is_proper_prefix_of(request.ids):
                cached = None
            state = _Running(request, trie, cached)
            state.take_forced(self._end)
            running.append(state)
        return running

    def _check(self, request: GenerationRequest, seen: set[Hashable]) -> None:
        if request.row in seen:
            raise ValueError(f"row {request.row!r} is asked for twice in one call")
        if not request.ids:
            raise ValueError(f"row {request.row!r} is empty: give it a prompt first")
        if request.max_new_tokens < 1:
            raise ValueError(f"row {request.row!r}: max_new_tokens must be at least 1")
        if request.temperature < 0:
            raise ValueError(f"row {request.row!r}: temperature must not be negative")
        if len(request.ids) + request.max_new_tokens > self._max_context:
            raise ValueError(
                f"row {request.row!r} has {len(request.ids)} tokens and wants "
                f"{request.max_new_tokens} more, past max_context={self._max_context}: "
                "close the row as truncated, or construct the generator with a larger one"
            )

    def _batches(self, running: list[_Running]) -> Iterator[list[_Running]]:
        """Rows of like lengths together, each batch within ``max_batch_tokens``."""
        batch: list[_Running] = []
        longest = 0
        waiting = [r for r in running if not r.done]
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
                if active[i].done:
                    self._store(i, active[i])
                    cache.drop(i)
                    active[i] = active[-1]
                    active.pop()
            if not active:
                return
            fresh = [
                state.ids[length - len(state.request.ids) :]
                for state, length in zip(active, cache.lengths, strict=True)
            ]
            logits = self._forward(slice(0, len(active)), fresh)

    def _store(self, index: int, state: _Running) -> None:
        """Remember the row's keys and values. Its last tokens, unread so far, are
        read with whatever the row's next request adds."""
        ids = [*state.request.ids, *state.ids][: self._cache.lengths[index]]
        self._rows[state.request.row] = self._cache.row(index, ids)

    def _prefill(self, active: list[_Running]) -> Tensor:
        """Read all that the model has not read of the rows. -> logits (B, V)."""
        fresh = [[*r.request.ids[r.num_cached :], *r.ids] for r in active]
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
        allowed = [state.allowed_next(self._end) for state in active]
        _mask_choices(logits, allowed)
        temperatures = [state.request.temperature for state in active]
        scale = torch.tensor([t if t > 0 else 1.0 for t in temperatures], device=logits.device)
        log_probs = torch.log_softmax(logits / scale[:, None], dim=-1)
        tokens = torch.multinomial(log_probs.exp(), 1, generator=self._random)
        scores = log_probs.gather(1, tokens)[:, 0].tolist()
        sampled = tokens[:, 0].tolist()
        if 0 in temperatures:
            best = logits.argmax(dim=-1).tolist()
            for i, temperature in enumerate(temperatures):
                if temperature == 0:
                    sampled[i], scores[i] = best[i], 0.0
        for state, token, score, legal in zip(active, sampled, scores, allowed, strict=True):
            state.take(token, score, legal, self._end)
            state.take_forced(self._end)


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
