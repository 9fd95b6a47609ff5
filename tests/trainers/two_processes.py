"""Run by ``torch.distributed.run``: train on fake games, write down what each process did."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from omar_trainers.generation import TextGenerator
from omar_trainers.selfplay import GamePlan, PlayedGames
from omar_trainers.trainer import STATE_FILE, OMARTrainer

# Run as a script: the tests' package is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.trainers.fake_games import play_fake_games, save_tiny_model, tiny_settings


def main(output: Path) -> None:
    rank = int(os.environ["RANK"])
    torch.set_num_threads(1)
    seeds: list[int] = []

    def play(plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
        seeds.extend(plan.seed for plan in plans)
        return play_fake_games(plans, generator)

    trainer = OMARTrainer(
        save_tiny_model(output / f"start{rank}"),
        tiny_settings(output, ddp_backend="gloo", save_strategy="steps", save_iterations=2),
        play=play,
    )
    trainer.train()
    policy = [float(p.detach().double().sum()) for p in trainer.model.parameters()]
    state = trainer.estimator.state_dict()["critic"]["critic"]
    critic = [float(p.double().sum()) for p in state.values()]
    assert (output / "checkpoint-4" / STATE_FILE).is_file()
    (output / f"rank{rank}.json").write_text(
        json.dumps({"seeds": seeds, "policy": policy, "critic": critic})
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
