"""What the README shows runs, and what it names exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from omar_envs.cli import main
from omar_envs.replay.serving import PageServer
from tests.envs.chat_server import ChatServer
from tests.envs.judge_answers import judging

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL)
PYTHON = [body for language, body in BLOCKS if language == "python"]
SHELL = "".join(body for language, body in BLOCKS if language == "sh")
(TREE,) = (body for _, body in BLOCKS if "├──" in body)
COMMANDS = [
    shlex.split(line, comments=True)[1:]
    for line in SHELL.replace("\\\n", " ").splitlines()
    if line.startswith("omar-envs ")
]


@pytest.mark.parametrize("code", PYTHON)
def test_python_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_tree_names_what_exists() -> None:
    folders: list[str] = []
    for line in TREE.splitlines():
        marks, name = re.match(r"([│├└─ ]*)(\S+)", line).groups()  # type: ignore[union-attr]
        folders[len(marks) // 4 :] = [name]
        assert (ROOT / "/".join(folders)).exists(), line


def stopped_by_ctrl_c(server: PageServer) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] != "train"])
def test_commands_have_these_options(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a short run in the place of long ones, models and people."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.input", lambda prompt: "abstain")
    small = {"20": "2", "400": "4", "runs/demo/final": "random", "FOLDER": "."}
    words = [small.get(word, word) for word in words]
    if words[0] in ("replay", "measure", "judge", "export"):
        Path("runs/demo").mkdir(parents=True)
        games = "runs/demo/games.jsonl" if words[1] == "runs/demo" else words[1]
        main(["rollout", "--episodes", "1", "--out", games])
    if "--serve" in words:  # until somebody stops it
        monkeypatch.setattr(PageServer, "serve_forever", stopped_by_ctrl_c)
    if words[0] == "sotopia":
        Path("agent_profiles.jsonl").write_text('{"agent_id": "a", "first_name": "Ana"}')
    if words[0] == "judge":
        place = words.index("--judge") + 1
        with ChatServer(judging) as server:
            words[place] = f"{server.url}#m"
            assert main(words) == 0
        return
    if words[0] == "play":
        # In this game, on this seed, everybody may abstain from everything.
        if "sotopia" in words:
            monkeypatch.setattr("builtins.input", lambda prompt: "/quit")
        else:
            words += ["--seed", "1", "--set", "first_night_kill=false", "max_days=1"]
            words += ['roles={"werewolf": 1}']
    assert main(words) == 0


def test_training_commands_name_recipes_that_come_along() -> None:
    named = re.findall(r"--recipe (\w+)", SHELL)
    assert named
    for name in named:
        assert (ROOT / "trainers" / "recipes" / f"{name}.yaml").is_file()
