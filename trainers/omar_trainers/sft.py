"""Supervised learning on the own tokens of rows.

A row is what one seat read and wrote; only what it wrote is learned. This is how the
house models are made from nothing, and how controls go on learning: in memory, the
same weights from the same seed on every version of TRL. A model of any kind learns
from recorded games by :mod:`omar_trainers.cold_start`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from transformers import PreTrainedModel, Trainer, TrainingArguments
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from omar_envs.policy import Policy
from omar_envs.types import View
from omar_trainers.rows import RowBook, RowKey, TokenRow
from omar_trainers.tokens import ChatTokenizer

IGNORED = -100
"""Label of a token that is not learned."""


class RecordingPolicy:
    """Lets another policy play, and keeps rows as if a model had written its replies.

    Args:
        policy: plays.
        tokens: of the model that shall learn from it.
        max_context: longest row, in tokens; longer ones are closed as truncated,
            but the policy plays on.
    """

    def __init__(self, policy: Policy, tokens: ChatTokenizer, *, max_context: int) -> None:
        self._policy = policy
        self._tokens = tokens
        self._book = RowBook(tokens, max_context)

    @property
    def name(self) -> str:
        """The name of the policy that plays."""
        return self._policy.name

    def act(self, views: Sequence[View]) -> list[str]:
        """The policy's replies."""
        replies = list(self._policy.act(views))
        for view, reply in zip(views, replies, strict=True):
            ids = self._tokens.encode_reply(reply)
            if self._book.read(view, len(ids)) is not None:
                self._book.write(view, ids, [0.0] * len(ids), [None] * len(ids), finished=True)
        return replies

    def take_rows(self) -> dict[RowKey, TokenRow]:
        """The latest row of every game and agent since the last call."""
        return self._book.take()


class SFTResult(NamedTuple):
    """What a run of :func:`sft_rows` did.

    Attributes:
        steps: optimizer steps taken.
        loss: cross-entropy (nats per own token), mean over all steps.
        losses: (optimizer step, mean cross-entropy since the entry before).
    """

    steps: int
    loss: float
    losses: list[tuple[int, float]]


def sft_rows(
    model: PreTrainedModel,
    rows: Sequence[TokenRow],
    *,
    pad_token_id: int,
    lr: float,
    batch_size: int,
    seed: int,
    epochs: float | None = None,
    steps: int | None = None,
    warmup: float = 0.05,
    weight_decay: float = 0.0,
    progress: bool = False,
) -> SFTResult:
    """Train ``model`` in place on the own tokens of ``rows``.

    Learning rate: linear warmup, then a cosine to 0. Same model, rows and seed:
    same weights. The process-global generators are seeded by it (`transformers`
    draws the order of the rows from them).

    Args:
        model: a causal LM, left in eval mode.
        rows: at least one with own tokens.
        pad_token_id: fills up shorter rows.
        lr: highest learning rate (AdamW).
        batch_size: rows per optimizer step.
        seed: of the order of the rows.
        epochs, steps: how long; exactly one of them.
        warmup: share of the steps, in [0, 1].
        weight_decay: of AdamW.
        progress: show a progress bar.

    Raises:
        ValueError: both or neither of ``epochs`` and ``steps``, or nothing to learn.
    """
    if (epochs is None) == (steps is None):
        raise ValueError("give sft_rows either epochs or steps")
    examples = [example for row in rows if (example := labelled(row)) is not None]
    if not examples:
        raise ValueError("no row has a token of its own: there is nothing to learn")
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=scratch,
                per_device_train_batch_size=batch_size,
                num_train_epochs=1.0 if epochs is None else epochs,
                max_steps=-1 if steps is None else steps,
                learning_rate=lr,
                lr_scheduler_type="cosine",
                warmup_steps=warmup,
                weight_decay=weight_decay,
                train_sampling_strategy="group_by_length",
                remove_unused_columns=False,
                dataloader_pin_memory=False,
                seed=seed,
                logging_steps=50,
                save_strategy="no",
                report_to=[],
                disable_tqdm=not progress,
            ),
            train_dataset=examples,
            data_collator=DataCollatorForLanguageModeling(pad_token_id),
        )
        outcome = trainer.train()
    model.eval()
    losses = [(log["step"], log["loss"]) for log in trainer.state.log_history if "loss" in log]
    return SFTResult(outcome.global_step, outcome.training_loss, losses)


class Example(TypedDict):
    """A row to learn from: token ids, and the same with :data:`IGNORED` where not learned."""

    input_ids: list[int]
    labels: list[int]


def labelled(row: TokenRow, keep_turn: Sequence[bool] | None = None) -> Example | None:
    """The row up to the last token that is learned; None if none is.

    Args:
        row: of one seat.
        keep_turn: per turn of the row, whether its tokens are learned; all are, if None.
    """
    learned = [turn >= 0 and (keep_turn is None or keep_turn[turn]) for turn in row.turn_index]
    if not any(learned):
        return None
    stop = max(t for t, is_learned in enumerate(learned) if is_learned) + 1
    labels = [
        token if is_learned else IGNORED
        for token, is_learned in zip(row.ids[:stop], learned[:stop], strict=True)
    ]
    return {"input_ids": row.ids[:stop], "labels": labels}
