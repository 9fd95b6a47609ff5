"""A language model that plays seats, and keeps the tokens to learn from."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from omar_envs.policy import Reply
from omar_envs.types import CHOOSE, View
from omar_trainers.generation import TransformersGenerator
from omar_trainers.generation_protocol import (
    GenerationRequest,
    GenerationResult,
    TextGenerator,
    as_stream,
)
from omar_trainers.reply import text_before_stop
from omar_trainers.rows import RowBook, RowKey, TokenRow
from omar_trainers.tokens import ChatTokenizer


class ModelPolicy:
    """Answers views by sampling; one growing row of tokens per game and agent.

    A row that would outgrow the context is closed: its further replies are
    silence. Nothing is cut. With a generator that streams, the policy streams
    (:class:`omar_envs.policy.StreamingPolicy`); otherwise all that is asked at once
    is one batch.

    Args:
        generator: samples the replies.
        tokens: of the generator's model.
        max_new_tokens_speak: longest speech, end token included.
        max_new_tokens_choose: longest choice, where it is not constrained.
        temperature: of the sampling; 0 is greedy.
        temperature_choose: of choices, where it is another one. Rows to learn from
            need one temperature throughout, for they are scored at one.
        constrain_choices: sample choices from their legal labels only.
        stop: a free reply ends where one of these stands. The tokens that spell it
            belong to the row; the game gets the text before it.
        name: what episodes call it.

    Raises:
        ValueError: a limit below 1, a negative temperature, or an empty stop string.
    """

    def __init__(
        self,
        generator: TextGenerator,
        tokens: ChatTokenizer,
        *,
        max_new_tokens_speak: int = 128,
        max_new_tokens_choose: int = 32,
        temperature: float = 1.0,
        temperature_choose: float | None = None,
        constrain_choices: bool = True,
        stop: Sequence[str] = (),
        name: str = "model",
    ) -> None:
        if max_new_tokens_speak < 1 or max_new_tokens_choose < 1:
            raise ValueError("max_new_tokens_speak and max_new_tokens_choose must be at least 1")
        choosing = temperature if temperature_choose is None else temperature_choose
        if min(temperature, choosing) < 0:
            raise ValueError(
                f"temperature must not be negative, got {temperature} and, to choose, {choosing}"
            )
        if "" in stop:
            raise ValueError("stop holds an empty string: every reply would end where it begins")
        self._stream = as_stream(generator)
        self._tokens = tokens
        self._max_speak = max_new_tokens_speak
        self._max_choose = max_new_tokens_choose
        self._temperature = temperature
        self._temperature_choose = choosing
        self._constrain = constrain_choices
        self._stop = tuple(stop)
        self._book = RowBook(tokens, generator.max_context)
        self._name = name
        self._waiting: dict[Hashable, tuple[View, TokenRow]] = {}
        self._silent: list[Reply] = []

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        temperature_choose: float | None = None,
        max_new_tokens_speak: int = 128,
        max_new_tokens_choose: int = 32,
        constrain_choices: bool = True,
        stop: Sequence[str] = (),
        chat_template_kwargs: Mapping[str, Any] | None = None,
        max_context: int | None = None,
        dtype: torch.dtype | None = None,
        device: str | torch.device | None = None,
        name: str | None = None,
    ) -> ModelPolicy:
        """A policy from a model's directory or hub name.

        Args:
            path: what ``from_pretrained`` of `transformers` takes.
            seed: of the sampling.
            temperature, temperature_choose, max_new_tokens_speak,
            max_new_tokens_choose, constrain_choices, stop: as for the class.
            chat_template_kwargs: arguments of the chat template, as for
                :class:`~omar_trainers.tokens.ChatTokenizer`.
            max_context: longest row; by default what the model was made for.
            dtype: of the weights; by default what they are stored in.
            device: where the model runs; by default a GPU if there is one.
            name: what episodes call it; by default the last part of ``path``.

        Raises:
            ValueError: the tokenizer's template or the model cannot be used.
            OSError: there is no model.
        """
        tokens = ChatTokenizer(AutoTokenizer.from_pretrained(path), chat_template_kwargs)
        model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype or "auto")
        model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        generator = TransformersGenerator(
            model.eval(),
            end_token_id=tokens.end_token_id,
            pad_token_id=tokens.pad_token_id,
            seed=seed,
            max_context=max_context or model.config.get_text_config().max_position_embeddings,
            decode=tokens.decode,
        )
        return cls(
            generator,
            tokens,
            max_new_tokens_speak=max_new_tokens_speak,
            max_new_tokens_choose=max_new_tokens_choose,
            temperature=temperature,
            temperature_choose=temperature_choose,
            constrain_choices=constrain_choices,
            stop=stop,
            name=name or Path(path).name,
        )

    @property
    def name(self) -> str:
        """What episodes call it."""
        return self._name

    @property
    def num_truncated_rows(self) -> int:
        """Rows closed so far because they would outgrow the context."""
        return self._book.num_truncated

    @property
    def num_silenced_replies(self) -> int:
        """Replies left empty so far because their row was closed."""
        return self._book.num_silenced

    def act(self, views: Sequence[View]) -> list[str]:
        """One reply per view; "" where the row is closed.

        Raises:
            ValueError: a view without a request, or a choice that the tokenizer
                cannot spell.
            RuntimeError: as :meth:`poll`.
        """
        self.submit(views)
        texts: dict[tuple[int, str], str] = {}
        while self._waiting or self._silent:
            texts |= {(reply.game, reply.agent): reply.text for reply in self.poll()}
        return [texts[view.game, view.agent] for view in views]

    def submit(self, views: Sequence[View]) -> None:
        """Ask the generator, beside what is under way; one reply per row at a time.

        Raises:
            ValueError: as :meth:`act`.
        """
        requests: list[GenerationRequest] = []
        with self._nothing_left_after_errors():
            for view in views:
                request = self._request(view)
                if request is None:
                    self._silent.append(Reply(view.game, view.agent, ""))
                else:
                    requests.append(request)
            if requests:
                self._stream.submit(requests)

    def poll(self) -> list[Reply]:
        """Replies since the last call; waits for one if any is under way.

        Raises:
            RuntimeError: the generator has lost a row, or answers one that another
                policy asked for: two policies cannot share one that streams. Its kind
                ``PolicyError``: the model's logits are no numbers.
        """
        silent, self._silent = self._silent, []
        with self._nothing_left_after_errors():
            found = self._stream.poll()
            if self._waiting and not (found or silent):
                raise RuntimeError(
                    f"the generator has nothing under way, but {len(self._waiting)} rows wait, "
                    f"such as {next(iter(self._waiting))}: it failed before, or another policy "
                    "took their replies"
                )
            return silent + [self._take(row, result) for row, result in found]

    @contextmanager
    def _nothing_left_after_errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._waiting.clear()
            self._silent.clear()
            raise

    def take_rows(self) -> dict[RowKey, TokenRow]:
        """The latest row of every game and agent since the last call.

        The rows are then the caller's. Call it between games, not during one: a
        row begun anew in mid-game encodes the earlier replies as prompt.
        """
        return self._book.take()

    def _request(self, view: View) -> GenerationRequest | None:
        """What to ask for, or None if the view's row is closed."""
        choices, max_new_tokens = self._limits(view)
        row = self._book.read(view, max_new_tokens)
        if row is None:
            return None
        key = (view.game, view.agent)
        self._waiting[key] = (view, row)
        choosing = view.request is not None and view.request.kind == CHOOSE
        return GenerationRequest(
            row=key,
            ids=row.ids,
            max_new_tokens=max_new_tokens,
            choices=choices,
            temperature=self._temperature_choose if choosing else self._temperature,
            stop=self._stop if choices is None else (),
        )

    def _take(self, key: Hashable, result: GenerationResult) -> Reply:
        if key not in self._waiting:
            raise RuntimeError(
                f"{self._name} got a reply for row {key!r}, which it did not ask for: give each "
                "policy a streaming generator of its own"
            )
        view, row = self._waiting.pop(key)
        if result.num_cached is not None and len(row.ids) > row.prompt_length:
            row.num_asked += len(row.ids)
            row.num_reused += result.num_cached
        self._book.write(
            view,
            result.ids,
            result.logprobs,
            result.allowed,
            finished=result.finished,
            stopped=result.stopped,
        )
        text = self._tokens.decode(result.ids)
        return Reply(
            view.game, view.agent, text_before_stop(text, self._stop) if result.stopped else text
        )

    def _limits(self, view: View) -> tuple[tuple[tuple[int, ...], ...] | None, int]:
        """The request's choices as token ids, and how many tokens the reply may have."""
        request = view.request
        if request is None:
            raise ValueError(f"{view.agent} is not asked anything: ask only who may act")
        if request.kind != CHOOSE:
            return None, self._max_speak
        if not self._constrain:
            return None, self._max_choose
        choices = tuple(self._tokens.choice_ids(label) for label in request.choices)
        return choices, max(map(len, choices)) + 1
