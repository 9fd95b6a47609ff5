"""Played games on disk until the next checkpoint, so that a killed run need not play again.

A run repeats itself from a checkpoint: the same weights play the same games. What
was played after the checkpoint is therefore as good as what would be played again,
and cost time, and a judge's money. The same holds for the looks at a held-out measure, of
which only the values are kept. One file holds one iteration of one process.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import torch

from omar_trainers.game_plans import PlayedGames
from omar_trainers.metrics import Mean
from omar_trainers.resuming.files import atomic_write

ROLLOUTS_FOLDER = "rollouts"
_FORMAT = 1


class _Stored(msgspec.Struct):
    format: int
    lineage: str
    prompts: list[str]
    games: PlayedGames
    generator_state: bytes


class _StoredLook(msgspec.Struct):
    format: int
    lineage: str
    measure: str
    values: dict[str, Mean]
    generator_state: bytes


_Found = TypeVar("_Found", _Stored, _StoredLook)


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
        stored = self._read(self._path(iteration), _DECODER)
        fits = (
            stored is not None
            and stored.lineage == self._lineage
            and stored.prompts == list(prompts)
        )
        if not self._agree(fits) or stored is None:
            return None
        _set_generator_state(stored.generator_state)
        return stored.games

    def keep(self, iteration: int, prompts: Sequence[str], games: PlayedGames) -> None:
        """Write the games of an iteration. A failure costs a warning, not the run."""
        stored = _Stored(_FORMAT, self._lineage, list(prompts), games, _generator_state())
        self._write(self._path(iteration), stored)

    def recall_look(self, iteration: int, measure: str) -> dict[str, Mean] | None:
        """What this process's part of a look gave before, None if there was none.

        Otherwise as :meth:`recall`.

        Args:
            iteration: before which was looked.
            measure: names what was measured, and on how many games.
        """
        stored = self._read(self._look_path(iteration), _LOOK_DECODER)
        fits = stored is not None and stored.lineage == self._lineage and stored.measure == measure
        if not self._agree(fits) or stored is None:
            return None
        _set_generator_state(stored.generator_state)
        return stored.values

    def keep_look(self, iteration: int, measure: str, values: dict[str, Mean]) -> None:
        """Write what this process's part of a look gave. A failure costs a warning."""
        stored = _StoredLook(_FORMAT, self._lineage, measure, values, _generator_state())
        self._write(self._look_path(iteration), stored)

    def forget(self, iteration: int) -> None:
        """Remove this process's games of one iteration."""
        self._path(iteration).unlink(missing_ok=True)

    def discard(self, before: int) -> None:
        """Remove the games and looks of all processes from iterations before ``before``."""
        for path in self._folder.glob("*-*-rank-*.msgpack"):
            number = path.name.split("-")[1]
            if number.isdecimal() and int(number) < before:
                path.unlink(missing_ok=True)
        with suppress(OSError):  # there is none, or it is not empty
            self._folder.rmdir()

    def _read(self, path: Path, decoder: msgspec.msgpack.Decoder[_Found]) -> _Found | None:
        if not path.is_file():
            return None
        try:
            stored = decoder.decode(zlib.decompress(path.read_bytes()))
        except (OSError, zlib.error, ValueError) as error:
            self._warn(path, "cannot be read, and are played again", error)
            return None
        return stored if stored.format == _FORMAT else None

    def _write(self, path: Path, stored: _Stored | _StoredLook) -> None:
        try:
            data = zlib.compress(msgspec.msgpack.encode(stored), level=1)
            with atomic_write(path) as file:
                file.write(data)
        except (OSError, TypeError, ValueError) as error:
            self._warn(path, "could not be kept", error)

    def _path(self, iteration: int) -> Path:
        return self._folder / f"iteration-{iteration:06d}-rank-{self._process}.msgpack"

    def _look_path(self, iteration: int) -> Path:
        return self._folder / f"look-{iteration:06d}-rank-{self._process}.msgpack"

    def _warn(self, path: Path, what: str, error: Exception) -> None:
        reason = " ".join(str(error).split())
        warnings.warn(f"the games in {path} {what}: {reason}", RuntimeWarning, stacklevel=4)


_DECODER = msgspec.msgpack.Decoder(_Stored)
_LOOK_DECODER = msgspec.msgpack.Decoder(_StoredLook)


def _generator_state() -> bytes:
    """State of torch's process-wide generator: a generator of replies may draw from it."""
    return bytes(torch.get_rng_state().numpy())


def _set_generator_state(state: bytes) -> None:
    torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))
