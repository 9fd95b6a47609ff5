"""Tables and curves of ``benchmarks.estimators``, from the results that are there."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.estimators_curves import plot_curves
from benchmarks.estimators_found import REFERENCE, Found, against, find
from benchmarks.estimators_runs import FACT_GAMES, chosen
from benchmarks.estimators_settings import METHODS, Options, Setting
from benchmarks.estimators_statistics import (
    Estimate,
    mean_over_seeds,
    paired_difference,
    spread_over_seeds,
)
from omar_envs.arena import Rate, Score

RESULTS = Path(__file__).parent / "results"


def write_report(out: Path, settings: Sequence[Setting], seeds: Sequence[int]) -> str:
    """Write ``estimators.md`` and the curves of what is there. -> the tables"""
    found = [f for setting in settings if (f := find(out, setting, seeds)) is not None]
    lines = [
        "# Do hierarchical advantages help? Five estimators over training seeds",
        "",
        "Made by `python -m benchmarks.estimators`, then the same with `--summary`. Within a",
        "setting every run plays equally many games. Scores are shares of games won, a draw",
        "half, every deal played twice with the teams swapped; 0.5 is no difference.",
        "Intervals are 95%: Student's over training seeds for means and for differences",
        f"paired by seed (estimator minus `{REFERENCE}`), chi-square for the spread between",
        "seeds, the variance between deals for a single arena. They are not corrected for how",
        "many there are: of 20 true zeros one is expected outside its interval.",
    ]
    for one in found:
        lines += ["", *_setting(one)]
    drawn = [one for one in found if one.seeds]
    if drawn:
        RESULTS.mkdir(exist_ok=True)
        plot_curves(RESULTS / "estimators.png", drawn)
        lines += ["", "![learning curves and final scores](estimators.png)"]
    text = "\n".join(lines) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "estimators.md").write_text(text, encoding="utf-8")
    return text


def _setting(found: Found) -> Iterator[str]:
    setting = found.setting
    yield f"## `{setting.name}`: {setting.about}"
    yield ""
    yield from _start(found)
    yield ""
    yield "### Tuning"
    yield ""
    yield from _tuning(found)
    if not found.seeds:
        return
    yield ""
    yield f"### {len(found.seeds)} training seeds"
    yield ""
    yield from _main_table(found)
    yield ""
    yield from _versus_table(found)
    yield ""
    yield from _per_seed(found)
    yield ""
    yield from _courses(found)
    yield ""
    yield from _reading(found)


def _start(found: Found) -> Iterator[str]:
    facts, setting = found.facts, found.setting
    built = "the package's house model"
    if setting.start is not None:
        built += f" after {setting.start.games} more scripted games at noise {setting.start.noise}"
    if setting.lessons:
        rounds = ", ".join(map(str, setting.lessons))
        built += f", a share of 1/{1 + len(setting.lessons)} of them this one and the others alike "
        built += f"with {rounds} rounds of talk"
    random = facts.random
    teams = ("werewolf", "village")
    against_random = ", ".join(
        f"as {team} {_rate(random.a.by_team[team])} (random {_rate(random.b.by_team[team])})"
        for team in teams
    )
    for line in (
        f"Recipe `{setting.recipe}`{_other(setting.options)}. Start: {built}; "
        f"{facts.parameters:,} parameters.",
        f"A seat of the start makes {facts.turns:.1f} turns; its row has {facts.tokens:.0f} "
        f"tokens, {facts.own_tokens:.0f} of them its own; the longest of {FACT_GAMES} games has "
        f"{facts.longest}, {facts.truncated:.2%} were closed at the context's end.",
        "Choices are constrained to the legal names; without that "
        f"{facts.invalid_acts:.2%} of them could not be read.",
        f"Start against random players {_score(random.score)}: {against_random}.",
        f"Start against itself {_score(facts.itself.score)}.",
    ):
        yield _item(line)


def _tuning(found: Found) -> Iterator[str]:
    setting = found.setting
    yield textwrap.fill(
        f"{setting.tuning_iterations} iterations on one seed that is not reported; the trial with "
        f"the largest area is chosen. {setting.tuning_games} games per point: small differences "
        "mean little.",
        100,
    )
    yield ""
    yield "| estimator | trial | area | final : start | |"
    yield "|---|---|---|---|---|"
    for method, trials in found.trials.items():
        for trial in trials:
            mark = "chosen" if trial is chosen(trials) else ""
            yield (
                f"| {method} | {_options(trial.options)} | {trial.area:.3f} "
                f"| {_score(trial.final.score)} | {mark} |"
            )


def _main_table(found: Found) -> Iterator[str]:
    setting = found.setting
    games = next(iter(found.runs[REFERENCE].values())).games
    yield textwrap.fill(
        f"{setting.iterations} iterations, {games} games per run. A final model plays "
        f"{setting.final_games} games against the start, each of {setting.curve_points - 1} "
        f"snapshots {setting.curve_games}, two final models of one seed {setting.versus_games}.",
        100,
    )
    yield ""
    yield (
        "| estimator | final : start | minus hierarchical | area under the curve "
        "| minus hierarchical | final : others' finals | spread of final between seeds |"
    )
    yield "|---|---|---|---|---|---|---|"
    for method in METHODS:
        finals, areas = found.finals(method), found.areas(method)
        others = found.against_others(method)
        yield (
            f"| {method} | {_mean(finals)} | {_minus(found.finals, method)} "
            f"| {_mean(areas)} | {_minus(found.areas, method)} "
            f"| {_mean(others) if others else ''} | {_spread(finals)} |"
        )


def _versus_table(found: Found) -> Iterator[str]:
    if not found.versus:
        return
    yield "Row's final model against column's, mean over seeds:"
    yield ""
    yield "| | " + " | ".join(METHODS) + " |"
    yield "|---" * (len(METHODS) + 1) + "|"
    for method in METHODS:
        cells = [
            ""
            if other == method
            else str(
                mean_over_seeds([against(one, method, other) for one in found.versus.values()])
            )
            for other in METHODS
        ]
        yield f"| {method} | " + " | ".join(cells) + " |"


def _per_seed(found: Found) -> Iterator[str]:
    yield "Final model against the start by seed, with the arena's own interval:"
    yield ""
    yield "| seed | " + " | ".join(METHODS) + " |"
    yield "|---" * (len(METHODS) + 1) + "|"
    for seed in found.seeds:
        cells = [_score(found.runs[method][seed].final.score) for method in METHODS]
        yield f"| {seed} | " + " | ".join(cells) + " |"


def _courses(found: Found) -> Iterator[str]:
    yield "Means over seeds:"
    yield ""
    yield (
        "| estimator | as werewolf | as village | entropy, first and last iteration "
        "| own tokens per row, first and last | explained variance, last quarter "
        "| training s | arena s |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for method in METHODS:
        runs = list(found.runs[method].values())
        teams = [
            fmean(run.final.a.by_team[team].rate or 0.0 for run in runs)
            for team in ("werewolf", "village")
        ]
        explained = [
            fmean(run.explained_variance[-(len(run.entropy) // 4) :])
            for run in runs
            if run.explained_variance
        ]
        yield (
            f"| {method} | {teams[0]:.3f} | {teams[1]:.3f} "
            f"| {fmean(run.entropy[0] for run in runs):.3f}, "
            f"{fmean(run.entropy[-1] for run in runs):.3f} "
            f"| {fmean(run.own_tokens[0] for run in runs):.1f}, "
            f"{fmean(run.own_tokens[-1] for run in runs):.1f} "
            f"| {f'{fmean(explained):.3f}' if explained else 'no critic'} "
            f"| {fmean(run.train_seconds for run in runs):.0f} "
            f"| {fmean(run.arena_seconds for run in runs):.0f} |"
        )
    itself = found.facts.itself.a.by_team
    yield (
        f"| start : start | {itself['werewolf'].rate:.3f} | {itself['village'].rate:.3f} "
        "| | | | | |"
    )


def _reading(found: Found) -> Iterator[str]:
    """What the numbers say and what they cannot."""
    if len(found.seeds) < 2:
        yield "One seed: nothing can be said of differences between estimators."
        return
    learned = [m for m in METHODS if mean_over_seeds([*found.finals(m).values()]).low > 0.5]
    yield _item(
        "Better than the start over seeds (interval above 0.5): "
        f"{', '.join(learned) if learned else 'none'}."
    )
    for what, of in (("final score", found.finals), ("area", found.areas)):
        differences = {
            m: paired_difference(of(m), of(REFERENCE)) for m in METHODS if m != REFERENCE
        }
        apart = [f"{m} ({d})" for m, d in differences.items() if d.excludes_zero]
        widest = max((d.high - d.low) / 2 for d in differences.values())
        yield _item(
            f"Differences to `{REFERENCE}` in {what} whose interval excludes zero: "
            f"{', '.join(apart) if apart else 'none'}. The intervals reach {widest:.3f} or less "
            "to either side: a smaller difference than that could have been missed."
        )


def _item(text: str) -> str:
    return textwrap.fill(f"- {text}", 100, subsequent_indent="  ", break_on_hyphens=False)


def _minus(of: Any, method: str) -> str:
    return "" if method == REFERENCE else str(paired_difference(of(method), of(REFERENCE)))


def _mean(values: Mapping[int, float]) -> str:
    return str(mean_over_seeds([*values.values()]))


def _spread(values: Mapping[int, float]) -> str:
    return str(spread_over_seeds([*values.values()])) if len(values) > 1 else ""


def _score(score: Score) -> str:
    return str(Estimate(score.mean, score.low, score.high))


def _rate(rate: Rate) -> str:
    return "no games" if rate.rate is None else f"{rate.rate:.3f}"


def _options(options: Options) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in options.items())


def _other(options: Options) -> str:
    return f" with {_options(options)}" if options else ""
