"""Memory arithmetic: what is counted, how it is spread, and what the recipes say of it."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoModelForCausalLM

from omar_envs.errors import ConfigError
from omar_trainers.memory import GIB, Estimate, estimate_recipe, main, table
from omar_trainers.model_counts import Counts, model_config
from omar_trainers.train import parse, recipe_path

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


def test_a_past_model_is_a_whole_copy_with_a_cache_of_its_own() -> None:
    free = ("--use_vllm", "false", "--opponent_share")
    found = of("werewolf_qwen3_4b_node", *free, "0.25", devices=8)
    assert size(found, "past model: weights") == pytest.approx(2 * found.parameters / GIB)
    twice = of("werewolf_qwen3_4b_node", *free, "0.5", devices=8)
    assert size(twice, "past model: cache") > size(found, "past model: cache") > 1
    adapters = of("werewolf_qwen3_4b", "--opponent_share", "0.25")
    assert size(adapters, "past model: weights") == 0 < size(adapters, "past model: cache")
    assert size(of("werewolf_qwen3_4b"), "past model: cache") == 0


def test_fsdp_gathers_a_head_of_its_own_and_whole_gradients() -> None:
    tied, untied = (
        of(f"{name}_node", devices=8) for name in ("werewolf_qwen3_4b", "sotopia_qwen2_5_7b")
    )
    name = "policy: gathered layers"
    # Embedding and head, each 152,064 times 3584, their gradients, and three layers.
    assert size(untied, name) * GIB > 2 * 2 * 2 * 152_064 * 3584
    assert size(tied, name) * GIB < 3 * 2 * 2 * 151_936 * 2560
    assert size(untied, "policy: whole gradients") == pytest.approx(2 * untied.parameters / GIB)
    batch = ("--per_device_train_batch_size", "56")
    once = of("werewolf_qwen3_4b_node", *batch, devices=8)
    assert size(once, "policy: whole gradients") == 0


@pytest.mark.parametrize("name", ["Qwen/Qwen3-4B", "Qwen/Qwen2.5-7B-Instruct"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("checkpointed", [False, True])
def test_activations_are_those_that_autograd_keeps(
    name: str, dtype: torch.dtype, checkpointed: bool
) -> None:
    shape, scale, tokens = model_config(name), 7 if "2.5" in name else 8, 256
    for field in ("hidden_size", "intermediate_size", "num_attention_heads"):
        setattr(shape, field, getattr(shape, field) // scale)
    shape.num_hidden_layers, shape.vocab_size, shape.num_key_value_heads = 4, 100, 1
    shape.layer_types = ["full_attention"] * 4
    model = AutoModelForCausalLM.from_config(shape, dtype=dtype, attn_implementation="sdpa")
    if checkpointed:
        model.activation_checkpointing_enable({"use_reentrant": False})
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        model.base_model(input_ids=torch.zeros((1, tokens), dtype=torch.long), use_cache=False)
    found = sum(storage.nbytes() for storage in kept.values())
    settings = ["--recipe", "werewolf_qwen3_4b", "--use_cpu", "true", "--lora_r", "1"]
    counts = Counts.of(*parse(settings), shape)
    reckoned = counts.activations(tokens, dtype.itemsize, checkpointed=checkpointed)
    if checkpointed:
        # Later, one layer is run again, with gradients beside it.
        shape.num_hidden_layers = 3
        three = counts.activations(tokens, dtype.itemsize, checkpointed=False)
        shape.num_hidden_layers = 4
        four = counts.activations(tokens, dtype.itemsize, checkpointed=False)
        reckoned -= 2 * (four - three)
    # What follows the last norm is not run here, and would keep its output.
    reckoned -= tokens * shape.hidden_size * dtype.itemsize
    assert found == pytest.approx(reckoned, rel=0.1)


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
