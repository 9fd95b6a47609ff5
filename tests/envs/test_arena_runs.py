"""Whole evaluations: rotations, runs that are killed and go on, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from omar_envs import RandomPolicy, ScriptedPolicy
from omar_envs.arena import ArenaResult, Contestant, Tournament, evaluate, planned_games
from omar_envs.arena.schedule import rotations
from omar_envs.errors import ConfigError, EpisodeError, PolicyError
from omar_envs.transcript import read_episodes
from omar_envs.types import View

SMALL: dict[str, Any] = {"num_players": 5, "discussion_rounds": 1}


def small(*names: str | Contestant, **more: Any) -> Tournament:
    options: dict[str, Any] = {"env": "werewolf", "settings": SMALL, "games": 8} | more
    return evaluate(names or ("scripted", "random"), **options)


class FailingPolicy:
    """Plays at random for a while, and then no more."""

    name = "failing"

    def __init__(self, acts: int) -> None:
        self._inner = RandomPolicy(0)
        self._left = acts

    def act(self, views: Sequence[View]) -> list[str]:
        self._left -= len(views)
        if self._left < 0:
            raise PolicyError("the endpoint is gone.")
        return self._inner.act(views)


# --- rotations --------------------------------------------------------------


@pytest.mark.parametrize("seats", range(2, 9))
def test_rotations_give_either_side_each_seat_equally_often(seats: int) -> None:
    found = rotations(seats)
    assert len(set(found)) == len(found) == (2 * seats if seats % 2 else 2)
    for seat in range(seats):
        assert sum(sides[seat] for sides in found) == len(found) // 2
    assert sorted(found) == sorted(tuple(not a for a in sides) for sides in found)


def test_each_seed_is_played_with_both_distributions_of_the_teams(tmp_path: Path) -> None:
    small(out=tmp_path, control=False)
    games = read_episodes(tmp_path / "episodes.jsonl")
    assert set(Counter(game.seed for game in games).values()) == {2}
    for first, second in zip(games[::2], games[1::2], strict=True):
        assert [seat.role for seat in first.seats] == [seat.role for seat in second.seats]
        swapped = {"scripted": "random", "random": "scripted"}
        assert [swapped[s.policy] for s in first.seats] == [s.policy for s in second.seats]
        wolves = {seat.policy for seat in first.seats if seat.role == "werewolf"}
        assert len(wolves) == 1


@pytest.mark.parametrize("seats", [2, 3])
def test_seats_go_round_where_there_are_no_teams(tmp_path: Path, seats: int) -> None:
    found = evaluate(
        ["scripted", "random"],
        env="sotopia",
        settings={"num_agents": seats},
        games=12,
        out=tmp_path,
        control=False,
    ).matches[0]
    held = Counter(
        (seat.agent, seat.policy)
        for game in read_episodes(tmp_path / "episodes.jsonl")
        for seat in game.seats
    )
    assert len(held) == 2 * seats and set(held.values()) == {6}
    assert not found.has_teams and not found.control
    assert found.a.rewards["all"].n == 6 * seats
    assert set(found.a.outcomes) >= {"score", "settled", "points", "joint_share"}


def test_rewards_decide_where_there_are_no_teams() -> None:
    """Half of the scripted bot's acts at random: it settles less, and worse."""
    from omar_envs import NegotiatorPolicy

    noisy = Contestant("noisy", lambda seed: NegotiatorPolicy(seed, noise=0.5), per_game=True)
    found = evaluate(["scripted", noisy], env="sotopia", games=20, seed=3).matches[0]
    assert found.difference is not None
    rewards = [side.rewards["all"].value for side in (found.a, found.b)]
    assert rewards[0] is not None and rewards[1] is not None
    assert found.difference.mean == pytest.approx(rewards[0] - rewards[1])
    assert found.control_rewards["all"].n == 20
    settled = found.a.outcomes["settled"].value
    assert settled is not None and 0 < settled <= 1


def test_three_teams_are_compared_by_reward() -> None:
    roles = {"werewolf": 1, "seer": 1, "jester": 1}
    found = evaluate(
        ["scripted", "random"],
        env="werewolf",
        settings={"num_players": 6, "roles": roles, "discussion_rounds": 1},
        games=4,
    ).matches[0]
    assert not found.has_teams
    assert "jester" in found.a.rewards or "jester" in found.b.rewards


# --- one result, however it came about --------------------------------------


def test_the_result_depends_on_neither_batch_nor_progress() -> None:
    seen: list[tuple[str, int, int]] = []
    alone = small(batch=1)
    assert alone == small(batch=5, progress=lambda *told: seen.append(told))
    assert [done for _, done, _ in seen] == list(range(13))
    assert {total for *_, total in seen} == {12} == {planned_games(2, 8)}
    assert alone != small(seed=1)


def test_a_game_is_the_same_whatever_else_is_played(tmp_path: Path) -> None:
    small(out=tmp_path / "few", games=4, control=False)
    small(out=tmp_path / "many", games=12, control=False)
    few, many = (read_episodes(tmp_path / name / "episodes.jsonl") for name in ("few", "many"))
    assert many[: len(few)] == few


def test_json_holds_the_whole_result() -> None:
    found = small()
    again = Tournament.from_json(found.to_json())
    assert again.to_json() == found.to_json()
    assert json.loads(found.matches[0].to_json())["a"]["by_role"]["seer"]["games"] == 4


KILLED = """
import os, signal, sys
from omar_envs.arena import evaluate

def progress(what, done, total):
    if done == 5:
        os.kill(os.getpid(), signal.SIGKILL)

evaluate(["scripted", "random"], env="werewolf", settings={"num_players": 5,
         "discussion_rounds": 1}, games=8, batch=3, out=sys.argv[1], progress=progress)
"""


def test_a_killed_run_that_goes_on_equals_one_that_was_not(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    done = subprocess.run([sys.executable, "-c", KILLED, str(killed)])
    assert done.returncode == -signal.SIGKILL
    file = killed / "episodes.jsonl"
    kept = len(file.read_bytes().splitlines())
    assert 5 <= kept < 12
    with open(file, "r+b") as half:  # as if it had been stopped in the middle of a line
        half.truncate(os.path.getsize(file) - 100)
    seen: list[int] = []
    again = small(out=killed, progress=lambda what, done, total: seen.append(done))
    assert seen == list(range(kept - 1, 13))
    assert again == small(out=whole)
    for name in ("episodes.jsonl", "result.json", "run.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_a_finished_run_plays_nothing_again(tmp_path: Path) -> None:
    first = small(out=tmp_path)
    seen: list[int] = []
    assert small(out=tmp_path, progress=lambda what, done, total: seen.append(done)) == first
    assert seen == [12]


def test_more_games_may_be_asked_for_later(tmp_path: Path) -> None:
    small(out=tmp_path)
    seen: list[int] = []
    longer = small(out=tmp_path, games=12, progress=lambda what, done, total: seen.append(done))
    assert seen[0] == 12
    assert longer == small(games=12)
    with pytest.raises(ConfigError, match="games was 12 and is now 8"):
        small(out=tmp_path)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"seed": 5}, "seed was 0 and is now 5"),
        ({"settings": SMALL | {"max_days": 3}}, "max_days"),
        ({"control": False}, "control was true and is now false"),
    ],
)
def test_other_settings_are_named(tmp_path: Path, other: dict[str, Any], told: str) -> None:
    small(out=tmp_path)
    before = (tmp_path / "episodes.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=told):
        small(out=tmp_path, **other)
    with pytest.raises(ConfigError, match="entrants was"):
        small("random", "scripted", out=tmp_path)
    assert (tmp_path / "episodes.jsonl").read_bytes() == before


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ConfigError, match="other files"):
        small(out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_run_that_was_killed_before_its_first_game_goes_on(tmp_path: Path) -> None:
    (tmp_path / ".run.json.0a1b2c3d.tmp").write_text('{"env": "were')
    assert small(out=tmp_path) == small()


def test_a_damaged_count_of_what_was_spent_is_named(tmp_path: Path) -> None:
    small(out=tmp_path)
    (tmp_path / "usage.jsonl").write_text('{"session": 1}\n')
    with pytest.raises(EpisodeError, match=r"usage\.jsonl, line 1 is damaged"):
        small(out=tmp_path)
    (tmp_path / "usage.jsonl").write_text('{"session": "half a li')
    assert small(out=tmp_path).usage == {}


def test_a_strange_game_in_the_folder_is_named(tmp_path: Path) -> None:
    small(out=tmp_path / "a", seed=0)
    small(out=tmp_path / "b", seed=1)
    lines = (tmp_path / "b" / "episodes.jsonl").read_bytes()
    (tmp_path / "a" / "episodes.jsonl").write_bytes(lines)
    with pytest.raises(EpisodeError, match="line 1"):
        small(out=tmp_path / "a")


def test_what_was_finished_stays_when_an_entrant_fails(tmp_path: Path) -> None:
    acts = iter([150, 10_000])
    failing = Contestant("failing", lambda seed: FailingPolicy(next(acts)))
    with pytest.raises(PolicyError, match=r"gone\. .*the same command goes on") as error:
        small("scripted", failing, games=20, batch=2, out=tmp_path)
    assert str(tmp_path) in str(error.value)
    kept = read_episodes(tmp_path / "episodes.jsonl")
    assert kept
    seen: list[int] = []
    small(
        "scripted",
        failing,
        games=20,
        batch=2,
        out=tmp_path,
        progress=lambda what, done, total: seen.append(done),
    )
    assert seen[0] == len(kept)
    after = {(e.seed, e.seats): e for e in read_episodes(tmp_path / "episodes.jsonl")}
    assert all(after[e.seed, e.seats] == e for e in kept)


# --- many entrants ----------------------------------------------------------


def test_every_two_of_many_meet_on_the_same_seeds(tmp_path: Path) -> None:
    quiet = Contestant("noisy", lambda seed: ScriptedPolicy(seed, noise=0.5), per_game=True)
    found = small("scripted", "random", quiet, games=6, nash=True, out=tmp_path)
    assert [(m.a.name, m.b.name) for m in found.matches] == [
        ("scripted", "random"),
        ("scripted", "noisy"),
        ("random", "noisy"),
    ]
    assert all(match.games == 6 and not match.control for match in found.matches)
    assert {rating.name for rating in found.ratings} == {"scripted", "random", "noisy"}
    assert sum(rating.nash or 0 for rating in found.ratings) == pytest.approx(1)
    games = read_episodes(tmp_path / "episodes.jsonl")
    assert set(Counter(game.seed for game in games).values()) == {6}
    score = found.score("random", "scripted")
    assert score.mean == 1 - found.score("scripted", "random").mean
    # A pair is played as if the others were not there.
    two = small("scripted", "random", games=6, control=False)
    assert two.matches[0].seed_scores == found.matches[0].seed_scores


def test_a_policy_against_itself_is_told_apart() -> None:
    found = small("random", "random")
    assert found.entrants == ("random", "random (2)")
    assert isinstance(found.matches[0], ArenaResult)


# --- what is refused before any game is played ------------------------------


@pytest.mark.parametrize(
    ("names", "more", "told"),
    [
        (("scripted",), {}, "at least two"),
        (("scripted", "random", "random"), {}, "random stands there 2 times"),
        (("scripted", "human"), {}, "person"),
        (("scripted", "nobody"), {}, "unknown policy 'nobody'"),
        (("scripted", "random"), {"games": 3}, "even"),
        (("scripted", "random"), {"games": 0}, "even"),
        (("scripted", "random"), {"batch": 0}, "batch"),
        (("scripted", "random"), {"settings": {"num_players": 99}}, "num_players"),
        (("scripted", "random"), {"settings": {"colour": 1}}, "colour"),
        (
            ("scripted", "random"),
            {"env": "sotopia", "settings": {"num_agents": 3}, "games": 8},
            "multiple of 6.*take 6",
        ),
    ],
)
def test_bad_input_is_refused_first(
    tmp_path: Path, names: tuple[str, ...], more: dict[str, Any], told: str
) -> None:
    seen: list[object] = []
    with pytest.raises(ConfigError, match=told):
        small(*names, out=tmp_path / "run", progress=lambda *now: seen.append(now), **more)
    assert not seen and not (tmp_path / "run").exists()


def test_two_of_one_name_are_refused() -> None:
    one = Contestant("x", RandomPolicy)
    with pytest.raises(ConfigError, match="2 entrants are called 'x'"):
        small(one, one)
