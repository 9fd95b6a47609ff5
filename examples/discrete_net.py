"""A small network over token ids, for the examples here that train one."""

import torch
from torch import nn


class TextNet(nn.Module):
    """Features of the words in a text, wherever they stand: (…, L) ids to (…, width)."""

    def __init__(self, max_id: int, width: int = 64) -> None:
        super().__init__()
        self.embed = nn.Embedding(max_id + 1, 16, padding_idx=0)
        self.spell = nn.Conv1d(16, width, kernel_size=7, padding=3)
        self.width = width

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        rows = tokens.reshape(-1, tokens.shape[-1]).long()
        found = self.spell(self.embed(rows).transpose(1, 2)).relu().amax(dim=-1)
        return found.reshape(*tokens.shape[:-1], self.width)
