"""What a model policy asks of a backend, and what it gets back: token ids and logprobs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


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
        stop: a free reply ends with the token that completes one of these texts.
    """

    row: Hashable
    ids: Sequence[int]
    max_new_tokens: int
    choices: tuple[tuple[int, ...], ...] | None
    temperature: float
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class GenerationResult:
    """One sampled reply.

    Attributes:
        ids: the new tokens, with the end token if it was sampled.
        logprobs: log-probability (nats) of each under the request's temperature
            and choice mask; 0.0 at temperature 0.
        allowed: the token ids that were allowed at each, None for all.
        finished: whether the end token was sampled.
        stopped: whether a stop string ended the reply. Neither this nor
            ``finished``: the token limit cut it.
        num_cached: tokens of the request that the backend did not have to read
            anew; None where it does not say.
    """

    ids: list[int]
    logprobs: list[float]
    allowed: list[tuple[int, ...] | None]
    finished: bool
    stopped: bool = False
    num_cached: int | None = None


class TextGenerator(Protocol):
    """Samples replies for a batch of rows.

    One that is a context manager as well is entered while games are played with it.

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


@runtime_checkable
class StreamingGenerator(TextGenerator, Protocol):
    """A generator that gives each reply as soon as it is sampled."""

    def submit(self, requests: Sequence[GenerationRequest]) -> None:
        """Take requests on, beside those under way; one per row at a time."""
        ...

    def poll(self) -> list[tuple[Hashable, GenerationResult]]:
        """Row and reply of what was finished since the last call.

        Waits for at least one where any is under way; empty where none is.
        """
        ...


def as_stream(generator: TextGenerator) -> StreamingGenerator:
    """The generator itself if it streams, else one that samples on :meth:`poll`, in one batch."""
    return generator if isinstance(generator, StreamingGenerator) else _BatchStream(generator)


class _BatchStream:
    """Collects requests, and answers them together."""

    def __init__(self, generator: TextGenerator) -> None:
        self._generator = generator
        self._requests: list[GenerationRequest] = []

    @property
    def max_context(self) -> int:
        return self._generator.max_context

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        return self._generator.generate(requests)

    def forget(self) -> None:
        self._generator.forget()

    def submit(self, requests: Sequence[GenerationRequest]) -> None:
        self._requests += requests

    def poll(self) -> list[tuple[Hashable, GenerationResult]]:
        requests, self._requests = self._requests, []
        results = self._generator.generate(requests) if requests else []
        return [(request.row, result) for request, result in zip(requests, results, strict=True)]


def check_request(request: GenerationRequest, max_context: int) -> None:
    """Refuse what no backend can answer.

    Raises:
        ValueError: an empty row, a limit below 1, a negative temperature, an empty
            stop string, or a row that would outgrow ``max_context``.
    """
    if not request.ids:
        raise ValueError(f"row {request.row!r} is empty: give it a prompt first")
    if request.max_new_tokens < 1:
        raise ValueError(f"row {request.row!r}: max_new_tokens must be at least 1")
    if request.temperature < 0:
        raise ValueError(f"row {request.row!r}: temperature must not be negative")
    if "" in request.stop:
        raise ValueError(f"row {request.row!r}: a stop string is empty")
    if len(request.ids) + request.max_new_tokens > max_context:
        raise ValueError(
            f"row {request.row!r} has {len(request.ids)} tokens and wants "
            f"{request.max_new_tokens} more, past max_context={max_context}: "
            "close the row as truncated, or construct the generator with a larger one"
        )
