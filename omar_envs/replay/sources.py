"""Files and folders to episodes, with what lies beside them.

Beside ``games.jsonl`` may lie ``games.tokens.jsonl`` (:mod:`omar_envs.replay.token_data`)
and ``games.judged.jsonl`` (what ``omar-envs judge`` writes); both are found by their names.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from omar_envs.errors import ConfigError, EpisodeError
from omar_envs.judge.saved import JudgedEpisode, read_judged
from omar_envs.replay.token_data import EpisodeTokens, read_token_data
from omar_envs.transcript import (
    JUDGED_SUFFIX,
    TOKEN_DATA_SUFFIX,
    StrPath,
    episode_files,
    iter_episodes,
)
from omar_envs.types import Episode


class ForReplay(NamedTuple):
    """Attributes:
    episodes: in the order of the files, and of the lines in each.
    token_data, judgements: all that lay beside the files.
    files: where the episodes are from.
    beside: where the token data and the judgements are from.
    """

    episodes: list[Episode]
    token_data: list[EpisodeTokens]
    judgements: list[JudgedEpisode]
    files: list[Path]
    beside: list[Path]

    def check_spared(self, target: StrPath) -> None:
        """Hold a file that is to be written against those that were read.

        Raises:
            ConfigError: it is one of them, by whatever path.
        """
        target = Path(target)
        if any(target.exists() and target.samefile(file) for file in (*self.files, *self.beside)):
            raise ConfigError(
                f"{target} is what the page is made of, and would be lost: name another file"
            )


def read_for_replay(
    paths: Iterable[StrPath],
    *,
    tokens: Iterable[StrPath] = (),
    judged: Iterable[StrPath] = (),
) -> ForReplay:
    """Read episodes from files, and from folders.

    Args:
        paths: files of episodes as JSON lines, and folders: of those every such file in
            them and below, by name. Files with other JSON lines, as a training run's
            folder has them, are passed over there.
        tokens, judged: files of token data and of judgements that lie elsewhere.

    Raises:
        EpisodeError: a file cannot be read or is damaged, or a folder holds no episodes.
    """
    named = [Path(path) for path in judged]
    for path in named:
        if not path.exists():
            raise EpisodeError(f"{path} cannot be read: there is no such file.")
    found = list(dict.fromkeys(file for path in paths for file in episode_files(path)))
    with_tokens = [*_existing(found, TOKEN_DATA_SUFFIX), *map(Path, tokens)]
    with_judgements = [*_existing(found, JUDGED_SUFFIX), *named]
    return ForReplay(
        episodes=[episode for file in found for episode in iter_episodes(file)],
        token_data=[item for file in with_tokens for item in read_token_data(file)],
        judgements=[line for file in with_judgements for line in read_judged(file)],
        files=found,
        beside=[*with_tokens, *with_judgements],
    )


def _existing(files: Iterable[Path], suffix: str) -> list[Path]:
    beside = (file.with_name(file.name.removesuffix(".jsonl") + suffix) for file in files)
    return [file for file in beside if file.exists()]
