"""Self-play PPO with hierarchical advantages, on TRL's GRPO trainer.

TRL gives generation hooks, weight sync, accelerate, the clipped loss, logging
and checkpoints. What is different here:

- one row is one seat's whole episode; the games are played in ``rollout_func``;
- there is a critic (:mod:`omar_trainers.critic`), a module with an optimizer of
  its own, and advantages are (B, T) instead of one number per row;
- log-probabilities are scored under the mask of legal choices, and the sampled
  ones serve as the old policy's;
- what TRL logs about groups of completions is left out.

Source: OMAR (Jiang et al., arXiv 2602.03109).
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate.utils import gather_object
from peft import PeftConfig
from torch import Tensor
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
)
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOTrainer

from omar_envs.errors import ConfigError
from omar_trainers.advantages import hierarchical_advantages
from omar_trainers.baselines import RoleBaseline, token_gae
from omar_trainers.config import OMARConfig
from omar_trainers.critic import CriticLearner, ValueEstimates, build_critic
from omar_trainers.generation import TextGenerator, TransformersGenerator
from omar_trainers.metrics import (
    GROUP_METRICS,
    IterationProgress,
    Mean,
    MetricsWriter,
    explained_variance,
    masked_mean,
    merge_means,
    round_means,
)
from omar_trainers.scoring import (
    AlignedRows,
    OwnTokens,
    add_scoring_head,
    align_rows,
    check_scoring_head,
    score_rows,
)
from omar_trainers.selfplay import (
    PlayGames,
    RoundTensors,
    SelfPlayRound,
    derive_seed,
    plan_dataset,
    plans_of,
)

GeneratorFactory = Callable[["OMARTrainer", int], TextGenerator]
"""Makes the generator that plays one iteration: (trainer, sampling seed)."""

STATE_FILE = "omar_state.pt"


class _Targets(NamedTuple):
    advantages: Tensor  # (B, T)
    returns: Tensor  # (B, T)


class OMARTrainer(GRPOTrainer):
    """Improves one model by letting it play every seat.

    Example::

        trainer = OMARTrainer("path/to/model", OMARConfig("out", seats=5))
        trainer.train()

    Args:
        model: causal LM (or its path) that plays and learns.
        args: settings.
        play: plays the games of an iteration; by default those of
            ``args.env_name``.
        processing_class: the model's tokenizer; by default loaded from its path.
        generator: makes what samples the replies, once per iteration; by default
            transformers on the training device. The seam for vLLM and others.
        callbacks: further transformers callbacks.
        optimizers: the policy's optimizer and schedule, as in transformers.
        peft_config: train adapters instead of the whole model.

    Raises:
        ConfigError: settings that do not fit the model or each other.
    """

    _tag_names = ["omar-envs", "trl", "self-play"]  # noqa: RUF012
    _name = "OMAR"
    _paper = {  # noqa: RUF012
        "title": "OMAR",
        "id": "2602.03109",
        "citation": "",
    }

    args: OMARConfig

    def __init__(
        self,
        model: str | PreTrainedModel,
        args: OMARConfig,
        *,
        play: PlayGames | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        generator: GeneratorFactory | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        optimizers: tuple[Any, Any] = (None, None),
        peft_config: PeftConfig | None = None,
    ) -> None:
        if args.use_vllm and generator is None:
            raise ConfigError("use_vllm needs a generator that asks vLLM: pass generator=...")
        prompts = args.total_iterations * args.games_per_iteration // args.episodes_per_scenario
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="You are using 'rollout_func'")
            super().__init__(
                model=model,
                reward_funcs=_episode_return,
                args=args,
                train_dataset=plan_dataset(args.load_scenarios(), prompts, args.seed),
                processing_class=processing_class,
                callbacks=[MetricsWriter(), *callbacks],
                optimizers=optimizers,
                peft_config=peft_config,
                rollout_func=_roll_out,
            )
        self.remove_callback(ProgressCallback)
        self.remove_callback(PrinterCallback)
        if args.progress:
            self.add_callback(IterationProgress())
        if self.aux_loss_enabled:
            raise ConfigError("models with a router loss are not supported: set its coefficient 0")
        self._play = play
        self._make_generator = generator or _transformers_generator
        self._vocabulary = self.model.get_output_embeddings().weight.shape[0]

        # TRL builds the reference model and its logprobs wherever beta is not 0;
        # as a token reward the KL must not act in the loss as well.
        self._kl_coefficient = self.beta
        self._loss_beta = self.beta if args.kl_as == "loss" else 0.0
        self.beta = self._loss_beta
        self._add_scoring_heads()

        self._critic: CriticLearner | None = None
        if args.uses_critic:
            self._critic = CriticLearner(
                build_critic(
                    self.model, args.critic, args.critic_overrides, seed=derive_seed(args.seed, 1)
                ).to(self.accelerator.device),
                self.accelerator,
                learning_rate=args.critic_learning_rate,
                warmup_steps=args.critic_warmup_steps,
                value_clip=args.critic_value_clip,
                max_grad_norm=args.critic_max_grad_norm,
            )
        self._role_baseline = RoleBaseline(args.rae_decay)

        self._round: SelfPlayRound | None = None
        self._tensors: RoundTensors | None = None
        self._own: OwnTokens | None = None
        self._aligned: AlignedRows | None = None
        self._sampled_as_old = False
        self._iteration_start = time.perf_counter()
        self._critic_means: list[dict[str, Mean]] = []

    # --- construction -----------------------------------------------------

    def _add_scoring_heads(self) -> None:
        models = [self.model]
        if self.ref_model is not None:
            models.append(self.accelerator.unwrap_model(self.ref_model))
        for model in models:
            add_scoring_head(model, self.temperature, self._entropy_bonus_enabled)
            if not (self.is_deepspeed_enabled or self.is_fsdp_enabled):
                check_scoring_head(model, self.temperature)

    def _send_telemetry(self) -> None:
        """TRL reports its own trainers' use; this one has nothing to report."""

    @property
    def max_row_tokens(self) -> int:
        """Longest row, in tokens: the setting, or the model's own limit."""
        limit = self.model.config.get_text_config().max_position_embeddings
        return min(self.args.max_row_tokens or limit, limit)

    # --- playing ----------------------------------------------------------

    def play_round(self, prompts: Sequence[str]) -> SelfPlayRound:
        """Play the games that ``prompts`` stand for with the current model.

        Raises:
            RuntimeError: too many seats have a reward that could not be determined.
        """
        args = self.args
        started = time.perf_counter()
        process = self.accelerator.process_index
        plans = plans_of(prompts, args.seats, process * len(prompts), self.num_generations)
        sampling_seed = derive_seed(args.seed, 2, self.state.global_step, process)
        generator = self._make_generator(self, sampling_seed)
        generator.forget()
        played = SelfPlayRound(
            self._play(plans, generator), seats=args.seats, filler=self._tokenizer.pad_token_id
        )
        if played.unscored > args.max_unscored_fraction * played.num_seats:
            raise RuntimeError(
                f"{played.unscored} of {played.num_seats} seats have a reward component that could "
                f"not be determined, more than max_unscored_fraction {args.max_unscored_fraction}: "
                "look after the judge"
            )
        seconds = time.perf_counter() - started
        self._record(
            round_means(played)
            | {
                "time/play": Mean(seconds, 1),
                "play/tokens_per_second": Mean(played.own_tokens, seconds),
            }
        )
        return played

    def _roll_out(self, prompts: list[str]) -> dict[str, list[Any]]:
        self._round = self.play_round(prompts)
        self._tensors = self._round.tensors(self._vocabulary, self.accelerator.device)
        self._own = self._tensors.own
        return self._round.rollout()

    # --- scoring ----------------------------------------------------------

    def _get_per_token_logps_and_entropies(
        self,
        model: torch.nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **_: Any,
    ) -> tuple[Tensor, Tensor | None, None]:
        """Log-probs and entropies (B, C) of the seat's own tokens, 0 elsewhere."""
        assert self._own is not None and self._tensors is not None  # set before TRL scores
        if self._sampled_as_old:
            self._sampled_as_old = False
            return self._tensors.logprobs, None, None
        size = batch_size or len(input_ids)
        logps, entropies = [], []
        for start in range(0, len(input_ids), size):
            part = slice(start, start + size)
            rows = align_rows(input_ids[part], attention_mask[part], logits_to_keep)
            with self.accelerator.autocast():
                scores = score_rows(model, rows, self._own.slice(start, start + size))
            logps.append(scores.logprobs)
            entropies.append(scores.entropies)
        return torch.cat(logps), torch.cat(entropies) if compute_entropy else None, None

    # --- advantages -------------------------------------------------------

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        args = self.args
        self._critic_means = []
        steps = args.steps_per_generation * self.num_iterations
        # The condition under which TRL asks for the old policy's logprobs first.
        asks_for_old = args.gradient_accumulation_steps % steps != 0 or (
            self.use_vllm and self.vllm_importance_sampling_correction
        )
        self._sampled_as_old = asks_for_old and args.old_logprobs == "sampled"
        self.beta = self._kl_coefficient
        try:
            batch = super()._generate_and_score_completions(inputs)
        finally:
            self.beta = self._loss_beta
        for name in GROUP_METRICS:
            self._metrics["train"].pop(name, None)
        assert self._round is not None and self._tensors is not None  # set by the rollout
        started = time.perf_counter()
        values = self._read_values(batch)
        targets = self._targets(values, self._token_rewards(batch))
        mask = self._tensors.own.mask
        if self._critic is not None:
            self._record(
                {
                    "critic/explained_variance": Mean(
                        explained_variance(values.values, targets.returns, mask), 1
                    ),
                    "critic/value": masked_mean(values.values, mask),
                    "critic/return": masked_mean(targets.returns, mask),
                    "time/values": Mean(time.perf_counter() - started, 1),
                }
            )
        advantages = targets.advantages
        if args.whiten:
            advantages = self._whiten(advantages, mask)
        return batch | {
            "advantages": advantages,
            "returns": targets.returns,
            "values": values.values,
            "turn_index": self._tensors.turn_index,
            "choice": self._tensors.own.choice,
        }

    def _read_values(self, batch: dict[str, Any]) -> ValueEstimates:
        tensors = self._tensors
        assert tensors is not None
        count, width = tensors.turn_index.shape
        if self._critic is None:
            zeros = tensors.logprobs.new_zeros(count, width)
            return ValueEstimates(zeros, zeros[:, 0] if width else zeros.sum(1))
        parts = []
        for start in range(0, count, self.args.per_device_train_batch_size):
            part = slice(start, start + self.args.per_device_train_batch_size)
            parts.append(self._critic.values(_aligned_part(batch, part), width))
        return ValueEstimates(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _token_rewards(self, batch: dict[str, Any]) -> Tensor | None:
        """The KL as a reward on each own token (B, T), where it is set to be one."""
        if self.args.kl_as != "token_reward":
            return None
        assert self._tensors is not None
        log_ratio = self._tensors.logprobs - batch.pop("ref_per_token_logps")
        self._record({"policy/kl": masked_mean(log_ratio, self._tensors.own.mask)})
        return -self._kl_coefficient * log_ratio

    def _targets(self, values: ValueEstimates, token_rewards: Tensor | None) -> _Targets:
        args, tensors, played = self.args, self._tensors, self._round
        assert tensors is not None and played is not None
        if args.advantage == "rae":
            return self._role_targets()
        bootstrap = torch.where(tensors.bootstrap, values.after_last, 0.0)
        if args.advantage == "token_gae":
            plain = token_gae(
                tensors.turn_rewards,
                values.values,
                tensors.turn_index,
                gamma=args.gamma_token,
                lam=args.lam_token,
                bootstrap=bootstrap,
                token_rewards=token_rewards,
            )
            return _Targets(plain.advantages, plain.returns)
        result = hierarchical_advantages(
            tensors.turn_rewards,
            values.values,
            tensors.turn_index,
            gamma_turn=args.gamma_turn,
            lam_turn=args.lam_turn,
            gamma_token=args.gamma_token,
            lam_token=args.lam_token,
            bootstrap=bootstrap,
            token_rewards=token_rewards,
            pseudo_reward=args.pseudo_reward,
        )
        return _Targets(result.advantages, result.returns)

    def _role_targets(self) -> _Targets:
        tensors, played = self._tensors, self._round
        assert tensors is not None and played is not None
        mask = tensors.own.mask
        # Every process reads all rows, so that the running means stay equal.
        earned = gather_object([(row.role, row.episode_return) for row in played.rows])
        present = [i for i, (role, _) in enumerate(earned) if role]
        rewards = torch.tensor([earned[i][1] for i in present], dtype=torch.float32)
        known = self._role_baseline.advantages(rewards, [earned[i][0] for i in present])
        every = torch.zeros(len(earned))
        every[present] = known
        first = self.accelerator.process_index * len(played.rows)
        local = every[first : first + len(played.rows)].to(mask.device)
        advantages = local[:, None] * mask
        return _Targets(advantages, torch.zeros_like(advantages))

    def _whiten(self, advantages: Tensor, mask: Tensor) -> Tensor:
        """Mean 0 and variance 1 over the own tokens of all processes; 0 elsewhere."""
        sums = torch.stack([mask.sum(), (advantages * mask).sum(), (advantages.square() * mask).sum()])
        count, total, squares = self.accelerator.reduce(sums.double(), reduction="sum")
        mean = total / count.clamp(min=1.0)
        deviation = (squares / count.clamp(min=1.0) - mean.square()).clamp(min=0.0).sqrt()
        self._metrics["train"]["policy/advantage_std"].append(float(deviation))
        return ((advantages - mean.float()) / (deviation.float() + 1e-8)) * mask

    # --- learning ---------------------------------------------------------

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> Tensor:
        assert self._own is not None
        mask = inputs["turn_index"] >= 0
        self._own = OwnTokens(mask, inputs["choice"], self._own.allowed)
        loss = super()._compute_loss(model, inputs)
        if self._critic is not None:
            self._learn_values(self._critic, inputs, mask)
            if self.state.global_step < self.args.critic_only_iterations * self.args.steps_per_iteration:
                return 0.0 * loss
        return loss

    def _learn_values(self, critic: CriticLearner, inputs: dict[str, Any], mask: Tensor) -> None:
        # As in TRL's dapo loss: the own tokens of one accumulation window.
        share = self.current_gradient_accumulation_steps / self.args.steps_per_generation
        normalizer = inputs["num_items_in_batch"] * share / self.accelerator.num_processes
        loss, held = critic.accumulate(
            _aligned_part(inputs, slice(None)),
            inputs["values"],
            inputs["returns"],
            mask,
            normalizer.clamp(min=1.0),
        )
        count = float(mask.sum())
        self._critic_means.append(
            {"critic/value_loss": Mean(float(loss), count), "critic/clip_ratio": Mean(float(held), count)}
        )
        if self.accelerator.sync_gradients:
            norm = critic.step()
            self._record(
                {
                    name: Mean(*map(sum, zip(*(part[name] for part in self._critic_means), strict=True)))
                    for name in self._critic_means[0]
                }
                | {"critic/grad_norm": Mean(norm, 1)}
            )
            self._critic_means = []

    def _record(self, means: dict[str, Mean]) -> None:
        merged = merge_means(gather_object([means]))
        for name, value in merged.items():
            self._metrics["train"][name].append(value)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "train_runtime" not in logs:
            now = time.perf_counter()
            self._metrics["train"]["time/iteration"].append(now - self._iteration_start)
            self._iteration_start = now
        super().log(logs, start_time)

    # --- checkpoints ------------------------------------------------------

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if not self.args.should_save:
            return
        folder = Path(self._get_output_dir(trial=trial))
        state: dict[str, Any] = {"role_baseline": self._role_baseline.state_dict()}
        if self._critic is not None:
            state["critic"] = self._critic.state_dict()
        torch.save(
            state, folder / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}" / STATE_FILE
        )

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        path = os.path.join(checkpoint, STATE_FILE)
        if not os.path.isfile(path):
            raise ConfigError(f"{checkpoint} has no {STATE_FILE}: it is no checkpoint of OMARTrainer")
        state = torch.load(path, map_location=self.accelerator.device, weights_only=True)
        self._role_baseline.load_state_dict(state["role_baseline"])
        if self._critic is not None:
            if "critic" not in state:
                raise ConfigError(f"{checkpoint} was trained without a critic: set advantage to rae")
            self._critic.load_state_dict(state["critic"])


def _roll_out(prompts: list[str], trainer: OMARTrainer) -> dict[str, list[Any]]:
    return trainer._roll_out(prompts)


def _episode_return(
    prompts: list[Any], completions: list[Any], episode_return: list[float], **_: Any
) -> list[float]:
    """TRL wants a reward function; the real rewards reach the advantages per turn."""
    return episode_return


def _aligned_part(batch: dict[str, Any], part: slice) -> AlignedRows:
    ids = torch.cat([batch["prompt_ids"][part], batch["completion_ids"][part]], dim=1)
    mask = torch.cat([batch["prompt_mask"][part], batch["completion_mask"][part]], dim=1)
    return align_rows(ids, mask, batch["completion_ids"].shape[1])


def _transformers_generator(trainer: OMARTrainer, seed: int) -> TextGenerator:
    return TransformersGenerator(
        trainer.accelerator.unwrap_model(trainer.model),
        end_token_id=trainer.processing_class.eos_token_id,
        pad_token_id=trainer.processing_class.pad_token_id,
        seed=seed,
        max_context=trainer.max_row_tokens,
    )
