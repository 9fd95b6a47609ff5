"""The critic: where values are read, what it minimises, that it learns and resumes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from omar_envs.errors import ConfigError
from omar_trainers.critic import (
    CriticLearner,
    build_critic,
    clipped_value_loss,
    token_values,
)
from omar_trainers.scoring import AlignedRows, align_rows
from tests.trainers.fake_games import VOCABULARY, save_tiny_model


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LlamaForCausalLM:
    folder = save_tiny_model(tmp_path_factory.mktemp("model"))
    return LlamaForCausalLM.from_pretrained(folder)


class Position(nn.Module):
    """A critic whose value of a state is the position of its last token."""

    def forward(self, ids: Tensor) -> Tensor:
        return torch.arange(ids.shape[1]).expand(ids.shape).float()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=4))
def test_values_are_read_before_each_token(lengths: list[tuple[int, int]]) -> None:
    prompts, completions = max(p for p, _ in lengths), max(c for _, c in lengths)
    mask = torch.tensor(
        [[0] * (prompts - p) + [1] * (p + c) + [0] * (completions - c) for p, c in lengths]
    )
    rows = align_rows(torch.arange(mask.numel()).view(mask.shape), mask, completions)
    estimates = token_values(Position(), rows, completions)
    for i, (p, c) in enumerate(lengths):
        # Completion token j stands at p + j of its row and is chosen at p + j - 1.
        assert estimates.before[i, :c].tolist() == [p + j - 1 for j in range(c)]
        assert estimates.after_last[i] == p + c - 1


def test_aligned_rows_hold_the_same_tokens() -> None:
    ids = torch.tensor([[0, 0, 5, 6, 7, 0], [1, 2, 3, 4, 8, 9]])
    mask = torch.tensor([[0, 0, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]])
    rows = align_rows(ids, mask, 2)
    assert rows.lengths.tolist() == [3, 6]
    assert rows.starts.tolist() == [2, 4]
    assert rows.ids[0, :3].tolist() == [5, 6, 7]
    assert rows.ids[1].tolist() == [1, 2, 3, 4, 8, 9]


def test_value_loss_by_hand() -> None:
    values = torch.tensor([[1.0, 0.5, 9.0]])
    old = torch.tensor([[0.0, 0.5, 0.0]])
    returns = torch.tensor([[1.0, 1.0, 0.0]])
    mask = torch.tensor([[True, True, False]])
    plain, _ = clipped_value_loss(values, old, returns, mask, 0.0)
    assert plain == pytest.approx(0.5 * 0.25)
    # The first value is right, but moved by 1 where 0.2 is allowed.
    clipped, held = clipped_value_loss(values, old, returns, mask, 0.2)
    assert clipped == pytest.approx(0.5 * (0.8**2 + 0.25))
    assert held == 1


def test_held_back_values_have_no_gradient() -> None:
    values = torch.tensor([[1.0, 0.55]], requires_grad=True)
    loss, _ = clipped_value_loss(
        values, torch.tensor([[0.0, 0.5]]), torch.ones(1, 2), torch.ones(1, 2).bool(), 0.2
    )
    loss.backward()
    assert values.grad is not None
    assert values.grad[0, 0] == 0.0
    assert values.grad[0, 1] == pytest.approx(0.55 - 1.0)


def test_copy_starts_from_the_policy_and_shares_nothing(policy: LlamaForCausalLM) -> None:
    critic = build_critic(policy, "copy")
    ids = torch.randint(2, VOCABULARY, (2, 5))
    expected = policy.base_model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(critic.backbone(input_ids=ids).last_hidden_state, expected)
    assert critic(ids).tolist() == [[0.0] * 5] * 2
    shared = {p.data_ptr() for p in policy.parameters()} & {
        p.data_ptr() for p in critic.parameters()
    }
    assert not shared


def test_fresh_critic_takes_overrides_and_seed(policy: LlamaForCausalLM) -> None:
    overrides = {"hidden_size": 8, "num_hidden_layers": 1}
    before = torch.random.get_rng_state()
    critic = build_critic(policy, "fresh", overrides, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert critic.backbone.config.hidden_size == critic.head.in_features == 8
    assert len(critic.backbone.layers) == 1
    again = build_critic(policy, "fresh", overrides, seed=3)
    other = build_critic(policy, "fresh", overrides, seed=4)
    weights = [c.backbone.embed_tokens.weight for c in (critic, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [({"hiden_size": 8}, "no field 'hiden_size'"), ({"num_attention_heads": 3}, "do not fit")],
)
def test_impossible_overrides_are_refused(
    policy: LlamaForCausalLM, overrides: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_critic(policy, "fresh", overrides)


def learner(policy: LlamaForCausalLM, seed: int = 0) -> CriticLearner:
    return CriticLearner(
        build_critic(policy, "fresh", seed=seed),
        Accelerator(cpu=True),
        learning_rate=1e-2,
        warmup_steps=3,
        value_clip=0.0,
        max_grad_norm=1.0,
    )


def fit(critic: CriticLearner, steps: int, seed: int) -> list[float]:
    """Learn to tell whether the word before an act is below 12. -> losses"""
    random = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        ids = torch.randint(2, VOCABULARY, (64, 3), generator=random)
        rows = AlignedRows(ids, torch.full((64,), 3), torch.full((64,), 2))
        returns = (ids[:, 1] < 12).float()[:, None]
        mask = torch.ones(64, 1, dtype=torch.bool)
        loss, _ = critic.accumulate(rows, returns, returns, mask, torch.tensor(64.0))
        critic.step()
        losses.append(float(loss) / 64)
    return losses


def test_critic_learns_what_can_be_seen(policy: LlamaForCausalLM) -> None:
    losses = fit(learner(policy), 60, seed=1)
    # Knowing nothing costs ½·Var ≈ 0.124.
    assert sum(losses[-5:]) / 5 < 0.03


def test_resumed_learner_goes_on_alike(policy: LlamaForCausalLM, tmp_path: Path) -> None:
    first = learner(policy)
    fit(first, 2, seed=1)
    torch.save(first.state_dict(), tmp_path / "critic.pt")
    expected = fit(first, 3, seed=2)
    second = learner(policy, seed=9)
    second.load_state_dict(torch.load(tmp_path / "critic.pt", weights_only=True))
    assert fit(second, 3, seed=2) == expected
