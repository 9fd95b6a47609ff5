"""The trainer's second half: what the games' rows are worth, and a step on it.

TRL scores one number per row; here are values, advantages and returns per token. Its
clipped loss stays, over the tokens that are learned from, and beside each of the
policy's steps the critic takes one of its own.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from omar_trainers.guards import UpdateGuard, memory_guard
from omar_trainers.held_schedule import held_schedule
from omar_trainers.kl import KLController
from omar_trainers.metrics import Mean, add_means, is_replaced, kl_estimate, masked_mean
from omar_trainers.playing_trainer import PlayingTrainer
from omar_trainers.scoring import OwnTokens, TokenScores, align_rows, score_rows, sort_by_length
from omar_trainers.shown.game_text import games_path
from omar_trainers.shown.phases import phase_means
from omar_trainers.shown.token_credit import write_credited_games
from omar_trainers.targets import TargetEstimator, policy_tokens


class LearningTrainer(PlayingTrainer):
    """Scores rows and learns from them. A subclass makes the parts that it needs for that."""

    estimator: TargetEstimator
    """What advantages are estimated with, and what is learned for that: the critic."""

    _kl: KLController
    _update_guard: UpdateGuard
    _scores: TokenScores | None
    _sampled_as_old: bool
    _policy_starts_at: int
    _policy_learns: bool

    @property
    def _loss_beta(self) -> float:
        return self._kl.coefficient if self.args.kl_as == "loss" else 0.0

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
