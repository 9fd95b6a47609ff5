"""The house model: a stock Llama of about 0.3 M parameters that copies well.

A model this small learns to name a player it has just read about only if
copying is easy, and two things make it easy from the start:

- two heads of the first layer look at the previous token and at the one before
  it, so that later layers can ask what stood before a word. Constant query and
  key biases, turned by the rotary embedding, give scores that peak there;
- all other heads copy: their output projection is the transpose of their value
  projection, so that, with tied embeddings, attending to a word raises its
  chance of being said.

Both are nothing but initial values. All weights remain trainable, and any
library that loads Llama loads the model.
"""

from __future__ import annotations

import math

import torch
from transformers import LlamaConfig, LlamaForCausalLM

PREVIOUS_TOKEN_DISTANCES = (1, 2)
"""How far back the first heads of the first layer look at the start (tokens)."""

_MARGIN = 4.0
"""Attention score (nats) by which the right distance wins over its neighbours."""


def house_config(
    vocab_size: int,
    *,
    pad_token_id: int,
    end_token_id: int,
    hidden_size: int = 96,
    num_layers: int = 2,
    max_context: int = 512,
) -> LlamaConfig:
    """Configuration of a house model.

    Four query heads share two key/value heads of 32 dimensions: a small cache,
    and a head size that vLLM's kernels have.
    """
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        attention_bias=True,
        tie_word_embeddings=True,
        max_position_embeddings=max_context,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
        initializer_range=0.1,
        pad_token_id=pad_token_id,
        bos_token_id=None,
        eos_token_id=end_token_id,
    )


def new_house_model(config: LlamaConfig, *, seed: int) -> LlamaForCausalLM:
    """A freshly initialised model, in eval mode. The global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    _look_back(model)
    _copy(model)
    return model.eval()


def _look_back(model: LlamaForCausalLM) -> None:
    """Turn the query heads of the first key/value head into previous-token heads.

    With the rotary angles t_f, a query bias turned by -d and a key bias give
    the score w * sum_f cos((i - j - d) t_f) at distance i - j.
    """
    attention = model.model.layers[0].self_attn
    dim = attention.head_dim
    angles = model.model.rotary_emb.inv_freq.float()  # (dim / 2,)
    # The runner-up is the neighbour at one token's distance.
    gap = float((1 - torch.cos(angles)).sum())
    weight = math.sqrt(_MARGIN * math.sqrt(dim) / gap)
    with torch.no_grad():
        attention.k_proj.weight[:dim].zero_()
        attention.k_proj.bias[:dim] = weight * torch.cat(
            [torch.ones_like(angles), torch.zeros_like(angles)]
        )
        for head, distance in enumerate(PREVIOUS_TOKEN_DISTANCES):
            rows = slice(head * dim, (head + 1) * dim)
            attention.q_proj.weight[rows].zero_()
            # Llama pairs dimension f with f + dim / 2.
            attention.q_proj.bias[rows] = weight * torch.cat(
                [torch.cos(distance * angles), -torch.sin(distance * angles)]
            )


def _copy(model: LlamaForCausalLM) -> None:
    """Make the heads that do not look back write what they read, as far as a head can."""
    for number, layer in enumerate(model.model.layers):
        attention = layer.self_attn
        dim, groups = attention.head_dim, attention.num_key_value_groups
        first = len(PREVIOUS_TOKEN_DISTANCES) if number == 0 else 0
        with torch.no_grad():
            for head in range(first, model.config.num_attention_heads):
                read = slice(head // groups * dim, (head // groups + 1) * dim)
                write = slice(head * dim, (head + 1) * dim)
                attention.o_proj.weight[:, write] = attention.v_proj.weight[read].T
