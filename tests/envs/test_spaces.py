"""The space of every text."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Dict as DictSpace
from gymnasium.spaces import Space
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.spaces import TextSpace


@given(st.text(st.characters(exclude_categories=[])))
def test_every_str_is_in(text: str) -> None:
    assert text in TextSpace()


@pytest.mark.parametrize("text", ["", "\x00", "\ud800", "x" * 1_000_000, np.str_("Ana")])
def test_extreme_strs_are_in(text: str) -> None:
    assert TextSpace().contains(text)


@pytest.mark.parametrize("other", [None, 3, 3.0, b"Ana", ["Ana"], ("A",), {"text": "Ana"}])
def test_nothing_else_is_in(other: Any) -> None:
    assert other not in TextSpace()


def test_samples_are_short_varied_and_in() -> None:
    space = TextSpace(seed=1)
    samples = [space.sample() for _ in range(500)]
    assert all(sample in space and len(sample) <= 40 and sample.isascii() for sample in samples)
    assert {0, 40} <= {len(sample) for sample in samples}
    assert len(set(samples)) > 400


def test_samples_follow_the_seed() -> None:
    one, two = TextSpace(seed=5), TextSpace()
    two.seed(5)
    assert [one.sample() for _ in range(9)] == [two.sample() for _ in range(9)]


def test_samples_obey_masks() -> None:
    space = TextSpace(seed=0)
    only_a = np.zeros(len(space.character_list), dtype=np.int8)
    only_a[space.character_list.index("a")] = 1
    assert space.sample(mask=(4, only_a)) == "aaaa"
    assert set(space.sample(mask=(None, only_a))) <= {"a"}
    assert len(space.sample(probability=(3, only_a.astype(np.float64)))) == 3
    assert len(space.sample(probability=(None, only_a.astype(np.float64)))) <= 40


def test_equality_and_copies() -> None:
    space = TextSpace(seed=3)
    assert space == TextSpace()
    assert space != Space()
    assert hash(space) == hash(TextSpace())
    for other in (copy.deepcopy(space), pickle.loads(pickle.dumps(space))):
        assert other == space
        assert other.sample() == copy.deepcopy(space).sample()


def test_as_part_of_a_dict() -> None:
    space = DictSpace({"text": TextSpace()})
    assert {"text": "\x00 any ☃"} in space
    assert {"text": 1} not in space
    assert not space.is_np_flattenable
    assert repr(space) == "Dict('text': TextSpace())"
