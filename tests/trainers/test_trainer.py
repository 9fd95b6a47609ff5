"""The trainer end to end, on a game without language and a model of a few thousand weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch import Tensor
from transformers import AutoTokenizer, LlamaForCausalLM

from omar_envs.errors import ConfigError
from omar_trainers.advantages import HierarchicalAdvantages, hierarchical_advantages
from omar_trainers.generation import TextGenerator, TransformersGenerator
from omar_trainers.metrics import METRICS_FILE
from omar_trainers.resuming.checkpoints import STATE_FILE
from omar_trainers.rows import TokenRow
from omar_trainers.selfplay import GamePlan, PlayedGames, PlayGames
from omar_trainers.trainer import OMARTrainer
from tests.trainers.fake_games import (
    END,
    PAD,
    TURNS,
    play_fake_games,
    save_tiny_model,
    tiny_settings,
)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model(tmp_path_factory.mktemp("start"))


class Recorder:
    """Plays, and remembers what was played."""

    def __init__(self) -> None:
        self.plans: list[GamePlan] = []
        self.games: list[PlayedGames] = []

    def __call__(self, plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
        self.plans += plans
        self.games.append(play_fake_games(plans, generator))
        return self.games[-1]


def train(start: str, output: Path, **changes: Any) -> tuple[OMARTrainer, list[dict[str, Any]]]:
    """Train by tiny settings. -> trainer, lines of the metrics file"""
    trainer = OMARTrainer(start, tiny_settings(output, **changes), play=play_fake_games)
    trainer.train()
    return trainer, lines(output)


def train_plainly(
    start: str, output: Path, play: PlayGames = play_fake_games, **changes: Any
) -> OMARTrainer:
    """One step of plain gradient descent at rate 1: what moved is the gradient."""
    model = LlamaForCausalLM.from_pretrained(start)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    one_step = {"minibatches": 1, "total_iterations": 1, "max_grad_norm": 0.0}
    settings = tiny_settings(output, **(one_step | changes))
    trainer = OMARTrainer(
        model,
        settings,
        play=play,
        optimizers=(optimizer, schedule),
        processing_class=AutoTokenizer.from_pretrained(start),
    )
    trainer.train()
    return trainer


def lines(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / METRICS_FILE).read_text().splitlines()]


def weights(trainer: OMARTrainer) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def assert_same_weights(first: OMARTrainer, second: OMARTrainer, *, atol: float) -> None:
    for (name, one), other in zip(weights(first).items(), weights(second).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=atol, msg=name)


def own_logprobs(model: LlamaForCausalLM, row: TokenRow) -> Tensor:
    """Log-probabilities of a row's own tokens, one forward pass, masks by hand. (N,)"""
    logits = model(input_ids=torch.tensor([row.ids])).logits[0]
    scores = []
    for t, turn in enumerate(row.turn_index):
        if turn < 0:
            continue
        allowed = row.allowed[t]
        kept = list(range(logits.shape[1])) if allowed is None else list(allowed)
        scores.append(logits[t - 1, row.ids[t]] - logits[t - 1, kept].logsumexp(0))
    return torch.stack(scores)


# --- logprobs -----------------------------------------------------------------


@pytest.mark.parametrize("old", ["sampled", "recomputed"])
def test_scored_logprobs_equal_the_sampled_ones(start: str, tmp_path: Path, old: str) -> None:
    _, metrics = train(start, tmp_path, old_logprobs=old)
    for line in metrics:
        assert 0.0 <= line["policy/logprob_gap"] < 1e-5
        assert line["entropy"] > 0.0


def test_ratio_is_one_on_the_first_step(start: str, tmp_path: Path) -> None:
    _, metrics = train(start, tmp_path, minibatches=1, total_iterations=1, learning_rate=0.1)
    assert metrics[0]["policy/approx_kl"] < 1e-6
    assert metrics[0]["policy/clip_ratio"] == 0.0


def test_later_minibatches_drift(start: str, tmp_path: Path) -> None:
    _, metrics = train(start, tmp_path, total_iterations=1, learning_rate=0.1)
    assert metrics[0]["policy/approx_kl"] > 1e-3
    assert metrics[0]["policy/clip_ratio"] > 0.0


def test_sampled_and_recomputed_logprobs_train_alike(start: str, tmp_path: Path) -> None:
    one, _ = train(start, tmp_path / "a", old_logprobs="sampled", adam_epsilon=1e-4)
    other, _ = train(start, tmp_path / "b", old_logprobs="recomputed", adam_epsilon=1e-4)
    assert_same_weights(one, other, atol=1e-5)


def test_temperature_is_the_same_in_sampling_and_scoring(start: str, tmp_path: Path) -> None:
    recorder = Recorder()

    def play(plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
        return recorder(plans, _AtTemperature(generator, 0.5))

    settings = tiny_settings(tmp_path, temperature=0.5, total_iterations=1)
    OMARTrainer(start, settings, play=play).train()
    assert lines(tmp_path)[0]["policy/logprob_gap"] < 1e-5


class _AtTemperature:
    def __init__(self, generator: TextGenerator, temperature: float) -> None:
        self._generator = generator
        self._temperature = temperature

    def generate(self, requests: Sequence[Any]) -> list[Any]:
        return self._generator.generate(
            [replace(request, temperature=self._temperature) for request in requests]
        )


# --- the update ---------------------------------------------------------------


def test_first_step_is_the_policy_gradient_by_hand(start: str, tmp_path: Path) -> None:
    recorder = Recorder()
    trainer = train_plainly(
        start,
        tmp_path,
        play=recorder,
        whiten=False,
        entropy_coef=0.0,
        lam_turn=0.7,
        lam_token=0.9,
        gamma_token=0.8,
    )

    def estimate(game: int, row: TokenRow, value: float) -> HierarchicalAdvantages:
        paid = [
            float(turn.reward_components["outcome"] or 0.0)
            for turn in recorder.games[0].episodes[game].turns_of(row.agent)
        ]
        return hierarchical_advantages(
            torch.tensor([paid]),
            torch.full((1, len(row.ids)), value),
            torch.tensor([row.turn_index]),
            gamma_turn=1.0,
            lam_turn=0.7,
            gamma_token=0.8,
            lam_token=0.9,
        )

    rows = {
        key: (row, torch.tensor(row.turn_index) >= 0) for key, row in recorder.games[0].rows.items()
    }
    returns = [estimate(game, row, 0.0).returns[0, own] for (game, _), (row, own) in rows.items()]
    # The critic's head starts at zero, which is the mean of the first returns.
    value = float(torch.cat(returns).mean())
    assert value > 0.1
    by_hand = LlamaForCausalLM.from_pretrained(start)
    loss, tokens = torch.zeros(()), 0
    for (game, _), (row, own) in rows.items():
        scores = own_logprobs(by_hand, row)
        loss = loss - (estimate(game, row, value).advantages[0, own] * scores).sum()
        tokens += len(scores)
    (loss / tokens).backward()
    with torch.no_grad():
        for parameter in by_hand.parameters():
            if parameter.grad is not None:
                parameter -= parameter.grad
    for (name, got), want in zip(
        trainer.model.named_parameters(), by_hand.parameters(), strict=True
    ):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-5, msg=name)


def test_dummy_rows_change_nothing(start: str, tmp_path: Path) -> None:
    exact = train_plainly(start, tmp_path / "a", seats=3, per_device_train_batch_size=4)
    filled = train_plainly(start, tmp_path / "b", seats=5, per_device_train_batch_size=4)
    assert_same_weights(exact, filled, atol=1e-6)
    lean, padded = lines(tmp_path / "a"), lines(tmp_path / "b")
    for name in ("return/even", "return/odd", "row/tokens", "row/own_tokens", "entropy"):
        assert lean[0][name] == pytest.approx(padded[0][name], rel=1e-5), name


@pytest.mark.parametrize("advantage", ["hierarchical", "token_gae", "rae"])
def test_it_learns(start: str, tmp_path: Path, advantage: str) -> None:
    trainer, metrics = train(
        start,
        tmp_path,
        advantage=advantage,
        games_per_iteration=16,
        per_device_train_batch_size=24,
        total_iterations=10,
        learning_rate=1e-2,
        critic_learning_rate=1e-2,
    )
    earned = [line["reward/outcome"] for line in metrics]
    # The most is 2; at the start about two thirds are earned by chance.
    assert sum(earned[-3:]) / 3 > earned[0] + 0.5
    assert trainer.state.global_step == 20


def test_critic_learns_alone_first(start: str, tmp_path: Path) -> None:
    before = LlamaForCausalLM.from_pretrained(start).lm_head.weight
    waiting, metrics = train(start, tmp_path / "a", total_iterations=1, critic_only_iterations=1)
    torch.testing.assert_close(waiting.model.lm_head.weight, before, rtol=0, atol=0)
    assert metrics[0]["critic/grad_norm"] > 0.0
    acting, _ = train(start, tmp_path / "b", total_iterations=2, critic_only_iterations=1)
    assert not torch.allclose(acting.model.lm_head.weight, before)


def test_critic_is_no_part_of_the_policy(start: str, tmp_path: Path) -> None:
    trainer, _ = train(start, tmp_path)
    plain = LlamaForCausalLM.from_pretrained(start)
    assert [name for name, _ in trainer.model.named_parameters()] == [
        name for name, _ in plain.named_parameters()
    ]
    assert trainer.optimizer is not None
    optimized = sum(p.numel() for g in trainer.optimizer.param_groups for p in g["params"])
    assert optimized == sum(p.numel() for p in plain.parameters())


def test_adapters_train_and_leave_the_base_alone(start: str, tmp_path: Path) -> None:
    adapters = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    trainer = OMARTrainer(
        start,
        tiny_settings(tmp_path, kl_as="loss", beta=0.1, learning_rate=1e-2),
        play=play_fake_games,
        peft_config=adapters,
    )
    trainer.train()
    named = dict(trainer.model.named_parameters())
    assert any("lora_B" in name and float(p.detach().abs().max()) > 0 for name, p in named.items())
    base = LlamaForCausalLM.from_pretrained(start).model.layers[0].self_attn.q_proj.weight
    kept = next(
        p for name, p in named.items() if name.endswith("0.self_attn.q_proj.base_layer.weight")
    )
    assert torch.equal(base, kept)
    first, last = lines(tmp_path)
    assert first["policy/logprob_gap"] < 1e-5
    assert 0.0 <= first["policy/kl"] < last["policy/kl"]


def test_bfloat16_trains(start: str, tmp_path: Path) -> None:
    _, metrics = train(start, tmp_path, bf16=True, old_logprobs="recomputed")
    # Rows are sampled under the same autocast that they are scored under.
    assert 0.0 <= metrics[0]["policy/logprob_gap"] < 1e-3
    assert metrics[1]["critic/grad_norm"] > 0.0


@pytest.mark.parametrize("kl_as", ["loss", "token_reward"])
def test_bfloat16_trains_beside_a_reference(start: str, tmp_path: Path, kl_as: str) -> None:
    changes = {"bf16": True, "old_logprobs": "recomputed", "kl_as": kl_as, "beta": 0.1}
    _, metrics = train(start, tmp_path, minibatches=1, **changes)
    # Policy and reference are scored alike, so that the first distance is none.
    assert 0.0 <= metrics[0]["policy/kl"] < 1e-3
    assert metrics[1]["policy/kl"] > metrics[0]["policy/kl"]


def test_activations_may_be_recomputed(start: str, tmp_path: Path) -> None:
    plain, _ = train(start, tmp_path / "a")
    saving, _ = train(start, tmp_path / "b", activation_checkpointing=True)
    assert_same_weights(plain, saving, atol=1e-6)


# --- KL -----------------------------------------------------------------------


def test_kl_acts_in_the_loss_or_in_the_rewards(start: str, tmp_path: Path) -> None:
    for kind in ("loss", "token_reward"):
        one_step = {"minibatches": 1, "learning_rate": 1e-2}
        _, metrics = train(start, tmp_path / kind, kl_as=kind, beta=0.1, **one_step)
        # Nothing has moved when the first games are played.
        assert metrics[0]["policy/kl"] < 1e-6 < metrics[1]["policy/kl"]
    _, metrics = train(start, tmp_path / "none")
    assert "policy/kl" not in metrics[0]


def test_a_large_token_kl_holds_the_policy_back(start: str, tmp_path: Path) -> None:
    long = {"total_iterations": 5, "learning_rate": 5e-3, "games_per_iteration": 6}
    train(start, tmp_path / "a", kl_as="token_reward", beta=1e-6, **long)
    train(start, tmp_path / "b", kl_as="token_reward", beta=3.0, **long)
    kl = [lines(tmp_path / name)[-1]["policy/kl"] for name in "ab"]
    assert kl[1] < 0.5 * kl[0]


# --- seeds, checkpoints, metrics ----------------------------------------------


def test_games_and_sampling_differ_between_iterations(start: str, tmp_path: Path) -> None:
    recorder, sampling = Recorder(), []

    def generator(trainer: OMARTrainer, seed: int) -> TextGenerator:
        sampling.append(seed)
        return TransformersGenerator(
            trainer.model, end_token_id=END, pad_token_id=PAD, seed=seed, max_context=64
        )

    settings = tiny_settings(tmp_path)
    OMARTrainer(start, settings, play=recorder, generator=generator).train()
    seeds = [plan.seed for plan in recorder.plans]
    assert len(seeds) == len(set(seeds)) == 8
    assert len(sampling) == len(set(sampling)) == 2


def test_resumed_run_equals_an_unbroken_one(start: str, tmp_path: Path) -> None:
    settings = {"save_strategy": "steps", "save_iterations": 2, "entropy_coef": 0.01}
    unbroken, again = Recorder(), Recorder()
    whole = OMARTrainer(
        start, tiny_settings(tmp_path / "a", total_iterations=4, **settings), play=unbroken
    )
    whole.train()

    stopped = tiny_settings(tmp_path / "b", total_iterations=2, **settings)
    OMARTrainer(start, stopped, play=again).train()
    checkpoint = tmp_path / "b" / "checkpoint-4"
    assert (checkpoint / STATE_FILE).is_file()
    resumed = OMARTrainer(
        start, tiny_settings(tmp_path / "b", total_iterations=4, **settings), play=again
    )
    resumed.train(resume_from_checkpoint=str(checkpoint))

    assert again.plans == unbroken.plans
    assert [g.rows for g in again.games] == [g.rows for g in unbroken.games]
    assert_same_weights(whole, resumed, atol=1e-6)
    timeless = [
        [{k: v for k, v in line.items() if "time" not in k and "second" not in k} for line in part]
        for part in (lines(tmp_path / "a"), lines(tmp_path / "b"))
    ]
    assert len(timeless[0]) == len(timeless[1]) == 4
    for one, other in zip(*timeless, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


def test_checkpoint_of_another_trainer_is_refused(start: str, tmp_path: Path) -> None:
    settings = {"save_strategy": "steps", "save_iterations": 1}
    train(start, tmp_path, total_iterations=1, **settings)
    assert start in (tmp_path / "README.md").read_text()
    (tmp_path / "checkpoint-2" / STATE_FILE).unlink()
    trainer = OMARTrainer(start, tiny_settings(tmp_path, **settings), play=play_fake_games)
    with pytest.raises(ConfigError, match="no checkpoint of OMARTrainer"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_metrics_are_one_line_per_iteration_without_group_statistics(
    start: str, tmp_path: Path
) -> None:
    _, metrics = train(start, tmp_path, total_iterations=3)
    assert [(line["iteration"], line["step"]) for line in metrics] == [(1, 2), (2, 4), (3, 6)]
    assert {
        "critic/clip_ratio",
        "critic/explained_variance",
        "critic/grad_norm",
        "critic/value_loss",
        "policy/clip_ratio",
        "entropy",
        "game/acts",
        "game/invalid_acts",
        "game/truncated_rows",
        "play/tokens_per_second",
        "policy/approx_kl",
        "policy/logprob_gap",
        "return/even",
        "return/odd",
        "reward/outcome",
        "time/iteration",
        "time/play",
        "win/even",
        "win/nobody",
    } <= metrics[0].keys()
    misleading = ("rewards/", "completions/", "clip_ratio/", "frac_", "epoch", "kl")
    assert not [name for name in metrics[0] if name.startswith(misleading)]
    assert metrics[0]["win/even"] + metrics[0]["win/nobody"] == 1.0
    assert metrics[0]["game/acts"] == 3 * TURNS


def test_progress_is_a_line_per_iteration_where_there_is_no_terminal(
    start: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(start, tmp_path, progress=True)
    shown = [line for line in capsys.readouterr().err.splitlines() if "iteration " in line]
    assert len(shown) == 2
    assert "iteration 2/2" in shown[1] and "explained_variance" in shown[1]


# --- guards -------------------------------------------------------------------


def test_too_many_unscored_games_stop_the_run(start: str, tmp_path: Path) -> None:
    (tmp_path / "half.jsonl").write_text('{"unscored": true}\n{}\n')
    half = {"scenarios": str(tmp_path / "half.jsonl"), "total_iterations": 1}
    with pytest.raises(RuntimeError, match="6 of 12 seats"):
        train(start, tmp_path / "a", **half)
    _, metrics = train(start, tmp_path / "b", **half, max_unscored_fraction=0.5)
    assert metrics[0]["game/unscored"] == 0.5


def test_truncated_games_bootstrap(start: str, tmp_path: Path) -> None:
    (tmp_path / "long.jsonl").write_text('{"truncated": true}\n')
    _, metrics = train(start, tmp_path, scenarios=str(tmp_path / "long.jsonl"))
    assert metrics[0]["game/time_limit"] == 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fsdp": True, "fsdp_config": {"fsdp_version": 2}}, "fsdp .* torchrun"),
        ({"report_to": "wandbee"}, "report_to: wandbee is not supported"),
        ({"report_to": ["kubeflow"]}, r"report_to: .* \(metrics.jsonl is written"),
    ],
)
def test_what_this_process_cannot_do_is_refused_before_a_model_is_loaded(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    settings = tiny_settings(tmp_path, **changes)
    with pytest.raises(ConfigError, match=message):
        OMARTrainer("no such model", settings, play=play_fake_games)


def test_vllm_must_be_installed(start: str, tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, use_vllm=True, old_logprobs="recomputed")
    with pytest.raises(ConfigError, match=r"omar-envs\[vllm\]"):
        OMARTrainer(start, settings)
