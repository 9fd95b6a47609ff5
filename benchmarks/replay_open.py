"""How long a replay page takes to open, by how many games are in it.

Plays scripted games of Werewolf, writes pages of some of them, and opens these in turn in
headless Chromium, ``--rounds`` times each.

::

    python -m benchmarks.replay_open

"First game" is until the first game is drawn and the page answers: what the page's own
thread computes for it, which does not depend on what else the machine does, and by the
clock, which does. "Another game" and "one step" are what a click takes by the clock,
layout included. The table goes to ``benchmarks/results/replay_open.md``. Needs Chromium.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path
from statistics import median

from omar_envs import werewolf_v0
from omar_envs.policy import ScriptedPolicy
from omar_envs.replay import write_replay
from omar_envs.rollout import run
from tests.e2e.chromium import EXECUTABLE, Page

COUNTS = (1, 10, 100)
PLAYERS = 7
SIZE = (1300, 900)
TARGET = Path(__file__).parent / "results" / "replay_open.md"

_MEASURE = """(() => {
    const timed = (act) => {
        const start = performance.now();
        act();
        document.body.getBoundingClientRect();  // layout, too
        return performance.now() - start;
    };
    const [navigation] = performance.getEntriesByType("navigation");
    const opened = navigation.domContentLoadedEventEnd;
    const last = document.querySelector("#games li:last-child button");
    const switched = timed(() => last?.click());
    document.getElementById("scrubber").value = 1;
    document.getElementById("scrubber").dispatchEvent(new Event("input"));
    const stepped = timed(() => document.getElementById("next").click());
    return [opened, switched, stepped];
})()"""


def measured(page: Page, path: Path) -> list[float]:
    """Milliseconds for the first game as computed and by the clock, another game, one step."""
    page.resize(*SIZE)
    page.open(path)
    metrics = page.send("Performance.getMetrics")["metrics"]
    computed = next(each["value"] for each in metrics if each["name"] == "TaskDuration")
    times: list[float] = page.run(_MEASURE)
    return [1000 * computed, *times]


def report(rounds: int) -> str:
    """The whole page, in Markdown."""
    games = run(
        lambda: werewolf_v0.raw_env(num_players=PLAYERS),
        ScriptedPolicy(seed=1),
        episodes=max(COUNTS),
        seed=0,
    )
    found: dict[int, list[list[float]]] = {count: [] for count in COUNTS}
    with tempfile.TemporaryDirectory() as folder, Page(Path(folder) / "profile") as page:
        paths = {count: Path(folder) / f"{count}.html" for count in COUNTS}
        for count, path in paths.items():
            write_replay(path, games[:count], title=f"{count} games")
        page.send("Performance.enable", timeDomain="threadTicks")
        for _ in range(rounds):
            for count, path in paths.items():
                found[count].append(measured(page, path))
        version = page.send("Browser.getVersion")["product"]
        rows = []
        for count, path in paths.items():
            computed, first, other, step = (
                median(column) for column in zip(*found[count], strict=True)
            )
            another = f"{other:.0f} ms" if count > 1 else "–"
            rows.append(
                f"| {count} | {path.stat().st_size / 1e6:.2f} MB | {computed:.0f} ms "
                f"| {first:.0f} ms | {another} | {step:.0f} ms |"
            )
    return "\n".join(
        [
            "# How long a replay page takes to open",
            "",
            "    python -m benchmarks.replay_open",
            "",
            f"Scripted games of Werewolf with {PLAYERS} players, {version}, "
            f"{platform.machine()}, {os.cpu_count()} cores, median of {rounds} interleaved "
            f"rounds. Load of the machine at the end: {os.getloadavg()[0]:.1f}.",
            "",
            "| games | page | first game, computed | first game, clock | another game | one step |",
            "|---:|---:|---:|---:|---:|---:|",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if EXECUTABLE is None:
        sys.exit("This needs Chromium: apt-get install chromium")
    text = report(options.rounds)
    TARGET.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
