"""Settings of one self-play training run.

:class:`OMARConfig` is TRL's ``GRPOConfig`` with the group statistics taken out
and the game put in. One *iteration* plays ``games_per_iteration`` games with the
current model in every seat, then makes ``minibatches`` optimizer steps per pass
over the rows (``num_iterations`` passes). What TRL counts in rows and steps
follows from that and is not set by hand.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trl import GRPOConfig

from omar_envs.errors import ConfigError

TOKEN_MEAN_LOSSES = ("dapo", "cispo")
"""TRL losses that are a mean over the unmasked tokens of a whole step. The others
weigh rows or batches, and either may have few tokens of their own here."""

FOLLOWS = -1
"""Default of a setting that follows from others."""


@dataclass
class OMARConfig(GRPOConfig):
    """Settings of :class:`omar_trainers.trainer.OMARTrainer`.

    Every TRL and transformers setting is available beside these. Optimizer
    settings without a ``critic_`` in front are the policy's.

    Raises:
        ConfigError: a value out of range, or two settings that exclude each
            other. The message names the settings and says what to do.

    Args:
        env_name: module of ``omar_envs`` that makes the game, as ``werewolf_v0``.
        env_kwargs: arguments of its ``env()``. A dict, or JSON on a command line.
        scenarios: path of a JSON-lines file, one object of further environment
            arguments per line, played in turn; without it every game has only
            ``env_kwargs``. A scenario may have fewer seats than ``seats``.
        seats: rows per game, the largest number of players of any scenario.
        episodes_per_scenario: games in a row on one scenario (other seeds).
        games_per_iteration: games between two updates, over all processes.
        total_iterations: iterations of the whole run.
        save_iterations: write a checkpoint every so many iterations, as long as
            ``save_strategy`` is ``steps``.
        minibatches: optimizer steps in one pass over an iteration's rows.
        max_new_tokens_speak: longest reply to a SPEAK request (tokens).
        max_new_tokens_choose: longest reply to a CHOOSE request where choices
            are not constrained (tokens).
        constrain_choices: let a CHOOSE reply be only one of the legal labels;
            the same mask is used where tokens are sampled and where they are scored.
        max_row_tokens: a row that would outgrow this is closed as truncated
            (tokens); 0 takes the model's own limit.
        old_logprobs: ``sampled`` takes the generator's own logprobs as the old
            policy's; ``recomputed`` costs a forward pass per iteration and is right
            where generator and trainer differ in kernels or precision.
        advantage: ``hierarchical`` (turns, then tokens), ``token_gae`` (plain GAE
            over the row's own tokens) or ``rae`` (no critic: return minus a running
            mean per role).
        gamma_turn, lam_turn: discount and GAE parameter between turns, in [0, 1].
        gamma_token, lam_token: the same between tokens, in [0, 1].
        pseudo_reward: ``writeback`` or ``literal``; see ``hierarchical_advantages``.
        whiten: shift and scale advantages to mean 0 and variance 1 over the
            iteration's own tokens.
        rae_decay: weight of the past in the running mean per role, in [0, 1).
        critic: ``copy`` starts from a full copy of the policy's backbone,
            ``fresh`` from a randomly initialised one of the same family.
        critic_overrides: model-config fields that differ in a fresh critic, such
            as ``{"hidden_size": 48, "num_hidden_layers": 1}``. Dict or JSON.
        critic_learning_rate: constant after ``critic_warmup_steps``.
        critic_warmup_steps: critic optimizer steps of linear warmup.
        critic_only_iterations: first iterations in which only the critic learns.
        critic_value_clip: values move at most this far from those at sampling
            time before the loss stops rewarding it; 0 switches clipping off.
        critic_max_grad_norm: gradient norm of the critic is clipped to this.
        kl_as: where the KL to the starting model acts: ``none``, ``loss`` (TRL's
            own term) or ``token_reward`` (a reward of −beta·log-ratio on each token).
            ``beta`` is the coefficient of whichever it is, so it cannot act twice.
        max_unscored_fraction: stop when more than this share of an iteration's
            seats has a reward component that could not be determined (a failed
            judgement). Fewer are left out of the loss and counted.
        progress: draw a progress bar (on a terminal) or print a line per iteration.
    """

    _VALID_DICT_FIELDS = [*GRPOConfig._VALID_DICT_FIELDS, "env_kwargs", "critic_overrides"]

    # The game.
    env_name: str = field(
        default="werewolf_v0", metadata={"help": "Module of omar_envs that makes the game."}
    )
    env_kwargs: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Arguments of the environment, as JSON."}
    )
    scenarios: str | None = field(
        default=None,
        metadata={"help": "JSON-lines file of further environment arguments, played in turn."},
    )
    seats: int = field(default=7, metadata={"help": "Rows per game: most players of any scenario."})
    episodes_per_scenario: int = field(
        default=1, metadata={"help": "Games in a row on one scenario, with other seeds."}
    )
    games_per_iteration: int = field(
        default=32, metadata={"help": "Games between two updates, over all processes."}
    )
    total_iterations: int = field(default=100, metadata={"help": "Iterations of the whole run."})
    save_iterations: int = field(
        default=50, metadata={"help": "Write a checkpoint every so many iterations."}
    )
    minibatches: int = field(
        default=2, metadata={"help": "Optimizer steps in one pass over an iteration's rows."}
    )

    # Acting.
    max_new_tokens_speak: int = field(
        default=128, metadata={"help": "Longest reply to a SPEAK request, in tokens."}
    )
    max_new_tokens_choose: int = field(
        default=32, metadata={"help": "Longest unconstrained reply to a CHOOSE request, in tokens."}
    )
    constrain_choices: bool = field(
        default=True, metadata={"help": "Let CHOOSE replies be only legal labels."}
    )
    max_row_tokens: int = field(
        default=0, metadata={"help": "Longest row in tokens; 0 takes the model's own limit."}
    )
    old_logprobs: Literal["sampled", "recomputed"] = field(
        default="sampled", metadata={"help": "Where the old policy's logprobs come from."}
    )

    # Advantages.
    advantage: Literal["hierarchical", "token_gae", "rae"] = field(
        default="hierarchical", metadata={"help": "Advantage estimator."}
    )
    gamma_turn: float = field(default=1.0, metadata={"help": "Discount between turns."})
    lam_turn: float = field(default=0.9, metadata={"help": "GAE lambda between turns."})
    gamma_token: float = field(default=1.0, metadata={"help": "Discount between tokens."})
    lam_token: float = field(default=1.0, metadata={"help": "GAE lambda between tokens."})
    pseudo_reward: Literal["writeback", "literal"] = field(
        default="writeback", metadata={"help": "What a turn's last token is paid."}
    )
    whiten: bool = field(
        default=True, metadata={"help": "Normalise advantages over the iteration's own tokens."}
    )
    rae_decay: float = field(
        default=0.95, metadata={"help": "Weight of the past in the running mean per role."}
    )

    # The critic.
    critic: Literal["copy", "fresh"] = field(
        default="copy", metadata={"help": "What the critic's backbone starts from."}
    )
    critic_overrides: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Model-config fields of a fresh critic, as JSON."}
    )
    critic_learning_rate: float = field(
        default=1e-5, metadata={"help": "Learning rate of the critic."}
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

    # Guards and display.
    kl_as: Literal["none", "loss", "token_reward"] = field(
        default="none", metadata={"help": "Where the KL to the starting model acts."}
    )
    max_unscored_fraction: float = field(
        default=0.2, metadata={"help": "Stop above this share of seats without a full reward."}
    )
    progress: bool = field(default=True, metadata={"help": "Show progress while training."})

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
        self._derive_accumulation()

    @property
    def steps_per_iteration(self) -> int:
        """Optimizer steps in one iteration."""
        return self.minibatches * self.num_iterations

    @property
    def rows_per_iteration(self) -> int:
        """Rows of one iteration over all processes, masked dummy rows included."""
        return self.games_per_iteration * self.seats

    @property
    def uses_critic(self) -> bool:
        """Whether the advantage estimator reads values."""
        return self.advantage != "rae"

    def load_scenarios(self) -> list[dict[str, Any]]:
        """The scenarios, each a dict of further environment arguments.

        Raises:
            ConfigError: the file is missing, empty, or a line is no JSON object.
        """
        if self.scenarios is None:
            return [{}]
        path = Path(self.scenarios)
        if not path.is_file():
            raise ConfigError(f"scenarios: there is no file {path}")
        scenarios = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            try:
                scenario = json.loads(line)
            except json.JSONDecodeError as error:
                raise ConfigError(f"scenarios: {path}:{number} is not JSON: {error}") from None
            if not isinstance(scenario, dict):
                raise ConfigError(f"scenarios: {path}:{number} is not a JSON object")
            scenarios.append(scenario)
        if not scenarios:
            raise ConfigError(f"scenarios: {path} holds no scenario")
        return scenarios

    def _check_ranges(self) -> None:
        for name in (
            "seats",
            "episodes_per_scenario",
            "games_per_iteration",
            "total_iterations",
            "save_iterations",
            "minibatches",
            "num_iterations",
            "max_new_tokens_speak",
            "max_new_tokens_choose",
        ):
            _require_int(name, getattr(self, name), least=1)
        for name in ("max_row_tokens", "critic_warmup_steps", "critic_only_iterations"):
            _require_int(name, getattr(self, name), least=0)
        for name in ("gamma_turn", "lam_turn", "gamma_token", "lam_token", "max_unscored_fraction"):
            value = _number(name, getattr(self, name))
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"{name} must lie in [0, 1], not {value}")
        if not 0.0 <= _number("rae_decay", self.rae_decay) < 1.0:
            raise ConfigError(f"rae_decay must lie in [0, 1), not {self.rae_decay}")
        for name in ("critic_learning_rate", "critic_max_grad_norm", "temperature"):
            if _number(name, getattr(self, name)) <= 0.0:
                raise ConfigError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("critic_value_clip", "beta"):
            if _number(name, getattr(self, name)) < 0.0:
                raise ConfigError(f"{name} must not be negative, not {getattr(self, name)}")
        for name, allowed in (
            ("advantage", ("hierarchical", "token_gae", "rae")),
            ("pseudo_reward", ("writeback", "literal")),
            ("critic", ("copy", "fresh")),
            ("kl_as", ("none", "loss", "token_reward")),
            ("old_logprobs", ("sampled", "recomputed")),
            ("loss_type", TOKEN_MEAN_LOSSES),
        ):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}"
                )

    def _check_exclusions(self) -> None:
        if self.kl_as == "none" and self.beta != 0.0:
            raise ConfigError(
                f"beta is {self.beta} but kl_as is none: set kl_as to loss or token_reward, "
                "or beta to 0"
            )
        if self.kl_as != "none" and self.beta == 0.0:
            raise ConfigError(f"kl_as is {self.kl_as} but beta is 0: give the KL a coefficient")
        if self.critic_overrides is not None and self.critic != "fresh":
            raise ConfigError("critic_overrides changes a fresh critic only: set critic to fresh")
        if self.advantage == "rae" and self.critic_only_iterations:
            raise ConfigError("critic_only_iterations needs a critic, and advantage rae has none")
        if self.advantage == "rae" and self.kl_as == "token_reward":
            raise ConfigError("advantage rae reads no token rewards: set kl_as to loss or none")
        if self.scale_rewards not in ("none", False):
            raise ConfigError("scale_rewards must be none: rows are not normalised by group")
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
        if self.generation_kwargs or self.chat_template_kwargs or self.cache_implementation:
            raise ConfigError(
                "generation_kwargs, chat_template_kwargs and cache_implementation have no effect "
                "on self-play: leave them out, or pass the trainer a generator"
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


def _require_int(name: str, value: object, *, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} must be an integer of at least {least}, not {value!r}")


def _number(name: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ConfigError(f"{name} must be a number, not {value!r}")
    return float(value)


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
