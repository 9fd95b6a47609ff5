"""The classic MARL libraries, each run in a virtual environment of its own.

    python checks/interop/run.py                  all of them, as long as it takes to learn
    python checks/interop/run.py sb3 torchrl      some
    python checks/interop/run.py --quick          a few steps each: does it run at all?

For each library: makes ``runs/interop-venv-LIBRARY`` if it is not there, installs this package
and what ``checks/interop/LIBRARY/requirements.txt`` pins if either has changed since, and runs the
library's example. What
came of it goes to ``benchmarks/results/interop.md`` (and ``.json``, which a later run of some
libraries adds to), but for quick runs. Minutes of CPU time each; they run one after another.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "interop.json"
BETTER = "better than random:"


class Check(NamedTuple):
    """What is run for a library.

    Attributes:
        distribution: its name for pip.
        example: words after ``python``.
        quick: what to add for a few steps only.
        learns: whether the example says if it got better than random play.
    """

    distribution: str
    example: tuple[str, ...]
    quick: tuple[str, ...] = ("--steps", "512", "--games", "40")
    learns: bool = True


CHECKS = {
    "sb3": Check("sb3-contrib", ("examples/sb3_maskable_ppo.py",)),
    "torchrl": Check("torchrl", ("examples/torchrl_selfplay.py",)),
    "tianshou": Check("tianshou", ("examples/tianshou_dqn.py",)),
    "rllib": Check("ray", ("examples/rllib_ppo.py",)),
    "rllib_without_masks": Check("ray", ("examples/rllib_ppo.py", "--without-masks")),
    "supersuit": Check(
        "SuperSuit", ("examples/supersuit_wrappers.py",), ("--steps", "40"), learns=False
    ),
}
VENVS = {"rllib_without_masks": "rllib"}


def run(venv: Path, words: Sequence[str]) -> tuple[int, str]:
    """Run a command of the virtual environment. -> exit code, and all that it printed"""
    done = subprocess.run(
        [str(venv / "bin" / words[0]), *words[1:]],
        cwd=ROOT,
        # Two cores are shared by two processes better than by many threads; and Ray gives up
        # on a busy machine after half a minute.
        env={"RAY_raylet_start_wait_time_s": "300", **os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def install(name: str, venv: Path) -> str:
    """Make the virtual environment as its requirements say. -> what pip said, "" if all is well"""
    pins = ROOT / "checks" / "interop" / name / "requirements.txt"
    wanted = pins.read_text("utf-8") + (ROOT / "pyproject.toml").read_text("utf-8")
    installed = venv / "installed.txt"
    if installed.exists() and installed.read_text("utf-8") == wanted:
        return ""
    if not (venv / "bin" / "pip").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    code, said = run(venv, ["pip", "install", "-q", "-e", ".", "-r", str(pins)])
    if code:
        return said
    installed.write_text(wanted, "utf-8")
    return ""


def check(name: str, quick: bool) -> dict[str, object]:
    """Install and run. -> the row"""
    what, home, begun = CHECKS[name], VENVS.get(name, name), monotonic()
    venv = ROOT / "runs" / f"interop-venv-{home}"
    row: dict[str, object] = {"library": what.distribution}
    failed = install(home, venv)
    if failed:
        return {**row, "runs": False, "log": failed[-2000:]}
    version_of = f"import importlib.metadata as m; print(m.version({what.distribution!r}))"
    row["version"] = run(venv, ["python", "-c", version_of])[1].strip()
    words = [*what.example, *(what.quick if quick else ())]
    code, said = run(venv, ["python", "-W", "ignore", *words])
    lines = said.strip().splitlines()
    row["command"] = " ".join(["python", *words])
    row["runs"] = code == 0
    row["measured"] = [line for line in lines if " games each)" in line]
    if what.learns:
        row["learns"] = f"{BETTER} True" in lines
    if code:
        row["log"] = said[-2000:]
    return {**row, "seconds": round(monotonic() - begun)}


def table(rows: dict[str, dict[str, object]]) -> str:
    """The rows as Markdown."""
    lines = [
        "# Classic MARL libraries: what was run",
        "",
        "`python checks/interop/run.py`: a virtual environment for each library, CPU only. "
        "Rewards per game of the first seat, with 95% intervals.",
        "",
        "| library | version | runs | learns | measured | command |",
        "|---|---|---|---|---|---|",
    ]
    for name in sorted(rows):
        row = rows[name]
        learns = {True: "yes", False: "not shown", None: "nothing to learn"}[row.get("learns")]
        measured = "<br>".join(row.get("measured", []))
        lines.append(
            f"| {row['library']} | {row.get('version', '')} | {'yes' if row['runs'] else 'no'} "
            f"| {learns} | {measured} | `{row.get('command', 'pip install')}` |"
        )
    return "\n".join([*lines, ""])


def main() -> int:
    """Run what was asked for. -> 0 if all of it runs, and learns where it had the time"""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=", ".join(CHECKS))
    parser.add_argument("--quick", action="store_true", help="a few steps each, kept nowhere")
    asked = parser.parse_args()
    unknown = sorted(set(asked.libraries) - set(CHECKS))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}: known are {', '.join(CHECKS)}")
    rows = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    fine = True
    for name in asked.libraries or CHECKS:
        row = rows[name] = check(name, asked.quick)
        print(json.dumps({name: row}, ensure_ascii=False), flush=True)
        fine = fine and bool(row["runs"]) and (asked.quick or row.get("learns", True) is True)
        if asked.quick:
            continue
        RESULTS.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")
        RESULTS.with_suffix(".md").write_text(table(rows), "utf-8")
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
