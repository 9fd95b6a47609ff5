"""The demo from end to end, with one short iteration."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from transformers import AutoModelForCausalLM

from omar_envs import rollout
from omar_envs.arena import ArenaResult
from omar_envs.cli import main as cli
from omar_envs.transcript import read_episodes
from omar_trainers.demo import Demo, run_demo
from omar_trainers.house import house_directory


@pytest.mark.e2e
@pytest.mark.slow
def test_demo_leaves_what_it_promises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    screen = io.StringIO()
    demo = Demo(out, iterations=1, games=20, curve_games=10, probe_games=6, shown_games=4)
    run_demo(demo, Console(file=screen, width=110))

    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in metrics] == [1]
    assert (out / "learning.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "replay.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    episodes = read_episodes(out / "episodes.jsonl")
    assert len(episodes) == 4
    assert all(rollout.replay(episode) == episode for episode in episodes)

    arena = json.loads((out / "arena.json").read_bytes())
    result = msgspec.convert(arena["trained"], ArenaResult)
    control = msgspec.convert(arena["control"], ArenaResult)
    assert result.games == control.games == 20
    assert (result.a.name, control.a.name) == ("trained", "start")

    start = AutoModelForCausalLM.from_pretrained(house_directory())
    final = AutoModelForCausalLM.from_pretrained(out / "final")
    moved = [
        not old.equal(new) for old, new in zip(start.parameters(), final.parameters(), strict=True)
    ]
    assert any(moved)

    said = screen.getvalue()
    for part in (
        "Trained against start",
        "95% intervals",
        "as werewolf",
        "as village",
        "replay.html",
    ):
        assert part in said

    # The next steps that it names work.
    assert cli(["eval", "--a", str(out / "final"), "--b", "random", "--games", "4"]) == 0
    assert "95% intervals" in capsys.readouterr().out
