"""Games on disk: what comes back is what was played, or nothing."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import torch
from transformers import LlamaForCausalLM

from omar_envs.metering import Usage
from omar_trainers.generation import TransformersGenerator
from omar_trainers.resuming.rollout_store import RolloutStore
from omar_trainers.selfplay import GamePlan, PlayedGames, SelfPlayRound
from tests.trainers.fake_games import END, PAD, play_fake_games, save_tiny_model

PROMPTS = ["one", "one", "two"]


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> PlayedGames:
    model = LlamaForCausalLM.from_pretrained(save_tiny_model(tmp_path_factory.mktemp("model")))
    generator = TransformersGenerator(
        model, end_token_id=END, pad_token_id=PAD, seed=1, max_context=64
    )
    scenarios = ({}, {"truncated": True}, {"unscored": True}, {"silent": 1})
    played = play_fake_games([GamePlan(s, 5) for s in scenarios], generator)
    rows = {key: replace(row, truncated=row.game == 1) for key, row in played.rows.items()}
    return played._replace(
        rows=rows,
        frozen={(0, "agent_1"): "iteration-000000", (3, "agent_2"): "iteration-000010"},
        judge_usage=Usage(requests=7, cost=0.25),
    )


def test_games_come_back_as_they_were(tmp_path: Path, games: PlayedGames) -> None:
    store = RolloutStore(tmp_path / "rollouts", "a")
    assert store.recall(3, PROMPTS) is None
    store.keep(3, PROMPTS, games)
    found = RolloutStore(tmp_path / "rollouts", "a").recall(3, PROMPTS)
    assert found == games
    rounds = [SelfPlayRound(played, seats=3, filler=PAD) for played in (found, games)]
    assert rounds[0].rows == rounds[1].rows
    assert len(rounds[0].rows) == 12


def test_random_numbers_go_on_as_after_playing(tmp_path: Path, games: PlayedGames) -> None:
    store = RolloutStore(tmp_path, "a")
    torch.manual_seed(5)
    store.keep(0, PROMPTS, games)
    expected = torch.rand(3)
    torch.manual_seed(6)
    store.recall(0, PROMPTS)
    assert torch.equal(torch.rand(3), expected)


def test_other_games_are_not_taken_for_these(tmp_path: Path, games: PlayedGames) -> None:
    RolloutStore(tmp_path, "a").keep(0, PROMPTS, games)
    before = torch.get_rng_state()
    assert RolloutStore(tmp_path, "b").recall(0, PROMPTS) is None
    assert RolloutStore(tmp_path, "a", process=1).recall(0, PROMPTS) is None
    store = RolloutStore(tmp_path, "a")
    assert store.recall(1, PROMPTS) is None
    assert store.recall(0, [*PROMPTS[:2], "three"]) is None
    assert torch.equal(torch.get_rng_state(), before)
    assert store.recall(0, PROMPTS) is not None


def test_all_processes_play_or_none(tmp_path: Path, games: PlayedGames) -> None:
    RolloutStore(tmp_path, "a").keep(0, PROMPTS, games)
    asked = []

    def another_has_none(found: bool) -> bool:
        asked.append(found)
        return False

    store = RolloutStore(tmp_path, "a", 0, another_has_none)
    assert store.recall(0, PROMPTS) is None
    assert store.recall(1, PROMPTS) is None
    assert asked == [True, False]


@pytest.mark.parametrize("harm", ["empty", "half", "other bytes", "other layout"])
def test_a_damaged_file_is_played_again(tmp_path: Path, games: PlayedGames, harm: str) -> None:
    store = RolloutStore(tmp_path, "a")
    store.keep(0, PROMPTS, games)
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "half": data[: len(data) // 2],
            "other bytes": b"games",
            "other layout": zlib.compress(msgspec.msgpack.encode({"format": 1})),
        }[harm]
    )
    with pytest.warns(RuntimeWarning, match="played again"):
        assert store.recall(0, PROMPTS) is None
    store.keep(0, PROMPTS, games)
    assert store.recall(0, PROMPTS) == games


def test_another_version_is_played_again(tmp_path: Path, games: PlayedGames) -> None:
    store = RolloutStore(tmp_path, "a")
    store.keep(0, PROMPTS, games)
    (path,) = tmp_path.iterdir()
    stored = msgspec.msgpack.decode(zlib.decompress(path.read_bytes()), strict=False)
    path.write_bytes(zlib.compress(msgspec.msgpack.encode(stored | {"format": 99})))
    assert store.recall(0, PROMPTS) is None


def test_games_that_cannot_be_kept_cost_a_warning(tmp_path: Path, games: PlayedGames) -> None:
    (tmp_path / "file").write_text(json.dumps({}))
    with pytest.warns(RuntimeWarning, match="could not be kept"):
        RolloutStore(tmp_path / "file", "a").keep(0, PROMPTS, games)
    odd = games._replace(episodes=[msgspec.structs.replace(games.episodes[0], outcome={"x": odd_})])
    with pytest.warns(RuntimeWarning, match="could not be kept"):
        RolloutStore(tmp_path, "a").keep(0, PROMPTS, odd)


def odd_() -> None:
    """What no file can hold."""


def test_games_before_a_checkpoint_are_removed(tmp_path: Path, games: PlayedGames) -> None:
    folder = tmp_path / "rollouts"
    stores = [RolloutStore(folder, "a", process) for process in (0, 1)]
    for iteration in (0, 1, 2):
        for store in stores:
            store.keep(iteration, PROMPTS, games)
    stores[0].discard(before=2)
    assert {path.name.split("-")[1] for path in folder.iterdir()} == {"000002"}
    assert len(list(folder.iterdir())) == 2
    stores[1].forget(2)
    stores[1].forget(2)
    assert stores[1].recall(2, PROMPTS) is None
    assert stores[0].recall(2, PROMPTS) == games
    stores[0].discard(before=3)
    stores[0].discard(before=3)
    assert not folder.exists()
