"""The filter of degenerate turns: rules on any text, and a judge that may fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs.errors import ConfigError
from omar_envs.judge import TurnQuality
from omar_envs.metering import Usage
from omar_envs.policy import ScriptedPolicy
from omar_envs.rollout import make, run
from omar_envs.types import (
    CHOOSE,
    SCHEMA_VERSION,
    SPEAK,
    Episode,
    JudgeResult,
    Message,
    Request,
    Seat,
    StageRecord,
    Turn,
)
from omar_trainers.filters import (
    COPYING,
    CUT,
    EMPTY,
    JUDGE,
    KEPT,
    LENGTH,
    REPETITION,
    SCRIPT,
    JudgeFilter,
    RuleFilter,
    TurnRules,
    dropped_by_rules,
    repeated_speeches,
    words,
)
from omar_trainers.house import house_directory
from omar_trainers.metrics import round_means
from omar_trainers.rows import TokenRow
from omar_trainers.selfplay import PlayedGames, SelfPlayRound
from omar_trainers.trainer import OMARTrainer
from tests.trainers.fake_games import tiny_settings

SAY = Request(SPEAK, "say", max_chars=500)


def talk(*said: tuple[str, str], private_to: str | None = None) -> Episode:
    """An episode in which agents speak one after the other, all in public or to one agent."""
    agents = sorted({agent for agent, _ in said} | ({private_to} if private_to else set()))
    turns = tuple(
        Turn(k, agent, SAY, text, text, True, "", {"outcome": 0.0})
        for k, (agent, text) in enumerate(said)
    )
    audience = None if private_to is None else (private_to,)
    return episode_of(
        agents,
        turns,
        tuple(
            Message(t.turn, t.agent, audience, "speech", t.text) for t in turns if t.text.strip()
        ),
    )


def episode_of(
    agents: list[str], turns: tuple[Turn, ...], messages: tuple[Message, ...] = ()
) -> Episode:
    return Episode(
        schema_version=SCHEMA_VERSION,
        env="fake_v0",
        config={},
        seed=0,
        seats=tuple(Seat(agent, agent) for agent in agents),
        stages=tuple(StageRecord(turn.turn, "talk", "") for turn in turns),
        messages=messages,
        turns=turns,
        rewards={agent: {"outcome": 0.0} for agent in agents},
        outcome={},
        terminated=True,
        truncated=False,
    )


def reasons(*said: str, cut: tuple[int, ...] = (), **rules: Any) -> tuple[str, ...]:
    """What becomes of one agent's speeches."""
    episode = talk(*(("a", text) for text in said))
    return dropped_by_rules(episode, TurnRules(**rules), {"a": cut})["a"]


# --- rules --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I think that Ana lied about the vote.", KEPT),
        ("Yes.", KEPT),
        ("no no", KEPT),
        ("20 for me, 10 for you", KEPT),
        ("trust me trust me trust me trust me", REPETITION),
        ("Trust me, TRUST me... trust ME! trust me", REPETITION),
        ("我信我信我信我信我信", REPETITION),
        ("我觉得安娜昨天说了谎，请大家投她。", KEPT),
        ("昨日の話は信じられない", KEPT),
        ("ha" * 60, REPETITION),
        ("... !?", EMPTY),
        ("\u200b\u2028", EMPTY),
        ("🙂🙂🙂", EMPTY),
    ],
)
def test_one_speech(text: str, reason: str) -> None:
    assert reasons(text) == (reason,)


def test_bounds_are_shares_above_which_speech_is_dropped() -> None:
    speech = "one two three one two three"  # 4 trigrams, 1 of them a repeat
    assert reasons(speech, repetition=0.25) == (KEPT,)
    assert reasons(speech, repetition=0.24) == (REPETITION,)
    assert reasons("spam " * 50, repetition=1.0) == (KEPT,)


def test_a_copy_is_of_one_message_that_the_seat_had_read() -> None:
    first, second = "I saw Ana leave at night", "nobody left the house today"
    assert reasons(first, first) == (KEPT, COPYING)
    # Half from one message and half from another is no copy of one.
    assert reasons(first, second, f"{first} {second}")[2] == KEPT
    both = talk(("a", first), ("b", first))
    assert dropped_by_rules(both, TurnRules()) == {"a": (KEPT,), "b": (COPYING,)}
    # What b was not told, it cannot have copied.
    whispered = talk(("a", first), ("b", first), private_to="c")
    assert dropped_by_rules(whispered, TurnRules())["b"] == (KEPT,)
    assert reasons(first, first, copying=1.0) == (KEPT, KEPT)
    assert reasons("two words", "two words") == (KEPT, KEPT)


def test_copying_within_a_stage_counts_only_what_was_said_before() -> None:
    turns = tuple(Turn(0, a, SAY, "we vote for Ben", "we vote for Ben", True, "", {}) for a in "ab")
    log = tuple(Message(0, a, None, "speech", "we vote for Ben") for a in "ab")
    found = dropped_by_rules(episode_of(["a", "b"], turns, log), TurnRules())
    assert found == {"a": (KEPT,), "b": (COPYING,)}


def test_long_cut_and_foreign_speech() -> None:
    assert reasons("one two three", words=2) == (LENGTH,)
    assert reasons("one two", words=2) == (KEPT,)
    assert reasons("我是村民", words=3) == (LENGTH,)
    assert reasons("a whole speech", "half a spee", cut=(1,)) == (KEPT, CUT)
    assert reasons("Я голосую за Ану", script="LATIN") == (SCRIPT,)
    assert reasons("Я голосую за Ану", script="cyrillic") == (KEPT,)
    assert reasons("Ana: да", script="LATIN") == (KEPT,)
    assert reasons("da, нет", script="LATIN") == (SCRIPT,)
    assert reasons("12 : 30", script="LATIN") == (KEPT,)


def test_only_readable_speech_is_judged() -> None:
    babble = "spam " * 9
    silence = Request(SPEAK, "say", max_chars=9, may_pass=True)
    turns = (
        Turn(0, "a", SAY, babble, babble, False, "too long", {}),
        Turn(1, "a", Request(CHOOSE, "pick", (babble,)), babble, babble, True, "", {}),
        Turn(2, "a", silence, "", "", True, "", {}),
        Turn(3, "a", SAY, babble, babble, True, "", {}),
    )
    found = dropped_by_rules(episode_of(["a"], turns), TurnRules(), {"a": range(3)})
    assert found == {"a": (KEPT, KEPT, KEPT, REPETITION)}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=60)), max_size=8))
def test_any_text_gets_one_reason_per_act(said: list[tuple[str, str]]) -> None:
    episode = talk(*said)
    strict = TurnRules(repetition=0.0, copying=0.0, words=3, script="LATIN")
    lenient = TurnRules(repetition=1.0, copying=1.0)
    for rules in (strict, lenient):
        found = dropped_by_rules(episode, rules)
        assert {agent: len(each) for agent, each in found.items()} == {
            seat.agent: len(episode.turns_of(seat.agent)) for seat in episode.seats
        }
    assert {r for each in found.values() for r in each} <= {KEPT, EMPTY}


@given(st.text(alphabet="abcXYZ .,!'", max_size=50))
def test_case_and_punctuation_do_not_matter(text: str) -> None:
    assert words(text) == words(f"«{text.upper()}…»")


def test_an_unknown_script_is_refused() -> None:
    for name in ("KLINGON", "LATIN}|.", ""):
        with pytest.raises(ConfigError, match="no Unicode script"):
            RuleFilter(TurnRules(script=name))


def test_word_for_word_repetition_in_a_game() -> None:
    game = talk(("a", "I pass, today."), ("b", "i pass today"), ("a", "Ben lies"), ("b", "?"))
    assert repeated_speeches(game) == (2, 3)
    assert repeated_speeches(talk(("a", "x y"), ("b", "x z"))) == (0, 2)


# --- in a round ---------------------------------------------------------------


def played(*episodes: Episode, cut: tuple[int, ...] = ()) -> PlayedGames:
    """Rows of two tokens per act."""
    rows = {}
    for game, episode in enumerate(episodes):
        for seat in episode.seats:
            row = rows[game, seat.agent] = TokenRow(game, seat.agent, cut_turns=list(cut))
            for number in range(len(episode.turns_of(seat.agent))):
                row.read([5])
                row.write(number, [6, 7], [-1.0, -1.0], [None, None])
    return PlayedGames(list(episodes), rows)


def test_dropped_turns_reach_the_rows_and_the_log() -> None:
    games = played(talk(("a", "hello all"), ("b", "trust me " * 5), ("a", "!!")), cut=(2,))
    rows = SelfPlayRound(games, seats=3, filler=0, turn_filter=RuleFilter(TurnRules()))
    assert [row.keep_turn for row in rows.rows] == [[True, False], [False], []]
    means = {name: mean.value for name, mean in round_means(rows).items()}
    assert means["filter/dropped"] == pytest.approx(2 / 3)
    assert means["filter/empty"] == means["filter/repetition"] == pytest.approx(1 / 3)
    assert means["filter/copying"] == means["filter/unjudged"] == 0.0
    plain = SelfPlayRound(games, seats=3, filler=0)
    assert [row.keep_turn for row in plain.rows] == [[True, True], [True], []]
    assert not [name for name in round_means(plain) if name.startswith("filter/")]


class Opinions:
    """A judge of acts that fails on games without the agent ``a``."""

    async def judge_turns(self, episode: Episode) -> TurnQuality:
        if all(seat.agent != "a" for seat in episode.seats):
            return TurnQuality("failed", error="no idea")
        return TurnQuality(
            "ok",
            keep={
                seat.agent: tuple("bad" not in t.text for t in episode.turns_of(seat.agent))
                for seat in episode.seats
            },
        )


def test_a_judge_drops_speech_and_its_failures_drop_nothing() -> None:
    choice = Turn(1, "a", Request(CHOOSE, "pick", ("bad",)), "bad", "bad", True, "", {})
    said = talk(("a", "bad words"), ("b", "good words"))
    mixed = episode_of(["a", "b"], (said.turns[0], choice, said.turns[1]))
    rows = SelfPlayRound(
        played(mixed, talk(("c", "bad words"))),
        seats=2,
        filler=0,
        turn_filter=JudgeFilter(Opinions()),
    )
    assert [row.keep_turn for row in rows.rows] == [[False, True], [True], [True], []]
    means = {name: mean.value for name, mean in round_means(rows).items()}
    assert means[f"filter/{JUDGE}"] == pytest.approx(1 / 3)
    assert means["filter/unjudged"] == 0.5


class Billed(Opinions):
    """The same judge, that counts."""

    def __init__(self) -> None:
        self.usage = Usage(requests=7)

    async def judge_turns(self, episode: Episode) -> TurnQuality:
        self.usage = Usage(self.usage.requests + 1)
        return await super().judge_turns(episode)


def test_what_the_filter_asks_is_counted_with_what_the_games_asked() -> None:
    games = played(talk(("a", "good")), talk(("a", "bad")))
    for asked, calls in ((None, 1.0), (Usage(requests=4), 3.0)):
        rows = SelfPlayRound(
            games._replace(judge_usage=asked), seats=1, filler=0, turn_filter=JudgeFilter(Billed())
        )
        assert round_means(rows)["judge/calls"].value == calls


def test_a_judge_of_whole_games_is_refused() -> None:
    for judge, words_of_it in ((None, "there is none"), (object(), "object does not")):
        with pytest.raises(ConfigError, match=words_of_it):
            JudgeFilter(judge)


class OfWholeGames:
    """A judge that pays, but cannot tell turns apart."""

    async def judge(self, episode: Episode) -> JudgeResult:
        return JudgeResult("failed")


def test_the_trainer_takes_the_judge_of_the_environment_or_its_own(tmp_path: Path) -> None:
    settings = {
        "env_name": "werewolf_v0",
        "env_kwargs": {"num_players": 5, "judge": OfWholeGames()},
        "seats": 5,
        "per_device_train_batch_size": 10,
        "turn_filter": "judge",
        "advantage": "rae",
    }
    start = str(house_directory())
    with pytest.raises(ConfigError, match="OfWholeGames does not"):
        OMARTrainer(start, tiny_settings(tmp_path, **settings))
    OMARTrainer(start, tiny_settings(tmp_path, **settings), turn_judge=Opinions())


def test_ordinary_talk_passes() -> None:
    games = run(lambda: make("werewolf_v0"), ScriptedPolicy(0), 8, seed=1)
    # Bots have a phrase book, so that copying says nothing of them.
    filtered = RuleFilter(TurnRules(copying=1.0, script="LATIN"))(games, [{}] * len(games))
    assert sum(filtered.counts().values()) == 0 < filtered.speeches
