"""A judge behind an endpoint: what it asks, and what its answers are worth."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
import threading
import warnings
from statistics import fmean, median
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs import werewolf_v0
from omar_envs.errors import ConfigError, StateError
from omar_envs.judge import (
    IMPORTANCE,
    OMAR,
    SOTOPIA,
    TURN_QUALITY,
    Dimension,
    OpenAIJudge,
    Rubric,
    judge_from_url,
)
from omar_envs.judge.lineup import Lineup
from omar_envs.judging import reward_of
from omar_envs.types import Episode, JudgeResult
from tests.envs.chat_server import Call, ChatServer, Send, say
from tests.envs.episode_samples import werewolf_game
from tests.envs.games import finish, play
from tests.envs.judge_answers import (
    NAMES,
    SECRETS,
    answer,
    document,
    judge_at,
    judging,
    many_talks,
    subjects,
    talk,
    true_score,
    true_scores,
    with_choice,
)

URL = "http://localhost:8000/v1"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OPENAI_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def ask(episode: Any, behave: Any = judging, **settings: Any) -> tuple[JudgeResult, ChatServer]:
    with ChatServer(behave) as server, judge_at(server, **settings) as judge:
        return asyncio.run(judge.judge(episode)), server


# --- what is asked --------------------------------------------------------------


def test_the_system_message_is_the_rubric_and_the_record_is_data() -> None:
    _, one = ask(talk("Good day.", "Good day to you."))
    _, other = ask(werewolf_game())
    assert one.bodies[0]["messages"][0] == other.bodies[0]["messages"][0]
    system = one.bodies[0]["messages"][0]["content"]
    for dimension in SOTOPIA.dimensions:
        assert f"- {dimension.name}, a whole number from {dimension.low} to" in system
        assert dimension.description in system
    record = document(one.calls[0])
    by_name = {one["name"]: one for one in record["participants"]}
    assert by_name["Ana Sá"]["goal"] == "Ana Sá wants a good price."
    assert by_name["Ana Sá"]["background"] == "Ana Sá sells lamps."
    assert by_name["Ana Sá"]["secret"] == SECRETS["agent_0"]
    assert record["scenario"] == "Two people haggle over a lamp."
    ana, ben = by_name["Ana Sá"]["key"], by_name["Ben Ito"]["key"]
    assert record["relationships"] == [{"agents": [ana, ben], "relationship": "friend"}]
    assert record["outcome"] == {"reason": "left", "left": [ana]}
    assert [(e["from"], e["text"]) for e in record["transcript"]] == [
        (ana, "Good day."),
        (ben, "Good day to you."),
        ("moderator", "The conversation is over."),
    ]
    assert [entry["entry"] for entry in record["transcript"]] == [0, 1, 2]


def test_a_game_is_told_with_roles_and_with_who_heard_what() -> None:
    episode = werewolf_game()
    _, server = ask(episode)
    record = document(server.calls[0])
    keys = {one["name"]: one["key"] for one in record["participants"]}
    roles = {one["name"]: one["role"] for one in record["participants"]}
    assert roles == {seat.name: seat.role for seat in episode.seats}
    first = next(entry for entry in record["transcript"] if entry["from"] != "moderator")
    assert first["heard_by"] == sorted([keys["Ana"], keys["Ema"]])
    assert record["transcript"][0]["heard_by"] == "everyone"
    assert len(record["transcript"]) == len(episode.messages)


@pytest.mark.parametrize("game", [werewolf_game(), play(3, num_players=7)])
def test_no_agents_id_reaches_the_judge(game: Episode) -> None:
    """It would tell the seat, which is what shuffling hides."""
    _, server = ask(game, per_utterance=True)
    for body in server.bodies:
        assert "player_" not in json.dumps(body)


def test_private_reasoning_never_reaches_the_judge() -> None:
    _, server = ask(talk("Good day.", ""), per_utterance=True)
    _, wolves = ask(werewolf_game(), per_utterance=True)
    for body in (*server.bodies, *wolves.bodies):
        sent = json.dumps(body)
        assert "PRIVATE" not in sent
        assert "Ben is sharp" not in sent


def test_the_answer_is_held_to_a_strict_schema_with_reasoning_before_score() -> None:
    _, server = ask(talk("a", "b", "c", seats=3))
    asked = server.bodies[0]["response_format"]["json_schema"]
    assert asked["strict"] is True
    schema = asked["schema"]
    assert schema["required"] == ["participant_1", "participant_2", "participant_3"]
    scores = schema["$defs"]["scores"]
    assert scores["required"] == [dimension.name for dimension in SOTOPIA.dimensions]
    for dimension in SOTOPIA.dimensions:
        form = scores["properties"][dimension.name]
        assert list(form["properties"]) == form["required"] == ["reasoning", "score"]
        allowed = form["properties"]["score"]["enum"]
        assert allowed == list(range(dimension.low, dimension.high + 1))
    for part in (schema, scores, *scores["properties"].values()):
        assert part["additionalProperties"] is False


def test_settings_reach_the_endpoint() -> None:
    _, server = ask(talk("a", "b"), max_tokens=77, temperature=0.5, extra_body={"top_k": 3})
    body = server.bodies[0]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("tiny", 77, 0.5)
    assert body["top_k"] == 3
    assert 0 <= body["seed"] < 2**31
    _, bare = ask(
        talk("a", "b"), schema_answer, temperature=None, max_tokens=None, seed=None, schema="prompt"
    )
    assert bare.bodies[0].keys() == {"model", "messages"}


def schema_answer(call: Call) -> Send:
    """As an endpoint that knows no schema may put it."""
    dimensions = {d.name: {"reasoning": "so", "score": d.high} for d in SOTOPIA.dimensions}
    found = dict.fromkeys(subjects(call), dimensions)
    return say(f"<think>Hm, {{}}.</think>\n```json\n{json.dumps(found)}\n```")


def test_an_endpoint_without_schemas_is_told_the_form() -> None:
    result, server = ask(talk("a", "b"), schema_answer, schema="prompt")
    assert result.status == "ok"
    assert "response_format" not in server.bodies[0]
    assert result.scores is not None
    assert result.scores["agent_0"]["secret"] == 0


# --- what comes back ------------------------------------------------------------


@pytest.mark.parametrize("rubric", [SOTOPIA, OMAR], ids=lambda rubric: rubric.name)
def test_scores_stand_by_agent_whatever_the_order_was(rubric: Rubric) -> None:
    episodes = [*many_talks(12), werewolf_game(), play(3, num_players=7)]
    with ChatServer(judging) as server, judge_at(server, rubric=rubric) as judge:
        results = judge.judge_many(episodes)
    for episode, result in zip(episodes, results, strict=True):
        assert result.status == "ok", result.error
        assert result.scores == true_scores(episode, rubric)
        assert result.reasons is not None
        for seat in episode.seats:
            for dimension in rubric.dimensions:
                told = result.reasons[seat.agent][dimension.name]
                assert told == f"{seat.name}: {dimension.name}"
    first = [document(call)["participants"][0]["name"] for call in server.calls]
    assert {"Ana Sá", "Ben Ito"} <= set(first), "the order is shuffled"


CAST = {f"agent_{n}": name for n, name in enumerate(("Ana", "Ben", "Chloe", "Dev", "Ema"))}


@given(
    seats=st.integers(2, 5),
    seed=st.none() | st.integers(0, 2**40),
    sample=st.integers(0, 9),
    texts=st.lists(st.text(st.characters(exclude_categories=("Cs",))), max_size=4),
)
def test_an_order_is_a_permutation_that_only_the_record_and_the_seed_decide(
    seats: int, seed: int | None, sample: int, texts: list[str]
) -> None:
    episode = talk(*texts, seats=seats, names=CAST)
    lineup = Lineup(episode, seed, sample)
    assert sorted(lineup.agents) == sorted(seat.agent for seat in episode.seats)
    told = [(one["key"], one["name"]) for one in lineup.document["participants"]]
    assert told == [
        (f"participant_{place}", CAST[agent]) for place, agent in enumerate(lineup.agents, start=1)
    ]
    assert lineup.keys == {
        agent: f"participant_{n}" for n, agent in enumerate(lineup.agents, start=1)
    }
    paid = msgspec.structs.replace(episode, rewards={}, seed=9, config={"judged": 10})
    assert Lineup(paid, seed, sample).document == lineup.document
    firsts = [Lineup(episode, seed, sample + more).agents[0] for more in range(seats)]
    assert sorted(firsts) == sorted(lineup.agents), "everybody is first once"


def test_orders_repeat_by_seed_and_differ_by_it() -> None:
    def orders(seed: int | None) -> dict[str, list[str]]:
        with ChatServer(judging) as server, judge_at(server, seed=seed, concurrency=3) as judge:
            judge.judge_many(many_talks(20))
            return {
                document(call)["transcript"][0]["text"]: [
                    one["name"] for one in document(call)["participants"]
                ]
                for call in server.calls
            }

    assert orders(1) == orders(1)
    assert orders(1) != orders(2)
    assert orders(None) == orders(None)


def test_a_result_says_what_gave_it() -> None:
    result, _ = ask(talk("a", "b"), scale="unit")
    assert result.model == "tiny"
    assert result.rubric_version == f"{SOTOPIA.version}/unit"
    assert result.date[:2] == "20" and result.date.endswith("+00:00")
    assert result.error == ""


def test_a_reward_is_the_plain_mean_unless_a_scale_says_otherwise() -> None:
    episode = talk("a", "b")
    truth = true_scores(episode)
    raw, _ = ask(episode)
    assert raw.rewards is None
    assert reward_of(raw, "agent_1") == pytest.approx(fmean(truth["agent_1"].values()))
    unit, _ = ask(episode, scale="unit")
    places = [(truth["agent_1"][d.name] - d.low) / (d.high - d.low) for d in SOTOPIA.dimensions]
    assert reward_of(unit, "agent_1") == pytest.approx(fmean(places))
    assert unit.scores == raw.scores


def test_weights_and_an_affine_map_make_a_reward() -> None:
    rubric = Rubric(
        "mine",
        (Dimension("wit", "How witty?", 0, 4, weight=3), Dimension("tact", "How?", -2, 2)),
        factor=0.5,
        offset=-1,
    )
    episode = talk("a", "b")
    truth = true_scores(episode, rubric)["agent_0"]
    scaled, _ = ask(episode, rubric=rubric, scale="rubric")
    expected = -1 + 0.5 * (3 * truth["wit"] + truth["tact"]) / 4
    assert reward_of(scaled, "agent_0") == pytest.approx(expected)
    unit, _ = ask(episode, rubric=rubric, scale="unit")
    expected = (3 * truth["wit"] / 4 + (truth["tact"] + 2) / 4) / 4
    assert reward_of(unit, "agent_0") == pytest.approx(expected)


def test_the_median_of_samples_each_in_another_order() -> None:
    episode = talk("a", "b", "c", seats=3)
    shifts: dict[tuple[str, ...], int] = {}

    def behave(call: Call) -> Send:
        order = tuple(one["name"] for one in document(call)["participants"])
        shift = shifts.setdefault(order, len(shifts))

        def score(name: str, dimension: str, low: int, high: int) -> int:
            return low + (true_score(name, dimension, low, high) - low + 3 * shift) % (
                high - low + 1
            )

        return say(json.dumps(answer(call, score)))

    with ChatServer(behave) as server, judge_at(server, samples=3, concurrency=1) as judge:
        judgement = asyncio.run(judge.judgement(episode))
    assert len(server.calls) == 3
    assert {order[0] for order in shifts} == set(NAMES.values()), "everybody is first once"
    assert len({body["seed"] for body in server.bodies}) == 3
    scores = [part.scores or {} for part in judgement.parts]
    assert scores[0] != scores[1]
    assert judgement.result.scores == {
        agent: {name: median(each[agent][name] for each in scores) for name in row}
        for agent, row in scores[0].items()
    }


# --- single acts ----------------------------------------------------------------


def test_every_act_is_weighed_and_silence_weighs_nothing() -> None:
    episode = with_choice(talk("Hello.", "Hello!", "", "Four?", "Done.", ""), "agent_1", "lamp")
    result, server = ask(episode, per_utterance=True)
    assert result.status == "ok"
    weight = {
        text: true_score(text, "importance", 0, 3) / 3
        for text in ("Hello.", "Hello!", "Four?", "Done.", "chooses lamp.")
    }
    assert result.importances == {
        "agent_0": (weight["Hello."], 0.0, weight["Done."]),
        "agent_1": (weight["Hello!"], weight["Four?"], 0.0, weight["chooses lamp."]),
    }
    assert result.scores == true_scores(episode)
    assert len(server.calls) == 1 + 2
    about = {document(call).get("participant") for call in server.calls[1:]}
    assert about == {"participant_1", "participant_2"}


def test_whoever_never_acted_is_not_asked_about() -> None:
    result, server = ask(talk("Hello.", "", "Anybody?", ""), per_utterance=True)
    assert result.importances is not None
    assert result.importances["agent_1"] == (0.0, 0.0)
    assert len(server.calls) == 2


def test_unreadable_acts_weigh_nothing_and_are_not_sound() -> None:
    episode = talk("Hello.", "Hello!")
    broken = msgspec.structs.replace(episode.turns[1], valid=False, error="what?")
    episode = msgspec.structs.replace(episode, turns=(episode.turns[0], broken))
    result, _ = ask(episode, per_utterance=True)
    assert result.importances is not None
    assert result.importances["agent_1"] == (0.0,)
    with ChatServer(judging) as server, judge_at(server) as judge:
        quality = asyncio.run(judge.judge_turns(episode))
    assert quality.keep is not None
    assert quality.keep["agent_1"] == (False,)


def test_scores_without_their_importances_are_no_judgement() -> None:
    def behave(call: Call) -> Send:
        return say("no idea") if "acts" in document(call) else judging(call)

    result, _ = ask(talk("a", "b"), behave, per_utterance=True)
    assert result.status == "failed"
    assert result.scores is None and result.importances is None
    assert result.error.startswith("importances: ")


def test_turns_are_sound_or_degenerate() -> None:
    texts = ("Hello.", "Hello!", "asdf asdf", "", "Five.", "Yes.")
    episode = with_choice(talk(*texts), "agent_1", "lamp")
    with ChatServer(judging) as server, judge_at(server) as judge:
        quality = asyncio.run(judge.judge_turns(episode))
    sound = {text: bool(true_score(text, "sound", 0, 1)) for text in texts}
    assert len({sound[text] for text in texts if text}) == 2
    assert quality.status == "ok"
    assert quality.keep == {
        "agent_0": (sound["Hello."], sound["asdf asdf"], sound["Five."]),
        "agent_1": (sound["Hello!"], True, sound["Yes."], True),
    }
    assert quality.reasons is not None
    assert quality.reasons["agent_1"][1] == "" != quality.reasons["agent_1"][0]
    assert (quality.model, quality.rubric_version) == ("tiny", TURN_QUALITY.version)


def test_turns_that_could_not_be_judged() -> None:
    with ChatServer(lambda call: say("?")) as server, judge_at(server) as judge:
        quality = asyncio.run(judge.judge_turns(talk("a", "b")))
    assert (quality.status, quality.keep) == ("failed", None)
    assert "not one JSON object" in quality.error


# --- in an environment ----------------------------------------------------------


def test_a_judge_pays_in_an_environment() -> None:
    with ChatServer(judging) as server, judge_at(server, scale="unit") as judge:
        env = werewolf_v0.raw_env(num_players=5, judge=judge, judge_weight=2.0)
        env.reset(seed=4)
        episode = finish(env)
        assert len(server.calls) == 1
    for agent in env.possible_agents:
        assert env.infos[agent]["judge_status"] == "ok"
    result = env.judgement
    assert result is not None and result.rewards is not None
    for agent, parts in episode.rewards.items():
        assert parts["judge"] == pytest.approx(2 * result.rewards[agent])


def test_importances_divide_what_a_judge_pays() -> None:
    with ChatServer(judging) as server, judge_at(server, per_utterance=True) as judge:
        env = werewolf_v0.raw_env(num_players=5, judge=judge)
        env.reset(seed=4)
        episode = finish(env)
    result = env.judgement
    assert result is not None and result.importances is not None
    for agent, shares in result.importances.items():
        paid = [turn.reward_components["judge"] for turn in episode.turns_of(agent)]
        assert paid == pytest.approx([share * reward_of(result, agent) for share in shares])


def test_a_judge_that_fails_leaves_its_component_out() -> None:
    with ChatServer(lambda call: say("no")) as server, judge_at(server) as judge:
        env = werewolf_v0.raw_env(num_players=5, judge=judge)
        env.reset(seed=4)
        episode = finish(env)
    assert {parts["judge"] for parts in episode.rewards.values()} == {None}
    assert {env.infos[agent]["judge_status"] for agent in env.possible_agents} == {"failed"}


# --- the judge's life -----------------------------------------------------------


def test_it_may_be_awaited_in_any_loop_many_times_at_once() -> None:
    episodes = many_talks(9)

    async def all_of_them() -> list[JudgeResult]:
        return await asyncio.gather(*(judge.judge(episode) for episode in episodes))

    with ChatServer(judging) as server, judge_at(server, concurrency=4) as judge:
        first = asyncio.run(all_of_them())
        assert [result.scores for result in asyncio.run(all_of_them())] == [
            result.scores for result in first
        ]
        assert server.peak <= 4
        assert judge.usage.requests == 18

        async def cell() -> list[JudgeResult]:
            return judge.judge_many(episodes[:2])  # as a notebook would

        assert len(asyncio.run(cell())) == 2


def test_progress_is_told_as_it_comes() -> None:
    told: dict[int, JudgeResult] = {}
    with ChatServer(judging) as server, judge_at(server) as judge:
        results = judge.judge_many(many_talks(5), lambda n, done: told.update({n: done.result}))
    assert [told[number] for number in range(5)] == results


def test_a_closed_judge_says_so() -> None:
    threads = threading.active_count()
    judge = OpenAIJudge("tiny", base_url=URL)
    judge.close()
    judge.close()
    assert threading.active_count() == threads
    with pytest.raises(StateError, match="closed"):
        judge.judge_many([talk("a", "b")])


def test_an_episode_that_makes_no_sense_is_a_failed_judgement() -> None:
    episode = talk("a", "b")
    odd = msgspec.structs.replace(episode, outcome={"setting": {"scenario": 7}})
    result, server = ask(odd)
    assert result.status == "failed"
    assert "scenario" in result.error
    assert server.calls == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": "best"},
        {"samples": 0},
        {"seed": -1},
        {"temperature": -1},
        {"temperature": float("nan")},
        {"max_tokens": 0},
        {"schema": "loose"},
        {"concurrency": 0},
        {"extra_body": {"response_format": {}}},
        {"extra_body": {"max_tokens": 10}},
        {"extra_body": {"max_completion_tokens": 10}},
        {"extra_body": {"seed": 10}},
        {"extra_body": {"x": object()}},
        {"samples": 1.5},
        {"seed": 1.5},
        {"temperature": True},
        {"temperature": "0"},
        {"max_tokens": 1.5},
        {"concurrency": 1.5},
        {"timeout": "3"},
        {"max_retries": 1.5},
        {"prices": 5},
        {"prices": (1,)},
        {"prices": (1, 2, 3)},
        {"prices": ("1", "2")},
        {"max_cost": "1", "prices": (1, 2)},
        {"rubric": "sotopiaa"},
        {"rubric": 3},
        {"max_cost": 1.0},
        {"rubric": TURN_QUALITY},
        {"rubric": IMPORTANCE},
    ],
)
def test_wrong_settings_fail_at_construction(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        OpenAIJudge("tiny", **{"base_url": URL, **wrong})


def test_a_rubric_may_be_named() -> None:
    with OpenAIJudge("tiny", base_url=URL, rubric="omar") as judge:
        assert judge.version == f"{OMAR.version}/raw"


def in_child(work: Any) -> str:
    """What a forked process, which shares no thread with this one, says of it."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child = os.fork()
    if child == 0:
        try:
            said = repr(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        ready, _, _ = select.select([pipe], [], [], 30)
        if not ready:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return pipe.read().decode() if ready else "hangs"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_judge_from_before_a_fork_is_refused_not_waited_for() -> None:
    episode = talk("a", "b")
    with ChatServer(judging) as server, judge_at(server) as judge:
        judge.judge_many([episode])
        for work in (
            lambda: judge.judge_many([episode]),
            lambda: asyncio.run(judge.judge(episode)),
        ):
            said = in_child(work)
            assert said.startswith("StateError") and "another process" in said
        assert in_child(judge.close) == "None"
        assert judge.judge_many([episode])[0].status == "ok"


def test_a_cache_that_cannot_be_made(tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cache"):
        OpenAIJudge("tiny", base_url=URL, cache=tmp_path / "file")


def test_a_judge_from_one_word() -> None:
    with (
        ChatServer(judging) as server,
        judge_from_url(f"{server.url}#org/tiny", rubric=OMAR) as judge,
    ):
        (result,) = judge.judge_many([talk("a", "b")])
    assert (result.status, result.model) == ("ok", "org/tiny")
    with pytest.raises(ConfigError, match="URL#model"):
        judge_from_url("tiny")
