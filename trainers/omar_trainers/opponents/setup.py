"""The opponents that a trainer's settings ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from peft import PeftModel
from transformers import PreTrainedModel

from omar_envs.errors import ConfigError
from omar_trainers.game_plans import Lineup
from omar_trainers.generation_protocol import TextGenerator
from omar_trainers.opponents.learned_seats import LearnedSeats
from omar_trainers.opponents.past_models import POOL_FOLDER, PastModels
from omar_trainers.opponents.play import Opponents
from omar_trainers.resuming.checkpoints import complete_checkpoints, step_of

if TYPE_CHECKING:
    from omar_trainers.trainer import OMARTrainer


def make_opponents(
    trainer: OMARTrainer,
    lineup: Lineup | None,
    learns: LearnedSeats | None,
    generator: Callable[[OMARTrainer, int, PreTrainedModel | PeftModel], TextGenerator],
) -> Opponents | None:
    """Past models to play against, None where the settings want none.

    All processes call it together.

    Args:
        trainer: with its model loaded.
        lineup: who will play in a game; None if nobody knows.
        learns: tells whose rows are learned from; None takes all.
        generator: makes what samples from a past model: (trainer, seed, model).

    Raises:
        ConfigError: nobody knows the sides.
    """
    args = trainer.args
    if not args.opponent_share:
        return None
    if lineup is None:
        raise ConfigError(
            "opponent_share needs to know who will play on which side, which the trainer cannot "
            "tell of a play of your own: pass lineup=..., or set opponent_share to 0"
        )

    def saved_iterations() -> list[int]:
        found = complete_checkpoints(args.output_dir)
        return [step_of(path) // args.steps_per_iteration for path in found]

    models = PastModels(
        Path(args.output_dir) / POOL_FOLDER,
        lambda: trainer.model,
        trainer.accelerator,
        trainer.processing_class,
        lambda model, seed: generator(trainer, seed, model),
    )
    return Opponents(args, lineup, models, saved_iterations, learns)
