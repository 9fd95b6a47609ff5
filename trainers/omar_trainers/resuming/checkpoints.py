"""Checkpoint folders that are complete, or are none.

``checkpoint-<step>`` is written in a folder of its own, ``_incomplete``, and moved to
its place when all processes have written their part and the disk has it. What is
left in ``_incomplete`` is half-written or half-deleted, and is removed when the run
goes on. Last of all goes in ``complete.json``, which lists the files with their
sizes, so that half a copy of a checkpoint is not taken for one either.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from omar_trainers.resuming.files import atomic_write, sync_file, sync_folder

MANIFEST_FILE = "complete.json"
STATE_FILE = "omar_state.pt"
"""What is learned or counted beside the policy."""

STAGING_FOLDER = "_incomplete"
"""With an underscore in front, transformers leaves it out when it pushes to the hub."""

_FORMAT = 1


class Stateful(Protocol):
    """Something whose state a checkpoint keeps."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Manifest(NamedTuple):
    """What a complete checkpoint says about itself.

    Attributes:
        files: size in bytes by path inside the folder.
        identity: what was learned from what, by setting; plain JSON.
        processes: how many wrote it.
        changes: what was changed on purpose on the way here (``resume_with``), the
            earliest first.
    """

    files: dict[str, int]
    identity: dict[str, Any]
    processes: int
    changes: list[dict[str, Any]]


def staging(output_dir: str | os.PathLike[str]) -> Path:
    """Where checkpoints of a run are written before they are complete."""
    return Path(output_dir) / STAGING_FOLDER


def name_of(step: int) -> str:
    """Folder name of the checkpoint after ``step`` optimizer steps."""
    return f"{PREFIX_CHECKPOINT_DIR}-{step}"


def step_of(checkpoint: Path) -> int:
    """Optimizer steps before the checkpoint, from its name."""
    return int(checkpoint.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-"))


def publish(
    output_dir: str | os.PathLike[str],
    step: int,
    *,
    identity: Any,
    processes: int,
    changes: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Complete the checkpoint that stands in the staging folder. -> its place

    To be called by one process, after all have written their files. ``identity``,
    ``processes`` and ``changes`` are what :class:`Manifest` tells again.

    Raises:
        OSError: the disk does not take it.
    """
    written = staging(output_dir) / name_of(step)
    files = sorted(path for path in written.rglob("*") if path.is_file())
    for path in files:
        sync_file(path)
    for folder in {path.parent for path in files}:
        sync_folder(folder)
    manifest = {
        "format": _FORMAT,
        "files": {path.relative_to(written).as_posix(): path.stat().st_size for path in files},
        "identity": identity,
        "processes": processes,
        "changes": list(changes),
    }
    with atomic_write(written / MANIFEST_FILE) as file:
        file.write(json.dumps(manifest, indent=1, sort_keys=True).encode())
    place = Path(output_dir) / name_of(step)
    if place.exists():
        remove(place)
    os.replace(written, place)
    sync_folder(place.parent)
    remove_incomplete(output_dir, only_if_empty=True)
    return place


def read_manifest(checkpoint: str | os.PathLike[str]) -> Manifest | None:
    """What the checkpoint says about itself; None if it is not complete."""
    folder = Path(checkpoint)
    try:
        found = json.loads((folder / MANIFEST_FILE).read_bytes())
        if found["format"] != _FORMAT:
            return None
        for name, size in found["files"].items():
            if (folder / name).stat().st_size != size:
                return None
        changes = found.get("changes", [])
        return Manifest(found["files"], found["identity"], found["processes"], changes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def complete_checkpoints(output_dir: str | os.PathLike[str]) -> list[Path]:
    """The complete checkpoints of a run, the oldest first."""
    found = [
        path
        for path in Path(output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*")
        if path.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-").isdecimal() and read_manifest(path)
    ]
    return sorted(found, key=step_of)


def last_checkpoint(
    output_dir: str | os.PathLike[str], *, at_most: int | None = None
) -> Path | None:
    """The newest complete checkpoint of a run.

    Args:
        at_most: of those after no more than this many optimizer steps.
    """
    fitting = [
        path
        for path in complete_checkpoints(output_dir)
        if at_most is None or step_of(path) <= at_most
    ]
    return fitting[-1] if fitting else None


def rotate(output_dir: str | os.PathLike[str], limit: int | None) -> None:
    """Remove the oldest complete checkpoints beyond ``limit``; None or 0 keeps all."""
    if limit:
        for checkpoint in complete_checkpoints(output_dir)[:-limit]:
            remove(checkpoint)


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint, so that no half of it is left in its place."""
    doomed = staging(checkpoint.parent) / f"removed-{checkpoint.name}"
    doomed.parent.mkdir(exist_ok=True)
    if doomed.exists():
        shutil.rmtree(doomed)
    os.replace(checkpoint, doomed)
    shutil.rmtree(doomed)
    remove_incomplete(checkpoint.parent, only_if_empty=True)


def remove_incomplete(output_dir: str | os.PathLike[str], *, only_if_empty: bool = False) -> None:
    """Remove what a killed run had begun to write or to remove."""
    folder = staging(output_dir)
    if folder.is_dir() and not (only_if_empty and any(folder.iterdir())):
        shutil.rmtree(folder)
