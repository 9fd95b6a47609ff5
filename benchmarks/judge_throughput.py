"""How close does the judge come to what its endpoint allows?

::

    python benchmarks/judge_throughput.py

A server on loopback, a process of its own, gives a valid judgement after exactly one second. So
many judgements at such a concurrency can take no less than their number over the concurrency, in
seconds; what is above that is the judge's own and its client library's, which makes as many
requests by itself for comparison. Writes ``benchmarks/results/judge_throughput.md``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from openai import AsyncOpenAI

from omar_envs import rollout, sotopia_v0
from omar_envs.judge import SOTOPIA, OpenAIJudge
from omar_envs.types import Episode, View

HERE = Path(__file__).resolve().parent
PLAY = json.loads((HERE / "sotopia_play.json").read_text("utf-8"))
SECONDS = 1.0
CHARACTERS = 8400
"""About as long as the judge's prompts are."""


class Timing(NamedTuple):
    """Seconds on the clock, and of CPU time in this process."""

    wall: float
    cpu: float


class Talkers:
    """Speak the play's lines, from another one on in each game and turn."""

    name = "talkers"

    def act(self, views: Sequence[View]) -> list[str]:
        return [
            f"{view.game}: {PLAY['lines'][(view.game + view.num_acts) % len(PLAY['lines'])]}"
            for view in views
        ]


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judgements", type=int, default=256)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "judge_throughput.md")
    options = parser.parse_args()
    episodes = rollout.run(
        lambda: sotopia_v0.raw_env(
            scenario=PLAY["scenario"],
            agents=PLAY["characters"],
            order="round_robin",
            max_turns=PLAY["turns"],
            reward="none",
        ),
        Talkers(),
        episodes=options.judgements,
        seed=0,
    )
    with slow_server() as url, TemporaryDirectory() as scratch:
        caches = [Path(scratch, str(repeat)) for repeat in range(options.repeats)]
        asked, bare = [], []
        for cache in caches:
            asked.append(timed(episodes, url, options.concurrency, cache))
            bare.append(client_alone(url, options.judgements, options.concurrency))
        known = [timed(episodes, url, options.concurrency, cache) for cache in caches]
    options.out.write_text(page(options, asked, bare, known), encoding="utf-8")
    print(options.out.read_text("utf-8"))


@contextmanager
def slow_server() -> Iterator[str]:
    """The address of the server, which lasts as long as the block."""
    scores = {
        dimension.name: {"reasoning": "They settled it in few words, and kept to it.", "score": 0}
        for dimension in SOTOPIA.dimensions
    }
    answer = json.dumps({"participant_1": scores, "participant_2": scores})
    command = [sys.executable, str(HERE / "judge_server.py"), str(SECONDS)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(json.dumps(answer) + "\n")
        server.stdin.flush()
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"


def timed(episodes: Sequence[Episode], url: str, concurrency: int, cache: Path) -> Timing:
    """Judge all of them with a new judge, whose construction is not in it."""
    with OpenAIJudge("fixed", base_url=url, concurrency=concurrency, cache=cache) as judge:
        wall, cpu = time.perf_counter(), time.process_time()
        results = judge.judge_many(episodes)
        timing = Timing(time.perf_counter() - wall, time.process_time() - cpu)
    failed = [result.error for result in results if result.status != "ok"]
    if failed:
        sys.exit(f"{len(failed)} of {len(results)} judgements failed: {failed[0]}")
    return timing


def client_alone(url: str, requests: int, concurrency: int) -> Timing:
    """As many requests by the client library, with nothing done about the answers."""

    async def make_them() -> None:
        slots = asyncio.Semaphore(concurrency)

        async def make_one() -> None:
            async with slots:
                await client.chat.completions.create(
                    model="fixed", messages=[{"role": "user", "content": "a " * (CHARACTERS // 2)}]
                )

        async with AsyncOpenAI(base_url=url, api_key="none") as client:
            await asyncio.gather(*(make_one() for _ in range(requests)))

    wall, cpu = time.perf_counter(), time.process_time()
    asyncio.run(make_them())
    return Timing(time.perf_counter() - wall, time.process_time() - cpu)


def page(
    options: argparse.Namespace, asked: list[Timing], bare: list[Timing], known: list[Timing]
) -> str:
    """The results as Markdown."""
    ideal = options.judgements / options.concurrency * SECONDS
    took, alone, again = (median(run.wall for run in runs) for runs in (asked, bare, known))
    rows = (
        ("asked, every answer kept", asked, f"{took / ideal:.2f}"),
        ("as many requests by the client library alone", bare, f"{alone / ideal:.2f}"),
        ("the same again, from the cache", known, ""),
    )
    lines = [
        "# Throughput of the judge",
        "",
        f"`python benchmarks/judge_throughput.py --judgements {options.judgements} "
        f"--concurrency {options.concurrency} --repeats {options.repeats}`",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        f"{options.judgements} different episodes of {PLAY['turns']} acts, rubric "
        f"`{SOTOPIA.name}`, strict schema; the server answers each request after {SECONDS:g} s, "
        f"at most {options.concurrency} are in work at once: at best {ideal:g} s. "
        f"{options.repeats} interleaved repeats, each with a judge and connections of its own. "
        f"Load of the machine in the minute before the end: {os.getloadavg()[0]:.1f}.",
        "",
        "| | seconds, median | lowest | highest | times the ideal | CPU seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs, ratio in rows:
        walls = [run.wall for run in runs]
        lines.append(
            f"| {name} | {median(walls):.2f} | {min(walls):.2f} | {max(walls):.2f} | {ratio} "
            f"| {median(run.cpu for run in runs):.2f} |"
        )
    lines += [
        "",
        f"- {options.judgements / took:.1f} judgements per second: **{took / ideal:.2f} times the "
        f"ideal**, {took / alone:.2f} times the client library alone.",
        f"- From the cache: {options.judgements / again:,.0f} judgements per second.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
