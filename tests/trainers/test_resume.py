"""Where a run goes on, and when it must not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM
from trl import GRPOConfig

from omar_envs.errors import ConfigError
from omar_trainers.config import OMARConfig
from omar_trainers.generation import TextGenerator
from omar_trainers.metrics import METRICS_FILE
from omar_trainers.resuming.checkpoints import (
    complete_checkpoints,
    last_checkpoint,
    name_of,
    publish,
    read_manifest,
    staging,
)
from omar_trainers.resuming.resume import (
    FREE_SETTINGS,
    choose_checkpoint,
    fingerprint,
    identity,
    lineage,
)
from omar_trainers.resuming.rollout_store import ROLLOUTS_FOLDER
from omar_trainers.selfplay import GamePlan, PlayedGames
from omar_trainers.trainer import OMARTrainer
from tests.trainers.fake_games import play_fake_games, save_tiny_model, tiny_settings


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def model(start: str) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(start)


def save(output: Path, step: int) -> Path:
    folder = staging(output) / name_of(step)
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"weights")
    return publish(output, step, identity={}, processes=1)


def train(start: str, output: Path, **changes: Any) -> tuple[OMARTrainer, int]:
    """Run the same command. -> trainer, games played"""
    played: list[GamePlan] = []

    def play(plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
        played.extend(plans)
        return play_fake_games(plans, generator)

    settings = {"save_strategy": "steps", "save_iterations": 1} | changes
    trainer = OMARTrainer(start, tiny_settings(output, **settings), play=play)
    trainer.train()
    return trainer, len(played)


def steps(output: Path) -> list[int]:
    """Of the lines in the metrics file."""
    return [json.loads(line)["step"] for line in (output / METRICS_FILE).read_text().splitlines()]


# --- which checkpoint ---------------------------------------------------------


def test_by_itself_a_run_goes_on_if_it_can(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path)
    assert choose_checkpoint(settings, None) is None
    save(tmp_path, 2)
    (save(tmp_path, 4) / "model.bin").unlink()
    assert choose_checkpoint(settings, None) == tmp_path / "checkpoint-2"
    assert choose_checkpoint(settings, False) == tmp_path / "checkpoint-2"
    for named in (True, "last", "true"):
        assert choose_checkpoint(settings, named) == tmp_path / "checkpoint-2"
    last = tiny_settings(tmp_path, resume_from_checkpoint="last")
    assert choose_checkpoint(last, None) == tmp_path / "checkpoint-2"


def test_it_may_have_to_or_must_not(tmp_path: Path) -> None:
    always = tiny_settings(tmp_path, resume="always", save_strategy="steps")
    never = tiny_settings(tmp_path, resume="never")
    with pytest.raises(ConfigError, match=r"always, but .* no complete checkpoint"):
        choose_checkpoint(always, None)
    assert choose_checkpoint(never, None) is None
    place = save(tmp_path, 2)
    assert choose_checkpoint(always, None) == place
    with pytest.raises(ConfigError, match=f"never, but {place} is there"):
        choose_checkpoint(never, None)
    with pytest.raises(ConfigError, match="save_strategy no writes no checkpoints"):
        choose_checkpoint(tiny_settings(tmp_path, resume="always"), None)


def test_a_named_checkpoint_must_be_complete_and_the_last(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path)
    with pytest.raises(ConfigError, match="has no checkpoint"):
        choose_checkpoint(settings, True)
    with pytest.raises(ConfigError, match="no folder"):
        choose_checkpoint(settings, str(tmp_path / "checkpoint-2"))
    first, second = save(tmp_path, 2), save(tmp_path, 10)
    assert choose_checkpoint(settings, str(second)) == second
    with pytest.raises(ConfigError, match="already has checkpoint-10, later"):
        choose_checkpoint(settings, str(first))
    assert choose_checkpoint(tiny_settings(tmp_path / "new"), str(first)) == first
    (second / "model.bin").unlink()
    with pytest.raises(ConfigError, match="incomplete"):
        choose_checkpoint(settings, str(second))


@pytest.mark.parametrize("name", ["save_only_model", "ignore_data_skip", "enable_jit_checkpoint"])
def test_checkpoints_that_nothing_can_go_on_from_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        tiny_settings(tmp_path, **{name: True})


# --- the same run -------------------------------------------------------------


def test_a_finished_run_says_so_and_can_be_made_longer(
    start: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(start, tmp_path)[1] == 8
    again, played = train(start, tmp_path)
    assert played == 0
    said = capsys.readouterr().err
    assert "has all 2 iterations: this run is finished" in said
    assert "total_iterations above 2" in said
    checkpoint = last_checkpoint(tmp_path)
    assert checkpoint is not None
    kept = LlamaForCausalLM.from_pretrained(checkpoint).lm_head.weight
    assert torch.equal(again.model.lm_head.weight, kept)

    # What is shown, kept or stopped for may change; the run is the same.
    free = {"save_iterations": 5, "max_unscored_fraction": 0.9, "keep_rollouts": False}
    assert train(start, tmp_path, total_iterations=4, **free)[1] == 8
    assert "iteration 2 of 4" in capsys.readouterr().err
    found = [path.name for path in complete_checkpoints(tmp_path)]
    assert found == ["checkpoint-2", "checkpoint-4", "checkpoint-8"]
    assert steps(tmp_path) == [2, 4, 6, 8]
    assert train(start, tmp_path, total_iterations=1, resume="always")[1] == 0

    with pytest.raises(ConfigError) as refused:
        train(start, tmp_path, learning_rate=0.5, env_kwargs={"num_players": 3})
    message = str(refused.value)
    assert "learning_rate was 0.001, now 0.5" in message
    assert "env_kwargs.num_players was unset, now 3" in message
    assert "seed" not in message
    assert steps(tmp_path) == [2, 4, 6, 8]


def rates(trainer: OMARTrainer) -> tuple[float, float]:
    """Learning rates of policy and critic."""
    critic = trainer.estimator.state_dict()["critic"]["optimizer"]
    return trainer.optimizer.param_groups[0]["lr"], critic["param_groups"][0]["lr"]


def test_named_settings_may_change(start: str, tmp_path: Path) -> None:
    train(start, tmp_path)
    change = {"total_iterations": 3, "learning_rate": 5e-4, "critic_learning_rate": 2e-4}
    with pytest.raises(ConfigError, match="--resume_with critic_learning_rate learning_rate"):
        train(start, tmp_path, **change)
    with pytest.raises(ConfigError, match="critic_learning_rate was"):
        train(start, tmp_path, **change, resume_with=["learning_rate"])
    trainer, played = train(
        start, tmp_path, **change, resume_with=["learning_rate", "critic_learning_rate"]
    )
    # A checkpoint's own rates do not win.
    assert played == 4 and rates(trainer) == (5e-4, 2e-4)
    # The change belongs to the run from now on.
    again = train(start, tmp_path, **(change | {"total_iterations": 4}))
    assert again[1] == 4 and rates(again[0]) == (5e-4, 2e-4)
    checkpoint = last_checkpoint(tmp_path)
    manifest = checkpoint and read_manifest(checkpoint)
    assert manifest is not None and manifest.identity["learning_rate"] == 5e-4
    assert [each["step"] for each in manifest.changes] == [4]
    assert manifest.changes[0]["settings"]["learning_rate"] == [1e-3, 5e-4]


def test_games_from_before_a_change_are_not_taken_for_later_ones(
    model: LlamaForCausalLM, tmp_path: Path
) -> None:
    there = identity(tiny_settings(tmp_path), model)
    back = [{"step": 4, "settings": {"beta": [0, 1]}}, {"step": 6, "settings": {"beta": [1, 0]}}]
    assert lineage(there, 1, "1") == lineage(there, 1, "1", [])
    assert lineage(there, 1, "1") != lineage(there, 1, "1", back)


@pytest.mark.parametrize(
    "change",
    [
        {"lr_scheduler_type": "linear"},
        {"lr_scheduler_type": "cosine"},
        {"critic_lr_scheduler": "linear"},
        {"warmup_steps": 0.1},
    ],
)
def test_the_length_of_a_run_counts_where_a_schedule_depends_on_it(
    model: LlamaForCausalLM, tmp_path: Path, change: dict[str, Any]
) -> None:
    short, long = (
        identity(tiny_settings(tmp_path, total_iterations=n, **change), model) for n in (2, 3)
    )
    assert short != long
    without_critic = {"advantage": "rae", "critic_lr_scheduler": "linear"}
    short, long = (
        identity(tiny_settings(tmp_path, total_iterations=n, **without_critic), model)
        for n in (2, 3)
    )
    assert short == long


def test_a_run_that_a_judge_stopped_plays_again(start: str, tmp_path: Path) -> None:
    """Games without judgements are not kept as if they had been judged."""
    scenarios = tmp_path / "half.jsonl"
    scenarios.write_text('{"unscored": true}\n{}\n')
    output = tmp_path / "out"
    with pytest.raises(Exception, match="6 of 12 seats"):
        train(start, output, scenarios=str(scenarios))
    assert not list((output / ROLLOUTS_FOLDER).glob("*"))
    tolerant = {"scenarios": str(scenarios), "max_unscored_fraction": 0.5}
    assert train(start, output, total_iterations=1, **tolerant)[1] == 4


def test_no_rollouts_are_kept_where_nothing_will_remove_them(start: str, tmp_path: Path) -> None:
    train(start, tmp_path, total_iterations=1, save_strategy="no")
    assert not (tmp_path / ROLLOUTS_FOLDER).exists()


def test_half_a_file_of_games_does_not_stay(start: str, tmp_path: Path) -> None:
    half = tmp_path / ROLLOUTS_FOLDER / ".iteration-000000-rank-1.msgpack.0123abcd.tmp"
    half.parent.mkdir()
    half.write_bytes(b"killed in the middle of")
    train(start, tmp_path, total_iterations=1, save_strategy="steps")
    assert not half.parent.exists()


# --- what makes it the same ---------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"advantage": "rae"},
        {"env_name": "sotopia_v0"},
        {"games_per_iteration": 8},
        {"lam_turn": 0.5},
        {"learn_roles": ["even"]},
        {"lr_scheduler_type": "linear"},
        {"seats": 4, "per_device_train_batch_size": 4},
        {"seed": 8},
        {"env_kwargs": {"a": 1}},
    ],
)
def test_what_changes_learning_changes_the_run(
    model: LlamaForCausalLM, tmp_path: Path, change: dict[str, Any]
) -> None:
    one = identity(tiny_settings(tmp_path), model)
    assert one == json.loads(json.dumps(one))
    assert identity(tiny_settings(tmp_path, **change), model) != one


def test_what_does_not_does_not(model: LlamaForCausalLM, tmp_path: Path) -> None:
    change = {
        "total_iterations": 9,
        "save_strategy": "steps",
        "save_iterations": 3,
        "save_total_limit": 1,
        "report_to": "none",
        "alarm": "stop",
        "log_games": 0,
        "per_device_train_batch_size": 1,
        "output_dir": str(tmp_path / "moved"),
    }
    other = tiny_settings(tmp_path, **change)
    assert identity(tiny_settings(tmp_path), model) == identity(other, model)


def test_every_setting_of_this_package_is_bound_or_free(
    model: LlamaForCausalLM, tmp_path: Path
) -> None:
    known = {field.name for field in fields(OMARConfig)}
    own = known - {field.name for field in fields(GRPOConfig)}
    bound = identity(tiny_settings(tmp_path), model).keys()
    assert known >= FREE_SETTINGS
    assert own - bound == (FREE_SETTINGS | {"resume", "resume_with"}) - {"scenarios"}


def test_scenarios_count_by_what_they_say(model: LlamaForCausalLM, tmp_path: Path) -> None:
    for name, text in (("a", '{"seats": 2}\n'), ("b", '{"seats":2}\n\n'), ("c", '{"seats": 3}\n')):
        (tmp_path / name).write_text(text)
    a, b, c = (
        identity(tiny_settings(tmp_path, scenarios=str(tmp_path / name)), model) for name in "abc"
    )
    assert a == b != c


def test_a_model_is_known_by_its_weights(
    model: LlamaForCausalLM, start: str, tmp_path: Path
) -> None:
    other = LlamaForCausalLM.from_pretrained(start)
    assert fingerprint(other) == fingerprint(model)
    with torch.no_grad():
        other.model.norm.weight[0] += 1e-3
    assert fingerprint(other) != fingerprint(model)
    settings = tiny_settings(tmp_path)
    adapted = [
        identity(settings, get_peft_model(LlamaForCausalLM.from_pretrained(start), adapters))
        for adapters in (LoraConfig(r=2), LoraConfig(r=2, lora_alpha=4))
    ]
    assert adapted[0]["adapters"] != adapted[1]["adapters"]


def test_the_same_model_elsewhere_is_the_same_run(start: str, tmp_path: Path) -> None:
    train(start, tmp_path / "out", total_iterations=1)
    moved = save_tiny_model(tmp_path / "moved")
    assert train(moved, tmp_path / "out", total_iterations=1)[1] == 0
    other = save_tiny_model(tmp_path / "other", seed=1)
    with pytest.raises(ConfigError, match=r"model.weights was \w+, now"):
        train(other, tmp_path / "out", total_iterations=1)


def test_adapters_start_alike_in_every_process(start: str, tmp_path: Path) -> None:
    found = []
    for junk in (1, 2):
        torch.manual_seed(junk)
        trainer = OMARTrainer(
            start,
            tiny_settings(tmp_path, total_iterations=1),
            play=play_fake_games,
            peft_config=LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"),
        )
        found.append(fingerprint(trainer.model))
    assert found[0] == found[1]


def test_another_number_of_processes_is_told(start: str, tmp_path: Path) -> None:
    train(start, tmp_path, total_iterations=1)
    checkpoint = last_checkpoint(tmp_path)
    assert checkpoint is not None
    manifest = checkpoint / "complete.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"processes": 2}))
    with pytest.warns(RuntimeWarning, match="made by 2 processes, now there are 1"):
        assert train(start, tmp_path, total_iterations=1)[1] == 0
