"""A list of tasks, each of which leaves one file: finished ones are skipped.

Any number of processes may work on one list. A task is claimed by a lock that
the system takes back when its process ends, however it ends, and a result is
there whole or not at all: whoever comes next simply goes on.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Task:
    """One result to make.

    Attributes:
        path: the file that holds it.
        make: makes its content; called by one process at a time.
        needs: files of other tasks, which must be there first.
    """

    path: Path
    make: Callable[[], bytes]
    needs: tuple[Path, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether all it needs is there."""
        return all(path.exists() for path in self.needs)


def work(tasks: Sequence[Task], say: Callable[[str], None], *, poll: float = 5.0) -> None:
    """Finish every task, in order, beside other processes that do the same.

    Args:
        tasks: in the order in which they should be done.
        say: told of every task that this process finished.
        poll: seconds to wait where all open tasks are claimed by others or wait for them.
    """
    while waiting := [task for task in tasks if not task.path.exists()]:
        if not any(_do(task, say) for task in waiting):
            time.sleep(poll)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is never seen half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_bytes(content)
    half.replace(path)


def _do(task: Task, say: Callable[[str], None]) -> bool:
    """Do a task if it can be had. -> whether it was done here."""
    if not task.is_ready:
        return False
    with _claim(task.path) as mine:
        # Another process may have finished it between the look and the claim.
        if not mine or task.path.exists():
            return False
        started, used = time.perf_counter(), time.process_time()
        write_whole(task.path, task.make())
        seconds, busy = time.perf_counter() - started, time.process_time() - used
    say(f"{task.path.name}: {seconds:.0f} s, {busy:.0f} s of them on the processor")
    return True


@contextmanager
def _claim(path: Path) -> Iterator[bool]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
