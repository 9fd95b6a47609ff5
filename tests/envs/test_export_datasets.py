"""Exports as the libraries behind them load them: ``datasets``, TRL's trainers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omar_envs import RandomPolicy, ScriptedPolicy, rollout, sotopia_v0, transcript, werewolf_v0
from omar_envs.errors import ConfigError, DamagedEpisodeError
from omar_envs.export import (
    Filters,
    Splits,
    episode_row,
    episodes_from_rows,
    export,
    features,
    messages_of,
    textarena_game,
)
from omar_envs.export.columns import FORMATS, Format
from omar_envs.transcript import encode
from omar_envs.types import Episode
from tests.envs.episode_samples import negotiation, werewolf_game
from tests.envs.export_games import hostile_games, lines, play_and_look, with_rewards

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test here may open a connection, or show bars."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    """Talks first: nobody there has a role, and the first judgements failed."""
    talks = rollout.run(sotopia_v0.raw_env, RandomPolicy(seed=1), 6, 0)
    found = [
        with_rewards(talk, {seat.agent: {"judge": None} for seat in talk.seats}) for talk in talks
    ]
    for policy in (ScriptedPolicy(seed=1), RandomPolicy(seed=2)):
        found += rollout.run(lambda: werewolf_v0.raw_env(num_players=5), policy, 8, 0)
    return found + [game.episode for game in hostile_games(3)]


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "episodes"])
def test_a_folder_loads_with_its_types(
    format: Format, episodes: list[Episode], tmp_path: Path
) -> None:
    done = export(episodes, tmp_path / "out", format, splits=Splits(0.2, 0.2))
    assert set(done.rows) == {"train", "validation", "test"}
    data = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    for split, number in done.rows.items():
        assert data[split].features == features(format)
        assert data[split].to_list() == lines(tmp_path / "out" / f"{split}.jsonl")
        assert len(data[split]) == number


def test_a_file_loads_as_json(episodes: list[Episode], tmp_path: Path) -> None:
    for format in ("chat", "sharegpt", "sft", "preference", "textarena"):
        path = tmp_path / f"{format}.jsonl"
        export(episodes, path, format)  # type: ignore[arg-type]
        data = datasets.load_dataset(
            "json", data_files=str(path), cache_dir=str(tmp_path / "cache"), split="train"
        )
        assert data.to_list() == lines(path)


@pytest.mark.parametrize("rows", ["chat", "sharegpt", "sft", "preference", "textarena"])
def test_saved_data_sets_hold_the_same_rows_as_lines(
    rows: Format, episodes: list[Episode], tmp_path: Path
) -> None:
    splits = Splits(test=0.3)
    export(episodes, tmp_path / "lines", rows, splits=splits)
    done = export(episodes, tmp_path / "saved", "datasets", rows=rows, splits=splits)
    data = datasets.load_from_disk(str(tmp_path / "saved"))
    assert list(data) == list(done.rows) == ["train", "test"]
    for split, part in data.items():
        assert part.features == features(rows)
        assert part.to_list() == lines(tmp_path / "lines" / f"{split}.jsonl")
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {
        *("README.md", "dataset_dict.json", "train", "test")
    }
    export(episodes, tmp_path / "saved", "datasets", overwrite=True)


def test_what_a_data_set_says_is_what_the_seat_saw(tmp_path: Path) -> None:
    games = hostile_games(3)
    export([game.episode for game in games], tmp_path / "out", "datasets")
    for row in datasets.load_from_disk(str(tmp_path / "out"))["train"]:
        assert messages_of(row) == games[row["episode"]].end[row["agent"]]


def test_episodes_come_back_byte_for_byte(episodes: list[Episode], tmp_path: Path) -> None:
    every = [*episodes, werewolf_game(), negotiation()]
    export(every, tmp_path / "out", "datasets", rows="episodes")
    data = datasets.load_from_disk(str(tmp_path / "out"))["train"]
    assert data.features == features("episodes")
    assert [encode(each) for each in episodes_from_rows(data)] == list(map(encode, every))


def test_a_megabyte_and_every_character_come_back(tmp_path: Path) -> None:
    text = "".join(map(chr, [*range(0x20, 0x300), *range(0x2000, 0x2070), 0x1F43A])) * 500
    env = sotopia_v0.raw_env(scenario="moving_out_of_the_flat", max_turns=1)
    game = play_and_look(env, 1, lambda view: text)
    export([game.episode], tmp_path / "chat", "datasets")
    rows = datasets.load_from_disk(str(tmp_path / "chat"))["train"]
    assert [messages_of(row) for row in rows] == list(game.end.values())
    export([game.episode], tmp_path / "whole", "datasets", rows="episodes")
    (again,) = episodes_from_rows(datasets.load_from_disk(str(tmp_path / "whole"))["train"])
    assert encode(again) == encode(game.episode)


def test_rows_that_are_no_episodes(episodes: list[Episode]) -> None:
    row = episode_row(episodes[0])
    assert list(episodes_from_rows([row])) == [transcript.decode(encode(episodes[0]))]
    for broken in ({}, {**row, "config": "{"}, {**row, "turns": None}, {**row, "seats": []}):
        with pytest.raises(DamagedEpisodeError, match="row 1"):
            list(episodes_from_rows([broken]))


def test_a_seed_that_no_column_holds(tmp_path: Path) -> None:
    game = rollout.play(werewolf_v0.raw_env(num_players=5), RandomPolicy(1), 2**64)
    export([game], tmp_path / "rows.jsonl")
    assert lines(tmp_path / "rows.jsonl")[0]["seed"] == 2**64
    with pytest.raises(ConfigError, match="too large"):
        export([game], tmp_path / "out", "datasets")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "rows.jsonl"]


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"pip install 'omar-envs\[export\]'"):
        export("there is none", tmp_path / "out", "datasets")


# --- the hub ----------------------------------------------------------------

PUSH = """
import sys
from omar_envs import RandomPolicy, rollout, werewolf_v0
from omar_envs.errors import ConfigError
from omar_envs.export import export
games = rollout.run(lambda: werewolf_v0.raw_env(num_players=5), RandomPolicy(1), 1, 0)
try:
    export(games, sys.argv[1], "datasets", push_to_hub=sys.argv[2])
except ConfigError as error:
    print(error)
"""


@pytest.mark.slow
def test_the_hub_is_asked_before_any_work_is_done(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PUSH, str(tmp_path / "out"), "somebody/games"],
        env={"HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "nothing can be pushed to the hub" in done.stdout
    assert "hf auth login" in done.stdout
    assert not (tmp_path / "out").exists()


# --- TRL --------------------------------------------------------------------


QUIET: dict[str, Any] = {
    "activation_checkpointing": False,
    "max_length": None,
    "report_to": [],
    "use_cpu": True,
}


@pytest.fixture(scope="module")
def house() -> Any:
    """A tiny model with its tokenizer, whose chat template only grows at the end."""
    pytest.importorskip("trl")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from omar_trainers.house import house_directory

    where = house_directory()
    return AutoModelForCausalLM.from_pretrained(where), AutoTokenizer.from_pretrained(where)


def loaded(path: Path, cache: Path) -> Any:
    return datasets.load_dataset("json", data_files=str(path), cache_dir=str(cache), split="train")


@pytest.mark.slow
@pytest.mark.parametrize("format", ["chat", "sft"])
def test_trl_prepares_rows_for_sft(format: Any, house: Any, tmp_path: Path) -> None:
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = house
    terse = rollout.run(
        lambda: werewolf_v0.raw_env(num_players=5, prompt_style="terse"),
        ScriptedPolicy(seed=1, brief=True),
        2,
        0,
    )
    export(terse, tmp_path / "rows.jsonl", format, filters=Filters(min_acts=1))
    rows = lines(tmp_path / "rows.jsonl")
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        args=SFTConfig(str(tmp_path), **QUIET),
        train_dataset=loaded(tmp_path / "rows.jsonl", tmp_path / "cache"),
    )
    assert len(trainer.train_dataset) == len(rows)
    for row, prepared in zip(rows, trainer.train_dataset, strict=True):
        expected = tokenizer.apply_chat_template(messages_of(row), return_dict=False)
        assert prepared["input_ids"] == expected
        if format == "sft":
            asked = tokenizer.apply_chat_template(
                row["prompt"], add_generation_prompt=True, return_dict=False
            )
            assert prepared["labels"] == [-100] * len(asked) + expected[len(asked) :]


@pytest.mark.slow
def test_trl_prepares_pairs_for_dpo(house: Any, tmp_path: Path, episodes: list[Episode]) -> None:
    from trl import DPOConfig, DPOTrainer

    model, tokenizer = house
    export(episodes, tmp_path / "rows.jsonl", "preference")
    rows = lines(tmp_path / "rows.jsonl")
    trainer = DPOTrainer(
        model=model,
        processing_class=tokenizer,
        args=DPOConfig(str(tmp_path), **QUIET),
        train_dataset=loaded(tmp_path / "rows.jsonl", tmp_path / "cache"),
    )
    assert len(trainer.train_dataset) == len(rows)
    for row, prepared in zip(rows, trainer.train_dataset, strict=True):
        prompt = tokenizer.apply_chat_template(
            row["prompt"], add_generation_prompt=True, return_dict=False
        )
        assert prepared["prompt_ids"] == prompt
        assert prepared["chosen_ids"] and prepared["rejected_ids"]


# --- TextArena --------------------------------------------------------------


def test_a_textarena_row_comes_back_from_a_data_set(
    episodes: list[Episode], tmp_path: Path
) -> None:
    export(episodes, tmp_path / "rows.jsonl", "textarena")
    export(episodes, tmp_path / "out", "datasets", rows="textarena")
    saved = datasets.load_from_disk(str(tmp_path / "out"))["train"]
    for row, line in zip(saved, lines(tmp_path / "rows.jsonl"), strict=True):
        assert textarena_game(row) == textarena_game(line)
        assert json.dumps(textarena_game(row)["rewards"])
