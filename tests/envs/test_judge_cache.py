"""No judgement is paid for twice, and none is kept that was not sound."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omar_envs.judge import SOTOPIA, Dimension, OpenAIJudge, Rubric
from omar_envs.types import Episode, JudgeResult
from tests.envs.chat_server import Act, Call, ChatServer, Hang
from tests.envs.judge_answers import judge_at, judging, many_talks, talk, true_scores

EPISODE = talk("Good day.", "Good day to you.")


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    episodes = many_talks(6)
    with ChatServer(judging) as server:
        with judge_at(server, cache=tmp_path, per_utterance=True, samples=2) as judge:
            first = judge.judge_many(episodes)
            asked = len(server.calls)
        with judge_at(
            server, cache=tmp_path, per_utterance=True, samples=2, scale="unit", max_tokens=9
        ) as judge:
            again = judge.judge_many(episodes)
            assert judge.usage.requests == 0
        assert len(server.calls) == asked == 6 * (2 + 2)
    assert [result.scores for result in again] == [result.scores for result in first]
    assert [result.importances for result in again] == [result.importances for result in first]
    assert [result.date for result in again] == [result.date for result in first]


def asked_again(tmp_path: Path, episode: Episode = EPISODE, **settings: Any) -> int:
    """How many calls a judge of other settings makes, where the usual one had been asked."""
    with ChatServer(judging) as server:
        with judge_at(server, cache=tmp_path) as judge:
            judge.judge_many([EPISODE])
        before = len(server.calls)
        settings = {"model": "tiny", **settings}
        with OpenAIJudge(base_url=server.url, cache=tmp_path, **settings) as judge:
            judge.judge_many([episode])
        return len(server.calls) - before


def reworded() -> Rubric:
    first, *others = SOTOPIA.dimensions
    other = Dimension(first.name, first.description + " Be strict.", first.low, first.high)
    return Rubric(SOTOPIA.name, (other, *others), SOTOPIA.instructions)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "small"},
        {"rubric": reworded()},
        {"temperature": 0.7},
        {"seed": 1},
        {"extra_body": {"top_p": 0.5}},
        {"episode": talk("Good day.", "Good night.")},
    ],
)
def test_another_question_is_asked(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert asked_again(tmp_path) == 0
    assert asked_again(tmp_path / "b", **settings) == 1


def test_more_samples_ask_only_for_the_new_ones(tmp_path: Path) -> None:
    assert asked_again(tmp_path, samples=3) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff" + data,
        lambda data: data.replace(b"participant_1", b"participant_2"),
        lambda data: data.replace(b'\\"score\\": ', b'\\"score\\": 1', 1),
        lambda data: b"[" * 100_000,
        lambda data: b"null",
    ],
)
def test_a_damaged_entry_counts_as_missing_and_is_replaced(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    with ChatServer(judging) as server, judge_at(server, cache=tmp_path) as judge:
        judge.judge_many([EPISODE])
        (entry,) = tmp_path.rglob("*.json")
        whole = entry.read_bytes()
        entry.write_bytes(damage(whole))
        assert entry.read_bytes() != whole
        for calls in (2, 2):
            (result,) = judge.judge_many([EPISODE])
            assert result.scores == true_scores(EPISODE)
            assert len(server.calls) == calls
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [entry.name]


def test_many_judges_may_share_a_cache(tmp_path: Path) -> None:
    episodes = many_talks(4)
    with ChatServer(judging) as server:
        judges = [judge_at(server, cache=tmp_path) for _ in range(4)]
        found: list[list[JudgeResult]] = []
        threads = [
            threading.Thread(target=lambda judge=judge: found.append(judge.judge_many(episodes)))
            for judge in judges
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for judge in judges:
            judge.close()
    assert len(found) == 4
    for results in found:
        assert [result.scores for result in results] == [true_scores(e) for e in episodes]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4


def test_an_answer_that_cannot_be_kept_is_still_a_judgement(tmp_path: Path) -> None:
    with ChatServer(judging) as server, judge_at(server, cache=tmp_path) as judge:
        for number in range(256):
            (tmp_path / f"{number:02x}").write_text("in the way")
        with pytest.warns(RuntimeWarning, match="could not be kept"):
            (result,) = judge.judge_many([EPISODE])
    assert result.scores == true_scores(EPISODE)


def test_a_run_that_was_cancelled_goes_on_where_it_was(tmp_path: Path) -> None:
    episodes = many_talks(8)
    held = threading.Event()

    def behave(call: Call) -> Act:
        if call.number < 5:
            return judging(call)
        held.set()
        return Hang()

    async def cancelled(judge: OpenAIJudge) -> None:
        tasks = [asyncio.ensure_future(judge.judge(episode)) for episode in episodes]
        await asyncio.to_thread(held.wait, 30)
        await asyncio.wait(tasks[:5])
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(end, asyncio.CancelledError) for end in ended) == 3

    with ChatServer(behave) as server:
        with judge_at(server, cache=tmp_path, concurrency=1) as judge:
            asyncio.run(cancelled(judge))
            server.behave = judging
            before = len(server.calls)
            results = judge.judge_many(episodes)
        assert len(server.calls) - before == 3
    assert [result.scores for result in results] == [true_scores(e) for e in episodes]
