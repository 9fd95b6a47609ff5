"""Stopping a run from outside, so that the same command goes on."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

TERMINATED = 128 + signal.SIGTERM
"""Exit code after SIGTERM."""

INTERRUPTED = 128 + signal.SIGINT
"""Exit code after Ctrl-C."""


class Terminated(SystemExit):
    """SIGTERM has stopped the run; what was learned stands in its last checkpoint."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


class StopOnTermination(TrainerCallback):
    """SIGTERM saves a checkpoint at the iteration's end and stops; a second one kills.

    That is what clusters send before they take a machine away. Only the main
    thread can listen; a run in another one is stopped as before.

    Args:
        agree: whether any process says yes. All stop after the same iteration.

    Attributes:
        stopped: whether the run was ended by a signal.
    """

    def __init__(self, agree: Callable[[bool], bool]) -> None:
        self.stopped = False
        self._agree = agree
        self._asked = False
        self._before: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.stopped = self._asked = False
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._ask)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.global_step % args.steps_per_iteration:
            return
        if self._agree(self._asked) and not control.should_training_stop:
            self.stopped = True
            control.should_training_stop = True
            control.should_save = args.save_strategy != SaveStrategy.NO

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let SIGTERM do again what it did before training."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        print(
            "omar-envs train: SIGTERM: stopping after this iteration; once more to stop at once",
            file=sys.stderr,
            flush=True,
        )
