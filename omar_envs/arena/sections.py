"""What is told of results: tables of words, for a terminal, a page, or a file to paste from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from omar_envs.arena.results import ArenaResult, Judged, Measures, Rate, Score, Tournament
from omar_envs.arena.statistics import CONFIDENCE, Difference
from omar_envs.metering import Usage
from omar_envs.werewolf.measures import MEASURES

_TOLD_AT_ONCE = {
    "concealment": "concealment",
    "voting_manipulation": "manipulation",
    "wolf_kill_agreement": "kill agreement",
    "wolf_vote_agreement": "wolves agree",
    "village_vote_agreement": "village agrees",
    "votes_hit_wolf": "votes hit wolf",
    "investigations_hit_wolf": "seer hits wolf",
    "survival": "survival",
    "accusing_speeches": "accusations",
    "repeated_speeches": "repetition",
}
"""Werewolf's measures that a terminal shows, and as what; pages show all."""


class Section(NamedTuple):
    """One table.

    Attributes:
        title: "" of the first one.
        header: column headings.
        rows: cells; the first one says what the row is of.
        notes: sentences below it.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def sections(found: Tournament, *, whole: bool) -> list[Section]:
    """All that is told of a run.

    Args:
        found: the run.
        whole: all measures and every pair in detail, as a page shows them, or what goes
            on a screen.
    """
    told: list[Section] = []
    if len(found.entrants) > 2:
        told += [_ratings(found), _cross_table(found), _pairs(found)]
    if len(found.entrants) == 2 or whole:
        for match in found.matches:
            title = "" if len(found.matches) == 1 else f"{match.a.name} against {match.b.name}"
            told += match_sections(match, title=title, whole=whole)
    if any(usage.requests for usage in found.usage.values()):
        told.append(_usage(found.usage))
    if whole:
        told.append(_run(found))
    return told


def match_sections(match: ArenaResult, *, title: str = "", whole: bool = True) -> list[Section]:
    """All that is told of two entrants."""
    told = [result_section(match, title)]
    told += [
        section
        for section in (
            _roles(match),
            _measures(
                "Reward of a seat", "", match.a.rewards, match.b.rewards, match.control_rewards
            )
            if whole or not match.has_teams
            else None,
            _measures("Outcome", "", match.a.outcomes, match.b.outcomes, match.control_outcomes),
        )
        if section is not None
    ]
    for name, judged in match.judged.items():
        told += _judged(name, judged, whole)
    if match.probes:
        told.append(_probes(match, whole))
    return told


def result_section(match: ArenaResult, title: str = "") -> Section:
    """Who won how often, and whether that settles it."""
    teams = sorted(match.a.by_team)
    rows = [
        ("A: " + match.a.name, *_rates(match.a.by_team, teams), _score(match.score)),
        ("B: " + match.b.name, *_rates(match.b.by_team, teams), _score(match.score_of_b)),
    ]
    if match.control:
        rows.append(("control: B alone", *_rates(match.control, teams), ""))
    if teams and 0 < match.clean_games < match.games:
        for letter, entrant in (("A", match.a), ("B", match.b)):
            cells = _rates(entrant.by_team_clean, teams)
            rows.append((f"{letter}, no invalid act", *cells, ""))
    last = "both teams" if teams else "score"
    return Section(title, ("", *teams, last), tuple(rows), tuple(match.notes()))


def cell(value: float | None, low: float | None, high: float | None) -> str:
    """``0.512 [0.43, 0.59]``; "–" without a value."""
    if value is None:
        return "–"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.2f}, {high:.2f}]"


def _roles(match: ArenaResult) -> Section | None:
    # Where each team has but one role, the rates by team say it.
    names = sorted({*match.a.by_role, *match.b.by_role})
    if len(names) <= len(match.a.by_team):
        return None
    rows = tuple(
        (
            name,
            *(_rates({name: rates[name]}, [name])[0] if name in rates else "–" for rates in both),
        )
        for name in names
        for both in [(match.a.by_role, match.b.by_role)]
    )
    return Section(
        "Win rate by role",
        ("", "A", "B"),
        rows,
        ("Games in which the entrant had a seat of that role, won by that seat's team.",),
    )


def _measures(title: str, note: str, a: Measures, b: Measures, control: Measures) -> Section | None:
    names = list(dict.fromkeys([*a, *b, *control]))
    if not names:
        return None
    columns = [a, b, *([control] if control else [])]
    rows = tuple((name, *(_measure(column, name) for column in columns)) for name in names)
    header = ("", "A", "B", *(["B alone"] if control else []))
    return Section(title, header, rows, (note,) if note else ())


def _judged(name: str, judged: Judged, whole: bool) -> Iterator[Section]:
    names = list(dict.fromkeys([*judged.a, *judged.b]))
    rows = tuple(
        (
            dimension.replace("_", " "),
            *(_measure(side, dimension, interval=whole) for side in (judged.a, judged.b)),
            *_compared(judged.differences.get(dimension)),
        )
        for dimension in names
    )
    notes = [
        f"{judged.ok} games judged; {judged.failed} failed, {judged.refused} refused: these are "
        "in no mean. Differences are over the seeds whose games were all judged."
    ]
    notes += [f"{count} times: {error[:200]}" for error, count in judged.errors.items()]
    yield Section(f"Judged by {name}", ("", "A", "B", "A minus B", "p"), rows, tuple(notes))
    if judged.agreement:
        yield Section(
            f"Agreement of the judgements by {name}",
            ("", "mean deviation", "Krippendorff's alpha", "participants"),
            tuple(
                (
                    dimension.replace("_", " "),
                    _plain(found["deviation"]),
                    _plain(found["alpha"]),
                    str(found["units"]),
                )
                for dimension, found in judged.agreement.items()
            ),
        )


def _compared(difference: Difference | None) -> tuple[str, str]:
    if difference is None:
        return "–", "–"
    return cell(difference.mean, difference.low, difference.high), f"{difference.p_value:.2g}"


def _probes(match: ArenaResult, whole: bool) -> Section:
    names = list(dict.fromkeys(name for found in match.probes.values() for name in found))
    if not whole:
        names = [name for name in _TOLD_AT_ONCE if name in names]
    rows = tuple(
        (
            _meaning(name) if whole else _TOLD_AT_ONCE[name],
            *(_measure(c, name) for c in match.probes.values()),
        )
        for name in names
    )
    note = "" if whole else "Ten of the measures of play; a report (--report) has all of them."
    return Section("Play", ("", *match.probes), rows, (note,) if note else ())


def _meaning(name: str) -> str:
    base, _, part = name.partition("/")
    return f"{MEASURES[base].meaning}{f': {part}' if part else ''}"


def _ratings(found: Tournament) -> Section:
    nash = any(rating.nash is not None for rating in found.ratings)
    rows = tuple(
        (
            rating.name,
            f"{rating.elo:+.0f} [{rating.low:+.0f}, {rating.high:+.0f}]",
            f"{rating.mu:.1f} ± {rating.sigma:.1f}",
            *([_plain(rating.nash)] if nash else []),
        )
        for rating in found.ratings
    )
    return Section(
        "",
        ("", "Elo", "openskill", *(["Nash average"] if nash else [])),
        rows,
        (
            f"Elo: Bradley–Terry strengths, their mean 0, {CONFIDENCE:.0%} intervals from a "
            "bootstrap over seeds. openskill: mean ± standard deviation.",
        ),
    )


def _cross_table(found: Tournament) -> Section:
    order = [rating.name for rating in found.ratings]
    rows = tuple(
        (
            f"{number}: {name}",
            *("" if name == other else f"{found.score(name, other).mean:.3f}" for other in order),
        )
        for number, name in enumerate(order, start=1)
    )
    header = ("score of row against", *(str(number) for number in range(1, len(order) + 1)))
    return Section("Cross table", header, rows, ("A draw counts half.",))


def _pairs(found: Tournament) -> Section:
    rows = []
    for match in found.matches:
        settling = match.settling
        more = "" if settling is None or settling.settled else _plain(settling.more)
        rows.append((f"{match.a.name} – {match.b.name}", *_compared(match.difference), more))
    return Section(
        "Pairs",
        ("", "difference", "p", "games more"),
        tuple(rows),
        (
            "Difference of win rates (of mean rewards where there are no two teams), paired by "
            "seed; p of a sign-flip test, not corrected for the number of pairs; how many games "
            "more would settle it, if things are as they look.",
        ),
    )


def _usage(usages: Mapping[str, Usage]) -> Section:
    rows = tuple(
        (
            name,
            f"{used.requests}",
            f"{used.failures}",
            f"{used.prompt_tokens} + {used.completion_tokens}",
            "unknown" if used.cost is None else f"{used.cost:.4f}",
        )
        for name, used in usages.items()
    )
    costs = [used.cost for used in usages.values() if used.cost is not None]
    total = "Cost in all" if len(costs) == len(usages) else "Cost of those whose prices are known"
    notes = (f"{total}: {sum(costs):.4f}.",) if costs else ("No prices were given.",)
    return Section("Endpoints", ("", "requests", "failed", "tokens", "cost"), rows, notes)


def _run(found: Tournament) -> Section:
    rows = [("environment", found.env)]
    rows += [(name, json.dumps(value)) for name, value in found.settings.items()]
    rows += [("run", str(found.seed))]
    return Section("The run", ("setting", "value"), tuple(rows))


def _measure(column: Measures, name: str, *, interval: bool = True) -> str:
    found = column.get(name)
    if found is None or found.value is None:
        return "–"
    if found.low is None or not interval:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _rates(rates: Mapping[str, Rate], names: Sequence[str]) -> list[str]:
    return [cell(rates[name].rate, rates[name].low, rates[name].high) for name in names]


def _score(score: Score) -> str:
    return cell(score.mean, score.low, score.high)


def _plain(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value}" if isinstance(value, int) else f"{value:.2f}"
