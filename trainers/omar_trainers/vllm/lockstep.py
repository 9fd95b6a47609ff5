"""One batch for processes that must call their generator together.

A model that is split over processes (tensor parallelism) samples only when all of
them ask the same, in step; but their games are of unequal length. So each call is
gathered, everybody samples everybody's requests, and who has played out goes on
taking part until the last one has. Who fails tells the others once, and they fail too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from omar_trainers.generation_protocol import GenerationRequest, GenerationResult, TextGenerator


class Share(NamedTuple):
    """What one process brings to a call.

    Attributes:
        requests: to sample for it.
        is_done: whether it has played out.
        failure: the error that ended its games; empty where none did.
    """

    requests: list[GenerationRequest]
    is_done: bool
    failure: str = ""


class Entered(TextGenerator, AbstractContextManager[TextGenerator], Protocol):
    """A generator that is entered while games are played."""


Gather = Callable[[Share], list[Share]]
"""Gives every process what all of them brought, in the same order."""


class LockstepGenerator:
    """Makes processes' calls equal in number and content.

    Args:
        inner: samples; equal in all processes, its random numbers included.
        gather: exchanges what is asked for; a collective operation.
        index: place of this process in what ``gather`` returns.
    """

    def __init__(self, inner: Entered, gather: Gather, index: int) -> None:
        self._inner = inner
        self._gather = gather
        self._index = index
        self._others_wait = True

    @property
    def max_context(self) -> int:
        """Longest row, sampled tokens included, in tokens."""
        return self._inner.max_context

    def forget(self) -> None:
        """Drop what the inner generator caches."""
        self._inner.forget()

    def __enter__(self) -> Self:
        self._others_wait = True
        try:
            self._inner.__enter__()
        except Exception as error:
            self._tell(error)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Sample with the others until all have played out; after an error, tell them.

        Raises:
            RuntimeError: another process failed.
        """
        try:
            if isinstance(error, Exception):
                self._tell(error)
            while error is None and self._together(Share([], True)) is not None:
                pass
        finally:
            self._inner.__exit__(kind, error, trace)

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        """One result per request, in order; waits for the other processes.

        Raises:
            RuntimeError: another process failed.
        """
        results = self._together(Share([replace(r, ids=list(r.ids)) for r in requests], False))
        assert results is not None  # this process is not done
        return results

    def _together(self, share: Share) -> list[GenerationResult] | None:
        """This process's results, or None once everybody has played out."""
        shares = self._exchange(share)
        for each in shares:
            if each.failure:
                self._others_wait = False
                raise RuntimeError(
                    f"another process that samples from the same model failed: {each.failure}"
                )
        if all(each.is_done for each in shares):
            return None
        requests = [
            replace(request, row=(index, request.row))
            for index, each in enumerate(shares)
            for request in each.requests
        ]
        results = self._inner.generate(requests)
        start = sum(len(each.requests) for each in shares[: self._index])
        return results[start : start + len(share.requests)]

    def _tell(self, error: Exception) -> None:
        """Let the others fail in the call that they are in, unless they have by now."""
        if self._others_wait:
            self._exchange(Share([], True, f"{type(error).__name__}: {error}"))

    def _exchange(self, share: Share) -> list[Share]:
        self._others_wait = False  # should the exchange itself fail, nobody can be told
        shares = self._gather(share)
        self._others_wait = True
        return shares
