"""``omar-envs judge`` over files of episodes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omar_envs import cli_judge
from omar_envs.cli import main
from omar_envs.errors import EpisodeError
from omar_envs.judge.saved import JudgedEpisode, JudgedWriter, read_judged
from omar_envs.transcript import write_episodes
from omar_envs.types import Episode, JudgeResult
from tests.envs.chat_server import Act, Call, ChatServer, Hang, refuse, say
from tests.envs.judge_answers import answer, document, judging, many_talks, true_scores


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OPENAI_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def episodes(tmp_path: Path) -> list[Episode]:
    found = many_talks(6)
    write_episodes(tmp_path / "talks.jsonl", found)
    return found


def command(tmp_path: Path, server: ChatServer, *words: str) -> list[str]:
    return ["judge", str(tmp_path / "talks.jsonl"), "--judge", f"{server.url}#tiny", *words]


def judge(tmp_path: Path, server: ChatServer, *words: str) -> int:
    return main(command(tmp_path, server, *words))


def lines(tmp_path: Path) -> list[JudgedEpisode]:
    return read_judged(tmp_path / "talks.judged.jsonl")


def number_of(call: Call) -> int:
    """Which of the episodes is asked about."""
    return int(document(call)["transcript"][0]["text"].rpartition(" ")[2].rstrip("."))


def test_every_episode_gets_its_line_and_the_table_sums_up(
    tmp_path: Path, episodes: list[Episode], capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer(judging) as server:
        assert judge(tmp_path, server, "--prices", "1", "2", "--scale", "unit") == 0
    found = lines(tmp_path)
    assert sorted(line.index for line in found) == list(range(6))
    assert len({line.episode for line in found}) == 6
    for line in found:
        assert line.result.scores == true_scores(episodes[line.index])
        assert line.result.rewards is not None
        assert line.parts == ()
    told = capsys.readouterr().out
    assert "6 episodes: 6 ok, 0 failed, 0 refused" in told
    truth = true_scores(episodes[0])
    mean = sum(row["goal"] for row in truth.values()) / 2
    assert f"| goal | {mean:.2f} [{mean:.2f}, {mean:.2f}] (12) |" in told
    assert "overall (plain mean)" in told and "| reward |" in told
    assert "600 prompt tokens, 120 completion tokens; cost 0.0008" in told
    assert "talks.judged.jsonl" in told


def test_what_is_judged_is_not_asked_again_and_what_failed_is(
    tmp_path: Path, episodes: list[Episode], capsys: pytest.CaptureFixture[str]
) -> None:
    def half(call: Call) -> Act:
        return refuse(400, f"not {number_of(call)}") if number_of(call) % 2 else judging(call)

    with ChatServer(half) as server:
        judge(tmp_path, server)
        told = capsys.readouterr().out
        assert "6 episodes: 3 ok, 3 failed, 0 refused" in told
        assert "1 times: no answer from 'tiny'" in told and "not 3" in told
        assert Counter(line.result.status for line in lines(tmp_path)) == {"ok": 3, "failed": 3}
        server.behave = judging
        server.calls.clear()
        judge(tmp_path, server)
        assert sorted(number_of(call) for call in server.calls) == [1, 3, 5]
        told = capsys.readouterr().out
        assert "3 of 6 were judged before" in told
        assert "6 episodes: 6 ok, 0 failed, 0 refused" in told
        server.calls.clear()
        judge(tmp_path, server)
        assert server.calls == []
        last = {line.index: line.result for line in lines(tmp_path)}
        assert len(lines(tmp_path)) == 9
        for index, episode in enumerate(episodes):
            assert last[index].scores == true_scores(episode)


@pytest.mark.parametrize(
    "words",
    [
        ("--rubric", "omar"),
        ("--scale", "unit"),
        ("--seed", "1"),
        ("--temperature", "1"),
        ("--per-utterance",),
        ("--samples", "2"),
    ],
)
def test_another_setup_is_another_judgement(
    tmp_path: Path, episodes: list[Episode], words: tuple[str, ...]
) -> None:
    with ChatServer(judging) as server:
        judge(tmp_path, server)
        before = len(server.calls)
        judge(tmp_path, server, *words)
        assert len(server.calls) > before
        before = len(server.calls)
        judge(tmp_path, server, *words)
        judge(tmp_path, server)
        assert len(server.calls) == before
    assert len({line.setup for line in lines(tmp_path)}) == 2


def test_several_judges_are_a_panel_whose_agreement_is_told(
    tmp_path: Path, episodes: list[Episode], capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer(judging) as server:
        judge(tmp_path, server, "--judge", f"{server.url}#small")
        assert Counter(call.body["model"] for call in server.calls) == {"tiny": 6, "small": 6}
    for line in lines(tmp_path):
        assert [part.model for part in line.parts] == ["tiny", "small"]
        assert line.result.model == "tiny + small"
        assert line.judgement.parts == line.parts
    assert "| goal | 0.00 | 1.00 | 12 |" in capsys.readouterr().out


def test_judges_at_two_addresses_may_have_one_models_name(
    tmp_path: Path, episodes: list[Episode], capsys: pytest.CaptureFixture[str]
) -> None:
    def stern(call: Call) -> Act:
        return say(json.dumps(answer(call, lambda name, dimension, low, high: low)))

    with ChatServer(judging) as server, ChatServer(stern) as other, ChatServer(judging) as third:
        cache = ("--cache", str(tmp_path / "cache"))
        judge(tmp_path, server, "--judge", f"{other.url}#tiny", *cache)
        assert (len(server.calls), len(other.calls)) == (6, 6)
        names = [f"{server.url}#tiny", f"{other.url}#tiny"]
        for line in lines(tmp_path):
            assert [part.model for part in line.parts] == names
            truth = true_scores(episodes[line.index])
            assert line.parts[0].scores == truth
            assert {row["goal"] for row in (line.parts[1].scores or {}).values()} == {0.0}
        judge(tmp_path, server, "--judge", f"{third.url}#tiny", *cache)
        assert (len(server.calls), len(third.calls)) == (6, 6)
        assert len(lines(tmp_path)) == 12, "another panel"
        capsys.readouterr()
        assert judge(tmp_path, server, "--judge", f"{server.url}#tiny") == 2
        assert "stands there 2 times" in capsys.readouterr().err


def test_a_cap_is_of_the_whole_panel(tmp_path: Path, episodes: list[Episode]) -> None:
    with ChatServer(judging) as server:
        capped = ("--prices", "0", "1e6", "--max-tokens", "40", "--concurrency", "1")
        judge(tmp_path, server, "--judge", f"{server.url}#small", *capped, "--max-cost", "140")
        assert Counter(call.body["model"] for call in server.calls) == {"tiny": 2, "small": 2}


def test_no_sound_judgement_is_exit_code_1(
    tmp_path: Path, episodes: list[Episode], capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer(lambda call: say("ten of ten")) as server:
        assert judge(tmp_path, server) == cli_judge.EXIT_NONE_OK == 1
    assert "6 episodes: 0 ok, 6 failed, 0 refused" in capsys.readouterr().out
    assert {line.result.scores for line in lines(tmp_path)} == {None}


def test_a_cap_ends_a_run_that_can_go_on(tmp_path: Path, episodes: list[Episode]) -> None:
    with ChatServer(judging) as server:
        capped = ("--prices", "0", "1e6", "--max-tokens", "40", "--concurrency", "1")
        judge(tmp_path, server, *capped, "--max-cost", "70")
        assert Counter(line.result.status for line in lines(tmp_path)) == {"ok": 2, "failed": 4}
        judge(tmp_path, server)
        assert len(server.calls) == 6


def program(tmp_path: Path, server: ChatServer, *words: str) -> list[str]:
    """The command as a process of its own."""
    return [
        sys.executable,
        "-W",
        "error",
        "-m",
        "omar_envs.cli",
        *command(tmp_path, server, *words),
    ]


def test_progress_is_shown_to_a_terminal(tmp_path: Path, episodes: list[Episode]) -> None:
    terminal, end = pty.openpty()
    with ChatServer(judging) as server:
        words = program(tmp_path, server)
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=end, timeout=120, check=True)
    shown = os.read(terminal, 100_000).decode()
    os.close(end)
    os.close(terminal)
    assert "judged" in shown and "6/6" in shown
    assert b"6 episodes: 6 ok" in done.stdout


def test_json_is_one_document_and_all_that_is_printed(
    tmp_path: Path, episodes: list[Episode], capsys: pytest.CaptureFixture[str]
) -> None:
    def half(call: Call) -> Act:
        return refuse(400, f"not {number_of(call)}") if number_of(call) % 2 else judging(call)

    with ChatServer(half) as server:
        panel = ("--samples", "2", "--prices", "1", "2", "--json")
        assert judge(tmp_path, server, *panel) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["statuses"] == {"ok": 3, "failed": 3, "refused": 0}
        assert sum(told["reasons"].values()) == 3
        truth = true_scores(episodes[0])
        mean = sum(row["goal"] for row in truth.values()) / 2
        assert told["scores"]["goal"]["mean"] == pytest.approx(mean)
        assert told["scores"]["goal"]["participants"] == 6
        assert told["agreement"]["goal"]["units"] == 6
        assert told["cost"] > 0
        assert told["file"] == str(tmp_path / "talks.judged.jsonl")
        judge(tmp_path, server, *panel)
        assert json.loads(capsys.readouterr().out)["judged_before"] == 3
    with ChatServer(lambda call: say("ten of ten")) as server:
        assert judge(tmp_path, server, "--json", "--out", str(tmp_path / "none.jsonl")) == 1
        told = json.loads(capsys.readouterr().out)
        assert told["statuses"]["ok"] == 0 and told["scores"] == {}


def test_an_interrupted_run_keeps_what_is_done(tmp_path: Path, episodes: list[Episode]) -> None:
    held = threading.Event()

    def behave(call: Call) -> Act:
        if call.number < 3:
            return judging(call)
        held.set()
        return Hang()

    with ChatServer(behave) as server:
        words = program(tmp_path, server, "--concurrency", "1")
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert held.wait(60)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, err.strip()) == (130, b"")
        assert b"the same command goes on" in out
        # The third answer may still have been on its way into the file.
        kept = [line.result.status for line in lines(tmp_path)]
        assert kept in (["ok"] * 2, ["ok"] * 3)
        server.behave = judging
        server.calls.clear()
        judge(tmp_path, server)
        assert len(server.calls) == 6 - len(kept)
    assert len(lines(tmp_path)) == 6


# --- the file -------------------------------------------------------------------

LINE = JudgedEpisode(0, "e", "s", JudgeResult("ok", {"agent_0": {"goal": 7.0}}))


def test_lines_come_back_as_they_were(tmp_path: Path) -> None:
    other = JudgedEpisode(
        3,
        "f",
        "s",
        JudgeResult(
            "ok",
            {"a": {"x": 1.5}},
            {"a": {"x": "because\u2028 “é”"}},
            "m",
            "r@1/raw",
            "2026-01-01T00:00:00+00:00",
            "",
            {"a": 0.25},
            {"a": (0.0, 1 / 3)},
        ),
        (JudgeResult("failed", error="no"), JudgeResult("refused")),
    )
    for line in (LINE, other):
        with JudgedWriter(tmp_path / "j.jsonl") as writer:
            writer.write(line)
    assert read_judged(tmp_path / "j.jsonl") == [LINE, other]


def test_a_line_cut_short_is_left_out_and_then_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    whole = msgspec.json.encode(LINE) + b"\n"
    for end in range(1, len(whole)):
        path.write_bytes(whole + whole[:end])
        assert read_judged(path) == [LINE]
        with JudgedWriter(path) as writer:
            writer.write(LINE)
        assert path.read_bytes() == whole * 2


@pytest.mark.parametrize("content", [b"my notes", b"{}\n", b"[1]\nx", b'{"index": 3}\n', b"\n"])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    for use in (read_judged, JudgedWriter):
        with pytest.raises(EpisodeError, match=r"notes, line \d is no judgement"):
            use(path)
    assert path.read_bytes() == content


def test_files_that_cannot_be_used(
    tmp_path: Path, episodes: list[Episode], capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer(judging) as server:
        for words, said in (
            (("--out", str(tmp_path / "talks.jsonl")), "must not be the file"),
            (("--out", str(tmp_path / "none" / "out.jsonl")), "cannot be written"),
            (("--out", str(tmp_path)), "cannot be read"),
            (("--max-cost", "1"), "max_cost needs prices"),
            (("--rubric", "sotopa"), "sotopa"),
        ):
            assert judge(tmp_path, server, *words) == 2
            told = capsys.readouterr()
            assert said in told.err and told.err.count("\n") == 1
            assert told.out == ""
        assert server.calls == []
    assert json.loads((tmp_path / "talks.jsonl").read_bytes().splitlines()[0])["seed"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scale", "units"), "--scale"),
        (("--schema", "loose"), "--schema"),
        (("--temperature", "warm"), "--temperature"),
        (("--temperature", "nan"), "--temperature"),
        (("--seed", "-1"), "--seed"),
        (("--samples", "0"), "--samples"),
        (("--prices", "1"), "--prices"),
        (("--rubrik", "omar"), "--rubric"),
    ],
)
def test_options_that_cannot_be_read_are_one_line(
    tmp_path: Path,
    words: tuple[str, ...],
    said: str,
    episodes: list[Episode],
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = str(tmp_path / "talks.jsonl")
    with pytest.raises(SystemExit) as stop:
        main(["judge", file, "--judge", "http://localhost:1/v1#m", *words])
    assert stop.value.code == 2
    told = capsys.readouterr()
    assert said in told.err and told.err.count("\n") == 1
    assert told.err.startswith("omar-envs judge: ")


def test_options_reach_the_judge(tmp_path: Path, episodes: list[Episode]) -> None:
    rubric = tmp_path / "mine.yaml"
    rubric.write_text(
        "name: mine\ndimensions: [{name: wit, description: How witty?, low: 0, high: 3}]\n"
    )
    words: tuple[Any, ...] = (
        *("--rubric", rubric, "--max-tokens", "99", "--temperature", "0.5"),
        *("--cache", tmp_path / "cache", "--out", tmp_path / "o.jsonl", "--samples", "2"),
    )
    with ChatServer(judging) as server:
        judge(tmp_path, server, *map(str, words))
        bodies = server.bodies
        judge(tmp_path, server, "--temperature", "none", "--seed", "none", "--schema", "prompt")
        assert server.bodies[-1].keys() == {"model", "messages", "max_tokens"}
    assert len(bodies) == 12
    assert {body["max_tokens"] for body in bodies} == {99}
    assert {body["temperature"] for body in bodies} == {0.5}
    found = read_judged(tmp_path / "o.jsonl")
    assert {tuple((line.result.scores or {})["agent_0"]) for line in found} == {("wit",)}
    assert len(list((tmp_path / "cache").rglob("*.json"))) == 12
