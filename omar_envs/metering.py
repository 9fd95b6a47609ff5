"""What was asked of a paid endpoint, what that cost, and a cap that is not passed."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from omar_envs.errors import ConfigError, OmarError
from omar_envs.types import ChatMessage

__all__ = ["CapReached", "Meter", "Prices", "Usage"]

# A token is at least one byte of UTF-8. What a chat template puts around the messages,
# and before the first one, is not in the messages.
_TEMPLATE_TOKENS_PER_MESSAGE = 16
_TEMPLATE_TOKENS_PER_REQUEST = 512


class Prices(NamedTuple):
    """What a million tokens cost, in any currency."""

    prompt: float
    completion: float


class Usage(msgspec.Struct, frozen=True):
    """What an endpoint was asked for so far.

    Attributes:
        requests: replies asked for; the client's retries of one count as one.
        failures: those of them that never came.
        cut: replies that ended at the token limit.
        prompt_tokens, completion_tokens: as the endpoint reported them.
        unmetered: replies for which it reported none.
        cost: of the reported tokens; ``None`` if no prices were given. An attempt
            that was given up, after a timeout say, may be billed and is not in it, nor is
            a reply without reported tokens; a cap takes each of them for the most that it
            can have cost.
    """

    requests: int = 0
    failures: int = 0
    cut: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unmetered: int = 0
    cost: float | None = None


class CapReached(OmarError):
    """The next request might cost more than what is left."""


class Hold:
    """What one request may cost, held back while it lasts.

    The client may send it several times. An attempt that was sent, and then neither
    refused nor answered with its tokens, may be billed: it counts towards the cap with the
    most that it can have cost.
    """

    def __init__(self, meter: Meter, bound: float) -> None:
        self._meter = meter
        self._bound = bound
        self._begun = False
        self._unknown = False

    def sending(self) -> None:
        """An attempt is about to be sent.

        Raises:
            CapReached: the attempts before it may have used up what was left.
        """
        self.end()
        if self._begun:
            self._meter._check_retry(self._bound)
        self._begun = self._unknown = True

    def known(self) -> None:
        """The attempt cost nothing, or what it cost is counted."""
        self._unknown = False

    def end(self) -> None:
        """No more is coming of the attempt."""
        if self._unknown:
            self._meter._lose(self._bound)
        self._unknown = False


class Meter:
    """Counts replies and tokens, and holds back what requests in flight may cost.

    Used from one event loop.

    Args:
        prices: per million tokens, of the prompt and of the completion.
        max_cost: what may be spent in all. The most that a prompt can cost is taken
            from its bytes, several times its tokens.
        max_tokens: longest completion, in tokens.

    Raises:
        ConfigError: a number is out of range, or ``max_cost`` stands without what it
            is computed from.
    """

    def __init__(
        self,
        prices: tuple[float, float] | None = None,
        max_cost: float | None = None,
        max_tokens: int | None = None,
    ) -> None:
        pair = (0.0, 0.0) if prices is None else prices
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(map(_is_price, pair))):
            raise ConfigError(
                "prices must be two numbers from 0, per million tokens of the prompt and of the "
                f"completion: got {prices}"
            )
        if max_cost is not None:
            if not (_is_price(max_cost) and max_cost > 0):
                raise ConfigError(f"max_cost must be a number above 0: got {max_cost!r}")
            if prices is None or max_tokens is None:
                raise ConfigError(
                    "max_cost needs prices and max_tokens: without them nobody knows "
                    "what the next request may cost"
                )
        self._prices = Prices(*pair)
        self._max_cost = max_cost
        self._max_tokens = max_tokens or 0
        self._held: list[float] = []
        self._lost = 0.0
        self._released = asyncio.Condition()
        self._usage = Usage(cost=None if prices is None else 0.0)

    @property
    def usage(self) -> Usage:
        """All that was counted so far."""
        return self._usage

    def count_failure(self) -> None:
        """Count a reply that never came."""
        old = self._usage
        self._usage = msgspec.structs.replace(
            old, requests=old.requests + 1, failures=old.failures + 1
        )

    def count(self, tokens: tuple[int, int] | None, *, cut: bool) -> None:
        """Count a reply that came.

        Args:
            tokens: of the prompt and of the completion, ``None`` if not reported.
            cut: whether it ended at the token limit.
        """
        old = self._usage
        prompt, completion = tokens or (0, 0)
        prompt += old.prompt_tokens
        completion += old.completion_tokens
        self._usage = Usage(
            requests=old.requests + 1,
            failures=old.failures,
            cut=old.cut + cut,
            prompt_tokens=prompt,
            completion_tokens=completion,
            unmetered=old.unmetered + (tokens is None),
            cost=None if old.cost is None else self._cost(prompt, completion),
        )

    @asynccontextmanager
    async def held(
        self, messages: Sequence[ChatMessage], fields: Mapping[str, Any]
    ) -> AsyncIterator[Hold]:
        """Around a request: wait until what it may cost is free, and hold it back.

        Args:
            messages: what is sent.
            fields: what is sent beside it; a schema among them may cost tokens, too.

        Raises:
            CapReached: it is not free, with no other request in flight either.
        """
        if self._max_cost is None:
            yield Hold(self, 0.0)
            return
        bound = self._bound(messages, fields)
        async with self._released:
            await self._released.wait_for(lambda: self._fits(bound) or not self._held)
            if not self._fits(bound):
                raise self._reached(bound)
            self._held.append(bound)
        hold = Hold(self, bound)
        try:
            yield hold
        finally:
            hold.end()
            async with self._released:
                self._held.remove(bound)
                self._released.notify_all()

    def _fits(self, bound: float) -> bool:
        assert self._max_cost is not None
        spent = (self._usage.cost or 0.0) + self._lost
        return spent + sum(self._held) + bound <= self._max_cost

    def _check_retry(self, bound: float) -> None:
        # What the next attempt may cost is held back already.
        if self._max_cost is not None and not self._fits(0.0):
            raise self._reached(bound)

    def _lose(self, bound: float) -> None:
        self._lost += bound

    def _reached(self, bound: float) -> CapReached:
        lost = f", up to {self._lost:.6g} went on what nobody reported" if self._lost else ""
        return CapReached(
            f"max_cost={self._max_cost:g} might be passed: {self._usage.cost:.6g} is "
            f"spent{lost}, and the next request can cost {bound:.6g}"
        )

    def _bound(self, messages: Sequence[ChatMessage], fields: Mapping[str, Any]) -> float:
        in_bytes = sum(len(message["content"].encode("utf-8", "replace")) for message in messages)
        in_bytes += len(json.dumps(fields))
        template = _TEMPLATE_TOKENS_PER_REQUEST + _TEMPLATE_TOKENS_PER_MESSAGE * len(messages)
        return self._cost(in_bytes + template, self._max_tokens)

    def _cost(self, prompt: int, completion: int) -> float:
        return (prompt * self._prices.prompt + completion * self._prices.completion) / 1e6


def _is_price(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < math.inf
