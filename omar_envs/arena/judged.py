"""Judges' scores of the games of an arena: both sides by the same bench, failures apart."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean

from omar_envs.arena.benches import Bench
from omar_envs.arena.comparison import Played, by_block, measured
from omar_envs.arena.results import Judged, Measures, agreement_fields
from omar_envs.arena.statistics import Difference, mean_difference
from omar_envs.judge import Judgement, agreement, judge_all
from omar_envs.judge.saved import JudgedEpisode, JudgedWriter, read_judged
from omar_envs.judging import mean_score
from omar_envs.transcript import encode
from omar_envs.types import JudgeResult
from omar_envs.werewolf.estimates import Observation

OVERALL = "overall"
"""The plain mean of a participant's scores."""

_KINDS_TOLD = 5


def judge_games(
    bench: Bench,
    games: Sequence[Played],
    file: Path | None,
    progress: Callable[[int], None] | None,
) -> list[Judgement]:
    """Judge games, but not those whose sound judgement is in the file already.

    Args:
        bench: who judges.
        games: finished ones.
        file: judgements are appended there as they come; ``None`` keeps none.
        progress: called with the number judged.

    Returns:
        one for each game, in order.

    Raises:
        EpisodeError: the file cannot be used.
    """
    names = [hashlib.sha256(encode(game.episode)).hexdigest() for game in games]
    known: dict[str, JudgedEpisode] = {}
    if file is not None:
        known = {line.episode: line for line in read_judged(file) if line.setup == bench.setup}
    sound = {name for name, line in known.items() if line.result.status == "ok"}
    todo = [number for number, name in enumerate(names) if name not in sound]
    done = len(games) - len(todo)
    with ExitStack() as stack:
        writer = None if file is None else stack.enter_context(JudgedWriter(file))

        def keep(number: int, judgement: Judgement) -> None:
            nonlocal done
            at = todo[number]
            parts = judgement.parts if len(judgement.parts) > 1 else ()
            line = JudgedEpisode(at, names[at], bench.setup, judgement.result, parts)
            known[names[at]] = line
            if writer is not None:
                writer.write(line)
            done += 1
            if progress is not None:
                progress(done)

        judge_all(bench.judge, [games[number].episode for number in todo], keep)
    return [known[name].judgement for name in names]


def judged(games: Sequence[Played], judgements: Sequence[Judgement]) -> Judged:
    """What judgements of the games of one pair say of A and B.

    Args:
        games: A against B, whole blocks.
        judgements: of each.
    """
    a, b = games[0].plan.pair
    results = {
        id(game): judgement.result for game, judgement in zip(games, judgements, strict=True)
    }
    statuses = Counter(result.status for result in results.values())
    errors = Counter(result.error for result in results.values() if result.status != "ok")
    return Judged(
        ok=statuses["ok"],
        failed=statuses["failed"],
        refused=statuses["refused"],
        a=_means(games, results, a),
        b=_means(games, results, b),
        differences=_differences(games, results),
        agreement={
            name: agreement_fields(found)
            for name, found in agreement(judgement.parts for judgement in judgements).items()
            if found.units
        },
        errors=dict(errors.most_common(_KINDS_TOLD)),
    )


def _means(games: Sequence[Played], results: Mapping[int, JudgeResult], entrant: int) -> Measures:
    def observe(game: Played) -> list[Observation]:
        result = results[id(game)]
        if result.status != "ok":
            return []
        return [
            Observation(name, score)
            for agent in game.agents_of(entrant)
            for name, score in _row(result, agent).items()
        ]

    return measured(games, observe, lambda name: "mean")


def _differences(
    games: Sequence[Played], results: Mapping[int, JudgeResult]
) -> dict[str, Difference]:
    a, b = games[0].plan.pair
    found: dict[str, list[float]] = {}
    for block in by_block(games):
        # Where one game of a seed is missing, A and B have not had the same seats.
        if any(results[id(game)].status != "ok" for game in block):
            continue
        rows: dict[str, list[float]] = {}
        for game in block:
            own, other = (_side(game, results[id(game)], entrant) for entrant in (a, b))
            for name, score in own.items():
                rows.setdefault(name, []).append(score - other[name])
        for name, ahead in rows.items():
            found.setdefault(name, []).append(fmean(ahead))
    return {name: mean_difference(values) for name, values in found.items()}


def _side(game: Played, result: JudgeResult, entrant: int) -> dict[str, float]:
    """Mean over the entrant's seats."""
    rows = [_row(result, agent) for agent in game.agents_of(entrant)]
    return {name: fmean(row[name] for row in rows) for name in rows[0]}


def _row(result: JudgeResult, agent: str) -> dict[str, float]:
    return (result.scores or {})[agent] | {OVERALL: mean_score(result, agent)}
