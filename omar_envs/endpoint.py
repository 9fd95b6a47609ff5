"""An endpoint with OpenAI's chat completions protocol, asked for many replies at once.

OpenAI itself, vLLM, SGLang, llama.cpp, Ollama, OpenRouter and many more speak it.
What comes back is told apart: an answer, or the reason why there is none.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from omar_envs.background import LoopThread
from omar_envs.errors import ConfigError, StateError
from omar_envs.metering import CapReached, Hold, Meter
from omar_envs.parsing import clean, single_line
from omar_envs.types import ChatMessage

__all__ = ["Answer", "ChatRequest", "Endpoint", "NoAnswer", "Outcome"]

_OPENAI_HOST = "api.openai.com"
_LONGEST_QUOTE = 300

_Result = TypeVar("_Result")

_hold: ContextVar[Hold] = ContextVar("_hold")
"""Of the request that the running task sends; the client's hooks know no better."""

_turn: ContextVar[_Turn] = ContextVar("_turn")
"""The running task's turn to begin a request."""

_Count = Annotated[int, msgspec.Meta(ge=0)]


class ChatRequest(NamedTuple):
    """Messages, and the fields of the request's body beside them and the model."""

    messages: Sequence[ChatMessage]
    fields: Mapping[str, Any]


class Answer(NamedTuple):
    """The first choice.

    Attributes:
        text: its content, "" if it has none.
        cut: whether the token limit cut it.
        refusal: why the model, or a filter before it, would not answer; "" if it did.
    """

    text: str
    cut: bool
    refusal: str = ""


class NoAnswer(NamedTuple):
    """Why there is none.

    Attributes:
        what: what was seen, a single line.
        advice: what to do about it, a sentence.
        fatal: no other request can fare better: the key, the model, the address or
            the money is at fault.
        refused: a filter on the content would not let the request through.
        status: of HTTP, 0 if that is not what went wrong.
    """

    what: str
    advice: str
    fatal: bool = False
    refused: bool = False
    status: int = 0


Outcome = Answer | NoAnswer


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
            408, 409, 429 and 5xx. They wait as ``Retry-After`` says, or ever longer.
            Nothing else tries again.
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
        if not model:
            raise ConfigError("model must be the model's name at the endpoint: got ''")
        if not 1 <= concurrency <= 1000:
            raise ConfigError(f"concurrency must be from 1 to 1000: got {concurrency}")
        if not 0 < timeout < math.inf:
            raise ConfigError(f"timeout must be seconds, above 0: got {timeout}")
        if max_retries < 0:
            raise ConfigError(f"max_retries must not be negative: got {max_retries}")
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
        self._key = key
        self._timeout = timeout
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

    async def answer(self, request: ChatRequest) -> Outcome:
        """Send one request, from any event loop; to cancel the wait gives it up.

        Raises:
            StateError: the endpoint is closed.
        """
        self._check_open()
        if self._loop.is_current:
            return await self._ask_in_turn(request)
        return await asyncio.wrap_future(self._loop.submit(self._ask_in_turn(request)))

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

    async def _ask_in_turn(self, request: ChatRequest) -> Outcome:
        async with self._slots:
            return await self._ask(request)

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
            return NoAnswer(str(reached), "Raise max_cost, or leave it out.", fatal=True)

    async def _send(self, request: ChatRequest, hold: Hold) -> Outcome:
        # Side by side, many requests would each be built a bit at a time: the first would
        # leave with the last, and their answers come all at once again and again.
        await self._beginning.acquire()
        turn = _Turn(self._beginning)
        _turn.set(turn)
        try:
            # The client's own method for it would walk through all messages, and read the
            # answer into models of its own, which cost more than all the rest.
            text = await self._client.post(
                "/chat/completions",
                cast_to=str,
                body={"messages": request.messages, "model": self.model, **request.fields},
            )
        except self._openai.OpenAIError as error:
            self.meter.count_failure()
            if isinstance(error.__cause__, CapReached):
                raise error.__cause__ from None
            return self._diagnosis(error)
        finally:
            turn.end()
        try:
            completion = _read(text)
        except ValueError as error:
            self.meter.count_failure()
            return NoAnswer(
                f"the answer is no chat completion: {self._quote(error)}",
                "Is base_url right? Mostly it ends in /v1.",
            )
        first = completion.choices[0]
        answer = Answer(
            first.message.content or "", first.finish_reason == "length", self._refusal(first)
        )
        tokens = _tokens(completion)
        self.meter.count(tokens, cut=answer.cut)
        if tokens is not None:
            hold.known()
        return answer

    def _refusal(self, choice: _Choice) -> str:
        if choice.finish_reason == "content_filter":
            return "the endpoint's content filter stopped the answer"
        refusal = choice.message.refusal
        return self._quote(refusal) if isinstance(refusal, str) and refusal else ""

    def _diagnosis(self, error: Any) -> NoAnswer:
        retried = f"max_retries={self._max_retries}"
        if isinstance(error, self._openai.APITimeoutError):
            return NoAnswer(
                f"timed out, timeout={self._timeout:g} s, {retried}",
                "Raise timeout, or lower concurrency.",
            )
        if isinstance(error, self._openai.APIConnectionError):
            return NoAnswer(
                f"no connection ({self._quote(error.__cause__ or error)}), {retried}",
                "Is the server running, and base_url right?",
            )
        if not isinstance(error, self._openai.APIStatusError):
            return NoAnswer(self._quote(error), "The client library refused the request.")
        return self._diagnosis_of_status(error)._replace(status=error.status_code)

    def _diagnosis_of_status(self, error: Any) -> NoAnswer:
        retried = f"max_retries={self._max_retries}"
        status: int = error.status_code
        what = f"HTTP {status}: {self._quote(error.response.text or 'nothing said')}"
        if status in (401, 403):
            return NoAnswer(what, "Give api_key, or set OPENAI_API_KEY.", fatal=True)
        if status == 402 or error.code == "insufficient_quota":
            return NoAnswer(what, "The account has no credit left.", fatal=True)
        if status == 404:
            return NoAnswer(
                what,
                "Is this model served there, and base_url right? Mostly it ends in /v1.",
                fatal=True,
            )
        if error.code == "content_filter":
            return NoAnswer(what, "The endpoint filters what it is sent.", refused=True)
        if status == 429:
            return NoAnswer(f"{what}, {retried}", "Lower concurrency, or raise max_retries.")
        if status >= 500:
            return NoAnswer(f"{what}, {retried}", "See the server's log.")
        return NoAnswer(
            what,
            "Is the model's name right, does the prompt fit its context, and does the "
            "endpoint know these settings?",
        )

    def _quote(self, text: object) -> str:
        quoted = single_line(clean(str(text)))
        if self._key is not None:
            quoted = quoted.replace(self._key, "***")
        return quoted if len(quoted) <= _LONGEST_QUOTE else f"{quoted[:_LONGEST_QUOTE]}…"


class _Said(msgspec.Struct):
    content: str | None = None
    refusal: Any = None


class _Choice(msgspec.Struct):
    message: _Said
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1)]
    usage: Any = None


class _Tokens(msgspec.Struct):
    prompt_tokens: _Count
    completion_tokens: _Count


class _Turn:
    """A request's turn to be built; it ends once, when the request leaves."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock: asyncio.Lock | None = lock

    def end(self) -> None:
        if self._lock is not None:
            self._lock.release()
        self._lock = None


async def _sending(request: Any) -> None:
    _turn.get().end()
    _hold.get().sending()


async def _answered(response: Any) -> None:
    # Neither an error nor a redirection is billed.
    if response.status_code >= 300:
        _hold.get().known()


def _read(body: str) -> _Completion:
    # msgspec's own reader refuses lone surrogates, as half a sampled character gives
    # them; the environment replaces them.
    try:
        return msgspec.convert(json.loads(body), _Completion)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _tokens(completion: _Completion) -> tuple[int, int] | None:
    # Bookkeeping that cannot be read is no reason to lose the reply that came with it.
    try:
        tokens = msgspec.convert(completion.usage, _Tokens)
    except msgspec.ValidationError:
        return None
    return tokens.prompt_tokens, tokens.completion_tokens


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
