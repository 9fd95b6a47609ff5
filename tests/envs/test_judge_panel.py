"""Several judges as one, and how far they agree."""

from __future__ import annotations

import asyncio
import json
import math
import random
from pathlib import Path
from statistics import fmean, median
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.errors import ConfigError
from omar_envs.judge import Judgement, PanelJudge, agreement, judge_all
from omar_envs.types import Episode, JudgeResult
from tests.envs.chat_server import Call, ChatServer, in_order, refuse, say
from tests.envs.judge_answers import (
    answer,
    judge_at,
    judging,
    many_talks,
    talk,
    true_score,
    true_scores,
)

EPISODE = talk("a", "b")


class Fixed:
    """A judge that always says the same."""

    def __init__(self, result: JudgeResult) -> None:
        self._result = result

    async def judge(self, episode: Episode) -> JudgeResult:
        return self._result


def says(wit: float, tact: float = 0.0, **more: Any) -> JudgeResult:
    scores = {"agent_0": {"wit": wit, "tact": tact}, "agent_1": {"wit": -wit, "tact": 1.0}}
    reasons = {agent: dict.fromkeys(row, f"said {wit:g}") for agent, row in scores.items()}
    stamps = {"model": f"m{wit:g}", "rubric_version": "r@1", "date": f"2026-01-0{int(wit) + 1}"}
    return JudgeResult("ok", **{"scores": scores, "reasons": reasons, **stamps, **more})


def all_of(share: float) -> dict[str, tuple[float, ...]]:
    """The same importance for each participant's one act."""
    return {"agent_0": (share,), "agent_1": (share,)}


FAILED = JudgeResult("failed", model="mf", rubric_version="r@1", error="no JSON")
REFUSED = JudgeResult("refused", model="mr", rubric_version="r@1", error="will not")


def judged(*results: JudgeResult, **settings: Any) -> Judgement:
    panel = PanelJudge([Fixed(result) for result in results], **settings)
    return asyncio.run(panel.judgement(EPISODE))


@given(st.lists(st.floats(0, 8), min_size=1, max_size=5), st.sampled_from(["mean", "median"]))
def test_scores_are_combined_per_participant_and_dimension(wits: list[float], how: Any) -> None:
    combine = {"mean": fmean, "median": median}[how]
    result, parts = judged(*(says(wit) for wit in wits), combine=how)
    assert result.status == "ok"
    assert result.scores == {
        "agent_0": {"wit": combine(wits), "tact": 0.0},
        "agent_1": {"wit": combine([-wit for wit in wits]), "tact": 1.0},
    }
    assert parts == tuple(says(wit) for wit in wits)


def test_a_panel_says_who_sat_in_it_and_what_each_said() -> None:
    result, _ = judged(says(1), says(3))
    assert result.model == "m1 + m3"
    assert (result.rubric_version, result.date) == ("r@1", "2026-01-04")
    assert result.reasons is not None
    assert result.reasons["agent_0"]["wit"] == "m1: said 1 | m3: said 3"


def test_rewards_and_importances_are_means_or_not_there() -> None:
    one = says(1, rewards={"agent_0": 1.0, "agent_1": 0.0}, importances=all_of(1.0))
    two = says(3, rewards={"agent_0": 2.0, "agent_1": 1.0}, importances=all_of(0.0))
    result, _ = judged(one, two)
    assert result.rewards == {"agent_0": 1.5, "agent_1": 0.5}
    assert result.importances == all_of(0.5)
    result, _ = judged(one, says(2))
    assert result.rewards is None and result.importances is None


@pytest.mark.parametrize("quorum", [None, 1, 2, 3])
@pytest.mark.parametrize("lost", [0, 1, 2, 3])
def test_without_a_quorum_there_is_no_judgement(quorum: int | None, lost: int) -> None:
    bench = [FAILED] * lost + [says(n) for n in range(3 - lost)]
    result, _ = judged(*bench, quorum=quorum)
    if 3 - lost >= (quorum or 3):
        assert result.status == "ok"
        assert result.scores is not None
        assert result.scores["agent_0"]["wit"] == fmean(range(3 - lost))
    else:
        assert (result.status, result.scores, result.rewards) == ("failed", None, None)
        assert f"{3 - lost} of 3" in result.error and "no JSON" in result.error


def test_refused_only_if_nobody_failed_otherwise() -> None:
    assert judged(REFUSED, says(1)).result.status == "refused"
    assert judged(REFUSED, FAILED, says(1)).result.status == "failed"


class Plain:
    """A judge whose method is an ordinary one."""

    def judge(self, episode: Episode) -> JudgeResult:
        return says(4)


class Broken:
    """A judge that answers with anything at all, or with an exception."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def judge(self, episode: Episode) -> Any:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


NONSENSE = [RuntimeError("boom"), SystemExit(1), None, says(1, math.nan), JudgeResult("ok"), {}]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=str)
@pytest.mark.filterwarnings("ignore:the judge:RuntimeWarning")
def test_a_member_that_breaks_its_contract_has_no_say(nonsense: Any) -> None:
    bench: list[Any] = [Fixed(says(2)), Broken(nonsense), Plain()]
    result, parts = asyncio.run(PanelJudge(bench).judgement(EPISODE))
    assert (result.status, result.scores) == ("failed", None)
    assert [part.status for part in parts] == ["ok", "failed", "ok"]
    result, _ = asyncio.run(PanelJudge(bench, quorum=2).judgement(EPISODE))
    assert result.status == "ok"
    assert (result.scores or {})["agent_0"]["wit"] == 3


def test_members_must_score_the_same() -> None:
    other = says(1)
    rows = {agent: {"wit": 1.0} for agent in other.scores or {}}
    result, _ = judged(says(1), msgspec.structs.replace(other, scores=rows))
    assert (result.status, result.scores) == ("failed", None)
    assert "one rubric" in result.error


@pytest.mark.parametrize(
    ("judges", "settings"),
    [
        ([], {}),
        ([Fixed(FAILED)], {"combine": "max"}),
        ([Fixed(FAILED)], {"quorum": 0}),
        ([Fixed(FAILED)], {"quorum": 2}),
    ],
)
def test_wrong_settings_fail_at_construction(judges: list[Fixed], settings: Any) -> None:
    with pytest.raises(ConfigError):
        PanelJudge(judges, **settings)


def test_a_panel_of_endpoints_that_share_a_cache(tmp_path: Path) -> None:
    def stern(call: Call) -> Any:
        def score(name: str, dimension: str, low: int, high: int) -> int:
            return max(low, true_score(name, dimension, low, high) - 2)

        return say(json.dumps(answer(call, score)))

    episodes = many_talks(4)
    with (
        ChatServer(judging) as one,
        ChatServer(stern) as other,
        judge_at(one, cache=tmp_path) as mild,
        judge_at(other, cache=tmp_path, name="strict") as strict,
    ):
        panel = PanelJudge([mild, strict])
        judgements = judge_all(panel, episodes)
        again = panel.judge_many(episodes)
        assert [result.scores for result in again] == [one.result.scores for one in judgements]
    for episode, judgement in zip(episodes, judgements, strict=True):
        truth = true_scores(episode)
        found = judgement.result.scores
        assert found is not None
        for agent, row in truth.items():
            for name, score in row.items():
                assert score - 1 <= found[agent][name] <= score
    told = agreement(judgement.parts for judgement in judgements)
    assert all(0 < each.deviation <= 1 for each in told.values() if each.deviation is not None)


def test_two_addresses_under_one_name_are_refused() -> None:
    with (
        ChatServer(judging) as one,
        ChatServer(judging) as other,
        judge_at(one) as here,
        judge_at(one, seed=1) as here_too,
        judge_at(other) as there,
    ):
        PanelJudge([here, here_too])
        with pytest.raises(ConfigError, match="two judges are called 'tiny'"):
            PanelJudge([here, there])


@pytest.mark.parametrize("mine", [Plain(), Fixed(says(4)), PanelJudge([Plain()])])
def test_judges_of_ones_own_have_an_offline_path(mine: Any) -> None:
    for result, parts in judge_all(mine, [EPISODE, EPISODE]):
        assert result.scores == says(4).scores
        assert parts == (says(4),)


def test_an_offline_path_trusts_no_judge() -> None:
    with pytest.warns(RuntimeWarning, match="boom"):
        ((result, _),) = judge_all(Broken(RuntimeError("boom")), [EPISODE])
    assert result.status == "failed"


@pytest.mark.parametrize("status", [401, 404])
def test_a_member_whose_key_or_model_is_wrong_is_asked_no_more(status: int) -> None:
    with (
        ChatServer(in_order(refuse(status, "no entry"))) as shut,
        ChatServer(judging) as open_,
        judge_at(shut, name="shut", concurrency=1) as one,
        judge_at(open_) as other,
    ):
        found = judge_all(PanelJudge([one, other], quorum=1), many_talks(6), at_once=1)
        assert (len(shut.calls), len(open_.calls)) == (1, 6)
    assert [judgement.result.status for judgement in found] == ["ok"] * 6
    assert all("no entry" in judgement.parts[0].error for judgement in found)


# --- agreement ------------------------------------------------------------------


def group(*scores: float | None) -> list[JudgeResult]:
    return [
        FAILED if score is None else JudgeResult("ok", {"agent_0": {"wit": score}})
        for score in scores
    ]


def test_alpha_of_a_published_example() -> None:
    """Krippendorff 2011, example C: four observers, twelve units, with gaps; 0.849."""
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    told = agreement(group(*unit) for unit in zip(*observers, strict=True))["wit"]
    assert told.units == 11
    assert told.alpha == pytest.approx(0.849, abs=5e-4)


def test_agreement_that_is_full_absent_or_undefined() -> None:
    full = agreement([group(1, 1), group(5, 5)])["wit"]
    assert full == (2, 0.0, 1.0)
    same = agreement([group(3, 3), group(3, 3)])["wit"]
    assert same == (2, 0.0, None)
    alone = agreement([group(3), group(None, 4)])["wit"]
    assert alone == (0, None, None)
    assert agreement([]) == {}
    generator = random.Random(1)
    noise = agreement(group(generator.random(), generator.random()) for _ in range(4000))["wit"]
    assert noise.alpha == pytest.approx(0, abs=0.05)
    assert noise.deviation == pytest.approx(1 / 6, abs=0.01)


@given(
    st.lists(st.lists(st.integers(0, 10), min_size=2, max_size=4), min_size=2, max_size=6),
    st.floats(0.5, 4),
    st.floats(-5, 5),
)
def test_alpha_does_not_depend_on_the_scale(
    units: list[list[int]], factor: float, offset: float
) -> None:
    plain = agreement(group(*unit) for unit in units)["wit"]
    moved = agreement(group(*(offset + factor * s for s in unit)) for unit in units)["wit"]
    assert plain.deviation is not None and moved.deviation is not None
    assert moved.deviation == pytest.approx(factor * plain.deviation, abs=1e-9)
    if plain.alpha is not None:
        assert moved.alpha == pytest.approx(plain.alpha, abs=1e-6)
