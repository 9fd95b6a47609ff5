"""Whole episodes as rows of typed columns, and back, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from omar_envs.errors import DamagedEpisodeError
from omar_envs.export.rows import Row
from omar_envs.transcript import decode, encode
from omar_envs.types import Episode

_ENCODER = msgspec.json.Encoder(order="deterministic")

_AS_JSON = ("config", "rewards", "outcome")
"""What has other keys in every game, and so stands in its column as JSON."""


def episode_row(episode: Episode) -> Row:
    """One episode; :func:`episodes_from_rows` makes it again.

    Raises:
        EpisodeError: it contradicts itself, or holds what JSON cannot carry.
    """
    row: Row = msgspec.json.decode(encode(episode))
    for name in _AS_JSON:
        row[name] = _json(row[name])
    for turn in row["turns"]:
        turn["reward_components"] = _json(turn["reward_components"])
    return row


def episodes_from_rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[Episode]:
    """Episodes again from rows of ``episodes``: a ``datasets.Dataset``, one of its splits.

    Raises:
        DamagedEpisodeError: a row is none, or was changed so that it contradicts itself.
        SchemaVersionError: a newer version of this package wrote it.
    """
    for number, row in enumerate(rows, start=1):
        where = f"row {number}"
        try:
            whole = {name: row[name] for name in Episode.__struct_fields__}
            parsed = {name: msgspec.json.decode(whole[name]) for name in _AS_JSON}
            turns = [
                {**turn, "reward_components": msgspec.json.decode(turn["reward_components"])}
                for turn in whole["turns"]
            ]
        except KeyError as error:
            raise DamagedEpisodeError(
                f"{where} is no episode: it has no {error}. Rows of `episodes` are needed."
            ) from None
        except (TypeError, ValueError) as error:
            raise DamagedEpisodeError(f"{where} is no episode: {error}.") from None
        yield decode(_ENCODER.encode({**whole, **parsed, "turns": turns}), where)


def _json(value: object) -> str:
    return _ENCODER.encode(value).decode()
