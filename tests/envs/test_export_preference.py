"""Preference pairs: every legal one, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omar_envs import RandomPolicy, ScriptedPolicy, rollout, sotopia_v0, transcript, werewolf_v0
from omar_envs.errors import ConfigError
from omar_envs.export import Filters, deal_pairs, export, played_seats
from omar_envs.parsing import clean
from omar_envs.sotopia.bots import NegotiatorPolicy
from omar_envs.types import CHOOSE, Episode, View
from tests.envs.export_games import THOUGHT, lines, with_rewards
from tests.envs.games import AnswerPolicy, pure

Pair = tuple[int, str, str, str, str]
"""Seed, agent, prompt, chosen, rejected."""


def small() -> Any:
    return werewolf_v0.raw_env(num_players=5, discussion_rounds=1)


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    """Several games of each deal, by policies that part sooner or later."""
    found = []
    for noise in range(3):
        found += rollout.run(small, ScriptedPolicy(seed=noise), 8, 0)
    found += rollout.run(small, RandomPolicy(seed=7), 8, 0)
    for policy in (*map(NegotiatorPolicy, range(3)), RandomPolicy(seed=1)):
        found += rollout.run(lambda: sotopia_v0.raw_env(scenario="the_harbour_grant"), policy, 4, 0)
    return found


def expected(episodes: Sequence[Episode], min_gap: float = 0.1) -> set[Pair]:
    """The definition, word for word."""
    pairs = set()
    seats = [{seat.agent: seat for seat in played_seats(episode)} for episode in episodes]
    for (one, mine), (other, theirs) in permutations(zip(episodes, seats, strict=True), 2):
        if (one.env, one.seed, one.config) != (other.env, other.seed, other.config):
            continue
        for agent in mine:
            if not better(one, other, agent, min_gap):
                continue
            shared = 0
            read, heard = mine[agent].messages, theirs[agent].messages
            while shared < min(len(read), len(heard)) and read[shared] == heard[shared]:
                shared += 1
            if shared == min(len(read), len(heard)):
                continue
            if read[shared]["role"] == heard[shared]["role"] == "assistant":
                texts = (read[shared]["content"], heard[shared]["content"])
                if all(texts):
                    pairs.add((one.seed, agent, json.dumps(read[:shared]), *texts))
    return {pair for pair in pairs if (*pair[:3], pair[4], pair[3]) not in pairs}


def better(one: Episode, other: Episode, agent: str, min_gap: float) -> bool:
    if "winner" in one.outcome:
        team = one.outcome["teams"][agent]
        winners = one.outcome["winner"], other.outcome["winner"]
        return winners[0] == team and winners[1] not in (team, None)
    if None in (*one.rewards[agent].values(), *other.rewards[agent].values()):
        return False
    gap = one.total_reward(agent) - other.total_reward(agent)
    return gap > 0 and gap >= min_gap


def found(rows: Sequence[dict[str, Any]]) -> list[Pair]:
    return [
        (
            row["seed"],
            row["agent"],
            json.dumps(row["prompt"]),
            row["chosen"][0]["content"],
            row["rejected"][0]["content"],
        )
        for row in rows
    ]


def test_every_legal_pair_once_and_no_other(episodes: list[Episode], tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    transcript.write_episodes(path, episodes)
    export(path, tmp_path / "pairs.jsonl", "preference")
    rows = lines(tmp_path / "pairs.jsonl")
    pairs = found(rows)
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) == expected(episodes)
    assert {row["env"] for row in rows} == {"werewolf_v0", "sotopia_v0"}
    assert {row["request"] for row in rows} == {"SPEAK", "CHOOSE"}
    assert any(row["act"] > 0 for row in rows)


def test_a_pairs_columns_say_where_it_comes_from(episodes: list[Episode], tmp_path: Path) -> None:
    export(episodes, tmp_path / "pairs.jsonl", "preference")
    for row in lines(tmp_path / "pairs.jsonl"):
        games = {side: episodes[row[f"{side}_episode"]] for side in ("chosen", "rejected")}
        seats = {side: {seat.agent: seat for seat in game.seats} for side, game in games.items()}
        for side, game in games.items():
            turn = game.turns_of(row["agent"])[row["act"]]
            assert row[side] == [{"role": "assistant", "content": clean(turn.reply)}]
            assert row[f"{side}_reward"] == game.total_reward(row["agent"])
            assert row["seed"] == game.seed
            assert row["role"] == (seats[side][row["agent"]].role or "")
        assert row["prompt"][0]["role"] == "system"
        assert row["prompt"][-1]["role"] == "user"
        assert row["chosen"] != row["rejected"]


def test_a_least_difference_of_rewards(episodes: list[Episode], tmp_path: Path) -> None:
    talks = [episode for episode in episodes if episode.env == "sotopia_v0"]
    sizes = []
    for gap in (0.0, 0.5):
        export(talks, tmp_path / f"{gap}.jsonl", "preference", min_gap=gap)
        rows = lines(tmp_path / f"{gap}.jsonl")
        assert set(found(rows)) == expected(talks, gap)
        assert all(row["chosen_reward"] - row["rejected_reward"] >= gap for row in rows)
        sizes.append(len(rows))
    assert sizes[0] > sizes[1]


def test_equal_seeds_of_other_settings_are_no_deal(tmp_path: Path) -> None:
    games = [
        rollout.play(werewolf_v0.raw_env(num_players=5, max_days=days), RandomPolicy(days), 3)
        for days in (9, 10)
    ]
    assert expected(games) == set()
    with pytest.raises(ConfigError, match=r"2 alone.*equal environment, settings and seed"):
        export(games, tmp_path / "pairs", "preference")


def test_a_failed_judgement_makes_no_pair(episodes: list[Episode], tmp_path: Path) -> None:
    talks = [
        with_rewards(
            episode, {seat.agent: {"outcome": 0.0, "judge": None} for seat in episode.seats}
        )
        for episode in episodes
        if episode.env == "sotopia_v0"
    ]
    with pytest.raises(ConfigError, match="unjudged"):
        export(talks, tmp_path / "pairs", "preference")


def first_choice(text: Callable[[View], str]) -> AnswerPolicy:
    """Everybody plays the same, but for the first choice of the seer."""

    def answer(view: View) -> str:
        assert view.request is not None
        if view.role == "seer" and view.num_acts == 0 and view.request.kind is CHOOSE:
            return text(view)
        return pure(view)

    return AnswerPolicy(answer)


def won(episode: Episode, agent: str, result: bool) -> Episode:
    """The episode as if the agent's team had won, or lost."""
    team = episode.outcome["teams"][agent]
    other = "werewolf" if team == "village" else "village"
    outcome = {**episode.outcome, "winner": team if result else other}
    return msgspec.structs.replace(episode, outcome=outcome)


def deal(*replies: str, results: Sequence[bool]) -> tuple[list[Episode], str]:
    """Games of one deal that part at the seer's first choice."""
    games = [rollout.play(small(), first_choice(lambda view, r=reply: r), 5) for reply in replies]
    (seer,) = [seat.agent for seat in games[0].seats if seat.role == "seer"]
    return [won(game, seer, result) for game, result in zip(games, results, strict=True)], seer


def names(number: int) -> list[str]:
    (request,) = {
        turn.request.choices
        for seat in deal("x", results=[True])[0][0].seats
        if seat.role == "seer"
        for turn in deal("x", results=[True])[0][0].turns_of(seat.agent)[:1]
    }
    return list(request[:number])


def test_games_that_say_the_opposite_cancel_out() -> None:
    first, second = names(2)
    games, seer = deal(first, second, first, second, results=[True, False, False, True])
    played = [[s for s in played_seats(game, i) if s.agent == seer] for i, game in enumerate(games)]
    both = deal_pairs(played[:2], Filters(), 0.1)
    assert [row["chosen"][0]["content"] for row in both.rows] == [first]
    assert not deal_pairs(played, Filters(), 0.1).rows
    assert deal_pairs(played, Filters(), 0.1).dropped["contradicted"] == 2


def test_what_several_games_say_is_one_row() -> None:
    first, second = names(2)
    games, seer = deal(first, second, second, results=[True, False, False])
    played = [[s for s in played_seats(game, i) if s.agent == seer] for i, game in enumerate(games)]
    found_there = deal_pairs(played, Filters(), 0.1)
    assert len(found_there.rows) == 1
    assert found_there.dropped == {"repeated": 1, "same_result": 1}


def test_filters_are_asked_of_the_chosen_reply() -> None:
    (first,) = names(1)
    games, seer = deal(first, "nobody I know", results=[False, True])
    played = [[s for s in played_seats(game, i) if s.agent == seer] for i, game in enumerate(games)]
    (row,) = deal_pairs(played, Filters(), 0.1).rows
    assert row["chosen"][0]["content"] == "nobody I know"
    assert deal_pairs(played, Filters(valid=True), 0.1).dropped == {"invalid": 1}
    worse = [games[1], games[0]]
    worse = [won(worse[0], seer, False), won(worse[1], seer, True)]
    played = [[s for s in played_seats(game, i) if s.agent == seer] for i, game in enumerate(worse)]
    (row,) = deal_pairs(played, Filters(valid=True), 0.1).rows
    assert row["rejected"][0]["content"] == "nobody I know"


def test_only_what_is_exported_parts_two_games(tmp_path: Path) -> None:
    first, second = names(2)
    games, _ = deal(
        f"<think>{THOUGHT} one</think>{first}",
        f"<think>{THOUGHT} two</think>{first}",
        second,
        results=[True, False, False],
    )
    export(games, tmp_path / "kept.jsonl", "preference", filters=Filters(roles=("seer",)))
    kept = lines(tmp_path / "kept.jsonl")
    assert len(kept) == 2
    assert {row["chosen"][0]["content"] for row in kept} == {f"<think>{THOUGHT} one</think>{first}"}
    export(
        games,
        tmp_path / "stripped.jsonl",
        "preference",
        filters=Filters(roles=("seer",)),
        strip_thinking=True,
    )
    (row,) = lines(tmp_path / "stripped.jsonl")
    assert row["chosen"][0]["content"] == first
    assert row["rejected"][0]["content"] == second
