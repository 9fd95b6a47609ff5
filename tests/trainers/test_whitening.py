"""Whitening: what enters its statistics, what it moves, and by kind of row."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import LlamaForCausalLM

from omar_trainers.critic import ValueEstimates
from omar_trainers.scoring import FREE, OwnTokens
from omar_trainers.selfplay import DUMMY, RoundTensors, RowFacts
from omar_trainers.targets import TargetEstimator, critic_targets, kept_tokens
from omar_trainers.whitening import kind_of, whiten
from tests.trainers.fake_games import save_tiny_model, tiny_settings

law = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 10**6)


def draw(seed: int, rows: int = 6, tokens: int = 5) -> tuple[Tensor, Tensor]:
    """Advantages and which of them are kept. Both (rows, tokens)."""
    random = torch.Generator().manual_seed(seed)
    kept = torch.rand(rows, tokens, generator=random) < 0.7
    return torch.randn(rows, tokens, generator=random) * 3 + 5, kept


@law
@given(seeds, st.lists(st.sampled_from("abc"), min_size=6, max_size=6))
def test_each_kind_has_mean_0_and_variance_1(seed: int, kinds: list[str]) -> None:
    advantages, kept = draw(seed)
    white = whiten(advantages, kept, kinds)
    assert not white[~kept].any()
    for kind in set(kinds):
        rows = torch.tensor([k == kind for k in kinds])
        inside = white[rows[:, None] & kept].double()
        if len(inside) < 2:
            assert not inside.any()
        else:
            assert float(inside.mean()) == pytest.approx(0.0, abs=1e-5)
            assert float(inside.std(correction=0)) == pytest.approx(1.0, abs=1e-5)
        # Nothing but the kind's own rows has a say.
        alone = whiten(advantages[rows], kept[rows], [kind] * int(rows.sum()))
        torch.testing.assert_close(white[rows], alone)


@law
@given(seeds, st.floats(0.1, 50.0), st.floats(-50.0, 50.0))
def test_scale_and_shift_of_rewards_do_not_matter(seed: int, scale: float, shift: float) -> None:
    advantages, kept = draw(seed)
    kinds = ["a", "b"] * 3
    moved = whiten(advantages * scale + shift, kept, kinds)
    torch.testing.assert_close(moved, whiten(advantages, kept, kinds), rtol=1e-3, atol=1e-3)


@law
@given(seeds)
def test_what_is_not_kept_has_no_effect(seed: int) -> None:
    advantages, kept = draw(seed)
    noisy = torch.where(kept, advantages, torch.full_like(advantages, torch.nan))
    kinds = ["a", "a", "b", "b", "c", "c"]
    assert whiten(noisy, kept, kinds).equal(whiten(advantages, kept, kinds))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.0, -1e6, 1e-30])
def test_a_kind_without_variance_becomes_zero(value: float) -> None:
    # A mean of doubles is off by rounding, which must not be blown up.
    advantages = torch.full((3, 37), value, dtype=torch.float64)
    advantages[2] = torch.arange(37.0)
    kept = torch.ones(3, 37, dtype=torch.bool)
    white = whiten(advantages, kept, ["same", "same", "other"])
    assert not white[:2].any()
    assert float(white[2].std(correction=0)) == pytest.approx(1.0)


def test_a_single_token_or_none_becomes_zero() -> None:
    advantages = torch.tensor([[4.0, 9.0], [1.0, 2.0]])
    kept = torch.tensor([[True, False], [False, False]])
    assert not whiten(advantages, kept, ["lonely", "empty"]).any()
    assert whiten(advantages, kept, ["lonely", "empty"]).isfinite().all()


def test_kinds_are_read_off_the_rows() -> None:
    row = RowFacts("agent_3", "seer", "village", 1.0)
    named = [kind_of(row, by) for by in ("all", "role", "team", "seat")]
    assert named == [kind_of(DUMMY, "all"), "seer", "village", "agent_3"]


# --- with every estimator -------------------------------------------------------

FACTS = [
    RowFacts("a", "wolf", "wolves", 3.0),
    RowFacts("b", "seer", "village", 1.0),
    RowFacts("c", "seer", "village", -2.0),
    RowFacts("d", "seer", "village", 9.0),
    DUMMY,
    RowFacts("f", "wolf", "wolves", 0.5),
]
KEEP = [[True, True], [True, False], [False, True], [False, False], [True, True], [True, True]]


def tensors(keep: list[list[bool]]) -> RoundTensors:
    turn_index = torch.tensor([[0, 0, -1, 1]] * 6)
    turn_index[4] = -1
    mask = turn_index >= 0
    rewards = torch.tensor([[0.0, row.episode_return] for row in FACTS])
    return RoundTensors(
        turn_index=turn_index,
        own=OwnTokens(mask, torch.full(mask.shape, FREE), mask.new_zeros(0, 9)),
        logprobs=torch.zeros(mask.shape),
        turn_rewards=rewards,
        keep_turn=torch.tensor(keep),
        bootstrap=torch.zeros(6, dtype=torch.bool),
        learned=torch.ones(6, dtype=torch.bool),
    )


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(save_tiny_model(tmp_path_factory.mktemp("model")))


def batch() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(3)
    ids = torch.randint(2, 20, (6, 6), generator=random)
    ones = torch.ones(6, 6, dtype=torch.long)
    return {
        "prompt_ids": ids[:, :2],
        "completion_ids": ids[:, 2:],
        "prompt_mask": ones[:, :2],
        "completion_mask": ones[:, 2:],
    }


@pytest.mark.parametrize("by", ["all", "role"])
@pytest.mark.parametrize("advantage", ["hierarchical", "token_gae", "turn_gae", "rae", "group"])
def test_dropped_turns_are_zero_after_whitening_and_enter_no_statistics(
    policy: LlamaForCausalLM, tmp_path: Path, advantage: str, by: str
) -> None:
    args = tiny_settings(tmp_path, advantage=advantage, whiten_by=by, seats=6, minibatches=1)
    rows = tensors(KEEP)
    kept = kept_tokens(rows)
    estimator = TargetEstimator(args, policy, Accelerator(cpu=True))
    white = estimator.targets(batch(), rows, FACTS, None)[0]["advantages"]
    assert not white[~kept].any()
    for names in [["wolf", "seer"]] if by == "all" else [["wolf"], ["seer"]]:
        inside = white[torch.tensor([row.role in names for row in FACTS])[:, None] & kept]
        assert float(inside.mean()) == pytest.approx(0.0, abs=1e-5)
        assert float(inside.std(correction=0)) == pytest.approx(1.0, abs=1e-4)


def test_every_estimator_is_reached_by_its_name(policy: LlamaForCausalLM, tmp_path: Path) -> None:
    rows = tensors([[True, True]] * 6)
    values = ValueEstimates(torch.arange(24.0).view(6, 4) / 10, torch.zeros(6))
    found = []
    for advantage in ("hierarchical", "token_gae", "turn_gae"):
        args = tiny_settings(tmp_path, advantage=advantage, lam_token=0.5, lam_turn=0.7)
        found.append(critic_targets(args, rows, values, None).advantages)
    for advantage in ("rae", "group"):
        args = tiny_settings(tmp_path, advantage=advantage, whiten=False, seats=6, minibatches=1)
        estimator = TargetEstimator(args, policy, Accelerator(cpu=True))
        found.append(estimator.targets({}, rows, FACTS, None)[0]["advantages"])
    assert not any(a.equal(b) for i, a in enumerate(found) for b in found[:i])
    earned = torch.tensor([row.episode_return for row in FACTS if not row.is_dummy])
    expected = (earned - earned.mean()) / (earned.std() + 1e-4)
    torch.testing.assert_close(found[-1][[0, 1, 2, 3, 5], 0], expected)
