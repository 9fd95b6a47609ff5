"""``omar-envs eval``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from omar_envs.arena import Tournament
from omar_envs.cli import main

SMALL = ["--set", "num_players=5", "discussion_rounds=1"]


def run(*words: str) -> int:
    return main(["eval", *words, *SMALL])


def test_two_policies(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--a", "scripted", "--b", "random", "--games", "4") == 0
    told = capsys.readouterr()
    assert told.err == ""
    for words in ("A: scripted", "B: random", "control", "both teams", "p = "):
        assert words in told.out


def test_json_alone_on_standard_output(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["--a", "scripted", "--b", "random", "--games", "4"]
    assert run(*words, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["games"], told["a"]["name"], told["b"]["name"]) == (4, "scripted", "random")
    assert {"score", "control", "difference", "settling", "probes"} <= set(told)
    file = tmp_path / "result.json"
    assert run(*words, "--json", str(file)) == 0
    assert "A: scripted" in capsys.readouterr().out
    assert json.loads(file.read_text("utf-8")) == told


def test_many_entrants(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [word for name in ("scripted", "random") for word in ("--entrant", name)]
    assert run(*words, "--games", "4", "--json") == 0
    assert json.loads(capsys.readouterr().out)["a"]["name"] == "scripted"
    assert run("--a", "scripted", *words[2:], "--games", "4") == 0
    assert "A: scripted" in capsys.readouterr().out
    assert run("--a", "scripted", *words, "--games", "4") == 2
    assert "scripted stands there 2 times" in capsys.readouterr().err


def test_a_run_goes_on_in_its_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["--a", "scripted", "--b", "random", "--out", str(tmp_path / "run")]
    assert run(*words, "--games", "4") == 0
    first = capsys.readouterr().out
    assert run(*words, "--games", "4") == 0
    assert capsys.readouterr().out == first
    assert run(*words, "--games", "4", "--seed", "3") == 2
    assert "seed was 0 and is now 3" in capsys.readouterr().err
    found = Tournament.from_json((tmp_path / "run" / "result.json").read_bytes())
    assert found.matches[0].games == 4
    # The games are a file of episodes like any other.
    assert main(["measure", str(tmp_path / "run" / "episodes.jsonl")]) == 0


def test_a_report_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["--a", "scripted", "--b", "random", "--games", "4", "--report"]
    page = tmp_path / "x.html"
    assert run(*words, str(page)) == 0
    assert f"{page} is written" in capsys.readouterr().out
    assert run(*words, str(page)) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(*words, str(page), "--overwrite") == 0


def test_social_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "--env", "sotopia", "--a", "scripted", "--b", "random", "--games", "4"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["a"]["outcomes"]["settled"]["n"] == 4
    assert told["a"]["by_team"] == {}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--a"),
        (["--a", "random"], "--b"),
        (["--a", "random", "--b", "random", "--games", "3"], "even"),
        (["--a", "random", "--b", "random", "--price", "x=1,2"], "no entrant"),
        (["--a", "random", "--b", "random", "--price", "x"], "POLICY=PROMPT,COMPLETION"),
        (["--a", "random", "--b", "random", "--prices", "-1", "2"], "from 0"),
        (["--a", "random", "--b", "random", "--price", "random=1,inf"], "POLICY=PROMPT"),
        (["--a", "random", "--b", "random", "--max-cost", "0"], "above 0"),
        (["--a", "random", "--b", "random", "--max-cost", "-1"], "above 0"),
        (["--a", "random", "--b", "random", "--ray-workers", "2"], "--ray"),
        (["--a", "random", "--b", "random", "--rubric", "omar"], "--judge"),
        (["--a", "random", "--b", "random", "--report", "x.pdf"], ".html"),
        (["--a", "random", "--b", "random", "--out", "/dev/null/x"], "/dev/null/x"),
        (["--a", "random", "--b", "random", "--ray", "--ray-workers", "0"], "workers"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert run(*words) == 2
    said = capsys.readouterr()
    assert told in said.err and said.err.count("\n") == 1
    assert said.out == ""
