"""``omar-envs eval``: policies against one another."""

from __future__ import annotations

import json as json_text
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omar_envs.cli_help import About
from omar_envs.cli_options import (
    OUTPUT_PANEL,
    POLICIES,
    SETTINGS,
    Batch,
    EnvName,
    Overwrite,
    Preset,
    Seed,
    Settings,
    Temperature,
    TemperatureChoose,
    complete_policy,
    game,
    natural,
    new_file,
    policy_option,
    positive,
)
from omar_envs.errors import ConfigError
from omar_envs.terminal import printable, progress, show, show_json

if TYPE_CHECKING:
    from omar_envs.arena import Bench, Cluster, Spending
    from omar_envs.metering import Prices

STANDARD_OUTPUT = "-"
LOCAL = "local"
RUBRICS = ("sotopia", "omar")

ABOUT = About(
    "Compare policies: every seed is played with all rotations of teams or seats.",
    "omar-envs eval --a scripted --b random --games 200",
    """\
Win rates per team and role where there are two teams, else rewards per seat,
with 95% intervals; a permutation test over the seeds; how many games more would
settle it. More than two entrants play round robin and are rated (--entrant
NAME, repeated).
With --out every finished game is kept: the same command goes on where it was
stopped, and pays for nothing twice. --games may grow from one time to the next.
--ray and --json stand alone or with a value. docs/arena.md has the statistics.
Needs pip install 'omar-envs[arena]' for ratings, scenarios and reports.

"""
    + POLICIES
    + "\n"
    + SETTINGS,
    bare={"--json": STANDARD_OUTPUT, "--ray": LOCAL},
)

_MANY_PANEL = "More than two entrants"
_COST_PANEL = "Endpoints"
_JUDGE_PANEL = "Judges"
_RAY_PANEL = "On a cluster"


def command(
    a: Annotated[str | None, policy_option("--a", help="the one in question")] = None,
    b: Annotated[str | None, policy_option("--b", help="the one it is held against")] = None,
    entrant: Annotated[
        list[str] | None,
        typer.Option(
            "--entrant",
            metavar="POLICY",
            help="one of many; may be given several times",
            autocompletion=complete_policy,
            rich_help_panel=_MANY_PANEL,
        ),
    ] = None,
    nash: Annotated[
        bool,
        typer.Option(
            "--nash", help="also the Nash average of the cross table", rich_help_panel=_MANY_PANEL
        ),
    ] = False,
    games: Annotated[
        int,
        typer.Option("--games", metavar="N", parser=positive, help="of every two; mostly even"),
    ] = 200,
    control: Annotated[
        bool,
        typer.Option(
            "--control/--no-control",
            help="of two, also the second in every seat, once per seed",
        ),
    ] = True,
    seed: Seed = 0,
    batch: Batch = 256,
    env: EnvName = None,
    preset: Preset = None,
    settings: Settings = None,
    temperature: Temperature = None,
    temperature_choose: TemperatureChoose = None,
    prices: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--prices",
            metavar="PROMPT COMPLETION",
            help="per million tokens, of every endpoint that plays",
            rich_help_panel=_COST_PANEL,
        ),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            "--price",
            metavar="POLICY=PROMPT,COMPLETION",
            help="of one endpoint; may be given several times",
            rich_help_panel=_COST_PANEL,
        ),
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            "--max-cost",
            metavar="COST",
            help="of each endpoint that plays, in the whole run; needs prices",
            rich_help_panel=_COST_PANEL,
        ),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            metavar="URL#MODEL",
            help="scores every game; may be given several times, for a panel",
            rich_help_panel=_JUDGE_PANEL,
        ),
    ] = None,
    rubric: Annotated[
        list[str] | None,
        typer.Option(
            "--rubric",
            metavar="NAME",
            help="sotopia, omar or a file in YAML; several  (default: sotopia and omar)",
            rich_help_panel=_JUDGE_PANEL,
        ),
    ] = None,
    judge_prices: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--judge-prices",
            metavar="PROMPT COMPLETION",
            help="per million tokens, of every judge",
            rich_help_panel=_JUDGE_PANEL,
        ),
    ] = None,
    judge_max_cost: Annotated[
        float | None,
        typer.Option(
            "--judge-max-cost",
            metavar="COST",
            help="of this session, shared evenly by judges and rubrics; needs --judge-prices",
            rich_help_panel=_JUDGE_PANEL,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="[ADDRESS]",
            help="spread the games over a Ray cluster; alone: one started on this machine",
            rich_help_panel=_RAY_PANEL,
        ),
    ] = None,
    ray_workers: Annotated[
        int | None,
        typer.Option(
            "--ray-workers",
            metavar="N",
            parser=natural,
            help="processes that play  (default: one for each CPU)",
            rich_help_panel=_RAY_PANEL,
        ),
    ] = None,
    ray_gpus: Annotated[
        float,
        typer.Option(
            "--ray-gpus",
            metavar="X",
            help="what each worker asks for of a GPU",
            rich_help_panel=_RAY_PANEL,
        ),
    ] = 0.0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="keep every game; the same command goes on there",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="PATH",
            help="a page in .html, .md or .png, or a folder for all of them",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    json: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="[FILE]",
            help="the result; alone: on standard output, and nothing else there",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Play, compare, and show it."""
    from omar_envs.arena import evaluate
    from omar_envs.arena.rendering import show_sections
    from omar_envs.arena.report import check_report
    from omar_envs.arena.sections import sections
    from omar_envs.by_name import Sampling
    from omar_envs.transcript import replace_file

    names = _entrants(a, b, entrant or [])
    file = None if json in (None, STANDARD_OUTPUT) else new_file(Path(str(json)), overwrite)
    if report is not None:
        if report.is_file():
            new_file(report, overwrite)
        check_report(report)
    played = game(names, env, settings, preset)
    with ExitStack() as stack:
        stack.enter_context(_the_way_on(out))
        update = stack.enter_context(_progress())
        benches = stack.enter_context(
            _benches(judge or [], rubric or [], judge_prices, judge_max_cost)
        )
        found = evaluate(
            names,
            env=played.env,
            settings=played.settings,
            games=games,
            seed=seed,
            control=control,
            batch=batch,
            out=out,
            benches=benches,
            cluster=_cluster(ray, ray_workers, ray_gpus),
            sampling=Sampling(temperature, temperature_choose),
            spending=_spending(prices, price or [], max_cost),
            nash=nash,
            progress=update,
        )
    # Of two, what scripts want is the comparison itself.
    text = found.matches[0].to_json() if len(names) == 2 else found.to_json()
    written = [] if report is None else found.report(report)
    if file is not None:
        replace_file(file, [text.encode("utf-8"), b"\n"])
    if json == STANDARD_OUTPUT:
        show_json(json_text.loads(text))
        return
    show_sections(sections(found, whole=False))
    for path in written:
        show(f"{path} is written")


def _entrants(a: str | None, b: str | None, more: Sequence[str]) -> list[str]:
    names = [name for name in (a, b) if name is not None] + list(more)
    if a is None and not more:
        raise ConfigError("--a is missing: name the policy in question (see omar-envs eval --help)")
    if len(names) < 2:
        raise ConfigError(
            "--b is missing: name what it is held against (see omar-envs eval --help)"
        )
    return names


def _spending(
    everybody: tuple[float, float] | None, single: Sequence[str], max_cost: float | None
) -> Spending:
    from omar_envs.arena import Spending
    from omar_envs.metering import Prices

    prices: dict[str, Prices] = {} if everybody is None else {"": Prices(*everybody)}
    for text in single:
        name, equals, pair = text.rpartition("=")
        numbers = [_number(part) for part in pair.split(",")]
        if not equals or len(numbers) != 2 or not all(map(math.isfinite, numbers)):
            raise ConfigError(f"--price takes POLICY=PROMPT,COMPLETION: got {text!r}")
        prices[name] = Prices(*numbers)
    return Spending(prices, max_cost)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _cluster(address: str | None, workers: int | None, gpus: float) -> Cluster | None:
    from omar_envs.arena import Cluster

    if address is None:
        if workers is not None or gpus:
            raise ConfigError("--ray-workers and --ray-gpus go with --ray: add it")
        return None
    return Cluster(None if address == LOCAL else address, workers, gpus)


@contextmanager
def _benches(
    judges: Sequence[str],
    rubrics: Sequence[str],
    prices: tuple[float, float] | None,
    max_cost: float | None,
) -> Iterator[Mapping[str, Bench]]:
    if not judges:
        if rubrics or prices or max_cost is not None:
            raise ConfigError(
                "--rubric, --judge-prices and --judge-max-cost go with --judge: add it"
            )
        yield {}
        return
    from omar_envs.arena import benches_by_url
    from omar_envs.metering import Prices

    pair = None if prices is None else Prices(*prices)
    with benches_by_url(judges, rubrics or RUBRICS, prices=pair, max_cost=max_cost) as benches:
        yield benches


@contextmanager
def _the_way_on(out: Path | None) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if out is not None:
            told = f"stopped; the finished games are in {out}, and the same command goes on"
            print(printable(f"\n{told}"), end="", file=sys.stderr)
        raise


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """One bar after another, each where somebody watches it."""
    with ExitStack() as stack:
        bars: dict[str, Callable[[int], None] | None] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in bars:
                stack.close()
                bars[what] = stack.enter_context(progress(what, total))
            bar = bars[what]
            if bar is not None:
                bar(done)

        yield update
