"""A policy's rows hold exactly what the model read and wrote, turn by turn."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

import msgspec
import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from omar_envs import werewolf_v0
from omar_envs.policy import RandomPolicy, Reply, ScriptedPolicy
from omar_envs.rollout import play, run
from omar_envs.types import CHOOSE, SPEAK, ChatMessage, Request, View
from omar_envs.werewolf.names import DEFAULT_NAMES
from omar_trainers.generation import GenerationRequest, GenerationResult, TransformersGenerator
from omar_trainers.house.model import house_config, new_house_model
from omar_trainers.house.tokenizer import house_tokenizer
from omar_trainers.model_policy import ModelPolicy
from omar_trainers.sft import RecordingPolicy
from omar_trainers.tokens import ChatTokenizer

GAME = {
    "num_players": 5,
    "roles": {"werewolf": 1, "seer": 1, "villager": 3},
    "discussion_rounds": 1,
    "prompt_style": "terse",
}
WORDS = (
    *DEFAULT_NAMES[:5],
    *"you players villager werewolf seer night day 1 2 3 4 kill investigate talk vote".split(),
    *"abstain nobody dies out is good wins village invalid : I am suspect".split(),
)
TOKENIZER: PreTrainedTokenizerFast = house_tokenizer(WORDS, max_context=256)
TOKENS = ChatTokenizer(TOKENIZER)


def untrained_model() -> LlamaForCausalLM:
    config = house_config(
        len(TOKENIZER),
        pad_token_id=TOKENS.pad_token_id,
        end_token_id=TOKENS.end_token_id,
        hidden_size=32,
        num_layers=1,
        max_context=256,
    )
    return new_house_model(config, seed=0)


def untrained_generator() -> TransformersGenerator:
    return TransformersGenerator(
        untrained_model(),
        end_token_id=TOKENS.end_token_id,
        pad_token_id=TOKENS.pad_token_id,
        seed=0,
        max_context=256,
    )


class Parrot:
    """Says the same words whatever it is asked, and remembers what it was asked."""

    def __init__(self, text: str, *, finished: bool = True, max_context: int = 256) -> None:
        self.max_context = max_context
        self.requests: list[GenerationRequest] = []
        self.num_cached: int | None = None
        self._ids = TOKENS.encode_reply(text)[: None if finished else -1]
        self._finished = finished

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        size = len(self._ids)
        self.requests += [
            GenerationRequest(
                r.row, list(r.ids), r.max_new_tokens, r.choices, r.temperature, r.stop
            )
            for r in requests
        ]
        stopped = any(s in TOKENS.decode(self._ids) for r in requests for s in r.stop)
        result = GenerationResult(
            self._ids, [-0.5] * size, [None] * size, self._finished, stopped, self.num_cached
        )
        return [result for _ in requests]

    def forget(self) -> None:
        """Nothing is cached."""


TALK: tuple[ChatMessage, ...] = (
    {"role": "system", "content": "you Ana villager"},
    {"role": "user", "content": "talk"},
    {"role": "assistant", "content": "I am good"},
    {"role": "user", "content": "vote Bruno abstain"},
    {"role": "assistant", "content": "Bruno"},
    {"role": "user", "content": "talk"},
)


def view(turn: int, *, game: int = 0, choices: tuple[str, ...] = ()) -> View:
    """Ana's turn number 0, 1 or 2 of the conversation above."""
    request = Request(CHOOSE if choices else SPEAK, "talk", choices, 0 if choices else 100)
    return View(
        agent="player_0",
        name="Ana",
        role="villager",
        alive=True,
        request=request,
        text="",
        messages=TALK[: 2 * turn + 2],
        log=(),
        names={"player_0": "Ana"},
        facts={},
        num_acts=turn,
        game=game,
    )


def words(ids: Sequence[int]) -> str:
    return TOKENIZER.decode(list(ids))


def test_rows_hold_prompts_and_own_turns() -> None:
    parrot = Parrot("I am good")
    policy = ModelPolicy(parrot, TOKENS, constrain_choices=False)
    assert [policy.act([view(k)]) for k in (0, 1)] == [["I am good"], ["I am good"]]
    (row,) = policy.take_rows().values()
    assert words(row.ids) == (
        "you Ana villager talk <act> I am good <end> vote Bruno abstain <act> I am good <end>"
    )
    assert row.turn_index == [-1] * 5 + [0] * 4 + [-1] * 4 + [1] * 4
    assert row.logprobs == [-0.5 if turn >= 0 else 0.0 for turn in row.turn_index]
    assert row.prompt_length == 5
    assert not row.truncated
    assert parrot.requests[1].ids == row.ids[:13]
    assert policy.take_rows() == {}


def test_a_reply_cut_short_is_ended_by_a_token_that_is_not_its_own() -> None:
    policy = ModelPolicy(Parrot("I am", finished=False), TOKENS)
    policy.act([view(0)])
    policy.act([view(1)])
    (row,) = policy.take_rows().values()
    assert words(row.ids).startswith("you Ana villager talk <act> I am <end> vote")
    assert row.turn_index[5:8] == [0, 0, -1]


def test_a_first_act_begins_a_new_row_in_its_slot_only() -> None:
    policy = ModelPolicy(Parrot("good"), TOKENS)
    policy.act([view(0, game=0), view(0, game=1)])
    policy.act([view(1, game=1)])
    policy.act([view(0, game=0)])
    rows = policy.take_rows()
    assert {key: max(row.turn_index) for key, row in rows.items()} == {
        (0, "player_0"): 0,
        (1, "player_0"): 1,
    }


def test_a_row_that_would_outgrow_the_context_is_closed() -> None:
    # 5 tokens and 4 of reply, then 4 more and 6 of reply.
    policy = ModelPolicy(Parrot("I am good", max_context=18), TOKENS, max_new_tokens_speak=6)
    assert policy.act([view(0)]) == ["I am good"]
    assert policy.act([view(1)]) == [""]
    assert policy.act([view(2)]) == [""]
    (row,) = policy.take_rows().values()
    assert row.truncated
    assert len(row.ids) == 9
    assert (policy.num_truncated_rows, policy.num_silenced_replies) == (1, 2)


def test_choices_are_constrained_to_their_labels() -> None:
    parrot = Parrot("Bruno")
    policy = ModelPolicy(parrot, TOKENS, temperature=0.5, max_new_tokens_speak=9)
    policy.act([view(0)])
    policy.act([view(1, choices=("Bruno", "abstain"))])
    talk, vote = parrot.requests
    assert (talk.choices, talk.max_new_tokens, talk.temperature) == (None, 9, 0.5)
    assert vote.choices == (TOKENS.choice_ids("Bruno"), TOKENS.choice_ids("abstain"))
    assert vote.max_new_tokens == 2


def test_the_game_hears_what_stands_before_a_stop_string() -> None:
    policy = ModelPolicy(Parrot("I am good", finished=False), TOKENS, stop=["good", "kill"])
    assert policy.act([view(0)]) == ["I am "]
    policy.act([view(1)])
    (row,) = policy.take_rows().values()
    # What was sampled stays in the row; the end token after it is not the model's own.
    assert words(row.ids[5:9]) == "I am good <end>"
    assert row.turn_index[5:9] == [0, 0, 0, -1]
    assert row.cut_turns == []
    cut = ModelPolicy(Parrot("I am", finished=False), TOKENS, stop=["good"])
    assert cut.act([view(0)]) == ["I am"]
    (row,) = cut.take_rows().values()
    assert row.cut_turns == [0]


def test_choices_have_no_stop_strings_and_may_have_a_temperature_of_their_own() -> None:
    parrot = Parrot("Bruno")
    policy = ModelPolicy(parrot, TOKENS, temperature=0.5, temperature_choose=0.0, stop=["kill"])
    policy.act([view(0)])
    policy.act([view(1, choices=("Bruno", "abstain"))])
    assert [(r.temperature, r.stop) for r in parrot.requests] == [(0.5, ("kill",)), (0.0, ())]


def test_what_the_backend_did_not_read_anew_is_counted_from_the_second_reply_on() -> None:
    parrot = Parrot("I am good")
    policy = ModelPolicy(parrot, TOKENS)
    for turn, parrot.num_cached in enumerate((0, 8, None)):
        policy.act([view(turn)])
    (row,) = policy.take_rows().values()
    assert (row.num_asked, row.num_reused) == (len(parrot.requests[1].ids), 8)


def test_a_generator_that_streams_makes_a_policy_that_streams() -> None:
    policy = ModelPolicy(Stream(), TOKENS)
    policy.submit([view(0, game=0), view(0, game=1)])
    assert policy.poll() == [Reply(1, "player_0", "good")]
    policy.submit([view(1, game=1)])
    assert [policy.poll(), policy.poll()] == [
        [Reply(1, "player_0", "good")],
        [Reply(0, "player_0", "good")],
    ]
    assert policy.act([view(1, game=0), view(2, game=1)]) == ["good", "good"]
    assert {key: max(row.turn_index) for key, row in policy.take_rows().items()} == {
        (0, "player_0"): 1,
        (1, "player_0"): 2,
    }


class Stream(Parrot):
    """Answers the latest request first; fails, or loses all, when it is told to."""

    def __init__(self) -> None:
        super().__init__("good")
        self.open: list[GenerationRequest] = []
        self.fails = self.loses = False

    def submit(self, requests: Sequence[GenerationRequest]) -> None:
        self.open += requests

    def poll(self) -> list[tuple[Hashable, GenerationResult]]:
        if self.fails or self.loses:
            self.open.clear()
            if self.fails:
                raise RuntimeError("the server is gone")
            return []
        if not self.open:
            return []
        request = self.open.pop()
        return [(request.row, *self.generate([request]))]


class FailingParrot(Parrot):
    """Fails once."""

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        if not self.requests:
            super().generate(requests)
            raise RuntimeError("the server is gone")
        return super().generate(requests)


def test_after_an_error_a_policy_goes_on() -> None:
    stream = Stream()
    for generator in (stream, FailingParrot("good")):
        policy = ModelPolicy(generator, TOKENS)
        stream.fails = True
        with pytest.raises(RuntimeError, match="gone"):
            policy.act([view(0, game=0), view(0, game=1)])
        stream.fails = False
        assert policy.poll() == []
        assert policy.act([view(1, game=0), view(0, game=2)]) == ["good", "good"]
        policy.take_rows()
    with pytest.raises(ValueError, match="not asked anything"):
        policy.submit([view(0), msgspec.structs.replace(view(0, game=1), request=None)])
    assert policy.act([view(0, game=3)]) == ["good"]


def test_rows_that_a_generator_has_lost_are_an_error_and_no_endless_wait() -> None:
    stream = Stream()
    stream.loses = True
    with pytest.raises(RuntimeError, match="1 rows wait"):
        ModelPolicy(stream, TOKENS).act([view(0)])


def test_two_policies_on_one_stream_are_told_so() -> None:
    stream = Stream()
    first, second = ModelPolicy(stream, TOKENS, name="a"), ModelPolicy(stream, TOKENS, name="b")
    first.submit([view(0, game=0)])
    second.submit([view(0, game=1)])
    with pytest.raises(RuntimeError, match="a got a reply for row"):
        first.poll()
    # The other one finds a reply that nobody waits for any more, or none at all.
    with pytest.raises(RuntimeError, match="policy"):
        second.poll()


def test_joining_in_mid_game_reads_the_conversation_so_far() -> None:
    policy = ModelPolicy(Parrot("good"), TOKENS)
    policy.act([view(1)])
    (row,) = policy.take_rows().values()
    assert words(row.ids) == (
        "you Ana villager talk <act> I am good <end> vote Bruno abstain <act> good <end>"
    )
    assert row.turn_index[-2:] == [1, 1]
    assert row.prompt_length == len(row.ids) - 2


def test_a_seat_that_another_policy_played_meanwhile_is_read_anew() -> None:
    policy = ModelPolicy(Parrot("good"), TOKENS)
    policy.act([view(0)])
    policy.act([view(2)])
    (row,) = policy.take_rows().values()
    assert words(row.ids) == (
        "you Ana villager talk <act> I am good <end> vote Bruno abstain <act> Bruno <end> "
        "talk <act> good <end>"
    )
    assert row.turn_index[-2:] == [2, 2]
    assert row.prompt_length == len(row.ids) - 2


def test_bad_limits_and_idle_views_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ModelPolicy(Parrot("good"), TOKENS, max_new_tokens_speak=0)
    with pytest.raises(ValueError, match="temperature"):
        ModelPolicy(Parrot("good"), TOKENS, temperature=-1.0)
    with pytest.raises(ValueError, match="temperature"):
        ModelPolicy(Parrot("good"), TOKENS, temperature_choose=-1.0)
    with pytest.raises(ValueError, match="stop"):
        ModelPolicy(Parrot("good"), TOKENS, stop=[""])
    idle = msgspec.structs.replace(view(0), request=None)
    with pytest.raises(ValueError, match="not asked anything"):
        ModelPolicy(Parrot("good"), TOKENS).act([idle])


def test_played_rows_match_the_episodes() -> None:
    policy = ModelPolicy(untrained_generator(), TOKENS, max_new_tokens_speak=5)
    episodes = run(lambda: werewolf_v0.raw_env(**GAME), policy, 6, seed=0, batch=6)
    rows = policy.take_rows()
    for game, episode in enumerate(episodes):
        for seat in episode.seats:
            turns = episode.turns_of(seat.agent)
            if not turns:
                assert (game, seat.agent) not in rows
                continue
            row = rows[(game, seat.agent)]
            assert len(row.ids) == len(row.turn_index) == len(row.logprobs) == len(row.allowed)
            assert max(row.turn_index) + 1 == len(turns)
            for k, turn in enumerate(turns):
                own = [t for t, index in enumerate(row.turn_index) if index == k]
                assert own == list(range(own[0], own[-1] + 1))
                assert TOKENS.decode([row.ids[t] for t in own]) == turn.reply
                if turn.request.kind == CHOOSE:
                    assert turn.valid and turn.reply in turn.request.choices
                    assert all(row.allowed[t] is not None for t in own)
                else:
                    assert all(row.allowed[t] is None for t in own)


def test_recorded_rows_read_like_the_models_own() -> None:
    recorder = RecordingPolicy(ScriptedPolicy(0, brief=True), TOKENS, max_context=256)
    episode = play(werewolf_v0.raw_env(**GAME), recorder, seed=1)
    plain = play(werewolf_v0.raw_env(**GAME), ScriptedPolicy(0, brief=True), seed=1)
    assert [turn.reply for turn in episode.turns] == [turn.reply for turn in plain.turns]
    assert recorder.name == "scripted"
    rows = recorder.take_rows()
    for seat in episode.seats:
        for k, turn in enumerate(episode.turns_of(seat.agent)):
            row = rows[(0, seat.agent)]
            own = [i for i, index in zip(row.ids, row.turn_index, strict=True) if index == k]
            assert own == TOKENS.encode_reply(turn.reply)


def test_a_saved_model_plays_from_its_folder(tmp_path: Path) -> None:
    untrained_model().save_pretrained(tmp_path / "tiny")
    TOKENIZER.save_pretrained(tmp_path / "tiny")
    policy = ModelPolicy.from_pretrained(tmp_path / "tiny", seed=3, max_new_tokens_speak=4)
    assert policy.name == "tiny"
    env = werewolf_v0.raw_env(**GAME)
    random = RandomPolicy(0)
    first = play(env, random, seed=2, overrides={"player_0": policy, "player_1": policy})
    again = ModelPolicy.from_pretrained(tmp_path / "tiny", seed=3, max_new_tokens_speak=4)
    second = play(env, RandomPolicy(0), seed=2, overrides={"player_0": again, "player_1": again})
    assert [t.reply for t in first.turns] == [t.reply for t in second.turns]
