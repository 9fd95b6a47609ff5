"""How many parameters and other numbers a run has, counted without any memory.

The model is made on the meta device, from its config alone. Configs of the models in
the recipes are written down here, so that nothing is downloaded to count them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from peft import get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig
from trl import ModelConfig, get_peft_config

from omar_envs.errors import ConfigError
from omar_trainers.config import OMARConfig
from omar_trainers.critic import build_critic

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
QWEN3 = {
    "model_type": "qwen3",
    "vocab_size": 151_936,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40_960,
    "tie_word_embeddings": True,
}
QWEN2_5 = {
    "model_type": "qwen2",
    "vocab_size": 152_064,
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32_768,
    "tie_word_embeddings": False,
}
KNOWN_MODELS: dict[str, dict[str, Any]] = {
    "Qwen/Qwen3-4B": QWEN3,
    "Qwen/Qwen2.5-7B-Instruct": QWEN2_5,
}
"""Configs of models in the recipes, so that nothing is downloaded to count them."""


def model_config(name: str) -> PretrainedConfig:
    """The config of a known model, or of a model folder. Nothing is downloaded.

    Raises:
        ConfigError: neither is there.
    """
    if name in KNOWN_MODELS:
        fields = dict(KNOWN_MODELS[name])
        return AutoConfig.for_model(fields.pop("model_type"), **fields)
    try:
        return AutoConfig.from_pretrained(name, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no config of {name!r}: give a model folder, or {', '.join(KNOWN_MODELS)}"
        ) from error


@dataclass(frozen=True)
class Counts:
    """How many numbers a run has to do with. The critic alone is counted in bytes.

    Attributes:
        policy: the policy's parameters, adapters left out.
        trained: of them, or of its adapters, that are trained.
        critic: the critic's trained parameters.
        critic_bytes: of them.
        critic_share: the critic's layers times width over the policy's.
        layer: parameters of one layer.
        root: parameters outside of layers: embeddings, and a head of its own.
        normed_heads: whether queries and keys are normed.
        cache: keys and values of one token.
        shape: the model's config.
    """

    policy: int
    trained: int
    critic: int
    critic_bytes: int
    critic_share: float
    layer: int
    root: int
    normed_heads: bool
    cache: int
    shape: PretrainedConfig

    @classmethod
    def of(cls, config: OMARConfig, model: ModelConfig, shape: PretrainedConfig) -> Counts:
        """Count them on the meta device.

        Raises:
            ConfigError: the critic's settings do not fit the policy.
        """
        with torch.device("meta"):
            policy = AutoModelForCausalLM.from_config(shape, dtype=_dtype(model))
            embedding = policy.get_input_embeddings().weight.numel()
            parameters, backbone = policy.num_parameters(), policy.base_model.num_parameters()
            normed_heads = any(name.endswith("q_norm") for name, _ in policy.named_modules())
            if model.use_peft:
                policy = get_peft_model(policy, get_peft_config(model))
            trained = _trained(policy)
            critic_trained, critic_bytes, critic_share = 0, 0, 0.0
            if config.uses_critic:
                critic = build_critic(
                    policy,
                    config.critic,
                    config.critic_overrides,
                    lora_r=config.critic_lora_r,
                    lora_alpha=config.critic_lora_alpha,
                )
                critic_trained = sum(p.numel() for p in _trained(critic))
                critic_bytes = sum(p.nbytes for p in _trained(critic))
                smaller = critic.backbone.config
                critic_share = (smaller.num_hidden_layers * smaller.hidden_size) / (
                    shape.num_hidden_layers * shape.hidden_size
                )
        layers = shape.num_hidden_layers
        layer = (backbone - embedding) // layers
        return cls(
            policy=parameters,
            trained=sum(p.numel() for p in trained),
            critic=critic_trained,
            critic_bytes=critic_bytes,
            critic_share=critic_share,
            layer=layer,
            root=parameters - layers * layer,
            normed_heads=normed_heads,
            cache=2 * layers * shape.num_key_value_heads * _head_dim(shape),
            shape=shape,
        )

    def activations(self, tokens: int, computed: int, *, checkpointed: bool) -> int:
        """Bytes kept of ``tokens`` between forward and backward, ``computed`` bytes a number.

        Per layer: of each norm its input in float32, the normed input and the output;
        queries, keys, values, what attention gives; and four of the MLP's width.
        Where queries and keys are normed, what those norms keep. Under checkpointing the
        layers' inputs, and all of that for one layer at a time, gradients beside it.
        """
        shape = self.shape
        queries = shape.num_attention_heads * _head_dim(shape)
        keys = shape.num_key_value_heads * _head_dim(shape)
        norm = 4 + 2 * computed
        layer = 2 * norm * shape.hidden_size
        layer += computed * (2 * queries + 2 * keys + 4 * shape.intermediate_size)
        if self.normed_heads:
            layer += (4 + computed) * (queries + keys)
        last = norm * shape.hidden_size
        if checkpointed:
            inputs = shape.num_hidden_layers * shape.hidden_size * computed
            return tokens * (inputs + 2 * layer + last)
        return tokens * (shape.num_hidden_layers * layer + last)


def _head_dim(shape: PretrainedConfig) -> int:
    return shape.to_dict().get("head_dim") or shape.hidden_size // shape.num_attention_heads


def _dtype(model: ModelConfig) -> torch.dtype:
    return DTYPES.get(str(model.dtype), torch.float32)


def _trained(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]
