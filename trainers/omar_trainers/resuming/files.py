"""Files that are there whole or not at all, whenever the process is killed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``path`` when the block ends well.

    A reader finds what was there before or all that is new, also after a loss of
    power. If the block raises, what was there before stays. Folders are made::

        with atomic_write(folder / "state.pt") as file:
            torch.save(state, file)

    Raises:
        OSError: the disk does not take it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


def remove_half_written(folder: str | os.PathLike[str]) -> None:
    """Remove what killed processes had begun to write, in ``folder`` and in the folders there.

    To be called by one process, while none writes.
    """
    for pattern in (_TEMPORARY, f"*/{_TEMPORARY}"):
        for path in Path(folder).glob(pattern):
            path.unlink(missing_ok=True)


_TEMPORARY = ".*." + "[0-9a-f]" * 8 + ".tmp"


def sync_file(path: Path) -> None:
    """Wait until the disk has the file's content."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows which files the folder has."""
    if os.name != "posix":
        return  # Windows cannot open a folder, and keeps such records by itself.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
