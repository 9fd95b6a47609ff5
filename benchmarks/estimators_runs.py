"""The runs of ``benchmarks.estimators``: which there are, and how each is made."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from transformers import AutoModelForCausalLM

from benchmarks.estimators_settings import METHODS, TRIALS, Options, Setting
from benchmarks.estimators_statistics import area_under_curve
from benchmarks.estimators_work import Task
from omar_envs.arena import ArenaResult, Score, compare
from omar_envs.policy import Policy, RandomPolicy
from omar_envs.rollout import run
from omar_envs.werewolf.rules import team_of
from omar_trainers import train
from omar_trainers.demo import Trained
from omar_trainers.house import house_directory
from omar_trainers.house.build import build, invalid_share
from omar_trainers.metrics import METRICS_FILE
from omar_trainers.model_policy import ModelPolicy
from omar_trainers.shown.plots import read_metrics

ARENA_SEED = 40_000
"""First seed of the arenas: training never plays their games."""

TUNING_SEED = 1_000
"""Training seed of the trials. No reported run has it."""

BUILD_SEED = 0
"""Of the starts that are built."""

FACT_GAMES = 200
"""Games in which a start is looked at."""


@dataclass(frozen=True)
class Plan:
    """One run: its estimator, training seed and settings, and how it is measured.

    Attributes:
        method: the estimator.
        seed: of training.
        options: settings that differ from the setting's.
        iterations: of training.
        points: snapshots that are measured, the final model being the last.
        curve_games: arena games of the others against the start.
        final_games: arena games of the final model against the start.
    """

    method: str
    seed: int
    options: Options
    iterations: int
    points: int
    curve_games: int
    final_games: int


class StartFacts(msgspec.Struct, frozen=True):
    """What a start is like before it is trained.

    Attributes:
        parameters: of the model.
        turns: mean turns of a seat, in games of the start in every seat.
        tokens, own_tokens: mean length of a seat's row, and its own tokens in it.
        longest: longest row in them (tokens).
        truncated: share of rows closed at the context's end.
        invalid_acts: share of choices that could not be read where they are not
            constrained to the legal labels.
        random: the start against random players.
        itself: the start against itself: what the arena calls no difference.
    """

    parameters: int
    turns: float
    tokens: float
    own_tokens: float
    longest: int
    truncated: float
    invalid_acts: float
    random: ArenaResult
    itself: ArenaResult


class RunResult(msgspec.Struct, frozen=True):
    """A training run and its arenas.

    Attributes:
        options: settings that differ from the recipe's.
        games: played in training.
        curve: (training games, score against the start) of each snapshot.
        entropy, explained_variance, own_tokens: per iteration; without a critic the
            second is empty.
        train_seconds, arena_seconds: processor time.
    """

    setting: str
    method: str
    seed: int
    options: Options
    games: int
    curve: list[tuple[int, Score]]
    final: ArenaResult
    entropy: list[float]
    explained_variance: list[float]
    own_tokens: list[float]
    train_seconds: float
    arena_seconds: float

    @property
    def area(self) -> float:
        """Mean score over the run, from one half at its start: in [0, 1]."""
        points = [(0.0, 0.5), *((float(games), score.mean) for games, score in self.curve)]
        return area_under_curve(points)


class VersusResult(msgspec.Struct, frozen=True):
    """Final models of one seed against each other.

    Attributes:
        scores: of the first against the second, by ``"first second"``.
    """

    setting: str
    seed: int
    scores: dict[str, Score]


def start_folder(out: Path, setting: Setting) -> Path:
    """Where the start of a setting lies."""
    return house_directory() if setting.start is None else out / setting.name / "start"


def start_file(out: Path, setting: Setting) -> Path:
    """The file of its :class:`StartFacts`."""
    return out / setting.name / "start.json"


def trial_file(out: Path, setting: Setting, method: str, trial: int) -> Path:
    """The file of a trial's :class:`RunResult`."""
    return out / setting.name / "tuning" / f"{method}-{trial}.json"


def run_file(out: Path, setting: Setting, method: str, seed: int) -> Path:
    """The file of a reported :class:`RunResult`."""
    return out / setting.name / f"seed-{seed}" / f"{method}.json"


def versus_file(out: Path, setting: Setting, seed: int) -> Path:
    """The file of a seed's :class:`VersusResult`."""
    return out / setting.name / f"seed-{seed}" / "versus.json"


def tasks(out: Path, settings: Sequence[Setting], seeds: Sequence[int]) -> Iterator[Task]:
    """All that there is to do, in an order in which a part of it is balanced."""
    for setting in settings:
        yield Task(start_file(out, setting), partial(_start, out, setting))
    for setting in settings:
        for trial in range(len(TRIALS[METHODS[0]])):
            for method in METHODS:
                yield Task(
                    trial_file(out, setting, method, trial),
                    partial(_trial, out, setting, method, trial),
                    (start_file(out, setting),),
                )
    for setting in settings:
        tuned = tuple(
            trial_file(out, setting, method, trial)
            for method in METHODS
            for trial in range(len(TRIALS[method]))
        )
        for seed in seeds:
            for method in METHODS:
                yield Task(
                    run_file(out, setting, method, seed),
                    partial(_reported, out, setting, method, seed),
                    tuned,
                )
            yield Task(
                versus_file(out, setting, seed),
                partial(_versus, out, setting, seed),
                tuple(run_file(out, setting, method, seed) for method in METHODS),
            )


def read_trials(out: Path, setting: Setting, method: str) -> list[RunResult]:
    """The trials of an estimator that are there, in their order."""
    files = (trial_file(out, setting, method, n) for n in range(len(TRIALS[method])))
    return [
        msgspec.json.decode(path.read_bytes(), type=RunResult) for path in files if path.exists()
    ]


def chosen(trials: Sequence[RunResult]) -> RunResult:
    """The trial with the largest area under its curve."""
    return max(trials, key=lambda trial: trial.area)


def _start(out: Path, setting: Setting) -> bytes:
    config, _ = train.parse(["--recipe", setting.recipe, "--output_dir", str(out)])
    folder = start_folder(out, setting)
    if not folder.exists():
        assert setting.start is not None  # the package's own model is there
        game = config.env_kwargs
        house = build(
            BUILD_SEED,
            setting.start,
            game=game,
            base=house_directory(),
            lessons=[game | {"discussion_rounds": rounds} for rounds in setting.lessons],
            max_context=setting.max_context,
        )
        with TemporaryDirectory(dir=folder.parent) as scratch:
            house.save(Path(scratch) / "start")
            (Path(scratch) / "start").rename(folder)
    start = Trained(config, folder, folder, ())
    policy = start.policy(folder, "start", ARENA_SEED)
    run(start.make_env, policy, FACT_GAMES, ARENA_SEED)
    rows = list(policy.take_rows().values())
    unconstrained = ModelPolicy.from_pretrained(
        folder,
        seed=ARENA_SEED,
        max_new_tokens_speak=config.max_new_tokens_speak,
        constrain_choices=False,
    )
    return msgspec.json.encode(
        StartFacts(
            parameters=AutoModelForCausalLM.from_pretrained(folder).num_parameters(),
            turns=fmean(len({*row.turn_index} - {-1}) for row in rows),
            tokens=fmean(len(row.ids) for row in rows),
            own_tokens=fmean(sum(turn >= 0 for turn in row.turn_index) for row in rows),
            longest=max(len(row.ids) for row in rows),
            truncated=fmean(row.truncated for row in rows),
            invalid_acts=invalid_share(run(start.make_env, unconstrained, 100, ARENA_SEED)),
            random=_against(start, folder, RandomPolicy(ARENA_SEED), setting.final_games, 0),
            itself=_against_start(start, folder, setting.final_games, 0),
        )
    )


def _trial(out: Path, setting: Setting, method: str, trial: int) -> bytes:
    return _run(
        start_folder(out, setting),
        trial_file(out, setting, method, trial).with_suffix(""),
        setting,
        Plan(
            method,
            TUNING_SEED,
            TRIALS[method][trial],
            setting.tuning_iterations,
            setting.tuning_points,
            setting.tuning_games,
            setting.tuning_games,
        ),
    )


def _reported(out: Path, setting: Setting, method: str, seed: int) -> bytes:
    return _run(
        start_folder(out, setting),
        run_file(out, setting, method, seed).with_suffix(""),
        setting,
        Plan(
            method,
            seed,
            chosen(read_trials(out, setting, method)).options,
            setting.iterations,
            setting.curve_points,
            setting.curve_games,
            setting.final_games,
        ),
    )


def _run(start: Path, folder: Path, setting: Setting, plan: Plan) -> bytes:
    """Train and measure. Only the final model is kept."""
    shutil.rmtree(folder, ignore_errors=True)
    every = plan.iterations // plan.points
    options: Options = {
        **setting.options,
        **plan.options,
        "seed": plan.seed,
        "total_iterations": plan.iterations,
        "save_iterations": every,
        "log_games": 0,
    }
    config, model = train.parse(
        [
            *("--recipe", setting.recipe, "--output_dir", str(folder)),
            *("--model_name_or_path", str(start), "--advantage", plan.method),
            *("--progress", "false", "--keep_rollouts", "false"),
            *(word for name, value in options.items() for word in (f"--{name}", str(value))),
        ]
    )
    began = time.process_time()
    train.run(config, model)
    trained_at = time.process_time()
    trained = Trained(config, start, folder / train.FINAL_FOLDER, ())
    final = _against_start(trained, trained.final, plan.final_games, plan.seed)
    games = config.games_per_iteration
    curve = [
        (
            number * games,
            _against_start(
                trained,
                folder / f"checkpoint-{number * config.steps_per_iteration}",
                plan.curve_games,
                plan.seed,
            ).score,
        )
        for number in range(every, plan.iterations, every)
    ]
    curve.append((plan.iterations * games, final.score))
    metrics = read_metrics(folder / METRICS_FILE)
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    return msgspec.json.encode(
        RunResult(
            setting=setting.name,
            method=plan.method,
            seed=plan.seed,
            options=plan.options,
            games=plan.iterations * games,
            curve=curve,
            final=final,
            entropy=_column(metrics, "entropy"),
            explained_variance=_column(metrics, "critic/explained_variance"),
            own_tokens=_column(metrics, "row/own_tokens"),
            train_seconds=trained_at - began,
            arena_seconds=time.process_time() - trained_at,
        )
    )


def _versus(out: Path, setting: Setting, seed: int) -> bytes:
    config, _ = train.parse(["--recipe", setting.recipe, "--output_dir", str(out)])
    start = start_folder(out, setting)
    folders = {
        method: run_file(out, setting, method, seed).with_suffix("") / train.FINAL_FOLDER
        for method in METHODS
    }
    scores = {}
    for first, second in combinations(METHODS, 2):
        pair = Trained(config, start, folders[first], ())
        other = pair.policy(folders[second], second, ARENA_SEED + 2)
        result = _against(pair, folders[first], other, setting.versus_games, seed)
        scores[f"{first} {second}"] = result.score
    return msgspec.json.encode(VersusResult(setting.name, seed, scores))


def _against_start(trained: Trained, folder: Path, games: int, seed: int) -> ArenaResult:
    start = trained.policy(trained.start, "start", ARENA_SEED + 2)
    return _against(trained, folder, start, games, seed)


def _against(trained: Trained, folder: Path, other: Policy, games: int, seed: int) -> ArenaResult:
    """A model against a policy; the same deals for every model of one training seed."""
    return compare(
        trained.make_env,
        trained.policy(folder, "model", ARENA_SEED + 1),
        other,
        team_of=team_of,
        games=games,
        seed=ARENA_SEED + seed,
        control=False,
    )


def _column(metrics: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [line[name] for line in metrics if name in line]
