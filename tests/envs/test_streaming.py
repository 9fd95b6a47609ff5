"""Policies that answer one by one: games go on with their own replies, to the same end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from omar_envs import rollout, werewolf_v0
from omar_envs.errors import PolicyError
from omar_envs.policy import Reply, StreamingPolicy
from omar_envs.types import Episode, JudgeResult, View
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


class Together:
    """A judge that answers nobody before it has ``games`` to judge at once."""

    def __init__(self, games: int) -> None:
        self._games = games
        self.open = self.most = 0
        self._all_here = asyncio.Event()

    async def judge(self, episode: Episode) -> JudgeResult:
        self.open += 1
        self.most = max(self.most, self.open)
        if self.open == self._games:
            self._all_here.set()
        await asyncio.wait_for(self._all_here.wait(), timeout=20)
        self.open -= 1
        return JudgeResult("ok", {seat.agent: {"wit": episode.seed % 7} for seat in episode.seats})


@pytest.mark.parametrize(("games", "batch", "at_once"), [(5, 5, 5), (6, 3, 2)])
def test_games_go_on_while_others_are_judged(games: int, batch: int, at_once: int) -> None:
    def make_before(judge: Together) -> Any:
        return lambda: rollout.make(
            "sotopia_v0", {"reward": "judge", "judge": judge, "max_turns": 4}
        )

    alone = rollout.run(make_before(Together(1)), PurePolicy(), games, 2, batch=batch)
    # One by one they end: the judge would wait for ever, were each game's end awaited.
    judge = Together(at_once)
    assert rollout.run(make_before(judge), Streaming(1), games, 2, batch=batch) == alone
    assert judge.most >= at_once and judge.open == 0
    assert all("judge" in episode.rewards[episode.seats[0].agent] for episode in alone)


def test_what_a_batch_holds_does_not_depend_on_the_judge() -> None:
    class Slow(Together):
        async def judge(self, episode: Episode) -> JudgeResult:
            for _ in range(episode.seed % 50):
                await asyncio.sleep(0)
            return await super().judge(episode)

    class Batches(PurePolicy):
        def __init__(self) -> None:
            self.seen: list[list[tuple[int, str, int]]] = []

        def act(self, views: Sequence[View]) -> list[str]:
            self.seen.append([(view.game, view.agent, view.num_acts) for view in views])
            return super().act(views)

    def batches(judge: Together | None) -> list[list[tuple[int, str, int]]]:
        policy, settings = Batches(), {"reward": "none", "max_turns": 4}
        judged = {"reward": "judge", "judge": judge, "max_turns": 4}
        rollout.run(
            lambda: rollout.make("sotopia_v0", judged if judge else settings), policy, 7, 2, batch=3
        )
        return policy.seen

    assert batches(Slow(1)) == batches(None)
