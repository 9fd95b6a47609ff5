"""Log-probabilities of a row's own tokens, under the masks they were sampled with.

TRL scores every completion token over the whole vocabulary. Here only the seat's
own tokens are scored (prompts between turns are most of a row), and where the
reply had to be one of the legal labels, the same tokens are excluded as in
sampling. The policy's ``forward`` takes an extra argument for that, so the call
still passes through whatever wraps the model (DDP, PEFT, autocast).

Rows are shifted to the left first. Padding then stands at the right, where a
causal model cannot see it: positions are those of sampling for any kind of
position embedding, and no attention mask is needed.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import NamedTuple

import torch
from accelerate.utils import is_peft_model
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PretrainedConfig, PreTrainedModel

from omar_envs.errors import ConfigError

FORBIDDEN = -1e30
"""Logit of a token that was not allowed: finite, so that 0·log 0 has no NaN."""

FREE = -1
"""Choice index of a token that was sampled from the whole vocabulary."""

MAX_LOGITS = 1 << 25
"""Logits held at once; more are recomputed chunk by chunk in the backward pass."""


class AlignedRows(NamedTuple):
    """Rows with all their padding at the right.

    Attributes:
        ids: (B, L) token ids.
        lengths: (B,) tokens of each row, padding excluded.
        starts: (B,) position of the completion's first token.
    """

    ids: Tensor
    lengths: Tensor
    starts: Tensor


def align_rows(input_ids: Tensor, attention_mask: Tensor, completion_width: int) -> AlignedRows:
    """Shift left-padded prompts and their right-padded completions to the left edge.

    Args:
        input_ids: (B, P + C) prompts padded at the left, then completions padded
            at the right.
        attention_mask: (B, P + C), 1 on tokens.
        completion_width: C.
    """
    prompt_width = input_ids.shape[1] - completion_width
    starts = attention_mask[:, :prompt_width].sum(1)  # (B,)
    lengths = attention_mask.sum(1)  # (B,)
    width = int(lengths.max())
    shift = (prompt_width - starts)[:, None]  # (B, 1)
    source = torch.arange(width, device=input_ids.device)[None, :] + shift  # (B, L)
    ids = input_ids.gather(1, source.clamp(max=input_ids.shape[1] - 1))
    return AlignedRows(ids=ids, lengths=lengths, starts=starts)


def align_batch(batch: dict[str, Tensor], part: slice) -> AlignedRows:
    """Some rows of TRL's batch, aligned."""
    ids = torch.cat([batch["prompt_ids"][part], batch["completion_ids"][part]], dim=1)
    mask = torch.cat([batch["prompt_mask"][part], batch["completion_mask"][part]], dim=1)
    return align_rows(ids, mask, batch["completion_ids"].shape[1])


def sort_by_length(batches: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Deal the rows of some batches out again, short rows first.

    Args:
        batches: equal in size and keys; tensors without a row axis are kept.
    """
    lengths = torch.cat([b["prompt_mask"].sum(1) + b["completion_mask"].sum(1) for b in batches])
    order = lengths.argsort(stable=True).chunk(len(batches))
    result: list[dict[str, Tensor]] = [{} for _ in batches]
    for name, first in batches[0].items():
        column = first if first.ndim == 0 else torch.cat([batch[name] for batch in batches])
        for part, rows in zip(result, order, strict=True):
            part[name] = column if first.ndim == 0 else column[rows]
    return result


@dataclass(frozen=True)
class OwnTokens:
    """Which completion tokens the seat itself wrote, and what was allowed there.

    Attributes:
        mask: (B, T) bool, true on own tokens.
        choice: (B, T) int64, row of ``allowed``, or :data:`FREE`.
        allowed: (S, V) bool, the distinct sets of allowed tokens.
    """

    mask: Tensor
    choice: Tensor
    allowed: Tensor

    def slice(self, start: int, stop: int) -> OwnTokens:
        """The rows from ``start`` to ``stop``."""
        return OwnTokens(self.mask[start:stop], self.choice[start:stop], self.allowed)


class TokenScores(NamedTuple):
    """What the policy's forward returns for ``own_tokens``.

    Attributes:
        logprobs: (B, T), 0 where the token is not the seat's own.
        entropies: (B, T) in nats, of the masked distribution; 0 likewise.
    """

    logprobs: Tensor
    entropies: Tensor


def allowed_table(sets: list[tuple[int, ...]], vocabulary: int, device: torch.device) -> Tensor:
    """The distinct sets of allowed token ids as a bool table (S, V)."""
    table = torch.zeros(len(sets), vocabulary, dtype=torch.bool, device=device)
    for number, tokens in enumerate(sets):
        table[number, list(tokens)] = True
    return table


def add_scoring_head(model: PreTrainedModel, temperature: float, entropy_gradient: bool) -> None:
    """Let ``model(input_ids, own_tokens=..., starts=...)`` return :class:`TokenScores`.

    Without ``own_tokens`` the forward is the one it was.

    Args:
        model: causal LM, or a PEFT model around one.
        temperature: logits are divided by it, as in sampling.
        entropy_gradient: whether gradients flow through the entropies.
    """
    target = model.get_base_model() if is_peft_model(model) else model
    plain_forward = target.forward
    transform = _logit_transform(target.config.get_text_config())

    def log_softmax_at(hidden: Tensor, tokens: Tensor, choice: Tensor, allowed: Tensor):
        logits = transform(target.get_output_embeddings()(hidden).float()) / temperature  # (N, V)
        if allowed.shape[0]:
            forbidden = (choice != FREE)[:, None] & ~allowed[choice.clamp(min=0)]
            logits = logits.masked_fill(forbidden, FORBIDDEN)
        log_probs = torch.log_softmax(logits, dim=-1)
        with torch.set_grad_enabled(entropy_gradient and torch.is_grad_enabled()):
            entropy = -(log_probs.exp() * log_probs).sum(-1)
        return log_probs.gather(1, tokens[:, None])[:, 0], entropy

    def forward(self, *args, own_tokens=None, starts=None, **kwargs):
        if own_tokens is None:
            return plain_forward(*args, **kwargs)
        input_ids = kwargs.pop("input_ids")
        hidden = self.base_model(input_ids=input_ids, use_cache=False).last_hidden_state
        row, column = own_tokens.mask.nonzero(as_tuple=True)  # (N,)
        position = starts[row] + column
        # A token is chosen in the state before it.
        hidden = hidden[row, position - 1]
        tokens = input_ids[row, position]
        choice = own_tokens.choice[row, column]
        chunk = max(1, MAX_LOGITS // own_tokens.allowed.shape[1])
        if len(tokens) <= chunk:
            logprobs, entropies = log_softmax_at(hidden, tokens, choice, own_tokens.allowed)
        else:
            parts = [
                checkpoint(log_softmax_at, h, t, c, own_tokens.allowed, use_reentrant=False)
                for h, t, c in zip(
                    hidden.split(chunk), tokens.split(chunk), choice.split(chunk), strict=True
                )
            ]
            logprobs, entropies = (torch.cat(part) for part in zip(*parts, strict=True))
        zeros = logprobs.new_zeros(own_tokens.mask.shape)
        return TokenScores(
            zeros.masked_scatter(own_tokens.mask, logprobs),
            zeros.masked_scatter(own_tokens.mask, entropies),
        )

    target.forward = types.MethodType(forward, target)


def score_rows(model: torch.nn.Module, rows: AlignedRows, own_tokens: OwnTokens) -> TokenScores:
    """Score the own tokens of ``rows`` with a model that has the scoring head."""
    return model(input_ids=rows.ids, own_tokens=own_tokens, starts=rows.starts)


@torch.no_grad()
def check_scoring_head(model: PreTrainedModel, temperature: float) -> None:
    """Compare the scoring head with the model's own logits on a few tokens.

    Raises:
        ConfigError: they differ, so this architecture does something to its
            logits that the head does not know; or they are no numbers.
    """
    vocabulary = model.get_output_embeddings().weight.shape[0]
    ids = torch.arange(8, device=model.device)[None, :] % vocabulary
    own = torch.ones(1, 7, dtype=torch.bool, device=model.device)
    everything = OwnTokens(
        own, torch.full((1, 7), FREE, device=model.device), own.new_zeros(0, vocabulary)
    )
    was_training = model.training
    model.eval()
    rows = AlignedRows(ids, own.new_full((1,), 8, dtype=torch.long), own.new_ones(1).long())
    scored = score_rows(model, rows, everything).logprobs
    logits = model(input_ids=ids).logits[:, :-1].float() / temperature
    expected = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    model.train(was_training)
    if not expected.isfinite().all():
        raise ConfigError(
            "the model's logits are no numbers (NaN or infinity): its weights are damaged, or too "
            "large for their precision; try another dtype (float32 or bfloat16, not float16)"
        )
    tolerance = 1e-4 if scored.dtype == logits.dtype and model.dtype == torch.float32 else 0.1
    if not torch.allclose(scored, expected, atol=tolerance):
        gap = float((scored - expected).abs().max())
        raise ConfigError(
            f"{type(model).__name__} changes its logits in a way the scoring head does not follow "
            f"(log-probabilities differ by {gap:.3g}): train another model family"
        )


def _logit_transform(config: PretrainedConfig):
    """What the model family does between its output embedding and its logits."""
    settings = config.to_dict()
    scale = settings.get("logit_scale")
    if scale is None and settings.get("logits_scaling"):
        scale = 1.0 / settings["logits_scaling"]
    cap = settings.get("final_logit_softcapping")

    def transform(logits: Tensor) -> Tensor:
        if scale is not None:
            logits = logits * scale
        return logits if cap is None else cap * torch.tanh(logits / cap)

    return transform
