"""A run's folder: every finished game is on disk at once, so that a killed run can go on.

=====================  ===============================================================
``run.json``           what was asked for; the same command goes on
``episodes.jsonl``     the finished games, for `omar-envs replay`, `measure`, `judge`
``usage.jsonl``        what endpoints were asked so far, session by session
``judged-NAME.jsonl``  judgements by one rubric
``result.json``        what came of it all
=====================  ===============================================================
"""

from __future__ import annotations

import json
import os
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from omar_envs.arena.comparison import Played
from omar_envs.arena.schedule import Plan
from omar_envs.errors import ConfigError, EpisodeError
from omar_envs.metering import Usage
from omar_envs.transcript import EpisodeWriter, read_episodes, replace_file, write_episodes
from omar_envs.types import Episode

RUN = "run.json"
EPISODES = "episodes.jsonl"
USAGE = "usage.jsonl"
RESULT = "result.json"

_MAY_GROW = "games"


class _Spent(msgspec.Struct, frozen=True):
    """One line: what an entrant had asked for in one session."""

    session: str
    name: str
    usage: Usage


class RunFolder:
    """Opens the folder of a run, new or begun.

    Args:
        path: made where it is not there.
        asked: all that the games depend on, in plain JSON types. ``games`` may grow from
            one session to the next; all else must stay.

    Raises:
        ConfigError: the folder holds a run that was asked for otherwise, or other things.
        EpisodeError: a file in it cannot be read or written.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any]) -> None:
        self.path = path
        plain: dict[str, Any] = json.loads(json.dumps(dict(asked)))
        try:
            path.mkdir(parents=True, exist_ok=True)
            known = _read_run(path)
        except OSError as error:
            raise ConfigError(f"{path} cannot be used: {error.strerror or error}") from None
        if known is None and not all(map(_is_left_over, path.iterdir())):
            raise ConfigError(
                f"{path} holds other files and no run of the arena: name a new folder"
            )
        if known is not None:
            _check_same(path, known, plain)
        if plain != known:
            replace_file(path / RUN, [json.dumps(plain, indent=2).encode("utf-8"), b"\n"])
        _cut_half_line(path / EPISODES)
        _cut_half_line(path / USAGE)
        self._writer: EpisodeWriter | None = None
        self._session = secrets.token_hex(4)
        self._told: dict[str, Usage] = {}

    def finished(self, plans: Iterable[Plan], names: list[str]) -> dict[int, Episode]:
        """Number of the plan to its finished game.

        Raises:
            EpisodeError: the file of episodes is damaged, or has a game that is not planned.
        """
        file = self.path / EPISODES
        if not file.exists():
            return {}
        waiting: dict[tuple[int, tuple[str, ...]], list[int]] = defaultdict(list)
        for number, plan in enumerate(plans):
            waiting[plan.deal.seed, tuple(names[e] for e in plan.seating)].append(number)
        found = {}
        for line, episode in enumerate(read_episodes(file), start=1):
            numbers = waiting[episode.seed, tuple(seat.policy for seat in episode.seats)]
            if not numbers:
                raise EpisodeError(
                    f"{file}, line {line}: a game that this run does not play, or plays no "
                    "more often. Name a new folder."
                )
            found[numbers.pop(0)] = episode
        return found

    def keep(self, episode: Episode) -> None:
        """Append a finished game; it is in the file when this returns."""
        if self._writer is None:
            self._writer = EpisodeWriter(self.path / EPISODES)
        self._writer.write(episode)

    def keep_usage(self, usage: Mapping[str, Usage]) -> None:
        """Append what changed of this session's usage."""
        lines = [
            msgspec.json.encode(_Spent(self._session, name, used)) + b"\n"
            for name, used in usage.items()
            if used.requests and used != self._told.get(name)
        ]
        self._told = dict(usage)
        if lines:
            with open(self.path / USAGE, "ab") as file:
                file.write(b"".join(lines))

    def spent(self) -> dict[str, Usage]:
        """What all sessions so far asked for, by name.

        Raises:
            EpisodeError: the file that counts it is damaged.
        """
        file = self.path / USAGE
        if not file.exists():
            return {}
        last: dict[tuple[str, str], Usage] = {}
        for number, line in enumerate(file.read_bytes().splitlines(), start=1):
            try:
                told = msgspec.json.decode(line, type=_Spent)
            except ValueError as error:
                raise EpisodeError(
                    f"{file}, line {number} is damaged ({error}): delete it to go on without "
                    "what it counts"
                ) from None
            last[told.session, told.name] = told.usage
        found: dict[str, Usage] = {}
        for (_, name), usage in last.items():
            found[name] = added(found[name], usage) if name in found else usage
        return found

    def close(self, games: Iterable[Played] = ()) -> None:
        """Close the file of episodes; of a complete run, write it again in the plans' order."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        episodes = [game.episode for game in games]
        if episodes:
            write_episodes(self.path / EPISODES, episodes)


def added(first: Usage, second: Usage) -> Usage:
    """Two usages together."""
    costs = [usage.cost for usage in (first, second) if usage.cost is not None]
    return Usage(
        requests=first.requests + second.requests,
        failures=first.failures + second.failures,
        cut=first.cut + second.cut,
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        completion_tokens=first.completion_tokens + second.completion_tokens,
        unmetered=first.unmetered + second.unmetered,
        cost=sum(costs) if costs else None,
    )


def _read_run(path: Path) -> dict[str, Any] | None:
    file = path / RUN
    if not file.exists():
        return None
    try:
        known = json.loads(file.read_text("utf-8"))
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise ConfigError(f"{file} is damaged: name a new folder")
    return known


def _is_left_over(path: Path) -> bool:
    """Whether a run that was killed at once had not yet put it in its place."""
    return path.name.startswith(f".{RUN}.") and path.suffix == ".tmp"


def _check_same(path: Path, known: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    differing = [
        f"{name} was {json.dumps(known.get(name))} and is now {json.dumps(asked.get(name))}"
        for name in sorted({*known, *asked})
        if known.get(name) != asked.get(name)
        and not (name == _MAY_GROW and known.get(name, 0) < asked.get(name, 0))
    ]
    if differing:
        raise ConfigError(
            f"{path} holds a run with other settings: {'; '.join(differing)}. Give the same "
            "ones to go on (games alone may grow), or name a new folder"
        )


def _cut_half_line(file: Path) -> None:
    """Whoever wrote it was stopped half-way: that game is played again."""
    if not file.exists():
        return
    data = file.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(file, whole)
