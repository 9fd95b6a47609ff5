"""Judgements as JSON lines: appended as they come, so that a stopped run can go on."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from omar_envs.errors import EpisodeError
from omar_envs.judge.results import Judgement
from omar_envs.types import JudgeResult


class JudgedEpisode(msgspec.Struct, frozen=True):
    """One line.

    Attributes:
        index: the episode's number in its file, from 0.
        episode: SHA-256 of the episode's own line, in hex.
        setup: everything about the judge that its scores depend on, in words.
        result: the judgement.
        parts: what it was made of, if of more than one.
    """

    index: int
    episode: str
    setup: str
    result: JudgeResult
    parts: tuple[JudgeResult, ...] = ()

    @property
    def judgement(self) -> Judgement:
        """Result and parts as the judge gave them."""
        return Judgement(self.result, self.parts or (self.result,))


_DECODER = msgspec.json.Decoder(JudgedEpisode)
_ENCODER = msgspec.json.Encoder()
_BEGINNING = b'{"index":'


def read_judged(path: str | os.PathLike[str]) -> list[JudgedEpisode]:
    """The whole lines of a file, in order; none if there is no file.

    A last line without its end, whose writer was stopped, is left out.

    Raises:
        EpisodeError: the file cannot be read, or holds what is no judgement.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EpisodeError(f"{path} cannot be read: {error.strerror or error}.") from None
    whole, end, rest = data.rpartition(b"\n")
    lines = whole.split(b"\n") if end else []
    # What nobody can read is somebody's file, not a judgement cut short.
    if rest and not (rest.startswith(_BEGINNING) or _BEGINNING.startswith(rest)):
        lines.append(rest)
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(_DECODER.decode(line))
        except ValueError as error:
            raise EpisodeError(
                f"{path}, line {number} is no judgement: {error}. Name another file."
            ) from None
    return found


class JudgedWriter:
    """Appends judgements to a file; each is in the file before ``write`` returns.

    A last line without its end is cut off first.

    Raises:
        EpisodeError: the file cannot be opened, or holds what is no judgement.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        read_judged(path)
        try:
            with open(path, "ab") as file:
                file.truncate(_whole_bytes(self.path))
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def write(self, line: JudgedEpisode) -> None:
        """Append one judgement.

        Raises:
            EpisodeError: the disk does not take it.
        """
        try:
            self._file.write(_ENCODER.encode(line) + b"\n")
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def close(self) -> None:
        """Close the file; closing it again does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _whole_bytes(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1


def _unwritable(path: Path, error: OSError) -> EpisodeError:
    return EpisodeError(f"{path} cannot be written: {error.strerror or error}.")
