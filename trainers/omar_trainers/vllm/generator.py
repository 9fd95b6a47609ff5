"""Sampling with vLLM: in this process, on the trainer's GPUs, or at a server.

vLLM samples free replies whole. A choice is sampled token by token, each one
among the ids that may come next (``allowed_token_ids``), so its logprobs are those
under the mask, exactly, in every one of vLLM's modes and without a plugin; most
labels differ in their first token and take one call, and what has no alternative
takes none. vLLM's own prefix cache reads no row twice.

Logprobs must be vLLM's ``processed_logprobs``: after temperature and mask.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from omar_trainers.generation_protocol import GenerationRequest, GenerationResult, check_request
from omar_trainers.reply import ReplyFactory, ReplyState


class SampleCall(NamedTuple):
    """What a backend is asked in one go.

    Attributes:
        row: names the row; with the number of ``ids`` it names the call.
        ids: all tokens before the first new one.
        max_tokens: at most this many new ones, at least 1.
        end_token_id: ends the sampling, and belongs to what was sampled.
        temperature: 0 is greedy.
        allowed: the only token ids to sample from; None for all.
        stop: texts, the completion of any of which ends the sampling.
    """

    row: Hashable
    ids: list[int]
    max_tokens: int
    end_token_id: int
    temperature: float
    allowed: tuple[int, ...] | None
    stop: tuple[str, ...]


class Sampled(NamedTuple):
    """What a backend answers.

    Attributes:
        ids: new tokens, the end token and those that complete a stop string included.
        logprobs: of each, under temperature and ``allowed``.
        stopped: whether a stop string ended it.
        num_cached: tokens of the call that needed no reading; None if it is not told.
    """

    ids: list[int]
    logprobs: list[float]
    stopped: bool
    num_cached: int | None


class Backend(AbstractContextManager["Backend"], Protocol):
    """One of vLLM's ways to be asked; entered while games are played."""

    @property
    def max_context(self) -> int:
        """Longest row, in tokens."""
        ...

    def send(self, number: int, call: SampleCall) -> None:
        """Begin on a call; ``number`` names it."""
        ...

    def wait(self) -> list[tuple[int, Sampled]]:
        """Calls that were finished since the last time; at least one of those under way.

        Empty where none is.

        Raises:
            RuntimeError: a call failed.
        """
        ...


class VLLMGenerator:
    """Streams replies from one of vLLM's backends.

    What is cached follows the weights: whoever changes them resets vLLM's prefix
    cache as well, as TRL does.

    Args:
        backend: who samples.
        end_token_id: ends every reply.
        max_context: longest row (tokens) that will be asked for; at most the backend's.

    Raises:
        ValueError: ``max_context`` is more than the backend can hold.
    """

    def __init__(self, backend: Backend, *, end_token_id: int, max_context: int) -> None:
        if max_context > backend.max_context:
            raise ValueError(
                f"rows may have {max_context} tokens, but vLLM holds {backend.max_context}: set "
                "max_row_tokens to that, or vllm_max_model_length to more"
            )
        self._backend = backend
        self._end = end_token_id
        self._max_context = max_context
        self._begin = ReplyFactory(end_token_id).begin
        self._running: dict[Hashable, tuple[ReplyState, int | None]] = {}
        self._calls: dict[int, Hashable] = {}
        self._ready: list[tuple[Hashable, GenerationResult]] = []
        self._num_calls = 0

    @property
    def max_context(self) -> int:
        """Longest row, sampled tokens included, in tokens."""
        return self._max_context

    def __enter__(self) -> Self:
        self._backend.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._backend.__exit__(kind, error, trace)
        finally:
            self._drop_all()

    def forget(self) -> None:
        """Nothing to drop: vLLM's cache is reset together with its weights."""

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        """One result per request, in order.

        Raises:
            ValueError: as :meth:`submit`.
            RuntimeError: vLLM failed.
        """
        self.submit(requests)
        results: dict[Hashable, GenerationResult] = {}
        while self._running or self._ready:
            results |= dict(self.poll())
        return [results[request.row] for request in requests]

    def submit(self, requests: Sequence[GenerationRequest]) -> None:
        """Take requests on, beside those under way.

        Raises:
            ValueError: an impossible request, or one for a row that has one under way.
        """
        rows: set[Hashable] = set()
        for request in requests:
            if request.row in self._running or request.row in rows:
                raise ValueError(f"row {request.row!r} is asked for twice at once")
            check_request(request, self._max_context)
            rows.add(request.row)
        with self._nothing_left_after_errors():
            for request in requests:
                reply = self._begin(request)
                if reply.done:
                    # Without a look at the model nothing of the row had to be read.
                    self._ready.append((request.row, reply.result(None)))
                else:
                    self._running[request.row] = (reply, None)
                    self._send(reply)

    def poll(self) -> list[tuple[Hashable, GenerationResult]]:
        """Row and reply of what was finished since the last call.

        Waits for at least one where any is under way; empty where none is.

        Raises:
            RuntimeError: vLLM failed; all that was under way is given up.
        """
        with self._nothing_left_after_errors():
            while self._running and not self._ready:
                answers = self._backend.wait()
                if not answers:
                    raise RuntimeError(f"vLLM has lost the calls of {len(self._running)} rows")
                for number, sampled in answers:
                    # An answer may be to a call that was given up.
                    if number in self._calls:
                        self._take(self._calls.pop(number), sampled)
        ready, self._ready = self._ready, []
        return ready

    @contextmanager
    def _nothing_left_after_errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._drop_all()
            raise

    def _drop_all(self) -> None:
        self._running.clear()
        self._calls.clear()
        self._ready.clear()

    def _send(self, reply: ReplyState) -> None:
        request, allowed = reply.request, reply.allowed_next()
        call = SampleCall(
            row=request.row,
            ids=[*request.ids, *reply.ids],
            max_tokens=request.max_new_tokens if allowed is None else 1,
            end_token_id=self._end,
            temperature=request.temperature,
            allowed=allowed,
            stop=request.stop if allowed is None else (),
        )
        self._calls[self._num_calls] = request.row
        self._backend.send(self._num_calls, call)
        self._num_calls += 1

    def _take(self, row: Hashable, sampled: Sampled) -> None:
        reply, num_cached = self._running[row]
        allowed = reply.allowed_next()
        if num_cached is None:
            num_cached = sampled.num_cached
        for token, logprob in zip(sampled.ids, sampled.logprobs, strict=True):
            reply.take(token, logprob, allowed)
        reply.stopped = sampled.stopped and not reply.finished
        reply.take_forced()
        if reply.done:
            del self._running[row]
            self._ready.append((row, reply.result(num_cached)))
        else:
            self._running[row] = (reply, num_cached)
            self._send(reply)
