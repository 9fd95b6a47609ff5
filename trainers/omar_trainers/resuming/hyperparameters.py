"""What the settings give an optimizer, kept when a checkpoint's state is loaded into it."""

from __future__ import annotations

from typing import Any

from accelerate.scheduler import AcceleratedScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class Hyperparameters:
    """Learning rate, weight decay and the like, as they were set.

    A checkpoint's optimizer state brings its own along, which would win over a setting
    that was changed on purpose. With unchanged settings nothing is another number.

    Args:
        optimizer: new, before any state was loaded.
        schedule: of its learning rate. Any but a ``LambdaLR`` keeps what was loaded.
    """

    def __init__(self, optimizer: Optimizer, schedule: Any) -> None:
        self._optimizer = optimizer
        found = schedule.scheduler if isinstance(schedule, AcceleratedScheduler) else schedule
        self._schedule = found if isinstance(found, LambdaLR) else None
        self._groups = [
            {name: value for name, value in group.items() if name not in ("params", "lr")}
            for group in optimizer.param_groups
        ]
        self._highest = [] if self._schedule is None else list(self._schedule.base_lrs)

    def restore(self) -> None:
        """Set them again, at the place in the schedule that was loaded."""
        if self._schedule is None:
            return
        self._schedule.base_lrs = list(self._highest)
        share = [of(self._schedule.last_epoch) for of in self._schedule.lr_lambdas]
        rates = [highest * part for highest, part in zip(self._highest, share, strict=True)]
        for group, kept, rate in zip(
            self._optimizer.param_groups, self._groups, rates, strict=True
        ):
            group.update(kept)
            group["lr"] = rate
        self._schedule._last_lr = rates
