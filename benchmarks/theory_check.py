"""Does the environment play by its rules? Random games against the exact odds.

Plays ``--games`` random games of each case with the real environment and compares
how often the wolves win with what :mod:`omar_envs.werewolf.theory` computes.

::

    python benchmarks/theory_check.py --games 500000 --processes 2

What is played is kept in ``--state``; a case that has its games is not played
again, so a run that was cut off goes on where it was. The table goes to
``benchmarks/results/theory_check.md``. Needs ``rich`` (in ``omar-envs[train]``).
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from omar_envs import werewolf_v0
from omar_envs.werewolf.env import WerewolfEnv
from omar_envs.werewolf.rules import Rules, team_of
from omar_envs.werewolf.theory import Odds, win_probabilities

CHUNK = 5_000
"""Games that one task plays, with a generator of its own."""

DAYS = 1000
"""Days of a game without a limit: what lies beyond is less than any float."""

NAMED = {"allow_abstain": False, "max_days": DAYS}
"""Every voter names somebody, and the game goes on until somebody wins."""

TARGET = Path(__file__).parent / "results" / "theory_check.md"


class Case(NamedTuple):
    """One game: its name in the table, and the environment's settings."""

    name: str
    settings: dict[str, Any]

    @property
    def odds(self) -> Odds:
        """Exact odds."""
        rules = Rules(**self.settings)
        return win_probabilities(rules, endless=rules.max_days == DAYS)


def _case(name: str, players: int, roles: dict[str, int], **settings: Any) -> Case:
    return Case(name, {"num_players": players, "roles": roles, **settings})


CASES: tuple[Case, ...] = (
    _case("D(7, 2)", 7, {"werewolf": 2}, first_phase="day", **NAMED),
    _case("D(8, 2)", 8, {"werewolf": 2}, first_phase="day", **NAMED),
    _case("D(9, 3)", 9, {"werewolf": 3}, first_phase="day", **NAMED),
    _case("D(10, 3)", 10, {"werewolf": 3}, first_phase="day", **NAMED),
    _case(
        "N(8, 2), a doctor, not itself",
        *(8, {"werewolf": 2, "doctor": 1}),
        doctor_self_save=False,
        **NAMED,
    ),
    _case("N(9, 2), a doctor, also itself", 9, {"werewolf": 2, "doctor": 1}, **NAMED),
    _case("N(7, 2), ties put out nobody", 7, {"werewolf": 2}, vote_tie="none", **NAMED),
    _case("N(8, 2), strict majority", 8, {"werewolf": 2}, vote_rule="majority", **NAMED),
    _case(
        "Migdal w(9, 2): day first, extinction",
        *(9, {"werewolf": 2}),
        first_phase="day",
        win_rule="extinction",
        **NAMED,
    ),
    _case(
        "N(9, 2), a doctor, nobody twice running",
        *(9, {"werewolf": 2, "doctor": 1}),
        doctor_repeat_save=False,
        **NAMED,
    ),
    _case(
        "N(7, 2), ties vote again",
        *(7, {"werewolf": 2}),
        vote_tie="revote",
        **NAMED,
    ),
    _case(
        "N(8, 2), abstentions, votes for oneself, ties put out nobody",
        *(8, {"werewolf": 2}),
        vote_tie="none",
        allow_self_vote=True,
        max_days=DAYS,
    ),
    _case("N(8, 3), wolves' ties kill nobody", 8, {"werewolf": 3}, kill_tie="none", **NAMED),
    _case("N(8, 2), a hunter", 8, {"werewolf": 2, "hunter": 1}, **NAMED),
    _case("N(8, 2), a jester", 8, {"werewolf": 2, "jester": 1}, **NAMED),
    _case("default, 7 players", 7, {"werewolf": 2, "seer": 1, "doctor": 1}),
    _case(
        "5 players, talk before a peaceful night",
        *(5, {"werewolf": 1, "possessed": 1, "seer": 1}),
        first_phase="day",
        first_day_vote=False,
        first_night_kill=False,
        allow_abstain=False,
        max_days=6,
    ),
    _case(
        "12 players, doctor, hunter, jester, ties vote again, 3 days",
        *(12, {"werewolf": 3, "seer": 1, "doctor": 1, "hunter": 1, "jester": 1}),
        vote_tie="revote",
        max_days=3,
    ),
    _case("N(8, 2), a witch", 8, {"werewolf": 2, "witch": 1}, **NAMED),
    _case(
        "9 players, 2 witches, a doctor, a hunter, wolves' ties kill nobody",
        *(9, {"werewolf": 2, "witch": 2, "doctor": 1, "hunter": 1}),
        kill_tie="none",
    ),
    _case("D(9, 2), 3 idiots", 9, {"werewolf": 2, "idiot": 3}, first_phase="day", **NAMED),
    _case("N(8, 2), a mayor with two votes", 8, {"werewolf": 2, "mayor": 1}, **NAMED),
    _case(
        "N(8, 2), 2 mayors break ties, else they put out nobody",
        *(8, {"werewolf": 2, "mayor": 2}),
        mayor_vote="tiebreak",
        vote_tie="none",
        **NAMED,
    ),
    _case(
        "N(8, 2), strict majority, else the two most named once more",
        *(8, {"werewolf": 2}),
        vote_rule="majority",
        vote_tie="revote",
        **NAMED,
    ),
    _case(
        "N(8, 2), 2 doctors, neither the same twice running",
        *(8, {"werewolf": 2, "doctor": 2}),
        doctor_repeat_save=False,
        **NAMED,
    ),
    _case(
        "12 players, witch, hunter, idiot, mayor, masons, majority and runoff, votes in turn",
        *(12, {"werewolf": 3, "witch": 1, "hunter": 1, "idiot": 1, "mayor": 1, "mason": 2}),
        vote_rule="majority",
        vote_tie="revote",
        voting="sequential",
    ),
)


class Played(msgspec.Struct):
    """Games of one case so far: ``ends`` counts winners, and ``limit``."""

    settings: dict[str, Any]
    chunks: list[int] = []
    ends: dict[str, int] = {}

    @property
    def games(self) -> int:
        """How many."""
        return sum(self.ends.values())


class Run(msgspec.Struct):
    """The state file."""

    games: int
    seed: int
    cases: dict[str, Played]


class Chunk(NamedTuple):
    """Some games of a case: its place in :data:`CASES`, their number in the run, how many."""

    case: int
    number: int
    games: int
    seed: int


def play(chunk: Chunk) -> tuple[Chunk, dict[str, int]]:
    """How a chunk's games end: every choice uniform over the request's."""
    env = werewolf_v0.raw_env(discussion_rounds=0, wolf_chat_rounds=0, **CASES[chunk.case].settings)
    random = Random(f"{chunk.seed} {CASES[chunk.case].name} {chunk.number}")
    ends: Counter[str] = Counter()
    for _ in range(chunk.games):
        env.reset(seed=random.getrandbits(32))
        while not env.over:
            *_, info = env.last(observe=False)
            env.step(random.choice(info["request"].choices))
        ends[winner(env)] += 1
    return chunk, dict(ends)


def winner(env: WerewolfEnv) -> str:
    """The team that was paid for a win, or ``limit``: an episode would say it too, but slowly."""
    for agent, reward in env.rewards.items():
        if reward > 0:
            return team_of(str(env.view(agent).role))
    return "limit"


def missing(state: dict[str, Played], games: int, seed: int) -> Iterator[Chunk]:
    """Chunks that are not played yet."""
    for place, case in enumerate(CASES):
        for number in range(-(-games // CHUNK)):
            if number not in state[case.name].chunks:
                yield Chunk(place, number, min(CHUNK, games - number * CHUNK), seed)


def load(path: Path, games: int, seed: int) -> dict[str, Played]:
    """What was played with this seed and number of games, and with today's settings."""
    fresh = {case.name: Played(case.settings) for case in CASES}
    if not path.exists():
        return fresh
    run = msgspec.json.decode(path.read_bytes(), type=Run)
    if (run.games, run.seed) != (games, seed):
        raise SystemExit(
            f"{path} holds a run of {run.games} games with seed {run.seed}: "
            "finish that one, or name another --state"
        )
    for name, played in run.cases.items():
        if name in fresh and played.settings == fresh[name].settings:
            fresh[name] = played
    return fresh


def save(path: Path, run: Run) -> None:
    """Write the state so that it is whole, whenever the run is cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    part.replace(path)


def table(state: dict[str, Played]) -> str:
    """Wolf wins, exact and simulated, as Markdown; cases without games are left out."""
    lines = [
        "# Random play against exact odds",
        "",
        "Share of games that the wolves win when every choice is uniform over the legal ones:",
        "`omar_envs.werewolf.theory` against games of the real environment. D begins by day, N by",
        "night; n players with m wolves, wolves win at half of the living. Made by",
        "`python benchmarks/theory_check.py`.",
        "",
        "| case | games | exact | simulated | standard error | z |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    scores = []
    for case in CASES:
        games = state[case.name].games
        if not games:
            continue
        exact = case.odds.werewolf
        error = math.sqrt(exact * (1 - exact) / games)
        share = state[case.name].ends.get("werewolf", 0) / games
        scores.append((share - float(exact)) / error)
        fraction = f"{exact} = " if exact.denominator < 1000 else ""
        lines.append(
            f"| {case.name} | {games:,} | {fraction}{float(exact):.6f} "
            f"| {share:.6f} | {error:.6f} | {scores[-1]:+.2f} |"
        )
    if scores:
        squares = sum(score**2 for score in scores)
        lines += [
            "",
            f"Sum of z² {squares:.1f}, where {len(scores)} ± {math.sqrt(2 * len(scores)):.1f} is "
            f"expected; largest |z| {max(map(abs, scores)):.2f}.",
        ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Play what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=int, default=500_000, help="per case (default 500000)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, default=Path("runs/theory_check.json"))
    parser.add_argument("--target", type=Path, default=TARGET, help="where the table goes")
    options = parser.parse_args()
    console = Console(stderr=True)
    state = load(options.state, options.games, options.seed)
    todo = list(missing(state, options.games, options.seed))
    columns = (
        TextColumn("{task.description:.36}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns, console=console) as progress,
        multiprocessing.Pool(options.processes) as pool,
    ):
        task = progress.add_task(
            "games",
            total=options.games * len(CASES),
            completed=sum(played.games for played in state.values()),
        )
        for chunk, ends in pool.imap_unordered(play, todo):
            case = CASES[chunk.case]
            played = state[case.name]
            played.chunks.append(chunk.number)
            for end, number in ends.items():
                played.ends[end] = played.ends.get(end, 0) + number
            save(options.state, Run(options.games, options.seed, state))
            progress.update(task, advance=chunk.games, description=case.name)
    text = table(state)
    options.target.parent.mkdir(parents=True, exist_ok=True)
    options.target.write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
