"""Unfinished games on disk: all that it takes to go on with one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from omar_envs.errors import ConfigError, EpisodeError
from omar_envs.transcript import replace_file

ENDING = ".unfinished.json"
"""What names of saved games end with."""


class GivenReply(msgspec.Struct, frozen=True):
    """A reply that the game has taken, and the agent that gave it."""

    agent: str
    text: str


class SavedGame(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A game that a person plays, up to the last act.

    Replaying ``replies`` on ``seed`` gives the game as it stood. They come in whole
    groups: all of the environment's ``acting`` at once, in that order.

    Attributes:
        kind: says what the file is.
        version: of this layout.
        env: environment name, ``"werewolf_v0"``.
        config: constructor arguments that make the same environment again.
        seed: the ``reset`` seed.
        agent: the person's seat.
        opponents: the policy in all other seats, by its name on the command line.
        policy_seed: of that policy's own generator.
        temperature, temperature_choose: of a model's sampling; None is as it was trained.
        out: where the episode goes, an absolute path.
        overwrite: whether a file there may be replaced.
        again: words of the command that plays the same game from the beginning.
        replies: in the order in which they were taken.
        answer: what the person has replied in the running stage, where others are
            still to reply; None where the person is to be asked.
    """

    kind: Literal["omar-envs unfinished game"] = "omar-envs unfinished game"
    version: Literal[1] = 1
    env: str
    config: dict[str, Any]
    seed: int
    agent: str
    opponents: str
    policy_seed: int
    temperature: float | None = None
    temperature_choose: float | None = None
    out: str
    overwrite: bool = False
    again: tuple[str, ...] = ()
    replies: tuple[GivenReply, ...] = ()
    answer: str | None = None


def games_folder() -> Path:
    """Where games are kept unless told otherwise: ``omar-envs/games`` in
    ``$XDG_STATE_HOME``, by default ``~/.local/state``. Made where it is missing.

    Raises:
        ConfigError: it cannot be made.
    """
    told = os.environ.get("XDG_STATE_HOME", "")
    try:
        state = Path(told) if Path(told).is_absolute() else Path.home() / ".local" / "state"
        folder = state / "omar-envs" / "games"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"there is nowhere to keep the game ({error}): "
            "set XDG_STATE_HOME to a folder that can be written"
        ) from None
    return folder


def newest(folder: Path, envs: Sequence[str]) -> Path:
    """The saved game that was played last, of those of ``envs``.

    Args:
        folder: where they lie.
        envs: environment names, as ``Episode.env`` has them.

    Raises:
        ConfigError: there is none.
    """
    names = [env.removesuffix("_v0") for env in envs]
    found = [file for file in folder.glob(f"*{ENDING}") if file.name.rsplit("-", 3)[0] in names]
    if not found:
        raise ConfigError(
            f"there is no unfinished game of {' or '.join(names)} in {folder}: "
            "begin one, or name its file"
        )
    return max(found, key=lambda file: (file.stat().st_mtime_ns, file.name))


def write_saved(path: Path, game: SavedGame) -> None:
    """Write it whole or not at all.

    Raises:
        EpisodeError: the file cannot be written.
    """
    replace_file(path, [msgspec.json.encode(game), b"\n"])


def command_to_go_on(path: Path) -> str:
    """What to type to go on with the game in ``path``."""
    return shlex.join(["omar-envs", "play", "--resume", str(path)])


def read_saved(path: Path) -> SavedGame:
    """Read a saved game.

    Raises:
        EpisodeError: it cannot be read, or is none.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=SavedGame)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EpisodeError(f"{path} cannot be read: {reason}. Check the path.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EpisodeError(
            f"{path} is no unfinished game of this version of omar-envs ({error}): "
            "name a file that `omar-envs play` has said"
        ) from None
