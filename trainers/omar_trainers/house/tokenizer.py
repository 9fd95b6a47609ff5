"""The house model's words: one token each, and a chat template of two marks."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, ACT, END = SPECIAL = ("<pad>", "<unk>", "<act>", "<end>")
"""Padding; any word outside the list; ends a user message; ends a reply."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '' if loop.first else ' ' }}{{ message['content'] }}"
    f"{{% if message['role'] == 'user' %}}{{{{ ' {ACT}' }}}}"
    f"{{% elif message['role'] == 'assistant' %}}{{{{ ' {END}' }}}}{{% endif %}}"
    "{% endfor %}"
)
"""Every rendering is a prefix of the next; ``<act>`` is the prompt to reply."""


def house_tokenizer(words: Iterable[str], *, max_context: int) -> PreTrainedTokenizerFast:
    """A tokenizer that knows these words, and joins them by single spaces.

    Args:
        words: without white space; their order does not matter.
        max_context: longest row, in tokens.

    Raises:
        ValueError: a word holds white space or is a special token.
    """
    listed = sorted(set(words))
    for word in listed:
        if word.split() != [word] or word in SPECIAL:
            raise ValueError(f"{word!r} cannot be a word of the house tokenizer")
    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *listed))}
    backend = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    backend.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[ACT],
        clean_up_tokenization_spaces=False,
        model_max_length=max_context,
        chat_template=CHAT_TEMPLATE,
    )
