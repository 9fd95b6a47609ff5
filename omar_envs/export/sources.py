"""Where episodes come from: files that are read line by line, or a list."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from omar_envs.errors import ConfigError, EpisodeError
from omar_envs.transcript import StrPath, decode, episode_files, iter_episodes
from omar_envs.types import Episode

Episodes = StrPath | Iterable[StrPath] | Iterable[Episode]
"""What can be exported: a file, several files, a folder of them, or episodes themselves."""


class Source(Protocol):
    """Episodes that can be gone through again and again."""

    def __iter__(self) -> Iterator[Episode]:
        """In order, from the first."""
        ...

    def __len__(self) -> int:
        """How many there are."""
        ...

    def at(self, number: int) -> Episode:
        """The episode with this number, from 0, once all have been gone through."""
        ...

    def where(self, number: int) -> str:
        """What error messages call it."""
        ...

    def files(self) -> tuple[Path, ...]:
        """The files; none for a list."""
        ...


class InMemory:
    """A list of episodes."""

    def __init__(self, episodes: Sequence[Episode]) -> None:
        self._episodes = episodes

    def __iter__(self) -> Iterator[Episode]:
        return iter(self._episodes)

    def __len__(self) -> int:
        return len(self._episodes)

    def at(self, number: int) -> Episode:
        """As :meth:`Source.at`."""
        return self._episodes[number]

    def where(self, number: int) -> str:
        """As :meth:`Source.where`."""
        return f"episode {number + 1}"

    def files(self) -> tuple[Path, ...]:
        """None."""
        return ()


class Files:
    """Episodes in files, of which one is held at a time.

    Args:
        paths: JSON lines; a folder stands for those in it and below
            (:func:`omar_envs.transcript.episode_files`).

    Raises:
        ConfigError: there is no file, the same one twice, no episode in them, or a pipe,
            which cannot be gone through again.
        EpisodeError: a file cannot be read.
    """

    def __init__(self, paths: Iterable[StrPath]) -> None:
        self._paths = [file for path in paths for file in episode_files(path)]
        if not self._paths:
            raise ConfigError("name at least one file of episodes, or a folder with some")
        seen: set[Path] = set()
        for path in self._paths:
            real = path.resolve()
            if real in seen:
                raise ConfigError(f"{path} is named twice: its games would be exported twice")
            seen.add(real)
            if path.exists() and not path.is_file():
                raise ConfigError(
                    f"{path} is no file that can be read more than once: write the episodes to one"
                )
        # Of every episode: number of its file, and where its line begins there.
        self._places = [
            (number, start)
            for number, path in enumerate(self._paths)
            for start in _line_starts(path)
        ]
        if not self._places:
            raise ConfigError(f"no episode in {', '.join(map(str, self._paths))}")

    def __iter__(self) -> Iterator[Episode]:
        for path in self._paths:
            yield from iter_episodes(path)

    def __len__(self) -> int:
        return len(self._places)

    def at(self, number: int) -> Episode:
        """As :meth:`Source.at`."""
        file, start = self._places[number]
        with open(self._paths[file], "rb") as lines:
            lines.seek(start)
            return decode(lines.readline(), self.where(number))

    def where(self, number: int) -> str:
        """As :meth:`Source.where`."""
        file, _ = self._places[number]
        first = next(i for i, (other, _) in enumerate(self._places) if other == file)
        return f"{os.fspath(self._paths[file])}, line {number - first + 1}"

    def files(self) -> tuple[Path, ...]:
        """As :meth:`Source.files`."""
        return tuple(self._paths)


def source_of(episodes: Episodes) -> Source:
    """Episodes as what can be gone through again.

    Raises:
        ConfigError: there is nothing, or a mixture of files and episodes.
        EpisodeError: a file cannot be read.
    """
    if isinstance(episodes, Files):
        return episodes
    if isinstance(episodes, str | os.PathLike):
        return Files([episodes])
    items = list(episodes)
    paths = [item for item in items if isinstance(item, str | os.PathLike)]
    recorded = [item for item in items if isinstance(item, Episode)]
    if len(paths) == len(items) and items:
        return Files(paths)
    if len(recorded) < len(items):
        raise ConfigError("give either files or episodes, and nothing else")
    if not recorded:
        raise ConfigError("there is no episode to export")
    return InMemory(recorded)


def _line_starts(path: Path) -> Iterator[int]:
    """Where each line begins that is not empty."""
    start = 0
    try:
        with open(path, "rb") as lines:
            for line in lines:
                if line.strip():
                    yield start
                start += len(line)
    except OSError as error:
        raise EpisodeError(f"{path} cannot be read: {error.strerror or error}.") from None
