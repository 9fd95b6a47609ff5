"""The integrations of LLM RL frameworks, each run in a virtual environment of its own.

    python checks/interop/llm.py                     all of them
    python checks/interop/llm.py textarena gem       some

For each library: makes ``runs/interop-venv-LIBRARY`` if it is not there, installs this package
without extras and what ``checks/interop/LIBRARY/requirements.txt`` pins, runs
``tests/interop/test_LIBRARY.py`` and the example; TRL's run in the project's own ``.venv``.
What came of it goes to ``benchmarks/results/interop_llm.md`` (and ``.json``, which a later run
of some adds to).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
RESULTS = ROOT / "benchmarks" / "results" / "interop_llm.json"
MODEL_SERVER = ("python", "checks/interop/scripted_server.py")
GAME_SERVER = ("python", "checks/interop/openenv/server.py")


class Check(NamedTuple):
    """What is run for a library, beside its tests.

    Attributes:
        distribution: its name for pip.
        example: words after ``python``; ``URL`` stands for what the server printed.
        server: what runs meanwhile, and prints its address in its first line.
    """

    distribution: str
    example: tuple[str, ...] = ()
    server: tuple[str, ...] = ()


CHECKS = {
    "textarena": Check("textarena", ("examples/textarena_game.py",)),
    "verifiers": Check(
        "verifiers", ("examples/verifiers_selfplay.py", "scripted", "URL"), MODEL_SERVER
    ),
    "openenv": Check("openenv", ("examples/openenv_seat.py", "URL"), GAME_SERVER),
    "skyrl_gym": Check("skyrl-gym", ("examples/skyrl_gym_seat.py",)),
    "gem": Check("gem-llm", ("examples/gem_seat.py",)),
    "verl": Check("verl"),
    "trl": Check("trl"),
}
OWN = ".venv"
"""The project's own virtual environment, which has TRL."""


def run(venv: Path, words: Sequence[str]) -> tuple[int, str]:
    """Run a command of the virtual environment. -> exit code, and all that it printed"""
    done = subprocess.run(
        [str(venv / "bin" / words[0]), *words[1:]],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


@contextmanager
def serving(venv: Path, words: Sequence[str]) -> Iterator[str]:
    """A server of the virtual environment, while the block lasts. -> its address"""
    if not words:
        yield ""
        return
    command = [str(venv / "bin" / words[0]), *words[1:]]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


def install(name: str, venv: Path) -> str:
    """Make the virtual environment as its requirements say. -> what pip said, "" if all is well"""
    if not (venv / "bin" / "pip").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    code, said = run(
        venv, ["pip", "install", "-q", "-e", ".", "-r", f"checks/interop/{name}/requirements.txt"]
    )
    return "" if code == 0 else said


def check(name: str) -> dict[str, object]:
    """Install, test, run. -> the row"""
    what, begun = CHECKS[name], monotonic()
    venv = ROOT / (OWN if name == "trl" else f"runs/interop-venv-{name}")
    failed = "" if name == "trl" else install(name, venv)
    if failed:
        return {"library": what.distribution, "installs": False, "log": failed[-2000:]}
    version_of = f"import importlib.metadata as m; print(m.version({what.distribution!r}))"
    _, version = run(venv, ["python", "-c", version_of])
    _, python = run(venv, ["python", "-V"])
    tests, said = run(
        venv,
        # Warnings are the library's own here.
        ["python", "-m", "pytest", "-q", "-o", "filterwarnings=", f"tests/interop/test_{name}.py"],
    )
    row: dict[str, object] = {
        "library": what.distribution,
        "version": version.strip(),
        "python": python.split()[-1],
        "tests": (re.findall(r"\d+ (?:passed|failed|skipped|error)[^\n]*", said) or ["none ran"])[
            -1
        ],
        "tests_pass": tests == 0,
    }
    if tests:
        row["log"] = said[-2000:]
    if what.example:
        with serving(venv, what.server) as url:
            words = [word.replace("URL", url) for word in what.example]
            code, said = run(venv, ["python", *words])
        row["example"] = what.example[0]
        row["example_runs"] = code == 0
        row["last_line"] = (said.strip().splitlines() or [""])[-1]
    return {**row, "seconds": round(monotonic() - begun)}


def table(rows: dict[str, dict[str, object]]) -> str:
    """The rows as Markdown."""
    lines = [
        "# LLM RL frameworks: what was run",
        "",
        "`python checks/interop/llm.py`: a virtual environment for each library, CPU only.",
        "",
        "| library | version | Python | tests/interop/test_*.py | example |",
        "|---|---|---|---|---|",
    ]
    for name in sorted(rows):
        row = rows[name]
        if "version" not in row:
            lines.append(f"| {row['library']} | does not install | | | |")
            continue
        tests = re.sub(r"(, \d+ warnings?)? in [\d.]+s.*", "", str(row["tests"]))
        example = "run by the tests"
        if "example" in row:
            outcome = "runs" if row["example_runs"] else "fails"
            example = f"`{row['example']}` {outcome}: `{row['last_line']}`"
        lines.append(
            f"| {row['library']} | {row['version']} | {row['python']} | {tests} | {example} |"
        )
    return "\n".join([*lines, ""])


def main(names: Sequence[str]) -> int:
    """Check these libraries, or all. -> exit code"""
    if unknown := set(names) - set(CHECKS):
        print(f"no check for {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
        return 2
    good = True
    for name in names or CHECKS:
        row = check(name)
        print(json.dumps(row, indent=2), flush=True)
        good = good and bool(row.get("tests_pass")) and bool(row.get("example_runs", True))
        rows = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
        rows[name] = {key: value for key, value in row.items() if key != "log"}
        RESULTS.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n", "utf-8")
        RESULTS.with_suffix(".md").write_text(table(rows), "utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
