"""verifiers' own ``vf-eval`` plays games against a server: one model in every seat."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omar_envs.errors import ConfigError
from omar_envs.integrations.libraries import check
from omar_envs.policy import Policy
from omar_envs.rollout import make, play
from omar_envs.types import View

try:
    check("verifiers")
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "checks" / "interop" / "scripted_server.py"
SETTINGS: dict[str, Any] = {"num_players": 3, "discussion_rounds": 1, "roles": {"werewolf": 1}}

sys.path.insert(0, str(SERVER.parent))
from scripted_server import BROKEN, reply  # noqa: E402


class Scripted:
    """What the server says, as a policy."""

    name = "server"

    def act(self, views: list[View]) -> list[str]:
        return [reply([dict(message) for message in view.messages]) for view in views]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


def evaluate(
    url: str, folder: Path, *arguments: str, model: str = "scripted"
) -> list[dict[str, Any]]:
    """Run ``vf-eval``. -> the traces of all games"""
    command = [
        *(str(Path(sys.executable).parent / "vf-eval"), "omar-selfplay", "-m", model),
        *("-n", "1", "--client.base-url", url, "--no-push", "--no-rich", "-o", str(folder)),
        *("--env.taskset.settings", json.dumps(SETTINGS), *arguments),
    ]
    here = str(Path(sys.executable).parent)
    own = {
        "PATH": os.pathsep.join([here, os.environ["PATH"]]),  # verifiers starts uv by its name
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "trainers")]),
    }
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env={**os.environ, **own}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (file,) = folder.rglob("traces.jsonl")
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return [trace for line in lines for trace in line.get("traces", [line])]


def said(trace: dict[str, Any]) -> list[str]:
    """The sampled replies of a trace, in order."""
    return [node["message"]["content"] for node in trace["nodes"] if node["sampled"]]


def test_one_trace_per_seat_and_all_of_them_are_our_game(url: str, tmp_path: Path) -> None:
    traces = evaluate(url, tmp_path)
    policy: Policy = Scripted()
    episode = play(make("werewolf_v0", SETTINGS), policy, 0)
    assert len(traces) == 3
    by_seat = {trace["info"]["omar"]["seat"]: trace for trace in traces}
    for seat in episode.seats:
        trace = by_seat[seat.agent]
        assert trace["agent"]["name"] == "player"
        assert trace["ok"]
        assert trace["info"]["omar"]["role"] == seat.role
        assert trace["info"]["omar"]["outcome"] == episode.outcome
        assert {name: each["score"] for name, each in trace["rewards"].items()} == episode.rewards[
            seat.agent
        ]
        assert said(trace) == [turn.reply for turn in episode.turns_of(seat.agent)]


def test_seats_against_scripted_players(url: str, tmp_path: Path) -> None:
    traces = evaluate(
        url, tmp_path, "--env.opponent-seats", "[1, 2]", "--env.opponent-policy", "scripted"
    )
    assert [trace["info"]["omar"]["seat"] for trace in traces] == ["player_0"]


def test_a_model_that_fails_fails_the_game(url: str, tmp_path: Path) -> None:
    """Nobody plays on in silence where there is no model."""
    traces = evaluate(url, tmp_path, model=BROKEN)
    assert traces
    assert not any(trace["ok"] for trace in traces)
    assert not any("omar" in trace["info"] for trace in traces)
