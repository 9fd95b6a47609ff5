"""The arena on a Ray cluster, here one on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from omar_envs import RandomPolicy
from omar_envs.arena import Cluster, Contestant, Spending, evaluate
from omar_envs.errors import ConfigError, PolicyError
from omar_envs.metering import Prices
from omar_envs.transcript import read_episodes
from omar_envs.types import View

SMALL: dict[str, Any] = {"num_players": 5, "discussion_rounds": 1}


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One cluster for all tests: it takes seconds to start."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_result_is_the_same_for_any_number_of_workers(
    ray_here: None, tmp_path: Path, workers: int
) -> None:
    def found(name: str, **more: Any) -> bytes:
        evaluate(
            ["scripted", "random"],
            env="werewolf",
            settings=SMALL,
            games=16,
            out=tmp_path / name,
            **more,
        )
        return b"".join(
            (tmp_path / name / file).read_bytes() for file in ("episodes.jsonl", "result.json")
        )

    assert found("spread", cluster=Cluster(workers=workers)) == found("here")


class Failing:
    """Plays at random, and fails at its twentieth act."""

    name = "failing"

    def __init__(self, seed: int) -> None:
        self._inner = RandomPolicy(seed)
        self._acts = 0

    def act(self, views: Sequence[View]) -> list[str]:
        self._acts += len(views)
        if self._acts > 20:
            raise PolicyError("the endpoint is gone.")
        return self._inner.act(views)


@pytest.mark.slow
def test_what_was_finished_stays_when_a_worker_fails(ray_here: None, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"gone\. .*the same command goes on"):
        evaluate(
            ["random", Contestant("failing", Failing)],
            env="werewolf",
            settings=SMALL,
            games=40,
            batch=1,
            out=tmp_path,
            cluster=Cluster(workers=1),
        )
    assert read_episodes(tmp_path / "episodes.jsonl")


@pytest.mark.parametrize(
    ("cluster", "spending", "told"),
    [
        (Cluster(workers=0), Spending(), "workers"),
        (Cluster(gpus=-1), Spending(), "gpus"),
        (Cluster(), Spending({"": Prices(1, 1)}, max_cost=1), "max_cost"),
    ],
)
def test_bad_clusters_are_refused(cluster: Cluster, spending: Spending, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        evaluate(["random", "scripted"], games=2, cluster=cluster, spending=spending)
