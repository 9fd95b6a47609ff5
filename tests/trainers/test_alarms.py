"""Alarms: what they count, when they ring, and what a run does then."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from transformers import LlamaForCausalLM

from omar_envs.errors import ConfigError
from omar_trainers import train as train_command
from omar_trainers.alarms import BEYOND, ENTROPY, REPEATED, SET_ASIDE_FOLDER, Alarms, AlarmStop
from omar_trainers.generation import TextGenerator
from omar_trainers.guards import STOPPED
from omar_trainers.metrics import METRICS_FILE, Mean
from omar_trainers.resuming.checkpoints import STATE_FILE, complete_checkpoints, last_checkpoint
from omar_trainers.resuming.ended import RING_FILE
from omar_trainers.selfplay import GamePlan, PlayedGames
from omar_trainers.settings import SafetySettings
from omar_trainers.trainer import OMARTrainer
from tests.trainers.fake_games import play_fake_games, save_tiny_model, tiny_settings


def listen(alarms: Alarms, *readings: tuple[float, float], first: int = 1) -> list[float]:
    """Feed (entropy, share repeated) per iteration. -> iterations beyond a bound, each time"""
    beyond = []
    for iteration, (entropy, repeated) in enumerate(readings, start=first):
        means = {"entropy": Mean(2 * entropy, 2), REPEATED: Mean(4 * repeated, 4)}
        beyond.append(alarms.listen(iteration, means)[BEYOND])
    return beyond


def alarms(kind: str = "stop", **bounds: Any) -> Alarms:
    return Alarms(SafetySettings(alarm=kind, **({"alarm_patience": 2} | bounds)))


# --- the bounds ---------------------------------------------------------------


def test_entropy_is_measured_against_the_first_iteration() -> None:
    watched = alarms(alarm_entropy_low=0.5, alarm_entropy_high=2.0)
    assert listen(watched, (4.0, 0), (2.0, 0), (1.9, 0), (8.0, 0), (8.1, 0), (4.0, 0)) == [
        *(0, 0, 1, 0, 1, 0)
    ]
    assert watched.rung is None
    assert watched.listen(7, {"entropy": Mean(1.0, 1)})[ENTROPY] == 0.25


def test_open_bounds_never_count() -> None:
    open_ = alarms(alarm_entropy_low=0.0, alarm_entropy_high=0.0, alarm_repetition=1.0)
    assert listen(open_, (1.0, 1.0), (0.0, 1.0), (1e9, 1.0)) == [0, 0, 0]


def test_patience_is_iterations_in_a_row() -> None:
    watched = alarms(alarm_patience=3, alarm_repetition=0.9)
    good, bad = (1.0, 0.9), (1.0, 0.91)
    assert listen(watched, good, bad, bad, good, bad, bad) == [0, 1, 2, 0, 1, 2]
    assert watched.rung is None
    listen(watched, bad, first=7)
    assert watched.rung is not None
    assert (watched.rung.first_bad, watched.rung.iteration) == (5, 7)
    # Iteration 4 measured, and was content with, what three iterations had made.
    assert watched.rung.last_good == 3
    assert "alarm_repetition" in watched.rung.message and "since iteration 5" in str(watched.rung)


def test_count_and_first_entropy_survive_a_restart() -> None:
    before = alarms(alarm_entropy_low=0.5)
    listen(before, (4.0, 0), (1.0, 0))
    after = alarms(alarm_entropy_low=0.5)
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    assert listen(after, (1.9, 0), first=3) == [2]
    assert after.rung is not None and after.rung.first_bad == 2


def test_a_warning_is_repeated_and_does_not_stop(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        watched = alarms("warn")
        listen(watched, *[(1.0, 1.0)] * 5)
    assert watched.rung is None
    assert ["iteration 2" in caplog.messages[0], "iteration 4" in caplog.messages[1]] == [True] * 2
    assert len(caplog.messages) == 2
    with pytest.raises(AlarmStop, match="repeat another"):
        stopped = alarms("stop")
        listen(stopped, *[(1.0, 1.0)] * 2)
        stopped.raise_if_rung()
    alarms().raise_if_rung()


def test_nothing_is_computed_without_an_alarm() -> None:
    off = alarms("none")
    assert not off.on
    assert off.listen(1, {"entropy": Mean(1.0, 1)}) == {}


def test_rollback_needs_checkpoints_that_reach_back(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="save_strategy"):
        tiny_settings(tmp_path, alarm="rollback")
    steps = {"alarm": "rollback", "save_strategy": "steps", "alarm_patience": 3}
    with pytest.raises(ConfigError, match="save_total_limit to 3"):
        tiny_settings(tmp_path, save_iterations=2, save_total_limit=2, **steps)
    tiny_settings(tmp_path, save_iterations=2, save_total_limit=3, **steps)


# --- runs ---------------------------------------------------------------------


class TurnsToParrots:
    """Plays fake games; from one round on all speeches of a game are the same."""

    def __init__(self, from_round: int) -> None:
        self._rounds_left = from_round

    def __call__(self, plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
        self._rounds_left -= 1
        played = play_fake_games(plans, generator)
        return played._replace(episodes=[self._said(episode) for episode in played.episodes])

    def _said(self, episode: Any) -> Any:
        texts = (
            "polly wants a cracker" if self._rounds_left < 0 else f"number {n}"
            for n in range(len(episode.turns))
        )
        turns = tuple(
            replace(turn, text=text) for turn, text in zip(episode.turns, texts, strict=True)
        )
        return replace(episode, turns=turns)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model(tmp_path_factory.mktemp("start"))


def train(start: str, output: Path, kind: str, from_round: int, **changes: Any) -> OMARTrainer:
    settings = {
        "alarm": kind,
        "alarm_patience": 2,
        "total_iterations": 6,
        "save_strategy": "steps",
        "save_iterations": 1,
        "keep_rollouts": False,
        "learning_rate": 1e-2,
    }
    trainer = OMARTrainer(
        start, tiny_settings(output, **(settings | changes)), play=TurnsToParrots(from_round)
    )
    trainer.train()
    return trainer


def lines(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / METRICS_FILE).read_text().splitlines()]


def test_stop_ends_training_after_the_iteration_in_which_it_rings(
    start: str, tmp_path: Path
) -> None:
    trainer = train(start, tmp_path, "stop", 3)
    assert [line[REPEATED] for line in lines(tmp_path)] == [0.0, 0.0, 0.0, 1.0, 1.0]
    assert [line[BEYOND] for line in lines(tmp_path)] == [0.0, 0.0, 0.0, 1.0, 2.0]
    assert lines(tmp_path)[0][ENTROPY] == 1.0
    assert trainer.alarms.rung is not None and trainer.alarms.rung.iteration == 5
    last = last_checkpoint(tmp_path)
    assert last is not None and last.name == "checkpoint-10"
    state = torch.load(last / STATE_FILE, weights_only=True)
    assert state["alarms"]["beyond"] == 2
    saved = LlamaForCausalLM.from_pretrained(last).lm_head.weight
    torch.testing.assert_close(trainer.model.lm_head.weight, saved)


def test_rollback_restores_the_last_model_that_was_seen_to_be_well(
    start: str, tmp_path: Path
) -> None:
    trainer = train(start, tmp_path, "rollback", 3)
    # Iterations 4 and 5 are bad; what iteration 4 played, checkpoint-6 holds.
    assert [path.name for path in complete_checkpoints(tmp_path)] == [
        "checkpoint-2",
        "checkpoint-4",
    ]
    aside = sorted(path.name for path in (tmp_path / SET_ASIDE_FOLDER).iterdir())
    assert aside == ["checkpoint-10", "checkpoint-6", "checkpoint-8"]
    good = LlamaForCausalLM.from_pretrained(tmp_path / "checkpoint-4").lm_head.weight
    torch.testing.assert_close(trainer.model.lm_head.weight, good)
    assert trainer.alarms.rung is not None
    assert "again that of" in trainer.alarms.rung.message
    # The same command does not go on as if nothing had been.
    again = OMARTrainer(start, trainer.args, play=TurnsToParrots(1))
    with pytest.raises(AlarmStop, match=r"alarm in iteration 5.* --resume_with alarm"):
        again.train()
    # It does when told to, and hears the same alarm.
    knows = train(start, tmp_path, "rollback", 1, resume_with=["alarm"])
    assert knows.alarms.rung is not None and knows.alarms.rung.iteration == 5
    # Another setting is an answer as well.
    changed = train(start, tmp_path, "warn", 9, total_iterations=3)
    assert changed.state.global_step == 6
    assert not (tmp_path / RING_FILE).exists()


def test_rollback_without_an_early_checkpoint_says_so(start: str, tmp_path: Path) -> None:
    trainer = train(start, tmp_path, "rollback", 0)
    assert trainer.alarms.rung is not None
    assert "no checkpoint from before" in trainer.alarms.rung.message
    assert trainer.state.global_step == 4


def test_the_command_saves_the_model_and_says_why_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {
        "--recipe": "werewolf_house_demo",
        "--model_name_or_path": "house",
        "--output_dir": str(tmp_path),
        "--games_per_iteration": "2",
        "--per_device_train_batch_size": "5",
        "--minibatches": "1",
        "--alarm": "stop",
        "--alarm_patience": "1",
        "--alarm_repetition": "0.0",
    }
    # Some two of the ten players say the same: they have a phrase book.
    command = [word for pair in arguments.items() for word in pair]
    assert train_command.main(command) == STOPPED
    said = capsys.readouterr().err
    assert "alarm_repetition 0.0%" in said and "--resume_with entropy_coef" in said
    assert len(lines(tmp_path)) < 5
    LlamaForCausalLM.from_pretrained(tmp_path / train_command.FINAL_FOLDER)
