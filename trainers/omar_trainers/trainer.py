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
from typing import Any

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
from omar_trainers.config import OMARConfig
from omar_trainers.generation import TextGenerator, TransformersGenerator
from omar_trainers.metrics import (
    IterationProgress,
    Mean,
    MetricsWriter,
    add_means,
    is_replaced,
    kl_estimate,
    masked_mean,
    round_means,
)
from omar_trainers.model_card import model_card
from omar_trainers.scoring import (
    OwnTokens,
    TokenScores,
    add_scoring_head,
    align_rows,
    check_scoring_head,
    score_rows,
    sort_by_length,
)
from omar_trainers.selfplay import (
    PlayGames,
    RoundTensors,
    SeedStream,
    SelfPlayRound,
    derive_seed,
    model_games,
    plan_dataset,
    plans_of,
)
from omar_trainers.targets import TargetEstimator
from omar_trainers.tokens import ChatTokenizer

GeneratorFactory = Callable[["OMARTrainer", int], TextGenerator]
"""Makes the generator that plays one iteration: (trainer, sampling seed)."""

STATE_FILE = "omar_state.pt"


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

    _tag_names = ["omar-envs", "trl", "self-play"]

    args: OMARConfig
    estimator: TargetEstimator
    """What advantages are estimated with, and what is learned for that: the critic."""

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
        plugin = args.deepspeed_plugin
        sharded = args.fsdp or (plugin is not None and plugin.zero_stage == 3)
        if sharded and generator is None:
            raise ConfigError(
                "a sharded policy cannot sample by itself, for its processes would wait for one "
                "another: pass generator=..., or use DDP or ZeRO-2"
            )
        prompts = args.total_iterations * args.games_per_iteration // args.episodes_per_scenario
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="You are using 'rollout_func'")
            super().__init__(
                model=model,
                reward_funcs=_total_reward,
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
        self._play = play or model_games(args, ChatTokenizer(self._tokenizer))
        self._make_generator = generator or _transformers_generator
        self._vocabulary = self.model.config.get_text_config().vocab_size

        # TRL builds the reference model and its logprobs wherever beta is not 0;
        # as a token reward the KL must not act in the loss as well.
        self._kl_coefficient = self.beta
        self._loss_beta = self.beta if args.kl_as == "loss" else 0.0
        self.beta = self._loss_beta
        self._add_scoring_heads()
        # TRL's bonus is a mean per batch, whatever the batch's share of own tokens.
        self._entropy_bonus_enabled = False

        self.estimator = TargetEstimator(args, self.model, self.accelerator)

        self._round: SelfPlayRound | None = None
        self._tensors: RoundTensors | None = None
        self._own: OwnTokens | None = None
        self._sampled_as_old = False
        self._iteration_start: float | None = None
        self._scores: TokenScores | None = None
        self._means: list[dict[str, Mean]] = []
        self._policy_starts_at = args.critic_only_iterations * args.steps_per_iteration

    # --- construction -----------------------------------------------------

    def _add_scoring_heads(self) -> None:
        models = [self.model]
        if self.ref_model is not None:
            models.append(self.accelerator.unwrap_model(self.ref_model))
        for model in models:
            add_scoring_head(model, self.temperature, self.entropy_coef != 0.0)
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
        sampling_seed = derive_seed(args.seed, SeedStream.SAMPLING, self.state.global_step, process)
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
        self._means.append(
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
        parts = []
        for start in range(0, len(input_ids), size):
            part = slice(start, start + size)
            rows = align_rows(input_ids[part], attention_mask[part], logits_to_keep)
            with self.accelerator.autocast():
                parts.append(score_rows(model, rows, self._own.slice(start, start + size)))
        scores = TokenScores(*(torch.cat(column) for column in zip(*parts, strict=True)))
        self._scores = scores
        return scores.logprobs, scores.entropies if compute_entropy else None, None

    # --- advantages -------------------------------------------------------

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        args = self.args
        if self._iteration_start is None:
            self._iteration_start = time.perf_counter()
        steps = args.steps_per_generation * self.num_iterations
        # The condition under which TRL asks for the old policy's logprobs first.
        asks_for_old = args.gradient_accumulation_steps % steps != 0 or (
            self.use_vllm and self.vllm_importance_sampling_correction
        )
        self._sampled_as_old = asks_for_old and args.old_logprobs == "sampled"
        self.beta = self._kl_coefficient
        try:
            with warnings.catch_warnings():
                # TRL 1.16 asks for it by a name that transformers 5.23 deprecates.
                warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`")
                batch = super()._generate_and_score_completions(inputs)
        finally:
            self.beta = self._loss_beta
        assert self._round is not None and self._tensors is not None  # set by the rollout
        facts = [row.facts for row in self._round.rows]
        token_rewards = self._token_rewards(batch)
        targets, means = self.estimator.targets(batch, self._tensors, facts, token_rewards)
        self._means.append(means)
        batch |= targets
        batch |= {"turn_index": self._tensors.turn_index, "choice": self._tensors.own.choice}
        return batch

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        plays = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self._buffered_inputs is plays:
            return inputs
        # Rows of like lengths share a batch; which minibatch a row is in stays random.
        size = self.args.gradient_accumulation_steps
        batches = self._buffered_inputs
        self._buffered_inputs = [
            batch
            for start in range(0, len(batches), size)
            for batch in sort_by_length(batches[start : start + size])
        ]
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _token_rewards(self, batch: dict[str, Any]) -> Tensor | None:
        """The KL as a reward on each own token (B, T), where it is set to be one."""
        if self.args.kl_as != "token_reward":
            return None
        assert self._tensors is not None
        log_ratio = self._tensors.logprobs - batch.pop("ref_per_token_logps")
        self._means.append(
            {"policy/kl": masked_mean(kl_estimate(-log_ratio), self._tensors.own.mask)}
        )
        return -self._kl_coefficient * log_ratio

    # --- learning ---------------------------------------------------------

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> Tensor:
        assert self._own is not None
        mask = inputs["turn_index"] >= 0
        self._own = OwnTokens(mask, inputs["choice"], self._own.allowed)
        loss = super()._compute_loss(model, inputs)
        # As in TRL's dapo loss: the own tokens of one accumulation window.
        share = self.current_gradient_accumulation_steps / self.args.steps_per_generation
        normalizer = inputs["num_items_in_batch"] * share / self.accelerator.num_processes
        normalizer = normalizer.clamp(min=1.0)
        scores, self._scores = self._scores, None
        assert scores is not None  # TRL's loss has just asked for them
        if self.entropy_coef:
            loss = loss - self.entropy_coef * scores.entropies.sum() / normalizer
        self._means.append(self._policy_means(inputs, scores, mask))
        step = self.accelerator.sync_gradients
        self._means.append(self.estimator.learn(inputs, mask, normalizer, step=step))
        return loss if self.state.global_step >= self._policy_starts_at else 0.0 * loss

    @torch.no_grad()
    def _policy_means(
        self, inputs: dict[str, Any], scores: TokenScores, mask: Tensor
    ) -> dict[str, Mean]:
        """Entropy, and how far the policy is from the one that sampled the rows."""
        sampled = inputs["sampling_per_token_logps"]
        log_ratio = (scores.logprobs - inputs.get("old_per_token_logps", sampled)) * mask
        ratio, advantages = log_ratio.exp(), inputs["advantages"]
        clipped = ((ratio < 1.0 - self.epsilon_low) & (advantages < 0)) | (
            (ratio > 1.0 + self.epsilon_high) & (advantages > 0)
        )
        means = {
            "entropy": masked_mean(scores.entropies, mask),
            "policy/approx_kl": masked_mean(kl_estimate(log_ratio), mask),
            "policy/clip_ratio": masked_mean(clipped, mask),
        }
        if "ref_per_token_logps" in inputs:
            distance = kl_estimate(inputs["ref_per_token_logps"] - scores.logprobs)
            means["policy/kl"] = masked_mean(distance, mask)
        if self.state.global_step % self.args.steps_per_iteration == 0:
            # Nothing was learned since: any gap is between generator and trainer.
            means["policy/logprob_gap"] = masked_mean((scores.logprobs - sampled).abs(), mask)
        return means

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        metrics = self._metrics["train"]
        for name in [name for name in metrics if is_replaced(name)]:
            del metrics[name]
        if self._means and self._iteration_start is not None:
            now = time.perf_counter()
            self._means.append({"time/iteration": Mean(now - self._iteration_start, 1)})
            self._iteration_start = now
            for name, mean in add_means(gather_object(self._means)).items():
                if mean.count:
                    metrics[name].append(mean.value)
            self._means = []
        super().log(logs, start_time)

    # --- checkpoints ------------------------------------------------------

    def create_model_card(
        self,
        model_name: str | None = None,
        dataset_name: str | None = None,
        tags: str | list[str] | None = None,
    ) -> None:
        """Write ``README.md`` in the output folder."""
        if not self.is_world_process_zero():
            return
        folder = Path(self.args.output_dir)
        card = model_card(
            self.args,
            name=model_name or folder.name,
            base=self.model.config.name_or_path,
            tags=sorted({*self._tag_names, *([tags] if isinstance(tags, str) else tags or [])}),
        )
        (folder / "README.md").write_text(card, encoding="utf-8")

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if not self.args.should_save:
            return
        folder = Path(self._get_output_dir(trial=trial))
        checkpoint = folder / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        torch.save(self.estimator.state_dict(), checkpoint / STATE_FILE)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        path = os.path.join(checkpoint, STATE_FILE)
        if not os.path.isfile(path):
            raise ConfigError(
                f"{checkpoint} has no {STATE_FILE}: it is no checkpoint of OMARTrainer"
            )
        state = torch.load(path, map_location=self.accelerator.device, weights_only=True)
        self.estimator.load_state_dict(state)


def _roll_out(prompts: list[str], trainer: OMARTrainer) -> dict[str, list[Any]]:
    return trainer._roll_out(prompts)


def _total_reward(
    prompts: list[Any], completions: list[Any], episode_return: list[float], **_: Any
) -> list[float]:
    """TRL wants a reward function; the real rewards reach the advantages per turn."""
    return episode_return


def _transformers_generator(trainer: OMARTrainer, seed: int) -> TextGenerator:
    return TransformersGenerator(
        trainer.accelerator.unwrap_model(trainer.model),
        end_token_id=trainer.processing_class.eos_token_id,
        pad_token_id=trainer.processing_class.pad_token_id,
        seed=seed,
        max_context=trainer.max_row_tokens,
    )
