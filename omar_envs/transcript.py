"""Episodes as JSON lines: one episode a line, UTF-8, in a file of any length.

What is written here reads back equal, except that tuples inside ``config`` and
``outcome`` come back as lists. The same episode always gives the same bytes.
Every line is checked on its way out and on its way in, so that a reader may
rely on what :class:`~omar_envs.types.Episode` promises.

Other forms than this one are in :mod:`omar_envs.export`; its names can be had from here.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgspec

from omar_envs.errors import DamagedEpisodeError, EpisodeError, SchemaVersionError
from omar_envs.types import MODERATOR, SCHEMA_VERSION, Episode

StrPath = str | os.PathLike[str]

TOKEN_DATA_SUFFIX = ".tokens.jsonl"
JUDGED_SUFFIX = ".judged.jsonl"
BESIDE_EPISODES = (TOKEN_DATA_SUFFIX, JUDGED_SUFFIX)
"""Endings of what lies beside ``games.jsonl``: token data and judgements of its games."""


class _Header(msgspec.Struct):
    schema_version: int


_ENCODER = msgspec.json.Encoder(order="deterministic")
_HEADER_DECODER = msgspec.json.Decoder(_Header)
_DECODER = msgspec.json.Decoder(Episode)


def encode(episode: Episode) -> bytes:
    """One line of JSON with its line break; equal episodes give equal bytes.

    Raises:
        EpisodeError: the episode contradicts itself, or holds what JSON cannot
            carry (NaN, an infinity, a lone surrogate, an object of another type).
    """
    try:
        if episode.schema_version != SCHEMA_VERSION:
            raise ValueError(
                f"schema_version is {episode.schema_version}; this package writes {SCHEMA_VERSION}"
            )
        _check_plain(episode.config, "config")
        _check_plain(episode.outcome, "outcome")
        _check_plain(episode.rewards, "rewards")
        for number, turn in enumerate(episode.turns):
            _check_plain(turn.reward_components, f"turns[{number}].reward_components")
        line = _ENCODER.encode(episode)
        _check_references(_DECODER.decode(line))
        return line + b"\n"
    except UnicodeEncodeError as error:
        raise EpisodeError(
            "This episode cannot be written: a text holds a lone surrogate "
            f"(U+{ord(error.object[error.start]):04X}). Clean the texts before recording them."
        ) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise EpisodeError(f"This episode cannot be written: {error}.") from error


def decode(line: bytes | str, where: str = "episode") -> Episode:
    """Read one line.

    Args:
        line: one JSON object; white space around it does not matter.
        where: what error messages call the line, ``"games.jsonl, line 3"``.

    Raises:
        SchemaVersionError: a newer version of this package wrote it. This is
            found out before anything else is asked of the line's layout.
        DamagedEpisodeError: it is not JSON, not an episode, or contradicts itself.
    """
    try:
        text = line if isinstance(line, str) else line.decode("utf-8")
        version = _HEADER_DECODER.decode(text).schema_version
        if version > SCHEMA_VERSION:
            raise SchemaVersionError(
                f"{where}: written with schema version {version}; this omar-envs reads up to "
                f"version {SCHEMA_VERSION}. Upgrade omar-envs to read it."
            )
        if version < 1:
            raise ValueError(f"schema_version is {version}; versions start at 1")
        episode = _DECODER.decode(text)
        _check_references(episode)
    except UnicodeDecodeError as error:
        raise DamagedEpisodeError(
            f"{where}: not UTF-8 (byte 0x{error.object[error.start]:02x} at {error.start})."
        ) from None
    except UnicodeEncodeError as error:
        raise DamagedEpisodeError(f"{where}: a lone surrogate at {error.start}.") from None
    except RecursionError:
        raise DamagedEpisodeError(f"{where}: nested too deeply to be an episode.") from None
    except SchemaVersionError:
        raise
    except ValueError as error:
        raise DamagedEpisodeError(f"{where}: {error}.") from None
    return episode


def iter_episodes(path: StrPath) -> Iterator[Episode]:
    """Read a file line by line, holding one episode at a time.

    Empty lines at the end are fine. A file with no episode in it yields none.

    Raises:
        EpisodeError: the file cannot be opened (when the first one is asked for).
        DamagedEpisodeError, SchemaVersionError: as :func:`decode`, naming file and line.
    """
    with _open_to_read(path) as file:
        empty = 0
        for number, line in enumerate(file, start=1):
            where = f"{os.fspath(path)}, line {number}"
            if not line.strip():
                empty = empty or number
                continue
            if empty:
                raise DamagedEpisodeError(
                    f"{os.fspath(path)}, line {empty}: empty, with more lines after it. "
                    "If nothing is missing there, delete the empty line."
                )
            try:
                yield decode(line, where)
            except DamagedEpisodeError as error:
                if line.endswith(b"\n"):
                    raise
                raise DamagedEpisodeError(
                    f"{error} The line has no end: its writer was probably stopped while "
                    "writing it. Delete this last line to use the ones before it."
                ) from None


def episode_files(path: StrPath) -> list[Path]:
    """The files of episodes that a path stands for: itself, or those in a folder and below.

    Of a folder's files those count whose first line is an episode's, or a damaged one's, so
    that its error is not passed over. Other JSON lines, as arenas and training runs leave
    them, and what lies beside episodes (:data:`BESIDE_EPISODES`) are left out.

    Raises:
        EpisodeError: a folder holds no episodes, or one of its files cannot be read.
    """
    folder = Path(path)
    if not folder.is_dir():
        return [folder]
    lines = (file for file in sorted(folder.rglob("*.jsonl")) if file.is_file())
    found = [file for file in lines if _holds_episodes(file)]
    if not found:
        raise EpisodeError(f"There are no episodes in {folder}, nor in the folders below it.")
    return found


def read_episodes(path: StrPath) -> list[Episode]:
    """Read a whole file; raises as :func:`iter_episodes` does."""
    return list(iter_episodes(path))


def write_episodes(path: StrPath, episodes: Iterable[Episode]) -> None:
    """Write a whole file, or none of it: an old file stays until the new one is complete.

    Raises:
        EpisodeError: an episode cannot be encoded (the message counts from 1), or
            the file cannot be written.
    """
    replace_file(path, _numbered_lines(episodes))


class EpisodeWriter:
    """Appends episodes to a file, each one whole and on disk before ``write`` returns.

    ::

        with EpisodeWriter("games.jsonl") as writer:
            for episode in episodes:
                writer.write(episode)

    The file is made where there is none, and continued where there is one, unless
    its last line is damaged: that is for its owner to look at. A ``write`` that
    fails half-way (a full disk) takes back what it had written.

    Raises:
        EpisodeError: the file cannot be opened.
        DamagedEpisodeError, SchemaVersionError: its last line has no end, and is
            not an episode.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        _check_target(self.path)
        needs_line_break = self.path.exists() and self._last_line_is_open()
        try:
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise _file_error(self.path, "written", error) from error
        if needs_line_break:
            self._append(b"\n")

    def write(self, episode: Episode) -> None:
        """Append one episode.

        Raises:
            EpisodeError: it cannot be encoded, or the disk does not take it. The
                file is as it was before.
            ValueError: the writer is closed.
        """
        if self._file.closed:
            raise ValueError(f"The writer of {self.path} is closed.")
        self._append(encode(episode))

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

    def _append(self, data: bytes) -> None:
        start = os.fstat(self._file.fileno()).st_size
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._file.truncate(start)
            raise _file_error(self.path, "written", error) from error

    def _last_line_is_open(self) -> bool:
        last = b""
        number = 0
        with _open_to_read(self.path) as file:
            for number, last in enumerate(file, start=1):  # noqa: B007
                pass
        if not last or last.endswith(b"\n"):
            return False
        try:
            decode(last, f"{self.path}, line {number}")
        except DamagedEpisodeError as error:
            raise DamagedEpisodeError(
                f"{error} An earlier writer was probably stopped while writing it. "
                "Delete this last line to append to the file."
            ) from None
        return True


def replace_file(path: StrPath, chunks: Iterable[bytes]) -> None:
    """Write a file beside its place and rename it into place when it is complete.

    Raises:
        EpisodeError: the file cannot be written. What ``chunks`` raises passes through.
    """
    target = Path(os.path.realpath(path))
    _check_target(target)
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise _file_error(target, "written", error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _numbered_lines(episodes: Iterable[Episode]) -> Iterator[bytes]:
    for number, episode in enumerate(episodes, start=1):
        try:
            line = encode(episode)
        except EpisodeError as error:
            raise EpisodeError(f"Episode {number}: {error}") from error
        yield line


def _holds_episodes(file: Path) -> bool:
    if file.name.endswith(BESIDE_EPISODES):
        return False
    with _open_to_read(file) as opened:
        first = next((line for line in opened if line.strip()), b"")
    try:
        _HEADER_DECODER.decode(first)
    except msgspec.ValidationError:
        return False
    except (msgspec.DecodeError, RecursionError):
        return b'"schema_version"' in first
    return True


def _open_to_read(path: StrPath) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise _file_error(path, "read", error) from error


def _check_target(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise EpisodeError(f"{path} cannot be written: it is not a regular file. Name another.")
    if not path.parent.is_dir():
        raise EpisodeError(
            f"{path} cannot be written: there is no folder {path.parent}. Make it first."
        )


def _file_error(path: StrPath, verb: str, error: OSError) -> EpisodeError:
    reason = error.strerror or str(error)
    hint = " Check the path." if isinstance(error, FileNotFoundError) else ""
    return EpisodeError(f"{os.fspath(path)} cannot be {verb}: {reason}.{hint}")


def _check_plain(value: object, where: str) -> None:
    """JSON has no NaN and no infinity, and msgspec would write null for them."""
    match value:
        case None | bool() | int() | str():
            return
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{where} is {value}, which JSON cannot carry")
        case list() | tuple():
            for index, item in enumerate(value):
                _check_plain(item, f"{where}[{index}]")
        case Mapping():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise ValueError(f"{where} has the key {key!r}; keys are text")
                _check_plain(item, f"{where}[{key!r}]")
        case _:
            raise ValueError(f"{where} is a {type(value).__name__}, not a plain JSON type")


def _check_references(episode: Episode) -> None:
    """Whoever and whatever the parts of an episode name must exist in it."""
    agents = {seat.agent for seat in episode.seats}
    stages = {stage.turn for stage in episode.stages}
    if len(agents) != len(episode.seats):
        raise ValueError("two seats have the same agent")
    if MODERATOR in agents:
        raise ValueError(f"a seat's agent is {MODERATOR!r}, which is the game itself")
    if len(stages) != len(episode.stages):
        raise ValueError("two stages have the same turn")
    for number, message in enumerate(episode.messages):
        where = f"messages[{number}]"
        if message.turn not in stages:
            raise ValueError(f"{where} is of turn {message.turn}, which is no stage")
        if message.sender not in agents and message.sender != MODERATOR:
            raise ValueError(f"{where} is from {message.sender!r}, who has no seat")
        for agent in message.audience or ():
            if agent not in agents:
                raise ValueError(f"{where} is for {agent!r}, who has no seat")
    for number, turn in enumerate(episode.turns):
        if turn.turn not in stages:
            raise ValueError(f"turns[{number}] is of turn {turn.turn}, which is no stage")
        if turn.agent not in agents:
            raise ValueError(f"turns[{number}] is of {turn.agent!r}, who has no seat")
    if set(episode.rewards) != agents:
        raise ValueError("rewards are not for exactly the agents that have a seat")
    if episode.terminated == episode.truncated:
        raise ValueError("exactly one of terminated and truncated must be true")


def __getattr__(name: str) -> Any:
    # Later than at import: the export replays games, and so imports the environments.
    from omar_envs import export

    if name in export.__all__:
        return vars(export)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
