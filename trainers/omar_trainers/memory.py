"""What a run needs of each device's memory, by arithmetic, before anything is bought.

::

    python -m omar_trainers.memory --recipe werewolf_qwen3_4b --devices 1

Parameters are counted on the meta device, from a model's config alone. What stands
in memory while games are played and what stands there while the model learns are
added up apart: gradients and activations are gone when sampling begins, and vLLM's
share is where it sleeps meanwhile. The sums leave out what the allocator wastes and
what CUDA itself takes (1 to 3 GiB together).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from transformers import PretrainedConfig
from trl import ModelConfig

from omar_envs.errors import ConfigError
from omar_trainers.config import OMARConfig
from omar_trainers.generation import BATCH_TOKENS, GPU_SHARE
from omar_trainers.model_counts import DTYPES, Counts, model_config
from omar_trainers.scoring import MAX_LOGITS
from omar_trainers.train import parse

GIB = 1 << 30
ADAM = 2
"""Numbers that AdamW keeps per trained one."""

VLLM_WORKSPACE = 3 * GIB
"""Activations and CUDA graphs of vLLM, which count to its share."""

Phase = Literal["always", "play", "learn"]


class Part(NamedTuple):
    """One thing that stands in a device's memory.

    Attributes:
        name: what it is.
        phase: when it stands there.
        size: bytes.
    """

    name: str
    phase: Phase
    size: float


@dataclass(frozen=True)
class Estimate:
    """What one device holds.

    Attributes:
        parts: of the sums.
        parameters: of the policy, adapters left out.
        trained: of them, or of its adapters, that are trained.
        cache_bytes_per_token: keys and values of one token of a row.
        vllm_cache_tokens: rows' tokens that vLLM can hold at once on a device; 0 without it.
        rows: of an iteration on one device.
        tokens_per_step: of all rows in one optimizer step over all devices, at most.
    """

    parts: tuple[Part, ...]
    parameters: int
    trained: int
    cache_bytes_per_token: int
    vllm_cache_tokens: int
    rows: int
    tokens_per_step: int

    def peak(self, phase: Phase) -> float:
        """Bytes held at once in ``phase``."""
        return sum(part.size for part in self.parts if part.phase in ("always", phase))


def estimate(
    config: OMARConfig,
    model: ModelConfig,
    shape: PretrainedConfig,
    *,
    devices: int,
    row_tokens: int,
    device_bytes: float,
) -> Estimate:
    """Add up what one of ``devices`` holds.

    Args:
        config: settings of the run; its sharding is read from ``fsdp`` and ``deepspeed``.
        model: dtype and adapters.
        shape: the model's config.
        devices: over which the run is spread, one process each.
        row_tokens: tokens of a row while it is learned from, and cached: the longest.
        device_bytes: memory of a device, of which vLLM takes a share.
    """
    counts = Counts.of(config, model, shape)
    bytes_of = _Bytes.of(config, model)
    rows = config.rows_per_iteration // devices
    tokens = config.per_device_train_batch_size * row_tokens
    per_token = counts.cache * bytes_of.cache
    sampling, vllm_tokens = _sampling(
        config, counts, bytes_of, row_tokens=rows * row_tokens, device_bytes=device_bytes
    )
    parts = [
        *_policy(config, model, counts, bytes_of, devices),
        *_critic(counts, bytes_of, autocast=bool(config.bf16)),
        *_activations(config, counts, bytes_of, tokens),
        *sampling,
        *_past_model(
            config,
            model,
            counts,
            bytes_of,
            row_tokens=rows * row_tokens,
            device_bytes=device_bytes,
        ),
    ]
    return Estimate(
        parts=tuple(part for part in parts if part.size),
        parameters=counts.policy,
        trained=counts.trained,
        cache_bytes_per_token=per_token,
        vllm_cache_tokens=vllm_tokens,
        rows=rows,
        tokens_per_step=config.rows_per_iteration * row_tokens // config.minibatches,
    )


class _Bytes(NamedTuple):
    """Bytes of one number: of frozen weights, of trained ones, while computing, in the cache."""

    weight: int
    trained: int
    computed: int
    cache: int

    @classmethod
    def of(cls, config: OMARConfig, model: ModelConfig) -> _Bytes:
        weight = DTYPES.get(str(model.dtype), torch.float32).itemsize
        computed = 2 if config.bf16 else weight
        # PEFT and FSDP2 under bf16 keep what is trained in float32.
        in_float32 = model.use_peft or (bool(config.fsdp) and bool(config.bf16))
        copied = _is_sharded(config) or config.use_vllm
        return cls(weight, 4 if in_float32 else weight, computed, computed if copied else weight)


def _policy(
    config: OMARConfig, model: ModelConfig, counts: Counts, size: _Bytes, devices: int
) -> list[Part]:
    stage, fsdp = _zero_stage(config), bool(config.fsdp)
    weights_on = devices if fsdp or stage == 3 else 1
    gradients_on = devices if fsdp or stage >= 2 else 1
    state_on = devices if fsdp or stage else 1
    trained, parts = counts.trained, []
    if model.use_peft:
        base = counts.policy * size.weight / weights_on
        parts.append(Part("policy: frozen base", "always", base))
        adapters = trained * size.trained / weights_on
        parts.append(Part("policy: adapters", "always", adapters))
    else:
        weights = trained * size.trained / weights_on
        parts.append(Part("policy: weights", "always", weights))
    if stage and config.bf16:
        parts.append(Part("policy: float32 copy", "always", 4 * trained / state_on))
    state = 4 if stage else size.trained
    parts.append(Part("policy: AdamW", "always", ADAM * trained * state / state_on))
    gradient = size.computed if stage else size.trained
    parts.append(Part("policy: gradients", "learn", trained * gradient / gradients_on))
    if devices > 1 and gradients_on == 1:
        parts.append(Part("policy: DDP's buckets", "learn", trained * gradient))
    if weights_on > 1:
        # The root's stay from the forward pass to the end of the backward pass; its
        # gradients, and a layer's, are whole until they are spread.
        gathered = (3 * counts.layer + 2 * counts.root) * size.computed
        parts.append(Part("policy: gathered layers", "learn", gathered))
        if fsdp and config.gradient_accumulation_steps > devices:
            # accelerate spreads gradients at the last of a step's batches only. The config
            # was read as if for one process, which would do the others' batches, too.
            whole = trained * size.computed
            parts.append(Part("policy: whole gradients", "learn", whole))
    elif size.computed < size.trained and not model.use_peft:
        parts.append(Part("policy: autocast's copies", "learn", counts.policy * size.computed))
    if _is_sharded(config) and not config.use_vllm:
        whole = counts.policy * size.computed
        parts.append(Part("policy: copy to sample from", "always", whole))
    if config.kl_as != "none" and not model.use_peft:
        reference = counts.policy * size.weight / weights_on
        parts.append(Part("reference model", "always", reference))
    return parts


def _critic(counts: Counts, size: _Bytes, *, autocast: bool) -> list[Part]:
    own = counts.critic_bytes
    copies = (
        size.computed * counts.critic if autocast and own > size.computed * counts.critic else 0
    )
    return [
        Part("critic: weights", "always", own),
        Part("critic: AdamW", "always", ADAM * own),
        Part("critic: gradients", "learn", own),
        Part("critic: autocast's copies", "learn", copies),
    ]


def _activations(config: OMARConfig, counts: Counts, size: _Bytes, tokens: int) -> list[Part]:
    checkpointed = bool(config.activation_checkpointing)
    kept = counts.activations(tokens, size.computed, checkpointed=checkpointed)
    logits = 4 * min(MAX_LOGITS, tokens * counts.shape.vocab_size)
    return [
        Part("activations: policy", "learn", kept),
        Part("logits, float32", "learn", 4 * logits),
        # The policy's graph waits for its backward pass while the critic's runs.
        Part("activations: critic", "learn", counts.critic_share * kept),
    ]


def _sampling(
    config: OMARConfig,
    counts: Counts,
    size: _Bytes,
    *,
    row_tokens: int,
    device_bytes: float,
) -> tuple[list[Part], int]:
    """What sampling takes, and how many tokens of rows vLLM can hold."""
    per_token = counts.cache * size.cache
    if not config.use_vllm:
        working = min(_row_buffer(per_token, device_bytes), row_tokens * 5 // 4)
        return [
            Part("cache: waiting rows", "play", row_tokens * per_token),
            Part("cache: working batch", "play", working * per_token),
        ], 0
    if config.vllm_mode != "colocate":
        return [], 0
    share = config.vllm_gpu_memory_utilization * device_bytes
    engines = config.vllm_tensor_parallel_size
    free = share - counts.policy * size.computed / engines - VLLM_WORKSPACE
    phase: Phase = "play" if config.vllm_enable_sleep_mode else "always"
    held = int(max(0.0, free) / (per_token / engines))
    return [Part("vLLM: weights and cache", phase, share)], held


def _row_buffer(per_token: float, device_bytes: float) -> float:
    """Tokens of the transformers generator's working cache, at most."""
    return max(BATCH_TOKENS, device_bytes / GPU_SHARE / per_token) * 5 / 4


def _past_model(
    config: OMARConfig,
    model: ModelConfig,
    counts: Counts,
    size: _Bytes,
    *,
    row_tokens: int,
    device_bytes: float,
) -> list[Part]:
    """The opponent in memory, and its cache: transformers samples it, whatever samples the policy.

    Its adapters alone, where it shares the policy's base, take nothing to speak of.
    """
    if not config.opponent_share:
        return []
    own_copy = _is_sharded(config) or not model.use_peft
    weight = size.computed if config.bf16 else size.weight
    played = config.opponent_share * row_tokens
    per_token = counts.cache * (weight if own_copy else size.weight)
    tokens = played + min(_row_buffer(per_token, device_bytes), played * 5 / 4)
    return [
        Part("past model: weights", "always", own_copy * counts.policy * weight),
        Part("past model: cache", "play", tokens * per_token),
    ]


def _is_sharded(config: OMARConfig) -> bool:
    return bool(config.fsdp) or _zero_stage(config) == 3


def _zero_stage(config: OMARConfig) -> int:
    if config.deepspeed is None:
        return 0
    return int(config.hf_deepspeed_config.config["zero_optimization"]["stage"])


def table(found: Estimate, *, devices: int) -> str:
    """The estimate as text, GiB per device."""
    lines = [
        f"{found.parameters / 1e9:.2f} B parameters, {found.trained / 1e6:.0f} M trained; "
        f"{devices} device(s); GiB on each"
    ]
    width = max(len(part.name) for part in found.parts)
    lines += [
        f"  {part.name:<{width}}  {part.phase:<6}  {part.size / GIB:7.2f}" for part in found.parts
    ]
    lines += [
        f"  {f'sum while {phase}ing':<{width}}  {'':<6}  {found.peak(phase) / GIB:7.2f}"
        for phase in ("play", "learn")
    ]
    lines.append(
        f"cache: {found.cache_bytes_per_token / 1024:.0f} KiB per token; {found.rows} rows per "
        f"device; at most {found.tokens_per_step:,} tokens per optimizer step"
    )
    if found.vllm_cache_tokens:
        lines.append(f"vLLM holds {found.vllm_cache_tokens:,} tokens of rows on a device at once")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table of a recipe. Returns 0, or 2 after one line about what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m omar_trainers.memory", description=__doc__)
    parser.add_argument("--devices", type=int, default=1, help="devices, one process each")
    parser.add_argument("--device_gib", type=float, default=79.0, help="memory of one, in GiB")
    parser.add_argument(
        "--row_tokens", type=int, default=0, help="tokens of a row; by default max_row_tokens"
    )
    chosen, rest = parser.parse_known_args(argv)
    try:
        found = estimate_recipe(
            rest,
            devices=chosen.devices,
            row_tokens=chosen.row_tokens,
            device_bytes=chosen.device_gib * GIB,
        )
    except ConfigError as error:
        print(f"memory: {error}", file=sys.stderr)
        return 2
    print(table(found, devices=chosen.devices))
    return 0


def estimate_recipe(
    arguments: Sequence[str],
    *,
    devices: int,
    row_tokens: int = 0,
    device_bytes: float = 79.0 * GIB,
) -> Estimate:
    """:func:`estimate` by the arguments of ``omar-envs train``.

    Args:
        arguments: ``--recipe NAME`` and more.
        devices, device_bytes: as there.
        row_tokens: as there; 0 takes ``max_row_tokens``, or the model's own limit.

    Raises:
        ConfigError: wrong settings, or no config of the model.
    """
    # The machine that counts need not have the GPUs that it counts for.
    config, model = parse([*arguments, "--use_cpu", "true"])
    shape = model_config(str(model.model_name_or_path))
    longest = config.max_row_tokens or shape.max_position_embeddings
    return estimate(
        config,
        model,
        shape,
        devices=devices,
        row_tokens=row_tokens or longest,
        device_bytes=device_bytes,
    )


if __name__ == "__main__":
    sys.exit(main())
