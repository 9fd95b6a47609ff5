"""What must not move: the policy while the critic learns alone, and whatever is left out."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from omar_envs.errors import ConfigError
from omar_trainers.generation import TextGenerator
from omar_trainers.metrics import METRICS_FILE
from omar_trainers.selfplay import GamePlan, PlayedGames, PlayGames, SeatKind
from omar_trainers.trainer import OMARTrainer
from tests.trainers.fake_games import play_fake_games, save_tiny_model, tiny_settings

HARD: dict[str, Any] = {
    "weight_decay": 0.5,
    "learning_rate": 1e-2,
    "warmup_steps": 4,
    "lr_scheduler_type": "linear",
    "kl_as": "loss",
    "beta": 0.1,
    "kl_target": 1.0,
}
"""All that moves a policy without any gradient, or changes how it will move."""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model(tmp_path_factory.mktemp("start"))


def two_teams(plan: GamePlan) -> dict[str, SeatKind]:
    teams = ("even", "odd")
    return {f"agent_{i}": SeatKind(teams[i % 2], teams[i % 2]) for i in range(3)}


class SilentLater:
    """Nobody speaks from the second iteration on."""

    def __init__(self) -> None:
        self.iterations = 0

    def __call__(self, plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
        self.iterations += 1
        if self.iterations > 1:
            plans = [GamePlan({**plan.scenario, "silent": 3}, plan.seed) for plan in plans]
        return play_fake_games(plans, generator)


class Whole(OMARTrainer):
    """Remembers all that training moves, as it was after each iteration."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.seen: list[dict[str, Any]] = []

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs, start_time)
        assert self.optimizer is not None and self.lr_scheduler is not None
        state = {
            "policy": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict()["state"],
            "schedule": self.lr_scheduler.state_dict(),
            "rate": self.lr_scheduler.get_last_lr(),
            "kl": self.stateful["kl"].state_dict(),
            "estimator": self.estimator.state_dict(),
        }
        self.seen.append(copy.deepcopy(state))


def train(
    kind: type[Whole], start: str, output: Path, play: PlayGames = play_fake_games, **changes: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """-> what was moved, and the metrics, both after each iteration"""
    trainer = kind(start, tiny_settings(output, **changes), play=play, lineup=two_teams)
    trainer.train()
    text = (output / METRICS_FILE).read_text()
    return trainer.seen, [json.loads(line) for line in text.splitlines()]


def same(one: Any, other: Any) -> bool:
    """Equal down to the last bit."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


POLICY = ("policy", "optimizer", "schedule", "rate", "kl")


def test_the_policy_waits_while_the_critic_learns_alone(start: str, tmp_path: Path) -> None:
    seen, metrics = train(
        Whole, start, tmp_path, critic_only_iterations=2, total_iterations=4, **HARD
    )
    assert not seen[1]["optimizer"] and seen[1]["schedule"]["last_epoch"] == 0
    assert seen[1]["kl"]["coefficient"] == 0.1
    assert all(same(seen[0][part], seen[1][part]) for part in POLICY)
    assert not same(seen[0]["estimator"], seen[1]["estimator"])
    # Then it begins from the beginning, and its schedule ends with the run.
    for part in POLICY:
        assert not same(seen[1][part], seen[2][part]), part
    assert {float(state["step"]) for state in seen[3]["optimizer"].values()} == {4.0}
    assert seen[3]["schedule"]["last_epoch"] == 4
    assert metrics[1]["critic/grad_norm"] > 0.0 and metrics[1]["policy/skipped"] == 0.0


def test_an_iteration_without_anything_to_learn_moves_nothing(start: str, tmp_path: Path) -> None:
    seen, metrics = train(Whole, start, tmp_path, SilentLater(), total_iterations=3, **HARD)
    assert [line["policy/skipped"] for line in metrics] == [0.0, 1.0, 1.0]
    for part in seen[0]:
        assert same(seen[0][part], seen[2][part]), part
    baseline, _ = train(
        Whole, start, tmp_path / "rae", SilentLater(), advantage="rae", kl_as="none"
    )
    assert same(baseline[0], baseline[1])


class Vandal(Whole):
    """Gives whatever is left out other numbers to learn from."""

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        own = batch["turn_index"] >= 0
        untaught = own & ~batch["tool_mask"].bool()
        unread = own & ~batch["critic_mask"]
        assert untaught.any() and not untaught.all()
        batch["advantages"][untaught] = 9.0
        for name in ("values", "returns"):
            batch[name][unread] = 9.0
        self.unread = int(unread.sum())
        return batch


@pytest.mark.parametrize(
    "left_out",
    [{"turn_filter": "rules", "filter_words": 1}, {"learn_teams": ["odd"], "minibatches": 4}],
    ids=["dropped turns", "other teams"],
)
def test_what_is_left_out_teaches_nothing(
    start: str, tmp_path: Path, left_out: dict[str, Any]
) -> None:
    common = {"learning_rate": 1e-2, "critic_learning_rate": 1e-2, "entropy_coef": 0.1} | left_out
    plain, metrics = train(Whole, start, tmp_path / "a", total_iterations=1, **common)
    broken, _ = train(Vandal, start, tmp_path / "b", total_iterations=1, **common)
    assert same(plain, broken)
    assert metrics[0]["critic/grad_norm"] > 0.0


def test_the_critic_learns_from_rows_that_the_policy_does_not(start: str, tmp_path: Path) -> None:
    """Whose rows the policy learns from changes the critic's first iteration in nothing."""
    common: dict[str, Any] = {"total_iterations": 1, "critic_only_iterations": 1}
    every, _ = train(Whole, start, tmp_path / "a", **common)
    some, metrics = train(Whole, start, tmp_path / "b", learn_teams=["odd"], **common)
    assert same(every[0]["estimator"], some[0]["estimator"])
    assert {name for name in metrics[0] if name in ("advantage/odd", "advantage/even")} == {
        "advantage/odd"
    }
    # A running mean needs no more rows than the policy has.
    rae = {"advantage": "rae", "total_iterations": 1}
    means, _ = train(Whole, start, tmp_path / "c", learn_teams=["odd"], **rae)
    assert set(means[0]["estimator"]["role_baseline"]) == {"odd"}


def test_a_frozen_side_always_leaves_a_seat_that_is_learned_from(
    start: str, tmp_path: Path
) -> None:
    one_team = {"learn_teams": ["odd"], "opponent_share": 1.0, "opponent_every": 1}
    _, metrics = train(
        Whole, start, tmp_path, games_per_iteration=1, total_iterations=6, minibatches=1, **one_team
    )
    assert [line["policy/skipped"] for line in metrics] == [0.0] * 6


def test_each_scenario_has_its_own_running_mean(start: str, tmp_path: Path) -> None:
    scenarios = tmp_path / "scenarios.jsonl"
    scenarios.write_text('{"turns": 1}\n{"turns": 4}\n', encoding="utf-8")
    seen, _ = train(Whole, start, tmp_path / "out", advantage="rae", scenarios=str(scenarios))
    kinds = seen[-1]["estimator"]["role_baseline"]
    assert set(kinds) == {"0:even", "0:odd", "1:even", "1:odd"}
    short, long = (
        sum(total / weight for kind, (total, weight) in kinds.items() if kind.startswith(number))
        for number in "01"
    )
    # Four acts can earn 2, one act can earn 1.
    assert short < long


def test_a_role_that_no_game_has_is_found_in_the_first_games(start: str, tmp_path: Path) -> None:
    args = tiny_settings(tmp_path, learn_roles=["wizard"])
    with pytest.raises(ConfigError, match=r"wizard.* even .*odd"):
        OMARTrainer(start, args, play=play_fake_games).train()
