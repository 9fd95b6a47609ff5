"""The critic: what it is made of, and how it learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from omar_envs.errors import ConfigError
from omar_trainers.settings.checks import (
    require_int,
    require_not_negative,
    require_one_of,
    require_positive,
)


@dataclass
class CriticSettings:
    """The critic: what it is made of, and how it learns.

    Args:
        critic: ``copy`` starts from a full copy of the policy's backbone,
            ``fresh`` from a randomly initialised one of the same family, ``lora``
            is an adapter and a head on the policy's own base, which must be frozen
            (``use_peft``), so that it costs next to no memory.
        critic_overrides: model-config fields that differ in a fresh critic, such
            as ``{"hidden_size": 48, "num_hidden_layers": 1}``. Dict or JSON.
        critic_lora_r, critic_lora_alpha: rank and scale of a lora critic's adapter.
        critic_learning_rate: its highest.
        critic_lr_scheduler: after the warmup: ``constant``, ``linear`` or
            ``cosine`` to 0 at the end of the run.
        critic_warmup_steps: critic optimizer steps of linear warmup.
        critic_only_iterations: first iterations in which only the critic learns. The
            policy's weights, optimizer, schedule and KL coefficient wait. (DeepSpeed
            steps inside of the backward pass: there the policy takes steps of gradient
            0, and its warmup begins with them; ``weight_decay`` must be 0.)
        critic_value_clip: values move at most this far from those at sampling
            time before the loss stops rewarding it, in units of what the critic
            fits (see ``critic_normalize_returns``); 0 switches clipping off.
        critic_max_grad_norm: gradient norm of the critic is clipped to this.
        critic_normalize_returns: fit returns shifted and scaled by running
            statistics; values are scaled back wherever they are used, and the head
            is rescaled as the statistics move, so that no value changes by it. Values
            begin at the mean of the first iteration's returns.
    """

    critic: Literal["copy", "fresh", "lora"] = field(
        default="copy", metadata={"help": "What the critic's backbone starts from."}
    )
    critic_overrides: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Model-config fields of a fresh critic, as JSON."}
    )
    critic_lora_r: int = field(default=16, metadata={"help": "Rank of a lora critic's adapter."})
    critic_lora_alpha: int = field(
        default=32, metadata={"help": "Scale of a lora critic's adapter."}
    )
    critic_learning_rate: float = field(
        default=1e-5, metadata={"help": "Learning rate of the critic."}
    )
    critic_lr_scheduler: Literal["constant", "linear", "cosine"] = field(
        default="constant", metadata={"help": "The critic's learning rate after its warmup."}
    )
    critic_warmup_steps: int = field(
        default=0, metadata={"help": "Critic steps of linear learning-rate warmup."}
    )
    critic_only_iterations: int = field(
        default=0, metadata={"help": "First iterations in which only the critic learns."}
    )
    critic_value_clip: float = field(
        default=0.2, metadata={"help": "Clip range of the value loss; 0 switches it off."}
    )
    critic_max_grad_norm: float = field(
        default=1.0, metadata={"help": "Gradient norm of the critic is clipped to this."}
    )
    critic_normalize_returns: bool = field(
        default=True, metadata={"help": "Fit returns normalised by running statistics."}
    )

    def _check_critic(self) -> None:
        require_one_of("critic", self.critic, ("copy", "fresh", "lora"))
        require_one_of(
            "critic_lr_scheduler", self.critic_lr_scheduler, ("constant", "linear", "cosine")
        )
        for name in ("critic_lora_r", "critic_lora_alpha"):
            require_int(name, getattr(self, name), least=1)
        for name in ("critic_warmup_steps", "critic_only_iterations"):
            require_int(name, getattr(self, name), least=0)
        for name in ("critic_learning_rate", "critic_max_grad_norm"):
            require_positive(name, getattr(self, name))
        require_not_negative("critic_value_clip", self.critic_value_clip)
        if self.critic_overrides is not None and self.critic != "fresh":
            raise ConfigError("critic_overrides changes a fresh critic only: set critic to fresh")
