"""From the settings to vLLM: who samples in a training run with ``use_vllm``.

``vllm_mode: colocate`` makes vLLM in the trainer's processes, through TRL on GPUs. For
``vllm_mode: server`` start one first::

    VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --logprobs-mode processed_logprobs \\
        --enable-prompt-tokens-details --weight-transfer-config '{"backend": "nccl"}'

On the CPU the last argument is ``--worker-extension-cls
omar_trainers.vllm.worker.WeightReload`` instead, and server and trainer share a disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch.distributed
from accelerate.utils import broadcast_object_list
from trl.generation.vllm_client import VLLMClient
from trl.generation.vllm_generation import VLLMGeneration
from trl.import_utils import is_vllm_available

from omar_envs.errors import ConfigError
from omar_trainers.config import OMARConfig
from omar_trainers.generation_protocol import TextGenerator
from omar_trainers.vllm.backends import LOGPROBS_MODE, EngineBackend, ServerBackend
from omar_trainers.vllm.generator import Backend, VLLMGenerator
from omar_trainers.vllm.lockstep import LockstepGenerator, Share
from omar_trainers.vllm.weight_sync import sync_weights

if TYPE_CHECKING:
    from omar_trainers.trainer import OMARTrainer


def check_vllm() -> None:
    """Refuse to go on without vLLM.

    Raises:
        ConfigError: it is not installed.
    """
    if not is_vllm_available():
        raise ConfigError("use_vllm needs vLLM: pip install 'omar-envs[vllm]', or leave it off")


@contextmanager
def made_without_vllm(args: OMARConfig, without: bool) -> Iterator[None]:
    """Keep TRL from making vLLM itself while it builds the trainer, where it is not to."""
    wanted, args.use_vllm = args.use_vllm, args.use_vllm and not without
    try:
        yield
    finally:
        args.use_vllm = wanted


def vllm_on_cpu(trainer: OMARTrainer) -> VLLMGeneration:
    """What TRL would have made on a GPU, for the CPU.

    Raises:
        ConfigError: as :class:`~omar_trainers.vllm.cpu.VLLMOnCPU`.
    """
    from omar_trainers.vllm.cpu import VLLMOnCPU  # its base class imports vLLM

    args = trainer.args
    return VLLMOnCPU(
        model=trainer.model,
        accelerator=trainer.accelerator,
        processing_class=trainer.processing_class,
        mode=args.vllm_mode,
        server_base_url=args.vllm_server_base_url,
        server_host=args.vllm_server_host,
        server_port=args.vllm_server_port,
        server_timeout=args.vllm_server_timeout,
        gpu_memory_utilization=args.vllm_gpu_memory_utilization,
        max_model_length=args.vllm_max_model_length or trainer.max_row_tokens,
        max_num_seqs=args.per_device_train_batch_size * args.steps_per_generation,
        trust_remote_code=args.trust_remote_code,
    )


def vllm_generator(trainer: OMARTrainer, seed: int) -> TextGenerator:
    """The generator of one round of games, on the trainer's present weights.

    All processes call it together.

    Raises:
        ConfigError: vLLM holds too few tokens for the rows, or a server gives other
            logprobs than those that are trained on.
    """
    generation = trainer.vllm_generation
    if trainer.state.global_step != trainer._last_loaded_step:  # as TRL, where it plays
        sync_weights(generation)
        trainer._last_loaded_step = trainer.state.global_step
    if trainer.vllm_mode == "server":
        # The main process sends the weights; nobody asks before they are there.
        trainer.accelerator.wait_for_everyone()
        return _streaming(trainer, _server(trainer, seed))
    size = trainer.vllm_tensor_parallel_size
    index = trainer.accelerator.process_index % size
    if trainer.args.vllm_enable_sleep_mode:
        trainer._last_loaded_step = -1  # asleep it forgets its weights
    # Processes that share a model must draw the same.
    seed = broadcast_object_list([seed])[0] + trainer.accelerator.process_index // size
    engine = EngineBackend(generation.llm, seed=seed, sleeps=trainer.args.vllm_enable_sleep_mode)
    generator = _streaming(trainer, engine)
    if size == 1:
        return generator

    def gather(share: Share) -> list[Share]:
        shares: list[Share] = [share] * size
        torch.distributed.all_gather_object(shares, share, group=generation.tp_group)
        return shares

    return LockstepGenerator(generator, gather, index)


def _streaming(trainer: OMARTrainer, backend: Backend) -> VLLMGenerator:
    try:
        return VLLMGenerator(
            backend,
            end_token_id=trainer.processing_class.eos_token_id,
            max_context=trainer.max_row_tokens,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _server(trainer: OMARTrainer, seed: int) -> ServerBackend:
    args = trainer.args
    # Every process asks by itself: their numbers of requests need not be equal.
    client = VLLMClient(
        base_url=args.vllm_server_base_url
        or f"http://{args.vllm_server_host}:{args.vllm_server_port}",
        connection_timeout=args.vllm_server_timeout,
    )
    info = client.get_server_info()
    model = info["model_config"]
    if model["logprobs_mode"] != LOGPROBS_MODE:
        raise ConfigError(
            f"the vLLM server at {client.base_url} gives {model['logprobs_mode']}: start it with "
            f"--logprobs-mode {LOGPROBS_MODE}"
        )
    return ServerBackend(
        client,
        max_context=model["max_model_len"],
        concurrency=args.seats * args.games_per_iteration // trainer.accelerator.num_processes,
        seed=seed if takes_seeds(info) else None,
    )


def takes_seeds(info: dict[str, Any]) -> bool:
    """Whether a server outlives requests with seeds, by its own configuration.

    vLLM 0.32 on the CPU does not where it reads prompts in chunks (its default; its
    argument ``--no-enable-chunked-prefill`` is against that). A server that does not
    name its device gets the benefit of the doubt: no seeds.
    """
    on_cpu = info["device_config"].get("device", "cpu") == "cpu"
    return not (on_cpu and info["scheduler_config"]["enable_chunked_prefill"])
