"""The main job in one command: train the house model by self-play, and measure it.

``python -m omar_trainers.demo --out runs/demo`` trains by the recipe
``werewolf_house_demo``, then plays the trained model, and snapshots on the way,
against the model it started from: every seed twice with the teams swapped,
beside the start against itself. It leaves in the folder

- ``final/`` the trained model, and ``checkpoint-*`` to resume from,
- ``metrics.jsonl`` one line per iteration,
- ``episodes.jsonl`` games of the trained model in every seat,
- ``replay.html`` the same games, to watch in a browser,
- ``arena.json`` the measured win rates, ``learning.png`` their curve.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from rich.console import Console
from rich.table import Table
from tqdm.auto import tqdm
from transformers.utils import logging as transformers_logging

from omar_envs.arena import ArenaResult, Rate, compare, total_games
from omar_envs.replay import write_replay
from omar_envs.rollout import make, run
from omar_envs.transcript import write_episodes
from omar_envs.werewolf.probes import PROBES, Share, probe
from omar_envs.werewolf.rules import team_of
from omar_trainers import train
from omar_trainers.config import OMARConfig
from omar_trainers.house import house_directory
from omar_trainers.metrics import METRICS_FILE
from omar_trainers.model_policy import ModelPolicy
from omar_trainers.shown.plots import ArenaPoint, plot_learning, read_metrics

RECIPE = "werewolf_house_demo"
ARENA_SEED = 20_000
"""Seed of the arena; training never plays its games."""


@dataclass(frozen=True)
class Demo:
    """Settings of one demo run.

    Attributes:
        out: folder to write.
        seed: of training.
        iterations: of training; ``None`` takes the recipe's.
        games: arena games of the trained model against the start, an even number.
        curve_games: arena games per point of the learning curve, an even number.
        probe_games: games of the start and of the trained model, each in every seat,
            whose talk is counted.
        shown_games: the first so many of the trained model's are written to
            ``episodes.jsonl`` and ``replay.html``.
    """

    out: Path
    seed: int = 0
    iterations: int | None = None
    games: int = 800
    curve_games: int = 200
    probe_games: int = 100
    shown_games: int = 20


@dataclass(frozen=True)
class Trained:
    """A finished training run: its settings, and where its models are."""

    config: OMARConfig
    start: Path
    final: Path
    snapshots: tuple[tuple[int, Path], ...]

    def make_env(self) -> Any:
        """The game that was trained on."""
        return make(self.config.env_name, self.config.env_kwargs)

    def policy(self, folder: Path, name: str, seed: int) -> ModelPolicy:
        """A model as it played in training."""
        return ModelPolicy.from_pretrained(
            folder,
            seed=seed,
            name=name,
            max_new_tokens_speak=self.config.max_new_tokens_speak,
            max_new_tokens_choose=self.config.max_new_tokens_choose,
            constrain_choices=self.config.constrain_choices,
        )


def run_training(out: Path, seed: int, iterations: int | None, start: Path) -> Trained:
    """Train by the demo's recipe from ``start``."""
    for old in out.glob("checkpoint-*"):
        shutil.rmtree(old)
    arguments = ["--recipe", RECIPE, "--output_dir", str(out), "--seed", str(seed)]
    arguments += ["--model_name_or_path", str(start)]
    if iterations is not None:
        arguments += ["--total_iterations", str(iterations)]
    config, model = train.parse(arguments)
    train.run(config, model)
    steps = config.steps_per_iteration
    found = {int(path.name.partition("-")[2]): path for path in out.glob("checkpoint-*")}
    snapshots = tuple((step // steps, found[step]) for step in sorted(found))
    return Trained(config, start, out / train.FINAL_FOLDER, snapshots)


def against_start(
    trained: Trained, folder: Path, name: str, games: int, *, seed: int = ARENA_SEED
) -> ArenaResult:
    """A model against the start, every deal twice with the teams swapped."""
    with bar(f"{name} against start", total_games(games, control=False)) as progress:
        return compare(
            trained.make_env,
            trained.policy(folder, name, seed + 1),
            trained.policy(trained.start, "start", seed + 2),
            team_of=team_of,
            games=games,
            seed=seed,
            control=False,
            progress=progress,
        )


def run_demo(demo: Demo, console: Console) -> None:
    """Train, measure, write, and say where everything is."""
    out = demo.out
    out.mkdir(parents=True, exist_ok=True)
    console.print(f"[bold]1/3[/] Training the house model by self-play in {out}")
    trained = run_training(out, demo.seed, demo.iterations, house_directory())
    console.print("[bold]2/3[/] Playing it against the model it started from")
    control = against_start(trained, trained.start, "start", demo.games)
    result = against_start(trained, trained.final, "trained", demo.games)
    last = trained.config.total_iterations
    points = [
        _point(step, against_start(trained, folder, f"iteration {step}", demo.curve_games))
        for step, folder in trained.snapshots
        if step < last
    ]
    points.append(_point(last, result))
    (out / "arena.json").write_bytes(
        msgspec.json.format(msgspec.json.encode({"trained": result, "control": control}))
    )
    plot_learning(
        out / "learning.png",
        read_metrics(out / METRICS_FILE),
        [_point(0, control), *points],
        _point(0, control),
    )
    console.print("[bold]3/3[/] Playing games to watch")
    before, after = (
        run(
            trained.make_env,
            trained.policy(folder, name, ARENA_SEED + 3),
            demo.probe_games,
            ARENA_SEED + 4,
        )
        for folder, name in ((trained.start, "start"), (trained.final, "trained"))
    )
    shown = after[: demo.shown_games]
    write_episodes(out / "episodes.jsonl", shown)
    write_replay(out / "replay.html", shown)
    _write_game(trained, out / train.FINAL_FOLDER)
    console.print(results_table(result, control))
    console.print(probes_table(probe(before), probe(after), demo.probe_games))
    _say_where(console, out)


def results_table(result: ArenaResult, control: ArenaResult) -> Table:
    """Win rates of the trained model and of the start, beside the control."""
    table = Table(
        title=f"Trained against start: {result.games} games, every deal played by both sides",
        caption="95% intervals. The two teams are not equally strong: compare down a column.",
    )
    table.add_column("")
    for column in ("as werewolf", "as village", "both teams"):
        table.add_column(column, justify="right")
    for name, arena in (("trained against start", result), ("start against start", control)):
        rates = arena.a.by_team
        score = arena.score
        table.add_row(
            name,
            _rate(rates["werewolf"]),
            _rate(rates["village"]),
            f"{score.mean:.1%} [{score.low:.1%}, {score.high:.1%}]",
        )
    return table


def probes_table(before: dict[str, Share], after: dict[str, Share], games: int) -> Table:
    """What the models do with the talk."""
    table = Table(title=f"What it does with the talk ({games} games of itself in every seat)")
    table.add_column("share of")
    table.add_column("start", justify="right")
    table.add_column("trained", justify="right")
    for name, meaning in PROBES.items():
        table.add_row(meaning, *(_share(shares[name]) for shares in (before, after)))
    return table


@contextmanager
def bar(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar that is told how many are done."""
    with tqdm(total=total, desc=text, unit="game", dynamic_ncols=True) as drawn:
        yield lambda done: drawn.update(done - drawn.n) and None


def _point(iteration: int, result: ArenaResult) -> ArenaPoint:
    return ArenaPoint(iteration, result.score.mean, result.score.low, result.score.high)


def _rate(rate: Rate) -> str:
    return "no games" if rate.rate is None else f"{rate.rate:.1%} [{rate.low:.1%}, {rate.high:.1%}]"


def _share(share: Share) -> str:
    return "never" if share.value is None else f"{share.value:.1%} of {share.chances}"


def _write_game(trained: Trained, folder: Path) -> None:
    """Say beside the weights which game they were trained on, for the command line."""
    game = {"env": trained.config.env_name, "config": trained.config.env_kwargs}
    (folder / "game.json").write_text(json.dumps(game, indent=2) + "\n", encoding="utf-8")


def _say_where(console: Console, out: Path) -> None:
    console.print(f"""
In [bold]{out}[/]:
  replay.html     watch the games: open it in a browser
  learning.png    the learning curve
  episodes.jsonl  the same games as data, metrics.jsonl the training, arena.json the table
  final           the trained model, checkpoint-* to resume from

Next:
  .venv/bin/omar-envs play --seat 0 --opponents {out}/final
  .venv/bin/omar-envs eval --a {out}/final --b scripted --games 400
  .venv/bin/omar-envs train --recipe {RECIPE} --help""")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m omar_trainers.demo",
        description="Train the house model by Werewolf self-play, and measure what it learned.",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder to write")
    parser.add_argument("--seed", type=int, default=0, help="seed of training")
    parser.add_argument("--iterations", type=int, help="of training; default: the recipe's")
    parser.add_argument("--games", type=int, default=Demo.games, help="arena games (even)")
    options = parser.parse_args(argv)
    quiet_libraries()
    run_demo(Demo(options.out, options.seed, options.iterations, options.games), Console(width=110))
    return 0


def quiet_libraries() -> None:
    """Keep what libraries say to developers off a newcomer's screen."""
    warnings.filterwarnings("ignore")
    for name in ("transformers", "trl", "accelerate", "torch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not torch.cuda.is_available():
        # DeepSpeed, where it is there, warns that it found no GPU, unless it is told of none.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    transformers_logging.disable_progress_bar()


if __name__ == "__main__":
    sys.exit(main())
