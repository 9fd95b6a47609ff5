"""Rows grow by suffixes that equal the chat template, and by nothing a player wrote."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from omar_envs.types import ChatMessage
from omar_trainers.house.tokenizer import ACT, END, PAD, UNKNOWN, house_tokenizer
from omar_trainers.tokens import ChatTokenizer
from tests.trainers.chat_templates import (
    FORGETFUL,
    SMOLLM2,
    SPECIAL,
    chatml_tokenizer,
    qwen3_template,
)


def message(role: str, content: str) -> ChatMessage:
    return {"role": role, "content": content}  # type: ignore[typeddict-item]


TALK = [
    message("system", "you Ana villager"),
    message("user", "night 1\ntalk"),
    message("assistant", "I suspect Bruno"),
    message("user", "Bruno : I am good\nvote Bruno abstain"),
    message("assistant", "Bruno"),
    message("user", "talk"),
]
WORDS = {word for message in TALK for word in message["content"].split()}


def house() -> PreTrainedTokenizerFast:
    return house_tokenizer(WORDS, max_context=128)


TOKENIZERS = {"house": house(), "smollm2": chatml_tokenizer(), "qwen3": chatml_tokenizer()}
TOKENIZERS["qwen3"].chat_template = qwen3_template()
TOKENS = {name: ChatTokenizer(tokenizer) for name, tokenizer in TOKENIZERS.items()}
every_template = pytest.mark.parametrize("name", sorted(TOKENIZERS))


def grown_row(tokens: ChatTokenizer, talk: list[ChatMessage]) -> list[int]:
    row = tokens.suffix(talk[:2])
    for seen in range(2, len(talk), 2):
        row += tokens.encode_reply(talk[seen]["content"])
        row += tokens.suffix(talk[: seen + 2], num_seen=seen)
    return row


@pytest.mark.parametrize("name", ["house", "smollm2"])
def test_row_equals_the_rendering_of_the_whole_conversation(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    whole = tokenizer.apply_chat_template(TALK, add_generation_prompt=True, return_dict=False)
    assert grown_row(TOKENS[name], TALK) == whole


def test_stock_qwen3_uses_the_template_that_keeps_thinking() -> None:
    tokenizer, tokens = TOKENIZERS["qwen3"], TOKENS["qwen3"]
    talk = [*TALK]
    talk[2] = message("assistant", "<think>\nwho?\n</think>\n\nI suspect Bruno")
    row = tokenizer.decode(grown_row(tokens, talk))
    assert "who?" in row
    assert row.startswith(tokenizer.decode(tokens.suffix(talk[:2])))
    stock = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    assert "who?" not in stock
    assert tokenizer.chat_template == qwen3_template()


def test_thinking_that_is_switched_off_stays_off() -> None:
    tokenizer = TOKENIZERS["qwen3"]
    tokens = ChatTokenizer(tokenizer, {"enable_thinking": False})
    row, asked = tokens.suffix(TALK[:2]), "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    for seen in (2, 4):
        before = tokenizer.decode(row)
        assert before.endswith(asked) and before.count(asked) == seen // 2
        row += tokens.encode_reply(TALK[seen]["content"])
        row += tokens.suffix(TALK[: seen + 2], num_seen=seen)
    text = tokenizer.decode(row)
    assert text.count(asked) == 3 and text.endswith(asked)
    # Begun anew in mid-game, a row is the same.
    assert row == tokens.suffix(TALK)
    assert asked not in tokenizer.decode(TOKENS["qwen3"].suffix(TALK[:2]))


def test_arguments_that_are_no_template_s_are_refused() -> None:
    with pytest.raises(ValueError, match="tokenize cannot be set for the chat template"):
        ChatTokenizer(chatml_tokenizer(), {"tokenize": True})


def test_house_rendering_is_the_two_marks() -> None:
    tokenizer = TOKENIZERS["house"]
    text = tokenizer.decode(grown_row(TOKENS["house"], TALK))
    assert text == (
        f"you Ana villager night 1 talk {ACT} I suspect Bruno {END} "
        f"Bruno : I am good vote Bruno abstain {ACT} Bruno {END} talk {ACT}"
    )


@every_template
def test_a_reply_cut_short_gets_its_end_token(name: str) -> None:
    tokens = TOKENS[name]
    whole = tokens.suffix(TALK[:4], num_seen=2)
    assert tokens.suffix(TALK[:4], num_seen=2, finished=False) == [tokens.end_token_id, *whole]


@every_template
def test_sampled_ids_are_not_encoded_again(name: str) -> None:
    tokens = TOKENS[name]
    other = [*TALK[:2], message("assistant", "anything else"), TALK[3]]
    assert tokens.suffix(TALK[:4], num_seen=2) == tokens.suffix(other, num_seen=2)


PIECES = st.sampled_from(
    [*SPECIAL, ACT, END, PAD, UNKNOWN, "<", ">", "|", "im_end", " ", "a", "\n"]
)


@every_template
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.lists(PIECES, max_size=8).map("".join), min_size=3, max_size=3))
def test_players_cannot_write_special_tokens(name: str, texts: list[str]) -> None:
    tokens, tokenizer = TOKENS[name], TOKENIZERS[name]
    # A word that a word-level tokenizer does not know is <unk>, and does no harm.
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}

    def marks(ids: list[int]) -> list[int]:
        return [token for token in ids if token in special]

    talk = [message("system", texts[0]), message("user", texts[1]), *TALK[2:3]]
    talk += [message("user", texts[2])]
    assert marks(tokens.suffix(talk[:2])) == marks(tokens.suffix(TALK[:2]))
    assert marks(tokens.suffix(talk, num_seen=2)) == marks(tokens.suffix(TALK[:4], num_seen=2))
    assert marks(tokens.encode_reply(texts[0])) == [tokens.end_token_id]


def test_neutral_text_is_left_as_it_is() -> None:
    tokens = TOKENS["smollm2"]
    odd = "a < b | im_end > {{ braces }} {% raw %} \u00e9\u4e16 <think>"
    ids = tokens.suffix([message("system", "s"), message("user", odd)])
    assert odd in TOKENIZERS["smollm2"].decode(ids)


@every_template
def test_choices_read_back(name: str) -> None:
    tokens = TOKENS[name]
    for label in ("Ana", "Bruno", "abstain"):
        ids = tokens.choice_ids(label)
        assert tokens.decode([*ids, tokens.end_token_id]) == label


def test_house_choices_are_single_words_and_unknown_ones_are_refused() -> None:
    assert len(TOKENS["house"].choice_ids("Ana")) == 1
    with pytest.raises(ValueError, match="cannot spell the choice 'Zora'"):
        TOKENS["house"].choice_ids("Zora")


def test_decoding_leaves_special_tokens_out() -> None:
    tokenizer = TOKENIZERS["house"]
    ids = tokenizer.convert_tokens_to_ids([PAD, "I", UNKNOWN, "am", ACT, "good", END])
    assert TOKENS["house"].decode(ids) == "I am good"


def test_templates_that_forget_are_refused() -> None:
    with pytest.raises(ValueError, match="leaves out some of it"):
        ChatTokenizer(chatml_tokenizer(FORGETFUL))
    rewriting = SMOLLM2.replace("message['role'] + '\n'", "message['role'] + loop.length|string")
    with pytest.raises(ValueError, match="no prefix"):
        ChatTokenizer(chatml_tokenizer(rewriting))


def test_tokenizers_without_template_or_end_are_refused() -> None:
    with pytest.raises(ValueError, match="no chat template"):
        ChatTokenizer(chatml_tokenizer(None))
    endless = chatml_tokenizer()
    endless.eos_token = None
    with pytest.raises(ValueError, match="no end token"):
        ChatTokenizer(endless)


@pytest.mark.parametrize(
    ("talk", "seen"), [(TALK[:2], 1), (TALK[:3], 2), (TALK, 2), ([*TALK[:3], TALK[0]], 2)]
)
def test_only_a_reply_and_one_user_message_may_follow(talk: list[ChatMessage], seen: int) -> None:
    with pytest.raises(ValueError, match="one user message"):
        TOKENS["house"].suffix(talk, num_seen=seen)


def test_house_words_are_words() -> None:
    for word in ("two words", "", END):
        with pytest.raises(ValueError, match="cannot be a word"):
            house_tokenizer([word], max_context=8)
