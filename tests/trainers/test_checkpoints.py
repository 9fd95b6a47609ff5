"""Checkpoint folders: complete, or none at all; and files that are whole or not there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from omar_trainers.resuming.checkpoints import (
    MANIFEST_FILE,
    complete_checkpoints,
    last_checkpoint,
    name_of,
    publish,
    read_manifest,
    remove,
    remove_incomplete,
    rotate,
    staging,
    step_of,
)
from omar_trainers.resuming.files import atomic_write, remove_half_written


def write(output: Path, step: int) -> Path:
    """A checkpoint of two files, as the trainer leaves it for ``publish``."""
    folder = staging(output) / name_of(step)
    (folder / "shard").mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"weights")
    (folder / "shard" / "0.bin").write_bytes(b"moments")
    return folder


def save(output: Path, step: int) -> Path:
    write(output, step)
    return publish(output, step, identity={"seed": 1}, processes=2)


def names(output: Path) -> list[str]:
    return sorted(path.name for path in output.iterdir())


def test_a_checkpoint_is_none_until_it_is_published(tmp_path: Path) -> None:
    write(tmp_path, 4)
    assert last_checkpoint(tmp_path) is None
    place = publish(tmp_path, 4, identity={"seed": 1}, processes=2)
    assert last_checkpoint(tmp_path) == place == tmp_path / "checkpoint-4"
    assert names(tmp_path) == ["checkpoint-4"]
    manifest = read_manifest(place)
    assert manifest is not None
    assert manifest.files == {"model.bin": 7, "shard/0.bin": 7}
    assert (manifest.identity, manifest.processes) == ({"seed": 1}, 2)


def test_they_are_in_order_of_steps(tmp_path: Path) -> None:
    for step in (10, 8, 100):
        save(tmp_path, step)
    (tmp_path / "checkpoint-mine").mkdir()
    assert [step_of(path) for path in complete_checkpoints(tmp_path)] == [8, 10, 100]
    for limit, expected in ((100, 100), (99, 10), (8, 8)):
        found = last_checkpoint(tmp_path, at_most=limit)
        assert found is not None and step_of(found) == expected
    assert last_checkpoint(tmp_path, at_most=7) is None
    assert last_checkpoint(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("harm", ["file", "half a file", "manifest", "half a manifest", "format"])
def test_a_damaged_checkpoint_is_none(tmp_path: Path, harm: str) -> None:
    save(tmp_path, 2)
    folder = save(tmp_path, 4)
    manifest = folder / MANIFEST_FILE
    match harm:
        case "file":
            (folder / "shard" / "0.bin").unlink()
        case "half a file":
            (folder / "model.bin").write_bytes(b"wei")
        case "manifest":
            manifest.unlink()
        case "half a manifest":
            manifest.write_text(manifest.read_text()[:40])
        case "format":
            manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 99}))
    assert read_manifest(folder) is None
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-2"


def test_a_damaged_one_is_replaced_and_left_alone_till_then(tmp_path: Path) -> None:
    (save(tmp_path, 4) / "model.bin").unlink()
    remove_incomplete(tmp_path)
    assert (tmp_path / "checkpoint-4").is_dir()
    assert read_manifest(save(tmp_path, 4)) is not None
    assert names(tmp_path) == ["checkpoint-4"]


def test_what_a_killed_run_had_begun_is_removed(tmp_path: Path) -> None:
    save(tmp_path, 2)
    write(tmp_path, 4)
    remove_incomplete(tmp_path, only_if_empty=True)
    assert len(names(tmp_path)) == 2
    remove_incomplete(tmp_path)
    remove_incomplete(tmp_path)
    assert names(tmp_path) == ["checkpoint-2"]


def test_files_that_a_killed_process_had_begun_are_removed(tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    begun = [
        atomic_write(tmp_path / "metrics.jsonl"),
        atomic_write(tmp_path / "rollouts" / "iteration-000002-rank-1.msgpack"),
    ]
    for file in begun:
        file.__enter__()
    kept = [tmp_path / ".notes.tmp", tmp_path / "rollouts" / "iteration-000003-rank-0.msgpack"]
    for path in kept:
        path.write_text("")
    remove_half_written(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


@pytest.mark.parametrize(("limit", "left"), [(None, 4), (0, 4), (1, 1), (3, 3), (9, 4)])
def test_rotation_keeps_the_newest(tmp_path: Path, limit: int | None, left: int) -> None:
    for step in (2, 4, 10, 12):
        save(tmp_path, step)
    rotate(tmp_path, limit)
    steps = [step_of(path) for path in complete_checkpoints(tmp_path)]
    assert steps == [2, 4, 10, 12][-left:]
    assert len(names(tmp_path)) == left


def test_half_a_removal_leaves_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(tmp_path, 2)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", _stops)
        with pytest.raises(KeyboardInterrupt):
            remove(folder)
    assert last_checkpoint(tmp_path) is None
    assert names(tmp_path) == [staging(tmp_path).name]
    remove(save(tmp_path, 2))
    assert names(tmp_path) == []


def _stops(path: Path) -> None:
    raise KeyboardInterrupt


def test_a_written_file_is_whole_or_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with atomic_write(path) as file:
        file.write(b"one")
        assert not path.exists()
    with pytest.raises(ZeroDivisionError), atomic_write(path) as file:
        file.write(b"half of two")
        raise ZeroDivisionError
    assert path.read_bytes() == b"one"
    assert names(path.parent) == ["file"]
