"""How long a step of the trainer takes beside one of TRL's own GRPOTrainer.

    OMP_NUM_THREADS=1 python benchmarks/trainer_step.py --write

Both take the same rows in the same padded batch through the same model: loss,
backward pass and optimizer step, in turns, so that what else the machine does hits
both alike. Games are played by the house model; with ``llama`` the rows are learned
by a random Llama of about 25 M parameters and 32,000 tokens instead. Without a critic the
two do the same work; what a critic adds is shown beside. Times are CPU time of one
process on one thread, medians; ``--write`` puts them into ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from torch import Tensor
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from trl import GRPOConfig, GRPOTrainer

from omar_trainers.config import OMARConfig
from omar_trainers.generation import TransformersGenerator
from omar_trainers.house import house_directory
from omar_trainers.trainer import OMARTrainer

RESULTS = Path(__file__).parent / "results" / "trainer_step.md"
ROWS = 32
GAME = {
    "num_players": 5,
    "roles": {"werewolf": 1, "seer": 1, "villager": 3},
    "first_night_kill": False,
    "discussion_rounds": 1,
    "wolf_chat_rounds": 0,
    "prompt_style": "terse",
}
CRITICS: dict[str, dict[str, Any]] = {
    "none": {"advantage": "rae"},
    "fresh": {"critic": "fresh", "critic_overrides": {"num_hidden_layers": 1}},
    "copy": {"critic": "copy"},
}


class Step(NamedTuple):
    """One kind of step: what is timed, and the batch that it takes."""

    name: str
    take: Callable[[], None]


class Recording(OMARTrainer):
    """Keeps the batches that the loss is asked for."""

    batches: list[dict[str, Any]]

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> Tensor:
        self.batches.append(dict(inputs))
        return super()._compute_loss(model, inputs)


def make_model(name: str) -> PreTrainedModel:
    """The house model, or a random Llama that shares its first token ids."""
    if name == "house":
        return LlamaForCausalLM.from_pretrained(house_directory())
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=32_000,
            hidden_size=384,
            intermediate_size=1024,
            num_hidden_layers=6,
            num_attention_heads=6,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
        )
    )


def player(trainer: OMARTrainer, seed: int) -> TransformersGenerator:
    """The house model plays, whoever learns."""
    return TransformersGenerator(
        LlamaForCausalLM.from_pretrained(house_directory()),
        end_token_id=trainer.processing_class.eos_token_id,
        pad_token_id=trainer.processing_class.pad_token_id,
        seed=seed,
        max_context=trainer.max_row_tokens,
    )


def own_step(name: str, critic: str, folder: str) -> tuple[Recording, Step]:
    """A trainer after one iteration, and its step on that iteration's last batch."""
    args = OMARConfig(
        folder,
        use_cpu=True,
        env_kwargs=GAME,
        seats=5,
        games_per_iteration=ROWS,
        total_iterations=1,
        minibatches=1,
        per_device_train_batch_size=ROWS,
        max_new_tokens_speak=8,
        entropy_coef=0.01,
        save_strategy="no",
        report_to="none",
        progress=False,
        keep_rollouts=False,
        **CRITICS[critic],
    )
    trainer = Recording(
        make_model(name),
        args,
        processing_class=AutoTokenizer.from_pretrained(house_directory()),
        generator=player,
    )
    trainer.batches = []
    trainer.train()
    batch = trainer.batches[-1]
    trainer.model.train()

    def take() -> None:
        loss = OMARTrainer._compute_loss(trainer, trainer.model_wrapped, dict(batch))
        trainer.accelerator.backward(loss)
        trainer.estimator.step()
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        trainer._means.clear()
        trainer._metrics["train"].clear()

    return trainer, Step(f"omar, critic {critic}", take)


def trl_step(name: str, batch: dict[str, Tensor], folder: str) -> Step:
    """TRL's own step on the same rows; its advantages are one per row."""
    args = GRPOConfig(
        folder,
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=ROWS,
        num_generations=ROWS,
        loss_type="dapo",
        beta=0.0,
        report_to="none",
        gradient_checkpointing=False,
    )
    trainer = GRPOTrainer(
        make_model(name),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=args,
        train_dataset=Dataset.from_dict({"prompt": ["x"] * ROWS}),
        processing_class=AutoTokenizer.from_pretrained(house_directory()),
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    names = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "tool_mask")
    shared = {key: batch[key] for key in (*names, "num_items_in_batch")}
    shared["advantages"] = batch["advantages"].sum(1) / batch["tool_mask"].sum(1).clamp(min=1)
    if "old_per_token_logps" in batch:
        shared["old_per_token_logps"] = batch["old_per_token_logps"]

    def take() -> None:
        loss = trainer._compute_loss(trainer.model, dict(shared))
        trainer.accelerator.backward(loss)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        trainer._metrics["train"].clear()

    return Step("TRL GRPOTrainer", take)


def measure(steps: Sequence[Step], repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each step, taken in turns; the first round is not counted."""
    times: dict[str, list[float]] = {step.name: [] for step in steps}
    for turn in range(repeats + 1):
        for step in steps:
            started = time.process_time()
            step.take()
            if turn:
                times[step.name].append(time.process_time() - started)
    return times


def compare(name: str, repeats: int) -> list[str]:
    """Lines of the results' table for one model."""
    with tempfile.TemporaryDirectory() as folder:
        steps, batch = [], {}
        for critic in CRITICS:
            trainer, step = own_step(name, critic, f"{folder}/{critic}")
            batch = batch or trainer.batches[-1]
            steps.append(step)
        steps.insert(0, trl_step(name, batch, f"{folder}/trl"))
        times = measure(steps, repeats)
    tokens = int(batch["prompt_mask"].sum() + batch["completion_mask"].sum())
    own = int(batch["tool_mask"].sum())
    reference = times[steps[0].name]
    lines = []
    for step in steps:
        ratio = median(t / r for t, r in zip(times[step.name], reference, strict=True))
        milliseconds = 1e3 * median(times[step.name])
        lines.append(
            f"| {name} | {step.name} | {tokens:,} | {own:,} | {milliseconds:.1f} | {ratio:.2f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--models", nargs="+", default=["house", "llama"])
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "| model | step | tokens | own tokens | ms | over TRL's |",
        "|---|---|---|---|---|---|",
    ]
    for name in chosen.models:
        lines += compare(name, chosen.repeats)
    print("\n".join(lines))
    if chosen.write:
        text = (
            "# A trainer step beside TRL's\n\n"
            "    OMP_NUM_THREADS=1 python benchmarks/trainer_step.py --write "
            f"--repeats {chosen.repeats} --models {' '.join(chosen.models)}\n\n"
            f"{ROWS} rows of werewolf_v0 with five players in one batch; loss, backward pass and "
            f"AdamW step, medians of {chosen.repeats} in turns, CPU time on one thread; the last "
            "column is the median of the ratios. TRL scores every completion token over the whole "
            "vocabulary, the trainer here a seat's own tokens alone, under the masks they were "
            "sampled with.\n\n"
        )
        RESULTS.write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
