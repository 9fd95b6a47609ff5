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

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from peft import PeftConfig, PeftModel
from torch import Tensor
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
)
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import set_seed

from omar_envs.errors import ConfigError
from omar_trainers.alarms import REPEATED, Alarms, repeated_mean
from omar_trainers.beside_weights import write_beside_weights
from omar_trainers.config import OMARConfig
from omar_trainers.filters import TurnJudge, make_turn_filter
from omar_trainers.generation import TextGenerator, TransformersGenerator
from omar_trainers.guards import (
    TooManyUnscored,
    UpdateGuard,
    check_unscored,
    memory_guard,
    together,
)
from omar_trainers.held_schedule import held_schedule
from omar_trainers.kl import KLController
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
from omar_trainers.opponents.learned_seats import check_some_meant, learned_seats
from omar_trainers.opponents.play import Opponents
from omar_trainers.opponents.setup import make_opponents
from omar_trainers.rehearsal import rehearse
from omar_trainers.replica import PolicyReplica, is_sharded
from omar_trainers.resuming.resumable import ResumableTrainer
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
    GamePlan,
    Lineup,
    ModelGames,
    PlayedGames,
    PlayGames,
    RoundTensors,
    SeedStream,
    SelfPlayRound,
    derive_seed,
    model_games,
    plan_dataset,
    plans_of,
)
from omar_trainers.shown.game_text import games_path, write_games
from omar_trainers.shown.model_card import model_card
from omar_trainers.shown.phases import phase_means
from omar_trainers.shown.token_credit import write_credited_games
from omar_trainers.shown.tracked_games import send_text
from omar_trainers.targets import TargetEstimator, policy_tokens
from omar_trainers.tokens import ChatTokenizer, decode_reply
from omar_trainers.vllm.setup import (
    check_vllm,
    made_without_vllm,
    vllm_generator,
    vllm_on_cpu,
)
from omar_trainers.watch import HeldOut, Watch, held_out, make_watch

GeneratorFactory = Callable[["OMARTrainer", int], TextGenerator]
"""Makes the generator that plays one iteration: (trainer, sampling seed)."""


class OMARTrainer(ResumableTrainer):
    """Improves one model by letting it play every seat.

    Example::

        trainer = OMARTrainer("path/to/model", OMARConfig("out", seats=5))
        trainer.train()

    Args:
        model: causal LM (or its path) that plays and learns.
        args: settings.
        play: plays the games of an iteration; by default those of
            ``args.env_name``.
        lineup: who will play in a game and for which team; needed with ``play``
            where past models play, and to check ``learn_roles`` and ``learn_teams``.
        watch: held-out measure of the model's games, as :mod:`omar_trainers.watch` has
            some; by default the one that ``args.watch`` names.
        turn_judge: for ``turn_filter`` judge; by default the environment's judge.
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
        lineup: Lineup | None = None,
        watch: Watch | None = None,
        turn_judge: TurnJudge | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        generator: GeneratorFactory | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        optimizers: tuple[Any, Any] = (None, None),
        peft_config: PeftConfig | None = None,
    ) -> None:
        if args.use_vllm and generator is None:
            check_vllm()
            generator = vllm_generator
        if play is None:
            rehearse(args)
        # New adapters are drawn before transformers sets the seed.
        set_seed(args.seed)
        prompts = args.total_iterations * args.games_per_iteration // args.episodes_per_scenario
        without_trl = args.use_vllm and args.device.type == "cpu"
        with warnings.catch_warnings(), made_without_vllm(args, without_trl):
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
        if without_trl:
            self.use_vllm, self._last_loaded_step = True, -1
            self.vllm_generation = vllm_on_cpu(self)
        self.remove_callback(ProgressCallback)
        self.remove_callback(PrinterCallback)
        if args.progress:
            self.add_callback(IterationProgress())
        if self.aux_loss_enabled:
            raise ConfigError("models with a router loss are not supported: set its coefficient 0")
        if play is None:
            play = model_games(args, ChatTokenizer(self._tokenizer, args.chat_template_kwargs))
        self._play = play
        self._make_generator = generator or _transformers_generator
        if lineup is None and isinstance(self._play, ModelGames):
            lineup = self._play.lineup
        self._scenarios = args.load_scenarios()
        self._learns = learned_seats(args, lineup)
        self._sides_known = lineup is not None
        judge: object = turn_judge
        if judge is None and isinstance(self._play, ModelGames):
            judge = self._play.make(args.load_scenarios()[0]).judge
        self._turn_filter = make_turn_filter(args, judge)
        self._held_out = held_out(
            args, make_watch(watch, args.watch, args.watch_every, args.output_dir)
        )
        self._update_guard = UpdateGuard(
            args.output_dir, args.max_grad_norm_stop, self.accelerator, self._tokenizer
        )
        self.alarms = Alarms(args, speaks=self.is_world_process_zero())
        self._vocabulary = self.model.config.get_text_config().vocab_size

        # TRL builds the reference model and its logprobs wherever beta is not 0;
        # as a token reward the KL must not act in the loss as well.
        self._kl = KLController(self.beta, target=args.kl_target, horizon=args.kl_horizon)
        self.beta = self._loss_beta
        self._add_scoring_heads()
        # TRL's bonus is a mean per batch, whatever the batch's share of own tokens.
        self._entropy_bonus_enabled = False

        if args.fsdp and not self.is_fsdp_enabled:
            raise ConfigError("fsdp is set, but accelerate has no use for it on CPUs: leave it out")
        replica = None
        if is_sharded(self.accelerator):
            # Where it does not sample, the critic is made from it, and then it is dropped.
            device = None if generator is None else torch.device("cpu")
            replica = PolicyReplica(self.model, self.accelerator, device)
        whole = self.model if replica is None else replica.model
        self.estimator = TargetEstimator(args, whole, self.accelerator)
        self._replica = replica if generator is None else None
        self.stateful = {"estimator": self.estimator, "kl": self._kl, "alarms": self.alarms}
        self.opponents = make_opponents(self, lineup, self._learns, _transformers_generator)
        if self.opponents is not None:
            self.stateful["opponents"] = self.opponents
        self._keep_track()

        self._round: SelfPlayRound | None = None
        self._tensors: RoundTensors | None = None
        self._own: OwnTokens | None = None
        self._sampled_as_old = False
        self._scores: TokenScores | None = None
        self._means: list[dict[str, Mean]] = []
        self._policy_starts_at = args.critic_only_iterations * args.steps_per_iteration
        self._policy_learns = True
        if self._policy_starts_at and self.is_deepspeed_enabled and args.weight_decay:
            raise ConfigError(
                "DeepSpeed decays weights whatever their gradient is, so critic_only_iterations "
                "cannot hold the policy still: set weight_decay to 0, or use DDP or FSDP"
            )

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
    def sampling_model(self) -> PreTrainedModel:
        """The policy as each process may call it alone, up to date while games are played."""
        if self._replica is not None:
            return self._replica.model
        return self.accelerator.unwrap_model(self.model)

    @property
    def _loss_beta(self) -> float:
        return self._kl.coefficient if self.args.kl_as == "loss" else 0.0

    @property
    def max_row_tokens(self) -> int:
        """Longest row, in tokens: the setting, or the model's own limit."""
        limit = self.model.config.get_text_config().max_position_embeddings
        return min(self.args.max_row_tokens or limit, limit)

    @property
    def _iteration(self) -> int:
        """Iterations that are over."""
        return self.state.global_step // self.args.steps_per_iteration

    # --- playing ----------------------------------------------------------

    def play_round(self, prompts: Sequence[str]) -> SelfPlayRound:
        """Play the games that ``prompts`` stand for with the current model.

        Raises:
            TrainingError: memory ran out, or too many seats have a reward that could not
                be determined, on any process.
        """
        args = self.args
        started = time.perf_counter()
        process = self.accelerator.process_index
        plans = plans_of(prompts, args.seats, process * len(prompts), self.num_generations)
        iteration = self._iteration
        if self.opponents is not None:
            self.opponents.begin(iteration)
        games = None if self._rollouts is None else self._rollouts.recall(iteration, prompts)
        reused = games is not None
        if games is None:
            games = together(lambda: self._play_plans(plans, SeedStream.SAMPLING, self.opponents))
            if self._rollouts is not None:
                self._rollouts.keep(iteration, prompts, games)
        played = SelfPlayRound(
            games,
            seats=args.seats,
            filler=self._tokenizer.pad_token_id,
            turn_filter=self._turn_filter,
            learns=self._learns,
            critic=args.uses_critic,
            scenarios=self._scenario_names(plans),
        )
        try:
            check_unscored(played.unscored, played.num_seats, args.max_unscored_fraction)
        except TooManyUnscored:
            if self._rollouts is not None:
                # The same command shall ask the judge again.
                self._rollouts.forget(iteration)
            raise
        seconds = time.perf_counter() - started
        if self.alarms.on:
            self._means.append({REPEATED: repeated_mean(played.episodes)})
        self._means.append(
            round_means(played)
            | {
                "play/reused": Mean(reused, 1),
                "play/cached_prompt_share": Mean(played.num_reused, played.num_asked),
                "play/tokens_per_second": Mean(played.sampled_tokens, 0 if reused else seconds),
            }
        )
        if self._learns is not None and not self._sides_known and iteration == 0:
            check_some_meant(self._learns, played.episodes)
        if self.opponents is not None:
            results = self.opponents.results(games)
            self._means.append(self.opponents.count(results, gather_object(results)))
        if self.is_world_process_zero() and args.log_games:
            shown = played.episodes[: args.log_games]
            text = write_games(games_path(args.output_dir, iteration + 1), shown)
            step = (iteration + 1) * args.steps_per_iteration
            send_text(self.callback_handler.callbacks, text, step)
        return played

    def _scenario_names(self, plans: Sequence[GamePlan]) -> list[str] | None:
        if len(self._scenarios) == 1:
            return None
        return [str(self._scenarios.index(plan.scenario)) for plan in plans]

    def _play_plans(
        self, plans: Sequence[GamePlan], stream: SeedStream, opponents: Opponents | None = None
    ) -> PlayedGames:
        """Play with the current model in every seat that no opponent has.

        Samples by a seed of ``stream``.
        """
        process = self.accelerator.process_index
        if self._replica is not None:
            self._replica.refresh(self.model)
        seed = derive_seed(self.args.seed, stream, self.state.global_step, process)
        generator = self._make_generator(self, seed)
        generator.forget()
        with ExitStack() as playing:
            if isinstance(generator, AbstractContextManager):
                playing.enter_context(generator)
            if opponents is None:
                return self._play(plans, generator)
            return opponents.play(
                self._play,
                plans,
                generator,
                iteration=self._iteration,
                first_game=process * len(plans),
            )

    def _roll_out(self, prompts: list[str]) -> dict[str, list[Any]]:
        if self._held_out is not None and self._held_out.due(self._iteration):
            with self._clock.phase("watch"):
                self._means.append(self._look(self._held_out))
        with self._clock.phase("play"):
            self._round = self.play_round(prompts)
        self._tensors = self._round.tensors(self._vocabulary, self.accelerator.device)
        self._own = self._tensors.own
        return self._round.rollout()

    def _look(self, held_out: HeldOut) -> dict[str, Mean]:
        """This process's part of a look, from before the run was killed if there was one."""
        kept, iteration = self._rollouts, self._iteration
        known = None if kept is None else kept.recall_look(iteration, held_out.name)
        if known is not None:
            return known
        found = held_out.look(
            lambda plans: together(lambda: self._play_plans(plans, SeedStream.WATCH)),
            self.accelerator.process_index,
            self.accelerator.num_processes,
        )
        if kept is not None:
            kept.keep_look(iteration, held_out.name, found)
        return found

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
        self.beta = self._kl.coefficient
        try:
            with warnings.catch_warnings():
                # TRL 1.16 uses names that transformers 5.23 deprecates.
                warnings.filterwarnings("ignore", message="`(is_)?gradient_checkpointing")
                with memory_guard("scoring"):
                    batch = super()._generate_and_score_completions(inputs)
        finally:
            self.beta = self._loss_beta
        assert self._round is not None and self._tensors is not None  # set by the rollout
        facts = [row.facts for row in self._round.rows]
        token_rewards = self._token_rewards(batch)
        with memory_guard("scoring"):
            targets, means = self.estimator.targets(batch, self._tensors, facts, token_rewards)
        self._means.append(means)
        self._keep_credited_games()
        batch |= targets
        acted = policy_tokens(self._tensors)
        count = self.accelerator.gather(acted.sum()).sum()
        batch |= {"tool_mask": acted.int(), "num_items_in_batch": count}
        self._policy_learns = bool(count) and self.state.global_step >= self._policy_starts_at
        self._means.append({"policy/skipped": Mean(not count, 1)})
        batch |= {"turn_index": self._tensors.turn_index, "choice": self._tensors.own.choice}
        return batch

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        plays = self._buffered_inputs
        with self._clock.phase("score"):
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

    def _keep_credited_games(self) -> None:
        args, credit = self.args, self.estimator.credit
        if not (args.log_games and args.log_credit and self.is_world_process_zero()):
            return
        assert self._round is not None and credit is not None  # of this iteration
        path = games_path(args.output_dir, self._iteration + 1).with_suffix(".jsonl")
        write_credited_games(
            path, self._round, args.log_games, credit, self._tokenizer, args.advantage
        )

    def _token_rewards(self, batch: dict[str, Any]) -> Tensor | None:
        """The KL as a reward on each own token (B, T), where it is set to be one."""
        if self.args.kl_as != "token_reward":
            return None
        assert self._tensors is not None
        log_ratio = self._tensors.logprobs - batch.pop("ref_per_token_logps")
        self._means.append(
            {"policy/kl": masked_mean(kl_estimate(-log_ratio), self._tensors.own.mask)}
        )
        return -self._kl.coefficient * log_ratio

    # --- learning ---------------------------------------------------------

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> Tensor:
        assert self._own is not None
        mask = inputs["tool_mask"].bool()
        self._own = OwnTokens(mask, inputs["choice"], self._own.allowed)
        loss = super()._compute_loss(model, inputs)
        # As in TRL's dapo loss: the learned tokens of one accumulation window.
        share = self.current_gradient_accumulation_steps / self.args.steps_per_generation
        normalizer = inputs["num_items_in_batch"] * share / self.accelerator.num_processes
        normalizer = normalizer.clamp(min=1.0)
        scores, self._scores = self._scores, None
        assert scores is not None  # TRL's loss has just asked for them
        if self.entropy_coef:
            loss = loss - self.entropy_coef * scores.entropies.sum() / normalizer
        self._means.append(self._policy_means(inputs, scores, mask))
        learned = self.estimator.learn(inputs, share, last=self.accelerator.sync_gradients)
        self._means.append(learned)
        critic_norm = learned.get("critic/grad_norm", Mean(0.0, 1)).value
        self._update_guard.note(inputs, loss, critic_norm)
        if self.is_deepspeed_enabled:
            self._update_guard.check_loss(self.state.global_step)
        return loss if self._policy_learns else 0.0 * loss

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm)
        self._update_guard.check_step(self.state.global_step, norm)
        self.estimator.step()
        if not self._policy_learns:
            assert self.optimizer is not None  # made before training
            # Optimizers pass by what has no gradient: no decay, no momentum, no count.
            self.optimizer.zero_grad(set_to_none=True)
        return norm

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> Any:
        """The policy's schedule over the steps in which the policy learns."""
        steps = max(1, num_training_steps - self._policy_starts_at)
        schedule = super().create_scheduler(steps, optimizer)
        # DeepSpeed steps its schedule itself.
        if not self.is_deepspeed_enabled:
            self.lr_scheduler = schedule = held_schedule(schedule, lambda: not self._policy_learns)
        return schedule

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
        if self._means:
            tokens = sum(part["row/tokens"].total for part in self._means if "row/tokens" in part)
            self._means.append(phase_means(self._clock.lap(), tokens, self.num_iterations))
            means = add_means(gather_object(self._means))
            for name, mean in means.items():
                if mean.count:
                    metrics[name].append(mean.value)
            if "policy/kl" in means:
                metrics["policy/kl_coefficient"].append(self._kl.coefficient)
                if self._policy_learns:
                    self._kl.update(means["policy/kl"].value)
            self._means = []
            for name, value in self.alarms.listen(self._iteration, means).items():
                metrics[name] = [value]
            if self.alarms.rung is not None:
                self.control.should_training_stop = True
        super().log(logs, start_time)

    # --- writing ----------------------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            write_beside_weights(folder, self.args, of_package=isinstance(self._play, ModelGames))

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


def _roll_out(prompts: list[str], trainer: OMARTrainer) -> dict[str, list[Any]]:
    return trainer._roll_out(prompts)


def _total_reward(
    prompts: list[Any], completions: list[Any], episode_return: list[float], **_: Any
) -> list[float]:
    """TRL wants a reward function; the real rewards reach the advantages per turn."""
    return episode_return


def _transformers_generator(
    trainer: OMARTrainer, seed: int, model: PreTrainedModel | PeftModel | None = None
) -> TextGenerator:
    return TransformersGenerator(
        model or trainer.sampling_model,
        end_token_id=trainer.processing_class.eos_token_id,
        pad_token_id=trainer.processing_class.pad_token_id,
        seed=seed,
        max_context=trainer.max_row_tokens,
        decode=partial(decode_reply, trainer.processing_class),
    )
