"""The critic: where values are read, what it minimises, that it learns and resumes."""

from __future__ import annotations

import copy
import json
import warnings
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from omar_envs.errors import ConfigError
from omar_trainers.critic import (
    CriticLearner,
    build_critic,
    clipped_value_loss,
    learning_rate_share,
    token_values,
)
from omar_trainers.metrics import METRICS_FILE
from omar_trainers.resuming.checkpoints import STATE_FILE
from omar_trainers.scoring import AlignedRows, align_rows
from omar_trainers.trainer import OMARTrainer
from tests.trainers.fake_games import (
    VOCABULARY,
    play_fake_games,
    save_tiny_model,
    tiny_settings,
)


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


def learner(policy: LlamaForCausalLM, seed: int = 0, **changes: Any) -> CriticLearner:
    settings: dict[str, Any] = {
        "learning_rate": 1e-2,
        "warmup_steps": 3,
        "value_clip": 0.0,
        "max_grad_norm": 1.0,
    }
    return CriticLearner(
        build_critic(policy, "fresh", seed=seed), Accelerator(cpu=True), **(settings | changes)
    )


def fit(critic: CriticLearner, steps: int, seed: int, scale: float = 1.0) -> list[float]:
    """Learn to tell whether the word before an act is below 12. -> losses"""
    random = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        ids = torch.randint(2, VOCABULARY, (64, 3), generator=random)
        rows = AlignedRows(ids, torch.full((64,), 3), torch.full((64,), 2))
        returns = scale * (ids[:, 1] < 12).float()[:, None]
        mask = torch.ones(64, 1, dtype=torch.bool)
        critic.note_returns(returns[mask])
        values = critic.values(rows, 1).before
        loss, _ = critic.accumulate(rows, values, returns, mask, torch.tensor(64.0))
        critic.clip_gradient()
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


def test_weights_of_another_critic_are_refused(policy: LlamaForCausalLM) -> None:
    small = CriticLearner(
        build_critic(policy, "fresh", {"num_hidden_layers": 1}),
        Accelerator(cpu=True),
        learning_rate=1e-2,
        warmup_steps=0,
        value_clip=0.0,
        max_grad_norm=1.0,
    )
    with pytest.raises(ConfigError, match="critic_overrides"):
        learner(policy).load_state_dict(small.state_dict())


# --- the schedule ---------------------------------------------------------------


@given(st.sampled_from(["constant", "linear", "cosine"]), st.integers(0, 10), st.integers(11, 40))
def test_the_rate_grows_to_its_highest_and_then_stays_or_falls_to_0(
    kind: Any, warmup: int, total: int
) -> None:
    shares = [learning_rate_share(kind, step, warmup, total) for step in range(total + 1)]
    start = max(0, warmup - 1)
    assert shares[start] == pytest.approx(1.0)
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert all(before < after for before, after in pairwise(shares[: start + 1]))
    assert all(before >= after - 1e-12 for before, after in pairwise(shares[start:]))
    assert shares[-1] == pytest.approx(1.0 if kind == "constant" else 0.0)
    if warmup:
        assert shares[0] == pytest.approx(1.0 / warmup)


def test_the_schedule_reaches_the_optimizer(policy: LlamaForCausalLM) -> None:
    falling = learner(policy, warmup_steps=0, scheduler="linear", total_steps=2)
    fit(falling, 2, seed=1)
    before = [p.detach().clone() for p in falling.critic.parameters()]
    fit(falling, 1, seed=2)
    assert all(a.equal(b) for a, b in zip(before, falling.critic.parameters(), strict=True))


# --- normalised returns -----------------------------------------------------------


def normalised(policy: LlamaForCausalLM, **changes: Any) -> CriticLearner:
    return learner(policy, normalize=True, value_clip=0.2, **changes)


def test_statistics_move_and_values_stay(policy: LlamaForCausalLM) -> None:
    critic = normalised(policy)
    fit(critic, 5, seed=1, scale=3.0)
    ids = torch.randint(2, VOCABULARY, (8, 6), generator=torch.Generator().manual_seed(0))
    rows = AlignedRows(ids, torch.full((8,), 6), torch.full((8,), 2))
    before = critic.values(rows, 4)
    assert float(before.before.std()) > 0.01
    for returns in (torch.tensor([50.0, -70.0, 20.0]), torch.full((4,), 1e-3), torch.zeros(0)):
        critic.note_returns(returns)
        for one, other in zip(critic.values(rows, 4), before, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


# Powers of two: other factors round the returns, and thirty steps of Adam make much of that.
@pytest.mark.parametrize("scale", [2.0**10, 2.0**-10])
def test_rewards_of_another_scale_are_learned_alike(policy: LlamaForCausalLM, scale: float) -> None:
    one, other = normalised(policy), normalised(policy)
    losses = fit(one, 30, seed=1), fit(other, 30, seed=1, scale=scale)
    assert losses[0] == losses[1]
    assert losses[0][-1] < 0.5 * losses[0][0]
    assert other.units == tuple(scale * part for part in one.units)
    ids = torch.randint(2, VOCABULARY, (8, 3), generator=torch.Generator().manual_seed(0))
    rows = AlignedRows(ids, torch.full((8,), 3), torch.full((8,), 2))
    plain, scaled = one.values(rows, 1).before, other.values(rows, 1).before
    torch.testing.assert_close(scaled / scale, plain, rtol=0, atol=0)


def test_the_first_values_are_the_mean_of_the_first_returns(policy: LlamaForCausalLM) -> None:
    """However far from 0 that is: the clipped loss must not hold such values back."""
    critic = normalised(policy)
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(2, VOCABULARY, (64, 3), generator=random)
    rows = AlignedRows(ids, torch.full((64,), 3), torch.full((64,), 2))
    returns = 60.0 + torch.randn(64, 1, generator=random)
    assert critic.note_returns(returns[:, 0])
    values = critic.values(rows, 1).before
    torch.testing.assert_close(values, returns.mean().expand(64, 1))
    mask = torch.ones(64, 1, dtype=torch.bool)
    loss, held = critic.accumulate(rows, values, returns, mask, torch.tensor(64.0))
    assert held == 0 and float(loss) / 64 == pytest.approx(0.5, rel=1e-3)
    # Later ones keep all values.
    assert not critic.note_returns(returns[:, 0] + 5.0)
    torch.testing.assert_close(critic.values(rows, 1).before, values)


def test_without_normalising_the_units_are_those_of_the_returns(policy: LlamaForCausalLM) -> None:
    critic = learner(policy)
    fit(critic, 2, seed=1, scale=1000.0)
    assert critic.units == (0.0, 1.0)


def test_the_clip_range_is_in_units_of_what_is_fitted(policy: LlamaForCausalLM) -> None:
    critic = normalised(policy)
    critic.note_returns(torch.tensor([0.0, 200.0]))
    ids = torch.randint(2, VOCABULARY, (2, 3))
    rows = AlignedRows(ids, torch.full((2,), 3), torch.full((2,), 2))
    mask = torch.ones(2, 1, dtype=torch.bool)
    value = critic.values(rows, 1).before
    for gap, clipped in ((15.0, 0), (25.0, 2)):
        # 0.2 deviations of 100 are 20; the return is where the value already is.
        _, held = critic.accumulate(rows, value - gap, value, mask, torch.tensor(1.0))
        assert held == clipped


def test_resumed_statistics_go_on_alike(policy: LlamaForCausalLM, tmp_path: Path) -> None:
    first = normalised(policy)
    fit(first, 2, seed=1, scale=7.0)
    torch.save(first.state_dict(), tmp_path / "critic.pt")
    expected = fit(first, 3, seed=2, scale=5.0)
    second = normalised(policy, seed=9)
    second.load_state_dict(torch.load(tmp_path / "critic.pt", weights_only=True))
    assert fit(second, 3, seed=2, scale=5.0) == expected
    assert first.units == second.units


# --- an adapter on the policy's base ---------------------------------------------


def adapted_policy(policy: LlamaForCausalLM, **changes: Any) -> PeftModel:
    """A policy with an adapter that does something."""
    settings: dict[str, Any] = {"r": 2, "target_modules": ["q_proj", "down_proj"]}
    config = LoraConfig(task_type="CAUSAL_LM", **(settings | changes))
    with warnings.catch_warnings():
        # peft asks for it by a name that transformers 5.23 deprecates.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`")
        model = get_peft_model(copy.deepcopy(policy), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    return model


def base_tensors(module: nn.Module) -> dict[int, int]:
    """Bytes by address of all that is no adapter and no value head."""
    return {
        p.data_ptr(): p.nbytes
        for name, p in chain(module.named_parameters(), module.named_buffers())
        if "lora_" not in name and not name.startswith("head.")
    }


def test_lora_critic_stands_on_the_policys_own_tensors(policy: LlamaForCausalLM) -> None:
    actor = adapted_policy(policy)
    names = [name for name, _ in actor.named_parameters()]
    before = torch.random.get_rng_state()
    critic = build_critic(actor, "lora", lora_r=3, lora_alpha=6, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert base_tensors(critic).keys() <= base_tensors(actor).keys()
    own = {p.data_ptr() for p in critic.parameters() if p.requires_grad}
    assert not own & {p.data_ptr() for p in actor.parameters()}
    assert [name for name, _ in actor.named_parameters()] == names
    assert {p.shape[0] for n, p in critic.named_parameters() if "lora_A" in n} == {3}
    again = build_critic(actor, "lora", lora_r=3, lora_alpha=6, seed=5)
    for one, other in zip(critic.parameters(), again.parameters(), strict=True):
        assert one.equal(other)


def test_neither_adapter_acts_in_the_others_model(policy: LlamaForCausalLM) -> None:
    actor = adapted_policy(policy, modules_to_save=["norm"])
    ids = torch.randint(2, VOCABULARY, (2, 5))
    with torch.no_grad():
        acted = actor(input_ids=ids).logits
        critic = build_critic(actor, "lora")
        expected = policy.base_model(input_ids=ids).last_hidden_state
        hidden = critic.backbone(input_ids=ids).last_hidden_state
        torch.testing.assert_close(hidden, expected)
        assert critic(ids).tolist() == [[0.0] * 5] * 2
        for parameter in critic.parameters():
            if parameter.requires_grad:
                nn.init.normal_(parameter)
        assert not torch.allclose(critic.backbone(input_ids=ids).last_hidden_state, expected)
        assert actor(input_ids=ids).logits.equal(acted)
        with actor.disable_adapter():
            plain = actor(input_ids=ids).logits
        torch.testing.assert_close(plain, policy(input_ids=ids).logits)


def test_lora_critic_learns_and_moves_nothing_of_the_policy(policy: LlamaForCausalLM) -> None:
    actor = adapted_policy(policy)
    frozen = {name: p.detach().clone() for name, p in actor.named_parameters()}
    critic = CriticLearner(
        build_critic(actor, "lora"),
        Accelerator(cpu=True),
        learning_rate=1e-2,
        warmup_steps=3,
        value_clip=0.0,
        max_grad_norm=1.0,
    )
    losses = fit(critic, 60, seed=1)
    assert sum(losses[-5:]) / 5 < 0.06
    for name, parameter in actor.named_parameters():
        assert parameter.equal(frozen[name]) and parameter.grad is None, name
    saved = critic.state_dict()["critic"]
    assert all("lora_" in name or name.startswith("head.") for name in saved)
    assert {"head.weight", "head.bias"} < saved.keys()


def test_small_steps_are_not_lost_on_a_base_of_low_precision(policy: LlamaForCausalLM) -> None:
    critic = build_critic(adapted_policy(policy).bfloat16(), "lora")
    learned = {name: p for name, p in critic.named_parameters() if p.requires_grad}
    assert {p.dtype for p in learned.values()} == {torch.float32}
    assert {p.dtype for p in critic.parameters() if not p.requires_grad} == {torch.bfloat16}
    before = {name: p.detach().clone() for name, p in learned.items() if "lora_A" in name}
    learner = CriticLearner(
        critic,
        Accelerator(cpu=True),
        learning_rate=1e-5,
        warmup_steps=0,
        value_clip=0.0,
        max_grad_norm=1.0,
    )
    fit(learner, 3, seed=1)
    for name, was in before.items():
        assert (learned[name] != was).float().mean() > 0.5, name


def test_a_lora_critic_needs_a_frozen_base(policy: LlamaForCausalLM) -> None:
    with pytest.raises(ConfigError, match="set use_peft"):
        build_critic(policy, "lora")
    actor = adapted_policy(policy)
    actor.get_base_model().model.norm.weight.requires_grad_(True)
    with pytest.raises(ConfigError, match=r"norm.weight and 0 more of its parameters are trained"):
        build_critic(actor, "lora")


# peft asks for it by a name that transformers 5.23 deprecates.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")
def test_the_trainer_takes_a_lora_critic(policy: LlamaForCausalLM, tmp_path: Path) -> None:
    start = save_tiny_model(tmp_path / "start")
    settings = {"critic": "lora", "save_strategy": "steps", "save_iterations": 1}
    trainer = OMARTrainer(
        start,
        tiny_settings(tmp_path / "out", total_iterations=1, **settings),
        play=play_fake_games,
        peft_config=LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"),
    )
    trainer.train()
    policy_names = [name for name, _ in trainer.model.named_parameters()]
    assert not [name for name in policy_names if "critic" in name or name.startswith("head.")]
    state = torch.load(tmp_path / "out" / "checkpoint-2" / STATE_FILE, weights_only=True)
    learned = state["estimator"]["critic"]["critic"]
    assert any(bool(weight.any()) for name, weight in learned.items() if "lora_B" in name)
    assert all("lora_" in name or name.startswith("head.") for name in learned)
    line = json.loads((tmp_path / "out" / METRICS_FILE).read_text())
    assert line["critic/grad_norm"] > 0.0 and line["critic/return_std"] > 0.0
    with pytest.raises(ConfigError, match="set use_peft"):
        OMARTrainer(start, tiny_settings(tmp_path / "no", critic="lora"), play=play_fake_games)
