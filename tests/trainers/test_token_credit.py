"""Sample games with their tokens' credit, as a training run leaves them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from omar_envs.replay import SeatTokens, read_for_replay, render_html
from omar_trainers.shown.token_credit import token_texts
from omar_trainers.trainer import OMARTrainer
from tests.trainers.fake_games import play_fake_games, save_tiny_model, tiny_settings


def trained(tmp_path: Path, **settings: object) -> Path:
    start = save_tiny_model(tmp_path / "start")
    args = tiny_settings(tmp_path / "out", total_iterations=1, **settings)
    OMARTrainer(start, args, play=play_fake_games).train()
    return tmp_path / "out"


@pytest.mark.slow
def test_a_run_leaves_its_games_with_their_credit(tmp_path: Path) -> None:
    out = trained(tmp_path, log_games=2, advantage="hierarchical")
    read = read_for_replay([out])
    assert [path.name for path in read.files] == ["iteration-000001.jsonl"]
    assert len(read.episodes) == len(read.token_data) == 2
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "start")
    for episode, data in zip(read.episodes, read.token_data, strict=True):
        assert data.estimator == "hierarchical"
        assert [seat.agent for seat in data.seats] == [seat.agent for seat in episode.seats]
        for seat in data.seats:
            acts = episode.turns_of(seat.agent)
            assert len(seat.turns) == len(acts)
            for turn, act in zip(seat.turns, acts, strict=True):
                # These games record the ids that were sampled as the reply.
                sampled = [int(word) for word in act.reply.split()]
                assert tokenizer.encode("".join(turn.tokens)) == sampled
                assert turn.learned
                assert len(turn.advantages) == len(turn.values) == len(turn.tokens)
                # The written-back reward: the last token of a turn has the turn's advantage.
                assert turn.advantages[-1] == pytest.approx(turn.advantage, rel=1e-3, abs=1e-5)
            assert the_last_is_what_the_game_paid(seat)
    render_html(read.episodes, token_data=read.token_data)


def the_last_is_what_the_game_paid(seat: SeatTokens) -> bool:
    """A_K = R_K − V(e_K): after the last turn of an ended game there is nothing to come."""
    last = seat.turns[-1]
    assert last.reward is not None and last.values[-1] is not None
    return last.advantage == pytest.approx(last.reward - last.values[-1], rel=1e-3, abs=1e-4)


@pytest.mark.slow
def test_without_a_critic_there_are_no_values_and_it_can_be_switched_off(tmp_path: Path) -> None:
    out = trained(tmp_path / "rae", log_games=1, advantage="rae")
    (data,) = read_for_replay([out]).token_data
    turns = [turn for seat in data.seats for turn in seat.turns]
    assert turns and all(not turn.values and turn.advantage is None for turn in turns)
    assert all(len(set(turn.advantages)) <= 1 for turn in turns)
    games = trained(tmp_path / "off", log_games=1, log_credit=False) / "games"
    assert [path.name for path in games.iterdir()] == ["iteration-000001.txt"]


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token for each byte."""
    alphabet = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@pytest.mark.parametrize("text", ["", "a wolf", "žluť 🐺 né", "🐺", "  two  spaces\n"])
def test_the_texts_of_tokens_join_to_the_text(text: str) -> None:
    tokenizer = byte_tokenizer()
    ids = tokenizer.encode(text)
    texts = token_texts(tokenizer, ids)
    assert "".join(texts) == text
    assert len(texts) == len(ids) == len(text.encode())
    assert "\ufffd" not in "".join(texts)
    # Cut inside a character, the rest is not lost.
    assert len(token_texts(tokenizer, ids[:-1])) == len(ids[:-1])
