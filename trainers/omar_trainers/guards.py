"""What ends a run before it does harm, and says why.

An update that is no number, or far too large, is stopped before it reaches the
weights, with its batch saved for study. Memory that runs out is reported with the
settings that need less. A run whose rewards mostly could not be determined stops
before it learns from the rest, and one that is paid what is no number stops at
once. All processes stop together for a bad update, for bad or unknown rewards, and
for any error while playing; where memory runs out
in a step that the processes make together, the launcher ends the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from omar_envs.errors import OmarError
from omar_envs.types import Episode
from omar_trainers.resuming.changed_settings import how_to_change

FAILED_FOLDER = "failed"
"""Where batches of refused updates are saved, in the output folder."""

_Played = TypeVar("_Played")
STOPPED = 3
"""Exit code of a run that was ended on purpose."""

Phase = Literal["playing", "scoring", "training"]

_KNOBS: Mapping[Phase, str] = {
    "playing": (
        "lower max_row_tokens or max_new_tokens_speak (shorter rows), or, in a new run, "
        "games_per_iteration (fewer rows at once)"
    ),
    "scoring": "lower per_device_train_batch_size (the update stays the same) or max_row_tokens",
    "training": (
        "lower per_device_train_batch_size (the update stays the same) or max_row_tokens, set "
        "activation_checkpointing or bf16, or train adapters (use_peft, critic: lora), which takes "
        "a new run"
    ),
}

# A knob of each phase that a run cannot turn without a word.
_BOUND: Mapping[Phase, str] = {
    "playing": "max_new_tokens_speak",
    "scoring": "max_row_tokens",
    "training": "max_row_tokens",
}

# How torch's allocator on CPUs, CUDA, its libraries and NCCL say that memory is used up,
# where what is raised is a plain RuntimeError.
_SIGNS = (
    *("not enough memory", "can't allocate memory"),
    *("CUDA out of memory", "CUDA error: out of memory", "HIP out of memory"),
    *("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "CUSOLVER_STATUS_ALLOC_FAILED"),
    *("Failed to CUDA calloc", "Failed to CUDA malloc", "'out of memory'"),
)


class TrainingError(OmarError, RuntimeError):
    """Training was ended on purpose, before harm or waste."""


class OutOfMemory(TrainingError):
    """Memory ran out; the message names the phase and what to turn."""


class FailedElsewhere(TrainingError):
    """Another process met an error that is none of training's own."""


class RefusedUpdate(TrainingError):
    """An update was no number or far too large, and was not made."""


class RewardIsNoNumber(TrainingError):
    """A game paid NaN or infinity."""


class TooManyUnscored(TrainingError):
    """Too many rewards could not be determined."""


@contextmanager
def memory_guard(phase: Phase) -> Iterator[None]:
    """Around a phase: memory that runs out in it says which settings to turn.

    Raises:
        OutOfMemory: in place of torch's own error.
    """
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if isinstance(error, TrainingError) or not _is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"out of memory while {phase}: {_KNOBS[phase]}. The last checkpoint is untouched; "
            f"per_device_train_batch_size and activation_checkpointing may change at once, and "
            f"{how_to_change(_BOUND[phase])}. ({str(error).splitlines()[0]})"
        ) from error


def together(play: Callable[[], _Played]) -> _Played:
    """Play on every process; where one fails, all stop when they have played.

    Raises:
        OutOfMemory: on all processes, where memory ran out on one.
        FailedElsewhere: on the others, with the first error of any other kind; where it
            was met it is raised as it was.
    """
    played: _Played | None = None
    failure: Exception | None = None
    try:
        with memory_guard("playing"):
            played = play()
    except Exception as error:
        failure = error
    kind = OutOfMemory if isinstance(failure, OutOfMemory) else FailedElsewhere
    report = "" if failure is None else str(failure)
    if kind is FailedElsewhere and failure is not None:
        report = f"{type(failure).__name__}: {failure}"
    reports: list[tuple[type[TrainingError], str]] = gather_object([(kind, report)])
    if failure is not None:
        raise failure
    for kind, report in reports:
        if report:
            raise kind(f"another process: {report}")
    assert played is not None
    return played


def check_rewards(episodes: Iterable[Episode]) -> None:
    """Stop before anything is learned from a reward that is NaN or infinite.

    Raises:
        RewardIsNoNumber: for the first one; the message names game, agent and component.
    """
    for episode in episodes:
        paid = [(turn.agent, turn.reward_components) for turn in episode.turns]
        for agent, parts in [*episode.rewards.items(), *paid]:
            for component, amount in parts.items():
                if amount is not None and not math.isfinite(amount):
                    raise RewardIsNoNumber(
                        f"in the {episode.env} game of seed {episode.seed}, {agent} was paid "
                        f"{amount} as {component}, and nothing was learned from the games of this "
                        "iteration: mend what pays it (None means that a reward could not be "
                        "determined), then run the same command again"
                    )


def check_unscored(unscored: int, seats: int, most: float) -> None:
    """Stop all processes where too many rewards could not be determined.

    Args:
        unscored: seats of this process without a full reward.
        seats: all seats of this process.
        most: largest share of unscored seats, over all processes.

    Raises:
        TooManyUnscored: on all processes.
    """
    reports = gather_object([(unscored, seats)])
    unscored, seats = (sum(column) for column in zip(*reports, strict=True))
    if unscored > most * seats:
        raise TooManyUnscored(
            f"{unscored} of {seats} seats have a reward component that could not be determined, "
            f"more than max_unscored_fraction {most}; nothing was learned from these games. Look "
            "after the judge (its endpoint, key, cost cap, and what its failed judgements say), "
            "then run the same command again; or raise max_unscored_fraction: such seats are left "
            "out of the loss"
        )


class UpdateGuard:
    """Looks at each optimizer step's loss and gradient before the step is made.

    Policy and critic are judged together before either is changed. DeepSpeed makes the
    policy's step inside of the backward pass: there a loss that is no number and the
    critic's gradient are judged before it, the policy's gradient only after it.

    Args:
        folder: output folder of the run.
        max_norm: largest gradient norm of policy and of critic, each before clipping;
            0 sets no limit.
        accelerator: of the trainer.
        tokenizer: reads the saved rows.
    """

    def __init__(
        self,
        folder: str | Path,
        max_norm: float,
        accelerator: Accelerator,
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        self._folder = Path(folder) / FAILED_FOLDER
        self._max_norm = max_norm
        self._accelerator = accelerator
        self._tokenizer = tokenizer
        self._batches: list[dict[str, Any]] = []
        self._losses: list[Tensor] = []
        self._critic_norm = 0.0

    def note(self, batch: dict[str, Any], loss: Tensor, critic_norm: float = 0.0) -> None:
        """One batch of the coming step, its loss, and the critic's gradient norm if known."""
        self._batches.append(batch)
        self._losses.append(loss.detach())
        self._critic_norm = critic_norm

    def check_loss(self, step: int) -> None:
        """Refuse what is known before the policy's backward pass: loss and critic's gradient.

        Every process calls it at the same batch.

        Raises:
            RefusedUpdate: on all processes.
        """
        if self._any_bad_loss():
            self._refuse(step, "the loss is not a finite number", math.nan)
        self._check_norm(step, "critic's gradient norm", self._critic_norm, math.nan)

    def check_step(self, step: int, norm: float | Tensor | None) -> None:
        """Refuse the step that is about to be made, or forget its batches.

        Args:
            step: optimizer steps before it.
            norm: of the policy's gradient before clipping, the same on all processes;
                None where it is not known.

        Raises:
            RefusedUpdate: on all processes.
        """
        value = 0.0 if norm is None else float(norm)
        if self._any_bad_loss():
            self._refuse(step, "the loss is not a finite number", value)
        # Under float16 an overflow is ordinary: the loss scaler skips the step itself.
        if math.isfinite(value) or self._accelerator.scaler is None:
            self._check_norm(step, "gradient norm", value, value)
        self._check_norm(step, "critic's gradient norm", self._critic_norm, value)
        self._batches.clear()
        self._losses.clear()

    def _check_norm(self, step: int, name: str, norm: float, policy_norm: float) -> None:
        if not math.isfinite(norm):
            self._refuse(step, f"the {name} is {norm}", policy_norm)
        if 0.0 < self._max_norm < norm:
            self._refuse(
                step,
                f"the {name} {norm:.4g} is above max_grad_norm_stop {self._max_norm:g}",
                policy_norm,
            )

    def _any_bad_loss(self) -> bool:
        if not self._losses:
            return False
        bad = (~torch.isfinite(torch.stack(self._losses))).any().float()
        return bool(self._accelerator.reduce(bad, reduction="sum") > 0)

    def _refuse(self, step: int, what: str, norm: float) -> None:
        path = self._save(step, what, norm)
        raise RefusedUpdate(
            f"step {step + 1} was not made: {what}. Its batch is saved in {path} (token ids, "
            "masks, advantages, values, texts; torch.load reads it). Likely knobs: a lower "
            "learning_rate or critic_learning_rate, a smaller epsilon, bf16 off or dtype float32, "
            "old_logprobs recomputed if policy/logprob_gap is large. The last checkpoint is "
            f"untouched: {how_to_change('learning_rate')}"
        )

    def _save(self, step: int, what: str, norm: float) -> Path:
        """Write this process's batches of the step. -> the file"""
        process = self._accelerator.process_index
        rank = "" if process == 0 else f"-rank-{process}"
        path = self._folder / f"step-{step + 1}{rank}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        batches = [
            _to_cpu(batch) | {"texts": self._texts(batch), "loss": float(loss)}
            for batch, loss in zip(self._batches, self._losses, strict=True)
        ]
        torch.save({"what": what, "step": step, "grad_norm": norm, "batches": batches}, path)
        return path

    def _texts(self, batch: Mapping[str, Any]) -> list[str]:
        texts = []
        for part in ("prompt", "completion"):
            rows = zip(batch[f"{part}_ids"].tolist(), batch[f"{part}_mask"].tolist(), strict=True)
            kept = [[token for token, real in zip(*row, strict=True) if real] for row in rows]
            texts.append(self._tokenizer.batch_decode(kept))
        return ["".join(row) for row in zip(*texts, strict=True)]


def _to_cpu(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.cpu() for name, value in batch.items() if isinstance(value, Tensor)}


def _is_out_of_memory(error: RuntimeError) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error)
    return any(sign in text for sign in _SIGNS)
