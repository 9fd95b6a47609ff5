"""The critic: a model of its own, with its own optimizer.

It is no head on the policy. TRL's weight sync walks all of the policy's
parameters, and a head there would be pushed to the inference server.
"""

from __future__ import annotations

import copy
from typing import Any, Literal, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import is_peft_model
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from transformers import PreTrainedModel

from omar_envs.errors import ConfigError
from omar_trainers.scoring import AlignedRows


class Critic(nn.Module):
    """A causal backbone with a scalar head, which starts at 0 everywhere.

    Args:
        backbone: headless causal model; ``last_hidden_state`` is (B, L, H).
    """

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.config.get_text_config().hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: Tensor) -> Tensor:
        """Values of the states after each token. ids (B, L) -> (B, L) float32.

        Padding stands at the right; what it reads there means nothing.
        """
        hidden = self.backbone(input_ids=ids, use_cache=False).last_hidden_state
        head = self.head
        # bfloat16 has too few digits for differences of values.
        with torch.autocast(hidden.device.type, enabled=False):
            values = nn.functional.linear(hidden.float(), head.weight.float(), head.bias.float())
        return values[..., 0]


def build_critic(
    policy: PreTrainedModel,
    kind: Literal["copy", "fresh"],
    overrides: dict[str, Any] | None = None,
    *,
    seed: int = 0,
) -> Critic:
    """A critic for ``policy``.

    Args:
        policy: causal LM, or a PEFT model around one (adapters are merged into
            the copy).
        kind: ``copy`` of the policy's backbone, or a ``fresh`` one of its class.
        overrides: fields of the policy's config that differ in a fresh critic.
        seed: of a fresh critic's weights; the global generator is left as it was.

    Raises:
        ConfigError: an override names no field of the policy's config, or the
            family cannot be built with it.
    """
    if is_peft_model(policy):
        policy = copy.deepcopy(policy).merge_and_unload()
    if kind == "copy":
        backbone = copy.deepcopy(policy.base_model)
        backbone.requires_grad_(True)
        return Critic(backbone)
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
    return critic.to(device=policy.device, dtype=policy.dtype)


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


class CriticLearner:
    """Fits a critic by gradient steps that the policy's optimizer knows nothing of.

    Gradients are averaged over processes by hand: the critic is not wrapped, so
    processes may call it unequally often between two steps.

    Args:
        critic: on the accelerator's device, the same on all processes.
        accelerator: of the trainer.
        learning_rate: after the warmup.
        warmup_steps: steps over which the rate grows linearly.
        value_clip: see :func:`clipped_value_loss`.
        max_grad_norm: the gradient's norm is clipped to this.
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
    ) -> None:
        self.critic = critic
        self._accelerator = accelerator
        self._value_clip = value_clip
        self._max_grad_norm = max_grad_norm
        self._optimizer = torch.optim.AdamW(critic.parameters(), lr=learning_rate, weight_decay=0.0)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: min(1.0, (step + 1) / max(1, warmup_steps))
        )

    @torch.no_grad()
    def values(self, rows: AlignedRows, width: int) -> ValueEstimates:
        """:func:`token_values` without gradients or dropout."""
        self.critic.eval()
        with self._accelerator.autocast():
            return token_values(self.critic, rows, width)

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
            old_values, returns, mask: (B, T).
            normalizer: tokens that the summed loss of one step is divided by.

        Returns:
            summed value loss and number of clipped tokens, without gradient.
        """
        # No dropout here either: clipping compares with values read without it.
        self.critic.eval()
        with self._accelerator.autocast():
            values = token_values(self.critic, rows, returns.shape[1]).before
        loss, held = clipped_value_loss(values, old_values, returns, mask, self._value_clip)
        (loss / normalizer).backward()
        return loss.detach(), held

    def step(self) -> float:
        """One optimizer step on what was accumulated. -> gradient norm before clipping."""
        parameters = [p for p in self.critic.parameters() if p.requires_grad]
        if self._accelerator.num_processes > 1:
            for parameter in parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                parameter.grad = self._accelerator.reduce(parameter.grad, reduction="mean")
        norm = nn.utils.clip_grad_norm_(parameters, self._max_grad_norm)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad(set_to_none=True)
        return float(norm)

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimizer and schedule."""
        return {
            "critic": self.critic.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self.critic.load_state_dict(state["critic"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
