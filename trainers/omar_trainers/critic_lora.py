"""A critic's backbone that is an adapter on the policy's own frozen base.

It is a second tree of modules over the same tensors: the policy's adapter is left
out of it, the critic's is no part of the policy (whose parameters weight sync
walks), and the base stands in memory once.
"""

from __future__ import annotations

import copy
from itertools import chain

import torch
from accelerate.utils import is_peft_model
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer, cast_adapter_dtype
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn
from transformers import PreTrainedModel

from omar_envs.errors import ConfigError

ADAPTER = "critic"


def adapted_backbone(policy: PreTrainedModel, *, r: int, alpha: int, seed: int) -> PreTrainedModel:
    """The policy's headless base with an adapter of its own on all linear layers.

    At the start it computes what the base does; only the adapter has
    ``requires_grad``, and it is float32 on a base of any precision. The global
    generator is left as it was.

    Args:
        policy: a PEFT model whose base is frozen and whole on this process.
        r, alpha: rank and scale of the adapter.
        seed: of its weights.

    Raises:
        ConfigError: the policy trains its base, or parts of it.
    """
    if not is_peft_model(policy):
        raise ConfigError(
            "critic lora sits on the policy's frozen base, but the whole policy is trained: set "
            "use_peft (or pass peft_config), or critic to copy"
        )
    backbone = _without_adapters(_same_tensors(policy.get_base_model().base_model))
    trained = [name for name, p in backbone.named_parameters() if p.requires_grad]
    if trained:
        raise ConfigError(
            f"critic lora needs the policy's base frozen, but {trained[0]} and "
            f"{len(trained) - 1} more of its parameters are trained: leave bias and the like out "
            "of the policy's adapter, or set critic to copy"
        )
    adapter = LoraConfig(r=r, lora_alpha=alpha, target_modules="all-linear")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapted = inject_adapter_in_model(adapter, backbone, adapter_name=ADAPTER)
    # Steps of a small learning rate are lost in bfloat16: they round to nothing.
    cast_adapter_dtype(adapted, ADAPTER)
    return adapted


def _same_tensors(module: PreTrainedModel) -> PreTrainedModel:
    """A copy of the modules that holds the very same parameters and buffers."""
    shared = chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, memo={id(tensor): tensor for tensor in shared})


def _without_adapters(module: PreTrainedModel) -> PreTrainedModel:
    """Put back what adapters have wrapped."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            setattr(parent, name, _unwrapped(child))
    return module


def _unwrapped(module: nn.Module) -> nn.Module:
    while isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper):
        inner = isinstance(module, BaseTunerLayer)
        module = module.get_base_layer() if inner else module.original_module
    return module
