"""Do hierarchical advantages help? Five estimators, several training seeds, two games.

The house model plays Werewolf against itself and learns from equally many games
by each of ``hierarchical``, ``token_gae``, ``turn_gae``, ``rae`` and ``group``, in
the demo's short game and in one of more than 20 turns per seat. Every estimator is
tuned by equally many trials on a seed that is not reported. Measured are the final
model's score against the start and against the other estimators' final models of the
same seed, and the area under the curve of the score against the start.

::

    python -m benchmarks.estimators            # in the folder of the repository
    python -m benchmarks.estimators --summary

Finished runs are skipped, so a stopped command goes on where it was, and several
processes may share the work. ``--summary`` writes the tables and the curves of what
is there by then to ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.estimators_report import write_report
from benchmarks.estimators_runs import tasks
from benchmarks.estimators_settings import SETTINGS
from benchmarks.estimators_work import work
from omar_trainers.demo import quiet_libraries


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.estimators", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--out", type=Path, default=Path("runs/estimators"), help="results of runs")
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=1, help="torch threads of this process")
    parser.add_argument("--summary", action="store_true", help="write the tables, run nothing")
    options = parser.parse_args(argv)
    settings = [SETTINGS[name] for name in options.settings]
    if options.summary:
        print(write_report(options.out, settings, options.seeds))
        return 0
    quiet_libraries()
    torch.set_num_threads(options.threads)
    every = list(tasks(options.out, settings, options.seeds))

    def say(text: str) -> None:
        done = sum(task.path.exists() for task in every)
        print(f"{time.strftime('%H:%M:%S')} {done} of {len(every)}: {text}", flush=True)

    work(every, say)
    return 0


if __name__ == "__main__":
    sys.exit(main())
