"""From values and rewards to what policy and critic are trained towards.

:class:`TargetEstimator` holds what is learned for that beside the policy: a
critic, or without one a running mean per role.
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
from omar_trainers.advantages import hierarchical_advantages
from omar_trainers.baselines import RoleBaseline, token_gae
from omar_trainers.config import OMARConfig
from omar_trainers.critic import CriticLearner, ValueEstimates, build_critic
from omar_trainers.metrics import Mean, explained_variance, masked_mean
from omar_trainers.scoring import align_batch
from omar_trainers.selfplay import RoundTensors, RowFacts, SeedStream, derive_seed


class Targets(NamedTuple):
    """Attributes:
    advantages: (B, T), 0 on tokens that are not the seat's own.
    returns: (B, T), what the critic should have said; all 0 without a critic.
    """

    advantages: Tensor
    returns: Tensor


def critic_targets(
    args: OMARConfig,
    tensors: RoundTensors,
    values: ValueEstimates,
    token_rewards: Tensor | None,
) -> Targets:
    """Targets by the estimator that ``args.advantage`` names, not whitened.

    Args:
        args: discounts and estimator; not ``rae``.
        tensors: the rows.
        values: of the critic.
        token_rewards: (B, T), or None.
    """
    bootstrap = torch.where(tensors.bootstrap, values.after_last, 0.0)
    if args.advantage == "token_gae":
        plain = token_gae(
            tensors.turn_rewards,
            values.before,
            tensors.turn_index,
            gamma=args.gamma_token,
            lam=args.lam_token,
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
    return Targets(result.advantages, result.returns)


def role_advantages(baseline: RoleBaseline, facts: Sequence[RowFacts]) -> Tensor:
    """One advantage per row (B,), 0 for dummies; updates the running means.

    Args:
        baseline: running mean per role.
        facts: of each row.
    """
    present = [i for i, row in enumerate(facts) if not row.is_dummy]
    result = torch.zeros(len(facts))
    result[present] = baseline.advantages(
        torch.tensor([facts[i].episode_return for i in present]), [facts[i].role for i in present]
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
        if args.uses_critic:
            seed = derive_seed(args.seed, SeedStream.CRITIC)
            critic = build_critic(policy, args.critic, args.critic_overrides, seed=seed)
            self._critic = CriticLearner(
                critic.to(accelerator.device),
                accelerator,
                learning_rate=args.critic_learning_rate,
                warmup_steps=args.critic_warmup_steps,
                value_clip=args.critic_value_clip,
                max_grad_norm=args.critic_max_grad_norm,
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
            ``advantages`` (B, T), and with a critic ``values`` and ``returns``
            (B, T); and means by name.
        """
        mask = tensors.own.mask
        if self._critic is None:
            # Every process reads all rows, so that the running means stay equal.
            per_row = role_advantages(
                self._role_baseline, [RowFacts(*row) for row in gather_object(list(facts))]
            )
            first = self._accelerator.process_index * len(facts)
            local = per_row[first : first + len(facts)].to(mask.device)
            kept = mask & tensors.keep_turn.gather(1, tensors.turn_index.clamp(min=0))
            return {"advantages": self._whiten(local[:, None] * kept, mask)}, {}
        started = time.perf_counter()
        values = self._read_values(self._critic, batch)
        seconds = time.perf_counter() - started
        found = critic_targets(self._args, tensors, values, token_rewards)
        explained = explained_variance(values.before, found.returns, mask)
        means = {
            "critic/explained_variance": explained,
            "critic/value": masked_mean(values.before, mask),
            "critic/return": masked_mean(found.returns, mask),
            "time/values": Mean(seconds, 1),
        }
        return {
            "advantages": self._whiten(found.advantages, mask),
            "values": values.before,
            "returns": found.returns,
        }, means

    def learn(
        self, inputs: dict[str, Any], mask: Tensor, normalizer: Tensor, *, step: bool
    ) -> dict[str, Mean]:
        """Add one batch's gradient to the critic's, and take a step if told to.

        Args:
            inputs: a part of the batch with what :meth:`targets` gave.
            mask: (B, T), own tokens.
            normalizer: own tokens of one step.
            step: whether the batch is a step's last.
        """
        if self._critic is None:
            return {}
        loss, held = self._critic.accumulate(
            align_batch(inputs, slice(None)),
            inputs["values"],
            inputs["returns"],
            mask,
            normalizer,
        )
        count = float(mask.sum())
        means = {
            "critic/value_loss": Mean(float(loss), count),
            "critic/clip_ratio": Mean(float(held), count),
        }
        if step:
            means["critic/grad_norm"] = Mean(self._critic.step(), 1)
        return means

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

    def _whiten(self, advantages: Tensor, mask: Tensor) -> Tensor:
        """Mean 0 and variance 1 over the own tokens of all processes, if set; 0 elsewhere."""
        if not self._args.whiten:
            return advantages
        kept = advantages.double() * mask
        sums = torch.stack([mask.sum().double(), kept.sum(), kept.square().sum()])
        count, total, squares = self._accelerator.reduce(sums, reduction="sum").tolist()
        mean = total / max(count, 1.0)
        deviation = max(squares / max(count, 1.0) - mean * mean, 0.0) ** 0.5
        return (advantages - mean) / (deviation + 1e-8) * mask
