"""A judge pays when it judged, and nothing at all when it did not."""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from omar_envs import rollout, werewolf_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.judging import judged_one
from omar_envs.parallel import ConversationParallelEnv
from omar_envs.stages import Stage
from omar_envs.transcript import decode, encode
from omar_envs.types import Episode, JudgeResult
from omar_envs.werewolf.env import WerewolfEnv
from tests.envs.colours import AGENTS, TALK, A, B, C, Colours
from tests.envs.games import encoded, finish
from tests.envs.judge_answers import talk

Verdict = Callable[[Episode], JudgeResult]


class Bench:
    """A judge that answers as the test says, and keeps what it was shown."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.seen: list[Episode] = []

    def judge(self, episode: Episode) -> JudgeResult:
        self.seen.append(episode)
        return self.verdict(episode)


def scores(a: Any = 1.0, b: Any = 2.0, c: Any = 4.5) -> dict[str, dict[str, Any]]:
    return {A: {"tact": a, "wit": 3.0}, B: {"tact": b, "wit": 2.0}, C: {"tact": c}}


def ok(episode: Episode) -> JudgeResult:
    return JudgeResult("ok", scores())


def crash(episode: Episode) -> JudgeResult:
    raise ConnectionError("no route")


def judged(verdict: Verdict, **settings: Any) -> tuple[Colours, Bench]:
    bench = Bench(verdict)
    env = Colours(TALK, TALK, judge=bench, **settings)
    env.reset(seed=1)
    return env, bench


def play(env: ConversationEnv) -> None:
    for reply in ("x", "y", "z", "red", "red", "red"):
        env.step(reply)


def test_the_mean_score_is_paid_at_the_end() -> None:
    env, bench = judged(ok, judge_weight=10.0)
    assert env.infos[A]["reward_components"] == {"game": 0.0, "invalid": 0.0, "judge": 0.0}
    play(env)
    assert len(bench.seen) == 1
    assert env.judgement == JudgeResult("ok", scores())
    expected = {A: 20.0, B: 20.0, C: 45.0}
    for agent in AGENTS:
        info = env.infos[agent]
        assert info["judge_status"] == "ok"
        assert info["reward_components"]["judge"] == expected[agent]
        assert env.step_components()[agent]["judge"] == expected[agent]
        assert env.rewards[agent] == sum(info["reward_components"].values())
        assert env._cumulative_rewards[agent] == env.rewards[agent]
        turns = env.episode().turns_of(agent)
        assert [turn.reward_components["judge"] for turn in turns] == [0.0, expected[agent]]
        assert env.episode().rewards[agent]["judge"] == expected[agent]


def test_the_judge_sees_the_finished_game_with_its_own_part_open() -> None:
    env, bench = judged(ok)
    play(env)
    (seen,) = bench.seen
    assert {parts["judge"] for parts in seen.rewards.values()} == {None}
    cleared = {agent: {**parts, "judge": None} for agent, parts in env.episode().rewards.items()}
    assert msgspec.structs.replace(env.episode(), rewards=cleared, turns=seen.turns) == seen
    assert [turn.reply for turn in seen.turns] == ["x", "y", "z", "red", "red", "red"]
    encode(seen)


def paying(**more: Any) -> JudgeResult:
    return JudgeResult("ok", scores(), **more)


NOT_OK: dict[str, tuple[Verdict, str]] = {
    "failed": (lambda _: JudgeResult("failed", error="no JSON"), "failed"),
    "refused": (lambda _: JudgeResult("refused"), "refused"),
    "no scores": (lambda _: JudgeResult("ok"), "failed"),
    "an agent is missing": (lambda _: JudgeResult("ok", {A: {"wit": 1.0}}), "failed"),
    "no dimension": (lambda _: JudgeResult("ok", {**scores(), B: {}}), "failed"),
    "nan": (lambda _: JudgeResult("ok", scores(b=math.nan)), "failed"),
    "infinite": (lambda _: JudgeResult("ok", scores(c=math.inf)), "failed"),
    "no number": (lambda _: JudgeResult("ok", scores(a="3")), "failed"),
    "nothing": (lambda _: JudgeResult("ok", scores(a=None)), "failed"),
    "another status": (lambda _: JudgeResult("OK", scores()), "failed"),  # type: ignore[arg-type]
    "a truth value": (lambda _: JudgeResult("ok", scores(a=True)), "failed"),
    "beyond any float": (lambda _: JudgeResult("ok", scores(a=10**400)), "failed"),
    "beyond a float when added": (
        lambda _: JudgeResult("ok", {**scores(), A: {"wit": 1e308, "tact": 1e308}}),
        "failed",
    ),
    "scores of another shape": (lambda _: JudgeResult("ok", {A: 1.0}), "failed"),  # type: ignore[dict-item]
    "rewards of another shape": (lambda _: paying(rewards=[1.0, 2.0, 3.0]), "failed"),
    "a missing reward": (lambda _: paying(rewards={A: 1.0}), "failed"),
    "a reward without end": (lambda _: paying(rewards={A: 1.0, B: math.inf, C: 0.0}), "failed"),
    "importances of another shape": (
        lambda _: paying(importances=dict.fromkeys(AGENTS, 1)),
        "failed",
    ),
    "a missing importance": (lambda _: paying(importances={A: (1.0, 1.0)}), "failed"),
    "an importance of nan": (
        lambda _: paying(importances=dict.fromkeys(AGENTS, (math.nan, 1.0))),
        "failed",
    ),
}


@pytest.mark.parametrize("kind", NOT_OK)
def test_a_judgement_that_failed_is_not_a_zero(kind: str) -> None:
    verdict, status = NOT_OK[kind]
    env, _ = judged(verdict)
    play(env)
    check_unjudged(env, status)


class Unpaid(Colours):
    """Nobody is paid for the game itself."""

    def _resolve(self, stage: Stage, acts: dict[str, str]) -> None:
        pass

    def _settle(self) -> None:
        pass


def test_nor_is_it_where_nothing_else_is_paid() -> None:
    env = Unpaid(TALK, judge=Bench(NOT_OK["refused"][0]))
    env.reset(seed=1)
    for reply in ("x", "y", "z"):
        env.step(reply)
    for agent in AGENTS:
        assert env.infos[agent]["reward_components"] == {"game": 0.0, "invalid": 0.0, "judge": None}
        assert env.step_components()[agent]["judge"] is None
        assert env.rewards[agent] == 0.0
        assert env.episode().turns_of(agent)[-1].reward_components["judge"] is None


def test_an_exception_is_a_failure_with_a_warning() -> None:
    env, bench = judged(crash)
    with pytest.warns(RuntimeWarning, match="the judge raised ConnectionError: no route"):
        play(env)
    assert len(bench.seen) == 1
    check_unjudged(env, "failed")
    assert env.judgement is not None
    assert "no route" in env.judgement.error


def rows() -> Any:
    yield JudgeResult("ok", scores())


NO_RESULTS: dict[str, Any] = {
    "nothing": None,
    "a table": {"status": "ok", "scores": scores()},
    "a number": 7.5,
    "a generator": rows(),
}


@pytest.mark.parametrize("kind", NO_RESULTS)
def test_what_is_no_result_is_a_failure_with_a_warning(kind: str) -> None:
    env, _ = judged(lambda _: NO_RESULTS[kind])
    with pytest.warns(RuntimeWarning, match="the judge"):
        play(env)
    check_unjudged(env, "failed")


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
def test_a_judge_cannot_end_the_run(error: BaseException) -> None:
    def verdict(episode: Episode) -> JudgeResult:
        raise error

    env, _ = judged(verdict)
    with pytest.warns(RuntimeWarning, match=type(error).__name__):
        play(env)
    check_unjudged(env, "failed")


def test_whoever_waits_may_give_up() -> None:
    class Slow:
        async def judge(self, episode: Episode) -> JudgeResult:
            await asyncio.Event().wait()
            return JudgeResult("ok")

    async def give_up() -> None:
        waiting = asyncio.ensure_future(judged_one(Slow(), talk("a")))
        await asyncio.sleep(0)
        waiting.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(give_up())


class Mute:
    """No judge."""


@pytest.mark.parametrize(
    ("judge", "word"),
    [
        ("http://localhost:8000/v1#m", "judge_from_url"),
        (Bench, "class"),
        (Mute(), "method"),
        (True, "method"),
    ],
)
def test_what_is_no_judge_is_refused(judge: Any, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        Colours(TALK, judge=judge)


def check_unjudged(env: Colours, status: str) -> None:
    plain = Colours(TALK, TALK)
    plain.reset(seed=1)
    play(plain)
    assert env.judgement is not None
    assert env.judgement.status == status
    assert env.rewards == plain.rewards
    assert env._cumulative_rewards == plain._cumulative_rewards
    for agent in AGENTS:
        assert env.infos[agent]["judge_status"] == status
        assert env.infos[agent]["reward_components"]["judge"] is None
        assert env.episode().rewards[agent]["judge"] is None
        turns = env.episode().turns_of(agent)
        assert [turn.reward_components["judge"] for turn in turns] == [0.0, None]
        assert env.episode().total_reward(agent) == plain.episode().total_reward(agent)
    line = encode(env.episode())
    assert decode(line) == env.episode()


def test_scores_may_be_numbers_of_any_kind() -> None:
    env, _ = judged(lambda _: JudgeResult("ok", scores(a=np.float32(2.0), b=3, c=np.float64(1.0))))
    play(env)
    assert [env.episode().rewards[agent]["judge"] for agent in AGENTS] == [2.5, 2.5, 1.0]
    encode(env.episode())


def test_without_a_judge_nothing_speaks_of_one() -> None:
    env = Colours(TALK, TALK)
    env.reset(seed=1)
    play(env)
    assert env.judgement is None
    assert "judge_status" not in env.infos[A]
    assert "judge" not in env.episode().rewards[A]


def test_the_status_is_there_only_once_the_game_has_ended() -> None:
    env, bench = judged(ok)
    for reply in ("x", "y", "z", "red", "red"):
        assert "judge_status" not in env.infos[A]
        env.step(reply)
    assert not bench.seen
    env.step("red")
    assert env.infos[A]["judge_status"] == "ok"
    env.reset(seed=1)
    assert "judge_status" not in env.infos[A]
    assert env.judgement is None


def test_a_game_cut_by_its_limit_is_judged_too() -> None:
    env, bench = judged(ok, limit=True)
    play(env)
    assert bench.seen[0].truncated
    assert env.infos[B]["judge_status"] == "ok"


@pytest.mark.parametrize("verdict", [ok, NOT_OK["failed"][0]])
def test_the_parallel_environment_pays_the_same(verdict: Verdict) -> None:
    env = Colours(TALK, TALK, judge=Bench(verdict))
    parallel = ConversationParallelEnv(env)
    parallel.reset(seed=1)
    parallel.step(dict.fromkeys(AGENTS, "x"))
    _, rewards, _, _, infos = parallel.step(dict.fromkeys(AGENTS, "red"))
    for agent in AGENTS:
        known = [v for v in infos[agent]["reward_components"].values() if v is not None]
        assert rewards[agent] == sum(known)
        assert (
            infos[agent]["reward_components"] == env.episode().turns_of(agent)[1].reward_components
        )
        assert infos[agent]["judge_status"] == ("ok" if verdict is ok else "failed")


@pytest.mark.parametrize("weight", [math.nan, math.inf, "1", None, True])
def test_impossible_weights_are_refused(weight: Any) -> None:
    with pytest.raises(ConfigError, match="judge_weight"):
        Colours(TALK, judge=Bench(ok), judge_weight=weight)


class Judged(WerewolfEnv):
    """Werewolf before a judge."""

    def __init__(self, judge: Bench, **settings: Any) -> None:
        super().__init__(**settings)
        ConversationEnv.__init__(
            self, tuple(self.possible_agents), ("outcome",), judge=judge, judge_weight=0.5
        )


def wise(episode: Episode) -> JudgeResult:
    return JudgeResult(
        "ok", {seat.agent: {"wit": len(seat.name), "tact": 0.1} for seat in episode.seats}
    )


@pytest.mark.parametrize("verdict", [wise, NOT_OK["refused"][0]])
def test_a_replay_copies_what_the_judge_paid(verdict: Verdict) -> None:
    bench = Bench(verdict)
    env = Judged(bench, num_players=6)
    env.reset(seed=2)
    episode = finish(env)
    assert "judge" in episode.rewards["player_0"]
    again = rollout.replay(episode)
    assert encoded(again) == encoded(episode)
    assert encoded(rollout.replay(decode(encode(episode)))) == encoded(episode)
    assert len(bench.seen) == 1, "a replay asks nobody"


def test_a_replay_without_a_judge_has_no_part_of_one() -> None:
    env = werewolf_v0.raw_env()
    env.reset(seed=2)
    episode = finish(env)
    assert "judge" not in rollout.replay(episode).rewards["player_0"]


def test_a_copy_goes_on_to_the_same_judgement() -> None:
    env, _ = judged(ok)
    env.step("x")
    other = copy.deepcopy(env)
    for one in (env, other):
        for reply in ("y", "z", "red", "red", "red"):
            one.step(reply)
    assert other.episode() == env.episode()
