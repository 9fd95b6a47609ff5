"""Recorded episodes as rows of tokens, as a model in their seats would have seen them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from omar_envs.errors import EpisodeError
from omar_envs.playing import PolicyFor, play_games
from omar_envs.policy import Policy
from omar_envs.rollout import make
from omar_envs.types import Episode, Turn, View
from omar_trainers.rows import RowKey, TokenRow
from omar_trainers.sft import RecordingPolicy
from omar_trainers.tokens import ChatTokenizer

BATCH = 64
"""Episodes that are replayed at once."""


def replayed_rows(
    episodes: Sequence[Episode],
    seats: Mapping[int, Collection[str]],
    tokens: ChatTokenizer,
    *,
    max_context: int,
) -> dict[RowKey, TokenRow]:
    """Play recorded replies again, and keep the rows of some seats.

    Args:
        episodes: of environments of this package, from any policy.
        seats: number of an episode to the agents whose rows are wanted.
        tokens: of the model that shall learn.
        max_context: longest row, in tokens; longer ones are closed as truncated, with
            the turns that fit.

    Returns:
        By (number of the episode, agent). A row whose first reply does not fit has
        no tokens.

    Raises:
        ConfigError: an episode's environment or settings are unknown.
        EpisodeError: the recorded acts do not fit the game that seed and settings
            give: the file was edited, or the rules have changed since.
    """
    wanted = sorted(seats)
    rows: dict[RowKey, TokenRow] = {}
    for start in range(0, len(wanted), BATCH):
        numbers = wanted[start : start + BATCH]
        batch = [episodes[number] for number in numbers]
        recorded = _Recorded(batch, numbers)
        recorder = RecordingPolicy(recorded, tokens, max_context=max_context)
        listened = [seats[number] for number in numbers]
        played = play_games(
            [make(episode.env, episode.config) for episode in batch],
            [episode.seed for episode in batch],
            _players(listened, recorded, recorder),
        )
        for number, before, after in zip(numbers, batch, played, strict=True):
            if list(map(_act, before.turns)) != list(map(_act, after.turns)):
                raise _no_replay(number)
        for (slot, agent), row in recorder.take_rows().items():
            rows[numbers[slot], agent] = row
    return rows


class _Recorded:
    """Gives the replies that were recorded."""

    name = "recorded"

    def __init__(self, episodes: Sequence[Episode], numbers: Sequence[int]) -> None:
        self._numbers = numbers
        self._replies = [
            {seat.agent: [t.reply for t in episode.turns_of(seat.agent)] for seat in episode.seats}
            for episode in episodes
        ]

    def act(self, views: Sequence[View]) -> list[str]:
        return list(self._read(views))

    def _read(self, views: Sequence[View]) -> Iterator[str]:
        for view in views:
            replies = self._replies[view.game].get(view.agent, [])
            if view.num_acts >= len(replies):
                raise _no_replay(self._numbers[view.game])
            yield replies[view.num_acts]


def _players(listened: Sequence[Collection[str]], recorded: Policy, recorder: Policy) -> PolicyFor:
    def player(game: int, agent: str) -> Policy:
        return recorder if agent in listened[game] else recorded

    return player


def _act(turn: Turn) -> tuple[int, str, str, str, bool]:
    return turn.turn, turn.agent, turn.reply, turn.text, turn.valid


def _no_replay(number: int) -> EpisodeError:
    return EpisodeError(
        f"episode {number + 1} does not replay: its acts do not fit the game that its seed and "
        "settings give. It was edited, or the rules have changed since; leave it out"
    )
