"""Past models on one side: which games, which seats, which model, and what is learned."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, TrainerCallback

from omar_envs.errors import ConfigError, PolicyError
from omar_envs.policy import RandomPolicy
from omar_envs.rollout import make, play
from omar_trainers.generation import GenerationRequest, GenerationResult, TextGenerator
from omar_trainers.metrics import METRICS_FILE
from omar_trainers.opponents.past_models import POOL_FOLDER
from omar_trainers.opponents.play import (
    Opponents,
    TwoModels,
    frozen_side,
    live_points,
    shared_games,
)
from omar_trainers.opponents.pool import GameResult, Member, OpponentPool
from omar_trainers.selfplay import GamePlan, PlayedGames, SeatKind, SelfPlayRound
from omar_trainers.trainer import OMARTrainer
from tests.trainers.fake_games import END, play_fake_games, save_tiny_model, tiny_settings

POOL: dict[str, Any] = {"opponent_share": 0.5, "opponent_every": 1, "opponent_pool_size": 2}


def lora() -> LoraConfig:
    return LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model(tmp_path_factory.mktemp("start"))


def no_teams(plan: GamePlan) -> dict[str, SeatKind]:
    return {f"agent_{i}": SeatKind(None, None) for i in range(plan.scenario.get("seats", 3))}


def two_teams(plan: GamePlan) -> dict[str, SeatKind]:
    teams = ("even", "odd")
    return {
        f"agent_{i}": SeatKind(teams[i % 2], teams[i % 2])
        for i in range(plan.scenario.get("seats", 3))
    }


class Says:
    """A generator that says one token, its name, and never chooses well."""

    max_context = 64

    def __init__(self, token: int) -> None:
        self.token = token

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        return [
            GenerationResult([self.token, END], [-0.5, -0.5], [None, None], True) for _ in requests
        ]

    def forget(self) -> None:
        """Nothing is cached."""


LIVE = 20


class Shelf:
    """Models by name that say how many iterations they have seen."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def write(self, name: str) -> None:
        self.names.add(name)

    def keep(self, names: set[str]) -> None:
        assert names <= self.names
        self.names = set(names)

    @contextmanager
    def load(self, name: str, seed: int) -> Iterator[TextGenerator]:
        assert name in self.names
        yield Says(2 + int(name.removeprefix("iteration-")))


def opponents(shelf: Shelf, lineup: Any, output: Path, **changes: Any) -> Opponents:
    args = tiny_settings(output, games_per_iteration=12, **(POOL | changes))
    return Opponents(args, lineup, shelf, lambda: [])


def plans(count: int) -> list[GamePlan]:
    return [GamePlan({}, 100 + i) for i in range(count)]


# --- which games and seats ------------------------------------------------------


@given(st.integers(1, 60), st.floats(0, 1), st.integers(0, 1000))
def test_as_many_games_as_the_share_says(games: int, share: float, seed: int) -> None:
    chosen = shared_games(games, share, seed)
    assert chosen <= set(range(games))
    assert abs(len(chosen) - share * games) < 1.0
    assert shared_games(games, share, seed) == chosen


def test_fractions_of_a_game_are_drawn_for() -> None:
    counts = [len(shared_games(4, 0.1, seed)) for seed in range(400)]
    assert set(counts) == {0, 1}
    assert 0.32 < np.mean(counts) < 0.48


def test_a_frozen_side_is_a_team_or_all_seats_but_one() -> None:
    random = np.random.default_rng(0)
    teams: dict[str, str | None] = {"a": "x", "b": "y", "c": "x"}
    sides = Counter(tuple(frozen_side(teams, set(teams), random)) for _ in range(200))
    assert sides.keys() == {("a", "c"), ("b",)} and min(sides.values()) > 60
    for alone in ({"a": None, "b": None, "c": None}, {"a": "x", "b": "x", "c": "x"}):
        sides = Counter(tuple(frozen_side(alone, set(alone), random)) for _ in range(300))
        assert sides.keys() == {("a", "b"), ("a", "c"), ("b", "c")} and min(sides.values()) > 60


@given(
    st.lists(st.sampled_from(["x", "y", "z", None]), min_size=2, max_size=5),
    st.sets(st.integers(0, 4)),
    st.integers(0, 1000),
)
def test_a_frozen_side_leaves_a_learned_seat_live(
    teams: list[str | None], chosen: set[int], seed: int
) -> None:
    seats = {f"agent_{i}": team for i, team in enumerate(teams)}
    learned = {f"agent_{i}" for i in chosen} & seats.keys()
    side = set(frozen_side(seats, learned, np.random.default_rng(seed)))
    assert side < seats.keys()
    if learned:
        assert learned - side
    else:
        assert side == set(frozen_side(seats, set(seats), np.random.default_rng(seed)))


@pytest.mark.parametrize("name", ["werewolf_v0", "sotopia_v0"])
def test_teams_are_known_before_the_game_is_played(name: str) -> None:
    env = make(name)
    for seed in range(3):
        env.reset(seed=seed)
        known = env.teams
        outcome = play(env, RandomPolicy(0), seed).outcome
        if "teams" in outcome:
            assert known == outcome["teams"]
        else:
            assert set(known.values()) == {None} and known.keys() == set(env.possible_agents)


# --- play -----------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(
    processes=st.sampled_from([1, 2, 3, 4]),
    share=st.sampled_from([0.3, 0.5, 1.0]),
    sampling=st.sampled_from(["uniform", "latest", "hardest"]),
    lineup=st.sampled_from([no_teams, two_teams]),
)
def test_the_same_games_are_shared_however_many_processes_play(
    tmp_path_factory: pytest.TempPathFactory,
    processes: int,
    share: float,
    sampling: str,
    lineup: Any,
) -> None:
    output = tmp_path_factory.mktemp("out")
    settings = {"opponent_share": share, "opponent_sampling": sampling}
    shelf = Shelf()
    sides = opponents(shelf, lineup, output, **settings)
    for iteration in range(3):
        sides.begin(iteration)
        whole = sides.play(
            play_fake_games, plans(12), Says(LIVE), iteration=iteration, first_game=0
        )
        size = 12 // processes
        parts = [
            sides.play(
                play_fake_games,
                plans(12)[i * size : (i + 1) * size],
                Says(LIVE),
                iteration=iteration,
                first_game=i * size,
            )
            for i in range(processes)
        ]
        together = {
            (i * size + game, agent): name
            for i, part in enumerate(parts)
            for (game, agent), name in part.frozen.items()
        }
        assert together == whole.frozen
        assert [e for part in parts for e in part.episodes] == whole.episodes
        results = [sides.results(part) for part in parts]
        assert [r for part in results for r in part] == sides.results(whole)
        assert len({game for game, _ in whole.frozen}) == pytest.approx(12 * share, abs=0.99)
        sides.count([], sides.results(whole))


def test_frozen_seats_speak_with_the_past_models_tokens(tmp_path: Path) -> None:
    sides = opponents(Shelf(), two_teams, tmp_path)
    for iteration in range(4):
        sides.begin(iteration)
        played = sides.play(
            play_fake_games, plans(12), Says(LIVE), iteration=iteration, first_game=0
        )
        assert [episode.seed for episode in played.episodes] == [100 + i for i in range(12)]
        assert len(played.rows) == 36
        for (game, agent), row in played.rows.items():
            assert (row.game, row.agent) == (game, agent)
            said = {i for i, turn in zip(row.ids, row.turn_index, strict=True) if turn >= 0}
            name = played.frozen.get((game, agent))
            speaker = LIVE if name is None else 2 + int(name.removeprefix("iteration-"))
            assert said == {speaker, END}
            seat = played.episodes[game].seats[int(agent[-1])]
            assert seat.policy == (name or "")
    assert set(played.frozen.values()) == {"iteration-000002", "iteration-000003"}


def test_rows_of_frozen_seats_are_dummies(tmp_path: Path) -> None:
    sides = opponents(Shelf(), two_teams, tmp_path)
    sides.begin(0)
    played = sides.play(play_fake_games, plans(12), Says(LIVE), iteration=0, first_game=0)
    rows = SelfPlayRound(played, seats=3, filler=0).rows
    for i, row in enumerate(rows):
        assert row.facts.is_dummy == ((i // 3, f"agent_{i % 3}") in played.frozen)


def test_the_deal_of_a_game_does_not_depend_on_its_opponent(tmp_path: Path) -> None:
    """A past model that plays as the live one changes no reply, only what is learned."""
    sides = opponents(Shelf(), no_teams, tmp_path)
    sides.begin(0)
    shared = sides.play(play_fake_games, plans(12), Says(2), iteration=0, first_game=0)
    alone = play_fake_games(plans(12), Says(2))
    assert shared.rows == alone.rows
    assert [e.turns for e in shared.episodes] == [e.turns for e in alone.episodes]


class Streams(Says):
    """Gives one reply at a time, the newest question first."""

    def __init__(self, token: int) -> None:
        super().__init__(token)
        self.under_way: list[GenerationRequest] = []
        self.loses = 0

    def submit(self, requests: Sequence[GenerationRequest]) -> None:
        self.under_way += requests[self.loses :]

    def poll(self) -> list[tuple[Hashable, GenerationResult]]:
        if not self.under_way:
            return []
        request = self.under_way.pop()
        return [(request.row, self.generate([request])[0])]


def test_a_live_model_that_streams_works_while_the_past_one_does() -> None:
    live, seen = Streams(LIVE), []

    class Past(Says):
        def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
            seen.append((len(requests), len(live.under_way)))
            return super().generate(requests)

    rows = [(game, f"agent_{seat}") for game in range(4) for seat in range(3)]
    frozen = frozenset(row for row in rows if row[1] == "agent_1")
    both = TwoModels(live, Past(2), frozen)
    requests = [GenerationRequest(row, [5], 3, None, 1.0) for row in rows]
    said = [result.ids[0] for result in both.generate(requests)]
    assert said == [2 if row in frozen else LIVE for row in rows]
    # One batch of the past model, begun when the live one was at work.
    assert seen == [(4, 8)]
    live.loses = 1
    with pytest.raises(PolicyError, match="1 rows wait"):
        both.generate(requests)


# --- points -----------------------------------------------------------------------


def test_points_go_to_the_side_of_the_winner() -> None:
    seen = set()
    for seed in range(12):
        game = play(make("werewolf_v0", {"num_players": 5}), RandomPolicy(seed), seed)
        wolves = {a for a, team in game.outcome["teams"].items() if team == "werewolf"}
        village = set(game.outcome["teams"]) - wolves
        winner = game.outcome["winner"]
        seen.add(winner)
        assert live_points(game, wolves) == {"village": 1.0, "werewolf": 0.0, None: 0.5}[winner]
        assert live_points(game, village) == {"village": 0.0, "werewolf": 1.0, None: 0.5}[winner]
    assert {"village", "werewolf"} <= seen


def test_points_without_teams_go_by_mean_returns() -> None:
    def game(rewards: Sequence[float | None]) -> Any:
        episode = play_fake_games([GamePlan({}, 0)], Says(2)).episodes[0]
        for i, reward in enumerate(rewards):
            episode.rewards[f"agent_{i}"]["outcome"] = reward
        return episode

    past = {"agent_1", "agent_2"}
    assert live_points(game([2.0, 0.0, 3.0]), past) == 1.0
    assert live_points(game([1.0, 0.0, 3.0]), past) == 0.0
    assert live_points(game([1.0, 0.0, 2.0]), past) == 0.5
    assert live_points(game([1.0, None, 2.0]), past) is None


# --- the pool -----------------------------------------------------------------------


def test_the_oldest_are_pushed_out() -> None:
    pool = OpponentPool(3, 2, "uniform")
    inside = []
    for iteration in range(12):
        if pool.is_due(iteration):
            pool.enter(iteration)
        assert not pool.is_due(iteration)
        inside.append([member.iteration for member in pool.members])
    assert inside[0] == inside[1] == [0]
    assert inside[5] == [0, 2, 4]
    assert inside[6] == [2, 4, 6]
    assert inside[11] == [6, 8, 10]


def test_the_hardest_are_drawn_most() -> None:
    shares = {}
    for sampling in ("uniform", "latest", "hardest"):
        pool = OpponentPool(3, 1, sampling)
        for iteration in range(3):
            pool.enter(iteration)
        # The live model always beats 0, always loses to 1, and has not met 2.
        pool.count([GameResult(0, 1.0)] * 8 + [GameResult(1, 0.0)] * 8)
        random = np.random.default_rng(0)
        drawn = Counter(pool.draw(random).iteration for _ in range(4000))
        shares[sampling] = [drawn[i] / 4000 for i in range(3)]
    assert shares["latest"] == [0.0, 0.0, 1.0]
    assert shares["uniform"] == pytest.approx([1 / 3] * 3, abs=0.03)
    # Strengths 1/10, 9/10 and, by the prior alone, 1/2.
    assert shares["hardest"] == pytest.approx([0.1 / 1.5, 0.9 / 1.5, 0.5 / 1.5], abs=0.03)


def test_a_pool_goes_on_from_its_state() -> None:
    pool = OpponentPool(2, 1, "hardest")
    for iteration in range(4):
        pool.enter(iteration)
        pool.count([GameResult(iteration, 0.5), GameResult(iteration, 1.0)])
    again = OpponentPool(2, 1, "hardest")
    again.load_state_dict(json.loads(json.dumps(pool.state_dict())))
    assert again.members == pool.members == (Member(2, 2, 1.5), Member(3, 2, 1.5))
    assert again.needed([1, 2]) == pool.needed([1, 2])


def test_models_stay_as_long_as_a_checkpoint_has_them_in_its_pool() -> None:
    pool = OpponentPool(1, 1, "uniform")
    for iteration in range(4):
        pool.enter(iteration)
    # A checkpoint before iteration 2 has the model of iteration 1 in its pool.
    assert pool.needed([2]) == {"iteration-000001", "iteration-000003"}
    assert pool.needed([]) == {"iteration-000003"}


# --- the trainer ----------------------------------------------------------------------


def train(
    start: str,
    output: Path,
    peft_config: LoraConfig | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    **changes: Any,
) -> tuple[OMARTrainer, list[dict[str, Any]]]:
    settings = {"games_per_iteration": 4, "total_iterations": 4} | POOL | changes
    trainer = OMARTrainer(
        start,
        tiny_settings(output, **settings),
        play=play_fake_games,
        lineup=two_teams,
        peft_config=peft_config,
        callbacks=callbacks,
    )
    trainer.train()
    text = (output / METRICS_FILE).read_text()
    return trainer, [json.loads(line) for line in text.splitlines()]


def test_pool_in_training(start: str, tmp_path: Path) -> None:
    trainer, metrics = train(start, tmp_path, learning_rate=1e-2)
    assert [line["pool/size"] for line in metrics] == [1, 2, 2, 2]
    for i, line in enumerate(metrics):
        assert 0.0 <= line["pool/score"] <= 1.0
        met = [name for name in line if name.startswith("pool/iteration-")]
        inside = [f"pool/iteration-{n:06d}/score" for n in range(max(0, i - 1), i + 1)]
        assert met and set(met) <= set(inside)
    assert sorted(path.name for path in (tmp_path / POOL_FOLDER).iterdir()) == [
        "iteration-000002",
        "iteration-000003",
    ]
    # A member is the policy as it was, whole, for whoever loads it.
    member = AutoModelForCausalLM.from_pretrained(tmp_path / POOL_FOLDER / "iteration-000003")
    moved = [
        not torch.equal(one, other)
        for one, other in zip(member.parameters(), trainer.model.parameters(), strict=True)
    ]
    assert any(moved)
    assert trainer.opponents is not None
    assert sum(member.games for member in trainer.opponents.pool.members) > 0


def test_adapters_of_a_past_model_do_not_stay_in_the_live_one(start: str, tmp_path: Path) -> None:
    _, metrics = train(start, tmp_path, lora(), learning_rate=0.05, total_iterations=2)
    one, other = (
        load_file(tmp_path / POOL_FOLDER / f"iteration-{i:06d}" / _ADAPTERS) for i in (0, 1)
    )
    assert one and all("lora" in key for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)
    # What the live model sampled is scored alike: no other weights were left in it.
    assert all(line["policy/logprob_gap"] < 1e-5 for line in metrics)


_ADAPTERS = "adapter_model.safetensors"


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("adapters", [False, True])
def test_a_past_model_plays_as_it_did(tmp_path: Path, adapters: bool, tied: bool) -> None:
    settings = tiny_settings(tmp_path, **POOL, total_iterations=1, learning_rate=0.05)
    trainer = OMARTrainer(
        save_tiny_model(tmp_path / "start", tied=tied),
        settings,
        play=play_fake_games,
        lineup=two_teams,
        peft_config=lora() if adapters else None,
    )
    assert trainer.opponents is not None
    models = trainer.opponents.models
    requests = [GenerationRequest((i, "agent_0"), [3 + i, 5, 7], 6, None, 0.0) for i in range(8)]

    def now() -> list[list[int]]:
        with torch.no_grad():
            generator = trainer._make_generator(trainer, 0)
            return [result.ids for result in generator.generate(requests)]

    before = now()
    models.write("iteration-000000")
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    after = now()
    assert after != before
    with models.load("iteration-000000", 0) as past:
        assert [result.ids for result in past.generate(requests)] == before
    assert now() == after


class Stops(TrainerCallback):
    """Ends the program before an optimizer step, as a kill would."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self._step:
            raise KeyboardInterrupt


def test_resumed_run_with_a_pool_equals_an_unbroken_one(start: str, tmp_path: Path) -> None:
    same = {
        "save_strategy": "steps",
        "save_iterations": 2,
        "opponent_sampling": "hardest",
        "opponent_pool_size": 1,
    }
    whole, unbroken = train(start, tmp_path / "a", **same)
    with pytest.raises(KeyboardInterrupt):
        # In the third iteration's update: its games are kept, its model is in the pool.
        train(start, tmp_path / "b", callbacks=[Stops(5)], **same)
    pool = tmp_path / "b" / POOL_FOLDER
    # The checkpoint has the second model in its pool, the run had gone on to the third.
    assert {path.name for path in pool.iterdir()} == {"iteration-000001", "iteration-000002"}
    (pool / "iteration-000077").mkdir()
    resumed, again = train(start, tmp_path / "b", **same)
    assert again[2]["play/reused"] == 1.0
    # The first checkpoint is still there, and with it what it has in its pool.
    assert {path.name for path in pool.iterdir()} == {"iteration-000001", "iteration-000003"}
    assert resumed.opponents is not None and whole.opponents is not None
    assert resumed.opponents.pool.members == whole.opponents.pool.members
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    for line, other_line in zip(unbroken, again, strict=True):
        scores = {name: value for name, value in line.items() if name.startswith("pool/")}
        assert scores.items() <= other_line.items()


def test_a_play_that_does_not_know_its_sides_is_refused(start: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pass lineup"):
        OMARTrainer(start, tiny_settings(tmp_path, **POOL), play=play_fake_games)


# --- roles and teams that are learned from ----------------------------------------------


@pytest.mark.parametrize("setting", ["learn_roles", "learn_teams"])
def test_only_named_rows_are_learned_from(start: str, tmp_path: Path, setting: str) -> None:
    rounds = []

    class Listening(OMARTrainer):
        def play_round(self, prompts: Sequence[str]) -> SelfPlayRound:
            rounds.append(super().play_round(prompts))
            return rounds[-1]

    settings = tiny_settings(tmp_path, total_iterations=1, **{setting: ["odd"]})
    Listening(start, settings, play=play_fake_games, lineup=two_teams).train()
    assert [row.learned for row in rounds[0].rows] == [False, True, False] * 4


def test_names_that_no_game_has_are_refused_before_work(start: str, tmp_path: Path) -> None:
    def never(plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
        raise AssertionError("a game was played")

    for setting in ("learn_roles", "learn_teams"):
        args = tiny_settings(tmp_path, **{setting: ["odd", "wizard"]})
        with pytest.raises(ConfigError, match=f"{setting} names wizard.* even, odd"):
            OMARTrainer(start, args, play=never, lineup=two_teams)
    args = tiny_settings(tmp_path, learn_roles=["odd"], learn_teams=["even"])
    with pytest.raises(ConfigError, match="nothing is learned"):
        OMARTrainer(start, args, play=never, lineup=two_teams)
