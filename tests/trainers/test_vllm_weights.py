"""Weights on their way to vLLM: whole models and adapters, by TRL's own iteration.

vLLM itself is checked in checks/vllm; here stands what leaves the trainer.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel
from trl.generation.vllm_generation import VLLMGeneration

from omar_trainers.house.model import house_config, new_house_model
from omar_trainers.vllm.cpu import VLLMOnCPU
from omar_trainers.vllm.weight_sync import base_kept, sync_weights


def plain_model(dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    config = house_config(
        40, pad_token_id=0, end_token_id=3, hidden_size=32, num_layers=2, max_context=64
    )
    return new_house_model(config, seed=0).to(dtype)


def adapted_model(dtype: torch.dtype = torch.float32) -> PeftModel:
    model = get_peft_model(
        plain_model(dtype),
        LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    assert isinstance(model, PeftModel)
    train_a_little(model, 0.1)
    return model


@torch.no_grad()
def train_a_little(model: PeftModel, step: float) -> None:
    random = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight += step * torch.randn(weight.shape, generator=random)


def base_of(model: PeftModel) -> dict[str, Tensor]:
    return {name: w.clone() for name, w in model.named_parameters() if "lora" not in name}


def as_one_model(model: PeftModel) -> dict[str, Tensor]:
    """The weights with the adapters added, worked out apart."""
    names = {name.replace(".base_layer", ""): name for name, _ in model.named_parameters()}
    parameters = dict(model.named_parameters())
    whole = {}
    for short, name in names.items():
        if "lora" in name:
            continue
        weight = parameters[name].detach().clone()
        if name.endswith(".base_layer.weight"):
            layer = name.removesuffix(".base_layer.weight")
            low, high = (parameters[f"{layer}.lora_{side}.default.weight"] for side in "AB")
            weight += (2.0 * high @ low).detach().to(weight.dtype)  # alpha / r = 2
        whole[short.removeprefix("base_model.model.")] = weight
    return whole


class Engine:
    """Keeps what it is given, as vLLM's loaders may until all is there."""

    def __init__(self) -> None:
        self.given: list[dict[str, Tensor]] = []

    def collective_rpc(self, method: str, kwargs: dict[str, Any]) -> None:
        assert method == "take_weights"
        self.given.append(dict(kwargs["weights"]))

    def load_weights(self, weights: list[tuple[str, Tensor]]) -> None:
        self.given[-1] |= {name: weight.clone() for name, weight in weights}

    def reset_prefix_cache(self) -> None:
        """Nothing is cached."""


class Client:
    """Reads the folder that it is sent, as a server on the same disk does."""

    base_url = "http://server"

    def __init__(self) -> None:
        self.given: list[dict[str, Tensor]] = []
        self.session = self

    def post(self, url: str, json: dict[str, Any]) -> Any:
        assert url.endswith("collective_rpc")
        folder = Path(json["kwargs"]["path"])
        self.given.append(load_file(folder / "model.safetensors"))
        return SimpleNamespace(status_code=200)

    def reset_prefix_cache(self) -> None:
        """Nothing is cached."""


def made(kind: type[VLLMGeneration], model: PreTrainedModel | PeftModel, mode: str) -> Any:
    """TRL's object with all but its vLLM, which is not installed here."""

    class WithoutVLLM(kind):  # type: ignore[misc,valid-type]
        def _init_vllm(self) -> None:
            """Nothing to make."""

    generation = WithoutVLLM(model, Accelerator(cpu=True), None, mode=mode)
    if mode == "server":
        generation.vllm_client = Client()
    else:
        generation.llm = Engine()
    return generation


@pytest.mark.parametrize("mode", ["server", "colocate"])
def test_what_the_cpu_is_sent_is_the_model_with_its_adapters(mode: str) -> None:
    model = adapted_model()
    generation = made(VLLMOnCPU, model, mode)
    sync_weights(generation)
    train_a_little(model, 0.05)
    sync_weights(generation)
    got = generation.vllm_client.given if mode == "server" else generation.llm.given
    assert len(got) == 2
    expected = as_one_model(model)
    assert got[1].keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(got[1][name], weight)
    name = "model.layers.0.self_attn.q_proj.weight"
    assert (got[1][name] - got[0][name]).abs().max() > 1e-3


def test_a_whole_model_is_sent_as_it_is() -> None:
    model = plain_model()
    generation = made(VLLMOnCPU, model, "server")
    sync_weights(generation)
    (got,) = generation.vllm_client.given
    for name, weight in model.named_parameters():
        assert torch.equal(got[name], weight), name
        # Later training does not reach what was sent.
        assert got[name].data_ptr() != weight.data_ptr()


def test_a_base_in_low_precision_stays_bit_for_bit_the_same() -> None:
    model = adapted_model(torch.bfloat16)
    generation = made(VLLMGeneration, model, "colocate")
    engine = generation.llm
    driver = SimpleNamespace(model_runner=SimpleNamespace(model=engine))
    executor = SimpleNamespace(driver_worker=driver)
    engine.llm_engine = SimpleNamespace(model_executor=executor)
    before = base_of(model)
    for _ in range(5):
        engine.given.append({})
        train_a_little(model, 0.02)
        sync_weights(generation)
        for name, weight in as_one_model(model).items():
            # Added up once in low precision, by the adapters' product in float32.
            torch.testing.assert_close(engine.given[-1][name], weight, rtol=2e-2, atol=2e-3)
    for name, weight in base_of(model).items():
        assert torch.equal(weight, before[name]), name


def test_merging_and_its_reverse_would_move_the_base() -> None:
    """What the block is for: should this fail, it can go."""
    model = adapted_model(torch.bfloat16)
    before = base_of(model)
    with base_kept(model):
        model.merge_adapter()
        model.unmerge_adapter()
        moved = base_of(model)
    assert any(not torch.equal(moved[name], before[name]) for name in before)
    assert all(torch.equal(weight, before[name]) for name, weight in base_of(model).items())
    with base_kept(plain := plain_model()):
        plain.get_input_embeddings().weight.data.zero_()
    assert not plain.get_input_embeddings().weight.any()
