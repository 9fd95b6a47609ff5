"""Ragged batches for the tests of advantages, and how their results are compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from omar_trainers.advantages import HierarchicalAdvantages, hierarchical_advantages

NAN = math.nan
F64 = torch.float64


@dataclass(frozen=True)
class Batch:
    """Arguments of ``hierarchical_advantages``; masked places hold NaN."""

    turn_rewards: Tensor
    values: Tensor
    turn_index: Tensor
    num_turns: Tensor
    bootstrap: Tensor
    token_rewards: Tensor
    keep_turn: Tensor

    def __call__(self, discounts: dict[str, float], **options: Any) -> HierarchicalAdvantages:
        return hierarchical_advantages(
            self.turn_rewards,
            self.values,
            self.turn_index,
            num_turns=self.num_turns,
            bootstrap=self.bootstrap,
            **discounts,
            **options,
        )

    def own(self, row: int) -> list[tuple[int, list[int]]]:
        """The row's turns in order, each with the positions of its tokens."""
        index = self.turn_index[row].tolist()
        return [
            (turn, [t for t, k in enumerate(index) if k == turn])
            for turn in range(int(self.num_turns[row]))
        ]

    def where_masked(self, tensor: Tensor, fill: float) -> Tensor:
        return torch.where(self.turn_index >= 0, tensor, fill)


def make_batch(lengths: list[list[int]], seed: int) -> Batch:
    """One row per list of turn lengths; 0 is a silent turn.

    Prompts of 0 to 3 tokens stand before and between the turns, after the last
    one, and now and then inside a turn.
    """
    draw = torch.Generator().manual_seed(seed)

    def few(below: int) -> int:
        return int(torch.randint(below, (), generator=draw))

    rows: list[list[int]] = []
    for row_lengths in lengths:
        row = [-1] * few(4)
        for turn, length in enumerate(row_lengths):
            for token in range(length):
                row += [-1] * (1 if token and few(4) == 0 else 0)
                row.append(turn)
            row += [-1] * few(4)
        rows.append(row)
    width = max(len(row) for row in rows) + few(3)
    left = [few(width - len(row) + 1) for row in rows]
    rows = [
        [-1] * n + row + [-1] * (width - n - len(row)) for n, row in zip(left, rows, strict=True)
    ]
    turns = max(len(row) for row in lengths) + few(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=F64)

    turn_index = torch.tensor(rows, dtype=torch.int64).reshape(len(rows), width)
    num_turns = torch.tensor([len(row) for row in lengths])
    beyond = torch.arange(turns) >= num_turns[:, None]
    masked = turn_index < 0
    return Batch(
        turn_rewards=normal(len(rows), turns).masked_fill(beyond, NAN),
        values=normal(len(rows), width).masked_fill(masked, NAN),
        turn_index=turn_index,
        num_turns=num_turns,
        bootstrap=normal(len(rows)),
        token_rewards=normal(len(rows), width).masked_fill(masked, NAN),
        keep_turn=torch.rand(len(rows), turns, generator=draw) < 0.7,
    )


def batches(
    *, turns: tuple[int, int] = (0, 5), tokens: tuple[int, int] = (0, 5)
) -> st.SearchStrategy[Batch]:
    row = st.lists(st.integers(*tokens), min_size=turns[0], max_size=turns[1])
    lengths = st.lists(row, min_size=1, max_size=4)
    return st.builds(make_batch, lengths, st.integers(0, 10**6))


law = settings(max_examples=50, deadline=None)
unit = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0.0, 1.0))
discounts = st.fixed_dictionaries(
    {"gamma_turn": unit, "lam_turn": unit, "gamma_token": unit, "lam_token": unit}
)
SOME = {"gamma_turn": 0.9, "lam_turn": 0.8, "gamma_token": 0.95, "lam_token": 0.7}
ONES = {"gamma_turn": 1.0, "lam_turn": 1.0, "gamma_token": 1.0, "lam_token": 1.0}


def same(got: Tensor, want: Tensor | list[Any]) -> None:
    want = torch.as_tensor(want, dtype=got.dtype)
    torch.testing.assert_close(got, want.reshape(got.shape), rtol=1e-10, atol=1e-10)


def same_all(got: HierarchicalAdvantages, want: HierarchicalAdvantages) -> None:
    for left, right in zip(got, want, strict=True):
        same(left, right)


def plain(
    rewards: list[float], values: list[float], index: list[int], **options: Any
) -> HierarchicalAdvantages:
    """One row from lists, with ``SOME`` discounts unless others are given."""
    arguments: dict[str, Any] = {**SOME, **options}
    return hierarchical_advantages(
        torch.tensor([rewards], dtype=F64),
        torch.tensor([values], dtype=F64),
        torch.tensor([index], dtype=torch.int64),
        **arguments,
    )
