"""Every example runs as its docstring says, and shows what it promises."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.envs.chat_server import ChatServer, refuse, say
from tests.envs.judge_answers import judging

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHOWN = {
    "add_a_game.py": "did not know the word",
    "aec_loop.py": "'player_4': ",
    "watch_bots.py": "-> replay.html",
    "compare_policies.py": "both teams",
    "sotopia_deal.py": "have agreed. The deal: ",
}
ENDPOINT = "openai_endpoint.py"
JUDGE = "judge_reward.py"


def run(name: str, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def run_elsewhere() -> set[str]:
    """Examples of other libraries, and what they import of one another."""
    root = EXAMPLES.parent
    scripts = [*root.glob("checks/interop/*.py"), *root.glob("tests/interop/*.py")]
    named = {
        name
        for script in scripts
        for name in re.findall(r"examples\W{1,5}(\w+\.py)", script.read_text("utf-8"))
    }
    texts = [(EXAMPLES / name).read_text("utf-8") for name in named]
    imported = {name for text in texts for name in re.findall(r"^from (\w+) import", text, re.M)}
    return named | {f"{name}.py" for name in imported if (EXAMPLES / f"{name}.py").exists()}


def test_every_example_is_run() -> None:
    listed = {*SHOWN, ENDPOINT, JUDGE}
    assert {path.name for path in EXAMPLES.glob("*.py")} == listed | run_elsewhere()


@pytest.mark.parametrize("name", [*SHOWN, ENDPOINT, JUDGE])
def test_example_says_how_to_run_it(name: str) -> None:
    assert f"python examples/{name}" in (EXAMPLES / name).read_text("utf-8")


@pytest.mark.parametrize("name", SHOWN)
def test_example_runs(name: str, tmp_path: Path) -> None:
    done = run(name, tmp_path)
    assert done.returncode == 0, done.stderr
    assert SHOWN[name] in done.stdout
    assert (tmp_path / "replay.html").exists() == (name == "watch_bots.py")


def test_a_game_through_an_endpoint_is_printed_as_it_goes_on(tmp_path: Path) -> None:
    said = "I trust nobody, {not even} myself."
    with ChatServer(lambda call: say(said, tokens=(7, 3))) as server:
        done = run(ENDPOINT, tmp_path, "--base_url", server.url, "--model", "tiny")
        assert done.returncode == 0, done.stderr
        assert f": {said}\n" in done.stdout
        assert "Winner: " in done.stdout
        asked = len(server.calls)
        assert f"requests={asked}, failures=0" in done.stdout
        assert f"prompt_tokens={7 * asked}, completion_tokens={3 * asked}" in done.stdout


def test_the_endpoint_example_says_what_is_wrong_without_a_traceback(tmp_path: Path) -> None:
    with ChatServer(lambda call: refuse(404, "the model `tiny` does not exist")) as server:
        done = run(ENDPOINT, tmp_path, "--base_url", server.url, "--model", "tiny")
        assert done.returncode == 1
        assert server.url in done.stderr
        assert "the model `tiny` does not exist" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_judge_behind_an_endpoint_pays_the_players(tmp_path: Path) -> None:
    with ChatServer(judging) as server:
        done = run(JUDGE, tmp_path, "--base_url", server.url, "--model", "m", "--episodes", "2")
        assert done.returncode == 0, done.stderr
        *paid, usage = done.stdout.splitlines()
        assert len(paid) == 2
        for line in paid:
            rewards = ast.literal_eval(line)
            assert len(rewards) == 2
            assert all(0 <= reward <= 1 for reward in rewards.values())
        assert "requests=2, failures=0" in usage


def test_the_judge_example_says_what_is_wrong(tmp_path: Path) -> None:
    done = run(JUDGE, tmp_path, "--base_url", "nowhere", "--model", "m")
    assert done.returncode == 1
    assert "base_url" in done.stderr
    assert "Traceback" not in done.stderr
