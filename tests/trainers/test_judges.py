"""A judge that a recipe describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omar_envs.errors import ConfigError
from omar_envs.policy import RandomPolicy
from omar_envs.rollout import make, run
from omar_envs.types import Episode
from omar_trainers.judges import JUDGE_FOLDER, with_judge, without_address
from tests.envs.chat_server import ChatServer
from tests.envs.judge_answers import judging

URL = "http://localhost:1/v1#org/tiny"


def judged_games(judge: Any, output: Path) -> list[Episode]:
    """Two games, as a process that begins anew plays them."""
    arguments = {"num_agents": 2, "max_turns": 2, "reward": "judge", "judge": judge}
    env_kwargs = with_judge(arguments, str(output))
    assert arguments["judge"] == judge
    with env_kwargs["judge"]:
        return run(lambda: make("sotopia_v0", env_kwargs), RandomPolicy(1), 2, 3)


def test_a_judgement_is_paid_for_once(tmp_path: Path) -> None:
    with ChatServer(judging) as server:
        described = {"url": f"{server.url}#tiny", "rubric": "omar", "max_retries": 0}
        first = judged_games(described, tmp_path)
        assert all("judge" in parts for game in first for parts in game.rewards.values())
        asked = len(server.calls)
        assert asked == 2
        again = judged_games(described, tmp_path)
        assert len(server.calls) == asked
        assert [game.rewards for game in again] == [game.rewards for game in first]
        judged_games(described | {"cache": str(tmp_path / "mine")}, tmp_path)
        assert len(server.calls) == 2 * asked
        # A word is enough where nothing else is to be set.
        judged_games(f"{server.url}#other", tmp_path)
        assert len(server.calls) == 3 * asked
    assert {path.name for path in tmp_path.iterdir()} == {JUDGE_FOLDER, "mine"}


def test_what_is_no_description_stays(tmp_path: Path) -> None:
    judge = with_judge({"judge": URL}, str(tmp_path))["judge"]
    for arguments in ({}, {"reward": "none", "judge": None}, {"judge": judge}):
        assert with_judge(arguments, str(tmp_path / "out")) == arguments
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ("tiny", "URL#model"),
        ({"rubric": "omar"}, "needs a url"),
        ({"url": 3}, "needs a url"),
        ({"url": URL, "rubrik": "omar"}, "rubrik"),
        ({"url": URL, "samples": 0}, "samples"),
        ({"url": URL, "api_key": "sk-1"}, "OPENAI_API_KEY"),
    ],
)
def test_what_describes_no_judge(tmp_path: Path, judge: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        with_judge({"judge": judge}, str(tmp_path))
    assert "sk-1" not in str(refused.value)


def test_the_same_judge_elsewhere_is_the_same() -> None:
    here, there = URL, "http://elsewhere:2/v1#org/tiny"
    one = {"num_agents": 2, "judge": {"url": here, "rubric": "omar", "timeout": 5}}
    other = {"num_agents": 2, "judge": {"url": there, "rubric": "omar"}}
    assert without_address(one) == without_address(other) != without_address({})
    assert without_address({"judge": here}) == without_address({"judge": there})
    assert without_address({"judge": here}) != without_address({"judge": f"{here}2"})
    assert without_address(one) != without_address({"judge": {"url": here, "rubric": "sotopia"}})
    assert without_address({"num_players": 5}) == {"num_players": 5}
