"""What a trainer knew of every token that was sampled, beside the episodes: who is credited.

One line of JSON for each episode, in a file that is by convention called as the
episodes' file is, with the ending ``.tokens.jsonl`` in the place of ``.jsonl``. A line
names its episode by the SHA-256 of the episode's own line, so that the two files need
neither the same order nor the same length.

Advantages and values are in the unit of the episode's rewards, before any whitening.
With hierarchical advantages (OMAR, arXiv 2602.03109) an act has an advantage of its
own, A_k, that its tokens share out; see :mod:`omar_trainers.advantages`.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from omar_envs.errors import DamagedEpisodeError, EpisodeError, SchemaVersionError
from omar_envs.transcript import StrPath, encode, replace_file
from omar_envs.types import Episode

TOKEN_DATA_VERSION = 1
"""Version of the layout. It grows with every change that an older reader would misread."""


Amount = float | None
"""A number, or ``None`` where it is unknown or not finite."""


class TurnTokens(msgspec.Struct, frozen=True):
    """The tokens of one act.

    Attributes:
        tokens: text of each token; joined they are the reply as it was sampled, special
            tokens included. A character that is made of several tokens stands at its last.
        advantages: of each token; empty if unknown, else as many as there are tokens.
        values: what the critic said before each token; empty without a critic.
        advantage: of the whole act, A_k; ``None`` where the estimator has none.
        reward: what the act was paid, up to the agent's next one.
        learned: whether the policy was trained on it.
    """

    tokens: tuple[str, ...]
    advantages: tuple[Amount, ...] = ()
    values: tuple[Amount, ...] = ()
    advantage: Amount = None
    reward: Amount = None
    learned: bool = True


class SeatTokens(msgspec.Struct, frozen=True):
    """``turns`` are the agent's acts in order; those at the end that no row holds are left out."""

    agent: str
    turns: tuple[TurnTokens, ...]


class EpisodeTokens(msgspec.Struct, frozen=True):
    """One line.

    Attributes:
        token_data_version: :data:`TOKEN_DATA_VERSION` of the writer.
        episode: of which episode: its :func:`episode_key`.
        estimator: what gave the advantages, ``"hierarchical"``.
        seats: those that tokens are known of, each once.
    """

    token_data_version: int
    episode: str
    estimator: str
    seats: tuple[SeatTokens, ...]


class _Header(msgspec.Struct):
    token_data_version: int


_HEADER = msgspec.json.Decoder(_Header)
_DECODER = msgspec.json.Decoder(EpisodeTokens)
_ENCODER = msgspec.json.Encoder()


def episode_key(episode: Episode) -> str:
    """SHA-256 of the episode's line, in hex: by this, what belongs to it names it.

    Raises:
        EpisodeError: the episode cannot be written.
    """
    return hashlib.sha256(encode(episode)).hexdigest()


def read_token_data(path: StrPath) -> list[EpisodeTokens]:
    """Read a whole file.

    Raises:
        EpisodeError: the file cannot be read.
        DamagedEpisodeError, SchemaVersionError: a line is no token data, or newer than
            this package; both name file and line.
    """
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise EpisodeError(f"{os.fspath(path)} cannot be read: {error.strerror}.") from None
    return [
        _decoded(line, f"{os.fspath(path)}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def write_token_data(path: StrPath, data: Iterable[EpisodeTokens]) -> None:
    """Write a whole file, or none of it.

    Raises:
        EpisodeError: a line contradicts itself, or the file cannot be written.
    """
    replace_file(path, [_encoded(item) for item in data])


def check_token_data(data: EpisodeTokens, episode: Episode) -> None:
    """Hold token data against the episode that they are of.

    Raises:
        EpisodeError: they are of an agent that it does not have, or of acts that it did
            not make.
    """
    acts = Counter(turn.agent for turn in episode.turns)
    known = {seat.agent for seat in episode.seats}
    for seat in data.seats:
        if seat.agent not in known:
            raise EpisodeError(f"There are tokens of {seat.agent!r}, who is not in the episode.")
        if len(seat.turns) > acts[seat.agent]:
            raise EpisodeError(
                f"There are tokens of {len(seat.turns)} acts of {seat.agent}, "
                f"who made {acts[seat.agent]}."
            )


def _decoded(line: bytes, where: str) -> EpisodeTokens:
    try:
        version = _HEADER.decode(line).token_data_version
        if version > TOKEN_DATA_VERSION:
            raise SchemaVersionError(
                f"{where}: written with version {version} of token data; this omar-envs reads up "
                f"to version {TOKEN_DATA_VERSION}. Upgrade omar-envs to read it."
            )
        data = _DECODER.decode(line)
        _check_lengths(data)
    except SchemaVersionError:
        raise
    except (ValueError, RecursionError) as error:
        raise DamagedEpisodeError(f"{where} is no token data: {error}.") from None
    return data


def _encoded(data: EpisodeTokens) -> bytes:
    try:
        _check_lengths(data)
        return _ENCODER.encode(data) + b"\n"
    except (ValueError, TypeError) as error:
        raise EpisodeError(f"These token data cannot be written: {error}.") from error


def _check_lengths(data: EpisodeTokens) -> None:
    agents = [seat.agent for seat in data.seats]
    if len(set(agents)) < len(agents):
        raise ValueError("an agent comes twice")
    for seat in data.seats:
        for number, turn in enumerate(seat.turns):
            for name, amounts in (("advantages", turn.advantages), ("values", turn.values)):
                if len(amounts) not in (0, len(turn.tokens)):
                    raise ValueError(
                        f"act {number} of {seat.agent} has {len(amounts)} {name} "
                        f"for {len(turn.tokens)} tokens"
                    )
