"""Answers on disk, so that no judgement is paid for twice.

One file for each answer, named by what was asked. Files appear whole or not at all,
so that many processes may share a folder; a damaged one counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

import msgspec

from omar_envs.errors import ConfigError

_FORMAT = 2


class Kept(msgspec.Struct, frozen=True):
    """An answer as it came.

    Attributes:
        key: of its request.
        answer: its text.
        date: when it came, ISO 8601.
        digest: SHA-256 of key, answer and date, in hex: what a bit gone bad would break.
    """

    key: str
    answer: str
    date: str
    digest: str


class AnswerCache:
    """A folder of answers.

    Args:
        folder: made if it does not exist.

    Raises:
        ConfigError: it cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cache folder {self.folder}: {error.strerror or error}") from None

    def get(self, key: str) -> Kept | None:
        """The answer, ``None`` if there is none that is whole."""
        try:
            kept = msgspec.json.decode(self._path(key).read_bytes(), type=Kept)
        except (OSError, ValueError):
            return None
        whole = kept.key == key and kept.digest == _digest(key, kept.answer, kept.date)
        return kept if whole else None

    def put(self, key: str, answer: str, date: str) -> None:
        """Keep an answer, in place of what was there.

        Raises:
            OSError: the disk does not take it. What was there before still is.
        """
        path = self._path(key)
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(
                msgspec.json.encode(Kept(key, answer, date, _digest(key, answer, date)))
            )
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def cache_key(name: str, model: str, fields: dict[str, Any], messages: Any, sample: int) -> str:
    """SHA-256, in hex, of all that an answer depends on.

    The rubric's text is the system message. The address is not part of it: a server
    that moves to another port is still the same model. Models that are not, and yet are
    called the same, are told apart by the judge's name.

    Args:
        name: of the judge.
        model: its name at the endpoint.
        fields: of the request's body, without the token limit.
        messages: as they are sent.
        sample: which of several answers to the same question.
    """
    asked = json.dumps([_FORMAT, name, model, fields, messages, sample], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
