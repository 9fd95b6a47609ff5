"""Where an export goes: a file or a folder, which is there as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from omar_envs.errors import ConfigError, EpisodeError
from omar_envs.export.rows import Row
from omar_envs.export.splits import SPLITS, TRAIN
from omar_envs.transcript import StrPath

CARD = "README.md"
_FILE_ENDINGS = (".jsonl", ".json")
_MARK = "omar-envs export of "
_FOLDER_MARK = f"<!-- {_MARK}this folder -->"
_IN_FOLDER = {CARD, "dataset_dict.json", *SPLITS, *(f"{split}.jsonl" for split in SPLITS)}

# Line breaks that JSON leaves as they are, and that readers of lines may break at.
_LINE_BREAKS = re.compile(rb"\xe2\x80\xa8|\xe2\x80\xa9|\xc2\x85")
_ESCAPES = {b"\xe2\x80\xa8": b"\\u2028", b"\xe2\x80\xa9": b"\\u2029", b"\xc2\x85": b"\\u0085"}


class Target:
    """A place to export to, found fit before any work is done.

    A name that ends in ``.jsonl`` or ``.json`` is a file; its card is ``README.md`` beside
    it, or ``NAME.README.md`` where another ``README.md`` lies there. Any other is a folder
    of its own, with one file per split and the card.

    Args:
        out: the file or folder; the folder around it must exist.
        overwrite: replace a file, or a folder that an earlier export made.

    Raises:
        ConfigError: it exists and may not be replaced, or the folder around it does not.
    """

    def __init__(self, out: StrPath, overwrite: bool) -> None:
        self.path = Path(out)
        self.is_file = self.path.suffix in _FILE_ENDINGS
        if not self.path.parent.is_dir():
            raise ConfigError(f"there is no folder {self.path.parent}: make it first")
        if self.is_file:
            _check_file(self.path, overwrite)
        else:
            _check_folder(self.path, overwrite)

    def check_apart(self, sources: Iterable[StrPath]) -> None:
        """Whether what is exported would outlive the export.

        Raises:
            ConfigError: one of ``sources`` would be replaced.
        """
        here = self.path.resolve()
        for source in sources:
            if Path(source).resolve().is_relative_to(here):
                raise ConfigError(f"{source} would be replaced by its own export: name another out")

    @property
    def card(self) -> Path:
        """Where the card goes."""
        if not self.is_file:
            return self.path / CARD
        beside = self.path.with_name(CARD)
        if not beside.exists() or self.mark in _beginning(beside):
            return beside
        return self.path.with_name(f"{self.path.name}.{CARD}")

    @property
    def mark(self) -> str:
        """By which a card is known to be this export's."""
        return f"<!-- {_MARK}{self.path.name} -->" if self.is_file else _FOLDER_MARK

    def publish(self, staging: Path, card: str) -> None:
        """Put what was made in its place, with its card.

        Args:
            staging: a folder beside the target, with all that the export is.
            card: text of the card.

        Raises:
            EpisodeError: it cannot be written.
        """
        try:
            if self.is_file:
                os.replace(staging / f"{TRAIN}.jsonl", self.path)
                self.card.write_text(card, encoding="utf-8")
                return
            (staging / CARD).write_text(card, encoding="utf-8")
            old = staging.with_suffix(".old")
            if self.path.exists():
                os.replace(self.path, old)
            os.replace(staging, self.path)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise EpisodeError(
                f"{self.path} cannot be written: {error.strerror or error}."
            ) from error

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder beside the target to work in, gone afterwards."""
        folder = self.path.with_name(f".{self.path.name[:100]}.{secrets.token_hex(4)}.tmp")
        try:
            folder.mkdir()
            yield folder
        except OSError as error:
            raise EpisodeError(
                f"{self.path} cannot be written: {error.strerror or error}."
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class LineWriter:
    """Rows as lines of JSON, one file per split, each made with its first row."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}

    def write(self, split: str, row: Row) -> None:
        """Add a row to a split."""
        if split not in self._files:
            self._files[split] = open(self._folder / f"{split}.jsonl", "wb")  # noqa: SIM115
        self._files[split].write(line_of(row))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()


def line_of(row: Row) -> bytes:
    """A row as one line of UTF-8, whatever its reader takes for a line break."""
    line = msgspec.json.encode(row)
    return _LINE_BREAKS.sub(lambda found: _ESCAPES[found.group()], line) + b"\n"


def _check_file(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name a file, or a folder without that ending")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists: name another file, or overwrite it (--overwrite)")


def _check_folder(path: Path, overwrite: bool) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise ConfigError(f"{path} exists and is no folder: name another")
    if not any(path.iterdir()):
        return
    if not overwrite:
        raise ConfigError(f"{path} exists: name another folder, or overwrite it (--overwrite)")
    others = sorted({entry.name for entry in path.iterdir()} - _IN_FOLDER)
    if others or _FOLDER_MARK not in _beginning(path / CARD):
        what = f"it holds {others[0]}" if others else f"it has no {CARD} that says so"
        raise ConfigError(
            f"{path} is not replaced: it is not an earlier export and nothing else ({what}). "
            "Name another folder"
        )


def _beginning(path: Path) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(20_000)
    except OSError:
        return ""
