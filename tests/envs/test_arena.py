"""The arena: every seed both ways, and results that say what happened."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs import RandomPolicy, ScriptedPolicy, werewolf_v0
from omar_envs.arena import ArenaResult, compare, total_games
from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.policy import Policy
from omar_envs.types import View
from omar_envs.werewolf.rules import team_of


def small_game() -> ConversationEnv:
    return werewolf_v0.raw_env(num_players=5, discussion_rounds=1)


def short_game() -> ConversationEnv:
    """Ends by its limit if nobody is voted out."""
    return werewolf_v0.raw_env(num_players=7, max_days=1, first_night_kill=False)


def peaceful_game() -> ConversationEnv:
    """Everybody lives to act."""
    return werewolf_v0.raw_env(num_players=5, first_night_kill=False)


class Gibberish:
    """Never says anything that can be read as a choice."""

    name = "gibberish"

    def act(self, views: Sequence[View]) -> list[str]:
        return ["?!" for _ in views]


class Recorder:
    """Plays at random and remembers who it was asked to be."""

    name = "recorder"

    def __init__(self, seed: int) -> None:
        self._inner = RandomPolicy(seed)
        self.seats: set[tuple[str, str | None]] = set()
        self.largest_batch = 0

    def act(self, views: Sequence[View]) -> list[str]:
        self.seats |= {(view.agent, view.role) for view in views}
        self.largest_batch = max(self.largest_batch, len(views))
        return self._inner.act(views)


class Abstainer:
    """Abstains wherever that is legal, else takes the first choice."""

    name = "abstainer"

    def act(self, views: Sequence[View]) -> list[str]:
        return [self._reply(view) for view in views]

    def _reply(self, view: View) -> str:
        if view.request is None or not view.request.choices:
            return "Nothing."
        choices = view.request.choices
        return "abstain" if "abstain" in choices else choices[0]


def match(a: Policy, b: Policy, games: int = 20, seed: int = 1, **more: int) -> ArenaResult:
    return compare(small_game, a, b, team_of=team_of, games=games, seed=seed, **more)


def test_each_entrant_plays_both_teams_equally_often() -> None:
    result = match(ScriptedPolicy(1), RandomPolicy(2), games=30)
    for entrant in (result.a, result.b):
        assert {team: rate.games for team, rate in entrant.by_team.items()} == {
            "village": 15,
            "werewolf": 15,
        }
    assert {team: rate.games for team, rate in result.control.items()} == {
        "village": 15,
        "werewolf": 15,
    }


def test_wins_add_up() -> None:
    result = match(ScriptedPolicy(1), RandomPolicy(2), games=30)
    a, b = result.a.by_team, result.b.by_team
    assert a["werewolf"].wins + b["village"].wins + a["werewolf"].draws == 15
    assert a["village"].wins + b["werewolf"].wins + a["village"].draws == 15
    draws = a["village"].draws + a["werewolf"].draws
    wins = a["village"].wins + a["werewolf"].wins
    assert result.score.mean == pytest.approx((wins + draws / 2) / 30)
    assert result.score.low <= result.score.mean <= result.score.high
    control = result.control
    assert control["village"].wins + control["werewolf"].wins + control["village"].draws == 15


def test_both_games_of_a_seed_have_the_same_roles() -> None:
    """In one game of a seed A has the wolves' seats, in the other all the rest."""
    a, b = Recorder(1), Recorder(2)
    compare(peaceful_game, a, b, team_of=team_of, games=2, control=False)
    assert a.seats == b.seats
    assert len(a.seats) == 5


def test_the_better_policy_scores_higher() -> None:
    result = match(ScriptedPolicy(1), Gibberish(), games=60)
    assert result.score.low > 0.5
    assert match(Gibberish(), ScriptedPolicy(1), games=60).score.high < 0.5


def test_the_same_comparison_gives_the_same_result() -> None:
    first = match(ScriptedPolicy(1), RandomPolicy(2))
    assert first == match(ScriptedPolicy(1), RandomPolicy(2))
    assert first != match(ScriptedPolicy(1), RandomPolicy(2), seed=2)


def test_invalid_acts_are_counted_per_entrant() -> None:
    result = match(RandomPolicy(1), Gibberish(), games=10)
    assert result.a.invalid_acts == 0 < result.b.invalid_acts <= result.b.acts
    assert result.clean_games < 10
    assert sum(rate.games for rate in result.a.by_team_clean.values()) == result.clean_games
    assert match(RandomPolicy(1), RandomPolicy(2), games=10).clean_games == 10


def test_clean_rates_are_over_clean_games_only() -> None:
    class Stumbler(RandomPolicy):
        """Answers one request in ten in a way that cannot be read."""

        name = "stumbler"

        def act(self, views: Sequence[View]) -> list[str]:
            replies = super().act(views)
            return ["?!" if self._rng.random() < 0.1 else reply for reply in replies]

    result = match(Stumbler(1), RandomPolicy(2), games=40)
    assert 0 < result.clean_games < 40
    for entrant in (result.a, result.b):
        for team, clean in entrant.by_team_clean.items():
            assert clean.games < entrant.by_team[team].games
            assert clean.wins <= entrant.by_team[team].wins
    assert "no invalid act" in result.table()


def test_games_without_a_winner_are_draws() -> None:
    result = compare(
        short_game, Abstainer(), Abstainer(), team_of=team_of, games=8, seed=0, control=True
    )
    assert result.truncated == 8
    assert all(rate.draws == rate.games for rate in result.a.by_team.values())
    assert all(rate.wins == 0 for rate in result.control.values())
    assert result.score.mean == 0.5
    assert result.score.low < 0.5 < result.score.high


def test_control_can_be_left_out() -> None:
    result = match(RandomPolicy(1), RandomPolicy(2), control=False)
    assert result.control == {}
    assert "control" not in result.table()


def test_requests_of_many_games_reach_a_policy_together() -> None:
    a = Recorder(1)
    match(a, RandomPolicy(2), games=20, control=False)
    assert a.largest_batch > 5


@settings(max_examples=10)
@given(st.integers(1, 8), st.booleans(), st.integers(1, 7))
def test_progress_counts_every_game_once(pairs: int, control: bool, batch: int) -> None:
    seen: list[int] = []
    compare(
        small_game,
        RandomPolicy(1),
        RandomPolicy(2),
        team_of=team_of,
        games=2 * pairs,
        control=control,
        batch=batch,
        progress=seen.append,
    )
    assert seen == sorted(set(seen))
    assert seen[-1] == total_games(2 * pairs, control)


@pytest.mark.parametrize("games", [0, -2, 3])
def test_games_come_in_pairs(games: int) -> None:
    with pytest.raises(ConfigError, match="even"):
        match(RandomPolicy(1), RandomPolicy(2), games=games)


def test_other_than_two_teams_is_refused() -> None:
    with pytest.raises(ConfigError, match="two teams"):
        compare(small_game, RandomPolicy(1), RandomPolicy(2), team_of=lambda role: role, games=2)


def test_json_holds_the_whole_result() -> None:
    result = match(ScriptedPolicy(1), RandomPolicy(2))
    told = json.loads(result.to_json())
    assert told["a"]["name"] == "scripted"
    assert told["score"]["mean"] == result.score.mean
    assert told["control"]["werewolf"]["rate"] == result.control["werewolf"].rate


def test_table_shows_the_numbers() -> None:
    result = match(ScriptedPolicy(1), RandomPolicy(2))
    lines = result.table().splitlines()
    assert lines[0].split() == ["village", "werewolf", "both", "teams"]
    assert lines[1].startswith("A: scripted")
    assert f"{result.a.by_team['village'].rate:.3f}" in lines[1]
    assert f"{result.score.mean:.3f}" in lines[1]
    assert f"{1 - result.score.mean:.3f}" in lines[2]
    assert lines[3].startswith("control")
