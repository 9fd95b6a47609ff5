"""Who else plays, and which seats are learned from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from omar_envs.errors import ConfigError
from omar_trainers.settings.checks import require_int, require_one_of, require_share


@dataclass
class OpponentSettings:
    """Who else plays, and which seats are learned from.

    OMAR lets the live model play every seat and learns from all of them: that is
    the default.

    Args:
        opponent_share: share of an iteration's games in which a frozen past model
            plays one side (a team drawn by lot, or where the game has no teams all
            seats but one drawn by lot); its rows are not learned from. Only lots that
            leave a seat to learn from count, if there is one. In [0, 1].
        opponent_pool_size: how many past models are kept; the start is one of
            them until it is pushed out, the oldest first.
        opponent_every: iterations between two models that enter the pool.
        opponent_sampling: which of the pool plays a game: ``uniform``, ``latest``,
            or ``hardest`` (in proportion to how often it has beaten the live model).
        learn_roles: the policy learns from rows of these roles only, the critic from
            all; None learns from all.
        learn_teams: the policy learns from rows of these teams only, the critic from
            all; None learns from all.
    """

    opponent_share: float = field(
        default=0.0, metadata={"help": "Share of games with a frozen past model on one side."}
    )
    opponent_pool_size: int = field(default=5, metadata={"help": "Past models that are kept."})
    opponent_every: int = field(
        default=10, metadata={"help": "Iterations between two models that enter the pool."}
    )
    opponent_sampling: Literal["uniform", "latest", "hardest"] = field(
        default="uniform", metadata={"help": "Which of the pool plays a game."}
    )
    learn_roles: list[str] | None = field(
        default=None, metadata={"help": "Learn from rows of these roles only."}
    )
    learn_teams: list[str] | None = field(
        default=None, metadata={"help": "Learn from rows of these teams only."}
    )

    def _check_opponents(self) -> None:
        require_share("opponent_share", self.opponent_share)
        for name in ("opponent_pool_size", "opponent_every"):
            require_int(name, getattr(self, name), least=1)
        require_one_of(
            "opponent_sampling", self.opponent_sampling, ("uniform", "latest", "hardest")
        )
        for name in ("learn_roles", "learn_teams"):
            if getattr(self, name) == []:
                raise ConfigError(f"{name} is empty, so nothing would be learned: name one or more")
