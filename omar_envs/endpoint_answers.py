"""What comes back from a chat completions endpoint, read and told apart."""

from __future__ import annotations

import json
from typing import Annotated, Any, NamedTuple

import msgspec

from omar_envs.parsing import clean, single_line

_LONGEST_QUOTE = 300

_Count = Annotated[int, msgspec.Meta(ge=0)]


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
        passing: fatal for this request; another may fare better once those in flight have
            ended.
        refused: a filter on the content would not let the request through.
        status: of HTTP, 0 if that is not what went wrong.
    """

    what: str
    advice: str
    fatal: bool = False
    refused: bool = False
    status: int = 0
    passing: bool = False


Outcome = Answer | NoAnswer


class Reply(NamedTuple):
    """An answer, and the tokens of prompt and completion, ``None`` if not reported."""

    answer: Answer
    tokens: tuple[int, int] | None


class Reader:
    """Reads one endpoint's answers, and says what went wrong with those that never came.

    Args:
        openai: the client's library, for its errors.
        key: never quoted.
        timeout, max_retries: of the client, for what is said of it.
    """

    def __init__(self, openai: Any, key: str | None, timeout: float, max_retries: int) -> None:
        self._openai = openai
        self._key = key
        self._timeout = timeout
        self._retried = f"max_retries={max_retries}"
        self._had_one = False

    def read(self, body: str) -> Reply | NoAnswer:
        """The body of a response of status 200."""
        try:
            completion = _read(body)
        except ValueError as error:
            return NoAnswer(
                f"the answer is no chat completion: {self._quote(error)}",
                "The endpoint answered before: see its log."
                if self._had_one
                else "Is base_url right? Mostly it ends in /v1.",
            )
        self._had_one = True
        first = completion.choices[0]
        answer = Answer(
            first.message.content or "", first.finish_reason == "length", self._refusal(first)
        )
        return Reply(answer, _tokens(completion))

    def diagnosis(self, error: Any) -> NoAnswer:
        """What one of the library's errors means."""
        if isinstance(error, self._openai.APITimeoutError):
            return NoAnswer(
                f"timed out, timeout={self._timeout:g} s, {self._retried}",
                "Raise timeout, or lower concurrency.",
            )
        if isinstance(error, self._openai.APIConnectionError):
            cause = error.__cause__ or error
            # Some say no more than what they are.
            reason = self._quote(cause) or type(cause).__name__
            return NoAnswer(
                f"no connection ({reason}), {self._retried}",
                "Is the server running, and base_url right?",
            )
        if not isinstance(error, self._openai.APIStatusError):
            return NoAnswer(self._quote(error), "The client library refused the request.")
        return self._diagnosis_of_status(error)._replace(status=error.status_code)

    def _refusal(self, choice: _Choice) -> str:
        if choice.finish_reason == "content_filter":
            return "the endpoint's content filter stopped the answer"
        refusal = choice.message.refusal
        return self._quote(refusal) if isinstance(refusal, str) and refusal else ""

    def _diagnosis_of_status(self, error: Any) -> NoAnswer:
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
            return NoAnswer(f"{what}, {self._retried}", "Lower concurrency, or raise max_retries.")
        if status >= 500:
            return NoAnswer(f"{what}, {self._retried}", "See the server's log.")
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
