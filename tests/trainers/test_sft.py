"""Rows to examples: what is learned is a seat's own words, turn by turn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from omar_trainers.rows import TokenRow
from omar_trainers.sft import IGNORED, labelled, sft_rows
from tests.trainers.fake_games import END, PAD, save_tiny_model

Piece = tuple[bool, list[int], bool]
"""Whether it is the seat's own, token ids, and whether the turn is learned."""


def row_of(pieces: list[Piece]) -> tuple[TokenRow, list[bool]]:
    row, keep = TokenRow(0, "seat"), []
    for own, ids, is_kept in pieces:
        if own:
            row.write(len(keep), ids, [0.0] * len(ids), [None] * len(ids))
            keep.append(is_kept)
        else:
            row.read(ids)
    return row, keep


pieces = st.lists(
    st.tuples(st.booleans(), st.lists(st.integers(2, 9), min_size=1, max_size=4), st.booleans()),
    max_size=8,
)


@given(pieces)
def test_labels_are_the_own_tokens_of_kept_turns(played: list[Piece]) -> None:
    row, keep = row_of(played)
    expected = [
        token if own and is_kept else IGNORED for own, ids, is_kept in played for token in ids
    ]
    example = labelled(row, keep)
    if example is None:
        assert set(expected) <= {IGNORED}
        return
    length = len(example["input_ids"])
    assert example["input_ids"] == row.ids[:length]
    assert example["labels"] == expected[:length]
    # Nothing that is learned is left out, and nothing stands after it.
    assert set(expected[length:]) <= {IGNORED}
    assert example["labels"][-1] != IGNORED


@given(pieces)
def test_without_a_filter_every_turn_is_learned(played: list[Piece]) -> None:
    row, keep = row_of(played)
    assert labelled(row) == labelled(row, [True] * len(keep))


def test_what_is_left_out_does_not_move_the_weights(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Rows that differ only in what follows the last own token teach the same."""
    from transformers import AutoModelForCausalLM

    folder = save_tiny_model(tmp_path_factory.mktemp("model"))
    weights = []
    for tail in ([5, 6, 7], [8]):
        row, _ = row_of([(False, [2, 3], False), (True, [4, END], True), (False, tail, False)])
        model = AutoModelForCausalLM.from_pretrained(folder)
        sft_rows(model, [row], pad_token_id=PAD, lr=1e-2, batch_size=1, seed=0, steps=2)
        weights.append(model.state_dict())
    before = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert any(not torch.equal(value, before[name]) for name, value in weights[0].items())
