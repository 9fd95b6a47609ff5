"""Run by ``torch.distributed.run``: meet trouble on the second process, tell what each says."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from omar_trainers.generation import GenerationRequest, TextGenerator
from omar_trainers.guards import TrainingError
from omar_trainers.selfplay import GamePlan, PlayedGames
from omar_trainers.trainer import OMARTrainer
from omar_trainers.vllm.lockstep import LockstepGenerator, Share

# Run as a script: the tests' package is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.trainers.fake_games import play_fake_games, save_tiny_model, tiny_settings

RANK = int(os.environ["RANK"])


def play_unscored(plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
    """All games of the second process go unscored, which are half of all."""
    if RANK == 1:
        plans = [GamePlan({**plan.scenario, "unscored": True}, plan.seed) for plan in plans]
    return play_fake_games(plans, generator)


def play_hungrily(plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
    """Memory runs out on the second process."""
    if RANK == 1:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return play_fake_games(plans, generator)


def play_wrongly(plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
    """An error that is none of training's own, on the second process."""
    if RANK == 1:
        raise KeyError("no such game")
    return play_fake_games(plans, generator)


def play_in_lockstep(plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
    """The second process fails after its first request; the first one has three."""

    def gather(share: Share) -> list[Share]:
        shares: list[Share] = [share] * 2
        torch.distributed.all_gather_object(shares, share)
        return shares

    entered = _Entered(generator)
    request = GenerationRequest("row", [5], 1, None, 1.0)
    with LockstepGenerator(entered, gather, RANK) as lockstep:
        lockstep.generate([request])
        if RANK == 1:
            raise KeyError("no such game")
        lockstep.generate([request])
        lockstep.generate([request])
    raise AssertionError("never here")


class _Entered(AbstractContextManager["_Entered"]):
    """A generator that can be entered."""

    def __init__(self, generator: TextGenerator) -> None:
        self.max_context = generator.max_context
        self.generate = generator.generate
        self.forget = generator.forget

    def __exit__(self, *_: object) -> None:
        """Nothing to leave."""


class Poisoned(OMARTrainer):
    """One of the second process's advantages is no number."""

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        if RANK == 1:
            inputs["advantages"][inputs["turn_index"] >= 0] = float("nan")
        return super()._compute_loss(model, inputs)


def main(output: Path) -> None:
    torch.set_num_threads(1)
    start = save_tiny_model(output / f"start{RANK}")
    cases: dict[str, tuple[type[OMARTrainer], Any]] = {
        "unscored": (OMARTrainer, play_unscored),
        "memory": (OMARTrainer, play_hungrily),
        "error": (OMARTrainer, play_wrongly),
        "lockstep": (OMARTrainer, play_in_lockstep),
        "gradient": (Poisoned, play_fake_games),
    }
    for case, (kind, play) in cases.items():
        trainer = kind(start, tiny_settings(output / case, ddp_backend="gloo"), play=play)
        before = [p.detach().clone() for p in trainer.model.parameters()]
        try:
            trainer.train()
        except (TrainingError, KeyError, RuntimeError) as error:
            after = trainer.model.parameters()
            assert all(torch.equal(p, q) for p, q in zip(before, after, strict=True)), case
            (output / f"{case}-{RANK}").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
