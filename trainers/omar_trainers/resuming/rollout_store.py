"""Played games on disk until the next checkpoint, so that a killed run need not play again.

A run repeats itself from a checkpoint: the same weights play the same games. What
was played after the checkpoint is therefore as good as what would be played again,
and cost time, and a judge's money. One file holds one iteration of one process.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import torch

from omar_trainers.resuming.files import atomic_write
from omar_trainers.selfplay import PlayedGames

ROLLOUTS_FOLDER = "rollouts"
_FORMAT = 1


class _Stored(msgspec.Struct):
    format: int
    lineage: str
    prompts: list[str]
    games: PlayedGames
    generator_state: bytes


class RolloutStore:
    """The games of the iterations since the last checkpoint.

    Args:
        folder: made when the first file is written.
        lineage: names all runs whose games may be taken for this run's; see
            :func:`omar_trainers.resuming.resume.lineage`.
        process: index of this process.
        agree: whether all processes say yes. Playing may take collective calls, so
            that either all play or none.
    """

    def __init__(
        self,
        folder: Path,
        lineage: str,
        process: int = 0,
        agree: Callable[[bool], bool] = bool,
    ) -> None:
        self._folder = folder
        self._lineage = lineage
        self._process = process
        self._agree = agree

    def recall(self, iteration: int, prompts: Sequence[str]) -> PlayedGames | None:
        """The games of an iteration as they were played before, None if they were not.

        Sets torch's process-wide generator to what it was after playing.
        Every process must call this. A file that cannot be used is ignored with a
        warning.
        """
        stored = self._read(iteration)
        fits = (
            stored is not None
            and stored.lineage == self._lineage
            and stored.prompts == list(prompts)
        )
        if not self._agree(fits) or stored is None:
            return None
        torch.set_rng_state(torch.frombuffer(bytearray(stored.generator_state), dtype=torch.uint8))
        return stored.games

    def keep(self, iteration: int, prompts: Sequence[str], games: PlayedGames) -> None:
        """Write the games of an iteration. A failure costs a warning, not the run."""
        stored = _Stored(_FORMAT, self._lineage, list(prompts), games, _generator_state())
        try:
            data = zlib.compress(msgspec.msgpack.encode(stored), level=1)
            with atomic_write(self._path(iteration)) as file:
                file.write(data)
        except (OSError, TypeError, ValueError) as error:
            self._warn(iteration, "could not be kept", error)

    def forget(self, iteration: int) -> None:
        """Remove this process's games of one iteration."""
        self._path(iteration).unlink(missing_ok=True)

    def discard(self, before: int) -> None:
        """Remove the games of all processes from iterations before ``before``."""
        for path in self._folder.glob("iteration-*-rank-*.msgpack"):
            number = path.name.split("-")[1]
            if number.isdecimal() and int(number) < before:
                path.unlink(missing_ok=True)
        with suppress(OSError):  # there is none, or it is not empty
            self._folder.rmdir()

    def _read(self, iteration: int) -> _Stored | None:
        path = self._path(iteration)
        if not path.is_file():
            return None
        try:
            stored = _DECODER.decode(zlib.decompress(path.read_bytes()))
        except (OSError, zlib.error, ValueError) as error:
            self._warn(iteration, "cannot be read, and are played again", error)
            return None
        return stored if stored.format == _FORMAT else None

    def _path(self, iteration: int) -> Path:
        return self._folder / f"iteration-{iteration:06d}-rank-{self._process}.msgpack"

    def _warn(self, iteration: int, what: str, error: Exception) -> None:
        reason = " ".join(str(error).split())
        warnings.warn(
            f"the games in {self._path(iteration)} {what}: {reason}", RuntimeWarning, stacklevel=3
        )


_DECODER = msgspec.msgpack.Decoder(_Stored)


def _generator_state() -> bytes:
    """State of torch's process-wide generator: a generator of replies may draw from it."""
    return bytes(torch.get_rng_state().numpy())
