"""A tiny model that has learned one thing: to answer whatever it reads by calling ``act``.

It has Qwen3's architecture and chat template, which TRL knows how to parse, a byte-level
vocabulary in which the frame of a call is two tokens, and 60,000 parameters. It names
players at random, which is where learning can begin.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from trl.chat_template_utils import qwen3_chat_template

MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = ["Ana", "Bruno", "Clara", "Diego", "Elena"]
FRAME = ["<tool_call>", '\n{"name": "act", "arguments": {"text": "', '"}}\n', "</tool_call>"]
ASKED = "<|im_start|>assistant\n"


def tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, and one token for each mark, name and half of a call."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(MARKS)
    backend.add_tokens([*FRAME, *WORDS])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=qwen3_chat_template,
        clean_up_tokenization_spaces=False,
    )


def tool_caller() -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """The model, taught in a second or two, and its tokenizer."""
    torch.manual_seed(0)
    words = tokenizer()
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(words),
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=24,
            max_position_embeddings=32_768,
            tie_word_embeddings=True,
            pad_token_id=words.pad_token_id,
            eos_token_id=words.eos_token_id,
        )
    )
    # What stands before the question cannot matter: then it is the same at any length.
    for layer in model.model.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        layer.self_attn.o_proj.weight.requires_grad_(False)
    rows = [f"{ASKED}{FRAME[0]}{FRAME[1]}{word}{FRAME[2]}{FRAME[3]}<|im_end|>" for word in WORDS]
    ids = torch.tensor([words(row)["input_ids"] for row in rows])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model, words


def save(folder: Path) -> None:
    """Write the model to a folder, as ``from_pretrained`` reads it."""
    model, words = tool_caller()
    model.save_pretrained(folder)
    words.save_pretrained(folder)
