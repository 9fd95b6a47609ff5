"""TRL's vLLM without a GPU: an engine in this process, or a server that shares a folder.

TRL hands weights over by NCCL, or straight into a model that vLLM's CPU kernels have
repacked; neither works on a CPU. Here they go through vLLM's own reload.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedConfig
from trl.generation.vllm_client import VLLMClient
from trl.generation.vllm_generation import VLLMGeneration

from omar_envs.errors import ConfigError
from omar_trainers.vllm.backends import LOGPROBS_MODE, own_randomness

_WORKER = "omar_trainers.vllm.worker.WeightReload"
# The least that the CPU kernels take, 128 by default: a block that is not full is read again.
_BLOCK_TOKENS = 32
_GIB = 2**30


class VLLMOnCPU(VLLMGeneration):
    """vLLM on the CPU, made and fed with weights as TRL's class does on GPUs.

    Raises:
        ConfigError: an engine is asked for in several processes, or the server cannot
            take weights.
    """

    def _init_vllm(self) -> None:
        if self.mode == "server":
            self.vllm_client = VLLMClient(
                base_url=self.server_base_url or f"http://{self.server_host}:{self.server_port}",
                connection_timeout=self.server_timeout,
            )
            _check_server(self.vllm_client)
        else:
            if self.accelerator.num_processes > 1:
                raise ConfigError(
                    "vllm_mode colocate on the CPU is for one process: start a server, and set "
                    "vllm_mode to server"
                )
            self.llm = self._engine()
        self.accelerator.wait_for_everyone()

    def _engine(self) -> Any:
        config: PreTrainedConfig = self.model.config.get_text_config()
        max_tokens = self.max_model_length or config.max_position_embeddings
        settings = {
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "VLLM_NO_USAGE_STATS": "1",
            # The trainer's own threads share the cores.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_CPU_KVCACHE_SPACE": str(
                _cache_gib(config, self.max_num_seqs * max_tokens, self.gpu_memory_utilization)
            ),
        }
        for name, value in settings.items():
            os.environ.setdefault(name, value)
        from vllm import LLM

        with own_randomness(0):  # vLLM seeds the process
            return LLM(
                model=self.model.name_or_path,
                dtype=str(self.model.dtype).removeprefix("torch."),
                enforce_eager=True,
                max_num_seqs=self.max_num_seqs,
                max_model_len=max_tokens,
                block_size=_BLOCK_TOKENS,
                enable_prefix_caching=True,
                logprobs_mode=LOGPROBS_MODE,
                worker_extension_cls=_WORKER,
                trust_remote_code=self.trust_remote_code,
            )

    def sync_weights(self) -> None:
        """Hand the model's weights to vLLM, and drop what it has cached under older ones."""
        if self.mode == "server":
            self._sync_server()
            return
        self.llm.collective_rpc("take_weights", kwargs={"weights": self._copies(), "path": None})
        self.llm.reset_prefix_cache()

    def _sync_server(self) -> None:
        weights = dict(self._copies())
        if self.accelerator.is_main_process:
            client = self.vllm_client
            with TemporaryDirectory(prefix="omar-weights-") as folder:
                save_file(weights, Path(folder) / "model.safetensors", {"format": "pt"})
                self.model.config.save_pretrained(folder)
                call = {"method": "take_weights", "kwargs": {"weights": None, "path": folder}}
                _post(client, "collective_rpc", call)
            client.reset_prefix_cache()
        self.accelerator.wait_for_everyone()

    def _copies(self) -> Iterator[tuple[str, Tensor]]:
        """The weights as they are handed over: adapters are taken off again at the end."""
        for name, weight in self._iter_named_params():
            yield name, weight.detach().to("cpu", copy=True).contiguous()


def _cache_gib(config: PreTrainedConfig, tokens: int, share: float) -> int:
    """Memory for keys and values of so many tokens in float32, within a share of all memory."""
    heads = config.num_key_value_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    wanted = 2 * config.num_hidden_layers * heads * width * 4 * tokens
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, math.ceil(min(wanted, share * memory) / _GIB))


def _check_server(client: VLLMClient) -> None:
    info = client.get_server_info()
    if info["parallel_config"]["worker_extension_cls"] != _WORKER:
        raise ConfigError(
            f"the vLLM server at {client.base_url} cannot take weights on the CPU: start it with "
            f"--worker-extension-cls {_WORKER}, from an environment that has omar_trainers"
        )


def _post(client: VLLMClient, path: str, body: dict[str, Any]) -> None:
    response = client.session.post(f"{client.base_url}/{path}", json=body)
    if response.status_code != 200:
        raise RuntimeError(
            f"the vLLM server at {client.base_url} answered {path} with {response.status_code}: "
            f"{response.text[:500]}"
        )
