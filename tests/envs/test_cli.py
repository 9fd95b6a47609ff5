"""The command line as its user meets it: results, help, and one line per mistake."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from typer.core import TyperArgument, TyperGroup
from typer.main import get_command

import omar_envs
from omar_envs import ScriptedPolicy, cli, rollout
from omar_envs.by_name import game_for, recipe_names
from omar_envs.cli import main
from omar_envs.terminal import printable
from omar_envs.transcript import read_episodes
from omar_envs.werewolf.measures import MEASURES
from tests.envs.chat_server import ChatServer, refuse, say

SMALL = ["--set", "num_players=5", "discussion_rounds=1"]
COMMANDS = [
    *("play", "rollout", "replay", "eval", "measure", "judge", "sotopia", "train", "sft", "model"),
]

Complaint = Callable[..., str]


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Complaint:
    """Run a command that must fail; return its one line."""

    def run(*words: object) -> str:
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code
        told = capsys.readouterr()
        assert code == 2
        assert told.out == ""
        assert told.err.startswith("omar-envs")
        assert told.err.endswith("\n")
        assert told.err.count("\n") == 1
        return told.err

    return run


def answers(monkeypatch: pytest.MonkeyPatch, lines: Iterator[str]) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))


# --- rollout and replay -----------------------------------------------------


def test_rollout_writes_episodes_that_replay(tmp_path: Path) -> None:
    out = tmp_path / "games.jsonl"
    assert main(["rollout", "--episodes", "3", "--seed", "5", "--out", str(out), *SMALL]) == 0
    episodes = read_episodes(out)
    assert len(episodes) == 3
    assert episodes[0].config["num_players"] == 5
    assert {seat.policy for seat in episodes[0].seats} == {"scripted"}
    assert rollout.replay(episodes[0]) == episodes[0]


def test_rollout_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    files = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        files.append(tmp_path / name)
        words = ["rollout", "--policy", "random", "--episodes", "4", "--seed", seed]
        assert main([*words, "--out", str(files[-1]), *SMALL]) == 0
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


def test_settings_are_json_or_text(tmp_path: Path) -> None:
    out = tmp_path / "games.jsonl"
    words = ["rollout", "--env", "werewolf", "--episodes", "1", "--out", str(out)]
    words += ["--set", 'roles={"werewolf": 2}', "num_players=8", "--set", "prompt_style=terse"]
    assert main(words) == 0
    (episode,) = read_episodes(out)
    assert episode.config["num_players"] == 8
    assert episode.config["prompt_style"] == "terse"
    assert sum(seat.role == "werewolf" for seat in episode.seats) == 2


def test_a_model_behind_an_endpoint_plays(
    capsys: pytest.CaptureFixture[str], complaint: Complaint
) -> None:
    with ChatServer(lambda call: say("I trust nobody.")) as server:
        words = ["eval", "--a", f"{server.url}#tiny", "--b", "random", "--games", "2"]
        assert main([*words, "--set", "num_players=3", 'roles={"werewolf": 1}']) == 0
        assert server.calls
    assert f"A: {server.url}#tiny" in capsys.readouterr().out
    with ChatServer(lambda call: refuse(404, "no such model")) as server:
        said = complaint("eval", "--a", f"{server.url}#tiny", "--b", "random", "--games", "2")
        assert server.url in said and "no such model" in said
    assert "#" in complaint("eval", "--a", server.url, "--b", "random")


def test_measure_prints_a_column_for_each_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for policy in ("scripted", "random"):
        words = ["rollout", "--policy", policy, "--episodes", "4"]
        assert main([*words, "--out", str(tmp_path / f"{policy}.jsonl")]) == 0
    capsys.readouterr()
    assert main(["measure", str(tmp_path / "scripted.jsonl"), str(tmp_path / "random.jsonl")]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head == "| measure | of | scripted | random |"
    wins = next(row for row in rows if "werewolves' team won" in row)
    assert wins.count(" of 4 ") == 2


def test_measure_keeps_files_of_one_name_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], complaint: Complaint
) -> None:
    files = [tmp_path / run / "episodes.jsonl" for run in ("before", "after")]
    for seed, file in enumerate(files):
        file.parent.mkdir()
        words = ["rollout", "--policy", "random", "--episodes", "2", "--seed", str(seed)]
        assert main([*words, "--out", str(file), *SMALL]) == 0
    capsys.readouterr()
    assert main(["measure", *map(str, files)]) == 0
    assert f"| {files[0]} | {files[1]} |" in capsys.readouterr().out
    assert main(["measure", "--json", *map(str, files)]) == 0
    assert list(json.loads(capsys.readouterr().out)) == [str(file) for file in files]
    assert f"{files[1]} is given twice" in complaint("measure", files[0], files[1], files[1])


def test_measure_says_that_a_file_holds_no_game(tmp_path: Path, complaint: Complaint) -> None:
    file = tmp_path / "none.jsonl"
    file.write_text("")
    assert f"no episode in {file}" in complaint("measure", file)


def test_replay_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    games = tmp_path / "games.jsonl"
    main(["rollout", "--episodes", "2", "--out", str(games), *SMALL])
    assert main(["replay", str(games)]) == 0
    assert (tmp_path / "games.html").read_text("utf-8").startswith("<!doctype html>")
    assert "games.html" in capsys.readouterr().out
    assert main(["replay", str(games), "-o", str(tmp_path / "other.html")]) == 0
    assert (tmp_path / "other.html").is_file()


# --- eval -------------------------------------------------------------------


def test_eval_prints_a_table_and_keeps_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"
    words = ["eval", "--a", "scripted", "--b", "random", "--games", "10", "--json", str(out)]
    assert main([*words, *SMALL]) == 0
    told = capsys.readouterr()
    assert "A: scripted" in told.out
    assert "B: random" in told.out
    assert "control" in told.out
    assert told.err == ""
    assert json.loads(out.read_text("utf-8"))["games"] == 10


def test_json_without_a_value_or_with_a_dash_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (["--json"], ["--json", "-"], ["--json", "--seed", "0"]):
        assert main(["eval", "--a", "random", "--b", "random", "--games", "2", *words, *SMALL]) == 0
        assert json.loads(capsys.readouterr().out)["games"] == 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model that knows the words of its game, in which nobody talks."""
    pytest.importorskip("transformers")
    from omar_trainers.house.model import house_config, new_house_model
    from omar_trainers.house.tokenizer import house_tokenizer

    game = {"num_players": 5, "discussion_rounds": 0, "prompt_style": "terse"}
    episodes = rollout.run(
        lambda: rollout.make("werewolf_v0", game), ScriptedPolicy(1, brief=True), 10, seed=0
    )
    told = {word for e in episodes for m in e.messages for word in m.text.split()}
    asked = {word for e in episodes for t in e.turns for word in t.request.instruction.split()}
    labels = {label for e in episodes for t in e.turns for label in t.request.choices}
    tokenizer = house_tokenizer(told | asked | labels, max_context=1024)
    config = house_config(
        len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        end_token_id=tokenizer.eos_token_id,
        hidden_size=32,
        num_layers=1,
        max_context=1024,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    new_house_model(config, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "game.json").write_text(json.dumps({"env": "werewolf_v0", "config": game}))
    return folder


def test_a_model_plays_the_game_that_it_was_trained_on(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "games.jsonl"
    words = ["rollout", "--policy", str(model), "--episodes", "2", "--out", str(out)]
    assert main([*words, "--set", "max_days=2"]) == 0
    for episode in read_episodes(out):
        assert episode.config["prompt_style"] == "terse"
        assert episode.config["num_players"] == 5
        assert episode.config["max_days"] == 2
        assert {seat.policy for seat in episode.seats} == {str(model)}
        assert all(turn.valid for turn in episode.turns if turn.request.choices)


def test_a_model_in_the_arena(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "--a", str(model), "--b", "scripted", "--games", "2"]
    assert main([*words, "--set", "max_days=2"]) == 0
    assert f"A: {model}" in capsys.readouterr().out


# --- play -------------------------------------------------------------------


def test_a_person_plays_a_game_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(monkeypatch, iter(["abstain"] * 100))
    out = tmp_path / "mine.jsonl"
    words = ["play", "--seat", "1", "--seed", "4", "--out", str(out), *SMALL]
    # Without kills at night and with a village that abstains, everybody can abstain.
    assert main([*words, "first_night_kill=false", 'roles={"werewolf": 1}', "max_days=1"]) == 0
    (episode,) = read_episodes(out)
    assert episode.seats[1].policy == "human"
    assert {seat.policy for seat in episode.seats} == {"human", "scripted"}
    told = capsys.readouterr().out
    assert "Who was who" in told
    assert "--seed 4" in told
    assert f"{episode.seats[1].name} {episode.seats[1].role}" in told


def test_what_players_write_cannot_act_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(monkeypatch, iter(["abstain"] * 100))
    names = json.dumps(["A\x1b[2J", "B\u202e", "C", "D", "E"])
    words = ["play", "--seed", "1", "--set", f"names={names}", "num_players=5", "max_days=1"]
    code = main([*words, "first_night_kill=false", 'roles={"werewolf": 1}'])
    told = capsys.readouterr()
    assert code in (0, 2)  # such names may also be refused
    assert not set(told.out + told.err) & {"\x1b", "\u202e"}


def test_ctrl_c_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    assert main(["play", "--seed", "1", "--set", "first_night_kill=false"]) == 130
    assert capsys.readouterr().err.strip() == ""


def test_end_of_input_is_one_line(monkeypatch: pytest.MonkeyPatch, complaint: Complaint) -> None:
    def ended(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", ended)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("omar_envs.cli_play.show", lambda text: None)
        said = complaint("play", "--seed", "1", "--set", "first_night_kill=false")
    assert "input ended" in said


# --- mistakes ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dance"], "dance"),
        (["rollout"], "--out"),
        (["rollout", "--out", "x", "--frob"], "--frob"),
        (["rollout", "--out", "x", "--episodes", "0"], "--episodes"),
        (["rollout", "--out", "x", "--episodes", "many"], "many"),
        (["rollout", "--out", "x", "--seed", "-1"], "--seed"),
        (["rollout", "--out", "x", "--seed", "9" * 5000], "--seed"),
        (["rollout", "--out", "x", "--env", "chess"], "chess"),
        (["rollout", "--out", "x", "--set", "num_players"], "key=value"),
        (["rollout", "--out", "x", "--set", "num_players=two"], "num_players"),
        (["rollout", "--out", "x", "--set", "num_playrs=7"], "num_playrs"),
        (["rollout", "--out", "x", "--policy", "nobody"], "nobody"),
        (["rollout", "--out", "x", "--policy", "human"], "play"),
        (["rollout", "--out", "no/such/folder/x"], "no/such/folder"),
        (["eval", "--a", "random", "--b", "random", "--games", "3"], "even"),
        (["eval", "--a", "random"], "--b"),
        (["play", "--seat", "7"], "no seat 7"),
        (["play", "--opponents", "human"], "one seat"),
        (["replay", "nothing.jsonl"], "nothing.jsonl"),
        (["measure", "nothing.jsonl"], "nothing.jsonl"),
        (["measure"], "FILE"),
        (["rollout", "--out", "x.jsonl", "--set", "preset=arena9"], "did you mean 'arena8'"),
        (["rollout", "--out", "x.jsonl", "--preset", "omar", "--set", "preset=mini4"], "twice"),
        (["play", "--scenario", "bicycle", "--set", "scenario=rent"], "scenario=rent"),
        (["replay", "--out", "x.html"], "FILE"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str],
    said: str,
    complaint: Complaint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in complaint(*words)
    assert list(tmp_path.iterdir()) == []


def test_files_are_not_overwritten_unasked(tmp_path: Path, complaint: Complaint) -> None:
    out = tmp_path / "games.jsonl"
    out.write_text("precious")
    assert "exists" in complaint("rollout", "--episodes", 1, "--out", out)
    assert out.read_text() == "precious"
    assert main(["rollout", "--episodes", "1", "--out", str(out), "--overwrite"]) == 0
    assert len(read_episodes(out)) == 1


def test_damaged_episodes_are_one_line(tmp_path: Path, complaint: Complaint) -> None:
    file = tmp_path / "games.jsonl"
    file.write_text('{"schema_version": 1}\n')
    said = complaint("replay", file)
    assert "line 1" in said
    assert not (tmp_path / "games.html").exists()


def test_a_folder_without_a_model_is_one_line(tmp_path: Path, complaint: Complaint) -> None:
    assert "config.json" in complaint("eval", "--a", tmp_path, "--b", "random")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "game.json").write_text("[]")
    assert "game.json" in complaint("eval", "--a", tmp_path, "--b", "random")
    (tmp_path / "game.json").unlink()
    assert str(tmp_path) in complaint("eval", "--a", tmp_path, "--b", "random", "--games", 2)


def test_a_model_plays_as_it_was_trained_unless_told(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)

    def games(name: str, *options: str) -> bytes:
        out = tmp_path / f"{name}.jsonl"
        words = ["rollout", "--policy", str(folder), "--episodes", "1", "--out", str(out)]
        assert main([*words, "--set", "discussion_rounds=1", "max_days=1", *options]) == 0
        return out.read_bytes()

    def longest(name: str) -> int:
        played = read_episodes(tmp_path / f"{name}.jsonl")
        return max(len(turn.reply.split()) for episode in played for turn in episode.turns)

    usual = games("usual")
    assert longest("usual") > 3
    assert games("cold", "--temperature", "0") == games("colder", "--temperature", "0.000001")
    assert games("cool", "--temperature-choose", "0") not in (
        usual,
        games("cold", "--temperature", "0", "--overwrite"),
    )

    (folder / "acting.json").write_text('{"max_new_tokens_speak": 3, "temperature": 0.0}')
    brief = games("brief")
    assert longest("brief") <= 3
    assert games("warm", "--temperature", "1") != brief == games("again")


@pytest.mark.parametrize("text", ['{"max_tokens": 3}', '{"temperature": "warm"}', "{"])
def test_what_is_said_of_acting_has_to_be_right(
    text: str, tmp_path: Path, complaint: Complaint
) -> None:
    for name, content in (("config.json", "{}"), ("acting.json", text)):
        (tmp_path / name).write_text(content)
    assert "acting.json" in complaint("eval", "--a", tmp_path, "--b", "random")
    assert "must be a number from 0" in complaint(
        "eval", "--a", "scripted", "--b", "random", "--temperature", "-1"
    )


def test_models_that_were_only_paid_otherwise_can_meet(tmp_path: Path) -> None:
    for name, discount in (("one", 1.0), ("two", 0.9)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        config = {"num_players": 5, "elimination_discount": discount}
        game = {"env": "werewolf_v0", "config": config}
        (tmp_path / name / "game.json").write_text(json.dumps(game))
    both = [str(tmp_path / name) for name in ("two", "one")]
    assert game_for(both, None, {}).settings["elimination_discount"] == 0.9


def test_models_of_different_games_need_a_word(tmp_path: Path, complaint: Complaint) -> None:
    for name, players in (("five", 5), ("six", 6)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        game = {"env": "werewolf_v0", "config": {"num_players": players}}
        (tmp_path / name / "game.json").write_text(json.dumps(game))
    said = complaint("eval", "--a", tmp_path / "five", "--b", tmp_path / "six")
    assert "different games" in said


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--recipe", "werewolf_house_demo"],
        ["eval", "--a", "house", "--b", "random"],
    ],
)
def test_missing_libraries_name_the_extra(words: list[str]) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        f"from omar_envs.cli import main; sys.exit(main({words!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'omar-envs[train]'" in done.stderr


def test_a_bug_is_not_reported_as_a_missing_library() -> None:
    code = (
        "import sys; sys.modules['omar_trainers'] = None\n"
        "from omar_envs.cli import main; sys.exit(main(['train', '--recipe', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


# --- names that are nearly right --------------------------------------------


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["rolout"], "'rollout'"),
        (["sotopia", "imprt"], "'import'"),
        (["model", "inf"], "'info'"),
        (["rollout", "--out", "x", "--epsodes", "3"], "--episodes"),
        (["rollout", "--out", "x", "--env", "warewolf"], "'werewolf'"),
        (["rollout", "--out", "x", "--policy", "scriptd"], "'scripted'"),
        (["rollout", "--out", "x", "--policy", "hous"], "'house'"),
        (["rollout", "--out", "x", "--preset", "arena9"], "'arena8'"),
        (["rollout", "--out", "x", "--set", "num_playrs=7"], "'num_players'"),
        (["rollout", "--out", "x", "--set", "prest=arena8"], "'preset'"),
        (["rollout", "--out", "x", "--env", "sotopia", "--set", "scenaro=x"], "'scenario'"),
        (["--show-completion", "zhs"], "'zsh'"),
    ],
)
def test_mistakes_name_what_is_nearest(
    words: list[str],
    nearest: str,
    complaint: Complaint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert nearest in complaint(*words)


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["train", "--recipe", "werewolf_hose_demo"], "'werewolf_house_demo'"),
        (["train", "--recipe", "werewolf_house_demo", "--learning_rat", "1"], "'--learning_rate'"),
        (["sft", "--model", "house", "--bestof", "2"], "'--best_of'"),
    ],
)
def test_settings_of_the_trainer_reach_its_parser(
    words: list[str], nearest: str, complaint: Complaint
) -> None:
    pytest.importorskip("trl")
    assert f"did you mean {nearest}" in complaint(*words)


def test_words_reach_the_trainer_in_any_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    train = pytest.importorskip("omar_trainers.train")
    seen = []
    monkeypatch.setattr(train, "launch", lambda config, model: seen.append((config, model)) or 3)
    out = str(tmp_path / "out")
    for words in (
        ["--recipe", "werewolf_house_demo", "--learning_rate", "1e-5", "--use_cpu", "true"],
        ["--use_cpu", "true", "--learning_rate=1e-5", "--recipe=werewolf_house_demo"],
    ):
        assert main(["train", *words, "--model_name_or_path", "house", f"--output_dir={out}"]) == 3
        config, model = seen.pop()
        assert (config.learning_rate, config.use_cpu, config.output_dir) == (1e-5, True, out)
        assert model.model_name_or_path == "house"


# --- documents for scripts --------------------------------------------------


def test_json_is_all_that_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: Path
) -> None:
    out = tmp_path / "games.jsonl"
    words = ["rollout", "--policy", "random", "--episodes", "3", "--out", str(out), *SMALL]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    episodes = read_episodes(out)
    assert told["episodes"] == 3
    assert told["file"] == str(out)
    assert told["env"] == "werewolf_v0"
    assert told["settings"] == {"num_players": 5, "discussion_rounds": 1}
    assert told["turns"] == sum(len(episode.turns) for episode in episodes)
    assert told["invalid_acts"] == sum(not turn.valid for e in episodes for turn in e.turns)

    assert main(["measure", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["games"]
    assert told["games"].keys() >= MEASURES.keys()
    assert told["games"]["werewolf_wins"]["n"] == 3

    (tmp_path / "agent_profiles.jsonl").write_text(
        '{"agent_id": "a", "first_name": "Ana"}\n{"first_name": "\\u001b[2J"}\n'
    )
    assert main(["sotopia", "import", str(tmp_path / "agent_profiles.jsonl"), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["loaded"]["refused"] == len(told["refused"]) == 1
    assert told["refused"][0]["file"] == "agent_profiles.jsonl"

    assert main(["model", "info", str(model), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["game"]["env"] == "werewolf_v0"


# --- models -----------------------------------------------------------------


def test_the_house_model_is_written_and_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], complaint: Complaint
) -> None:
    transformers = pytest.importorskip("transformers")
    out = tmp_path / "new" / "house"
    assert main(["model", "house", "--out", str(out)]) == 0
    loaded = transformers.AutoModelForCausalLM.from_pretrained(out)
    capsys.readouterr()
    for name in (str(out), "house"):
        assert main(["model", "info", name, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["parameters"] == loaded.num_parameters()
        assert told["context"] == loaded.config.max_position_embeddings
        assert told["vocabulary"] == loaded.config.vocab_size
        assert told["dtypes"] == ["F32"]
        assert told["game"]["env"] == "werewolf_v0"
        assert told["game"]["settings"]["num_players"] == 5
        assert told["acting_is_given"] is False
        assert told["acting"]["max_new_tokens_speak"] == 128
    (out / "acting.json").write_text('{"temperature": 0.5, "stop_strings": ["\\u001b[2J"]}')
    assert main(["model", "info", str(out)]) == 0
    text = capsys.readouterr().out
    assert f"{loaded.num_parameters():,}" in text
    assert "temperature = 0.5" in text and "\x1b" not in text
    assert "exists" in complaint("model", "house", "--out", out)
    assert sorted(path.name for path in out.parent.iterdir()) == ["house"]


def test_folders_that_hold_no_model(tmp_path: Path, complaint: Complaint) -> None:
    assert "nowhere" in complaint("model", "info", "nowhere")
    assert "config.json" in complaint("model", "info", tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    assert "config.json" in complaint("model", "info", tmp_path)
    (tmp_path / "config.json").write_text("{}")
    for content in (b"", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0[]", b'\x07\0\0\0\0\0\0\0{"a":1}'):
        (tmp_path / "model.safetensors").write_bytes(content)
        assert "model.safetensors" in complaint("model", "info", tmp_path)


def test_a_model_without_weights_here_is_described_as_far_as_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text('{"text_config": {"vocab_size": 7}, "model_type": "x"}')
    assert main(["model", "info", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["parameters"] is None and told["context"] is None and told["game"] is None
    assert told["vocabulary"] == 7 and told["kind"] == "x"
    assert main(["model", "info", str(tmp_path)]) == 0
    assert "not known" in capsys.readouterr().out


# --- help -------------------------------------------------------------------


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that name it."""
    yield path, group
    if isinstance(group, TyperGroup):
        for name, command in group.commands.items():
            yield from commands(command, (*path, name))


ALL = dict(commands(get_command(cli._application())))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What asking for something prints, in a pipe of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("typer.rich_utils.FORCE_TERMINAL", None)

    def run(*words: str) -> str:
        try:
            code = main(words)
        except SystemExit as stop:
            code = stop.code
        assert code == 0
        done = capsys.readouterr()
        assert done.err == ""
        return done.out

    return run


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_names_every_option(path: tuple[str, ...], told: Callable[..., str]) -> None:
    text = told(*path, "-h")
    for param in ALL[path].params:
        assert all(name in text for name in param.opts if name.startswith("-"))
        assert isinstance(param, TyperArgument) or param.help, param.name
        # typer would read [train] as a style, and show nothing of it.
        assert Text.from_markup(param.help or "").plain == (param.help or "")
    assert all(line in text for line in (ALL[path].epilog or "").splitlines())
    assert f"example:\n  {' '.join(('omar-envs', *path))} " in text
    assert text.count("example:") == 1
    assert max(map(len, text.splitlines())) <= 80
    assert text == printable(text)


def test_nothing_asked_shows_the_help(told: Callable[..., str]) -> None:
    text = told()
    assert text == told("--help")
    assert all(f"│ {command}" in text for command in COMMANDS)
    for panel in ("Play and watch", "Compare and measure", "Train"):
        assert panel in text
    for code in ("0", "1", "2", "3", "130", "143"):
        assert f"\n  {code} " in text
    assert "import" in told("sotopia") and "house" in told("model")


def test_version(told: Callable[..., str]) -> None:
    assert told("--version") == f"omar-envs {omar_envs.__version__}\n"


def test_help_names_the_recipes_that_come_along(told: Callable[..., str]) -> None:
    text = told("train", "--help")
    names = recipe_names()
    assert names
    assert all(f" {name} " in text.replace("\n", " ") for name in names)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom omar_envs.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'trl', 'omar_trainers', 'openai', 'ray', 'scipy',\n"
        "         'matplotlib', 'datasets', 'omar_envs.judge', 'omar_envs.rollout'}\n"
        "print(*heavy & sys.modules.keys(), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_libraries_the_command_names_the_extra(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from omar_envs.cli import main; sys.exit(main(['--help']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "pip install 'omar-envs[cli]'" in done.stderr


# --- hostile words ----------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["\x1b[2J"],
        ["rollout", "--out", "x", "--\x1b]0;t\x07"],
        ["rollout", "--out", "x", "\x9b31m"],
        ["rollout", "--out", "x", "--env", "\x1b[31m"],
        ["rollout", "--out", "x", "--policy", "\u202epeek"],
        ["rollout", "--out", "x", "--seed", "\x1b[1m"],
        ["replay", "\x1b[2J.jsonl"],
        ["model", "info", "\x1b[2J"],
    ],
)
def test_words_cannot_act_on_the_terminal(
    words: list[str], complaint: Complaint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = complaint(*words)
    assert said == printable(said)


def test_markup_in_words_is_text(complaint: Complaint) -> None:
    assert "[red]" in complaint("[red]x")
    assert "[/red]" in complaint("rollout", "--out", "x", "--policy", "[/red]")


# --- the installed command --------------------------------------------------

PROGRAM = str(Path(sys.executable).with_name("omar-envs"))


def clean() -> dict[str, str]:
    """The environment without what decides about colours, or asks for completions."""
    dropped = ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "NO_COLOR", "COLUMNS", "TERM")
    return {name: value for name, value in os.environ.items() if name not in dropped}


def on_a_terminal(words: list[str], **env: str) -> str:
    """What a command shows on a terminal."""
    terminal, end = pty.openpty()
    subprocess.run(words, stdout=end, stderr=end, timeout=120, env=clean() | env, check=True)
    os.close(end)
    shown = b""
    try:
        while piece := os.read(terminal, 65536):
            shown += piece
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(terminal)
    return shown.decode()


@pytest.mark.e2e
def test_colours_are_for_terminals_that_want_them() -> None:
    colour = re.compile(r"\x1b\[[0-9;]*3[0-7]")
    assert colour.search(on_a_terminal([PROGRAM, "eval", "--help"], TERM="xterm-256color"))
    plain = on_a_terminal([PROGRAM, "eval", "--help"], TERM="xterm-256color", NO_COLOR="1")
    assert "--games" in re.sub(r"\x1b\[[0-9;]*m", "", plain)
    assert not colour.search(plain)
    piped = subprocess.run([PROGRAM, "eval", "--help"], capture_output=True, env=clean())
    assert "\x1b" not in piped.stdout.decode()


@pytest.mark.e2e
@pytest.mark.parametrize(
    "words", [["eval", "--a", "random", "--b", "random", "--games", "2"], ["rollout", "--help"]]
)
def test_installed_command_survives_a_closed_pipe(words: list[str]) -> None:
    started = subprocess.Popen([PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert started.stdout is not None
    started.stdout.close()
    _, told = started.communicate(timeout=120)
    assert started.returncode == 0
    assert told == b""


@pytest.mark.e2e
def test_ctrl_c_stops_a_long_run(tmp_path: Path) -> None:
    out = tmp_path / "games.jsonl"
    words = [PROGRAM, "rollout", "--episodes", "1000000", "--batch", "8", "--out", str(out)]
    terminal, end = pty.openpty()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=end, env=clean()) as started:
        os.close(end)
        shown = b""
        while b"games" not in shown:  # the bar: from here on it plays
            shown += os.read(terminal, 65536)
        started.send_signal(signal.SIGINT)
        out_text, _ = started.communicate(timeout=120)
    os.close(terminal)
    assert started.returncode == 130
    assert out_text == b"" and not out.exists()


# --- completion -------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_for_shells(shell: str, told: Callable[..., str]) -> None:
    script = told("--show-completion", shell)
    assert "_OMAR_ENVS_COMPLETE=complete_" + shell in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_a_script_is_installed_for_the_shell_that_is_named(
    told: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "zsh completion installed" in told("--install-completion", "zsh")
    assert "_OMAR_ENVS_COMPLETE" in (tmp_path / ".zfunc" / "_omar-envs").read_text()


@pytest.fixture
def folder_with_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    (tmp_path / "models" / "more").mkdir(parents=True)
    (tmp_path / "models" / "tiny" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("folder_with_a_model")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ro", {"rollout"}),
        ("sotopia ", {"import"}),
        ("rollout --overw", {"--overwrite"}),
        ("rollout --env we", {"werewolf"}),
        ("rollout --policy ", {"random", "scripted", "house", "models/"}),
        ("rollout --policy models/", {"models/tiny", "models/more/"}),
        ("rollout --preset arena", {"arena8"}),
        ("rollout --set num_pl", {"num_players="}),
        ("rollout --set preset=arena", {"preset=arena8"}),
        ("rollout --set scenario=moving_out", {"scenario=moving_out_of_the_flat"}),
        ("train --recipe werewolf_house", {"werewolf_house_demo", "werewolf_house_long"}),
        ("train --model_name_or_path ho", {"house"}),
        ("sft --model models/t", {"models/tiny"}),
        ("model info h", {"house"}),
        ("judge x --scale u", {"unit"}),
        ("judge x --rubric so", {"sotopia"}),
    ],
)
def test_values_are_completed(
    typed: str,
    expected: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["omar-envs", *typed.split(" ")]
    monkeypatch.setenv("_OMAR_ENVS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "\n".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 0
    assert set(capsys.readouterr().out.split()) == expected


@pytest.mark.e2e
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.usefixtures("folder_with_a_model")
def test_bash_completes() -> None:
    words = ["omar-envs", "model", "info", "models/t"]
    code = (
        f'eval "$({shlex.quote(PROGRAM)} --show-completion bash)"\n'
        f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}\n"
        f"_omar_envs_completion {shlex.quote(PROGRAM)}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("models/tiny\n", "")


# --- the page about it ------------------------------------------------------


def test_the_page_names_every_command_and_option(told: Callable[..., str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "command_line.md").read_text("utf-8")
    for path in ALL:
        assert f"omar-envs {' '.join(path)}".rstrip() in page
    for name in re.findall(r"`(--[a-z-]+)", page):
        assert name in ("--help", "--key") or any(
            name in param.opts for command in ALL.values() for param in command.params
        ), name
    codes = re.findall(r"^  (\d+) ", told("--help"), re.MULTILINE)
    assert codes == re.findall(r"^\| (\d+) \|", page, re.MULTILINE)
