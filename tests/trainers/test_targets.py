"""What policy and critic are trained towards, beside the estimators' own tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import LlamaForCausalLM

from omar_envs.errors import ConfigError
from omar_trainers.baselines import RoleBaseline
from omar_trainers.critic import ValueEstimates
from omar_trainers.scoring import FREE, OwnTokens
from omar_trainers.selfplay import RoundTensors, RowFacts
from omar_trainers.targets import RowReturn, TargetEstimator, critic_targets, role_advantages
from tests.trainers.fake_games import save_tiny_model, tiny_settings

TURN_INDEX = torch.tensor([[0, 0, -1, 1], [0, 0, -1, 1]])


def rows(bootstrap: list[bool]) -> RoundTensors:
    """Two equal rows of two turns; each may go on after its end."""
    own = TURN_INDEX >= 0
    return RoundTensors(
        turn_index=TURN_INDEX,
        own=OwnTokens(own, torch.full((2, 4), FREE), own.new_zeros(0, 9)),
        logprobs=torch.zeros(2, 4),
        turn_rewards=torch.tensor([[0.0, 1.0], [0.0, 1.0]]),
        keep_turn=torch.ones(2, 2, dtype=torch.bool),
        bootstrap=torch.tensor(bootstrap),
        learned=torch.ones(2, dtype=torch.bool),
    )


def paid(*earned: tuple[str, float]) -> list[RowFacts]:
    """Facts of rows by role, as agent and team too, and return."""
    return [RowFacts(role, role, role, total) for role, total in earned]


VALUES = ValueEstimates(
    before=torch.tensor([[0.1, 0.2, 0.3, 0.4]] * 2), after_last=torch.tensor([0.5, 0.5])
)


@pytest.mark.parametrize("advantage", ["hierarchical", "token_gae", "turn_gae"])
def test_only_rows_that_go_on_are_bootstrapped(tmp_path: Path, advantage: str) -> None:
    args = tiny_settings(tmp_path, advantage=advantage)
    ended, going_on = critic_targets(args, rows([False, True]), VALUES, None).returns
    # The last token's return is all that comes after it.
    assert ended[3] == pytest.approx(1.0)
    assert going_on[3] == pytest.approx(1.0 + 0.5)
    assert ended[2] == going_on[2] == 0.0


def test_the_settings_reach_the_estimator(tmp_path: Path) -> None:
    def returns(**changes: float | str) -> list[float]:
        args = tiny_settings(tmp_path, **({"lam_turn": 1.0, "lam_token": 1.0} | changes))
        return critic_targets(args, rows([False, False]), VALUES, None).returns[0].tolist()

    assert returns() == pytest.approx([1.0, 1.0, 0.0, 1.0])
    assert returns(gamma_turn=0.5) == pytest.approx([0.5, 0.5, 0.0, 1.0])
    assert returns(gamma_token=0.5) == pytest.approx([0.5, 1.0, 0.0, 1.0])
    assert returns(lam_turn=0.0) == pytest.approx([0.4, 0.4, 0.0, 1.0])
    assert returns(lam_token=0.0) == pytest.approx([0.2, 1.0, 0.0, 1.0])
    by_turn = {"advantage": "turn_gae", "gamma_token": 0.3, "lam_token": 0.0}
    assert returns(**by_turn) == pytest.approx([1.0, 1.0, 0.0, 1.0])
    assert returns(**by_turn, gamma_turn=0.5) == pytest.approx([0.5, 0.5, 0.0, 1.0])
    assert returns(**by_turn, lam_turn=0.0) == pytest.approx([0.4, 0.4, 0.0, 1.0])
    by_token = {"advantage": "token_gae", "gamma_turn": 0.3, "lam_turn": 0.0}
    assert returns(**by_token) == pytest.approx([1.0, 1.0, 0.0, 1.0])
    assert returns(**by_token, gamma_token=0.5) == pytest.approx([0.25, 0.5, 0.0, 1.0])


def test_token_rewards_are_passed_on(tmp_path: Path) -> None:
    penalty = torch.tensor([[-0.3, 0.0, 0.0, 0.0]] * 2)
    args = tiny_settings(tmp_path)
    plain, taxed = (critic_targets(args, rows([False] * 2), VALUES, r) for r in (None, penalty))
    moved = (taxed.advantages - plain.advantages)[0].tolist()
    assert moved == pytest.approx([-0.3, 0.0, 0.0, 0.0])


def test_rows_that_teach_nothing_enter_no_running_mean() -> None:
    baseline = RoleBaseline(0.9)
    idle = [RowReturn("", 0.0, False), RowReturn("wolf", 5.0, False)]
    seer, wolf = RowReturn("seer", 1.0, True), RowReturn("wolf", -1.0, True)
    assert role_advantages(baseline, [seer, *idle, wolf]).tolist() == [1.0, 0.0, 0.0, -1.0]
    wolf = RowReturn("wolf", 0.0, True)
    second = role_advantages(baseline, [seer, *idle, wolf])
    assert second.tolist() == pytest.approx([0.0, 0.0, 0.0, 1.0])
    assert set(baseline.means) == {"seer", "wolf"}
    assert role_advantages(baseline, idle).tolist() == [0.0, 0.0]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(save_tiny_model(tmp_path_factory.mktemp("model")))


def estimate(
    policy: LlamaForCausalLM, folder: Path, earned: list[tuple[str, float]], *, whiten: bool
) -> Tensor:
    args = tiny_settings(folder, advantage="rae", whiten=whiten)
    estimator = TargetEstimator(args, policy, Accelerator(cpu=True))
    return estimator.targets({}, rows([False] * 2), paid(*earned), None)[0]["advantages"]


def test_whitening_is_over_own_tokens_only(policy: LlamaForCausalLM, tmp_path: Path) -> None:
    earned = [("seer", 3.0), ("wolf", 1.0)]
    plain = estimate(policy, tmp_path, earned, whiten=False)
    assert plain.tolist() == [[3.0, 3.0, 0.0, 3.0], [1.0, 1.0, 0.0, 1.0]]
    white = estimate(policy, tmp_path, earned, whiten=True)
    assert white.flatten().tolist() == pytest.approx([1, 1, 0, 1, -1, -1, 0, -1])
    flat = estimate(policy, tmp_path, [("seer", 2.0), ("wolf", 2.0)], whiten=True)
    assert not flat.any()


def test_state_of_the_other_kind_is_refused(policy: LlamaForCausalLM, tmp_path: Path) -> None:
    with_critic, without = (
        TargetEstimator(tiny_settings(tmp_path, advantage=kind), policy, Accelerator(cpu=True))
        for kind in ("hierarchical", "rae")
    )
    with pytest.raises(ConfigError, match="no role_baseline"):
        without.load_state_dict(with_critic.state_dict())
    with pytest.raises(ConfigError, match="no critic"):
        with_critic.load_state_dict(without.state_dict())
