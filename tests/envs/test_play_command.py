"""``omar-envs play`` as it is typed: spellings, mistakes, stopping and going on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omar_envs import rollout
from omar_envs.cli import main
from omar_envs.terminal_play import games_folder, read_saved
from omar_envs.transcript import read_episodes
from tests.envs.chat_server import Call, ChatServer, Send, say

ROUND = ["--set", "num_players=5", "discussion_rounds=1", "max_days=2"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "state"


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What the person types: lines, and how the typing ends."""

    def lines(*typed: str, then: type[BaseException] = EOFError) -> None:
        waiting: Iterator[str] = iter(typed)

        def answer(prompt: str) -> str:
            for line in waiting:
                return line
            raise then

        monkeypatch.setattr("builtins.input", answer)

    return lines


TypeIn = Callable[..., None]


def command_told(text: str) -> list[str]:
    """The words of the command that goes on."""
    (found,) = re.findall(r"Go on with: omar-envs (.*)", text)
    return shlex.split(found)


@pytest.mark.parametrize(
    "words",
    [
        ["play", "werewolf", "--with", "scripted", "--seat", "2"],
        ["play", "--opponents", "scripted", "--env", "werewolf", "--seat", "2"],
        ["play", "--seat", "2"],
    ],
)
def test_spellings(words: list[str], type_in: TypeIn, capsys: pytest.CaptureFixture[str]) -> None:
    type_in(*["1"] * 50)
    assert main([*words, "--seed", "3", "--out", "mine.jsonl", *ROUND]) == 0
    (episode,) = read_episodes("mine.jsonl")
    assert (episode.env, episode.seed) == ("werewolf_v0", 3)
    assert [seat.policy for seat in episode.seats] == [
        "human" if seat == 2 else "scripted" for seat in range(5)
    ]
    told = capsys.readouterr().out
    assert "Who was who" in told
    assert "Your reward" in told
    assert "outcome" in told
    assert "mine.jsonl" in told
    assert list(games_folder().iterdir()) == []


def test_the_game_that_is_told_again_is_the_same(
    type_in: TypeIn, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(*["1"] * 50)
    assert main(["play", "werewolf", "--seat", "random", "--with", "random", *ROUND]) == 0
    told = capsys.readouterr().out
    (saved,) = re.findall(r"Saved in (.*)", told)
    (again,) = re.findall(r"The same game again: omar-envs (.*)", told)
    (watch,) = re.findall(r"Watch it: omar-envs (.*)", told)
    assert main(shlex.split(watch)) == 0
    type_in(*["1"] * 50)
    assert main([*shlex.split(again), "--out", "again.jsonl"]) == 0
    assert read_episodes("again.jsonl") == read_episodes(saved)


def test_a_preset_and_a_scenario(type_in: TypeIn, capsys: pytest.CaptureFixture[str]) -> None:
    type_in()
    assert main(["play", "werewolf", "--preset", "mini4", "--seed", "1"]) == 2
    assert read_saved(next(games_folder().glob("werewolf-*"))).config["num_players"] == 4
    assert main(["play", "sotopia", "--scenario", "bread_book_for_fiddle", "--seed", "1"]) == 2
    saved = read_saved(next(games_folder().glob("sotopia-*")))
    assert saved.config["scenario"] == "bread_book_for_fiddle"
    assert saved.config["reward"] == "none"
    capsys.readouterr()


@pytest.mark.parametrize(
    ("then", "code", "spelling"),
    [
        (KeyboardInterrupt, 130, "as told"),
        (EOFError, 2, "flag alone"),
        (EOFError, 2, "with game"),
        (KeyboardInterrupt, 130, "with game and file"),
    ],
)
def test_a_stopped_game_goes_on(
    then: type[BaseException],
    code: int,
    spelling: str,
    type_in: TypeIn,
    capsys: pytest.CaptureFixture[str],
) -> None:
    type_in(*["1"] * 50)
    whole = ["play", "werewolf", "--seat", "2", "--seed", "3", *ROUND]
    assert main([*whole, "--out", "whole.jsonl"]) == 0
    capsys.readouterr()
    type_in("1", then=then)
    assert main([*whole, "--out", "mine.jsonl"]) == code
    told = capsys.readouterr()
    words = command_told(told.out + told.err)
    if code == 130:
        assert told.err.strip() == ""
    else:
        assert "input ended" in told.err
        assert told.err.count("\n") == 1
    assert not Path("mine.jsonl").exists()
    words = {
        "as told": words,
        "flag alone": ["play", "--resume"],
        "with game": ["play", "werewolf", "--resume"],
        "with game and file": ["play", "werewolf", "--resume", words[-1]],
    }[spelling]
    type_in(*["1"] * 50)
    assert main(words) == 0
    assert read_episodes("mine.jsonl") == read_episodes("whole.jsonl")
    assert main(["play", "--resume"]) == 2


def test_a_resumed_game_may_go_elsewhere(
    type_in: TypeIn, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in("/quit")
    assert main(["play", "sotopia", "--seed", "3", "--set", "max_turns=3"]) == 0
    words = command_told(capsys.readouterr().out)
    type_in("hello", "/nothing", "/leave")
    assert main([*words, "--out", "there.jsonl"]) == 0
    (episode,) = read_episodes("there.jsonl")
    assert rollout.replay(episode) == episode


@pytest.mark.slow
def test_a_model_goes_on_as_if_it_had_not_been_stopped(
    type_in: TypeIn, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    # Without words for the game: it is the one that the model was trained on.
    whole = ["play", "werewolf", "--with", "house", "--seat", "1", "--seed", "5"]
    type_in(*["1"] * 50)
    assert main([*whole, "--out", "whole.jsonl"]) == 0
    (episode,) = read_episodes("whole.jsonl")
    assert episode.config["prompt_style"] == "terse"
    asked = len(episode.turns_of("player_1"))
    assert asked > 1
    capsys.readouterr()
    type_in(*["1"] * (asked - 1), then=KeyboardInterrupt)
    assert main([*whole, "--out", "mine.jsonl"]) == 130
    words = command_told(capsys.readouterr().out)
    type_in("1")
    assert main(words) == 0
    assert "not as it would have" not in capsys.readouterr().out
    assert read_episodes("mine.jsonl") == [episode]


def test_an_endpoint_is_not_paid_for_twice(
    type_in: TypeIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    asked: list[int] = []

    def behave(call: Call) -> Send:
        asked.append(call.number)
        return say("I abstain, I am a villager.")

    type_in("hello", then=KeyboardInterrupt)
    small = ["--set", "num_players=3", 'roles={"werewolf": 1}', "first_phase=day", "max_days=1"]
    with ChatServer(behave) as server:
        words = ["play", "werewolf", "--with", f"{server.url}#m", "--seed", "1", *small]
        assert main(words) == 130
        before = len(asked)
        assert before == 2
        type_in(*["1"] * 50)
        assert main(command_told(capsys.readouterr().out)) == 0
    (file,) = games_folder().glob("*.jsonl")
    (episode,) = read_episodes(file)
    others = [turn for turn in episode.turns if turn.agent != "player_0"]
    assert len(asked) == len(others)
    assert "does not remember" in capsys.readouterr().out


def test_an_endpoint_that_fails_leaves_the_game_to_go_on_with(
    type_in: TypeIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    type_in("hello", "1")
    with ChatServer(lambda call: Send(b"{}", status=400)) as server:
        words = ["play", "--with", f"{server.url}#m", "--seed", "1", "--set", "first_phase=day"]
        assert main(words) == 2
    told = capsys.readouterr().err
    assert "no reply from" in told
    assert read_saved(Path(command_told(told)[-1])).answer == "hello"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["play", "werewolf", "--seat", "7"], "no seat 7"),
        (["play", "--seat", "first"], "--seat"),
        (["play", "--with", "human"], "one seat"),
        (["play", "werwolf"], "werewolf"),
        (["play", "werewolf", "--env", "sotopia"], "which one"),
        (["play", "werewolf", "some.json"], "some.json"),
        (["play", "--resume"], "no unfinished game"),
        (["play", "--resume", "some.json"], "some.json"),
        (["play", "--resume", "--seat", "1"], "leave it out"),
        (["play", "sotopia", "--scenario", "moving_out_of_the_flatt"], "moving_out_of_the_flat"),
        (["play", "--out", "no/such/folder/x"], "no/such/folder"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    words: list[str], said: str, type_in: TypeIn, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in()
    try:
        code: object = main(words)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert [file for file in Path().rglob("*") if file.is_file()] == []


def test_nowhere_to_save(
    type_in: TypeIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").write_text("in the way")
    monkeypatch.setenv("XDG_STATE_HOME", str(Path("file").absolute()))
    type_in()
    assert main(["play"]) == 2
    assert "XDG_STATE_HOME" in capsys.readouterr().err
