"""The alarm that ended a run, kept so that the next start does not forget it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omar_trainers.alarms import AlarmStop, Ring
from omar_trainers.resuming.changed_settings import ALARM
from omar_trainers.resuming.files import atomic_write

RING_FILE = "alarm.json"
"""In the output folder, as long as an alarm that ended the run is not answered."""


def keep_ring(
    output_dir: str | os.PathLike[str], ring: Ring, heard_with: Mapping[str, Any]
) -> None:
    """Write down that an alarm ended the run; called by one process.

    Args:
        output_dir: of the run.
        ring: the alarm.
        heard_with: the settings of the run and of the alarm, as plain JSON.
    """
    with atomic_write(Path(output_dir) / RING_FILE) as file:
        found = {"message": ring.message, "iteration": ring.iteration, "settings": heard_with}
        file.write(json.dumps(found, indent=1, sort_keys=True).encode())


def check_answered(
    output_dir: str | os.PathLike[str], heard_with: Mapping[str, Any], *, acknowledged: bool
) -> None:
    """Refuse to go on as if no alarm had ended the run.

    Another setting is an answer, of the run or of the alarm, and so is to say that one
    knows (``resume_with: [alarm]``).

    Raises:
        AlarmStop: an alarm ended it, and nothing has changed since.
    """
    path = Path(output_dir) / RING_FILE
    if acknowledged or not path.is_file():
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["settings"] == heard_with:
        raise AlarmStop(
            f"this run was ended by an alarm, and nothing has changed since: {found['message']}; "
            f"to go on as it is, give --resume_with {ALARM}"
        )


def forget_ring(output_dir: str | os.PathLike[str]) -> None:
    """The run goes on; called by one process."""
    (Path(output_dir) / RING_FILE).unlink(missing_ok=True)
