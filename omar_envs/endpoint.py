"""An endpoint with OpenAI's chat completions protocol, asked for many replies at once.

OpenAI itself, vLLM, SGLang, llama.cpp, Ollama, OpenRouter and many more speak it.
What comes back is told apart: an answer, or the reason why there is none.
"""

from __future__ import annotations

import asyncio
import math
import os
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from omar_envs.background import LoopThread
from omar_envs.endpoint_answers import Answer, NoAnswer, Outcome, Reader, Reply
from omar_envs.errors import ConfigError, StateError
from omar_envs.metering import CapReached, Hold, Meter
from omar_envs.types import ChatMessage

__all__ = ["Answer", "ChatRequest", "Endpoint", "NoAnswer", "Outcome"]

_OPENAI_HOST = "api.openai.com"

_Result = TypeVar("_Result")

_hold: ContextVar[Hold] = ContextVar("_hold")
"""Of the request that the running task sends; the client's hooks know no better."""

_turn: ContextVar[_Turn] = ContextVar("_turn")
"""The running task's turn to begin a request."""


class ChatRequest(NamedTuple):
    """Messages, and the fields of the request's body beside them and the model."""

    messages: Sequence[ChatMessage]
    fields: Mapping[str, Any]


class Endpoint:
    """One model behind an address.

    Requests run on an event loop in a thread of its own, so that ``ask`` also works
    where a loop is running already, as in a notebook.

    Args:
        model: its name there.
        base_url: what stands before ``/chat/completions``, as in
            ``http://localhost:8000/v1``; by default ``$OPENAI_BASE_URL``, or OpenAI's.
        api_key: by default ``$OPENAI_API_KEY``, whatever the address; servers that
            want none get a placeholder.
        concurrency: at most this many requests at once, 1 to 1000.
        timeout: seconds for which one attempt may hear nothing.
        max_retries: further attempts after a timeout, a lost connection, or status
            408, 409, 429 and 5xx, which wait as ``Retry-After`` says, or ever longer;
            and one of them after a body that is no chat completion. Nothing else tries
            again.
        meter: counts, and may refuse; by default one without a cap.

    Raises:
        ConfigError: a setting is out of range, there is no key for OpenAI's own
            address, or the library is missing.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        concurrency: int = 32,
        timeout: float = 60.0,
        max_retries: int = 4,
        meter: Meter | None = None,
    ) -> None:
        if not (isinstance(model, str) and model):
            raise ConfigError(f"model must be the model's name at the endpoint: got {model!r}")
        if type(concurrency) is not int or not 1 <= concurrency <= 1000:
            raise ConfigError(f"concurrency must be an integer from 1 to 1000: got {concurrency!r}")
        if type(timeout) not in (int, float) or not 0 < timeout < math.inf:
            raise ConfigError(f"timeout must be seconds, above 0: got {timeout!r}")
        if type(max_retries) is not int or max_retries < 0:
            raise ConfigError(f"max_retries must be an integer from 0: got {max_retries!r}")
        url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        key = api_key or os.environ.get("OPENAI_API_KEY") or None
        _check_address(url, key)
        self._openai = _library()
        self._client = self._openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=url,
            timeout=timeout,
            max_retries=max_retries,
            http_client=self._openai.DefaultAsyncHttpxClient(
                event_hooks={"request": [_sending], "response": [_answered]}
            ),
        )
        self.model = model
        self.url = str(self._client.base_url).rstrip("/")
        """The address that is asked, without a slash at its end."""
        self._reader = Reader(self._openai, key, timeout, max_retries)
        self._max_retries = max_retries
        self._slots = asyncio.Semaphore(concurrency)
        self._beginning = asyncio.Lock()
        self.meter = meter or Meter()
        self._loop = LoopThread(self._client.close)
        # Runs at the interpreter's exit too: nobody need close an endpoint.
        self._end = weakref.finalize(self, self._loop.stop)

    @property
    def is_openai(self) -> bool:
        """Whether the address is OpenAI's own."""
        return urlsplit(self.url).hostname == _OPENAI_HOST

    def ask(
        self, requests: Sequence[ChatRequest], goes_on: Callable[[Outcome], bool]
    ) -> list[Outcome | None]:
        """Send all requests, and wait.

        Args:
            requests: what to send.
            goes_on: called with each outcome as it comes; while it is false no more are
                sent, and those in flight may end.

        Returns:
            One outcome per request, in order; ``None`` for those that were not sent.

        Raises:
            StateError: the endpoint is closed.
        """
        self._check_open()
        return self._loop.run(self._ask_all(requests, goes_on))

    async def answer(
        self, request: ChatRequest, hopeless: dict[Endpoint, NoAnswer] | None = None
    ) -> Outcome:
        """Send one request, from any event loop; to cancel the wait gives it up.

        Args:
            request: what to send.
            hopeless: shared by the requests of one run. The first fatal outcome is put
                there, and is then the outcome of those that were not sent before.

        Raises:
            StateError: the endpoint is closed.
        """
        self._check_open()
        if self._loop.is_current:
            return await self._ask_in_turn(request, hopeless)
        return await asyncio.wrap_future(self._loop.submit(self._ask_in_turn(request, hopeless)))

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run ``work`` on the event loop of the connections, and wait.

        To ask from there costs less than from another loop.

        Raises:
            StateError: the endpoint is closed.
        """
        try:
            self._check_open()
        except StateError:
            work.close()
            raise
        return self._loop.run(work)

    def close(self) -> None:
        """Close the connections and end the thread. Doing it again does nothing."""
        self._end()

    def _check_open(self) -> None:
        if not self._end.alive:
            raise StateError(f"the connection to {self.url} is closed: make a new one")

    async def _ask_in_turn(
        self, request: ChatRequest, hopeless: dict[Endpoint, NoAnswer] | None
    ) -> Outcome:
        async with self._slots:
            if hopeless is not None and self in hopeless:
                return hopeless[self]
            outcome = await self._ask(request)
            if hopeless is None or not isinstance(outcome, NoAnswer):
                return outcome
            if outcome.fatal and not outcome.passing:
                hopeless[self] = outcome
            return outcome

    async def _ask_all(
        self, requests: Sequence[ChatRequest], goes_on: Callable[[Outcome], bool]
    ) -> list[Outcome | None]:
        stopped = False

        async def in_turn(request: ChatRequest) -> Outcome | None:
            nonlocal stopped
            async with self._slots:
                if stopped:
                    return None
                outcome = await self._ask(request)
                stopped = not goes_on(outcome)
                return outcome

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(in_turn(request)) for request in requests]
        return [task.result() for task in tasks]

    async def _ask(self, request: ChatRequest) -> Outcome:
        try:
            async with self.meter.held(request.messages, request.fields) as hold:
                _hold.set(hold)
                return await self._send(request, hold)
        except CapReached as reached:
            return _over_cap(reached)

    async def _send(self, request: ChatRequest, hold: Hold) -> Outcome:
        # Side by side, many requests would each be built a bit at a time: the first would
        # leave with the last, and their answers come all at once again and again.
        await self._beginning.acquire()
        turn = _Turn(self._beginning)
        _turn.set(turn)
        try:
            read = await self._attempts(request, turn)
        except self._openai.OpenAIError as error:
            self.meter.count_failure()
            if isinstance(error.__cause__, CapReached):
                # Those in flight may cost less than is held back for them.
                return _over_cap(error.__cause__)._replace(passing=True)
            return self._reader.diagnosis(error)
        finally:
            turn.end()
        if isinstance(read, NoAnswer):
            self.meter.count_failure()
            return read
        self.meter.count(read.tokens, cut=read.answer.cut)
        if read.tokens is not None:
            hold.known()
        return read.answer

    async def _attempts(self, request: ChatRequest, turn: _Turn) -> Reply | NoAnswer:
        """As many as the client makes, and one more for a body that is of no use."""
        read = await self._post(request, turn)
        if isinstance(read, NoAnswer) and turn.attempts <= self._max_retries:
            return await self._post(request, turn)
        return read

    async def _post(self, request: ChatRequest, turn: _Turn) -> Reply | NoAnswer:
        # The client's own method for it would walk through all messages, and read the
        # answer into models of its own, which cost more than all the rest.
        text = await self._client.post(
            "/chat/completions",
            cast_to=str,
            body={"messages": request.messages, "model": self.model, **request.fields},
            options={"max_retries": self._max_retries - turn.attempts},
        )
        return self._reader.read(text)


def _over_cap(reached: CapReached) -> NoAnswer:
    return NoAnswer(str(reached), "Raise max_cost, or leave it out.", fatal=True)


class _Turn:
    """A request's turn to be built; it ends once, when the request leaves.

    Attributes:
        attempts: how often it has left.
    """

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock: asyncio.Lock | None = lock
        self.attempts = 0

    def end(self) -> None:
        if self._lock is not None:
            self._lock.release()
        self._lock = None


async def _sending(request: Any) -> None:
    turn = _turn.get()
    turn.end()
    turn.attempts += 1
    _hold.get().sending()


async def _answered(response: Any) -> None:
    # Neither an error nor a redirection is billed.
    if response.status_code >= 300:
        _hold.get().known()


def _check_address(url: str | None, key: str | None) -> None:
    if url is None and key is None:
        raise ConfigError(
            "OpenAI's own endpoint wants a key: give api_key, or set OPENAI_API_KEY; "
            "for another one give base_url"
        )
    # Headers are ASCII; a line break in one would be quoted, key and all, in an error.
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(
            "the API key holds a space, a line break or a letter outside ASCII: copy it again"
        )
    if url is None:
        return
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"base_url must be like http://localhost:8000/v1: got {url!r}")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(
            "base_url must be a plain address, without user:password@, ? and #: "
            "a key belongs in api_key"
        )
    if parts.path.rstrip("/").endswith("/chat/completions"):
        raise ConfigError(f"base_url ends before /chat/completions: got {url!r}")


def _library() -> Any:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"this needs the library {error.name!r}: pip install 'omar-envs[openai]'"
        ) from None
    return openai
