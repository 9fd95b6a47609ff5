"""Policies that answer one by one: games go on with their own replies, to the same end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from omar_envs import rollout, werewolf_v0
from omar_envs.errors import PolicyError
from omar_envs.policy import Reply, StreamingPolicy
from omar_envs.types import View
from tests.envs.games import PurePolicy, pure


def make() -> Any:
    return werewolf_v0.raw_env(num_players=6)


class Streaming(PurePolicy):
    """Answers an open view at a time, in an order that ``seed`` decides."""

    def __init__(self, seed: int = 0) -> None:
        self.open: list[View] = []
        self.batches: list[int] = []
        self._order = random.Random(seed)

    def act(self, views: Sequence[View]) -> list[str]:
        raise AssertionError("it streams")

    def submit(self, views: Sequence[View]) -> None:
        self.batches.append(len(views))
        self.open += views

    def pick(self) -> int:
        return self._order.randrange(len(self.open))

    def poll(self) -> list[Reply]:
        view = self.open.pop(self.pick())
        return [Reply(view.game, view.agent, pure(view))]


def test_the_games_are_those_of_a_batch() -> None:
    assert isinstance(Streaming(), StreamingPolicy)
    assert not isinstance(PurePolicy(), StreamingPolicy)
    batched = rollout.run(make, PurePolicy(), 7, 3, batch=3)
    for seed in range(3):
        policy = Streaming(seed)
        assert rollout.run(make, policy, 7, 3, batch=3) == batched
        assert policy.open == []


def test_no_game_waits_for_another() -> None:
    class FirstGameFirst(Streaming):
        def pick(self) -> int:
            return min(range(len(self.open)), key=lambda i: self.open[i].game)

    policy = FirstGameFirst()
    ended: list[int] = []

    def progress(finished: int) -> None:
        ended.append(max(view.num_acts for view in policy.open) if policy.open else -1)

    rollout.run(make, policy, 3, 1, batch=3, progress=progress)
    # When the first two games ended, the others still stood at their first questions.
    assert ended == [0, 0, -1]


def test_a_game_with_both_kinds_of_policy_gets_all_its_replies() -> None:
    seats = {"player_1": PurePolicy(), "player_2": Streaming(5)}
    alone = rollout.run(make, PurePolicy(), 5, 2, batch=2)
    mixed = rollout.run(make, Streaming(1), 5, 2, batch=2, overrides=seats)
    assert mixed == alone


def test_one_that_answers_in_batches_keeps_its_games_together() -> None:
    class Whole(Streaming):
        def poll(self) -> list[Reply]:
            views, self.open = self.open, []
            return [Reply(view.game, view.agent, pure(view)) for view in views]

    class Counting(PurePolicy):
        def __init__(self) -> None:
            self.batches: list[int] = []

        def act(self, views: Sequence[View]) -> list[str]:
            self.batches.append(len(views))
            return super().act(views)

    whole, other, counting = Whole(), Whole(), Counting()
    rollout.run(make, counting, 6, 4, batch=6)
    rollout.run(make, whole, 6, 4, batch=6)
    assert whole.batches == counting.batches
    # Two of them in the same games are each asked in the same rounds as they would be.
    parts = Whole(), Counting()
    rollout.run(make, other, 6, 4, batch=6, overrides={"player_0": parts[0]})
    whole = Whole()
    rollout.run(make, whole, 6, 4, batch=6, overrides={"player_0": parts[1]})
    assert other.batches == whole.batches
    assert parts[0].batches == parts[1].batches


def test_replies_that_nobody_asked_for_or_that_never_come_are_refused() -> None:
    class Mute(Streaming):
        def poll(self) -> list[Reply]:
            return []

    class Stranger(Streaming):
        def poll(self) -> list[Reply]:
            return [Reply(0, "player_9", "hello")]

    class Twice(Streaming):
        def poll(self) -> list[Reply]:
            return super().poll() * 2

    for policy, words in ((Mute(), "no reply"), (Stranger(), "player_9"), (Twice(), "nobody")):
        with pytest.raises(PolicyError, match=words):
            rollout.run(make, policy, 1, 0)
