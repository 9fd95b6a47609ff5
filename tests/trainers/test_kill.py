"""Kill a training at any moment: the same command goes on, as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ``killed_runs.py`` has been."""
    found = tmp_path_factory.mktemp("killed")
    script = Path(__file__).with_name("killed_runs.py")
    subprocess.run(
        [sys.executable, str(script), str(found)],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=900,
        capture_output=True,
    )
    return found


@pytest.fixture(scope="module")
def report(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "report.json").read_text())


def test_a_killed_run_equals_a_whole_one(report: list[dict[str, Any]]) -> None:
    assert len(report) >= 10
    assert len({run["kept"] for run in report}) >= 3
    for run in report:
        assert run["codes"][0] == -signal.SIGKILL, run
        assert run["codes"][-1] == 0, run
        assert run["kept"] == run["finished"], run
        assert run["difference"] == "", run
        assert run["left"] == run["left by the whole run"], run
        assert {"rollouts", "_incomplete"}.isdisjoint(run["left"])


def test_finished_rollouts_are_not_played_again(report: list[dict[str, Any]]) -> None:
    """Only the games that were going on are."""
    once = [run for run in report if run["plays needed"] is not None]
    assert {run["plays needed"] for run in once} == {3, 4}
    for run in once:
        assert run["plays"] == run["plays needed"], run


def test_signals_stop_the_command_with_a_line_and_it_goes_on(folder: Path) -> None:
    signals = json.loads((folder / "signals.json").read_text())
    expected = {"interrupt": 130, "terminate": 143, "terminate twice": -signal.SIGTERM}
    for name, run in signals.items():
        assert run["codes"] == [expected[name], 0], run
        assert "Traceback" not in run["said"]
        assert run["steps"] == [2, 4]
        assert run["final"]
    assert "the same command begins again" in signals["interrupt"]["said"]
    assert "goes on from" in signals["terminate"]["said"]
    assert "checkpoint-2" in signals["terminate"]["said"]
