"""The command line as its user meets it: results, help, and one line per mistake."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omar_envs import ScriptedPolicy, rollout
from omar_envs.by_name import game_for
from omar_envs.cli import main
from omar_envs.transcript import read_episodes
from tests.envs.chat_server import ChatServer, say

SMALL = ["--set", "num_players=5", "discussion_rounds=1"]
COMMANDS = ["play", "rollout", "replay", "eval", "measure", "judge", "sotopia", "train", "sft"]

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
    said = complaint("eval", "--a", f"{server.url}#tiny", "--b", "random", "--games", "2")
    assert server.url in said
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
        patch.setattr("omar_envs.cli.show", lambda text: None)
        said = complaint("play", "--seed", "1", "--set", "first_night_kill=false")
    assert "input ended" in said


# --- mistakes ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "COMMAND"),
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
        words = ["rollout", "--policy", str(folder), "--episodes", "2", "--out", str(out)]
        assert main([*words, "--set", "discussion_rounds=1", "max_days=2", *options]) == 0
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
        "import sys; sys.modules['transformers'] = None\n"
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


# --- help, pipes, the installed command -------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    told = capsys.readouterr().out
    assert f"example:\n  omar-envs {command} " in told
    assert max(map(len, told.splitlines())) <= 100


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(command in told for command in COMMANDS)


@pytest.mark.e2e
def test_installed_command_survives_a_closed_pipe() -> None:
    command = Path(sys.executable).with_name("omar-envs")
    started = subprocess.Popen(
        [command, "eval", "--a", "random", "--b", "random", "--games", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert started.stdout is not None
    started.stdout.close()
    _, told = started.communicate(timeout=60)
    assert started.returncode == 0
    assert told == b""
