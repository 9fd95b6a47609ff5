"""Does self-play improve the house model? Training seeds, controls, and what is learned.

Trains the demo's recipe once per seed and plays every trained model against the
start, every deal with both distributions of the teams, beside three controls:

- ``start``: the start against itself, the same deals;
- ``sft``: the start after as many further supervised steps on scripted games;
- ``muted``: trained and start with all their speech replaced by one phrase.

::

    python benchmarks/house_selfplay.py --out runs/seeds --seeds 0 1 2 3 4
    python benchmarks/house_selfplay.py --out runs/seeds --summary

Seeds that are already in the folder are not run again, so several processes can
share the work, each with its own ``--seeds``. ``--summary`` writes the table.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import fmean, stdev

import msgspec
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from omar_envs.arena import ArenaResult, Rate, Score, compare
from omar_envs.intervals import wilson
from omar_envs.policy import MutedPolicy, RandomPolicy
from omar_envs.rollout import run
from omar_envs.werewolf.probes import PROBES, Share, probe
from omar_envs.werewolf.rules import team_of
from omar_trainers.demo import ARENA_SEED, Trained, quiet_libraries, run_training
from omar_trainers.house import house_directory
from omar_trainers.house.build import scripted_rows
from omar_trainers.sft import sft_rows
from omar_trainers.tokens import ChatTokenizer

SFT_BATCH = 128
"""Rows per step of the supervised control; its learning rate is self-play's."""

STUDENT = {3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Two-sided 95% quantile of Student's t for a mean of so many seeds."""

Probes = dict[str, tuple[int, int]]


class SeedResult(msgspec.Struct, frozen=True):
    """What one training seed gave."""

    seed: int
    iterations: int
    trained: ArenaResult
    start: ArenaResult
    sft: ArenaResult
    muted: ArenaResult
    probes_before: Probes
    probes_after: Probes


def run_seed(out: Path, seed: int, games: int) -> SeedResult:
    """Train with one seed and measure."""
    trained = run_training(out / f"seed-{seed}", seed, None, house_directory())
    config = trained.config
    steps = config.total_iterations * config.steps_per_iteration
    sft = further_sft(trained, out / f"seed-{seed}" / "sft", steps, seed)

    def arena(folder: Path, name: str, *, muted: bool = False) -> ArenaResult:
        a = trained.policy(folder, name, ARENA_SEED + 10 * seed + 1)
        b = trained.policy(trained.start, "start", ARENA_SEED + 10 * seed + 2)
        return compare(
            trained.make_env,
            MutedPolicy(a) if muted else a,
            MutedPolicy(b) if muted else b,
            team_of=team_of,
            games=games,
            seed=ARENA_SEED + seed,
            control=False,
        )

    return SeedResult(
        seed=seed,
        iterations=config.total_iterations,
        trained=arena(trained.final, "trained"),
        start=arena(trained.start, "start"),
        sft=arena(sft, "sft"),
        muted=arena(trained.final, "trained", muted=True),
        probes_before=probes_of(trained, trained.start),
        probes_after=probes_of(trained, trained.final),
    )


def further_sft(trained: Trained, folder: Path, steps: int, seed: int) -> Path:
    """The start after ``steps`` more supervised steps on new scripted games."""
    tokenizer = AutoTokenizer.from_pretrained(trained.start)
    model = AutoModelForCausalLM.from_pretrained(trained.start)
    tokens = ChatTokenizer(tokenizer)
    games = -(-steps * SFT_BATCH // trained.config.seats)
    sft_rows(
        model,
        scripted_rows(tokens, games, seed=1_000_000 + seed),
        pad_token_id=tokens.pad_token_id,
        lr=trained.config.learning_rate,
        batch_size=SFT_BATCH,
        seed=seed,
        steps=steps,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def probes_of(trained: Trained, folder: Path) -> Probes:
    """What a model does with the talk in 400 games of itself in every seat."""
    games = run(trained.make_env, trained.policy(folder, "model", ARENA_SEED), 400, ARENA_SEED + 7)
    return {name: (share.hits, share.chances) for name, share in probe(games).items()}


def start_against_random(trained_env: Trained, games: int) -> ArenaResult:
    """Whether the start is a straw man."""
    return compare(
        trained_env.make_env,
        trained_env.policy(trained_env.start, "start", ARENA_SEED + 1),
        RandomPolicy(ARENA_SEED + 2),
        team_of=team_of,
        games=games,
        seed=ARENA_SEED,
        control=False,
    )


def clean_score(result: ArenaResult) -> str:
    """Score over the games without an invalid act."""
    rates = result.a.by_team_clean.values()
    wins = sum(rate.wins + rate.draws / 2 for rate in rates)
    games = sum(rate.games for rate in rates)
    interval = wilson(wins, games)
    return f"{wins / games:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def summary(results: list[SeedResult], random: ArenaResult) -> str:
    """The tables, in Markdown."""
    first = results[0]
    lines = [
        "# Self-play of the house model: training seeds and controls",
        "",
        f"{first.iterations} iterations per seed; {first.trained.games} games per cell, every deal",
        "played twice with the teams swapped; 95% intervals. Made by",
        "`python benchmarks/house_selfplay.py --out runs/seeds`, then the same with",
        "`--summary`.",
        "",
        "Score of the first against the second over both teams (a draw is half a win):",
        "",
        "| seed | trained : start | start : start | SFT : start | muted trained : muted start "
        "| trained : start, no invalid act |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.seed} | {_score(r.trained.score)} | {_score(r.start.score)} | {_score(r.sft.score)} "
        f"| {_score(r.muted.score)} | {clean_score(r.trained)} |"
        for r in results
    ]
    columns = (
        [r.trained.score.mean for r in results],
        [r.start.score.mean for r in results],
        [r.sft.score.mean for r in results],
        [r.muted.score.mean for r in results],
    )
    lines.append(f"| mean | {' | '.join(map(_over_seeds, columns))} | |")
    lines += [
        "",
        "The last row is the mean over seeds with Student's 95% interval between them.",
        "",
        "By team (win rate of the one named, against the start):",
        "",
        "| seed | trained, werewolf | start, werewolf | trained, village | start, village |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.seed} | {_rate(r.trained.a.by_team['werewolf'])} "
        f"| {_rate(r.start.a.by_team['werewolf'])} | {_rate(r.trained.a.by_team['village'])} "
        f"| {_rate(r.start.a.by_team['village'])} |"
        for r in results
    ]
    # The control's true score is one half; what it measured is off by chance.
    above = sum(r.trained.score.low > max(r.start.score.mean, 0.5) for r in results)
    over_sft = sum(r.trained.score.mean > r.sft.score.mean for r in results)
    apart = sum(r.trained.score.low > r.sft.score.high for r in results)
    lines += [
        "",
        f"- The trained model's interval excludes both the control's score and one half on {above} "
        f"of {len(results)} seeds.",
        f"- It scores above the same number of further SFT steps ({SFT_BATCH} rows each) on "
        f"{over_sft} of {len(results)} seeds, with disjoint intervals on {apart}.",
        f"- Start against RandomPolicy: as werewolf {_rate(random.a.by_team['werewolf'])} (random "
        f"{_rate(random.b.by_team['werewolf'])}), as village {_rate(random.a.by_team['village'])} "
        f"(random {_rate(random.b.by_team['village'])}); its invalid acts: "
        f"{random.a.invalid_acts} of {random.a.acts}.",
        "",
        "What the model does with the talk, 400 games of itself in every seat:",
        "",
        "| share of | start | " + " | ".join(f"seed {r.seed}" for r in results) + " |",
        "|---|---|" + "---|" * len(results),
    ]
    lines += [
        f"| {meaning} | {_share(first.probes_before[name])} | "
        + " | ".join(_share(r.probes_after[name]) for r in results)
        + " |"
        for name, meaning in PROBES.items()
    ]
    return "\n".join(lines) + "\n"


def _over_seeds(means: list[float]) -> str:
    if len(means) not in STUDENT:
        return f"{fmean(means):.3f}"
    half = STUDENT[len(means)] * stdev(means) / len(means) ** 0.5
    return f"{fmean(means):.3f} [{fmean(means) - half:.3f}, {fmean(means) + half:.3f}]"


def _score(score: Score) -> str:
    return f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]"


def _rate(rate: Rate) -> str:
    return f"{rate.rate:.3f} [{rate.low:.3f}, {rate.high:.3f}]"


def _share(counts: tuple[int, int]) -> str:
    share = Share(*counts)
    return "never" if share.value is None else f"{share.value:.2f} of {share.chances}"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    parser.add_argument("--games", type=int, default=1200, help="arena games per cell (even)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads per process")
    parser.add_argument("--summary", action="store_true", help="only write the table")
    options = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.summary:
        files = sorted(options.out.glob("seed-*.json"))
        results = [msgspec.json.decode(path.read_bytes(), type=SeedResult) for path in files]
        random = msgspec.json.decode(
            (options.out / "start-random.json").read_bytes(), type=ArenaResult
        )
        text = summary(results, random)
        target = Path(__file__).parent / "results" / "house_selfplay.md"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8")
        print(text)
        return 0
    for seed in options.seeds:
        path = options.out / f"seed-{seed}.json"
        if path.exists():
            continue
        result = run_seed(options.out, seed, options.games)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
        print(f"seed {seed}: trained {_score(result.trained.score)}", flush=True)
    random_path = options.out / "start-random.json"
    if 0 in options.seeds and not random_path.exists():
        config = run_training_config()
        random_path.write_bytes(
            msgspec.json.format(msgspec.json.encode(start_against_random(config, options.games)))
        )
    return 0


def run_training_config() -> Trained:
    """The recipe's settings around the start alone, nothing trained."""
    from omar_trainers import train
    from omar_trainers.demo import RECIPE

    config, _ = train.parse(["--recipe", RECIPE, "--output_dir", "unused"])
    return Trained(config, house_directory(), house_directory(), ())


if __name__ == "__main__":
    sys.exit(main())
