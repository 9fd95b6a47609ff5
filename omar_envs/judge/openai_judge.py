"""A judge behind any OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Self

import msgspec

from omar_envs.endpoint import Endpoint
from omar_envs.errors import ConfigError
from omar_envs.judge.asking import Asker, Question, Reading, SchemaMode, Unread, latest
from omar_envs.judge.cache import AnswerCache
from omar_envs.judge.lineup import Lineup, acts_of, read_acts
from omar_envs.judge.many import Progress, judge_each
from omar_envs.judge.prompt import with_acts
from omar_envs.judge.results import Judgement, TurnQuality
from omar_envs.judge.rubric_files import rubric_by_name
from omar_envs.judge.rubrics import IMPORTANCE, SOTOPIA, TURN_QUALITY, Rubric
from omar_envs.judge.scales import SCALES, Scale, rewards_of
from omar_envs.metering import Meter, Usage
from omar_envs.sampling import check_sampling, checked_extra, token_limit
from omar_envs.types import SPEAK, Episode, JudgeResult, JudgeStatus, Turn

_OWN_FIELDS = {
    *("messages", "model", "n", "response_format", "stream"),
    *("max_completion_tokens", "max_tokens", "seed"),
}


class OpenAIJudge:
    """Asks a chat model to score all participants of an episode at once.

    The rubric is the system message, the record is JSON data in the user message, under
    neutral names in an order that is shuffled for every call. The answer is held to a
    strict schema and checked again here; one that cannot be used is asked for once more,
    naming the error. After that the judgement has failed: no score is ever made up.
    What was answered well stays in the cache, so that a run that was stopped goes on
    where it was, and asks the same as it would have.

    ``judge`` may be awaited in any event loop, many times at once. The connections close
    with :meth:`close`, with a ``with`` block, or when the interpreter ends.

    Args:
        model: its name at the endpoint.
        name: what its results, and the cache, call it; by default the model's name. In a
            panel, judges at different addresses must have different names.
        base_url: what stands before ``/chat/completions``; by default
            ``$OPENAI_BASE_URL``, or OpenAI's.
        api_key: by default ``$OPENAI_API_KEY``, whatever the address.
        rubric: what to score, of unit ``episode``; or the name of a shipped one, or of a
            file, as :func:`omar_envs.judge.rubric_by_name` takes it.
        scale: what scores are worth as a reward, of one participant: ``raw`` their plain
            mean; ``unit`` the mean, by the dimensions' weights, of each score's place in
            its range, from 0 to 1; ``rubric`` the rubric's ``offset + factor ·`` weighted
            mean. It stands in ``rubric_version``, as in ``sotopia@1a2b3c4d/unit``.
        per_utterance: also weigh every act by its importance for the result, 0 to 3, of
            which a third is its share of the participant's reward (Sotopia-RL). One more
            request for each participant. Acts that are silent or could not be read get 0.
        samples: this many judgements of each episode, each in another order of the
            participants; the score is their median per dimension. If one fails, the
            judgement fails. Importances are asked for once.
        concurrency, timeout, max_retries: as for :class:`omar_envs.endpoint.Endpoint`.
        temperature: at least 0; ``None`` leaves it to the endpoint.
        max_tokens: longest answer in tokens, reasoning included; ``None`` leaves it to
            the endpoint. An answer that is cut has failed.
        schema: ``strict`` asks for ``response_format`` with a strict JSON schema;
            ``prompt`` only describes it, for endpoints that do not know such schemas.
        prices: per million tokens, of the prompt and of the completion, in any currency.
        max_cost: a request that might take ``usage.cost`` past it is not sent: its
            judgement has failed. Needs ``prices`` and ``max_tokens``.
        cache: a folder where answers are kept; ``None`` keeps none.
        seed: of the orders and of what is sent with each request; ``None`` sends none,
            for endpoints that refuse it.
        extra_body: further fields of every request, for what only some endpoints know.

    Raises:
        ConfigError: a setting is out of range, there is no key for OpenAI's own
            endpoint, the library is missing, or the cache's folder cannot be made.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        rubric: Rubric | str = SOTOPIA,
        scale: Scale = "raw",
        per_utterance: bool = False,
        samples: int = 1,
        concurrency: int = 32,
        timeout: float = 120.0,
        max_retries: int = 4,
        temperature: float | None = 0.0,
        max_tokens: int | None = 4096,
        schema: SchemaMode = "strict",
        prices: tuple[float, float] | None = None,
        max_cost: float | None = None,
        cache: str | os.PathLike[str] | None = None,
        seed: int | None = 0,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(rubric, str):
            rubric = rubric_by_name(rubric)
        if not isinstance(rubric, Rubric):
            raise ConfigError(f"rubric must be a Rubric, or the name of one: got {rubric!r}")
        if rubric.unit != "episode":
            raise ConfigError(f"rubric {rubric.name} scores single acts, not whole episodes")
        if scale not in SCALES:
            raise ConfigError(f"scale must be one of {', '.join(SCALES)}: got {scale!r}")
        if type(samples) is not int or samples < 1:
            raise ConfigError(f"samples must be an integer from 1: got {samples!r}")
        for setting, number in (("seed", seed), ("max_tokens", max_tokens)):
            if number is not None and type(number) is not int:
                raise ConfigError(f"{setting} must be None or an integer: got {number!r}")
        if temperature is not None and type(temperature) not in (int, float):
            raise ConfigError(f"temperature must be None or a number: got {temperature!r}")
        check_sampling(seed, temperature, max_tokens)
        if schema not in ("strict", "prompt"):
            raise ConfigError(f"schema must be 'strict' or 'prompt': got {schema!r}")
        extra = checked_extra(extra_body, _OWN_FIELDS)
        try:
            json.dumps(extra)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"extra_body cannot be sent as JSON: {error}") from None
        kept = None if cache is None else AnswerCache(cache)
        self._endpoint = Endpoint(
            model,
            base_url=base_url,
            api_key=api_key,
            concurrency=concurrency,
            timeout=timeout,
            max_retries=max_retries,
            meter=Meter(prices, max_cost, max_tokens),
        )
        limit = token_limit(max_tokens, is_openai=self._endpoint.is_openai)
        fields = {} if temperature is None else {"temperature": temperature}
        self._name = name or model
        self._asker = Asker(self._endpoint, self._name, fields | extra, limit, schema, kept)
        self._rubric = rubric
        self._scale: Scale = scale
        self._per_utterance = per_utterance
        self._samples = samples
        self._seed = seed
        # Enough to keep the endpoint busy. Building more requests beforehand would hold up
        # the first ones.
        self._at_once = concurrency + concurrency // 8 + 1

    @property
    def model(self) -> str:
        """The ``model`` of its results: its name."""
        return self._name

    @property
    def url(self) -> str:
        """The address that is asked."""
        return self._endpoint.url

    @property
    def version(self) -> str:
        """The ``rubric_version`` of its results."""
        return f"{self._rubric.version}/{self._scale}"

    @property
    def usage(self) -> Usage:
        """Requests, failures, tokens and cost so far; what the cache gave costs nothing."""
        return self._endpoint.meter.usage

    async def judge(self, episode: Episode) -> JudgeResult:
        """Judge one episode. Failures are results, not exceptions.

        Raises:
            StateError: the judge is closed.
        """
        return (await self.judgement(episode)).result

    async def judgement(self, episode: Episode) -> Judgement:
        """Judge one episode, and show every sample beside what they come to.

        Raises:
            StateError: the judge is closed.
        """
        try:
            lineups = [Lineup(episode, self._seed, sample) for sample in range(self._samples)]
        except ValueError as error:
            failed = self._result("failed", error=f"this episode cannot be judged: {error}")
            return Judgement(failed, (failed,))
        parts = tuple(await asyncio.gather(*(self._sample(lineup) for lineup in lineups)))
        result = self._median(parts)
        if self._per_utterance and result.status == "ok":
            result = await self._with_importances(result, lineups[0])
        return Judgement(result, parts)

    async def judge_turns(self, episode: Episode) -> TurnQuality:
        """Tell sound acts from degenerate ones (``TURN_QUALITY``), as a trainer's filter wants.

        Only words are asked about. A choice is sound, and so is silence where it is
        allowed; an act that could not be read is not.

        Raises:
            StateError: the judge is closed.
        """
        stamped = TurnQuality("ok", model=self.model, rubric_version=TURN_QUALITY.version)
        try:
            lineup = Lineup(episode, self._seed, 0)
        except ValueError as error:
            reason = f"this episode cannot be judged: {error}"
            return msgspec.structs.replace(stamped, status="failed", error=reason)
        asked = {agent: read_acts(episode, agent, _is_speech) for agent in lineup.agents}
        readings = await self._about_acts(lineup, TURN_QUALITY, asked)
        keep: dict[str, tuple[bool, ...]] = {}
        reasons: dict[str, tuple[str, ...]] = {}
        for seat in episode.seats:
            agent = seat.agent
            reading = readings[agent]
            if isinstance(reading, Unread):
                return msgspec.structs.replace(stamped, status=reading.status, error=reading.error)
            found = {key: scores["sound"] for key, scores in reading.sheet.items()}
            acts = list(acts_of(episode, agent).items())
            keep[agent] = tuple(
                bool(found[key].score) if key in found else turn.valid for key, (turn, _) in acts
            )
            reasons[agent] = tuple(found[key].reasoning if key in found else "" for key, _ in acts)
        date = latest(readings.values())
        return msgspec.structs.replace(stamped, keep=keep, reasons=reasons, date=date)

    def judge_many(
        self, episodes: Sequence[Episode], progress: Progress | None = None
    ) -> list[JudgeResult]:
        """Judge episodes and wait; works inside a running event loop, too.

        An interrupt gives up what is in flight.

        Args:
            episodes: the results stand in their order.
            progress: called with an episode's number and its judgement as they come,
                from another thread, one call at a time.

        Raises:
            StateError: the judge is closed.
        """
        each = judge_each(self, episodes, progress, self._at_once)
        return [done.result for done in self._endpoint.run(each)]

    def close(self) -> None:
        """Close the connections. Doing it again does nothing."""
        self._endpoint.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def _sample(self, lineup: Lineup) -> JudgeResult:
        question = Question(
            self._rubric, lineup.document, tuple(lineup.keys.values()), lineup.fields, lineup.sample
        )
        reading = await self._asker.ask(question)
        if isinstance(reading, Unread):
            return self._result(reading.status, error=reading.error)
        rows = {seat.agent: reading.sheet[lineup.keys[seat.agent]] for seat in lineup.episode.seats}
        scores = {
            agent: {name: float(score.score) for name, score in row.items()}
            for agent, row in rows.items()
        }
        reasons = {
            agent: {name: score.reasoning for name, score in row.items()}
            for agent, row in rows.items()
        }
        return self._scored(scores, reasons, reading.date)

    def _median(self, parts: Sequence[JudgeResult]) -> JudgeResult:
        if len(parts) == 1:
            return parts[0]
        lost = [part for part in parts if part.status != "ok"]
        if lost:
            reason = f"{len(lost)} of {len(parts)} samples: {lost[0].error}"
            return self._result(lost[0].status, error=reason)
        tables = [part.scores or {} for part in parts]
        scores = {
            agent: {name: float(median(table[agent][name] for table in tables)) for name in row}
            for agent, row in tables[0].items()
        }
        words = [part.reasons or {} for part in parts]
        reasons = {
            agent: {name: " | ".join(each[agent][name] for each in words) for name in row}
            for agent, row in words[0].items()
        }
        return self._scored(scores, reasons, max(part.date for part in parts))

    async def _with_importances(self, result: JudgeResult, lineup: Lineup) -> JudgeResult:
        asked = {agent: read_acts(lineup.episode, agent, _any) for agent in lineup.agents}
        readings = await self._about_acts(lineup, IMPORTANCE, asked)
        importances: dict[str, tuple[float, ...]] = {}
        for seat in lineup.episode.seats:
            reading = readings[seat.agent]
            if isinstance(reading, Unread):
                return self._result(reading.status, error=f"importances: {reading.error}")
            (dimension,) = IMPORTANCE.dimensions
            found = {key: row[dimension.name].score for key, row in reading.sheet.items()}
            importances[seat.agent] = tuple(
                found.get(key, 0) / dimension.high for key in acts_of(lineup.episode, seat.agent)
            )
        date = max(result.date, latest(readings.values()))
        return msgspec.structs.replace(result, importances=importances, date=date)

    async def _about_acts(
        self, lineup: Lineup, rubric: Rubric, acts: Mapping[str, Mapping[str, int]]
    ) -> dict[str, Reading | Unread]:
        """One request for each agent that has acts to ask about."""

        async def about(agent: str) -> Reading | Unread:
            if not acts[agent]:
                return Reading({}, "")
            document = with_acts(lineup.document, lineup.keys[agent], acts[agent])
            question = Question(rubric, document, tuple(acts[agent]), lineup.fields, lineup.sample)
            return await self._asker.ask(question)

        readings = await asyncio.gather(*(about(agent) for agent in acts))
        return dict(zip(acts, readings, strict=True))

    def _scored(
        self,
        scores: dict[str, dict[str, float]],
        reasons: dict[str, dict[str, str]],
        date: str,
    ) -> JudgeResult:
        result = self._result("ok")
        rewards = rewards_of(scores, self._rubric, self._scale)
        return msgspec.structs.replace(
            result, scores=scores, reasons=reasons, rewards=rewards, date=date
        )

    def _result(self, status: JudgeStatus, error: str = "") -> JudgeResult:
        return JudgeResult(status, model=self.model, rubric_version=self.version, error=error)


def judge_from_url(text: str, **settings: Any) -> OpenAIJudge:
    """The judge that ``URL#model`` names, as in ``http://localhost:8000/v1#Qwen/Qwen3-4B``.

    Args:
        text: the address and the model's name there.
        settings: as for :class:`OpenAIJudge`.

    Raises:
        ConfigError: it names no model, the address is none, or as the class.
    """
    url, _, model = text.partition("#")
    if not url or not model:
        raise ConfigError(
            f"a judge is named by URL#model, as in http://localhost:8000/v1#NAME: got {text!r}"
        )
    return OpenAIJudge(model, base_url=url, **settings)


def _is_speech(turn: Turn) -> bool:
    return turn.request.kind is SPEAK


def _any(turn: Turn) -> bool:
    return True
