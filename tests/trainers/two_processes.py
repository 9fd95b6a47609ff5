"""Trains on fake games, as one process or as one of several, and writes down what came of it.

As a script it is run by ``torch.distributed.run`` and takes an output folder and
names of :data:`RUNS`; :func:`train_once` does the same within a test.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from peft import LoraConfig

# Run as a script: the tests' package is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from omar_trainers.generation import GenerationRequest, GenerationResult, TextGenerator
from omar_trainers.replica import is_sharded, whole_parameters
from omar_trainers.selfplay import GamePlan, PlayedGames
from omar_trainers.trainer import OMARTrainer
from omar_trainers.trie import ChoiceTrie
from tests.trainers.fake_games import (
    END,
    VOCABULARY,
    play_fake_games,
    save_tiny_model,
    tiny_settings,
)

TURNS_OF_GAMES = (1, 2, 5, 6)
"""Turns per seat of an iteration's four games: 2 calls of one process, 6 of the other."""


@dataclass(frozen=True)
class Run:
    """One way of training.

    Attributes:
        changes: settings that differ from the tiny ones.
        sharding: further ones, which one process alone leaves out.
        replies_by_row: let the replies depend on the row alone, not on weights or seeds.
        lora: train adapters.
        interrupted: stop after the first iteration, and go on from its checkpoint.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    sharding: dict[str, Any] = field(default_factory=dict)
    replies_by_row: bool = True
    lora: bool = False
    interrupted: bool = False


SCALE = Path(__file__).resolve().parents[2] / "trainers" / "recipes" / "scale"
FSDP2 = {"fsdp": True, "fsdp_config": str(SCALE / "fsdp2.json")}
ZERO2 = {"deepspeed": str(SCALE / "zero2.json")}
ZERO3 = {"deepspeed": str(SCALE / "zero3.json")}

KL = {"kl_as": "loss", "beta": 0.05}
RECOMPUTED = KL | {"activation_checkpointing": True}
ADAPTERS = {"learning_rate": 1e-2}
RUNS = {
    "critic": Run(),
    "larger_batches": Run({"per_device_train_batch_size": 6}),
    "recomputed": Run({"activation_checkpointing": True}),
    "token_kl": Run({"kl_as": "token_reward", "beta": 0.05, "whiten_by": "role"}),
    "loss_kl": Run(KL),
    "turn_gae": Run({"advantage": "turn_gae"}),
    "rae": Run({"advantage": "rae"}),
    "group": Run({"advantage": "group", "episodes_per_scenario": 4}),
    "lora": Run(ADAPTERS | {"critic": "lora"}, lora=True),
    "sampled": Run(replies_by_row=False),
    "fsdp2_sampled": Run(sharding=FSDP2, replies_by_row=False),
    "fsdp2_resumed": Run(sharding=FSDP2, replies_by_row=False, interrupted=True),
    "fsdp2_recomputed": Run(RECOMPUTED, FSDP2),
    "fsdp2_lora": Run(ADAPTERS, FSDP2, lora=True),
    "zero2_sampled": Run(sharding=ZERO2, replies_by_row=False),
    "zero3_sampled": Run(sharding=ZERO3, replies_by_row=False),
    "zero3_resumed": Run(sharding=ZERO3, replies_by_row=False, interrupted=True),
    "zero3_recomputed": Run(RECOMPUTED, ZERO3),
    "zero3_lora": Run(ADAPTERS, ZERO3, lora=True),
}


class RowGenerator:
    """Replies that depend on the row alone: any processes play the same games alike."""

    max_context = 64

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        return [self._reply(request) for request in requests]

    def forget(self) -> None:
        """It remembers nothing."""

    def _reply(self, request: GenerationRequest) -> GenerationResult:
        random = np.random.default_rng(list(request.ids))
        if request.choices is None:
            words = random.integers(2, VOCABULARY, size=int(random.integers(1, 3))).tolist()
            ids = [*words, END]
            return GenerationResult(ids, [-2.0] * len(ids), [None] * len(ids), True)
        label = request.choices[int(random.integers(len(request.choices)))]
        ids, trie = [*label, END], ChoiceTrie(request.choices)
        allowed = [trie.allowed(tuple(ids[:i]), END) for i in range(len(ids))]
        return GenerationResult(ids, [-0.5] * len(ids), allowed, True)


def train_once(name: str, start: str, output: Path) -> dict[str, Any]:
    """Train run ``name`` from the model ``start`` in ``output``, this process's part of it.

    Returns:
        ``policy``, ``critic`` (or ``means``): weights by name; ``seeds`` of the games
        that this process played and ``calls`` of its generator; whether the policy was ``sharded``.
    """
    run = RUNS[name]
    output.mkdir(parents=True, exist_ok=True)
    games = output / f"games{os.environ.get('RANK', '0')}.jsonl"
    games.write_text("".join(json.dumps({"turns": turns}) + "\n" for turns in TURNS_OF_GAMES))
    seeds: list[int] = []
    calls = 0

    def play(plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
        nonlocal calls
        seeds.extend(plan.seed for plan in plans)
        calls += max(plan.scenario["turns"] for plan in plans)
        return play_fake_games(plans, generator)

    settings: dict[str, Any] = {
        "scenarios": str(games),
        "minibatches": 1,
        "num_iterations": 2,
        "old_logprobs": "recomputed",
        "save_strategy": "steps",
        "save_iterations": 1,
    }
    if "WORLD_SIZE" in os.environ:
        settings |= {"ddp_backend": "gloo"} | run.sharding
    adapters = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    for iterations in (1, 2) if run.interrupted else (2,):
        settings["total_iterations"] = iterations
        trainer = OMARTrainer(
            start,
            tiny_settings(output / "out", adam_epsilon=1e-4, **(settings | run.changes)),
            play=play,
            generator=(lambda trainer, seed: RowGenerator()) if run.replies_by_row else None,
            peft_config=adapters if run.lora else None,
        )
        trainer.train()
    trainer.save_model(str(output / "out" / "final"))
    return {
        "policy": {name: whole.clone() for name, whole in whole_parameters(trainer.model)},
        "estimator": trainer.estimator.state_dict(),
        "seeds": seeds,
        "calls": calls,
        "sharded": is_sharded(trainer.accelerator),
    }


@contextmanager
def _processes_for_devices() -> Iterator[None]:
    """Let accelerate take this process for one with a GPU: beside CPUs it ignores FSDP."""
    was = AcceleratorState.__init__

    def initialise(self: AcceleratorState, *args: Any, **kwargs: Any) -> None:
        shared = PartialState._shared_state
        if shared["distributed_type"] == DistributedType.MULTI_CPU:
            shared["distributed_type"] = DistributedType.MULTI_GPU
        was(self, *args, **kwargs)

    AcceleratorState.__init__ = initialise
    try:
        yield
    finally:
        AcceleratorState.__init__ = was
        os.environ.pop("ACCELERATE_USE_FSDP", None)


def _compile_nothing() -> None:
    """On a CPU DeepSpeed would compile a faster all-reduce: it does as well without."""
    import deepspeed

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def main(output: Path, names: Sequence[str]) -> None:
    torch.set_num_threads(1)
    if any("deepspeed" in RUNS[name].sharding for name in names):
        _compile_nothing()
    # A folder each, and before the processes know of one another: saving needs both then.
    # Tied weights are the harder case: they stand once among the parameters, and act twice.
    start = save_tiny_model(output / f"start{os.environ['RANK']}", tied=True)
    for name in names:
        fsdp = "fsdp" in RUNS[name].sharding
        with _processes_for_devices() if fsdp else nullcontext():
            result = train_once(name, start, output / name)
        torch.save(result, output / name / f"rank{os.environ['RANK']}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
