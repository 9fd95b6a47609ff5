"""``omar-envs train`` on the real game: a recipe in, a model that plays out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM

from omar_envs.rollout import make, play
from omar_trainers.house.model import house_config, new_house_model
from omar_trainers.house.tokenizer import house_tokenizer
from omar_trainers.metrics import METRICS_FILE
from omar_trainers.model_policy import ModelPolicy
from omar_trainers.train import FINAL_FOLDER, main, parse


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small house model with random weights."""
    folder = tmp_path_factory.mktemp("untrained")
    words = {"Ana", "Bruno", "Clara", "Diego", "Elena", "abstain", "nobody", "seer", "werewolf"}
    tokenizer = house_tokenizer(words, max_context=512)
    config = house_config(
        len(tokenizer), pad_token_id=0, end_token_id=3, hidden_size=32, num_layers=1
    )
    new_house_model(config, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def small(model: str, output: Path) -> list[str]:
    """Arguments that make the demo's recipe a run of seconds."""
    sizes = {
        "games_per_iteration": 4,
        "per_device_train_batch_size": 5,
        "total_iterations": 2,
        "save_iterations": 1,
    }
    return [
        *("--recipe", "werewolf_house_demo", "--model_name_or_path", model),
        *("--output_dir", str(output)),
        *(part for name, value in sizes.items() for part in (f"--{name}", str(value))),
    ]


@pytest.mark.e2e
def test_recipe_to_a_model_that_plays(untrained: str, tmp_path: Path) -> None:
    arguments = small(untrained, tmp_path)
    assert main(arguments) == 0
    metrics = [json.loads(line) for line in (tmp_path / METRICS_FILE).read_text().splitlines()]
    assert [line["iteration"] for line in metrics] == [1, 2]
    assert metrics[0]["policy/logprob_gap"] < 1e-5
    assert metrics[0]["win/village"] + metrics[0]["win/werewolf"] + metrics[0]["win/nobody"] == 1.0
    # Choices are masked to the legal names, so that none can be misread.
    assert metrics[0]["game/invalid_acts"] < 0.5

    settings, _ = parse(arguments)
    policy = ModelPolicy.from_pretrained(tmp_path / FINAL_FOLDER, max_new_tokens_speak=4)
    episode = play(make(settings.env_name, settings.env_kwargs), policy, seed=1)
    assert episode.terminated or episode.truncated

    # The critic stays in the checkpoint; the model is a plain one.
    final = LlamaForCausalLM.from_pretrained(tmp_path / FINAL_FOLDER)
    assert final.num_parameters() == LlamaForCausalLM.from_pretrained(untrained).num_parameters()
    assert main([*arguments, "--total_iterations", "3", "--resume_from_checkpoint", "last"]) == 0
    steps = [json.loads(li)["step"] for li in (tmp_path / METRICS_FILE).read_text().splitlines()]
    assert steps == [2, 4, 6]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--seats", "4", "--per_device_train_batch_size", "2"], "a game has 5 players"),
        (["--env_kwargs", '{"num_playrs": 5}'], "num_playrs"),
        (["--env_name", "chess_v0"], "unknown environment 'chess_v0'"),
        (["--critic_overrides", '{"hiden_size": 8}'], "no field 'hiden_size'"),
        (["--resume_from_checkpoint", "last"], "has no checkpoint"),
        (["--model_name_or_path", "/no/such/folder"], "cannot be loaded"),
    ],
)
def test_mistakes_are_one_line(
    untrained: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    extra: list[str],
    message: str,
) -> None:
    assert main([*small(untrained, tmp_path), *extra]) == 2
    printed = [li for li in capsys.readouterr().err.splitlines() if "omar-envs train" in li]
    assert len(printed) == 1
    assert message in printed[0]
