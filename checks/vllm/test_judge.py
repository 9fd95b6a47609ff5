"""The judge on a real model behind a real server that is held to its schemas."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.vllm.games import Talkers, social
from checks.vllm.server import MODEL, PeakWatch, Server
from omar_envs import rollout
from omar_envs.judge import OMAR, SOTOPIA, OpenAIJudge, Rubric
from omar_envs.types import Episode, JudgeResult

CLOSING_QUOTE = "18"
"""SmolLM2's token for a quotation mark. The model is so small that it would go on and on in
the reasons that it gives; a bias towards their end makes them a few words."""


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    return rollout.run(lambda: social(max_turns=3), Talkers(), episodes=4, seed=0)


def judge_at(
    server: Server, cache: Path | None, rubric: Rubric = SOTOPIA, per_utterance: bool = False
) -> OpenAIJudge:
    return OpenAIJudge(
        MODEL,
        base_url=server.url,
        rubric=rubric,
        per_utterance=per_utterance,
        concurrency=8,
        timeout=600,
        max_retries=0,
        temperature=1.0,
        max_tokens=1500,
        cache=cache,
        extra_body={"logit_bias": {CLOSING_QUOTE: 4}},
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


def test_answers_keep_to_the_schema_and_are_paid_for_once(
    server: Server, episodes: list[Episode], tmp_path: Path, report: list[str]
) -> None:
    with PeakWatch(server) as watch, judge_at(server, tmp_path) as judge:
        results = judge.judge_many(episodes)
        usage = judge.usage
    for result, episode in zip(results, episodes, strict=True):
        check(result, SOTOPIA, episode)
    ok = [each for each, result in zip(episodes, results, strict=True) if result.status == "ok"]
    assert usage.requests == len(episodes), "no answer was against the schema and asked for again"
    assert usage.cut == len(episodes) - len(ok)
    assert usage.failures == usage.unmetered == 0
    assert len(ok) >= len(episodes) / 2
    assert watch.peak > 1, "judgements were asked for together"

    with judge_at(server, tmp_path) as judge:
        assert judge.judge_many(ok) == [result for result in results if result.status == "ok"]
        assert judge.usage.requests == 0
    report.append(
        f"judge, {SOTOPIA.name}: {len(ok)} of {len(episodes)} ok, {usage.cut} cut, none against "
        f"the schema; {usage.completion_tokens:,} tokens; {watch.peak} requests at once; "
        f"asked again: {len(ok)} from the cache, 0 requests"
    )


def test_pays_the_players_of_a_game_for_each_of_their_acts(
    server: Server, tmp_path: Path, report: list[str]
) -> None:
    with judge_at(server, tmp_path, OMAR, per_utterance=True) as judge:
        played = rollout.run(
            lambda: social(max_turns=2, reward="judge", judge=judge),
            Talkers(),
            episodes=2,
            seed=1,
        )
    num_paid = 0
    for episode in played:
        paid = [rewards["judge"] for rewards in episode.rewards.values()]
        if None in paid:
            assert paid == [None] * len(paid)
        else:
            num_paid += 1
            assert all(0 <= reward <= 10 for reward in paid if reward is not None)
    assert num_paid > 0
    report.append(f"judge, {OMAR.name}, as reward per act: {num_paid} of {len(played)} games paid")
