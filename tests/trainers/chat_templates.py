"""Small tokenizers with the chat templates of well-known models."""

from __future__ import annotations

from importlib.resources import files

from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
FORGETFUL = SMOLLM2.replace(
    "+ message['content'] +",
    "+ (message['content'] if message['role'] != 'assistant' else '...') +",
)
"""Leaves earlier replies out."""

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEXT = (
    "You are Ana, a villager. Answer with one of: Ana, Anabel, Bruno, abstain.\n\n"
    "user assistant system I suspect Bruno is a werewolf. I vote for Anabel\n"
) * 4


def qwen3_template() -> str:
    """The stock template of Qwen3, which strips earlier thinking."""
    return (files("trl") / "chat_templates" / "qwen3.jinja").read_text()


def chatml_tokenizer(template: str | None = SMOLLM2) -> PreTrainedTokenizerFast:
    """A byte-level BPE of a few hundred tokens."""
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = ByteLevel(add_prefix_space=False)
    backend.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=330,
        special_tokens=list(SPECIAL),
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([_TEXT], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        clean_up_tokenization_spaces=False,
        chat_template=template,
    )
