"""Training that can be killed at any moment and goes on with the same command.

Checkpoints are complete or not there (:mod:`omar_trainers.resuming.checkpoints`), a run goes on
only as the same run (:mod:`omar_trainers.resuming.resume`), and games played since the last
checkpoint are kept (:mod:`omar_trainers.resuming.rollout_store`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers.trainer_utils import SaveStrategy, TrainOutput
from trl import GRPOTrainer

import omar_envs
from omar_envs.errors import ConfigError
from omar_trainers.alarms import Alarms, Ring, set_aside
from omar_trainers.config import OMARConfig
from omar_trainers.guards import memory_guard
from omar_trainers.resuming import checkpoints
from omar_trainers.resuming.changed_settings import ALARM
from omar_trainers.resuming.checkpoints import STATE_FILE, Stateful
from omar_trainers.resuming.ended import check_answered, forget_ring, keep_ring
from omar_trainers.resuming.files import remove_half_written
from omar_trainers.resuming.hyperparameters import Hyperparameters
from omar_trainers.resuming.interruption import StopOnTermination
from omar_trainers.resuming.resume import (
    check_same_run,
    choose_checkpoint,
    going_on,
    heard_with,
    identity,
    lineage,
)
from omar_trainers.resuming.rollout_store import ROLLOUTS_FOLDER, RolloutStore
from omar_trainers.shown.phases import PhaseClock


class ResumableTrainer(GRPOTrainer):
    """TRL's trainer, with checkpoints that hold everything and are never half there.

    A subclass fills ``stateful`` and ``alarms``, and calls ``_keep_track`` at the end of
    its construction.
    """

    args: OMARConfig
    alarms: Alarms

    stateful: dict[str, Stateful]
    """What a checkpoint keeps beside the policy, by name; the same on all processes."""

    interruption: StopOnTermination
    """Tells whether training was ended from outside."""

    def _keep_track(self) -> None:
        """Note which run this is, and keep its games from now on."""
        args = self.args
        self._clock = PhaseClock()
        self.interruption = StopOnTermination(lambda asked: any(gather_object([asked])))
        self.add_callback(self.interruption)
        self._staging = False
        self._identity = identity(args, self.model)
        self._heard_with = heard_with(args, self._identity)
        self._changes: list[dict[str, Any]] = []
        self._rollouts: RolloutStore | None = None

    def train(self, resume_from_checkpoint: str | bool | None = None) -> TrainOutput:
        """Train to the end, from where the run was stopped.

        Args:
            resume_from_checkpoint: a checkpoint to go on from, or True for the last
                one; None leaves it to the settings (``resume``).

        Raises:
            ConfigError: the settings or the folder do not allow it; see
                :func:`~omar_trainers.resuming.resume.choose_checkpoint` and
                :func:`~omar_trainers.resuming.resume.check_same_run`.
            AlarmStop: an alarm has ended this run before, and nothing has changed.
        """
        args, processes = self.args, self.accelerator.num_processes
        allowed = args.resume_with or []
        checkpoint = choose_checkpoint(args, resume_from_checkpoint)
        if checkpoint is not None:
            self._changes = check_same_run(checkpoint, self._identity, processes, allowed)
            acknowledged = ALARM in allowed
            check_answered(args.output_dir, self._heard_with, acknowledged=acknowledged)
            if self.is_world_process_zero():
                print(going_on(args, checkpoint), file=sys.stderr, flush=True)
        self.accelerator.wait_for_everyone()
        if args.should_save:
            checkpoints.remove_incomplete(args.output_dir)
            remove_half_written(args.output_dir)
            forget_ring(args.output_dir)
        self._rollouts = self._rollout_store()
        self.accelerator.wait_for_everyone()
        try:
            with memory_guard("training"):
                output = super().train(None if checkpoint is None else str(checkpoint))
        finally:
            self.interruption.release()
        if args.alarm == "rollback" and self.alarms.rung is not None:
            self._roll_back(self.alarms.rung)
        self._keep_ring()
        return output

    def _rollout_store(self) -> RolloutStore | None:
        args = self.args
        if not args.keep_rollouts or args.save_strategy == SaveStrategy.NO:
            return None
        processes, version = self.accelerator.num_processes, omar_envs.__version__
        return RolloutStore(
            Path(args.output_dir) / ROLLOUTS_FOLDER,
            lineage(self._identity, processes, version, self._changes),
            self.accelerator.process_index,
            lambda found: all(gather_object([found])),
        )

    def _keep_ring(self) -> None:
        if self.alarms.rung is not None and self.args.should_save:
            keep_ring(self.args.output_dir, self.alarms.rung, self._heard_with)

    def _roll_back(self, ring: Ring) -> None:
        """Load the last checkpoint from before the alarm's trouble; later ones are set aside."""
        args = self.args
        step = ring.last_good * args.steps_per_iteration
        self.accelerator.wait_for_everyone()
        if checkpoints.last_checkpoint(args.output_dir, at_most=step) is None:
            self.alarms.tell("there is no checkpoint from before it: the model is left as it is")
            return
        if args.should_save:
            set_aside(args.output_dir, step)
        self.accelerator.wait_for_everyone()
        found = checkpoints.last_checkpoint(args.output_dir)
        self.state.best_model_checkpoint = str(found)
        self._load_best_model()
        self.alarms.tell(f"the model is again that of {found}")

    def _get_output_dir(self, trial: Any) -> str:
        if self._staging:
            return str(checkpoints.staging(self.args.output_dir))
        return super()._get_output_dir(trial)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        # An upload goes on in the background: not from a folder that will be moved.
        if not self._staging:
            super()._push_from_checkpoint(checkpoint_folder)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        with self._clock.phase("save"):
            self._save_complete_checkpoint(model, trial)

    def _save_complete_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        args, step = self.args, self.state.global_step
        # Before a checkpoint is there from which a run could go on without knowing.
        self._keep_ring()
        self._staging = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._staging = False
        if args.should_save:
            folder = checkpoints.staging(args.output_dir) / checkpoints.name_of(step)
            states = {name: part.state_dict() for name, part in self.stateful.items()}
            torch.save(states, folder / STATE_FILE)
        self.accelerator.wait_for_everyone()
        if args.should_save:
            processes = self.accelerator.num_processes
            place = checkpoints.publish(
                args.output_dir,
                step,
                identity=self._identity,
                processes=processes,
                changes=self._changes,
            )
            if args.push_to_hub:
                self._push_from_checkpoint(str(place))
            checkpoints.rotate(args.output_dir, args.save_total_limit)
            if self._rollouts is not None:
                self._rollouts.discard(before=step // args.steps_per_iteration)
        self.accelerator.wait_for_everyone()

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        settings = Hyperparameters(self.optimizer, self.lr_scheduler)
        super()._load_optimizer_and_scheduler(checkpoint)
        settings.restore()
        path = os.path.join(checkpoint, STATE_FILE)
        if not os.path.isfile(path):
            raise ConfigError(
                f"{checkpoint} has no {STATE_FILE}: it is no checkpoint of OMARTrainer"
            )
        # transformers takes this one from the checkpoint, and only warns.
        self.state.save_steps = int(self.args.save_steps)
        states = torch.load(path, map_location="cpu", weights_only=True)
        for name, part in self.stateful.items():
            if name not in states:
                raise ConfigError(
                    f"{path} has no state of {name}: another version wrote it, or a run that had "
                    "none"
                )
            part.load_state_dict(states[name])
