"""The adaptive KL coefficient, alone and inside the trainer."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_trainers.kl import KLController
from omar_trainers.metrics import METRICS_FILE
from omar_trainers.trainer import OMARTrainer
from tests.trainers.fake_games import play_fake_games, save_tiny_model, tiny_settings

positive = st.floats(1e-4, 1e3)


@given(positive, positive, st.integers(1, 100), st.floats(0.0, 1e4))
def test_the_coefficient_moves_towards_the_target_by_a_bounded_share(
    coefficient: float, target: float, horizon: int, kl: float
) -> None:
    control = KLController(coefficient, target=target, horizon=horizon)
    control.update(kl)
    error = max(-0.2, min(0.2, kl / target - 1.0))
    assert control.coefficient == pytest.approx(coefficient * (1.0 + error / horizon))
    assert (control.coefficient >= coefficient) == (kl >= target) or error == pytest.approx(0.0)


def test_without_a_target_nothing_moves() -> None:
    control = KLController(0.3, target=0.0, horizon=1)
    control.update(100.0)
    assert control.coefficient == 0.3
    control.load_state_dict({"coefficient": 7.0})
    assert control.coefficient == 0.3


def test_a_kl_that_is_no_number_moves_nothing() -> None:
    control = KLController(0.3, target=0.1, horizon=1)
    control.update(math.nan)
    assert control.coefficient == 0.3


def test_it_holds_the_kl_of_a_process_that_answers_to_it() -> None:
    control = KLController(1.0, target=0.05, horizon=2)
    for _ in range(200):
        control.update(0.2 / control.coefficient)
    assert 0.2 / control.coefficient == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("kl_as", ["loss", "token_reward"])
def test_the_trainer_adapts_it_and_goes_on_from_a_checkpoint(tmp_path: Path, kl_as: str) -> None:
    start = save_tiny_model(tmp_path / "start")

    def run(folder: str, iterations: int) -> tuple[OMARTrainer, list[dict[str, float]]]:
        settings = tiny_settings(
            tmp_path / folder,
            total_iterations=iterations,
            kl_as=kl_as,
            beta=0.1,
            kl_target=1e-9,
            kl_horizon=2,
            minibatches=1,
            learning_rate=1e-2,
            save_strategy="steps",
            save_iterations=2,
        )
        trainer = OMARTrainer(start, settings, play=play_fake_games)
        trainer.train()
        text = (tmp_path / folder / METRICS_FILE).read_text()
        return trainer, [json.loads(line) for line in text.splitlines()]

    trainer, lines = run("whole", 3)
    coefficients = [line["policy/kl_coefficient"] for line in lines]
    assert coefficients[0] == pytest.approx(0.1)
    for before, line, after in zip(coefficients, lines, coefficients[1:], strict=False):
        error = max(-0.2, min(0.2, line["policy/kl"] / 1e-9 - 1.0))
        assert after == pytest.approx(before * (1.0 + error / 2))
    assert coefficients[2] > coefficients[1]
    # What acts in TRL's loss, and never beside the token rewards.
    assert trainer.beta == (pytest.approx(coefficients[2]) if kl_as == "loss" else 0.0)
    if kl_as == "loss":
        run("parts", 2)
        _, resumed = run("parts", 3)
        assert [line["policy/kl_coefficient"] for line in resumed] == pytest.approx(coefficients)
