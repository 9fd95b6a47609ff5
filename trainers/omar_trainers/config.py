"""Settings of one self-play training run.

:class:`OMARConfig` is TRL's ``GRPOConfig`` with the group statistics taken out
and the game put in. One *iteration* plays ``games_per_iteration`` games with the
current model in every seat, then makes ``minibatches`` optimizer steps per pass
over the rows (``num_iterations`` passes). What TRL counts in rows and steps
follows from that and is not set by hand.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal

from accelerate import PartialState
from accelerate.utils import DistributedType
from transformers.integrations import get_reporting_integration_callbacks
from trl import GRPOConfig

from omar_envs.errors import ConfigError
from omar_trainers.resuming.changed_settings import check_names
from omar_trainers.settings import (
    ActingSettings,
    AdvantageSettings,
    CriticSettings,
    GameSettings,
    OpponentSettings,
    SafetySettings,
)
from omar_trainers.settings.checks import (
    parsed_json,
    require_int,
    require_not_negative,
    require_object,
    require_one_of,
    require_positive,
)

TOKEN_MEAN_LOSSES = ("dapo", "cispo")
"""TRL losses that are a mean over the unmasked tokens of a whole step. The others
weigh rows or batches, and either may have few tokens of their own here."""

_SAVE_STRATEGIES = ("no", "steps", "SaveStrategy.NO", "SaveStrategy.STEPS")

_NO_EFFECT = {
    "num_train_epochs": ", and set total_iterations",
    "max_completion_length": (
        ", and set max_new_tokens_speak (the longest reply) or max_row_tokens (the longest row)"
    ),
    "generation_kwargs": ", or pass the trainer a generator",
    "cache_implementation": ", or pass the trainer a generator",
    "use_transformers_continuous_batching": ", or pass the trainer a generator",
    "transformers_continuous_batching_config": ", or pass the trainer a generator",
    "vllm_structured_outputs_regex": ": choices are held to their labels by constrain_choices",
    "reward_weights": ": rewards are weighed in the environment",
    "multi_objective_aggregation": ": rewards are weighed in the environment",
}
"""Settings of TRL and transformers that nothing here reads, and what does what they would."""

FOLLOWS = -1
"""Default of a setting that follows from others."""


@dataclass
class OMARConfig(
    SafetySettings,
    OpponentSettings,
    CriticSettings,
    AdvantageSettings,
    ActingSettings,
    GameSettings,
    GRPOConfig,
):
    """Settings of :class:`omar_trainers.trainer.OMARTrainer`.

    Every TRL and transformers setting is available beside those of the classes
    that this one is made of, where each is described. Optimizer settings without a
    ``critic_`` in front are the policy's.

    Args:
        resume: ``auto`` goes on from the last complete checkpoint of
            ``output_dir`` if there is one, ``never`` refuses to write into a folder
            that has one, ``always`` refuses to start without one.
        resume_with: names of settings that may differ from the checkpoint's; without
            them a run goes on only with the settings that it was made with. The
            change is noted in the next checkpoint. ``alarm`` in it goes on after an
            alarm has stopped the run.

    Raises:
        ConfigError: a value out of range, or two settings that exclude each
            other. The message names the settings and says what to do.
    """

    _VALID_DICT_FIELDS = [*GRPOConfig._VALID_DICT_FIELDS, "env_kwargs", "critic_overrides"]

    resume: Literal["auto", "never", "always"] = field(
        default="auto", metadata={"help": "Whether to go on from a checkpoint in output_dir."}
    )
    resume_with: list[str] | None = field(
        default=None, metadata={"help": "Settings that may differ from the checkpoint's."}
    )

    # Defaults of TRL and transformers that do not suit self-play.
    num_generations: int | None = field(
        default=None, metadata={"help": "Follows from seats and episodes_per_scenario."}
    )
    loss_type: str = field(
        default="dapo", metadata={"help": f"One of {', '.join(TOKEN_MEAN_LOSSES)}."}
    )
    scale_rewards: str = field(
        default="none", metadata={"help": "Only none: there is a critic, not a group baseline."}
    )
    vllm_importance_sampling_mode: str = field(
        default="token_truncate",
        metadata={"help": "token_truncate or token_mask: sequence modes zero long rows."},
    )
    disable_dropout: bool = field(
        default=True, metadata={"help": "Dropout would make scored and sampled logprobs differ."}
    )
    shuffle_dataset: bool | None = field(
        default=False, metadata={"help": "Games are already seeded one by one."}
    )
    gradient_checkpointing: bool | None = field(
        default=None, metadata={"help": "Old name of activation_checkpointing."}
    )
    bf16: bool | None = field(
        default=False, metadata={"help": "Train under bfloat16 autocast (use it on GPUs)."}
    )
    lr_scheduler_type: str = field(
        default="constant_with_warmup", metadata={"help": "Schedule of the policy's learning rate."}
    )
    logging_steps: float = field(default=FOLLOWS, metadata={"help": "Follows: once per iteration."})
    save_steps: float = field(default=FOLLOWS, metadata={"help": "Follows from save_iterations."})

    def __post_init__(self) -> None:
        self._check_ranges()
        self._check_exclusions()
        self._derive_rows_and_steps()
        super().__post_init__()
        self._check_sharding()
        self._derive_accumulation()

    @property
    def steps_per_iteration(self) -> int:
        """Optimizer steps in one iteration."""
        return self.minibatches * self.num_iterations

    @property
    def rows_per_iteration(self) -> int:
        """Rows of one iteration over all processes, masked dummy rows included."""
        return self.games_per_iteration * self.seats

    def check_launch(self) -> None:
        """See that this process can do what the settings want; reading them takes less.

        Raises:
            ConfigError: FSDP in a process that was started alone, or a ``report_to``
                that is unknown or not installed.
        """
        if self.fsdp and PartialState().distributed_type == DistributedType.NO:
            raise ConfigError(
                "fsdp shards a model over processes, and there is but this one: start several with "
                "torchrun or accelerate, or set fsdp to false"
            )
        try:
            for callback in get_reporting_integration_callbacks(self.report_to):
                callback()
        except (ImportError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"report_to: {error} (metrics.jsonl is written in any case; none reports nowhere)"
            ) from error

    def _check_ranges(self) -> None:
        self._check_games()
        self._check_acting()
        self._check_advantages()
        self._check_critic()
        self._check_opponents()
        self._check_safety()
        require_int("num_iterations", self.num_iterations, least=1)
        require_positive("temperature", self.temperature)
        require_not_negative("beta", self.beta)
        require_one_of("loss_type", self.loss_type, TOKEN_MEAN_LOSSES)
        require_one_of("resume", self.resume, ("auto", "never", "always"))
        check_names(self.resume_with, self.__dataclass_fields__)
        for name in self._VALID_DICT_FIELDS:
            setattr(self, name, parsed_json(name, getattr(self, name)))
        require_object("env_kwargs", self.env_kwargs)
        require_object("critic_overrides", self.critic_overrides)

    def _check_exclusions(self) -> None:
        if self.kl_as == "none" and self.beta != 0.0:
            raise ConfigError(
                f"beta is {self.beta} but kl_as is none: set kl_as to loss or token_reward, "
                "or beta to 0"
            )
        if self.kl_as != "none" and self.beta == 0.0:
            raise ConfigError(f"kl_as is {self.kl_as} but beta is 0: give the KL a coefficient")
        if not self.uses_critic and self.critic_only_iterations:
            raise ConfigError(
                f"critic_only_iterations needs a critic, and advantage {self.advantage} has none"
            )
        if self.alarm == "rollback":
            self._check_rollback()
        if self.resume_from_checkpoint is not None and self.resume != "auto":
            raise ConfigError("resume_from_checkpoint and resume exclude each other: give one")
        if self.scale_rewards not in ("none", False):
            raise ConfigError("scale_rewards must be none: rows are not normalised by group")
        if str(self.logging_strategy) not in ("steps", "IntervalStrategy.STEPS"):
            raise ConfigError(
                "logging_strategy must be steps: alarms, the KL coefficient and metrics.jsonl live "
                "by what is logged after each iteration. To send it nowhere, set report_to to none"
            )
        if self.importance_sampling_level != "token":
            raise ConfigError("importance_sampling_level must be token: advantages are per token")
        if self.vllm_importance_sampling_mode not in ("token_truncate", "token_mask"):
            raise ConfigError(
                f"vllm_importance_sampling_mode {self.vllm_importance_sampling_mode} weighs whole "
                "rows and zeroes long ones: use token_truncate or token_mask"
            )
        if self.mask_truncated_completions:
            raise ConfigError(
                "mask_truncated_completions looks only at a row's last token: leave it off, "
                "truncated rows are bootstrapped instead"
            )
        if self.off_policy_mask_threshold is not None:
            raise ConfigError(
                "off_policy_mask_threshold drops whole rows by their mean: leave it unset"
            )
        if (self.top_p, self.top_k, self.min_p, self.repetition_penalty) != (1.0, 0, None, 1.0):
            raise ConfigError(
                "top_p, top_k, min_p and repetition_penalty change what is sampled but not what is "
                "scored: leave them at 1.0, 0, unset and 1.0, and use temperature"
            )
        corrects = self.use_vllm and self.vllm_importance_sampling_correction
        if corrects and self.old_logprobs == "sampled":
            raise ConfigError(
                "old_logprobs sampled is not possible beside vLLM's importance-sampling "
                "correction, which compares the two: set old_logprobs to recomputed"
            )
        if self.log_completions:
            raise ConfigError(
                "log_completions would show plans and group statistics: leave it off, and play "
                "games of a checkpoint with omar-envs rollout"
            )
        for name, instead in _NO_EFFECT.items():
            if getattr(self, name) not in (self.__dataclass_fields__[name].default, {}):
                raise ConfigError(f"{name} has no effect on self-play: leave it out{instead}")
        if self.save_only_model or self.ignore_data_skip or self.enable_jit_checkpoint:
            raise ConfigError(
                "a run does not go on as it was with save_only_model, ignore_data_skip or "
                "enable_jit_checkpoint: leave them off (SIGTERM saves a checkpoint anyway)"
            )
        if str(self.save_strategy) not in _SAVE_STRATEGIES:
            raise ConfigError(
                f"save_strategy must be no or steps, not {self.save_strategy}: checkpoints are "
                "written every save_iterations iterations"
            )
        if self.sync_ref_model:
            raise ConfigError(
                "sync_ref_model moves the reference model, which stands in no checkpoint: a run "
                "that goes on would measure its KL from another model. Leave it off"
            )
        if self.use_adaptive_entropy:
            raise ConfigError("use_adaptive_entropy is not supported: set entropy_coef")
        if self.pad_to_multiple_of not in (None, "auto", "none", "null"):
            raise ConfigError("pad_to_multiple_of is not supported: leave it unset")
        if str(self.eval_strategy) not in ("no", "IntervalStrategy.NO"):
            raise ConfigError(
                "eval_strategy must be no: self-play's own win rate measures nothing; evaluate a "
                "checkpoint against its start in the arena"
            )

    def _check_sharding(self) -> None:
        zero = {} if self.deepspeed is None else self.hf_deepspeed_config.config
        stage = zero.get("zero_optimization", {}).get("stage", 0)
        if self.uses_critic and self.critic == "lora" and (self.fsdp or stage == 3):
            raise ConfigError(
                "critic lora shares the policy's base, which FSDP and ZeRO-3 take apart: set "
                "critic to fresh or copy"
            )

    def _check_rollback(self) -> None:
        if str(self.save_strategy) in ("no", "SaveStrategy.NO"):
            raise ConfigError("alarm rollback needs checkpoints: set save_strategy to steps")
        # From the last good readings to the ring, and back to a checkpoint before them.
        needed = 1 + -(-(self.alarm_patience + 1) // self.save_iterations)
        if self.save_total_limit and self.save_total_limit < needed:
            raise ConfigError(
                f"alarm rollback goes back {self.alarm_patience + 1} iterations or more, but of "
                f"checkpoints every {self.save_iterations} iterations only the last "
                f"{self.save_total_limit} are kept: set save_total_limit to {needed} or more"
            )

    def _derive_rows_and_steps(self) -> None:
        group = self.seats * self.episodes_per_scenario
        if group < 2:
            raise ConfigError("one seat in one episode: self-play needs at least two rows")
        if self.games_per_iteration % self.episodes_per_scenario:
            raise ConfigError(
                f"games_per_iteration ({self.games_per_iteration}) must be a multiple of "
                f"episodes_per_scenario ({self.episodes_per_scenario})"
            )
        if self.steps_per_generation is not None:
            raise ConfigError(
                "steps_per_generation follows from games_per_iteration, seats and "
                "per_device_train_batch_size: leave it out"
            )
        self._settle("num_generations", group, unset=None)
        self._settle("generation_batch_size", self.rows_per_iteration, unset=None)
        self._settle("max_steps", self.total_iterations * self.steps_per_iteration, unset=FOLLOWS)
        self._settle("logging_steps", self.steps_per_iteration, unset=FOLLOWS)
        # A checkpoint inside an iteration could not be resumed from: its rows are gone.
        save_steps = self.save_iterations * self.steps_per_iteration
        self._settle("save_steps", save_steps, unset=FOLLOWS)
        processes = _world_size()
        if self.games_per_iteration % processes:
            raise ConfigError(
                f"games_per_iteration ({self.games_per_iteration}) must be a multiple of the "
                f"{processes} processes: a game's rows stay together"
            )
        share = self.rows_per_iteration // (processes * self.minibatches)
        if (
            self.rows_per_iteration % (processes * self.minibatches)
            or share % self.per_device_train_batch_size
        ):
            fitting = [n for n in range(1, share + 1) if share % n == 0]
            raise ConfigError(
                f"an iteration's {self.rows_per_iteration} rows ({self.games_per_iteration} games "
                f"× {self.seats} seats) do not split into {processes} process(es) × "
                f"{self.minibatches} minibatches × batches of per_device_train_batch_size "
                f"{self.per_device_train_batch_size}: change games_per_iteration or minibatches, "
                f"or take a batch size of {', '.join(map(str, fitting[-6:]))}"
            )

    def _settle(self, name: str, value: int, *, unset: int | None) -> None:
        given = getattr(self, name)
        if given not in (unset, value):
            raise ConfigError(
                f"{name} is {given}, but seats, games and iterations make it {value}: leave it out"
            )
        setattr(self, name, value)

    def _derive_accumulation(self) -> None:
        accumulation = self.steps_per_generation // self.minibatches
        if self.gradient_accumulation_steps not in (1, accumulation):
            raise ConfigError(
                f"gradient_accumulation_steps is {self.gradient_accumulation_steps}, but "
                f"minibatches and per_device_train_batch_size make it {accumulation}: leave it out"
            )
        self.gradient_accumulation_steps = accumulation


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
