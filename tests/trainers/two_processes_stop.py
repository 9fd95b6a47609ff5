"""Run by ``torch.distributed.run``: meet trouble on the second process, tell what each says."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from omar_trainers.generation import TextGenerator
from omar_trainers.guards import TrainingError
from omar_trainers.selfplay import GamePlan, PlayedGames
from omar_trainers.trainer import OMARTrainer

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
        "gradient": (Poisoned, play_fake_games),
    }
    for case, (kind, play) in cases.items():
        trainer = kind(start, tiny_settings(output / case, ddp_backend="gloo"), play=play)
        before = [p.detach().clone() for p in trainer.model.parameters()]
        try:
            trainer.train()
        except TrainingError as error:
            after = trainer.model.parameters()
            assert all(torch.equal(p, q) for p, q in zip(before, after, strict=True)), case
            (output / f"{case}-{RANK}").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
