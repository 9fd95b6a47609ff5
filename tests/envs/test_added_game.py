"""The game of docs/add_a_game.md keeps what every game here promises."""

from __future__ import annotations

import json
import warnings
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest
from pettingzoo.test import api_test, parallel_api_test, seed_test

from omar_envs import RandomPolicy, View, replay, rollout
from omar_envs.errors import ConfigError
from omar_envs.types import SPEAK
from tests.golden.playthrough import playthrough
from tests.golden.test_playthrough import same_as_file

SOURCE = Path(__file__).resolve().parents[2] / "examples" / "add_a_game.py"


@pytest.fixture(scope="module")
def game() -> ModuleType:
    spec = util.spec_from_file_location("add_a_game", SOURCE)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    known = dict(rollout.ENVS)
    spec.loader.exec_module(module)
    yield module
    rollout.ENVS.clear()
    rollout.ENVS.update(known)


class Clues:
    """Says its name as a clue and accuses whom it is told to."""

    name = "clues"

    def __init__(self, accused: str) -> None:
        self.accused = accused

    def act(self, views: list[View]) -> list[str]:
        return [
            f"I am {view.name}." if view.request.kind is SPEAK else self._vote(view)
            for view in views
        ]

    def _vote(self, view: View) -> str:
        return self.accused if self.accused in view.request.choices else "abstain"


def test_one_game_written_down(game: ModuleType) -> None:
    env = game.OddOneOut()
    same_as_file("odd_one_out", playthrough(env, RandomPolicy(1), 3, {1: "?", 7: "nobody at all"}))


def test_pettingzoo_accepts_it(game: ModuleType) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Observation is not a NumPy array")
        warnings.filterwarnings("ignore", "(Observation|Action) space for each agent probably")
        api_test(game.env(), num_cycles=100)
        parallel_api_test(game.parallel_env(), num_cycles=100)
        seed_test(game.env, num_cycles=50)


@pytest.mark.parametrize("seed", range(8))
def test_the_odd_one_never_reads_the_word(game: ModuleType, seed: int) -> None:
    env = game.OddOneOut(3 + seed % 6)
    env.reset(seed=seed)
    (odd,) = (agent for agent in env.agents if env.view(agent).role == "odd")
    word = env.view(next(agent for agent in env.agents if agent != odd)).facts["word"]
    while not env.over:
        shown = json.dumps([env.view(odd).messages, env.view(odd).facts, env.observe(odd)])
        shown += repr(env.infos[odd])
        assert word not in shown
        env.step("A clue.")
    assert word in env.view(odd).text  # it is told at the end


def test_clues_and_votes_are_unseen_until_all_have_acted(game: ModuleType) -> None:
    env = game.OddOneOut(3)
    env.reset(seed=1)
    for clue in ("first", "second"):
        before = [env.view(agent).log for agent in env.agents]
        env.step(clue)
        assert [env.view(agent).log for agent in env.agents] == before
    env.step("third")
    assert all("first" in env.view(agent).text for agent in env.agents)


def test_who_wins(game: ModuleType) -> None:
    env = game.OddOneOut(4)
    env.reset(seed=5)
    names = {env.view(agent).role: env.view(agent).name for agent in env.possible_agents}
    for accused, winner in ((names["odd"], "knowing"), (names["knowing"], "odd"), ("", "odd")):
        episode = rollout.play(env, Clues(accused), 5)
        assert episode.outcome["winner"] == winner
        for seat in episode.seats:
            assert episode.total_reward(seat.agent) == (1.0 if seat.role == winner else -1.0)
        assert episode.terminated


def test_episodes_replay_and_are_shown(game: ModuleType, tmp_path: Path) -> None:
    episodes = rollout.run(lambda: game.OddOneOut(6), RandomPolicy(2), episodes=5, seed=4)
    assert [rollout.replay(episode) for episode in episodes] == episodes
    replay.write_replay(tmp_path / "replay.html", episodes)
    assert (tmp_path / "replay.html").stat().st_size > 0


@pytest.mark.parametrize("number", [2, 9])
def test_impossible_numbers_are_refused(game: ModuleType, number: int) -> None:
    with pytest.raises(ConfigError, match=f"from 3 to 8: got {number}"):
        game.OddOneOut(number)
