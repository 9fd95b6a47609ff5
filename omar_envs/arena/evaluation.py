"""The whole of an evaluation: plan, play or go on, judge, compare, rate."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from omar_envs.arena import cluster as ray_cluster
from omar_envs.arena import ratings as rating
from omar_envs.arena.benches import Bench
from omar_envs.arena.cluster import Cluster, play_on_cluster
from omar_envs.arena.comparison import WEREWOLF, Played, compared, score_of_a
from omar_envs.arena.entrants import (
    NOTHING_KNOWN,
    Contestant,
    Spending,
    check_distinct,
    contestants,
)
from omar_envs.arena.folder import RESULT, RunFolder, added
from omar_envs.arena.judged import judge_games, judged
from omar_envs.arena.libraries import needs
from omar_envs.arena.playing import Job, Players, play_plans
from omar_envs.arena.results import ArenaResult, Rating, Tournament
from omar_envs.arena.schedule import (
    Plan,
    TeamOf,
    check_games,
    deals,
    games_per_seed,
    has_two_teams,
    plans,
)
from omar_envs.by_name import AS_TRAINED, Game, Sampling, game_for
from omar_envs.errors import ConfigError, OmarError
from omar_envs.judge import Judgement
from omar_envs.metering import Usage
from omar_envs.transcript import replace_file
from omar_envs.types import Episode
from omar_envs.werewolf.rules import team_of as werewolf_team

Progress = Callable[[str, int, int], None]
"""Told what is being done (``games``, ``judged sotopia``), how much of it is done, and of
how much."""


def evaluate(
    entrants: Sequence[str | Contestant],
    *,
    env: str | None = None,
    settings: Mapping[str, Any] | None = None,
    games: int = 200,
    seed: int = 0,
    control: bool = True,
    batch: int = 256,
    out: str | Path | None = None,
    benches: Mapping[str, Bench] | None = None,
    cluster: Cluster | None = None,
    sampling: Sampling = AS_TRAINED,
    spending: Spending = NOTHING_KNOWN,
    nash: bool = False,
    progress: Progress | None = None,
) -> Tournament:
    """Let every two entrants play, each seed with all rotations, and compare them.

    ::

        result = evaluate(["scripted", "random"], env="werewolf", games=200)
        print(result.matches[0].table())

    In games of two teams wins are compared, elsewhere the rewards of the seats. The same
    arguments give the same result, whether a run was killed and went on, and whatever
    ``batch`` and ``cluster`` are, for entrants that draw per game (``random``, ``scripted``,
    :attr:`Contestant.per_game`) and for those that draw nothing. What a model samples,
    however, depends on what else is sampled beside it, and an endpoint promises nothing.

    Args:
        entrants: at least two: names as the command line takes them, or one's own.
        env: ``werewolf``, ``sotopia``; ``None`` for what the models were trained on.
        settings: arguments of the environment.
        games: of every two entrants; whole blocks of rotations, mostly even.
        seed: of the run: of the games, and of what is drawn in them.
        control: with two entrants, also play the second in every seat, once per seed.
        batch: at most this many games live at once (in each process).
        out: folder in which every game is kept as it ends. The same call goes on there;
            ``games`` may grow.
        benches: judges of every game of two entrants, by name of their rubric.
        cluster: play on a Ray cluster instead of in this process.
        sampling: of models in folders.
        spending: prices of endpoints, and what may be spent.
        nash: with more than two entrants, also give the Nash average.
        progress: told how it goes on.

    Raises:
        ConfigError: an argument is impossible, before any game is played; or a library is missing.
        PolicyError: an entrant failed. What was finished is in ``out``.
    """
    names = [entrant for entrant in entrants if isinstance(entrant, str)]
    game = game_for(names, env, dict(settings or {}))
    if batch < 1:
        raise ConfigError(f"batch must be at least 1: got {batch}")
    if cluster is not None:
        ray_cluster.check(cluster)
        if spending.max_cost is not None:
            raise ConfigError(
                "max_cost cannot be kept by many processes at once: leave out one of max_cost "
                "and the cluster"
            )
    for name in benches or {}:
        if not re.fullmatch(r"\w+", name):
            raise ConfigError(f"a bench's name is letters, digits and underscores: got {name!r}")
    team_of = _teams(game)
    schedule = _Schedule(
        game, tuple(_known(entrants, game, sampling, spending, {})), games, seed, control, team_of
    )
    all_plans = schedule.plans()
    labels = [entrant.name for entrant in schedule.entrants]
    if len(labels) > 2:
        rating.check()
    if team_of is None or benches:
        needs("scipy", "arena")
    folder = None if out is None else RunFolder(Path(out), schedule.asked(sampling))
    before = {} if folder is None else folder.spent()
    if spending.max_cost is not None:
        spent = {name: used.cost or 0.0 for name, used in before.items()}
        schedule = schedule._replace(
            entrants=tuple(_known(entrants, game, sampling, spending, spent))
        )
    job = Job(game.make, schedule.entrants, seed, batch)
    try:
        played, used = _play(job, all_plans, folder, cluster, progress)
    except OmarError as error:
        if folder is None:
            raise
        raise _with_the_way_on(error, folder.path) from error
    judgements = _judge(benches or {}, played, folder, progress)
    for rubric, bench in (benches or {}).items():
        used |= bench.usage(rubric)
    if folder is not None:
        folder.keep_usage(used)
    usage = dict(before)
    for name, session in used.items():
        usage[name] = added(usage[name], session) if name in usage else session
    tournament = Tournament(
        env=game.env,
        settings=game.settings,
        entrants=tuple(labels),
        matches=_matches(played, labels, seed, judgements),
        ratings=_ratings(labels, played, nash, seed) if len(labels) > 2 else (),
        usage=usage,
        seed=seed,
    )
    if folder is not None:
        replace_file(folder.path / RESULT, [tournament.to_json().encode("utf-8"), b"\n"])
    return tournament


def planned_games(entrants: int, games: int, *, per_seed: int = 2, control: bool = True) -> int:
    """How many games :func:`evaluate` plays in all.

    Args:
        entrants: how many.
        games: of every two.
        per_seed: games of a pair on each seed.
        control: as for :func:`evaluate`.
    """
    if entrants == 2 and control:
        return games + games // per_seed
    return games * entrants * (entrants - 1) // 2


class _Schedule(NamedTuple):
    """Who plays what how often."""

    game: Game
    entrants: tuple[Contestant, ...]
    games: int
    seed: int
    control: bool
    team_of: TeamOf | None

    def plans(self) -> list[Plan]:
        check_distinct(self.entrants)
        per_seed = games_per_seed(self.game.make, teams=self.team_of is not None)
        check_games(self.games, per_seed)
        dealt = deals(self.game.make, self.team_of, self.games // per_seed, self.seed)
        alone = self.control and len(self.entrants) == 2
        return plans(dealt, len(self.entrants), control=alone)

    def asked(self, sampling: Sampling) -> dict[str, Any]:
        return {
            "env": self.game.env,
            "settings": self.game.settings,
            "entrants": [entrant.identity or entrant.name for entrant in self.entrants],
            "games": self.games,
            "seed": self.seed,
            "control": self.control,
            "temperature": sampling.temperature,
            "temperature_choose": sampling.temperature_choose,
        }


def _known(
    entrants: Sequence[str | Contestant],
    game: Game,
    sampling: Sampling,
    spending: Spending,
    spent: Mapping[str, float],
) -> list[Contestant]:
    names = [entrant for entrant in entrants if isinstance(entrant, str)]
    if not names:
        return [entrant for entrant in entrants if isinstance(entrant, Contestant)]
    named = iter(contestants(names, game, sampling=sampling, spending=spending, spent=spent))
    return [next(named) if isinstance(entrant, str) else entrant for entrant in entrants]


def _teams(game: Game) -> TeamOf | None:
    """Team of a role, where the game is one of two teams."""
    if game.env == WEREWOLF and has_two_teams(game.make, werewolf_team):
        return werewolf_team
    game.make()  # what is wrong with its settings shows before anything else is done
    return None


def _play(
    job: Job,
    all_plans: Sequence[Plan],
    folder: RunFolder | None,
    cluster: Cluster | None,
    progress: Progress | None,
) -> tuple[list[Played], dict[str, Usage]]:
    names = [entrant.name for entrant in job.entrants]
    done = {} if folder is None else folder.finished(all_plans, names)
    todo = {number: plan for number, plan in enumerate(all_plans) if number not in done}
    used: dict[str, Usage] = {}

    def count() -> None:
        if progress is not None:
            progress("games", len(done), len(all_plans))

    def keep(number: int, episode: Episode) -> None:
        done[number] = episode
        if folder is not None:
            folder.keep(episode)
        count()

    def keep_usage(now: dict[str, Usage]) -> None:
        used.update(now)
        if folder is not None:
            folder.keep_usage(now)

    count()
    try:
        if todo and cluster is not None:
            play_on_cluster(job, todo, cluster, keep, keep_usage)
        elif todo:
            _play_here(job, todo, keep, keep_usage)
        played = [Played(plan, done[number]) for number, plan in enumerate(all_plans)]
        if folder is not None:
            folder.close(played)
    finally:
        if folder is not None:
            folder.close()
    return played, used


def _play_here(
    job: Job,
    todo: Mapping[int, Plan],
    keep: Callable[[int, Episode], None],
    keep_usage: Callable[[dict[str, Usage]], None],
) -> None:
    players = Players(job)

    def ended(number: int, episode: Episode) -> None:
        keep(number, episode)
        keep_usage(players.usage)

    try:
        play_plans(job, todo, players, ended)
    finally:
        keep_usage(players.usage)
        players.close()


def _with_the_way_on(error: OmarError, path: Path) -> OmarError:
    return type(error)(f"{error} The finished games are in {path}: the same command goes on there.")


def _judge(
    benches: Mapping[str, Bench],
    played: Sequence[Played],
    folder: RunFolder | None,
    progress: Progress | None,
) -> dict[str, dict[int, Judgement]]:
    """Rubric to game, by its number, to judgement."""
    numbers = [number for number, game in enumerate(played) if not game.plan.is_control]
    found = {}
    for name, bench in benches.items():

        def count(done: int, name: str = name, bench: Bench = bench) -> None:
            if folder is not None:
                folder.keep_usage(bench.usage(name))
            if progress is not None:
                progress(f"judged {name}", done, len(numbers))

        file = None if folder is None else folder.path / f"judged-{name}.jsonl"
        judgements = judge_games(bench, [played[number] for number in numbers], file, count)
        found[name] = dict(zip(numbers, judgements, strict=True))
    return found


def _matches(
    played: Sequence[Played],
    names: Sequence[str],
    seed: int,
    judgements: Mapping[str, Mapping[int, Judgement]],
) -> tuple[ArenaResult, ...]:
    pairs: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, game in enumerate(played):
        pairs[game.plan.pair].append(number)
    found = []
    for numbers in pairs.values():
        result = compared([played[number] for number in numbers], names, seed, probes=True)
        met = [number for number in numbers if not played[number].plan.is_control]
        told = {
            name: judged([played[number] for number in met], [each[number] for number in met])
            for name, each in judgements.items()
        }
        found.append(msgspec.structs.replace(result, judged=told))
    return tuple(found)


def _ratings(
    names: Sequence[str], played: Sequence[Played], nash: bool, seed: int
) -> tuple[Rating, ...]:
    games = [
        rating.Scored(game.plan.deal.block, *game.plan.pair, score_of_a(game)) for game in played
    ]
    return rating.ratings(names, games, nash=nash, seed=seed)
