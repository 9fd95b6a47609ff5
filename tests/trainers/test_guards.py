"""Guards: a bad update is not made, memory names its knobs, and all processes stop together."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from omar_trainers.generation import TextGenerator
from omar_trainers.guards import (
    FAILED_FOLDER,
    OutOfMemory,
    RefusedUpdate,
    RewardIsNoNumber,
    TrainingError,
    memory_guard,
)
from omar_trainers.resuming.rollout_store import ROLLOUTS_FOLDER
from omar_trainers.selfplay import GamePlan, PlayedGames
from omar_trainers.trainer import OMARTrainer
from tests.trainers.fake_games import play_fake_games, save_tiny_model, tiny_settings


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model(tmp_path_factory.mktemp("start"))


def weights(trainer: OMARTrainer) -> list[Tensor]:
    """Of the policy and of the critic."""
    critic = trainer.estimator.state_dict()["critic"]["critic"]
    return [p.detach().clone() for p in (*trainer.model.parameters(), *critic.values())]


class Poisoned(OMARTrainer):
    """Gives one number of one batch another value, in the second step."""

    poison = float("nan")

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> Tensor:
        if self.state.global_step == 1:
            inputs["advantages"][inputs["turn_index"] >= 0] *= self.poison
        return super()._compute_loss(model, inputs)


def refused(trainer: OMARTrainer) -> tuple[str, dict[str, Any], list[Tensor]]:
    """Train until an update is refused. -> message, what was saved, weights before the step"""
    before: list[list[Tensor]] = []
    step = trainer.training_step

    def remember(*args: Any, **named: Any) -> Tensor:
        before.append(weights(trainer))
        return step(*args, **named)

    trainer.training_step = remember  # type: ignore[method-assign]
    with pytest.raises(RefusedUpdate) as caught:
        trainer.train()
    path = Path(trainer.args.output_dir) / FAILED_FOLDER / "step-2.pt"
    assert str(path) in str(caught.value) and "learning_rate" in str(caught.value)
    return str(caught.value), torch.load(path, weights_only=True), before[-1]


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_changes_no_weight(
    start: str, tmp_path: Path, poison: float
) -> None:
    trainer = Poisoned(
        start, tiny_settings(tmp_path, per_device_train_batch_size=2), play=play_fake_games
    )
    trainer.poison = poison
    message, saved, before = refused(trainer)
    assert "not a finite number" in message
    for one, other in zip(weights(trainer), before, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    # The whole step is there: three batches of two rows, with all that it takes to repeat it.
    assert saved["step"] == 1 and len(saved["batches"]) == 3
    for batch in saved["batches"]:
        width = batch["completion_ids"].shape[1]
        for name in ("advantages", "values", "returns", "turn_index", "completion_mask"):
            assert batch[name].shape == (2, width), name
        assert len(batch["texts"]) == 2 and all("w" in text for text in batch["texts"])
        assert not batch["advantages"].isfinite().all()


def test_a_gradient_above_the_limit_is_not_taken(start: str, tmp_path: Path) -> None:
    trainer = Poisoned(
        start, tiny_settings(tmp_path, max_grad_norm_stop=100.0), play=play_fake_games
    )
    trainer.poison = 1e6
    message, saved, before = refused(trainer)
    assert "max_grad_norm_stop 100" in message
    assert 100.0 < saved["grad_norm"] < float("inf")
    for one, other in zip(weights(trainer), before, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)

    class WithWildReturns(OMARTrainer):
        def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> Tensor:
            if self.state.global_step == 1:
                inputs["returns"] = inputs["returns"] * 1e6
            return super()._compute_loss(model, inputs)

    trainer = WithWildReturns(
        start, tiny_settings(tmp_path / "c", max_grad_norm_stop=100.0), play=play_fake_games
    )
    message, saved, before = refused(trainer)
    assert "the critic's gradient norm" in message and saved["grad_norm"] < 100.0
    for one, other in zip(weights(trainer), before, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)

    lenient = Poisoned(start, tiny_settings(tmp_path / "b"), play=play_fake_games)
    lenient.poison = 1e6
    lenient.train()
    assert not (tmp_path / "b" / FAILED_FOLDER).exists()


@pytest.mark.parametrize("advantage", ["hierarchical", "rae", "group"])
@pytest.mark.parametrize("amount", [float("nan"), float("inf")])
def test_a_reward_that_is_no_number_is_named_and_not_learned_from(
    start: str, tmp_path: Path, advantage: str, amount: float
) -> None:
    seeds: list[int] = []

    def play(plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
        played = play_fake_games(plans, generator)
        first, *others = played.episodes
        seeds.append(first.seed)
        paid = first.rewards | {"agent_1": {"outcome": amount}}
        return played._replace(episodes=[msgspec.structs.replace(first, rewards=paid), *others])

    settings = tiny_settings(tmp_path, advantage=advantage, save_strategy="steps")
    trainer = OMARTrainer(start, settings, play=play)
    with pytest.raises(RewardIsNoNumber, match=f"agent_1 was paid {amount} as outcome") as caught:
        trainer.train()
    assert f"seed {seeds[0]}," in str(caught.value)
    # Games that cannot be learned from are not kept: the same command plays again.
    assert not (tmp_path / ROLLOUTS_FOLDER).exists()


# --- memory -------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError(
            "NCCL error: unhandled cuda error\nLast error:\nFailed to CUDA calloc 4 bytes"
        ),
        RuntimeError("NCCL error\nLast error:\nCuda failure 2 'out of memory'"),
    ],
)
def test_memory_that_runs_out_names_phase_and_settings(error: RuntimeError) -> None:
    for phase, knob in (
        ("playing", "max_row_tokens"),
        ("scoring", "per_device_train_batch_size"),
        ("training", "activation_checkpointing"),
    ):
        with pytest.raises(OutOfMemory, match=knob) as caught, memory_guard(phase):  # type: ignore[arg-type]
            raise error
        assert f"while {phase}" in str(caught.value)
        assert "--resume_with max_" in str(caught.value)
        assert caught.value.__cause__ is error


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes") as caught, memory_guard("training"):
        raise RuntimeError("shapes do not match")
    assert not isinstance(caught.value, TrainingError)
    inner = pytest.raises(OutOfMemory, match="while playing")
    with inner, memory_guard("training"), memory_guard("playing"):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_run_names_the_phase_in_which_memory_ran_out(
    start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    settings = tiny_settings(tmp_path, total_iterations=1)
    with pytest.raises(OutOfMemory, match="while playing"):
        OMARTrainer(start, settings, play=hungry).train()
    for name, phase in (("targets", "scoring"), ("learn", "training")):
        trainer = OMARTrainer(start, settings, play=play_fake_games)
        monkeypatch.setattr(trainer.estimator, name, hungry)
        with pytest.raises(OutOfMemory, match=f"while {phase}"):
            trainer.train()


# --- together -----------------------------------------------------------------


def test_two_processes_stop_together(tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("two_processes_stop.py"))
    command = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2", script]
    run = subprocess.run(
        [sys.executable, "-m", *command, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    for case in ("unscored", "memory", "error", "lockstep", "gradient"):
        mine, others = ((tmp_path / f"{case}-{rank}").read_text() for rank in range(2))
        assert mine and others, case
    assert (tmp_path / "unscored-0").read_text() == (tmp_path / "unscored-1").read_text()
    assert "6 of 12 seats" in (tmp_path / "unscored-0").read_text()
    assert "another process" in (tmp_path / "memory-0").read_text()
    for case in ("error", "lockstep"):
        told, own = ((tmp_path / f"{case}-{rank}").read_text() for rank in range(2))
        assert own == "'no such game'" and "KeyError: 'no such game'" in told, case
    assert "step-1.pt" in (tmp_path / "gradient-0").read_text()
    assert "step-1-rank-1.pt" in (tmp_path / "gradient-1").read_text()
