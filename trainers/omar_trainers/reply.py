"""A reply while it is sampled: which tokens may come next, and when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from omar_trainers.generation_protocol import GenerationRequest, GenerationResult
from omar_trainers.trie import ChoiceTrie

Decode = Callable[[Sequence[int]], str]
"""Token ids of a reply to its text."""


class ReplyState:
    """What was sampled of one reply so far.

    Args:
        request: what is asked for.
        trie: of the request's choices; None for free text.
        end_token_id: ends every reply.
    """

    def __init__(
        self, request: GenerationRequest, trie: ChoiceTrie | None, end_token_id: int
    ) -> None:
        self.request = request
        self.ids: list[int] = []
        self.finished = False
        self.stopped = False
        self._trie = trie
        self._end = end_token_id
        self._logprobs: list[float] = []
        self._allowed: list[tuple[int, ...] | None] = []

    @property
    def done(self) -> bool:
        """Whether nothing is left to sample."""
        return self.finished or self.stopped or len(self.ids) >= self.request.max_new_tokens

    @property
    def is_choice(self) -> bool:
        """Whether the reply must be one of the request's choices."""
        return self._trie is not None

    def allowed_next(self) -> tuple[int, ...] | None:
        """Token ids that may come next, ascending; None for all."""
        return None if self._trie is None else self._trie.allowed(tuple(self.ids), self._end)

    def take(self, token: int, logprob: float, allowed: tuple[int, ...] | None) -> None:
        """Append a sampled token."""
        self.ids.append(token)
        self._logprobs.append(0.0 if self.request.temperature == 0 else logprob)
        self._allowed.append(allowed)
        self.finished = token == self._end

    def take_forced(self) -> None:
        """Take every token to which there is no alternative: it needs no forward pass."""
        while not self.done:
            allowed = self.allowed_next()
            if allowed is None or len(allowed) > 1:
                return
            self.take(allowed[0], 0.0, allowed)

    def result(self, num_cached: int | None) -> GenerationResult:
        """The reply, once it is done."""
        return GenerationResult(
            self.ids, self._logprobs, self._allowed, self.finished, self.stopped, num_cached
        )


@dataclass
class ReplyFactory:
    """Begins replies; requests with the same choices share one tree.

    Args:
        end_token_id: ends every reply.
    """

    end_token_id: int
    _tries: dict[tuple[tuple[int, ...], ...], ChoiceTrie] = field(default_factory=dict)

    def begin(self, request: GenerationRequest) -> ReplyState:
        """A reply with all tokens that stand before its first real choice.

        Raises:
            ValueError: the request's choices are none, empty or equal.
        """
        trie = None
        if request.choices is not None:
            trie = self._tries.get(request.choices)
            if trie is None:
                trie = self._tries[request.choices] = ChoiceTrie(request.choices)
        state = ReplyState(request, trie, self.end_token_id)
        state.take_forced()
        return state


class StopFinder:
    """Tells when a reply's text holds a stop string, decoding as little as possible.

    Args:
        decode: as what the tokens are read.
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._may_complete: dict[tuple[int, tuple[str, ...]], bool] = {}

    def reached(self, ids: Sequence[int], stop: tuple[str, ...]) -> bool:
        """Whether the text of ``ids`` holds one of ``stop``; asked after every token."""
        key = (ids[-1], stop)
        if key not in self._may_complete:
            self._may_complete[key] = self._ends_one(ids[-1], stop)
        if not self._may_complete[key]:
            return False
        text = self._decode(ids)
        return any(each in text for each in stop)

    def _ends_one(self, token: int, stop: tuple[str, ...]) -> bool:
        text = self._decode([token])
        # A part of a character reads as U+FFFD, and spaces at the ends may be lost.
        return "\ufffd" in text or any(s[-1] in text or s[-1].isspace() for s in stop)


def text_before_stop(text: str, stop: Sequence[str]) -> str:
    """The text up to where the first of the stop strings begins."""
    found = [at for at in (text.find(each) for each in stop) if at >= 0]
    return text[: min(found)] if found else text
