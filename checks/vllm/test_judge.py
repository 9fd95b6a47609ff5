"""The judge on a real model behind a real server that is held to its schemas."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.vllm.games import Talkers, social
from checks.vllm.server import MODEL, PeakWatch, Server
from omar_envs import rollout
from omar_envs.judge import OMAR, SOTOPIA, OpenAIJudge, Rubric
from omar_envs.types import Episode, JudgeResult


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    return rollout.run(lambda: social(max_turns=3), Talkers(), episodes=6, seed=0)


def judge_at(
    server: Server, cache: Path | None, rubric: Rubric = SOTOPIA, per_utterance: bool = False
) -> OpenAIJudge:
    # So small a model, always asked for its likeliest word, repeats itself until it is cut.
    return OpenAIJudge(
        MODEL,
        base_url=server.url,
        rubric=rubric,
        per_utterance=per_utterance,
        concurrency=8,
        timeout=300,
        max_retries=0,
        temperature=1.0,
        max_tokens=3000,
        cache=cache,
        extra_body={"repetition_penalty": 1.1},
    )


def check(result: JudgeResult, rubric: Rubric, episode: Episode) -> None:
    """A judgement is whole, or it says that the answer was cut: the schema leaves no third."""
    if result.status != "ok":
        assert result.status == "failed" and "cut" in result.error, result.error
        assert result.scores is result.reasons is result.rewards is None
        return
    assert result.scores is not None and result.reasons is not None
    agents = {seat.agent for seat in episode.seats}
    assert set(result.scores) == set(result.reasons) == agents
    for agent in agents:
        assert set(result.scores[agent]) == {each.name for each in rubric.dimensions}
        assert set(result.reasons[agent]) == set(result.scores[agent])
        for each in rubric.dimensions:
            score = result.scores[agent][each.name]
            assert score.is_integer() and each.low <= score <= each.high


@pytest.mark.parametrize("rubric", [SOTOPIA, OMAR], ids=lambda rubric: rubric.name)
def test_answers_keep_to_the_schema_and_are_asked_for_once(
    server: Server, episodes: list[Episode], rubric: Rubric, tmp_path: Path, report: list[str]
) -> None:
    with PeakWatch(server) as watch, judge_at(server, tmp_path, rubric) as judge:
        results = judge.judge_many(episodes)
        first = judge.usage
    for result, episode in zip(results, episodes, strict=True):
        check(result, rubric, episode)
    ok = sum(result.status == "ok" for result in results)
    assert first.requests == len(episodes), "no answer was unusable and asked for again"
    assert first.cut == len(episodes) - ok
    assert first.failures == first.unmetered == 0
    assert ok >= len(episodes) / 2
    assert watch.peak > 2, "judgements were asked for together"

    with judge_at(server, tmp_path, rubric) as judge:
        again = judge.judge_many(episodes)
        second = judge.usage
    assert second.requests == len(episodes) - ok, "only what was cut was asked for again"
    for old, new in zip(results, again, strict=True):
        assert old == new or old.status == "failed"
    with judge_at(server, tmp_path, rubric) as judge:
        kept = [episode for episode, old in zip(episodes, results, strict=True) if old.scores]
        assert judge.judge_many(kept) == [old for old in results if old.scores]
        assert judge.usage.requests == 0
    report.append(
        f"judge, {rubric.name}: {ok} of {len(episodes)} ok, {first.cut} cut, none against the "
        f"schema; {first.completion_tokens:,} tokens; {watch.peak} requests at once; "
        f"asked again: {second.requests} requests"
    )


def test_acts_are_judged_one_by_one(
    server: Server, episodes: list[Episode], tmp_path: Path
) -> None:
    episode = episodes[0]
    with judge_at(server, tmp_path, OMAR, per_utterance=True) as judge:
        (result,) = judge.judge_many([episode])
    check(result, OMAR, episode)
    if result.importances is not None:
        for agent, shares in result.importances.items():
            assert len(shares) == len(episode.turns_of(agent))
            assert all(share in (0, 1 / 3, 2 / 3, 1) for share in shares)
    else:
        assert result.status == "failed"


def test_pays_the_players_of_a_game(server: Server, tmp_path: Path, report: list[str]) -> None:
    with judge_at(server, tmp_path) as judge:
        played = rollout.run(
            lambda: social(max_turns=2, reward="judge", judge=judge),
            Talkers(),
            episodes=3,
            seed=1,
        )
    paid = [[rewards["judge"] for rewards in episode.rewards.values()] for episode in played]
    for game in paid:
        assert all(reward is None for reward in game) or all(
            isinstance(reward, float) and -10 <= reward <= 10 for reward in game
        )
    num_paid = sum(None not in game for game in paid)
    assert num_paid > 0
    report.append(f"judge as reward: {num_paid} of {len(paid)} games paid")
