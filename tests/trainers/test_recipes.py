"""Config files for many devices: accelerate reads them, and both ways in mean the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from transformers import AutoConfig, AutoModelForCausalLM
from trl import get_peft_config

from omar_trainers.train import parse, recipe_path
from omar_trainers.trainer import OMARTrainer
from tests.trainers.chat_templates import SMOLLM2, chatml_tokenizer, qwen3_template

SCALE = recipe_path("werewolf_qwen3_4b").parent / "scale"
KINDS = {
    "data_parallel": "MULTI_GPU",
    "fsdp2": "FSDP",
    "zero2": "DEEPSPEED",
    "zero3": "DEEPSPEED",
}
PAIRS = [
    ("werewolf_qwen3_4b", "werewolf_qwen3_4b_node"),
    ("sotopia_qwen2_5_7b", "sotopia_qwen2_5_7b_node"),
]


def settings(name: str) -> dict[str, Any]:
    return json.loads((SCALE / f"{name}.json").read_text(encoding="utf-8"))


def test_every_file_is_known() -> None:
    assert {path.stem for path in SCALE.iterdir()} == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_accelerate_reads_them(name: str) -> None:
    read = load_config_from_file(str(SCALE / f"{name}.yaml"))
    assert read.distributed_type == KINDS[name]
    assert read.num_processes == 8
    assert read.mixed_precision == "bf16"


def test_fsdp_is_the_same_by_accelerate_and_by_torchrun() -> None:
    read = load_config_from_file(str(SCALE / "fsdp2.yaml")).fsdp_config
    named = {name.removeprefix("fsdp_"): value for name, value in read.items()}
    assert named == settings("fsdp2")


@pytest.mark.parametrize("stage", [2, 3])
def test_zero_is_the_same_by_accelerate_and_by_torchrun(stage: int) -> None:
    read = load_config_from_file(str(SCALE / f"zero{stage}.yaml")).deepspeed_config
    given = settings(f"zero{stage}")
    assert read["zero_stage"] == given["zero_optimization"]["stage"] == stage
    whole = given["zero_optimization"].get("stage3_gather_16bit_weights_on_model_save", False)
    assert read.get("zero3_save_16bit_model", False) == whole == (stage == 3)


@pytest.mark.parametrize(("one", "node"), PAIRS)
def test_a_node_plays_the_same_game_more_often(one: str, node: str) -> None:
    (small, _), (large, _) = (parse(["--recipe", name, "--use_cpu"]) for name in (one, node))
    for name in ("env_name", "env_kwargs", "seats", "max_row_tokens", "lam_turn", "minibatches"):
        assert getattr(small, name) == getattr(large, name), name
    assert large.games_per_iteration % 8 == 0
    assert large.games_per_iteration > small.games_per_iteration
    assert {name: large.fsdp_config[name] for name in settings("fsdp2")} == settings("fsdp2") | {
        "version": 2
    }


@pytest.mark.parametrize("name", [name for pair in PAIRS for name in pair])
def test_large_recipes_say_what_was_not_run(name: str) -> None:
    text = recipe_path(name).read_text(encoding="utf-8")
    assert "Not run" in text
    assert f"python -m omar_trainers.memory --recipe {name} --devices" in text
    assert Path(SCALE).is_dir()


@pytest.mark.parametrize("name", [name for pair in PAIRS for name in pair])
def test_trainers_are_made_from_large_recipes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    family = "qwen3" if "qwen3" in name else "qwen2"
    tokenizer = chatml_tokenizer(qwen3_template() if family == "qwen3" else SMOLLM2)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    shape = AutoConfig.for_model(family, vocab_size=len(tokenizer), **sizes, **heads)
    AutoModelForCausalLM.from_config(shape).save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    here = {"use_cpu": "true", "use_vllm": "false", "bf16": "false", "fsdp": ""}
    here |= {"output_dir": str(tmp_path / "out"), "fsdp_config": "{}"}
    words = [word for key, value in here.items() for word in (f"--{key}", value)]
    config, model = parse(["--recipe", name, *words])
    peft = get_peft_config(model)
    trainer = OMARTrainer(str(tmp_path / "tiny"), config, peft_config=peft)
    assert trainer.estimator is not None
    assert trainer.args.chat_template_kwargs == (
        {"enable_thinking": False} if family == "qwen3" else None
    )
