"""What is logged about games and updates."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TrainerCallback

from omar_envs.metering import Usage
from omar_envs.policy import RandomPolicy
from omar_envs.rollout import make, run
from omar_envs.types import SPEAK, Episode
from omar_trainers.metrics import (
    METRICS_FILE,
    Mean,
    add_means,
    episode_means,
    explained_variance,
    judge_means,
    kl_estimate,
    round_means,
)
from omar_trainers.selfplay import GamePlan, SelfPlayRound
from omar_trainers.shown.game_text import GAMES_FOLDER
from omar_trainers.trainer import OMARTrainer
from tests.trainers.fake_games import TURNS, play_fake_games, save_tiny_model, tiny_settings
from tests.trainers.test_selfplay import FirstChoice, played


@given(st.lists(st.lists(st.floats(-5, 5), min_size=1, max_size=5), min_size=1, max_size=4))
def test_means_of_parts_are_the_mean_of_all(parts: list[list[float]]) -> None:
    whole = [value for part in parts for value in part]
    added = add_means({"x": Mean(sum(part), len(part))} for part in parts)
    assert added["x"].value == pytest.approx(sum(whole) / len(whole))


def test_nothing_counted_has_no_mean() -> None:
    assert math.isnan(Mean(0.0, 0).value)


def test_episode_means_against_counting_by_hand() -> None:
    games = run(lambda: make("werewolf_v0", {"num_players": 5}), RandomPolicy(1), 12, seed=3)
    means = {name: mean.value for name, mean in episode_means(games).items()}
    for team in ("village", "werewolf"):
        won = sum(game.outcome["winner"] == team for game in games) / 12
        assert means[f"win/{team}"] == pytest.approx(won)
    assert sum(value for name, value in means.items() if name.startswith("win/")) == 1.0
    seers = [
        game.total_reward(seat.agent)
        for game in games
        for seat in game.seats
        if seat.role == "seer"
    ]
    assert means["return/seer"] == pytest.approx(sum(seers) / len(seers))
    assert means["game/acts"] == sum(len(game.turns) for game in games) / 12
    assert means["game/invalid_acts"] == 0.0


def test_dummy_rows_enter_no_mean() -> None:
    games = played({"seats": 2})
    lean = round_means(SelfPlayRound(games, seats=2, filler=0))
    assert round_means(SelfPlayRound(games, seats=4, filler=0)) == lean


def test_undetermined_rewards_enter_no_mean() -> None:
    means = episode_means(played({"unscored": True}, {}).episodes)
    assert means["reward/outcome"].count == 3
    assert means["return/even"].count == 2


def test_explained_variance() -> None:
    returns = torch.tensor([[1.0, 2.0, 3.0, 99.0]])
    mask = torch.tensor([[True, True, True, False]])
    assert explained_variance(returns + 5.0, returns, mask).value == pytest.approx(1.0)
    assert explained_variance(returns * 0.0, returns, mask).value == pytest.approx(0.0)
    assert explained_variance(-returns, returns, mask).value == pytest.approx(-3.0)
    assert explained_variance(returns, torch.ones(1, 4), mask).count == 0


def test_kl_estimate_is_unbiased_and_never_negative() -> None:
    p, q = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.4, 0.4, 0.2])
    estimate = kl_estimate((q / p).log())
    assert (estimate >= 0).all()
    assert (p * estimate).sum() == pytest.approx(float((p * (p / q).log()).sum()))


def werewolf_games(count: int) -> list[Episode]:
    return run(lambda: make("werewolf_v0", {"num_players": 5}), RandomPolicy(1), count, seed=3)


def test_returns_by_team_and_lengths_against_counting_by_hand() -> None:
    games = werewolf_games(8)
    means = {name: mean.value for name, mean in episode_means(games).items()}
    for team in ("village", "werewolf"):
        earned = [
            game.total_reward(agent)
            for game in games
            for agent, other in game.outcome["teams"].items()
            if other == team
        ]
        assert means[f"team_return/{team}"] == pytest.approx(sum(earned) / len(earned))
    said = [t.text for g in games for t in g.turns if t.request.kind == SPEAK and t.valid]
    words = sum(len(text.split()) for text in said)
    assert means["game/words_per_speech"] == pytest.approx(words / len(said))


def test_frozen_seats_enter_no_return_and_their_games_no_win_rate() -> None:
    games = werewolf_games(8)
    wolves = {
        (i, seat.agent): "iteration-000000"
        for i, game in enumerate(games[:4])
        for seat in game.seats
        if seat.role == "werewolf"
    }
    means = episode_means(games, wolves)
    rest = episode_means(games[4:])
    assert means["return/werewolf"] == rest["return/werewolf"]
    assert means["win/village"] == rest["win/village"]
    assert means["return/seer"] == episode_means(games)["return/seer"]
    everyone = {(i, seat.agent): "x" for i, game in enumerate(games) for seat in game.seats}
    assert episode_means(games, everyone).keys() == {"game/acts", "game/time_limit"}


def test_win_rates_of_parts_are_those_of_the_whole() -> None:
    games = werewolf_games(9)
    parts = add_means(episode_means(games[i : i + 3]) for i in (0, 3, 6))
    whole = episode_means(games)
    assert {name: mean.value for name, mean in parts.items()} == pytest.approx(
        {name: mean.value for name, mean in whole.items()}
    )
    won = [mean.value for name, mean in whole.items() if name.startswith("win/")]
    assert sum(won) == pytest.approx(1.0)


def test_a_winner_that_only_one_process_saw_has_its_share_of_all_games() -> None:
    # Of these games without teams, those with odd seeds are won by even.
    won, drawn = ([GamePlan({}, seed) for seed in seeds] for seeds in ((1, 3, 4), (2, 6)))
    parts = [episode_means(play_fake_games(p, FirstChoice()).episodes) for p in (won, drawn)]
    means = add_means(parts)
    assert (means["win/even"].value, means["win/nobody"].value) == (0.4, 0.6)


def test_judgements_that_failed_and_what_was_asked_for_them() -> None:
    games = played({}, {}, {}).episodes
    assert judge_means(games, None) == {}
    for game, amount in zip(games, (0.5, None, 0.25), strict=True):
        for parts in game.rewards.values():
            parts["judge"] = amount
    usage = Usage(6, failures=2, prompt_tokens=300, completion_tokens=30, cost=1.5)
    means = {name: mean.value for name, mean in judge_means(games, usage).items()}
    assert means == pytest.approx(
        {
            "judge/failed": 1 / 3,
            "judge/calls": 2.0,
            "judge/failed_calls": 1 / 3,
            "judge/prompt_tokens": 100.0,
            "judge/completion_tokens": 10.0,
            "judge/cost": 0.5,
        }
    )
    assert "judge/cost" not in judge_means(games, Usage(6))


def test_turns_and_tokens_of_rows() -> None:
    games = played({"seats": 2}, {"seats": 1})
    result = SelfPlayRound(games, seats=2, filler=0)
    means = {name: mean.value for name, mean in round_means(result).items()}
    assert means["row/turns"] == TURNS
    assert means["row/tokens_per_turn"] * TURNS == pytest.approx(means["row/own_tokens"])
    assert result.sampled_tokens == result.own_tokens == 3 * means["row/own_tokens"]


def test_what_is_logged_reaches_the_callbacks_that_report(tmp_path: Path) -> None:
    """Tensorboard and its like are callbacks: they are told the same as the metrics file."""

    class Reporter(TrainerCallback):
        def __init__(self) -> None:
            self.told: list[dict[str, float]] = []

        def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
            self.told.append(dict(logs))

    reporter = Reporter()
    start = save_tiny_model(tmp_path / "start")
    out = tmp_path / "out"
    OMARTrainer(
        start, tiny_settings(out, log_games=1), play=play_fake_games, callbacks=[reporter]
    ).train()
    written = [json.loads(line) for line in (out / METRICS_FILE).read_text().splitlines()]
    assert len(written) == 2
    for line, told in zip(written, reporter.told, strict=False):
        assert {k: v for k, v in line.items() if k not in ("iteration", "step")} == {
            k: v for k, v in told.items() if k != "epoch"
        }
        phases = [line[f"time/{name}"] for name in ("play", "score", "train")]
        assert all(seconds > 0 for seconds in phases)
        assert sum(phases) == pytest.approx(line["time/iteration"])
        assert line["train/tokens_per_second"] > 0
    names = sorted(path.name for path in (out / GAMES_FOLDER).iterdir())
    assert names == [
        f"iteration-{number:06}.{ending}"
        for number in (1, 2)
        for ending in ("jsonl", "tokens.jsonl", "txt")
    ]
    assert "Game 1 of 1" in (out / GAMES_FOLDER / "iteration-000001.txt").read_text()
