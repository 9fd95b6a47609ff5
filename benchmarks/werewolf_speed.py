"""How fast is Werewolf? Side by side with TextArena's SecretMafia, interleaved, in one run.

::

    python benchmarks/werewolf_speed.py

Makes a virtual environment with ``textarena==0.7.4`` under
``runs/`` the first time. Every repeat runs each contestant once, in its own process, every other
one in the opposite order, so that a busy machine slows all of them. Ratios are of medians; beside
each stands the median of the ratios within a repeat, with an interval that holds what it estimates
in at least 95% of such runs (from six repeats on). Writes
``benchmarks/results/werewolf_speed.md`` and the plot ``docs/step_time.png``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import venv
from itertools import accumulate
from math import comb
from pathlib import Path
from statistics import median
from typing import Any

from rich.progress import Progress

HERE = Path(__file__).resolve().parent
TEXTARENA = "textarena==0.7.4"


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--games", type=int, default=300, help="per repeat and contestant")
    parser.add_argument("--live", type=int, default=10_000, help="games held in memory at once")
    parser.add_argument("--venv", type=Path, default=HERE.parent / "runs" / "textarena-venv")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "werewolf_speed.md")
    parser.add_argument("--plot", type=Path, default=HERE.parent / "docs" / "step_time.png")
    options = parser.parse_args()
    theirs = textarena_python(options.venv)
    contestants = {
        "ours, AEC in PettingZoo's wrappers": [sys.executable, ours(), "aec"],
        "TextArena, wrapped": [theirs, str(HERE / "textarena_games.py"), "wrapped"],
        "ours, rules alone": [sys.executable, ours(), "rules"],
        "TextArena, raw": [theirs, str(HERE / "textarena_games.py"), "raw"],
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    with Progress() as progress:
        task = progress.add_task("interleaved repeats", total=options.repeats * len(contestants))
        for repeat in range(options.repeats):
            for name, command in list(contestants.items())[:: -1 if repeat % 2 else 1]:
                runs[name].append(ask(*command, str(options.games)))
                progress.advance(task)
        others = progress.add_task("memory, layers, profile, step time", total=4)
        memory = ask(sys.executable, ours(), "memory", str(options.live))
        progress.advance(others)
        layers = ask(sys.executable, ours(), "layers", str(options.games))
        progress.advance(others)
        profile = ask(sys.executable, ours(), "profile", str(options.games))
        progress.advance(others)
        turns = ask(sys.executable, ours(), "turns", str(options.repeats))
        progress.advance(others)
    steps = {int(turn): median(times) for turn, times in turns.items()}
    options.out.write_text(page(options, runs, memory, layers, profile, steps), encoding="utf-8")
    plot(steps, options.plot)
    print(options.out.read_text("utf-8"))


def ours() -> str:
    """The script that runs this package's games."""
    return str(HERE / "werewolf_games.py")


def ask(*command: str) -> Any:
    """Run a contestant and read its JSON line."""
    quiet = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=quiet)
    return json.loads(done.stdout.splitlines()[-1])


def textarena_python(folder: Path) -> str:
    """The Python of a virtual environment with TextArena, made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    if subprocess.run([str(python), "-c", "import textarena"], capture_output=True).returncode:
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", TEXTARENA], check=True)
    return str(python)


def page(
    options: argparse.Namespace,
    runs: dict[str, list[dict[str, float]]],
    memory: dict[str, float],
    layers: dict[str, float],
    profile: dict[str, float],
    steps: dict[int, float],
) -> str:
    """The results as Markdown."""
    speeds = {name: [run["steps_per_second"] for run in all_] for name, all_ in runs.items()}
    middle = {name: median(values) for name, values in speeds.items()}
    aec, wrapped, rules, raw = speeds.values()
    lines = [
        "# Speed of Werewolf",
        "",
        f"`python benchmarks/werewolf_speed.py --repeats {options.repeats} "
        f"--games {options.games}`",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{TEXTARENA}; {options.repeats} interleaved repeats of {options.games} games each; "
        "8 players, 2 wolves, doctor, seer, 3 rounds of talk in turn, random actors. A step is one "
        "act of one player; seconds are of CPU time.",
        "",
        "| | steps/s, median | lowest | highest | steps per game | characters read per step |",
        "|---|---|---|---|---|---|",
    ]
    for name, all_ in runs.items():
        lines.append(
            f"| {name} | {middle[name]:,.0f} | {min(speeds[name]):,.0f} | {max(speeds[name]):,.0f} "
            f"| {all_[0]['steps_per_game']:.1f} | {all_[0]['characters']:,.0f} |"
        )
    lines += [
        "",
        f"- Observation text built and read at every step: {times(aec, wrapped)} "
        "TextArena wrapped.",
        f"- Rules alone: {times(rules, raw)} TextArena raw. Here talk costs nothing beyond "
        "knowing who speaks; TextArena raw stores it.",
        f"- {memory['games']:,} live games at mid-game: **{memory['gigabytes']:.2f} GB** "
        f"({memory['kilobytes_per_game']:.0f} kB each).",
        f"- A step at turn 200 takes {around(steps, 200) / around(steps, 20):.2f} times one at "
        f"turn 20 ({around(steps, 20):.1f} and {around(steps, 200):.1f} µs), all eight players "
        "speaking in every turn: docs/step_time.png.",
        "",
        "Where the time of the first row goes, by what a loop without it saves:",
        "",
        "| layer | µs per step | share |",
        "|---|---|---|",
        *(
            f"| {name} | {time:.2f} | {time / sum(layers.values()):.0%} |"
            for name, time in layers.items()
        ),
        "",
        "And by function (share of the own time of each, under the profiler, which makes small "
        "functions look larger):",
        "",
        "| function | share |",
        "|---|---|",
        *(f"| `{name}` | {share:.1%} |" for name, share in profile.items()),
        "",
    ]
    return "\n".join(lines)


def times(ours: list[float], theirs: list[float]) -> str:
    """How many times as fast: the ratio of medians, and the median of ratios with its interval."""
    ratios = sorted(one / other for one, other in zip(ours, theirs, strict=True))
    low = _rank_below_median(len(ratios))
    return (
        f"**{median(ours) / median(theirs):.2f} times** (within a repeat {median(ratios):.2f}, "
        f"interval {ratios[low]:.2f} to {ratios[-1 - low]:.2f})"
    )


def _rank_below_median(number: int) -> int:
    """The largest rank, from 0, that is above the median of what is drawn in at most 2.5%."""
    ways = accumulate(comb(number, below) for below in range(number))
    return max(sum(1 for sum_ in ways if sum_ <= 0.025 * 2**number) - 1, 0)


def around(steps: dict[int, float], turn: int) -> float:
    """Median time of a step within five turns of ``turn``."""
    return median(time for number, time in steps.items() if abs(number - turn) <= 5)


def plot(steps: dict[int, float], path: Path) -> None:
    """Time per step against the turn."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.2), layout="constrained")
    axes.plot(list(steps), list(steps.values()), linewidth=1)
    axes.set(xlabel="turn (8 players speak in each)", ylabel="µs per step", ylim=(0, None))
    axes.set_title("Time per step, observation text read at every step")
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
