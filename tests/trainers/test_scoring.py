"""Scoring own tokens: against plain forward passes, row by row and mask by mask."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from omar_envs.errors import ConfigError
from omar_trainers import scoring
from omar_trainers.scoring import (
    FREE,
    OwnTokens,
    add_scoring_head,
    align_rows,
    allowed_table,
    check_scoring_head,
    score_rows,
    sort_by_length,
)

VOCABULARY = 20
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
}
FAMILIES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "qwen3, tied": lambda: Qwen3ForCausalLM(
        Qwen3Config(**SIZES, head_dim=8, tie_word_embeddings=True)
    ),
    # Absolute positions: where padding stands would matter.
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=32)
    ),
    "gemma2, capped": lambda: Gemma2ForCausalLM(
        Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=0.5)
    ),
    "granite, scaled": lambda: GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=4.0)),
}

PROMPTS = [[3, 4], [5, 6, 7, 8], [2]]
COMPLETIONS = [[9, 10, 11, 1], [12, 1], [13, 14, 15, 16, 1]]
OWN = [[1, 0, 1, 1], [1, 1], [0, 1, 1, 0, 1]]
SETS: list[tuple[int, ...]] = [(9, 12), (1, 11, 14)]
CHOICE = [[0, FREE, 1, FREE], [FREE, 1], [FREE, 1, FREE, FREE, 1]]


def model_of(family: str) -> PreTrainedModel:
    torch.manual_seed(0)
    model = FAMILIES[family]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0)
    return model


def padded(rows: list[list[int]], filler: int, *, left: bool = False) -> Tensor:
    width = max(map(len, rows))
    fill = [[filler] * (width - len(row)) for row in rows]
    return torch.tensor([f + r if left else r + f for f, r in zip(fill, rows, strict=True)])


def batch() -> tuple[Tensor, Tensor, OwnTokens]:
    """Padded ids, attention mask and own tokens, as TRL and the trainer make them."""
    ids = torch.cat([padded(PROMPTS, 0, left=True), padded(COMPLETIONS, 0)], dim=1)
    ones = [[[1] * len(row) for row in part] for part in (PROMPTS, COMPLETIONS)]
    mask = torch.cat([padded(ones[0], 0, left=True), padded(ones[1], 0)], dim=1)
    own = padded(OWN, 0).bool()
    return ids, mask, OwnTokens(own, padded(CHOICE, FREE), allowed_table(SETS, 20, own.device))


@torch.no_grad()
def by_hand(model: PreTrainedModel, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probs and entropies (B, T) from one unpadded forward pass per row."""
    logprobs, entropies = torch.zeros(3, 5), torch.zeros(3, 5)
    for i, (prompt, completion) in enumerate(zip(PROMPTS, COMPLETIONS, strict=True)):
        logits = model(input_ids=torch.tensor([prompt + completion])).logits[0] / temperature
        for j, token in enumerate(completion):
            if not OWN[i][j]:
                continue
            kept = range(VOCABULARY) if CHOICE[i][j] == FREE else SETS[CHOICE[i][j]]
            scores = logits[len(prompt) + j - 1, list(kept)].log_softmax(0)
            logprobs[i, j] = scores[list(kept).index(token)]
            entropies[i, j] = -(scores.exp() * scores).sum()
    return logprobs, entropies


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_scores_equal_plain_forward_passes(family: str, temperature: float) -> None:
    model = model_of(family)
    expected = by_hand(model, temperature)
    add_scoring_head(model, temperature, entropy_gradient=False)
    check_scoring_head(model, temperature)
    ids, mask, own = batch()
    scores = score_rows(model, align_rows(ids, mask, 5), own)
    torch.testing.assert_close(scores.logprobs, expected[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(scores.entropies, expected[1], atol=1e-5, rtol=0)
    # What the model does otherwise is as before.
    assert model(input_ids=ids).logits.shape == (*ids.shape, VOCABULARY)


def gradient(model: PreTrainedModel, part: str) -> Tensor:
    ids, mask, own = batch()
    model.zero_grad()
    scores = score_rows(model, align_rows(ids, mask, 5), own)
    {"logprobs": scores.logprobs, "entropies": scores.entropies}[part].sum().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("part", ["logprobs", "entropies"])
def test_chunks_change_neither_scores_nor_gradients(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    model = model_of("llama")
    add_scoring_head(model, 1.0, entropy_gradient=True)
    whole = gradient(model, part)
    assert whole.isfinite().all() and whole.abs().max() > 0
    monkeypatch.setattr(scoring, "MAX_LOGITS", 2 * VOCABULARY)
    torch.testing.assert_close(gradient(model, part), whole)


def test_entropies_carry_no_gradient_unless_asked() -> None:
    model = model_of("llama")
    add_scoring_head(model, 1.0, entropy_gradient=False)
    ids, mask, own = batch()
    scores = score_rows(model, align_rows(ids, mask, 5), own)
    assert scores.logprobs.requires_grad and not scores.entropies.requires_grad


def test_a_batch_without_own_tokens_still_has_a_gradient() -> None:
    model = model_of("llama")
    add_scoring_head(model, 1.0, entropy_gradient=True)
    ids, mask, own = batch()
    nothing = OwnTokens(torch.zeros_like(own.mask), own.choice, own.allowed)
    scores = score_rows(model, align_rows(ids, mask, 5), nothing)
    scores.logprobs.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


class Shifted(LlamaForCausalLM):
    """A family that does something of its own to its logits."""

    def forward(self, *args: object, **kwargs: object) -> object:
        output = super().forward(*args, **kwargs)
        output.logits = output.logits * 2.0
        return output


def test_unknown_logit_transforms_are_refused() -> None:
    torch.manual_seed(0)
    model = Shifted(LlamaConfig(**SIZES, initializer_range=0.5))
    add_scoring_head(model, 1.0, entropy_gradient=False)
    with pytest.raises(ConfigError, match="changes its logits"):
        check_scoring_head(model, 1.0)


def test_sorting_deals_short_rows_first_and_keeps_rows_whole() -> None:
    masks = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 0]])
    batches = [
        {
            "prompt_mask": masks[part] * 0,
            "completion_mask": masks[part],
            "row": torch.arange(4)[part],
            "num_items_in_batch": torch.tensor(7),
        }
        for part in (slice(0, 2), slice(2, 4))
    ]
    dealt = sort_by_length(batches)
    assert [part["row"].tolist() for part in dealt] == [[1, 3], [2, 0]]
    for part in dealt:
        assert torch.equal(part["completion_mask"], masks[part["row"]])
        assert part["num_items_in_batch"] == 7
