"""``omar-envs export`` as its user meets it."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from omar_envs import RandomPolicy, ScriptedPolicy, rollout, transcript, werewolf_v0
from omar_envs.cli import main
from omar_envs.export import KINDS, export
from tests.envs.export_games import THOUGHT, hostile, lines, play_and_look


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Games of the same deals by two policies, and some with thoughts."""
    path = tmp_path_factory.mktemp("recorded") / "games.jsonl"

    def small() -> werewolf_v0.raw_env:
        return werewolf_v0.raw_env(num_players=5)

    games = rollout.run(small, ScriptedPolicy(seed=1), 6, 0)
    games += rollout.run(small, RandomPolicy(seed=1), 6, 0)
    env = small()
    games += [play_and_look(env, seed, hostile(seed, env)).episode for seed in range(3)]
    transcript.write_episodes(path, games)
    return path


def run(*words: object) -> int:
    return main(["export", *map(str, words)])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "datasets"])
def test_every_format(
    kind: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file, "--format", kind, "--out", tmp_path / "rows.jsonl") == 0
    told = capsys.readouterr()
    rows = lines(tmp_path / "rows.jsonl")
    assert f"{len(rows):,} rows" in told.out
    assert "README.md" in told.out
    assert told.err == ""


def test_datasets(file: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    words = ["--format", "datasets", "--rows", "episodes", "--out", tmp_path / "out"]
    assert run(file, *words) == 0
    assert len(datasets.load_from_disk(str(tmp_path / "out"))["train"]) == 15


def test_filters_and_what_they_left_out(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "won"
    words = ["--role", "seer,werewolf", "--role", "villager", "--policy", "scripted"]
    words += ["--result", "won", "--env", "werewolf", "--seat", "0", "--seat", "3"]
    words += ["--min-reward", "0.5", "--max-reward", "2", "--min-acts", "1", "--valid"]
    words += ["--complete", "--judged", "--seeds", "0-4294967295", "--test", "0.4"]
    assert run(file, *words, "--out", out, "--license", "cc0-1.0", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    rows = [row for path in out.glob("*.jsonl") for row in lines(path)]
    assert summary["rows"] == {path.stem: len(lines(path)) for path in out.glob("*.jsonl")}
    assert summary["path"] == str(out)
    assert summary["card"] == str(out / "README.md")
    assert summary["read"] == 15
    assert sum(summary["dropped"]["seats"].values()) == 15 * 5 - len(rows)
    assert {row["policy"] for row in rows} == {"scripted"}
    assert {row["result"] for row in rows} == {"won"}
    assert {row["agent"] for row in rows} <= {"player_0", "player_3"}
    assert "cc0-1.0" in (out / "README.md").read_text("utf-8")


def test_thinking_and_ending(file: Path, tmp_path: Path) -> None:
    assert run(file, "--out", tmp_path / "kept.jsonl") == 0
    assert THOUGHT in (tmp_path / "kept.jsonl").read_text("utf-8")
    words = ["--strip-thinking", "--no-ending", "--min-acts", "1"]
    assert run(file, *words, "--out", tmp_path / "bare.jsonl") == 0
    assert THOUGHT not in (tmp_path / "bare.jsonl").read_text("utf-8")
    assert {row["messages"][-1]["role"] for row in lines(tmp_path / "bare.jsonl")} == {"assistant"}


def test_the_trainers_rules(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("omar_trainers.filters")
    words = ["--format", "sft"]
    assert run(file, *words, "--out", tmp_path / "all.jsonl") == 0
    assert run(file, *words, "--turn-rules", "--out", tmp_path / "sound.jsonl") == 0
    assert 0 < len(lines(tmp_path / "sound.jsonl")) < len(lines(tmp_path / "all.jsonl"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "chatt"], "Did you mean chat"),
        (["--role", "seeer"], "Did you mean seer"),
        (["--result", "wn"], "Did you mean won"),
        (["--env", "werwolf"], "Did you mean werewolf"),
        (["--seeds", "9-3"], "no seed"),
        (["--format", "preference", "--result", "won"], "won and one"),
        (["--format", "chat", "--push-to-hub", "a/b"], "push_to_hub"),
        (["--format", "sft", "--no-ending"], "ending"),
        (["--min-reward", "9"], "loosen the filters"),
        (["--seat", "x"], "--seat"),
    ],
)
def test_a_mistake_is_told_in_a_line_and_leaves_nothing(
    words: list[str],
    message: str,
    file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        code = run(file, *words, "--out", tmp_path / "out")
    except SystemExit as stop:
        code = int(stop.code or 0)
    told = capsys.readouterr()
    assert code == 2
    assert told.out == ""
    assert message in told.err
    assert told.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["chat", "sft"])
def test_a_longer_file_takes_no_more_memory(kind: str, file: Path, tmp_path: Path) -> None:
    peaks = []
    for times in (1, 3):
        path = tmp_path / f"{times}.jsonl"
        path.write_bytes(file.read_bytes() * times)
        tracemalloc.start()
        export(path, tmp_path / f"rows{times}.jsonl", kind)  # type: ignore[arg-type]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < file.stat().st_size


def test_a_folder_as_arenas_and_training_runs_leave_it(file: Path, tmp_path: Path) -> None:
    """Other lines, token data and judgements beside the games are no games."""
    below = tmp_path / "run" / "games"
    below.mkdir(parents=True)
    games = below / "iteration-000001.jsonl"
    games.write_bytes(file.read_bytes())
    for name, text in (
        ("games/iteration-000001.tokens.jsonl", '{"schema_version": 1}'),
        ("games/iteration-000001.judged.jsonl", '{"schema_version": 1}'),
        ("usage.jsonl", '{"endpoint": 1}'),
        ("metrics.jsonl", '{"iteration": 1}'),
        ("empty.jsonl", ""),
    ):
        (tmp_path / "run" / name).write_text(text)
    for number, source in enumerate((games, tmp_path / "run")):
        out = tmp_path / f"{number}.jsonl"
        assert run(source, "--format", "chat", "--out", out) == 0
    assert (tmp_path / "0.jsonl").read_bytes() == (tmp_path / "1.jsonl").read_bytes()
    games.write_bytes(b'{"schema_version": 1, "env": "were')
    assert run(tmp_path / "run", "--format", "chat", "--out", tmp_path / "2.jsonl") == 2
