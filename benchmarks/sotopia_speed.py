"""How fast are social scenarios? Side by side with PyPI's sotopia, interleaved, in one run.

::

    python benchmarks/sotopia_speed.py

The first time it makes two virtual environments under ``runs/``: one with ``sotopia==0.1.5``,
one with this package and what it needs, nothing else (made afresh each time, so that it holds
the code as it is). Every repeat runs each contestant once, in its own process, so that a busy
machine slows all of them; ratios are of medians. Writes ``benchmarks/results/sotopia_speed.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import venv
from pathlib import Path
from statistics import median
from typing import Any

from rich.progress import Progress

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SOTOPIA = "sotopia==0.1.5"
# It wants openai 1.x, and pip would download dozens of releases of litellm, from the newest
# backwards, until it met one that allows that.
OLDER = "litellm<1.80"

ORDERS = ("simultaneous", "round_robin")
PLAY = HERE / "sotopia_play.json"
WRAPPED = "ours, AEC in PettingZoo's wrappers"
RAW = "ours, AEC without them"
HISTORY = "sotopia, agents read all they were told"
LAST = "sotopia, agents read the newest turn alone"


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--episodes", type=int, default=150, help="per repeat and contestant")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where the venvs are")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "sotopia_speed.md")
    options = parser.parse_args()
    home = options.runs / "sotopia-home"
    home.mkdir(parents=True, exist_ok=True)
    theirs = python_with(options.runs / "sotopia-venv", SOTOPIA, OLDER)
    ours = python_with(options.runs / "core-venv", str(ROOT))
    subprocess.run(
        [ours, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", str(ROOT)],
        check=True,
    )
    ways = {
        WRAPPED: [ours, str(HERE / "sotopia_games.py"), "wrapped"],
        RAW: [ours, str(HERE / "sotopia_games.py"), "raw"],
        HISTORY: [theirs, str(HERE / "sotopia_upstream.py"), "history"],
        LAST: [theirs, str(HERE / "sotopia_upstream.py"), "last"],
    }
    contestants = {
        (order, name): [*command, order, str(options.episodes), str(PLAY)]
        for order in ORDERS
        for name, command in ways.items()
    }
    packages = {
        "ours": [ours, str(HERE / "footprint.py"), "omar_envs.sotopia_v0"],
        "sotopia": [theirs, str(HERE / "footprint.py"), "sotopia.envs"],
    }
    speeds: dict[Any, list[dict[str, float]]] = {name: [] for name in contestants}
    sizes: dict[str, list[dict[str, float]]] = {name: [] for name in packages}
    with Progress() as progress:
        task = progress.add_task(
            "interleaved repeats", total=options.repeats * (len(contestants) + len(packages))
        )
        for _ in range(options.repeats):
            for place, command in contestants.items():
                speeds[place].append(ask(home, *command))
                progress.advance(task)
            for name, command in packages.items():
                sizes[name].append(ask(home, *command))
                progress.advance(task)
    options.out.write_text(page(options, speeds, sizes), encoding="utf-8")
    print(options.out.read_text("utf-8"))


def ask(home: Path, *command: str) -> Any:
    """Run a contestant and read its JSON line; what it keeps at home goes to ``home``."""
    settings = os.environ | {"OMP_NUM_THREADS": "1", "SOTOPIA_STORAGE_BACKEND": "local"}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=settings | {"HOME": str(home)}
    )
    return json.loads(done.stdout.splitlines()[-1])


def python_with(folder: Path, *requirements: str) -> str:
    """The Python of a virtual environment with these packages, made if it is not there."""
    python = folder / "bin" / "python"
    complete = folder / ".installed"
    if not complete.exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
        complete.touch()
    return str(python)


def page(
    options: argparse.Namespace,
    speeds: dict[Any, list[dict[str, float]]],
    sizes: dict[str, list[dict[str, float]]],
) -> str:
    """The results as Markdown."""
    middle = {
        place: median(run["acts_per_second"] for run in runs) for place, runs in speeds.items()
    }
    lines = [
        "# Speed of social scenarios",
        "",
        f"`python benchmarks/sotopia_speed.py --repeats {options.repeats} "
        f"--episodes {options.episodes}`",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{SOTOPIA} with `SOTOPIA_STORAGE_BACKEND=local`; {options.repeats} interleaved repeats "
        f"of {options.episodes} episodes each. Two friends, one scenario, the same lines on both "
        "sides, no language model and no judge; 20 turns per episode. A turn is one step of the "
        "game: in simultaneous order both act in it, in round-robin order one does. An act is one "
        "utterance of one agent; before each, its observation is built as text. Seconds are of "
        "CPU time; imports, construction and start are not in them, resets are.",
        "",
        "| | acts/s, median | lowest | highest | turns/s | acts per episode | "
        "characters read per act |",
        "|---|---|---|---|---|---|---|",
    ]
    for (order, name), runs in speeds.items():
        rates = [run["acts_per_second"] for run in runs]
        first = runs[0]
        turns = middle[order, name] * first["turns_per_episode"] / first["acts_per_episode"]
        lines.append(
            f"| {order.replace('_', '-')}: {name} | {middle[order, name]:,.0f} "
            f"| {min(rates):,.0f} | {max(rates):,.0f} | {turns:,.0f} "
            f"| {first['acts_per_episode']:.0f} | {first['characters']:,.0f} |"
        )
    lines.append("")
    for order in ORDERS:
        history, last = middle[order, HISTORY], middle[order, LAST]
        wrapped, raw = middle[order, WRAPPED], middle[order, RAW]
        lines.append(
            f"- {order.replace('_', '-')}: **{wrapped / history:.1f} times** sotopia in wrappers, "
            f"**{raw / history:.1f} times** without, all that an agent was told read on both "
            f"sides; {wrapped / last:.1f} and {raw / last:.1f} times where sotopia's agents read "
            "the newest turn alone."
        )
    lines += [
        "",
        "Each alone in a fresh virtual environment:",
        "",
        "| | import, seconds of CPU time | packages | megabytes |",
        "|---|---|---|---|",
    ]
    for name, runs in sizes.items():
        seconds = median(run["import_seconds"] for run in runs)
        lines.append(
            f"| {name} | {seconds:.2f} | {runs[0]['packages']} | {runs[0]['megabytes']:,.0f} |"
        )
    lines += [
        "",
        "sotopia's own rule ends its episodes (`RuleBasedTerminatedEvaluator`), its agents join "
        "their history as its `LLMAgent` does, and its synchronous `step` is used, which spares "
        "it the event loop. It takes its agents' acts as objects; here they are read from text. "
        "pip and setuptools are not counted.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
