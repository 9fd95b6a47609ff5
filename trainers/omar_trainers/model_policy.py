"""A language model that plays seats, and keeps the tokens to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from omar_envs.types import CHOOSE, View
from omar_trainers.generation import (
    GenerationRequest,
    TextGenerator,
    TransformersGenerator,
)
from omar_trainers.rows import RowBook, RowKey, TokenRow
from omar_trainers.tokens import ChatTokenizer


class ModelPolicy:
    """Answers views by sampling; one growing row of tokens per game and agent.

    A row that would outgrow the context is closed: its further replies are
    silence. Nothing is cut.

    Args:
        generator: samples the replies.
        tokens: of the generator's model.
        max_new_tokens_speak: longest speech, end token included.
        max_new_tokens_choose: longest choice, where it is not constrained.
        temperature: of the sampling; 0 is greedy.
        constrain_choices: sample choices from their legal labels only.
        name: what episodes call it.

    Raises:
        ValueError: a limit below 1, or a negative temperature.
    """

    def __init__(
        self,
        generator: TextGenerator,
        tokens: ChatTokenizer,
        *,
        max_new_tokens_speak: int = 128,
        max_new_tokens_choose: int = 32,
        temperature: float = 1.0,
        constrain_choices: bool = True,
        name: str = "model",
    ) -> None:
        if max_new_tokens_speak < 1 or max_new_tokens_choose < 1:
            raise ValueError("max_new_tokens_speak and max_new_tokens_choose must be at least 1")
        if temperature < 0:
            raise ValueError(f"temperature must not be negative, got {temperature}")
        self._generator = generator
        self._tokens = tokens
        self._max_speak = max_new_tokens_speak
        self._max_choose = max_new_tokens_choose
        self._temperature = temperature
        self._constrain = constrain_choices
        self._book = RowBook(tokens, generator.max_context)
        self._name = name

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        max_new_tokens_speak: int = 128,
        max_new_tokens_choose: int = 32,
        constrain_choices: bool = True,
        max_context: int | None = None,
        dtype: torch.dtype | None = None,
        device: str | torch.device | None = None,
        name: str | None = None,
    ) -> ModelPolicy:
        """A policy from a model's directory or hub name.

        Args:
            path: what ``from_pretrained`` of `transformers` takes.
            seed: of the sampling.
            temperature, max_new_tokens_speak, max_new_tokens_choose,
            constrain_choices: as for the class.
            max_context: longest row; by default what the model was made for.
            dtype: of the weights; by default what they are stored in.
            device: where the model runs; by default a GPU if there is one.
            name: what episodes call it; by default the last part of ``path``.

        Raises:
            ValueError: the tokenizer's template or the model cannot be used.
            OSError: there is no model.
        """
        tokens = ChatTokenizer(AutoTokenizer.from_pretrained(path))
        model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype or "auto")
        model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        generator = TransformersGenerator(
            model.eval(),
            end_token_id=tokens.end_token_id,
            pad_token_id=tokens.pad_token_id,
            seed=seed,
            max_context=max_context or model.config.max_position_embeddings,
        )
        return cls(
            generator,
            tokens,
            max_new_tokens_speak=max_new_tokens_speak,
            max_new_tokens_choose=max_new_tokens_choose,
            temperature=temperature,
            constrain_choices=constrain_choices,
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
        """
        replies = [""] * len(views)
        asked: list[int] = []
        requests: list[GenerationRequest] = []
        for i, view in enumerate(views):
            choices, max_new_tokens = self._limits(view)
            row = self._book.read(view, max_new_tokens)
            if row is not None:
                asked.append(i)
                requests.append(
                    GenerationRequest(
                        row=(view.game, view.agent),
                        ids=row.ids,
                        max_new_tokens=max_new_tokens,
                        choices=choices,
                        temperature=self._temperature,
                    )
                )
        for i, result in zip(asked, self._generator.generate(requests), strict=True):
            self._book.write(
                views[i], result.ids, result.logprobs, result.allowed, finished=result.finished
            )
            replies[i] = self._tokens.decode(result.ids)
        return replies

    def take_rows(self) -> dict[RowKey, TokenRow]:
        """The latest row of every game and agent since the last call.

        The rows are then the caller's. Call it between games, not during one: a
        row begun anew in mid-game encodes the earlier replies as prompt.
        """
        return self._book.take()

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
