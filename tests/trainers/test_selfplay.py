"""From prompts to games, and from games to the rows that TRL takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from omar_envs.errors import ConfigError
from omar_envs.metering import Usage
from omar_envs.rollout import replay
from omar_envs.types import Episode, JudgeResult
from omar_trainers.generation import GenerationRequest, GenerationResult, TransformersGenerator
from omar_trainers.house.model import house_config, new_house_model
from omar_trainers.house.tokenizer import house_tokenizer
from omar_trainers.rows import TokenRow
from omar_trainers.scoring import FREE
from omar_trainers.selfplay import (
    GamePlan,
    ModelGames,
    PlayedGames,
    SelfPlayRound,
    derive_seed,
    plan_dataset,
    plans_of,
)
from omar_trainers.tokens import ChatTokenizer
from tests.trainers.fake_games import GOOD, LABELS, TURNS, play_fake_games


class FirstChoice:
    """A generator that takes the first label, or says one word."""

    max_context = 64

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        results = []
        for request in requests:
            ids = [*(request.choices[0] if request.choices else (5,)), 1]
            allowed = [None if request.choices is None else (i, i + 1) for i in ids]
            results.append(GenerationResult(ids, [-0.5] * len(ids), allowed, True))
        return results

    def forget(self) -> None:
        """Nothing is cached."""


def played(*scenarios: dict[str, Any]) -> PlayedGames:
    plans = [GamePlan(scenario, seed) for seed, scenario in enumerate(scenarios)]
    return play_fake_games(plans, FirstChoice())


@settings(max_examples=30, deadline=None)
@given(
    seats=st.integers(2, 4),
    episodes=st.integers(1, 3),
    prompts=st.integers(1, 6),
    processes=st.integers(1, 3),
)
def test_every_process_plays_its_part_of_the_same_games(
    seats: int, episodes: int, prompts: int, processes: int
) -> None:
    texts = plan_dataset([{"a": 1}, {"a": 2}], prompts * processes, seed=3)["prompt"]
    group = seats * episodes
    batch = [text for text in texts for _ in range(group)]
    whole = plans_of(batch, seats, 0, group)
    share = len(batch) // processes
    parts = [
        plans_of(batch[i * share : (i + 1) * share], seats, i * share, group)
        for i in range(processes)
    ]
    assert [plan for part in parts for plan in part] == whole
    assert len(whole) == prompts * processes * episodes
    assert len({plan.seed for plan in whole}) == len(whole)
    assert [plan.scenario["a"] for plan in whole] == [
        1 + i % 2 for i in range(prompts * processes) for _ in range(episodes)
    ]


def test_longer_runs_begin_with_the_same_games() -> None:
    short, long = (plan_dataset([{}], n, seed=5)["prompt"] for n in (3, 9))
    assert list(long)[:3] == list(short)
    assert list(plan_dataset([{}], 3, seed=6)["prompt"]) != list(short)


def test_rows_that_make_no_games_are_refused() -> None:
    texts = list(plan_dataset([{}], 2, seed=0)["prompt"])
    with pytest.raises(ValueError, match="do not divide"):
        plans_of([texts[0]] * 5, 3, 0, 3)
    with pytest.raises(ValueError, match="different plans"):
        plans_of([texts[0], texts[1]], 2, 0, 2)


def test_seeds_depend_on_the_whole_key() -> None:
    keys = [(1,), (2,), (1, 0), (0, 1), (1, 2), (2, 1)]
    assert len({derive_seed(*key) for key in keys}) == len(keys)
    assert derive_seed(1, 2) == derive_seed(1, 2) < 2**31


def test_rows_stand_in_seat_order_with_dummies_for_missing_and_silent_seats() -> None:
    result = SelfPlayRound(played({"seats": 3}, {"seats": 2, "silent": 1}), seats=3, filler=0)
    rollout = result.rollout()
    assert rollout["role"] == ["even", "odd", "even", "", "odd", ""]
    for dummy in (3, 5):
        assert rollout["prompt_ids"][dummy] == rollout["completion_ids"][dummy] == [0]
        assert rollout["env_mask"][dummy] == [0]
    assert all(rollout["completion_ids"]) and all(rollout["prompt_ids"])
    assert result.num_seats == 5


def test_rows_split_at_the_first_own_token_and_end_with_the_last() -> None:
    games = played({"seats": 2})
    games.rows[(0, "agent_0")].read([7, 7])
    row = SelfPlayRound(games, seats=2, filler=0).rows[0]
    assert row.prompt_ids + row.completion_ids == games.rows[(0, "agent_0")].ids[:-2]
    assert row.own[0] == row.own[-1] == 1
    assert set(row.turn_index) == {-1, *range(TURNS)}
    assert len(row.turn_rewards) == TURNS


def test_turn_rewards_come_from_the_episode() -> None:
    games = played({"seats": 2})
    # FirstChoice never takes the label that pays, so pay one turn by hand.
    games.episodes[0].turns[2].reward_components["outcome"] = 0.25
    agent = games.episodes[0].turns[2].agent
    rows = SelfPlayRound(games, seats=2, filler=0).rows
    paid = rows[0 if agent == "agent_0" else 1]
    assert paid.turn_rewards == [0.0, 0.25, 0.0, 0.0]
    assert LABELS[0] != GOOD


@pytest.mark.parametrize("way", ["episode", "row", "neither"])
def test_truncation_bootstraps_and_termination_does_not(way: str) -> None:
    games = played({"seats": 2, "truncated": way == "episode"})
    if way == "row":
        for row in games.rows.values():
            row.truncated = True
    result = SelfPlayRound(games, seats=2, filler=0)
    assert [row.bootstrap for row in result.rows] == [way != "neither"] * 2
    assert result.truncated_rows == (2 if way == "row" else 0)


def test_a_limit_after_which_all_is_paid_does_not_bootstrap() -> None:
    games = played({"seats": 2, "truncated": True})
    games.episodes[0].outcome["final_rewards"] = True
    rows = SelfPlayRound(games, seats=2, filler=0).rows
    assert [row.bootstrap for row in rows] == [False, False]
    games.rows[(0, "agent_1")].truncated = True
    rows = SelfPlayRound(games, seats=2, filler=0).rows
    assert [row.bootstrap for row in rows] == [False, True]


def test_a_row_closed_early_keeps_the_rewards_of_its_own_turns() -> None:
    games = played({"seats": 2})
    row = games.rows[(0, "agent_0")]
    stop = row.turn_index.index(2)
    for part in (row.ids, row.turn_index, row.logprobs, row.allowed):
        del part[stop:]
    row.truncated = True
    assert len(SelfPlayRound(games, seats=2, filler=0).rows[0].turn_rewards) == 2


def test_seats_without_a_full_reward_are_left_out_and_counted() -> None:
    result = SelfPlayRound(played({}, {"unscored": True}), seats=3, filler=0)
    assert result.unscored == 3
    assert [row.facts.role for row in result.rows] == ["even", "odd", "even", "", "", ""]


def test_more_agents_than_seats_is_an_error() -> None:
    with pytest.raises(ValueError, match="more than the 2 set as seats"):
        SelfPlayRound(played({"seats": 3}), seats=2, filler=0)


def test_tensors_are_padded_and_share_equal_sets() -> None:
    result = SelfPlayRound(played({"seats": 2}, {"seats": 1}), seats=2, filler=0)
    tensors = result.tensors(24, torch.device("cpu"))
    width = max(len(row.completion_ids) for row in result.rows)
    assert tensors.turn_index.shape == tensors.logprobs.shape == (4, width)
    assert tensors.turn_rewards.shape == (4, TURNS)
    assert torch.equal(tensors.own.mask, tensors.turn_index >= 0)
    for i, row in enumerate(result.rows):
        size = len(row.completion_ids)
        assert tensors.turn_index[i, :size].tolist() == row.turn_index
        assert (tensors.turn_index[i, size:] == -1).all()
        for j, allowed in enumerate(row.allowed):
            number = int(tensors.own.choice[i, j])
            if allowed is None:
                assert number == FREE
            else:
                assert tensors.own.allowed[number].nonzero()[:, 0].tolist() == list(allowed)
    # (10, 11), (11, 12) and (1, 2): the label's two tokens, and the end token.
    assert len(tensors.own.allowed) == 3


def terse_tokenizer() -> PreTrainedTokenizerFast:
    words = {"Ana", "Bruno", "Clara", "Diego", "Elena", "abstain", "nobody"}
    return house_tokenizer(words, max_context=512)


@pytest.fixture(scope="module")
def terse_games() -> tuple[ModelGames, TransformersGenerator]:
    """Werewolf in few words, and an untrained house model that knows them."""
    tokenizer = terse_tokenizer()
    model = new_house_model(
        house_config(len(tokenizer), pad_token_id=0, end_token_id=3, hidden_size=32, num_layers=1),
        seed=0,
    )
    generator = TransformersGenerator(
        model, end_token_id=3, pad_token_id=0, seed=0, max_context=512
    )
    games = ModelGames(
        "werewolf_v0",
        {"discussion_rounds": 1, "prompt_style": "terse", "first_night_kill": False},
        ChatTokenizer(tokenizer),
        max_new_tokens_speak=4,
        max_new_tokens_choose=4,
        temperature=1.0,
        constrain_choices=True,
    )
    return games, generator


def test_model_games_plays_each_plan_on_its_seed_and_scenario(
    terse_games: tuple[ModelGames, TransformersGenerator],
) -> None:
    games, generator = terse_games
    plans = [GamePlan({"num_players": 5}, 11), GamePlan({"num_players": 4}, 12)]
    result = games(plans, generator)
    assert [(len(e.seats), e.seed) for e in result.episodes] == [(5, 11), (4, 12)]
    for episode in result.episodes:
        assert replay(episode) == episode
    rows = SelfPlayRound(result, seats=5, filler=0)
    assert [row.facts.is_dummy for row in rows.rows] == [False] * 9 + [True]
    for (game, agent), row in result.rows.items():
        assert isinstance(row, TokenRow)
        assert max(row.turn_index) + 1 == len(result.episodes[game].turns_of(agent))


def test_the_lineup_is_known_before_the_game_is_played(
    terse_games: tuple[ModelGames, TransformersGenerator],
) -> None:
    games, generator = terse_games
    plans = [GamePlan({"num_players": 5}, seed) for seed in (3, 4)]
    known = [games.lineup(plan) for plan in plans]
    assert known[0] != known[1]
    for episode, lineup in zip(games(plans, generator).episodes, known, strict=True):
        assert {seat.agent: seat.role for seat in episode.seats} == {
            agent: kind.role for agent, kind in lineup.items()
        }
        assert episode.outcome["teams"] == {agent: kind.team for agent, kind in lineup.items()}


def test_what_judges_are_asked_for_stands_beside_the_games(
    terse_games: tuple[ModelGames, TransformersGenerator],
) -> None:
    class Counting:
        usage = Usage()

        async def judge(self, episode: Episode) -> JudgeResult:
            asked = self.usage.requests + 1
            self.usage = Usage(asked, prompt_tokens=10 * asked)
            scores = {seat.agent: {"goal": 1.0} for seat in episode.seats}
            return JudgeResult("ok", scores)

    games, generator = terse_games
    assert games([GamePlan({"num_players": 4}, 1)], generator).judge_usage is None
    judge = Counting()
    judged = ModelGames(
        "werewolf_v0",
        {"discussion_rounds": 1, "prompt_style": "terse", "judge": judge},
        ChatTokenizer(terse_tokenizer()),
        max_new_tokens_speak=4,
        max_new_tokens_choose=4,
        temperature=1.0,
        constrain_choices=True,
    )
    plans = [GamePlan({"num_players": 4}, seed) for seed in (1, 2)]
    for _ in range(2):
        generator.forget()
        assert judged(plans, generator).judge_usage == Usage(2, prompt_tokens=20)


def test_model_games_refuses_unknown_arguments(
    terse_games: tuple[ModelGames, TransformersGenerator],
) -> None:
    with pytest.raises(ConfigError, match="num_playrs"):
        terse_games[0].make({"num_playrs": 5})
    assert json.dumps(terse_games[0].make({}).config)
