"""From values and rewards to what policy and critic are trained towards.

:class:`TargetEstimator` holds what is learned for that beside the policy: a
critic, or without one a running mean per scenario and role.

All estimators are routed here, by ``advantage``: ``hierarchical``, ``token_gae``
and ``turn_gae`` read a critic (:func:`critic_targets`), ``rae`` and ``group`` give a
row one number (:meth:`TargetEstimator.targets`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from transformers import PreTrainedModel

from omar_envs.errors import ConfigError
from omar_trainers.advantage_metrics import advantage_means
from omar_trainers.advantages import hierarchical_advantages
from omar_trainers.baselines import RoleBaseline, group_advantages, token_gae, turn_gae
from omar_trainers.config import OMARConfig
from omar_trainers.critic import CriticLearner, ValueEstimates, build_critic
from omar_trainers.game_plans import SeedStream, derive_seed
from omar_trainers.metrics import Mean, explained_variance, masked_mean
from omar_trainers.replica import is_sharded
from omar_trainers.scoring import align_batch
from omar_trainers.seat_rows import RoundTensors, RowFacts
from omar_trainers.whitening import kind_of, whiten


class Targets(NamedTuple):
    """Attributes:
    advantages: (B, T), 0 on tokens that are not the seat's own.
    returns: (B, T), what the critic should have said; all 0 without a critic.
    turn_advantages: (B, K), A_k where the estimator has them.
    """

    advantages: Tensor
    returns: Tensor
    turn_advantages: Tensor | None = None


class Credit(NamedTuple):
    """What a batch's tokens are credited, in the unit of rewards: not whitened.

    Attributes:
        advantages: (B, T), 0 on tokens that the policy does not learn from.
        values: (B, T), what the critic says before each token; None without one.
        turn_advantages: (B, K), A_k; None where the estimator has none.
    """

    advantages: Tensor
    values: Tensor | None = None
    turn_advantages: Tensor | None = None

    def row(self, index: int) -> Credit:
        """The same of one row, without the dimension B."""
        return Credit(*(None if part is None else part[index] for part in self))  # type: ignore[arg-type]


def critic_targets(
    args: OMARConfig,
    tensors: RoundTensors,
    values: ValueEstimates,
    token_rewards: Tensor | None,
) -> Targets:
    """Targets by the estimator that ``args.advantage`` names, not whitened.

    Args:
        args: discounts, and an estimator that reads values.
        tensors: the rows.
        values: of the critic.
        token_rewards: (B, T), or None.
    """
    bootstrap = torch.where(tensors.bootstrap, values.after_last, 0.0)
    if args.advantage in ("token_gae", "turn_gae"):
        by_turn = args.advantage == "turn_gae"
        plain = (turn_gae if by_turn else token_gae)(
            tensors.turn_rewards,
            values.before,
            tensors.turn_index,
            gamma=args.gamma_turn if by_turn else args.gamma_token,
            lam=args.lam_turn if by_turn else args.lam_token,
            bootstrap=bootstrap,
            token_rewards=token_rewards,
            keep_turn=tensors.keep_turn,
        )
        return Targets(plain.advantages, plain.returns)
    result = hierarchical_advantages(
        tensors.turn_rewards,
        values.before,
        tensors.turn_index,
        gamma_turn=args.gamma_turn,
        lam_turn=args.lam_turn,
        gamma_token=args.gamma_token,
        lam_token=args.lam_token,
        bootstrap=bootstrap,
        token_rewards=token_rewards,
        pseudo_reward=args.pseudo_reward,
        keep_turn=tensors.keep_turn,
    )
    return Targets(result.advantages, result.returns, result.turn_advantages)


class RowReturn(NamedTuple):
    """Attributes:
    kind: rows of one kind share a running mean: those of a role in a scenario.
    episode_return: what it was paid.
    learned: whether any of its tokens is learned from; dummies never are.
    """

    kind: str
    episode_return: float
    learned: bool


def kept_tokens(tensors: RoundTensors) -> Tensor:
    """Own tokens of turns that are learned from, if only by the critic. (B, T) bool"""
    return tensors.own.mask & tensors.keep_turn.gather(1, tensors.turn_index.clamp(min=0))


def policy_tokens(tensors: RoundTensors) -> Tensor:
    """Those of them that the policy learns from. (B, T) bool"""
    return kept_tokens(tensors) & tensors.learned[:, None]


def role_advantages(baseline: RoleBaseline, rows: Sequence[RowReturn]) -> Tensor:
    """One advantage per row (B,), 0 where nothing is learned; updates the running means.

    Args:
        baseline: running mean per kind of row.
        rows: of all processes, so that the means stay equal.
    """
    learned = [i for i, row in enumerate(rows) if row.learned]
    result = torch.zeros(len(rows))
    result[learned] = baseline.advantages(
        torch.tensor([rows[i].episode_return for i in learned]), [rows[i].kind for i in learned]
    )
    return result


class TargetEstimator:
    """Estimates advantages, and learns to do it better.

    Args:
        args: names the estimator, its discounts and the critic's settings.
        policy: that the critic is made from.
        accelerator: of the trainer.

    Raises:
        ConfigError: the critic's settings do not fit the policy.
    """

    def __init__(self, args: OMARConfig, policy: PreTrainedModel, accelerator: Accelerator) -> None:
        self._args = args
        self._accelerator = accelerator
        self._role_baseline = RoleBaseline(args.rae_decay)
        self._critic: CriticLearner | None = None
        self._ready = False
        self.credit: Credit | None = None
        """Of the batch that :meth:`targets` was asked about last."""
        if args.uses_critic:
            if args.critic == "lora" and is_sharded(accelerator):
                raise ConfigError(
                    "critic lora shares the policy's base, which FSDP and ZeRO-3 take apart: set "
                    "critic to copy or fresh, or use DDP or ZeRO-2"
                )
            critic = build_critic(
                policy,
                args.critic,
                args.critic_overrides,
                lora_r=args.critic_lora_r,
                lora_alpha=args.critic_lora_alpha,
                seed=derive_seed(args.seed, SeedStream.CRITIC),
            )
            if args.activation_checkpointing:
                critic.backbone.activation_checkpointing_enable({"use_reentrant": False})
            self._critic = CriticLearner(
                critic.to(accelerator.device),
                accelerator,
                learning_rate=args.critic_learning_rate,
                warmup_steps=args.critic_warmup_steps,
                value_clip=args.critic_value_clip,
                max_grad_norm=args.critic_max_grad_norm,
                scheduler=args.critic_lr_scheduler,
                total_steps=args.total_iterations * args.steps_per_iteration,
                normalize=args.critic_normalize_returns,
            )

    def targets(
        self,
        batch: dict[str, Any],
        tensors: RoundTensors,
        facts: Sequence[RowFacts],
        token_rewards: Tensor | None,
    ) -> tuple[dict[str, Tensor], dict[str, Mean]]:
        """What a batch is trained towards, and what there is to log about it.

        Args:
            batch: TRL's, with the padded rows of this process.
            tensors: the same rows.
            facts: of each row of this process.
            token_rewards: (B, T), or None.

        Returns:
            ``advantages`` (B, T), and with a critic ``values``, ``returns`` and
            ``critic_mask`` (B, T) and ``critic_tokens`` (), how many it holds over all
            processes; and means by name.
        """
        kept, acted = kept_tokens(tensors), policy_tokens(tensors)
        if self._critic is None:
            raw = self._row_advantages(facts, acted.any(1)).to(acted.device)[:, None] * acted
            self.credit = Credit(raw)
            return {"advantages": self._whiten(raw, acted, facts)}, advantage_means(
                raw, acted, tensors.turn_index, facts
            )
        started = time.perf_counter()
        values = self._read_values(self._critic, batch)
        found = critic_targets(self._args, tensors, values, token_rewards)
        if self._critic.note_returns(found.returns[kept]):
            values = self._read_values(self._critic, batch)
            found = critic_targets(self._args, tensors, values, token_rewards)
        seconds = time.perf_counter() - started
        raw = torch.where(acted, found.advantages, 0.0)
        self.credit = Credit(raw, values.before, found.turn_advantages)
        mean, deviation = self._critic.units
        means = advantage_means(found.advantages, acted, tensors.turn_index, facts) | {
            "critic/explained_variance": explained_variance(values.before, found.returns, kept),
            "critic/value": masked_mean(values.before, kept),
            "critic/return": masked_mean(found.returns, kept),
            "critic/return_mean": Mean(mean, 1),
            "critic/return_std": Mean(deviation, 1),
            "time/values": Mean(seconds, 1),
        }
        return {
            "advantages": self._whiten(raw, acted, facts),
            "values": values.before,
            "returns": found.returns,
            "critic_mask": kept,
            "critic_tokens": self._accelerator.gather(kept.sum()).sum(),
        }, means

    def learn(self, inputs: dict[str, Any], share: float, *, last: bool) -> dict[str, Mean]:
        """Add one batch's gradient to the critic's.

        Where the iteration holds nothing that it could learn from, nothing is done.

        Args:
            inputs: a part of the batch with what :meth:`targets` gave.
            share: of the iteration's rows that are in one step.
            last: whether the batch is a step's last: the gradient is then clipped, and
                its norm is among the means as ``critic/grad_norm``.
        """
        if self._critic is None or not inputs["critic_tokens"]:
            return {}
        mask = inputs["critic_mask"]
        normalizer = inputs["critic_tokens"] * share / self._accelerator.num_processes
        loss, held = self._critic.accumulate(
            align_batch(inputs, slice(None)),
            inputs["values"],
            inputs["returns"],
            mask,
            normalizer.clamp(min=1.0),
        )
        count = float(mask.sum())
        means = {
            "critic/value_loss": Mean(float(loss), count),
            "critic/clip_ratio": Mean(float(held), count),
        }
        if last:
            means["critic/grad_norm"] = Mean(self._critic.clip_gradient(), 1)
            self._ready = True
        return means

    def step(self) -> None:
        """Take the critic's step on the gradient that :meth:`learn` left, if it left one."""
        if self._critic is not None and self._ready:
            self._critic.step()
            self._ready = False

    def state_dict(self) -> dict[str, Any]:
        """Critic with optimizer and schedule, or the running means, for a checkpoint."""
        if self._critic is None:
            return {"role_baseline": self._role_baseline.state_dict()}
        return {"critic": self._critic.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned.

        Raises:
            ConfigError: it is of the other kind.
        """
        kind = "role_baseline" if self._critic is None else "critic"
        if kind not in state:
            raise ConfigError(
                f"the checkpoint has no {kind}: resume with the advantage it was trained with"
            )
        if self._critic is None:
            self._role_baseline.load_state_dict(state[kind])
        else:
            self._critic.load_state_dict(state[kind])

    def _read_values(self, critic: CriticLearner, batch: dict[str, Any]) -> ValueEstimates:
        count, width = batch["completion_ids"].shape
        size = self._args.per_device_train_batch_size
        parts = [
            critic.values(align_batch(batch, slice(start, start + size)), width)
            for start in range(0, count, size)
        ]
        return ValueEstimates(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _row_advantages(self, facts: Sequence[RowFacts], learned: Tensor) -> Tensor:
        """One number per row of this process (B,), 0 where nothing is learned."""
        rows = [
            RowReturn(_baseline_kind(row), row.episode_return, bool(any_kept))
            for row, any_kept in zip(facts, learned.tolist(), strict=True)
        ]
        # A group's rows may be spread over processes, and the running means must stay equal.
        rows = [RowReturn(*row) for row in gather_object(rows)]
        if self._args.advantage == "group":
            per_row = group_advantages(
                torch.tensor([row.episode_return for row in rows]),
                torch.tensor([row.learned for row in rows]),
                self._args.num_generations,
            )
        else:
            per_row = role_advantages(self._role_baseline, rows)
        first = self._accelerator.process_index * len(facts)
        return per_row[first : first + len(facts)]

    def _whiten(self, advantages: Tensor, kept: Tensor, facts: Sequence[RowFacts]) -> Tensor:
        """Whitened over the kept tokens of all processes, if set; 0 elsewhere."""
        if not self._args.whiten:
            return advantages
        return whiten(advantages, kept, [kind_of(row, self._args.whiten_by) for row in facts])


def _baseline_kind(row: RowFacts) -> str:
    """Rewards of different scenarios are not compared: one may pay more than another."""
    return f"{row.scenario}:{row.role}" if row.scenario else row.role
