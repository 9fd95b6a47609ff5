"""Past models of a run: on disk, and brought back to play.

A whole model is saved as a folder that ``from_pretrained`` loads; one that is
trained through adapters, as its adapters alone. One past model at a time is in
memory: as a copy beside the policy, or, where only adapters differ, as adapters
that take the place of the policy's own while they sample.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from omar_envs.errors import ConfigError
from omar_trainers.generation import GenerationRequest, GenerationResult, TextGenerator
from omar_trainers.replica import PolicyReplica, is_sharded, whole_parameters
from omar_trainers.resuming.files import sync_file, sync_folder

POOL_FOLDER = "pool"
_WEIGHTS = "model.safetensors"
_ADAPTERS = "adapter_model.safetensors"


class PastModels:
    """The past models of one run, each by a name.

    All processes construct theirs together. Where they run on several machines the
    folder must be on a disk that all of them see, as checkpoints must.

    Args:
        folder: made when the first model is written.
        policy: the learning model as it stands.
        accelerator: of the trainer.
        tokenizer: saved beside whole models.
        generator: makes what samples from a model: (model, seed).
    """

    def __init__(
        self,
        folder: Path,
        policy: Callable[[], PreTrainedModel | PeftModel],
        accelerator: Accelerator,
        tokenizer: PreTrainedTokenizerBase,
        generator: Callable[[PreTrainedModel | PeftModel, int], TextGenerator],
    ) -> None:
        self._folder = folder
        self._policy = policy
        self._accelerator = accelerator
        self._tokenizer = tokenizer
        self._generator = generator
        self._replica: PolicyReplica | None = None
        if is_sharded(accelerator) or not isinstance(policy(), PeftModel):
            self._replica = PolicyReplica(policy(), accelerator)

    def write(self, name: str) -> None:
        """Save the policy's present weights, all of them or nothing.

        All processes call this together; the first one writes.

        Raises:
            OSError: the disk does not take it.
        """
        policy = self._accelerator.unwrap_model(self._policy())
        writes = self._accelerator.is_main_process
        weights: dict[str, Tensor] = {}
        for key, value in whole_parameters(policy):
            if writes:
                weights[key] = value.to("cpu", copy=True).contiguous()
        if writes:
            staging = self._folder / f".{name}.tmp"
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True)
            self._fill(staging, policy, weights)
            self._publish(staging, self._folder / name)
        self._accelerator.wait_for_everyone()

    def keep(self, names: set[str]) -> None:
        """Remove all others. All processes call this together.

        Raises:
            ConfigError: one of ``names`` is not there.
        """
        if self._accelerator.is_main_process:
            for path in self._folder.glob("iteration-*"):
                if path.name not in names:
                    shutil.rmtree(path)
        self._accelerator.wait_for_everyone()
        for name in sorted(names):
            if not (self._folder / name).is_dir():
                raise ConfigError(
                    f"the pool of past models has lost {self._folder / name}: put it back, or "
                    "give another output_dir to begin a new run"
                )

    @contextmanager
    def load(self, name: str, seed: int) -> Iterator[TextGenerator]:
        """What samples a past model's replies while the block lasts."""
        if self._replica is not None:
            model = self._replica.model
            self._read(name, model)
            yield self._generator(model, seed)
            return
        policy = self._accelerator.unwrap_model(self._policy())
        trained = [p for p in policy.parameters() if p.requires_grad]
        live = [p.detach().clone() for p in trained]
        with _restored(trained, live):
            self._read(name, policy)
            past = [p.detach().clone() for p in trained]
        yield _WithWeights(self._generator(policy, seed), trained, past)

    def _fill(
        self, folder: Path, policy: PreTrainedModel | PeftModel, weights: dict[str, Tensor]
    ) -> None:
        if isinstance(policy, PeftModel):
            adapters = get_peft_model_state_dict(policy, state_dict=weights)
            save_file(adapters, folder / _ADAPTERS, {"format": "pt"})
            policy.peft_config[policy.active_adapter].save_pretrained(str(folder))
            return
        # Weights stand in the buffers' place under no name of their own.
        buffers = {key for key, _ in policy.named_buffers()} & policy.state_dict().keys()
        for key in buffers:
            weights[key] = policy.get_buffer(key).to("cpu", copy=True).contiguous()
        save_file(weights, folder / _WEIGHTS, {"format": "pt"})
        policy.config.save_pretrained(folder)
        self._tokenizer.save_pretrained(folder)

    def _publish(self, staging: Path, place: Path) -> None:
        for path in staging.iterdir():
            sync_file(path)
        sync_folder(staging)
        shutil.rmtree(place, ignore_errors=True)
        os.replace(staging, place)
        sync_folder(place.parent)

    @torch.no_grad()
    def _read(self, name: str, model: PreTrainedModel | PeftModel) -> None:
        """Give a model the weights that were saved under a name."""
        if isinstance(model, PeftModel):
            set_peft_model_state_dict(model, load_file(self._folder / name / _ADAPTERS))
            return
        own = dict(model.named_parameters()) | dict(model.named_buffers())
        for key, value in load_file(self._folder / name / _WEIGHTS).items():
            own[key].copy_(value)


class _WithWeights:
    """Samples while some parameters hold other values, and puts them back."""

    def __init__(
        self, generator: TextGenerator, parameters: Sequence[Tensor], values: Sequence[Tensor]
    ) -> None:
        self._generator = generator
        self._parameters = parameters
        self._values = values

    @property
    def max_context(self) -> int:
        return self._generator.max_context

    @torch.no_grad()
    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        own = [parameter.detach().clone() for parameter in self._parameters]
        with _restored(self._parameters, own):
            for parameter, value in zip(self._parameters, self._values, strict=True):
                parameter.copy_(value)
            return self._generator.generate(requests)

    def forget(self) -> None:
        self._generator.forget()


@contextmanager
def _restored(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Give the parameters these values when the block ends, however it ends."""
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, values, strict=True):
                parameter.copy_(value)
