"""The critic: a model of its own, with its own optimizer.

It is no head on the policy. TRL's weight sync walks all of the policy's
parameters, and a head there would be pushed to the inference server.

What it fits are returns shifted and scaled by running statistics, if so set. As
these move, the head's weights are changed so that no value does: PopArt (van Hasselt
et al., arXiv 1602.07714). The first statistics alone move the values: the head's zero
then says the mean, wherever that is. Only :class:`CriticLearner` knows of it; its
values are in the returns' own units.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import is_peft_model
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from omar_envs.errors import ConfigError
from omar_trainers.critic_lora import adapted_backbone
from omar_trainers.moments import RunningMoments, Spread, gather_spreads
from omar_trainers.resuming.hyperparameters import Hyperparameters
from omar_trainers.scoring import AlignedRows

CriticSchedule = Literal["constant", "linear", "cosine"]
"""What the critic's learning rate does after its warmup."""

BUCKET_NUMBERS = 1 << 26
"""Gradient entries that are averaged over processes in one message (256 MiB)."""


class Critic(nn.Module):
    """A causal backbone with a scalar head, which starts at 0 everywhere.

    Args:
        backbone: headless causal model; ``last_hidden_state`` is (B, L, H).
    """

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.backbone = backbone
        # Not initialised first: that would draw from the global generator.
        self.head = nn.utils.skip_init(nn.Linear, backbone.config.get_text_config().hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: Tensor) -> Tensor:
        """Values of the states after each token. ids (B, L) -> (B, L) float32.

        Padding stands at the right; what it reads there means nothing.
        """
        hidden = self.backbone(input_ids=ids, use_cache=False).last_hidden_state
        head = self.head
        # bfloat16 has too few digits for differences of values, or to be rescaled in.
        with torch.autocast(hidden.device.type, enabled=False):
            values = nn.functional.linear(hidden.float(), head.weight.float(), head.bias.float())
        return values[..., 0]


def build_critic(
    policy: PreTrainedModel,
    kind: Literal["copy", "fresh", "lora"],
    overrides: dict[str, Any] | None = None,
    *,
    lora_r: int = 16,
    lora_alpha: int = 32,
    seed: int = 0,
) -> Critic:
    """A critic for ``policy``.

    Args:
        policy: causal LM, or a PEFT model around one (adapters are merged into
            the copy).
        kind: ``copy`` of the policy's backbone, a ``fresh`` one of its class, or
            ``lora``, an adapter on the policy's own base
            (:mod:`omar_trainers.critic_lora`).
        overrides: fields of the policy's config that differ in a fresh critic.
        lora_r, lora_alpha: rank and scale of a lora critic's adapter.
        seed: of fresh weights; the global generator is left as it was.

    Raises:
        ConfigError: an override names no field of the policy's config, or the
            family cannot be built with it; a lora critic for a policy whose base
            is trained.
    """
    if kind == "lora":
        backbone = adapted_backbone(policy, r=lora_r, alpha=lora_alpha, seed=seed)
        return _on_device(Critic(backbone), policy)
    if is_peft_model(policy):
        policy = copy.deepcopy(policy).merge_and_unload()
    if kind == "copy":
        backbone = copy.deepcopy(policy.base_model)
        backbone.requires_grad_(True)
        # Steps of a small learning rate are lost in bfloat16: they round to nothing.
        return _on_device(Critic(backbone.float()), policy)
    config_class = type(policy.base_model.config)
    fields = policy.base_model.config.to_dict()
    for name in overrides or {}:
        if name not in fields:
            raise ConfigError(f"critic_overrides: {config_class.__name__} has no field {name!r}")
    # One entry per layer: the config works it out again for another depth.
    fields.pop("layer_types", None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            critic = Critic(
                type(policy.base_model)(config_class(**{**fields, **(overrides or {})}))
            )
        except (StrictDataclassError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error.__cause__ or error).split())
            raise ConfigError(f"critic_overrides do not fit together: {reason}") from error
    return _on_device(critic, policy)


def _on_device(critic: Critic, policy: PreTrainedModel) -> Critic:
    return critic.to(device=policy.device)


class ValueEstimates(NamedTuple):
    """Attributes:
    before: (B, T), entry t read at the position before completion token t.
    after_last: (B,), read at the row's last token.
    """

    before: Tensor
    after_last: Tensor


def token_values(critic: nn.Module, rows: AlignedRows, width: int) -> ValueEstimates:
    """Values of the states in which the completion's tokens are chosen.

    Args:
        critic: maps ids (B, L) to values (B, L).
        rows: aligned rows.
        width: T, columns of the padded completions; past a row's end the values
            mean nothing.
    """
    after = critic(rows.ids)  # (B, L)
    before = rows.starts[:, None] + torch.arange(width, device=after.device) - 1  # (B, T)
    values = after.gather(1, before.clamp(max=after.shape[1] - 1))
    return ValueEstimates(values, after.gather(1, rows.lengths[:, None] - 1)[:, 0])


def clipped_value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float
) -> tuple[Tensor, Tensor]:
    """PPO's value loss, summed over unmasked tokens. All (B, T).

    ``½·max((V − R)², (clip(V, V_old ± clip) − R)²)``; a ``clip`` of 0 leaves the
    plain squared error.

    Returns:
        the sum, and how many tokens the clipping held back (no gradient).
    """
    error = (values - returns).square()
    held = torch.zeros_like(mask)
    if clip > 0:
        near = old_values + (values - old_values).clamp(-clip, clip)
        clipped_error = (near - returns).square()
        held = clipped_error > error
        error = torch.maximum(error, clipped_error)
    return 0.5 * (error * mask).sum(), (held & mask).sum()


def _recompute_layers(critic: nn.Module) -> None:
    """Let layers for which checkpointing is switched on do it: they look at their mode alone."""
    for module in critic.modules():
        if isinstance(module, GradientCheckpointingLayer) and module.gradient_checkpointing:
            module.training = True


class CriticLearner:
    """Fits a critic by gradient steps that the policy's optimizer knows nothing of.

    Gradients are averaged over processes by hand: the critic is not wrapped, so
    processes may call it unequally often between two steps.

    Args:
        critic: on the accelerator's device, the same on all processes.
        accelerator: of the trainer.
        learning_rate: the highest.
        warmup_steps: steps over which the rate grows linearly.
        scheduler: what it does after that.
        total_steps: of the whole run, for schedules that end at 0.
        value_clip: see :func:`clipped_value_loss`, in units of what is fitted.
        max_grad_norm: the gradient's norm is clipped to this.
        normalize: whether :meth:`note_returns` moves the units of what is fitted.
    """

    def __init__(
        self,
        critic: Critic,
        accelerator: Accelerator,
        *,
        learning_rate: float,
        warmup_steps: int,
        value_clip: float,
        max_grad_norm: float,
        scheduler: CriticSchedule = "constant",
        total_steps: int = 0,
        normalize: bool = False,
    ) -> None:
        self.critic = critic
        self._accelerator = accelerator
        self._value_clip = value_clip
        self._max_grad_norm = max_grad_norm
        self._normalize = normalize
        self._moments = RunningMoments()
        self._learned = {name: p for name, p in critic.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.AdamW(
            self._learned.values(), lr=learning_rate, weight_decay=0.0
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer,
            lambda step: learning_rate_share(scheduler, step, warmup_steps, total_steps),
        )

    @property
    def units(self) -> tuple[float, float]:
        """Mean and standard deviation of the returns that the fitted ones are measured by."""
        return self._moments.mean, self._moments.deviation

    @torch.no_grad()
    def values(self, rows: AlignedRows, width: int) -> ValueEstimates:
        """:func:`token_values` without gradients or dropout, in the returns' units."""
        self.critic.eval()
        with self._accelerator.autocast():
            fitted = token_values(self.critic, rows, width)
        mean, deviation = self.units
        return ValueEstimates(*(mean + deviation * values for values in fitted))

    @torch.no_grad()
    def note_returns(self, returns: Tensor) -> bool:
        """Let the running statistics take in an iteration's returns (N,), and keep all values.

        Every process has to call it, for the statistics are of the returns of all.

        Returns:
            whether the values did move: they are kept but for the first returns, whose
            mean they then begin from.
        """
        if not self._normalize:
            return False
        had_units = self._moments.started
        old_mean, old_deviation = self.units
        self._moments.update(gather_spreads({"returns": Spread.of(returns)})["returns"])
        if not had_units:
            return self._moments.started
        mean, deviation = self.units
        head = self.critic.head
        head.weight.mul_(old_deviation / deviation)
        head.bias.mul_(old_deviation).add_(old_mean - mean).div_(deviation)
        return False

    def accumulate(
        self,
        rows: AlignedRows,
        old_values: Tensor,
        returns: Tensor,
        mask: Tensor,
        normalizer: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Add one batch's gradient.

        Args:
            rows: aligned rows of the batch.
            old_values, returns, mask: (B, T), in the returns' units.
            normalizer: tokens that the summed loss of one step is divided by.

        Returns:
            summed value loss, in units of what is fitted, and number of clipped
            tokens, without gradient.
        """
        # No dropout here either: clipping compares with values read without it.
        self.critic.eval()
        _recompute_layers(self.critic)
        mean, deviation = self.units
        with self._accelerator.autocast():
            values = token_values(self.critic, rows, returns.shape[1]).before
        loss, held = clipped_value_loss(
            values,
            (old_values - mean) / deviation,
            (returns - mean) / deviation,
            mask,
            self._value_clip,
        )
        (loss / normalizer).backward()
        return loss.detach(), held

    def clip_gradient(self) -> float:
        """Average over processes and clip what was accumulated. -> its norm before clipping.

        Every process calls it, once before each :meth:`step`; the norm is the same on all.
        """
        parameters = list(self._learned.values())
        if self._accelerator.num_processes > 1:
            average_gradients(parameters, self._accelerator)
        return float(nn.utils.clip_grad_norm_(parameters, self._max_grad_norm))

    def step(self) -> None:
        """One optimizer step on the clipped gradient."""
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Weights (those that are learned), optimizer, schedule and running statistics."""
        return {
            "critic": {name: p.detach() for name, p in self._learned.items()},
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "returns": self._moments.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned.

        Raises:
            ConfigError: it is of a critic made otherwise.
        """
        weights: dict[str, Tensor] = state["critic"]
        shapes = {name: weight.shape for name, weight in weights.items()}
        if shapes != {name: p.shape for name, p in self._learned.items()}:
            raise ConfigError(
                "the checkpoint's critic has other weights: resume with the critic settings it "
                "was trained with (critic, critic_overrides, critic_lora_r)"
            )
        with torch.no_grad():
            for name, parameter in self._learned.items():
                parameter.copy_(weights[name])
        settings = Hyperparameters(self._optimizer, self._schedule)
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        settings.restore()
        self._moments.load_state_dict(state["returns"])


def learning_rate_share(
    kind: CriticSchedule, step: int, warmup_steps: int, total_steps: int
) -> float:
    """Share of the highest learning rate that optimizer step ``step`` (from 0) takes.

    It grows linearly up to the highest at the last of ``warmup_steps``, then stays
    there or falls to 0 just after the last of ``total_steps``.
    """
    warm = min(1.0, (step + 1) / max(1, warmup_steps))
    if kind == "constant":
        return warm
    done = max(0.0, step - warmup_steps) / max(1, total_steps - warmup_steps)
    left = 1.0 - min(1.0, done)
    return warm * (left if kind == "linear" else 0.5 - 0.5 * math.cos(math.pi * left))


@torch.no_grad()
def average_gradients(parameters: Sequence[nn.Parameter], accelerator: Accelerator) -> None:
    """Give every process the mean of all processes' gradients.

    In few messages, each of one flat buffer. A parameter without a gradient counts
    as 0: which ones have none may differ between processes.
    """
    for bucket in _buckets(parameters):
        flat = torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).flatten().float() for p in bucket]
        )
        flat = accelerator.reduce(flat, reduction="mean")
        pieces = flat.split([p.numel() for p in bucket])
        for parameter, piece in zip(bucket, pieces, strict=True):
            parameter.grad = piece.view_as(parameter).to(parameter.dtype)


def _buckets(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Parameters in order, together until they exceed :data:`BUCKET_NUMBERS`."""
    buckets: list[list[nn.Parameter]] = []
    held = BUCKET_NUMBERS
    for parameter in parameters:
        if held + parameter.numel() > BUCKET_NUMBERS:
            buckets.append([])
            held = 0
        buckets[-1].append(parameter)
        held += parameter.numel()
    return buckets
