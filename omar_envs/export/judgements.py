"""Judgements that were made afterwards, as the component ``judge`` of the rewards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from omar_envs.errors import ConfigError, EpisodeError
from omar_envs.judge.saved import read_judged
from omar_envs.judging import JUDGE, reward_of
from omar_envs.transcript import StrPath, encode
from omar_envs.types import Episode, JudgeResult

_Rewards = Mapping[str, float] | None


class Judgements:
    """What ``omar-envs judge`` wrote, by episode.

    Args:
        paths: its files.

    Raises:
        ConfigError: there is no judgement in them, or an episode was judged by two set-ups.
        EpisodeError: a file cannot be read.
    """

    def __init__(self, paths: Iterable[StrPath]) -> None:
        self._rewards: dict[str, _Rewards] = {}
        setups: dict[str, str] = {}
        for path in paths:
            for line in read_judged(path):
                if setups.setdefault(line.episode, line.setup) != line.setup:
                    raise ConfigError(
                        f"{path}, episode {line.index + 1} was judged by two set-ups: "
                        f"{setups[line.episode]}; and {line.setup}. Give the judgements of one"
                    )
                self._rewards[line.episode] = _rewards(line.result)
        if not self._rewards:
            raise ConfigError("the files of judgements hold none: make them with `omar-envs judge`")
        self._used = 0

    def applied(self, episode: Episode) -> Episode:
        """The episode with what its judgement pays; None where it failed, or there is none.

        Raises:
            EpisodeError: the judgement leaves out a seat.
        """
        name = hashlib.sha256(encode(episode)).hexdigest()
        self._used += name in self._rewards
        found = self._rewards.get(name)
        weight = float(episode.config.get("judge_weight", 1.0))
        try:
            rewards = {
                agent: {**parts, JUDGE: None if found is None else weight * found[agent]}
                for agent, parts in episode.rewards.items()
            }
        except KeyError as error:
            raise EpisodeError(f"the judgement of the episode leaves out {error}") from None
        return msgspec.structs.replace(episode, rewards=rewards)

    def check(self) -> None:
        """Refuse judgements of other episodes.

        Raises:
            ConfigError: none was of an episode that :meth:`applied` was given.
        """
        if not self._used:
            raise ConfigError(
                "none of the judgements is of one of these episodes: give the file that was judged"
            )


def _rewards(result: JudgeResult) -> _Rewards:
    if result.status != "ok":
        return None
    return {agent: reward_of(result, agent) for agent in result.scores or {}}
