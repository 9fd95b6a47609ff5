"""From rewards to advantages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from omar_envs.errors import ConfigError
from omar_trainers.settings.checks import (
    number,
    require_int,
    require_not_negative,
    require_one_of,
    require_share,
)

Advantage = Literal["hierarchical", "token_gae", "turn_gae", "rae", "group"]
CRITIC_FREE: tuple[Advantage, ...] = ("rae", "group")
"""Estimators that read no values."""


@dataclass
class AdvantageSettings:
    """From rewards to advantages.

    Args:
        advantage: ``hierarchical`` (turns, then tokens), ``token_gae`` (plain GAE
            over the row's own tokens), ``turn_gae`` (GAE over turns, one number for
            all tokens of a turn), ``rae`` (no critic: return minus a running mean
            per scenario and role) or ``group`` (no critic: return minus the mean of the rows of
            the same scenario, over their standard deviation, as GRPO).
        gamma_turn, lam_turn: discount and GAE parameter between turns, in [0, 1].
        gamma_token, lam_token: the same between tokens, in [0, 1].
        pseudo_reward: ``writeback`` or ``literal``; see ``hierarchical_advantages``.
        whiten: shift and scale advantages to mean 0 and variance 1 over the
            iteration's own tokens.
        whiten_by: over which of them: ``all``, or those of one ``role``, ``team``
            or ``seat`` (agent id) at a time.
        rae_decay: weight of the past in the running mean per scenario and role, in [0, 1).
        kl_as: where the KL to the starting model acts: ``none``, ``loss`` (TRL's
            own term) or ``token_reward`` (a reward of −beta·log-ratio on each token).
            ``beta`` is the coefficient of whichever it is, so it cannot act twice.
        kl_target: where the KL (nats per own token) is held by adapting ``beta``
            after each iteration; 0 leaves ``beta`` as it is.
        kl_horizon: iterations over which it adapts: each changes ``beta`` by at
            most a share of 0.2/``kl_horizon``.
    """

    advantage: Advantage = field(default="hierarchical", metadata={"help": "Advantage estimator."})
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
    whiten_by: Literal["all", "role", "team", "seat"] = field(
        default="all", metadata={"help": "Normalise advantages over all rows, or by kind of row."}
    )
    rae_decay: float = field(
        default=0.95, metadata={"help": "Weight of the past in a running mean of returns."}
    )
    kl_as: Literal["none", "loss", "token_reward"] = field(
        default="none", metadata={"help": "Where the KL to the starting model acts."}
    )
    kl_target: float = field(
        default=0.0, metadata={"help": "KL in nats per token that beta adapts to; 0: it does not."}
    )
    kl_horizon: int = field(
        default=10, metadata={"help": "Iterations over which beta adapts to kl_target."}
    )

    @property
    def uses_critic(self) -> bool:
        """Whether the advantage estimator reads values."""
        return self.advantage not in CRITIC_FREE

    def _check_advantages(self) -> None:
        require_one_of("advantage", self.advantage, get_args(Advantage))
        require_one_of("pseudo_reward", self.pseudo_reward, ("writeback", "literal"))
        require_one_of("whiten_by", self.whiten_by, ("all", "role", "team", "seat"))
        require_one_of("kl_as", self.kl_as, ("none", "loss", "token_reward"))
        for name in ("gamma_turn", "lam_turn", "gamma_token", "lam_token"):
            require_share(name, getattr(self, name))
        if not 0.0 <= number("rae_decay", self.rae_decay) < 1.0:
            raise ConfigError(f"rae_decay must lie in [0, 1), not {self.rae_decay}")
        require_not_negative("kl_target", self.kl_target)
        require_int("kl_horizon", self.kl_horizon, least=1)
        if self.kl_target and self.kl_as == "none":
            raise ConfigError("kl_target adapts beta, but kl_as is none: set kl_as")
        if self.whiten_by != "all" and not self.whiten:
            raise ConfigError("whiten_by says how to whiten, but whiten is false: set whiten")
        if not self.uses_critic and self.kl_as == "token_reward":
            raise ConfigError(
                f"advantage {self.advantage} reads no token rewards: set kl_as to loss or none"
            )
