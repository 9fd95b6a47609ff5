"""One question to the judging model: asked once, once more if the answer cannot be used.

What comes of it is an answer that was read and checked, or the reason why there is
none. An answer that was once read well is kept, and the question not asked again.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from omar_envs.endpoint import ChatRequest, Endpoint, NoAnswer
from omar_envs.judge.cache import AnswerCache, cache_key
from omar_envs.judge.prompt import chat, system_message, with_rejected
from omar_envs.judge.rubrics import Rubric
from omar_envs.judge.schema import AnswerError, Sheet, answer_schema, read_answer
from omar_envs.parsing import clean, single_line

# How servers answer to a field that they do not know.
_REJECTING = (400, 422, 501)

SchemaMode = Literal["strict", "prompt"]


_hopeless: ContextVar[dict[Endpoint, NoAnswer]] = ContextVar("_hopeless")
"""Endpoints of the running task's run whose last word no other request can change."""


@contextmanager
def one_run() -> Iterator[None]:
    """Around many questions: an endpoint that cannot answer any is asked no more.

    What it said last stands for all later answers. The next run asks again.
    """
    token = _hopeless.set({})
    try:
        yield
    finally:
        _hopeless.reset(token)


class Question(NamedTuple):
    """What is asked.

    Attributes:
        rubric: what to score.
        document: the record, as data.
        keys: what the answer must have an entry for: participants, or acts.
        fields: of the request's body, for this question alone.
        sample: which of several answers to it.
    """

    rubric: Rubric
    document: dict[str, Any]
    keys: Sequence[str]
    fields: Mapping[str, Any]
    sample: int = 0


class Reading(NamedTuple):
    """An answer that was read, and when it came (ISO 8601, UTC)."""

    sheet: Sheet
    date: str


class Unread(NamedTuple):
    """Why there is no answer; ``status`` as in :class:`~omar_envs.types.JudgeResult`."""

    status: Literal["failed", "refused"]
    error: str


class Asker:
    """Asks one model, and keeps its answers.

    Args:
        endpoint: where the model is.
        name: what the cache calls the judge.
        fields: of every request's body, without the token limit.
        limit: the token limit's field.
        schema: whether the endpoint is held to the answer's schema, or only told it.
        cache: where answers are kept, ``None`` for nowhere.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        name: str,
        fields: Mapping[str, Any],
        limit: Mapping[str, int],
        schema: SchemaMode,
        cache: AnswerCache | None,
    ) -> None:
        self._endpoint = endpoint
        self._name = name
        self._fields = dict(fields)
        self._limit = dict(limit)
        self._schema = schema
        self._cache = cache

    async def ask(self, question: Question) -> Reading | Unread:
        """The answer; exceptions are for what is no answer's fault.

        Raises:
            StateError: the endpoint is closed.
        """
        system = system_message(question.rubric)
        fields = {**self._fields, **question.fields}
        if self._schema == "strict":
            fields["response_format"] = answer_schema(tuple(question.keys), question.rubric)
        messages = chat(system, question.document)
        key = cache_key(self._name, self._endpoint.model, fields, messages, question.sample)
        if (known := self._known(key, question)) is not None:
            return known
        # An answer that was not cut does not depend on where it would have been: the
        # limit is no part of the key, so that raising it asks no more than it must.
        body = {**fields, **self._limit}
        first = await self._attempt(ChatRequest(messages, body), question)
        if not isinstance(first, _Unusable):
            return self._keep(key, first)
        again = chat(system, with_rejected(question.document, first.answer, first.error))
        second = await self._attempt(ChatRequest(again, body), question)
        if isinstance(second, _Unusable):
            return Unread(
                "failed", f"two answers could not be used: {first.error}; then: {second.error}"
            )
        return self._keep(key, second)

    async def _attempt(
        self, request: ChatRequest, question: Question
    ) -> _Answered | Unread | _Unusable:
        outcome = await self._endpoint.answer(request, _hopeless.get({}))
        if isinstance(outcome, NoAnswer):
            return self._none(outcome)
        if outcome.refusal:
            return Unread("refused", f"{self._endpoint.model} refused: {outcome.refusal}")
        if outcome.cut:
            limit = ", ".join(f"{name}={value}" for name, value in self._limit.items())
            return Unread("failed", f"the answer was cut at {limit}. Raise max_tokens.")
        text = clean(outcome.text)
        try:
            sheet = read_answer(text, question.keys, question.rubric)
        except AnswerError as error:
            return _Unusable(text, single_line(clean(str(error))))
        return _Answered(text, Reading(sheet, _now()))

    def _none(self, outcome: NoAnswer) -> Unread:
        place = f"no answer from {self._endpoint.model!r} at {self._endpoint.url}"
        advice = outcome.advice
        if outcome.status in _REJECTING and self._schema == "strict" and not outcome.refused:
            advice += " If it does not know response_format's json_schema, set schema='prompt'."
        return Unread(
            "refused" if outcome.refused else "failed", f"{place}: {outcome.what}. {advice}"
        )

    def _known(self, key: str, question: Question) -> Reading | None:
        kept = None if self._cache is None else self._cache.get(key)
        if kept is None:
            return None
        try:
            return Reading(read_answer(kept.answer, question.keys, question.rubric), kept.date)
        except AnswerError:
            return None

    def _keep(self, key: str, answered: _Answered | Unread) -> Reading | Unread:
        if isinstance(answered, Unread):
            return answered
        if self._cache is not None:
            try:
                self._cache.put(key, answered.text, answered.reading.date)
            except OSError as error:
                # The judgement is sound, and was paid for: it must not be lost as well.
                warnings.warn(
                    f"an answer could not be kept in {self._cache.folder}: {error}",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return answered.reading


class _Answered(NamedTuple):
    text: str
    reading: Reading


class _Unusable(NamedTuple):
    answer: str
    error: str


def latest(readings: Iterable[Reading | Unread]) -> str:
    """When the last of the answers came, "" if there is none."""
    return max((r.date for r in readings if isinstance(r, Reading)), default="")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
