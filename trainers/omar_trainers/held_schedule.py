"""A learning-rate schedule that waits while nothing is learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accelerate.scheduler import AcceleratedScheduler
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau


class HeldSchedule(AcceleratedScheduler):
    """Passes a step on to a schedule unless it is held.

    Args:
        schedule: any of torch's.
        held: asked at each step.
    """

    def __init__(self, schedule: LRScheduler, held: Callable[[], bool]) -> None:
        super().__init__(schedule, [], step_with_optimizer=False)
        self._held = held

    def step(self, *args: Any, **named: Any) -> None:
        """One step of the schedule, or none."""
        if not self._held():
            super().step(*args, **named)


def held_schedule(schedule: LRScheduler | HeldSchedule, held: Callable[[], bool]) -> Any:
    """``schedule`` made to wait.

    One that follows a measure is left as it is: it steps when something is evaluated,
    and never in between. So is one that waits already.
    """
    if isinstance(schedule, HeldSchedule | ReduceLROnPlateau):
        return schedule
    return HeldSchedule(schedule, held)
