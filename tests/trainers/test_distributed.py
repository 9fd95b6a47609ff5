"""Two gloo ranks against one: the same update on the same episodes, however it is spread."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from omar_trainers.metrics import METRICS_FILE
from tests.trainers.fake_games import save_tiny_model
from tests.trainers.two_processes import RUNS, train_once

TOLERANCE = 1e-6
"""Largest difference of a weight: weights move by 4e-3, adapters by 4e-2."""

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
on_deepspeed = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed"
)
ZERO = [name for name in RUNS if name.startswith("zero")]
PLAIN = [name for name in RUNS if name not in ZERO]


class Ranks(NamedTuple):
    """What two processes wrote, run by run."""

    folder: Path

    def result(self, name: str, rank: int) -> dict[str, Any]:
        return torch.load(self.folder / name / f"rank{rank}.pt", weights_only=True)

    def metrics(self, name: str) -> list[dict[str, float]]:
        return metrics_of(self.folder / name)

    def final(self, name: str) -> PreTrainedModel:
        return AutoModelForCausalLM.from_pretrained(self.folder / name / "out" / "final")


def metrics_of(folder: Path) -> list[dict[str, float]]:
    """The metrics file's lines without what depends on the clock."""
    lines = (folder / "out" / METRICS_FILE).read_text().splitlines()
    clock = ("time", "second")
    return [
        {name: value for name, value in json.loads(line).items() if not _any_in(clock, name)}
        for line in lines
    ]


def _any_in(parts: Sequence[str], name: str) -> bool:
    return any(part in name for part in parts)


def run_two(folder: Path, names: Sequence[str]) -> Ranks:
    """Run in two processes; the imports cost more than the training, so all at once."""
    script = Path(__file__).with_name("two_processes.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*command, str(script), str(folder), *names],
        env=environment,
        timeout=600,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return Ranks(folder)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Ranks:
    return run_two(tmp_path_factory.mktemp("two"), PLAIN)


@pytest.fixture(scope="module")
def two_on_deepspeed(two: Ranks, tmp_path_factory: pytest.TempPathFactory) -> Ranks:
    return run_two(tmp_path_factory.mktemp("zero"), ZERO)


class Alone:
    """The same runs in this process, each at most once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._start = save_tiny_model(folder / "start", tied=True)
        self._results: dict[str, dict[str, Any]] = {}

    def result(self, name: str) -> dict[str, Any]:
        if name not in self._results:
            self._results[name] = train_once(name, self._start, self._folder / name)
        return self._results[name]

    def metrics(self, name: str) -> list[dict[str, float]]:
        self.result(name)
        return metrics_of(self._folder / name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    return Alone(tmp_path_factory.mktemp("alone"))


def numbers(state: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors and numbers of a nested state, by path."""
    if isinstance(state, dict):
        for key, value in state.items():
            yield from numbers(value, f"{path}/{key}")
    elif isinstance(state, list | tuple):
        for i, value in enumerate(state):
            yield from numbers(value, f"{path}/{i}")
    elif isinstance(state, Tensor):
        yield path, state.double()
    elif isinstance(state, float | int):
        yield path, torch.tensor(float(state), dtype=torch.float64)


def assert_same(one: Any, other: Any, *, atol: float) -> None:
    first, second = dict(numbers(one)), dict(numbers(other))
    assert first.keys() == second.keys()
    assert first
    for path, value in first.items():
        torch.testing.assert_close(second[path], value, rtol=0, atol=atol, msg=path)


def assert_in_step_and_equal(ranks: Ranks, alone: Alone, name: str) -> None:
    """Both ranks end alike, and as one process does on the same episodes."""
    one, other = ranks.result(name, 0), ranks.result(name, 1)
    assert_same(one["policy"], other["policy"], atol=0.0)
    expected = alone.result(name)
    assert_same(expected["policy"], one["policy"], atol=TOLERANCE)
    if dict(numbers(expected["estimator"])):
        assert_same(one["estimator"], other["estimator"], atol=0.0)
        assert_same(expected["estimator"], one["estimator"], atol=TOLERANCE)
    lines = alone.metrics(name)
    assert len(lines) == 2
    for line, expected_line in zip(ranks.metrics(name), lines, strict=True):
        assert line == pytest.approx(expected_line, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", [name for name in PLAIN if RUNS[name].replies_by_row])
def test_two_ranks_update_as_one(two: Ranks, alone: Alone, name: str) -> None:
    assert_in_step_and_equal(two, alone, name)


@pytest.mark.parametrize("name", ["larger_batches", "recomputed"])
def test_accumulation_and_checkpointing_change_no_update(alone: Alone, name: str) -> None:
    plain, other = alone.result("critic"), alone.result(name)
    assert_same(plain["policy"], other["policy"], atol=TOLERANCE)
    assert_same(plain["estimator"], other["estimator"], atol=TOLERANCE)


@on_deepspeed
@pytest.mark.parametrize("name", [name for name in ZERO if RUNS[name].replies_by_row])
def test_two_ranks_of_deepspeed_update_as_one(
    two_on_deepspeed: Ranks, alone: Alone, name: str
) -> None:
    assert_in_step_and_equal(two_on_deepspeed, alone, name)


def test_games_of_unequal_length_differ_between_ranks(two: Ranks) -> None:
    one, other = two.result("sampled", 0), two.result("sampled", 1)
    assert (one["calls"], other["calls"]) == (4, 12)
    assert not set(one["seeds"]) & set(other["seeds"])
    assert len(one["seeds"]) == len(other["seeds"]) == 4


def assert_samples_from_itself(ranks: Ranks, plain: Ranks, name: str) -> None:
    """A policy that is spread samples what a whole one does, from its present weights."""
    one, other = ranks.result(name, 0), ranks.result(name, 1)
    assert_same(one["policy"], other["policy"], atol=0.0)
    assert_same(plain.result("sampled", 0)["policy"], one["policy"], atol=TOLERANCE)
    for line in ranks.metrics(name):
        # Weights that were a step behind would score what they sampled otherwise.
        assert line["policy/logprob_gap"] < 1e-5
    final = dict(ranks.final(name).named_parameters())
    assert_same({n: final[n] for n in one["policy"]}, one["policy"], atol=0.0)


@pytest.mark.parametrize("name", ["fsdp2_sampled", "fsdp2_resumed"])
def test_fsdp2_samples_from_a_copy_up_to_date(two: Ranks, name: str) -> None:
    assert_samples_from_itself(two, two, name)


@on_deepspeed
@pytest.mark.parametrize("name", ["zero2_sampled", "zero3_sampled", "zero3_resumed"])
def test_deepspeed_samples_from_a_copy_up_to_date(
    two: Ranks, two_on_deepspeed: Ranks, name: str
) -> None:
    assert_samples_from_itself(two_on_deepspeed, two, name)


def test_the_weights_have_moved(two: Ranks) -> None:
    start = dict(AutoModelForCausalLM.from_pretrained(two.folder / "start0").named_parameters())
    for name in ("sampled", "fsdp2_sampled", "critic"):
        moved = max(
            float((whole - start[n].detach()).abs().max())
            for n, whole in two.result(name, 0)["policy"].items()
        )
        assert moved > 1e3 * TOLERANCE, name
