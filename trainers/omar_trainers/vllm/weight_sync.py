"""Handing a policy's weights to vLLM without a trace in the policy.

TRL adds adapters to the base before it hands the weights over, and takes them off
again afterwards. In low precision ``(w + d) - d`` is not ``w``: with every hand-over
the frozen base would move a little, and with it the reference of the KL penalty and
whatever the adapters are loaded on later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from torch.distributed.tensor import DTensor
from trl.generation.vllm_generation import VLLMGeneration


def sync_weights(generation: VLLMGeneration) -> None:
    """Bring vLLM up to date; the policy is afterwards what it was, bit for bit.

    With adapters it costs host memory as large as the adapted layers' base weights
    (this process's part of them, where they are sharded) while it lasts, and their
    way there and back. All processes call it together.
    """
    with base_kept(generation.model):
        generation.sync_weights()


@contextmanager
def base_kept(model: torch.nn.Module) -> Iterator[None]:
    """Give the layers under adapters their weights back when the block is over.

    A model without adapters is left alone.
    """
    if not isinstance(model, PeftModel):
        yield
        return
    # By name: FSDP may have other tensors in the place of those that were there before.
    before = {name: part.to("cpu", copy=True) for name, part in _adapted(model)}
    yield
    for name, part in _adapted(model):
        part.copy_(before[name])


@torch.no_grad()
def _adapted(model: PeftModel) -> Iterator[tuple[str, Tensor]]:
    """What merging changes: this process's part of it.

    Where ZeRO-3 has partitioned it, it is empty: merging changes a gathered copy.
    """
    for name, module in model.named_modules():
        if isinstance(module, BaseTunerLayer):
            for part, parameter in module.get_base_layer().named_parameters():
                local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
                yield f"{name}.{part}", local.detach()
