"""A whole copy of a sharded policy, to sample from.

Under FSDP and ZeRO-3 every forward pass is a collective call: all processes must
make the same number of them. Games have no equal lengths, so processes that
sampled from the sharded policy would wait for one another for ever. Each keeps a
copy of its own instead, brought up to date once per iteration, one parameter at a
time. The copy takes no gradients and has no optimizer: it costs the weights, in
the precision that they are computed in.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, is_peft_model
from peft import PeftModel
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from transformers.initialization import no_init_weights

from omar_envs.errors import ConfigError


def is_sharded(accelerator: Accelerator) -> bool:
    """Whether no process holds all of the policy's weights (FSDP, ZeRO-3)."""
    kind = accelerator.distributed_type
    if kind == DistributedType.DEEPSPEED:
        return int(accelerator.state.deepspeed_plugin.zero_stage) == 3
    return kind == DistributedType.FSDP


def require_whole_saves(accelerator: Accelerator) -> None:
    """See that what is saved can be loaded as a model.

    Raises:
        ConfigError: a sharded policy would be saved in shards only.
    """
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        if not accelerator.state.deepspeed_plugin.zero3_save_16bit_model:
            raise ConfigError(
                "ZeRO-3 would save no weights that from_pretrained can read: set "
                "stage3_gather_16bit_weights_on_model_save to true under zero_optimization"
            )
    elif "FULL" not in str(accelerator.state.fsdp_plugin.state_dict_type):
        raise ConfigError(
            "FSDP would save no weights that from_pretrained can read: set state_dict_type to "
            "FULL_STATE_DICT in fsdp_config"
        )


def whole_parameters(
    model: torch.nn.Module, *, trained_only: bool = False
) -> Iterator[tuple[str, Tensor]]:
    """The parameters of ``model`` by name, gathered from the processes one at a time.

    All processes must take all of them, for each is a collective call where the
    model is sharded. A gathered tensor may be freed when the next one is asked for.
    """
    for name, parameter in model.named_parameters():
        if trained_only and not parameter.requires_grad:
            continue
        if isinstance(parameter, DTensor):
            yield name, parameter.detach().full_tensor()
        else:
            with _gathered(parameter):
                yield name, parameter.detach()


@contextmanager
def _gathered(parameter: torch.nn.Parameter) -> Iterator[None]:
    """The whole of a parameter that ZeRO-3 may have partitioned."""
    # ZeRO-3 leaves an empty tensor where a parameter was; any other has elements.
    if parameter.numel():
        yield
        return
    # Not imported where nothing is sharded by it: it is no dependency.
    import deepspeed

    with deepspeed.zero.GatheredParameters([parameter]):
        yield


class PolicyReplica:
    """Holds a copy of the policy that this process can call as often as it likes.

    Args:
        policy: causal LM, or a PEFT model around one; sharded or about to be. All
            processes construct their replica together.
        accelerator: of the trainer; with bf16 the copy is bfloat16.
        device: of the copy; by default the trainer's.

    Raises:
        ConfigError: the policy would be saved in shards only, or has other parameters than
            its config says.

    Attributes:
        model: the copy, in evaluation mode and without gradients.
    """

    def __init__(
        self,
        policy: PreTrainedModel | PeftModel,
        accelerator: Accelerator,
        device: torch.device | None = None,
    ) -> None:
        device = device or accelerator.device
        if is_sharded(accelerator):
            require_whole_saves(accelerator)
        dtype = torch.bfloat16 if accelerator.mixed_precision == "bf16" else policy.dtype
        base = policy.get_base_model() if is_peft_model(policy) else policy
        with no_init_weights(), _default_dtype(dtype), device:
            # Not from_pretrained, which would shard it likewise under ZeRO-3.
            model = type(base)(copy.deepcopy(base.config))
            # Which is left out with the initial weights: an output of its own would stay empty.
            model.tie_weights()
            if is_peft_model(policy):
                for adapter, settings in policy.peft_config.items():
                    if isinstance(model, PeftModel):
                        model.add_adapter(adapter, settings)
                    else:
                        model = PeftModel(model, copy.deepcopy(settings), adapter)
        # Position tables and the like stay in their own precision, which .to(dtype) would lower.
        buffers = dict(policy.named_buffers())
        for name, buffer in model.named_buffers():
            buffer.data = buffers[name].to(device, copy=True)
        self.model = model.requires_grad_(False).eval()
        names = {name for name, _ in policy.named_parameters()}
        if other := sorted(names ^ {name for name, _ in model.named_parameters()}):
            raise ConfigError(
                f"a {type(base).__name__} made from the policy's config has other parameters than "
                f"the policy ({', '.join(other[:3])}): train a model as its family makes it"
            )
        self._copy(whole_parameters(policy))

    def refresh(self, policy: torch.nn.Module) -> None:
        """Copy the policy's present weights, as far as they are trained. All processes together."""
        self._copy(whole_parameters(policy, trained_only=True))

    @torch.no_grad()
    def _copy(self, parameters: Iterator[tuple[str, Tensor]]) -> None:
        own = dict(self.model.named_parameters())
        for name, whole in parameters:
            own[name].copy_(whole)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
