"""Paid endpoints in the arena: what they cost, what fails, and what judges say."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omar_envs.arena import Bench, Spending, Tournament, benches_by_url, evaluate
from omar_envs.errors import ConfigError, PolicyError
from omar_envs.judge import OMAR, SOTOPIA
from omar_envs.metering import Prices
from omar_envs.transcript import read_episodes
from omar_envs.types import Episode, JudgeResult
from tests.envs.chat_server import Act, Call, ChatServer, refuse, say
from tests.envs.judge_answers import answer, judging, true_score

pytest.importorskip("openai")

TALK: dict[str, Any] = {"num_players": 3, "roles": {"werewolf": 1}}


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OPENAI_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def talker() -> Iterator[ChatServer]:
    with ChatServer(lambda call: say("I trust nobody.", tokens=(100, 10))) as server:
        yield server


def against_random(server: ChatServer, **more: Any) -> Tournament:
    options: dict[str, Any] = {"env": "werewolf", "settings": TALK, "games": 4} | more
    return evaluate([f"{server.url}#tiny", "random"], **options)


# --- cost -------------------------------------------------------------------


def test_cost_is_told_and_nothing_is_paid_twice(talker: ChatServer, tmp_path: Path) -> None:
    name = f"{talker.url}#tiny"
    spending = Spending({name: Prices(1.0, 10.0)})
    first = against_random(talker, spending=spending, out=tmp_path)
    usage = first.usage[name]
    asked = len(talker.calls)
    assert usage.requests == asked > 0
    assert usage.cost == pytest.approx(asked * (100 * 1.0 + 10 * 10.0) / 1e6)
    assert f"{usage.cost:.4f}" in first.table()
    again = against_random(talker, spending=spending, out=tmp_path)
    assert len(talker.calls) == asked
    assert again == first


def test_the_cost_of_all_sessions_is_told_together(talker: ChatServer, tmp_path: Path) -> None:
    spending = Spending({"": Prices(1.0, 10.0)})
    against_random(talker, spending=spending, out=tmp_path)
    longer = against_random(talker, spending=spending, out=tmp_path, games=8)
    (usage,) = longer.usage.values()
    assert usage.requests == len(talker.calls)
    assert usage.cost == pytest.approx(len(talker.calls) * 200 / 1e6)


def test_what_may_be_spent_holds_for_all_sessions(talker: ChatServer, tmp_path: Path) -> None:
    def up_to(max_cost: float) -> Tournament:
        spending = Spending({"": Prices(1.0, 10.0)}, max_cost)
        return against_random(talker, spending=spending, games=100, batch=2, out=tmp_path)

    with pytest.raises(PolicyError, match=r"max_cost.*the same command goes on"):
        up_to(0.02)
    asked = len(talker.calls)
    assert 0 < asked * 200 / 1e6 < 0.02
    assert read_episodes(tmp_path / "episodes.jsonl")
    with pytest.raises(PolicyError, match="max_cost"):
        up_to(0.02)
    assert len(talker.calls) * 200 / 1e6 < 0.02
    with pytest.raises(ConfigError, match=r"has cost 0\.0.*earlier sessions.*raise it"):
        up_to(1e-4)


def test_a_sum_of_some_costs_is_not_called_the_whole(talker: ChatServer) -> None:
    small, large = f"{talker.url}#small", f"{talker.url}#large"

    def told(**prices: Prices) -> str:
        by_name = {f"{talker.url}#{name}": each for name, each in prices.items()}
        spending = Spending(by_name)
        found = evaluate([small, large], env="werewolf", settings=TALK, games=2, spending=spending)
        return found.table()

    assert "Cost of those whose prices are known: " in told(small=Prices(1.0, 1.0))
    assert "Cost in all: " in told(small=Prices(1.0, 1.0), large=Prices(2.0, 2.0))


def test_prices_are_of_somebody_who_plays(talker: ChatServer) -> None:
    with pytest.raises(ConfigError, match="no entrant"):
        against_random(talker, spending=Spending({"other": Prices(1.0, 1.0)}))


def test_an_endpoint_that_fails_half_way(tmp_path: Path) -> None:
    def behave(call: Call) -> Act:
        return say("I trust nobody.") if call.number < 5 else refuse(401)

    with ChatServer(behave) as server:
        with pytest.raises(PolicyError, match=r"401.*the same command goes on") as error:
            against_random(server, games=20, batch=2, out=tmp_path)
        assert str(tmp_path) in str(error.value)
        kept = read_episodes(tmp_path / "episodes.jsonl")
        assert kept
        server.behave = lambda call: say("I trust nobody.")
        found = against_random(server, games=20, batch=2, out=tmp_path)
    assert found.matches[0].games == 20
    after = read_episodes(tmp_path / "episodes.jsonl")
    assert all(episode in after for episode in kept)


# --- judges -----------------------------------------------------------------


def judged(server: ChatServer, *rubrics: str, **more: Any) -> Tournament:
    options: dict[str, Any] = {"env": "sotopia", "games": 4} | more
    urls = options.pop("urls", [f"{server.url}#one"])
    with benches_by_url(urls, rubrics or ["sotopia", "omar"]) as benches:
        return evaluate(["scripted", "random"], benches=benches, **options)


def test_the_seven_and_the_five_dimensions(tmp_path: Path) -> None:
    with ChatServer(judging) as server:
        found = judged(server, out=tmp_path)
        asked = len(server.calls)
        assert asked == 8  # four games by two rubrics; the control is judged by nobody
        again = judged(server, out=tmp_path)
        assert len(server.calls) == asked
    assert again.matches == found.matches
    games = [
        episode
        for episode in read_episodes(tmp_path / "episodes.jsonl")
        if len({seat.policy for seat in episode.seats}) == 2
    ]
    match = found.matches[0]
    for rubric in (SOTOPIA, OMAR):
        told = match.judged[rubric.name]
        assert (told.ok, told.failed, told.refused) == (4, 0, 0)
        for dimension in rubric.dimensions:
            args = (dimension.name, dimension.low, dimension.high)
            for side, policy in ((told.a, "scripted"), (told.b, "random")):
                scores = [
                    true_score(seat.name, *args)
                    for game in games
                    for seat in game.seats
                    if seat.policy == policy
                ]
                assert side[dimension.name].value == pytest.approx(sum(scores) / 4)
        assert "overall" in told.differences
    assert "judge one, sotopia" in found.usage
    assert "Judged by omar" in found.table()


def test_what_a_judge_was_asked_is_kept_when_a_run_is_stopped(tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("judged") and done:
            raise TimeoutError("stopped")

    with (
        ChatServer(judging) as server,
        benches_by_url([f"{server.url}#judge"], ["sotopia"]) as benches,
        pytest.raises(TimeoutError, match="stopped"),
    ):
        evaluate(
            ["scripted", "random"],
            env="sotopia",
            settings={"max_turns": 1},
            games=4,
            out=tmp_path,
            benches=benches,
            progress=stop,
        )
    told = [json.loads(line) for line in (tmp_path / "usage.jsonl").read_text().splitlines()]
    # Each line is the session's total so far; how many there are is a matter of time.
    assert {each["name"] for each in told} == {"judge judge, sotopia"}
    assert len({each["session"] for each in told}) == 1
    requests = [each["usage"]["requests"] for each in told]
    assert requests == sorted(requests) and 0 < requests[0] <= requests[-1] <= 4


def test_a_failed_judgement_is_no_zero_and_counts_apart(tmp_path: Path) -> None:
    def behave(call: Call) -> Act:
        return say("I would rather not.") if call.number < 6 else judging(call)

    with ChatServer(behave) as server:
        first = judged(server, "sotopia", out=tmp_path).matches[0].judged["sotopia"]
        assert (first.ok, first.failed, first.refused) == (2, 2, 0)
        assert sum(first.errors.values()) == first.failed + first.refused
        assert all(measure.n == first.ok for measure in first.a.values())
        second = judged(server, "sotopia", out=tmp_path).matches[0].judged["sotopia"]
    assert (second.ok, second.failed, second.refused) == (4, 0, 0)
    assert all(measure.n == 4 for measure in second.a.values())


def test_nobody_judged_is_nobody_scored() -> None:
    class Refusing:
        async def judge(self, episode: Episode) -> JudgeResult:
            return JudgeResult("refused", error="no")

    found = evaluate(
        ["scripted", "random"], env="sotopia", games=2, benches={"mine": Bench(Refusing())}
    ).matches[0]
    told = found.judged["mine"]
    assert (told.ok, told.refused) == (0, 2)
    assert not told.a and not told.b and not told.differences


def test_seeds_that_are_not_wholly_judged_make_no_difference() -> None:
    """What one game alone says would compare other seats."""

    class Half:
        def __init__(self) -> None:
            self.asked = 0

        async def judge(self, episode: Episode) -> JudgeResult:
            self.asked += 1
            if self.asked == 1:
                return JudgeResult("failed", error="once")
            scores = {
                seat.agent: {"wit": 3.0 if seat.policy == "scripted" else 1.0}
                for seat in episode.seats
            }
            return JudgeResult("ok", scores=scores)

    found = evaluate(
        ["scripted", "random"], env="sotopia", games=6, benches={"mine": Bench(Half())}
    ).matches[0]
    told = found.judged["mine"]
    assert told.ok == 5 and told.differences["wit"].seeds == 2
    assert told.differences["wit"].mean == pytest.approx(2.0)
    assert told.a["wit"].n == told.b["wit"].n == 5


def test_agreement_of_several_judges(tmp_path: Path) -> None:
    def strict(call: Call) -> Act:
        return say(json.dumps(answer(call, lambda name, dimension, low, high: low)))

    with ChatServer(judging) as one, ChatServer(strict) as two:
        urls = [f"{one.url}#one", f"{two.url}#two"]
        found = judged(one, "sotopia", urls=urls, out=tmp_path)
    told = found.matches[0].judged["sotopia"]
    goal = told.agreement["goal"]
    assert goal["units"] == 8
    assert goal["deviation"] is not None and goal["deviation"] > 0
    assert "Krippendorff" in found.table()
    assert json.loads(found.to_json())["matches"][0]["judged"]["sotopia"]["agreement"]["goal"]


@pytest.mark.parametrize(
    ("urls", "rubrics", "told"),
    [
        (["http://x/v1#m", "http://x/v1#m"], ["sotopia"], "2 times"),
        (["http://x/v1#m"], ["omar", "omar"], "2 times"),
        (["http://x/v1#m"], ["nothing"], "rubric must be"),
        (["http://x/v1"], ["omar"], "URL#model"),
    ],
)
def test_bad_benches_are_refused(urls: list[str], rubrics: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told), benches_by_url(urls, rubrics):
        pass
