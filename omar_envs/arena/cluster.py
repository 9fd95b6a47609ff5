"""Games spread over a Ray cluster; Ray does the distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from omar_envs.arena.folder import added
from omar_envs.arena.libraries import needs
from omar_envs.arena.playing import Job, OnEnd, Players, play_plans
from omar_envs.arena.schedule import Plan
from omar_envs.errors import ConfigError, OmarError, PolicyError
from omar_envs.metering import Usage
from omar_envs.transcript import decode, encode
from omar_envs.types import Episode

_CHUNKS_PER_WORKER = 4


class Cluster(NamedTuple):
    """Where to play.

    Attributes:
        address: of a running cluster, ``auto`` for the one that this machine belongs to;
            ``None`` starts one on this machine for the time of the run.
        workers: how many processes play; ``None`` is one for each of the cluster's CPUs.
        gpus: how much of a GPU each worker asks for.
    """

    address: str | None = None
    workers: int | None = None
    gpus: float = 0.0


class Chunk(NamedTuple):
    """What came of some games: lines of episodes by plan, usage, and an error's text, or ""."""

    episodes: dict[int, bytes]
    usage: dict[str, Usage]
    error: str


class Worker:
    """Plays chunks of games in a process of its own; its policies are made there, once."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._players: Players | None = None

    def play(self, plans: Mapping[int, Plan]) -> Chunk:
        """Play some games. An error is a result: what was finished before must not be lost."""
        episodes: dict[int, bytes] = {}

        def keep(number: int, episode: Episode) -> None:
            episodes[number] = encode(episode)

        error = ""
        try:
            self._players = self._players or Players(self._job)
            play_plans(self._job, plans, self._players, keep)
        except OmarError as failure:
            error = str(failure)
        return Chunk(episodes, {} if self._players is None else self._players.usage, error)


def check(cluster: Cluster) -> None:
    """Whether it can be used at all.

    Raises:
        ConfigError: Ray is missing, or a number is out of range.
    """
    if cluster.workers is not None and cluster.workers < 1:
        raise ConfigError(f"workers must be at least 1: got {cluster.workers}")
    if cluster.gpus < 0:
        raise ConfigError(f"gpus must be at least 0: got {cluster.gpus}")
    needs("ray", "ray")


def play_on_cluster(
    job: Job,
    plans: Mapping[int, Plan],
    cluster: Cluster,
    on_end: OnEnd,
    on_usage: Callable[[dict[str, Usage]], None],
) -> None:
    """As :func:`omar_envs.arena.playing.play_plans`, in many processes.

    Args:
        job, plans, on_end: as there. ``omar_envs`` and what the policies need must be
            installed on the cluster's machines, and models lie in the same folders.
        cluster: where.
        on_usage: told what all workers' endpoints were asked so far.

    Raises:
        ConfigError: the cluster cannot be reached.
        PolicyError: a policy failed on a worker. What ended before was handed out.
    """
    if not plans:
        return
    with _connected(cluster) as ray:
        count = cluster.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        count = min(count, len(plans))
        actor = ray.remote(num_cpus=1, num_gpus=cluster.gpus)(Worker)
        workers = [actor.remote(job) for _ in range(count)]
        chunks = _chunks(plans, count, job.batch)
        asked = {worker.play.remote(chunk): worker for worker, chunk in zip(workers, chunks)}  # noqa: B905
        usage: dict[Any, dict[str, Usage]] = {}
        errors: list[str] = []
        while asked:
            ready, _ = ray.wait(list(asked), num_returns=1)
            worker = asked.pop(ready[0])
            try:
                done: Chunk = ray.get(ready[0])
            except ray.exceptions.RayError as error:
                raise PolicyError(f"a worker of the cluster failed: {error}") from None
            for number, line in done.episodes.items():
                on_end(number, decode(line, "a worker's episode"))
            usage[worker] = done.usage
            on_usage(_summed(usage))
            if done.error:
                errors.append(done.error)
            following = next(chunks, None)
            if following is not None and not errors:
                asked[worker.play.remote(following)] = worker
        if errors:
            raise PolicyError(errors[0])


def _chunks(plans: Mapping[int, Plan], workers: int, batch: int) -> Iterator[dict[int, Plan]]:
    size = max(1, min(batch, math.ceil(len(plans) / (workers * _CHUNKS_PER_WORKER))))
    numbers = list(plans)
    for start in range(0, len(numbers), size):
        yield {number: plans[number] for number in numbers[start : start + size]}


def _summed(usage: Mapping[Any, Mapping[str, Usage]]) -> dict[str, Usage]:
    total: dict[str, Usage] = {}
    for told in usage.values():
        for name, used in told.items():
            total[name] = added(total[name], used) if name in total else used
    return total


@contextmanager
def _connected(cluster: Cluster) -> Iterator[Any]:
    """Ray, connected; one that was connected before stays so."""
    check(cluster)
    import ray

    own = not ray.is_initialized()
    if own:
        try:
            if cluster.address is None:
                ray.init(
                    num_cpus=cluster.workers,
                    include_dashboard=False,
                    log_to_driver=False,
                    configure_logging=False,
                )
            else:
                ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"no Ray cluster answers at {cluster.address or 'this machine'}: {error}"
            ) from None
    try:
        yield ray
    finally:
        if own:
            ray.shutdown()
