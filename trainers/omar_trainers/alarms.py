"""Alarms: the signs of a policy that games its reward, and what is done about them.

Two signs need no judge. Entropy that falls to a fraction of what it was (or rises
to a multiple) is a policy that always says the same (or anything); speech of which
nearly all stands word for word elsewhere in the same game is talk that has stopped
being talk. Both are means over all processes, so that all of them hear the same.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omar_envs.types import Episode
from omar_trainers.filters import repeated_speeches
from omar_trainers.guards import TrainingError
from omar_trainers.metrics import Mean
from omar_trainers.resuming.changed_settings import how_to_change
from omar_trainers.resuming.checkpoints import complete_checkpoints, step_of
from omar_trainers.settings import SafetySettings

REPEATED = "alarm/repeated_speeches"
"""Share of speeches that say, word for word, what another one of their game says."""

ENTROPY = "alarm/entropy_ratio"
"""Entropy as a share of the first iteration's."""

BEYOND = "alarm/iterations_beyond"
"""Iterations in a row, up to this one, beyond a bound."""

SET_ASIDE_FOLDER = "rolled_back"
"""Where a rollback moves the checkpoints that it goes back behind."""

logger = logging.getLogger(__name__)


class AlarmStop(TrainingError):
    """An alarm ended the run; the model is saved."""


class Ring(NamedTuple):
    """An alarm that rang.

    Attributes:
        message: what is wrong, since when, and what may help.
        first_bad: the first iteration beyond a bound, from 1.
        iteration: in which it rang.
    """

    message: str
    first_bad: int
    iteration: int

    @property
    def last_good(self) -> int:
        """Iterations after which the model still gave readings within the bounds.

        What iteration i measures is the model that i − 1 iterations have made.
        """
        return max(0, self.first_bad - 2)


def repeated_mean(episodes: Iterable[Episode]) -> Mean:
    """Share of the speeches that repeat another of their game, still to be averaged."""
    counts = [repeated_speeches(episode) for episode in episodes]
    return Mean(sum(repeated for repeated, _ in counts), sum(said for _, said in counts))


class Alarms:
    """Counts iterations beyond the bounds, and rings after ``alarm_patience`` of them.

    Args:
        settings: the bounds, and what is to be done.
        speaks: whether warnings are logged; one process of several does.

    Attributes:
        rung: the alarm that ended the run, None while it goes on.
    """

    def __init__(self, settings: SafetySettings, *, speaks: bool = True) -> None:
        self._settings = settings
        self._speaks = speaks
        self._first_entropy: float | None = None
        self._beyond = 0
        self.rung: Ring | None = None

    @property
    def on(self) -> bool:
        """Whether anything is computed at all."""
        return self._settings.alarm != "none"

    def listen(self, iteration: int, means: Mapping[str, Mean]) -> dict[str, float]:
        """Read one iteration's means over all processes. -> what to log

        Args:
            iteration: from 1.
            means: with ``entropy``, and :data:`REPEATED` where anything was said.
        """
        if not self.on:
            return {}
        readings = self._readings(means)
        complaints = self._complaints(readings)
        self._beyond = self._beyond + 1 if complaints else 0
        if self._beyond and self._beyond % self._settings.alarm_patience == 0:
            self._ring(iteration, complaints)
        return readings | {BEYOND: float(self._beyond)}

    def raise_if_rung(self) -> None:
        """End the program where an alarm has ended the run.

        Raises:
            AlarmStop: one has; with its message.
        """
        if self.rung is not None:
            raise AlarmStop(self.rung.message)

    def tell(self, more: str) -> None:
        """Add to the message of the alarm that ended the run what was done about it."""
        if self.rung is not None:
            self.rung = self.rung._replace(message=f"{self.rung.message}; {more}")

    def state_dict(self) -> dict[str, Any]:
        """First entropy and count, for a checkpoint."""
        return {"first_entropy": self._first_entropy, "beyond": self._beyond}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self._first_entropy = state["first_entropy"]
        self._beyond = state["beyond"]
        self.rung = None

    def _readings(self, means: Mapping[str, Mean]) -> dict[str, float]:
        readings: dict[str, float] = {}
        entropy = means["entropy"].value if "entropy" in means else math.nan
        if math.isfinite(entropy):
            if self._first_entropy is None:
                self._first_entropy = entropy
            if self._first_entropy > 0.0:
                readings[ENTROPY] = entropy / self._first_entropy
        if REPEATED in means and means[REPEATED].count:
            readings[REPEATED] = means[REPEATED].value
        return readings

    def _complaints(self, readings: Mapping[str, float]) -> list[str]:
        bounds = self._settings
        complaints = []
        ratio = readings.get(ENTROPY)
        if ratio is not None and ratio < bounds.alarm_entropy_low:
            complaints.append(
                f"entropy is {ratio:.3g} of the first iteration's, below alarm_entropy_low "
                f"{bounds.alarm_entropy_low}"
            )
        if ratio is not None and 0.0 < bounds.alarm_entropy_high < ratio:
            complaints.append(
                f"entropy is {ratio:.3g} of the first iteration's, above alarm_entropy_high "
                f"{bounds.alarm_entropy_high}"
            )
        repeated = readings.get(REPEATED)
        if repeated is not None and repeated > bounds.alarm_repetition:
            complaints.append(
                f"{repeated:.1%} of the speeches repeat another of their game word for word, more "
                f"than alarm_repetition {bounds.alarm_repetition:.1%}"
            )
        return complaints

    def _ring(self, iteration: int, complaints: Sequence[str]) -> None:
        first = iteration - self._beyond + 1
        ring = Ring(
            f"alarm in iteration {iteration}: {'; '.join(complaints)}; beyond a bound since "
            f"iteration {first}. The policy may be gaming its reward: read its games, and try "
            "turn_filter, a KL to the reference (kl_as, beta), a higher entropy_coef or a lower "
            f"learning_rate: {how_to_change('entropy_coef')}",
            first,
            iteration,
        )
        if self._settings.alarm != "warn":
            self.rung = ring
        elif self._speaks:
            logger.warning("%s", ring.message)


def set_aside(output_dir: str | Path, step: int) -> Path | None:
    """Move checkpoints after ``step`` out of the way, so that a resumed run starts before them.

    Called by one process.

    Returns:
        The newest complete checkpoint that is left, None if there is none.
    """
    left = None
    for checkpoint in complete_checkpoints(output_dir):
        if step_of(checkpoint) <= step:
            left = checkpoint
            continue
        place = Path(output_dir) / SET_ASIDE_FOLDER / checkpoint.name
        place.parent.mkdir(exist_ok=True)
        number = 1
        while place.exists():
            number += 1
            place = place.with_name(f"{checkpoint.name}-{number}")
        checkpoint.rename(place)
    return left
