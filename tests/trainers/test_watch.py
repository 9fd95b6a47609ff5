"""The held-out measure: its games, what reads them, and where it is logged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from omar_envs.errors import ConfigError
from omar_envs.metering import Usage
from omar_envs.types import Episode, JudgeResult
from omar_trainers.generation import TextGenerator
from omar_trainers.guards import TrainingError
from omar_trainers.metrics import METRICS_FILE, Mean
from omar_trainers.resuming.rollout_store import RolloutStore
from omar_trainers.selfplay import GamePlan, PlayedGames, PlayGames
from omar_trainers.trainer import OMARTrainer
from omar_trainers.watch import FIRST_SEED, FieldWatch, HeldOut, JudgeWatch, make_watch, plot_watch
from tests.trainers.fake_games import play_fake_games, save_tiny_model, tiny_settings
from tests.trainers.test_filters import talk


def with_outcome(fields: dict[str, object], **rewards: float | None) -> Episode:
    episode = talk(("a", "hello"), ("b", "hello"))
    return replace(episode, outcome=fields, rewards={"a": dict(rewards), "b": {"outcome": 1.0}})


# --- measures -----------------------------------------------------------------


def test_fields_of_the_outcome_and_single_components() -> None:
    games = [
        with_outcome({"welfare": 0.5, "shares": {"a": 1, "b": 0}, "winner": "a"}, outcome=3.0),
        with_outcome({"welfare": 1.0, "shares": {"a": 0, "b": 0}, "winner": None}, outcome=None),
        with_outcome({"settled": True}, outcome=2.0),
    ]
    assert FieldWatch("outcome.welfare")(games) == {"outcome.welfare": 0.75}
    assert FieldWatch("outcome.shares")(games) == {"outcome.shares": 0.25}
    assert FieldWatch("outcome.settled")(games) == {"outcome.settled": 1.0}
    assert FieldWatch("outcome.winner")(games) == {"outcome.winner=a": 0.5}
    assert FieldWatch("reward.outcome")(games) == {"reward.outcome": pytest.approx(8 / 5)}
    with pytest.raises(ConfigError, match="settled, shares, welfare, winner"):
        FieldWatch("outcome.wealth")(games)
    for field in ("welfare", "outcome.", "judge.goal"):
        with pytest.raises(ConfigError, match=r"reward\.NAME"):
            FieldWatch(field)


class LikesAnna:
    """A judge that scores by agent, and fails on every game without an outcome."""

    async def judge(self, episode: Episode) -> JudgeResult:
        if not episode.outcome:
            return JudgeResult("failed", error="no idea")
        return JudgeResult("ok", scores={"a": {"wit": 4.0, "tact": 2.0}, "b": {"wit": 0.0}})


def test_a_judge_as_held_out_measure() -> None:
    games = [with_outcome({"x": 1}), with_outcome({"x": 1}), with_outcome({}), with_outcome({})]
    assert JudgeWatch(LikesAnna())(games) == {
        "judge": 1.5,
        "judge/wit": 2.0,
        "judge/tact": 2.0,
        "judge/failed": 0.5,
    }
    assert JudgeWatch(LikesAnna())(games[2:]) == {"judge/failed": 1.0}


def test_either_a_measure_and_looks_or_neither() -> None:
    def length(episodes: Sequence[Episode]) -> dict[str, float]:
        return {"games": len(episodes)}

    assert make_watch(None, None, 0) is None
    assert make_watch(length, None, 2) is length
    for measure, field, every, words in (
        (length, "outcome.x", 1, "give one"),
        (length, None, 0, "how often"),
        (None, "outcome.x", 0, "how often"),
        (None, None, 3, "nothing to watch"),
        (None, "x", 3, "outcome.NAME"),
    ):
        with pytest.raises(ConfigError, match=words):
            make_watch(measure, field, every)


# --- looks --------------------------------------------------------------------


def test_processes_share_the_games_and_one_measures_them_all() -> None:
    seen: list[GamePlan] = []
    held = HeldOut(
        lambda episodes: {"games": float(len(episodes))},
        every=3,
        games=5,
        scenarios=[{"n": 0}, {"n": 1}],
        seed=4,
    )

    def play(plans: Sequence[GamePlan]) -> PlayedGames:
        seen.extend(plans)
        return PlayedGames([with_outcome({}) for _ in plans], {}, judge_usage=Usage(requests=10))

    assert [iteration for iteration in range(7) if held.due(iteration)] == [0, 3, 6]
    assert {name: mean.value for name, mean in held.look(play, 0, 1).items()} == {
        "watch/games": 5.0,
        "watch/return": pytest.approx(0.5),
        "watch/return/seat": pytest.approx(0.5),
        "watch/judge_calls": 2.0,
        "watch/judge_failed_calls": 0.0,
        "watch/judge_prompt_tokens": 0.0,
        "watch/judge_completion_tokens": 0.0,
    }
    assert [plan.scenario["n"] for plan in seen] == [0, 1, 0, 1, 0]
    assert len({plan.seed for plan in seen}) == 5
    parts = [held.plans[process::2] for process in range(2)]
    assert sorted(plan.seed for part in parts for plan in part) == sorted(p.seed for p in seen)


def test_a_broken_measure_ends_the_run_with_its_reason() -> None:
    def broken(episodes: Sequence[Episode]) -> Mapping[str, float]:
        raise KeyError("deal")

    held = HeldOut(broken, every=1, games=1, scenarios=[{}], seed=0)
    with pytest.raises(TrainingError, match="KeyError: 'deal'"):
        held.look(lambda plans: PlayedGames([with_outcome({})], {}), 0, 1)


class Counted(LikesAnna):
    """The same judge, that counts."""

    def __init__(self) -> None:
        self.usage = Usage()

    async def judge(self, episode: Episode) -> JudgeResult:
        self.usage = Usage(self.usage.requests + 3, cost=0.5)
        return await super().judge(episode)


def test_what_a_look_asks_of_its_judge_is_counted() -> None:
    held = HeldOut(JudgeWatch(Counted()), every=1, games=4, scenarios=[{}], seed=0)
    plain = held.look(lambda plans: PlayedGames([with_outcome({"x": 1}) for _ in plans], {}), 0, 1)
    assert plain["watch/judge_calls"].value == 3.0
    assert plain["watch/judge"].value == 1.5

    def also_judged(plans: Sequence[GamePlan]) -> PlayedGames:
        return PlayedGames([with_outcome({}) for _ in plans], {}, judge_usage=Usage(requests=8))

    both = held.look(also_judged, 0, 1)
    assert both["watch/judge_calls"].value == 3.0 + 2.0


def test_returns_are_told_by_side() -> None:
    game = talk(("a", "hello"), ("b", "hello"), ("c", "hello"))
    roles = ("seer", "werewolf", "werewolf")
    game = replace(
        game,
        seats=tuple(replace(seat, role=role) for seat, role in zip(game.seats, roles, strict=True)),
        rewards={"a": {"x": 2.0}, "b": {"x": -3.0}, "c": {"x": None}},
        outcome={"teams": {"a": "village", "b": "wolves", "c": "wolves"}},
    )
    held = HeldOut(lambda _: {}, every=1, games=1, scenarios=[{}], seed=0)
    found = held.look(lambda plans: PlayedGames([game], {}), 0, 1)
    assert {name: mean.value for name, mean in found.items()} == {
        "watch/return": -0.5,
        "watch/return/seer": 2.0,
        "watch/return/werewolf": -3.0,
        "watch/team_return/village": 2.0,
        "watch/team_return/wolves": -3.0,
    }


def test_a_recipe_may_name_a_judge(tmp_path: Path) -> None:
    measure = make_watch(None, "judge=http://localhost:1/v1#tiny", 1, str(tmp_path))
    assert isinstance(measure, JudgeWatch)
    with pytest.raises(ConfigError, match="URL#model"):
        make_watch(None, "judge=tiny", 1, str(tmp_path))


def test_a_look_is_not_repeated_after_a_kill(tmp_path: Path) -> None:
    """Killed while it plays the games of training: the look before them is kept."""
    start = save_tiny_model(tmp_path / "start")
    looks: list[int] = []

    def play(batch: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
        looks.append(batch[0].seed >= FIRST_SEED)
        if looks == [1, 0, 0]:
            raise KeyboardInterrupt
        return play_fake_games(batch, generator)

    def run(name: str, *, games: int = 3, play: PlayGames = play) -> list[dict[str, float]]:
        settings = tiny_settings(
            tmp_path / name,
            save_strategy="steps",
            save_iterations=5,
            watch="reward.outcome",
            watch_every=2,
            watch_games=games,
        )
        OMARTrainer(start, settings, play=play).train()
        text = (tmp_path / name / METRICS_FILE).read_text()
        return [json.loads(line) for line in text.splitlines()]

    with pytest.raises(KeyboardInterrupt):
        run("killed")
    killed = run("killed")
    # Neither the look nor the first iteration's games are played again.
    assert looks == [1, 0, 0, 0]
    whole = run("whole", play=play_fake_games)
    assert killed[0]["watch/return"] == whole[0]["watch/return"]
    assert killed[1]["reward/outcome"] == whole[1]["reward/outcome"]
    store = RolloutStore(tmp_path / "kept", "a")
    store.keep_look(0, "x on 3 games", {"watch/x": Mean(1.0, 2)})
    assert store.recall_look(0, "x on 3 games") == {"watch/x": Mean(1.0, 2)}
    assert store.recall_look(0, "x on 4 games") is None
    assert RolloutStore(tmp_path / "kept", "b").recall_look(0, "x on 3 games") is None


def test_looks_stand_beside_training_and_change_nothing_of_it(tmp_path: Path) -> None:
    start = save_tiny_model(tmp_path / "start")
    plans: list[GamePlan] = []

    def play(batch: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
        plans.extend(batch)
        return play_fake_games(batch, generator)

    def run(name: str, **watched: object) -> list[dict[str, float]]:
        settings = tiny_settings(tmp_path / name, total_iterations=4, **watched)
        OMARTrainer(start, settings, play=play).train()
        text = (tmp_path / name / METRICS_FILE).read_text()
        return [json.loads(line) for line in text.splitlines()]

    watched = run("watched", watch="reward.outcome", watch_every=2, watch_games=5)
    held = [plan.seed for plan in plans if plan.seed >= FIRST_SEED]
    trained = [plan.seed for plan in plans if plan.seed < FIRST_SEED]
    assert len(held) == 10 and held[:5] == held[5:]
    assert len({*trained}) == len(trained) == 16

    plain = run("plain")
    looked = ["watch/return" in line for line in watched]
    assert looked == [True, False, True, False]
    assert watched[2]["watch/return"] == watched[2]["watch/reward.outcome"]
    for one, other in zip(watched, plain, strict=True):
        for name in ("loss", "entropy", "reward/outcome", "critic/value_loss"):
            assert one[name] == pytest.approx(other[name], rel=1e-5), name

    plot_watch(tmp_path / "watch.png", watched)
    assert (tmp_path / "watch.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match=r"watch/reward\.outcome"):
        plot_watch(tmp_path / "watch.png", watched, ["judge"])
    with pytest.raises(ValueError, match="no look"):
        plot_watch(tmp_path / "watch.png", plain)
