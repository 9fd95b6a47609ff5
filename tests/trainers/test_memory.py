"""Memory arithmetic: what is counted, how it is spread, and what the recipes say of it."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from omar_envs.errors import ConfigError
from omar_trainers.memory import GIB, Estimate, estimate_recipe, main, table
from omar_trainers.model_counts import model_config
from omar_trainers.train import recipe_path

DEVICES = {
    "werewolf_qwen3_4b": 1,
    "werewolf_qwen3_4b_node": 8,
    "sotopia_qwen2_5_7b": 1,
    "sotopia_qwen2_5_7b_node": 8,
}


@cache
def of(recipe: str, *arguments: str, devices: int = 1, **how: Any) -> Estimate:
    return estimate_recipe(["--recipe", recipe, *arguments], devices=devices, **how)


def size(found: Estimate, name: str) -> float:
    """GiB of the part called so, 0 without it."""
    return sum(part.size for part in found.parts if part.name == name) / GIB


def test_parameters_are_those_the_model_cards_name() -> None:
    assert of("werewolf_qwen3_4b").parameters / 1e9 == pytest.approx(4.0, abs=0.05)
    assert of("sotopia_qwen2_5_7b").parameters / 1e9 == pytest.approx(7.61, abs=0.01)


def test_adapters_are_counted_by_rank() -> None:
    small, large = of("werewolf_qwen3_4b", "--lora_r", "16"), of("werewolf_qwen3_4b")
    assert large.trained == 4 * small.trained
    # q, k, v, o, and the MLP's three, of every layer: rank times (inputs + outputs).
    q, kv, hidden, inner = 32 * 128, 8 * 128, 2560, 9728
    per_layer = 2 * (hidden + q) + 2 * (hidden + kv) + 3 * (hidden + inner)
    assert small.trained == 16 * 36 * per_layer


def test_weights_optimizer_and_gradients_are_16_bytes_a_parameter() -> None:
    found = of("werewolf_qwen3_4b_node", "--fsdp", "")
    billions = found.parameters / GIB
    assert size(found, "policy: weights") == pytest.approx(4 * billions)
    assert size(found, "policy: AdamW") == pytest.approx(8 * billions)
    assert size(found, "policy: gradients") == pytest.approx(4 * billions)


def test_fsdp_spreads_all_that_is_learned_and_nothing_of_the_critic() -> None:
    one, eight = (of("werewolf_qwen3_4b_node", devices=n) for n in (1, 8))
    for name in ("weights", "AdamW", "gradients"):
        assert size(eight, f"policy: {name}") == pytest.approx(size(one, f"policy: {name}") / 8)
        assert size(eight, f"critic: {name}") == size(one, f"critic: {name}") > 0


def test_what_is_spread_needs_a_whole_copy_to_sample_from_unless_vllm_has_it() -> None:
    name = "policy: copy to sample from"
    assert size(of("werewolf_qwen3_4b_node", devices=8), name) == 0
    found = of("werewolf_qwen3_4b_node", "--use_vllm", "false", devices=8)
    assert size(found, name) == pytest.approx(2 * found.parameters / GIB)


def test_cache_of_a_token_is_keys_and_values_of_all_layers() -> None:
    assert of("werewolf_qwen3_4b").cache_bytes_per_token == 2 * 36 * 8 * 128 * 2
    assert of("sotopia_qwen2_5_7b").cache_bytes_per_token == 2 * 28 * 4 * 128 * 2
    waiting = of("werewolf_qwen3_4b", "--use_vllm", "false", row_tokens=1000)
    assert size(waiting, "cache: waiting rows") * GIB == waiting.rows * 1000 * 147_456


def test_a_lora_critic_costs_little_and_a_copy_much() -> None:
    lora, copied = of("werewolf_qwen3_4b"), of("werewolf_qwen3_4b", "--critic", "copy")
    assert size(lora, "critic: weights") < 0.2
    assert size(copied, "critic: weights") > 14


def test_checkpointing_makes_room() -> None:
    name = "activations: policy"
    kept = of("werewolf_qwen3_4b", "--activation_checkpointing", "false")
    assert size(kept, name) > 10 * size(of("werewolf_qwen3_4b"), name)


def test_longer_rows_and_no_critic() -> None:
    short, long = of("werewolf_qwen3_4b", row_tokens=8192), of("werewolf_qwen3_4b")
    assert size(long, "activations: policy") == 2 * size(short, "activations: policy")
    free = of("werewolf_qwen3_4b", "--advantage", "rae", "--critic_only_iterations", "0")
    assert not [part for part in free.parts if "critic" in part.name]


@pytest.mark.parametrize("recipe", DEVICES)
def test_recipes_quote_their_table_and_fit(recipe: str) -> None:
    found = of(recipe, devices=DEVICES[recipe])
    text = recipe_path(recipe).read_text(encoding="utf-8")
    for line in table(found, devices=DEVICES[recipe]).splitlines():
        assert f"# {line}\n" in text, f"{recipe} should say: {line}"
    # A device of 80 GB has 79 GiB; what is not counted takes 3.
    assert max(found.peak("play"), found.peak("learn")) < 76 * GIB


def test_an_unknown_model_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--recipe", "werewolf_qwen3_4b", "--model_name_or_path", "no/such"]) == 2
    assert "no config of 'no/such'" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="no config"):
        model_config("no/such")


def test_it_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--recipe", "werewolf_qwen3_4b", "--row_tokens", "4096"]) == 0
    printed = capsys.readouterr().out
    assert "policy: frozen base" in printed and "vLLM holds" in printed
