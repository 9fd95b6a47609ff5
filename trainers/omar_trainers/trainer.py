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
from omar_trainers.baselines import RoleBaseline
from omar_trainers.config import OMARConfig
from omar_trainers.critic import CriticLearner, ValueEstimates, build_critic
from omar_trainers.generation import TextGenerator, TransformersGenerator
from omar_trainers.metrics import (
    IterationProgress,
    Mean,
    MetricsWriter,
    add_means,
    explained_variance,
    is_group_metric,
    masked_mean,
    round_means,
)
from omar_trainers.scoring import (
    AlignedRows,
    OwnTokens,
    TokenScores,
    add_scoring_head,
    align_rows,
    check_scoring_head,
    score_rows,
    sort_by_length,
)
from omar_trainers.selfplay import (
    ModelGames,
    PlayGames,
    RoundTensors,
    SeedStream,
    SelfPlayRound,
    derive_seed,
    plan_dataset,
    plans_of,
)
from omar_trainers.targets import (
    Targets,
    apply_whitening,
    critic_targets,
    role_advantages,
    whitening,
)
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
    _name = "OMAR"
    _paper = {
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
        self._play = play or self._model_games()
        self._make_generator = generator or _transformers_generator
        self._vocabulary = self.model.get_output_embeddings().weight.shape[0]

        # TRL builds the reference model and its logprobs wherever beta is not 0;
        # as a token reward the KL must not act in the loss as well.
        self._kl_coefficient = self.beta
        self._loss_beta = self.beta if args.kl_as == "loss" else 0.0
        self.beta = self._loss_beta
        self._add_scoring_heads()
        # TRL's bonus is a mean per batch, whatever the batch's share of own tokens.
        self._entropy_bonus_enabled = False

        self._critic: CriticLearner | None = None
        if args.uses_critic:
            self._critic = CriticLearner(
                build_critic(
                    self.model,
                    args.critic,
                    args.critic_overrides,
                    seed=derive_seed(args.seed, SeedStream.CRITIC),
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
        self._sampled_as_old = False
        self._iteration_start = time.perf_counter()
        self._scores: TokenScores | None = None
        self._window: list[dict[str, Mean]] = []
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

    def _model_games(self) -> ModelGames:
        args = self.args
        games = ModelGames(
            args.env_name,
            args.env_kwargs or {},
            ChatTokenizer(self._tokenizer),
            max_new_tokens_speak=args.max_new_tokens_speak,
            max_new_tokens_choose=args.max_new_tokens_choose,
            temperature=args.temperature,
            constrain_choices=args.constrain_choices,
        )
        for scenario in args.load_scenarios():
            players = len(games.make(scenario).possible_agents)
            if players > args.seats:
                raise ConfigError(
                    f"a game has {players} players, but seats is {args.seats}: set seats to the "
                    "largest number of players"
                )
        return games

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
        for name in [name for name in self._metrics["train"] if is_group_metric(name)]:
            del self._metrics["train"][name]
        assert self._round is not None and self._tensors is not None  # set by the rollout
        started = time.perf_counter()
        mask = self._tensors.own.mask
        values = None if self._critic is None else self._read_values(self._critic, batch)
        targets = self._targets(values, self._token_rewards(batch))
        if values is not None:
            batch |= {"values": values.before, "returns": targets.returns}
            self._record(
                {
                    "critic/explained_variance": Mean(
                        explained_variance(values.before, targets.returns, mask), 1
                    ),
                    "critic/value": masked_mean(values.before, mask),
                    "critic/return": masked_mean(targets.returns, mask),
                    "time/values": Mean(time.perf_counter() - started, 1),
                }
            )
        advantages = targets.advantages
        if args.whiten:
            sums = self.accelerator.reduce(whitening(advantages, mask), reduction="sum")
            advantages = apply_whitening(advantages, mask, sums)
        return batch | {
            "advantages": advantages,
            "turn_index": self._tensors.turn_index,
            "choice": self._tensors.own.choice,
        }

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

    def _read_values(self, critic: CriticLearner, batch: dict[str, Any]) -> ValueEstimates:
        count, width = batch["completion_ids"].shape
        size = self.args.per_device_train_batch_size
        parts = [
            critic.values(_aligned_part(batch, slice(start, start + size)), width)
            for start in range(0, count, size)
        ]
        return ValueEstimates(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _token_rewards(self, batch: dict[str, Any]) -> Tensor | None:
        """The KL as a reward on each own token (B, T), where it is set to be one."""
        if self.args.kl_as != "token_reward":
            return None
        assert self._tensors is not None
        log_ratio = self._tensors.logprobs - batch.pop("ref_per_token_logps")
        self._record({"policy/kl": masked_mean(log_ratio, self._tensors.own.mask)})
        return -self._kl_coefficient * log_ratio

    def _targets(self, values: ValueEstimates | None, token_rewards: Tensor | None) -> Targets:
        tensors, played = self._tensors, self._round
        assert tensors is not None and played is not None
        if values is not None:
            return critic_targets(self.args, tensors, values, token_rewards)
        # Every process reads all rows, so that the running means stay equal.
        earned = gather_object([(row.role, row.episode_return) for row in played.rows])
        first = self.accelerator.process_index * len(played.rows)
        per_row = role_advantages(self._role_baseline, earned)[first : first + len(played.rows)]
        advantages = per_row.to(tensors.own.mask.device)[:, None] * tensors.own.mask
        return Targets(advantages, torch.zeros_like(advantages))

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
        assert self._scores is not None  # scored in the line before
        if self.entropy_coef:
            loss = loss - self.entropy_coef * self._scores.entropies.sum() / normalizer
        self._window.append(self._drift(inputs, mask))
        if self._critic is not None:
            self._window.append(self._learn_values(self._critic, inputs, mask, normalizer))
            if self.state.global_step < self._policy_starts_at:
                loss = 0.0 * loss
        if self.accelerator.sync_gradients:
            means = add_means(self._window)
            self._window = []
            if self._critic is not None:
                means["critic/grad_norm"] = Mean(self._critic.step(), 1)
            self._record(means)
        return loss

    @torch.no_grad()
    def _drift(self, inputs: dict[str, Any], mask: Tensor) -> dict[str, Mean]:
        """How far the policy has moved from the one that sampled the rows."""
        assert self._scores is not None
        log_ratio = (self._scores.logprobs - inputs["sampling_per_token_logps"]) * mask
        # Schulman's estimator: never negative, and of low variance.
        means = {"policy/approx_kl": masked_mean(log_ratio.exp() - 1.0 - log_ratio, mask)}
        if self.state.global_step % self.args.steps_per_iteration == 0:
            # Nothing was learned since: any gap is between generator and trainer.
            means["policy/logprob_gap"] = masked_mean(log_ratio.abs(), mask)
        return means

    def _learn_values(
        self, critic: CriticLearner, inputs: dict[str, Any], mask: Tensor, normalizer: Tensor
    ) -> dict[str, Mean]:
        loss, held = critic.accumulate(
            _aligned_part(inputs, slice(None)),
            inputs["values"],
            inputs["returns"],
            mask,
            normalizer,
        )
        count = float(mask.sum())
        return {
            "critic/value_loss": Mean(float(loss), count),
            "critic/clip_ratio": Mean(float(held), count),
        }

    def _record(self, means: dict[str, Mean]) -> None:
        for name, mean in add_means(gather_object([means])).items():
            if mean.count:
                self._metrics["train"][name].append(mean.value)

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
        torch.save(state, folder / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}" / STATE_FILE)

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
        self._role_baseline.load_state_dict(state["role_baseline"])
        if self._critic is not None:
            if "critic" not in state:
                raise ConfigError(
                    f"{checkpoint} was trained without a critic: set advantage to rae"
                )
            self._critic.load_state_dict(state["critic"])


def _roll_out(prompts: list[str], trainer: OMARTrainer) -> dict[str, list[Any]]:
    return trainer._roll_out(prompts)


def _total_reward(
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
