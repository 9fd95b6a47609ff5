"""Self-play of a tiny model in a negotiation whose outcome is computed.

Two share out books, hats and balls that are worth different points to each
(:mod:`omar_trainers.house.deal_scenarios`); each is paid its own share. Every few
iterations the model plays scenarios that training never sees, in both seats:

- how much of the best possible sum of points is reached, how often there is a deal,
  and what each is paid;
- whether its language stays readable: the perplexity of what it says under the model
  that it started from, and whether its openings are true.

Controls on the same games: the start, scripted negotiators (careful, and as noisy as
those that the start learned from), and random acts. At the end the trained model also
meets the start, each in either seat.

::

    python benchmarks/negotiation.py --seeds 0 1 2 3 4
    python benchmarks/negotiation.py --summary

Runs whose file is already in the folder are not made again, so several processes can
share the work. The start is built where there is none.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import msgspec
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from omar_envs.conversation import ConversationEnv
from omar_envs.playing import play_games
from omar_envs.policy import Policy
from omar_envs.rollout import game_seed, make
from omar_envs.sotopia import importer
from omar_envs.sotopia.acts import SPEAK, from_text
from omar_envs.types import Episode
from omar_trainers import train
from omar_trainers.demo import quiet_libraries
from omar_trainers.house.deal_scenarios import DEAL_GAME, ITEMS
from omar_trainers.house.negotiation import (
    BUILD_FILE,
    MAX_CONTEXT,
    TEST,
    TRAIN,
    BriefNegotiatorPolicy,
    BuildSettings,
    build,
)
from omar_trainers.model_policy import ModelPolicy
from omar_trainers.rows import RowKey, TokenRow
from omar_trainers.sft import RecordingPolicy
from omar_trainers.tokens import ChatTokenizer

RECIPE = "sotopia_house_deal"
CAREFUL, NOISY, RANDOM = (
    "careful scripted negotiators",
    "noisy ones, which the start learned from",
    "random acts",
)
EVALUATION_SEED = 30_000
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}
"""Two-sided 95% quantile of Student's t for a mean of so many seeds."""

_OPENING = re.compile(r"To me the (\w+) matters? most")


class Play(msgspec.Struct, frozen=True):
    """What came of the games on scenarios that training never sees.

    Attributes:
        joint: points of both over the best possible sum, 0 without a deal; mean.
        agreed: share of games with a deal.
        score: what each is paid by the outcome, mean over seats and games.
        pareto: share of games whose deal is Pareto optimal.
        invalid: share of acts that could not be taken.
        turns: acts per game.
        speech: share of acts that are talk.
        speech_perplexity, act_perplexity: of the tokens of talk, and of proposals and
            acceptances, under the start; ``None`` where there are none.
        told: talk that says what matters most to the speaker, per game.
        true: share of it that is true; ``None`` where there is none.
    """

    joint: float
    agreed: float
    score: float
    pareto: float
    invalid: float
    turns: float
    speech: float
    speech_perplexity: float | None
    act_perplexity: float | None
    told: float
    true: float | None


class Point(msgspec.Struct, frozen=True):
    """A model after so many iterations."""

    iteration: int
    play: Play


class RunResult(msgspec.Struct, frozen=True):
    """One training run.

    Attributes:
        arm: the advantage estimator.
        curve: the model after some iterations, the last one included; without the start.
        against_start: mean score of the trained model against the start.
        start_against_it: mean score of the start in the same games.
    """

    arm: str
    seed: int
    games: int
    curve: list[Point]
    against_start: float
    start_against_it: float


@dataclass
class Bench:
    """The games to measure on, and the start to measure language by."""

    start: Path
    games: int
    batch: int = 100

    def __post_init__(self) -> None:
        self.tokens = ChatTokenizer(AutoTokenizer.from_pretrained(self.start))
        self.reference = AutoModelForCausalLM.from_pretrained(self.start).eval()
        scenarios = importer.read(self.start / TEST)
        self._envs: list[ConversationEnv] = [
            make("sotopia_v0", {**DEAL_GAME, "scenario": scenarios})
            for _ in range(min(self.batch, self.games))
        ]

    def model(self, folder: Path, seed: int) -> ModelPolicy:
        """A model as it plays in training."""
        return ModelPolicy.from_pretrained(folder, seed=seed, max_new_tokens_speak=32)

    def measure(self, policy: ModelPolicy | RecordingPolicy) -> Play:
        """Let a policy play both seats."""
        episodes: list[Episode] = []
        talk, acts = _Mean(), _Mean()
        for start in range(0, self.games, self.batch):
            played = self._play(policy, policy, start)
            rows = policy.take_rows()
            for (slot, agent), logprobs in self._scored(rows).items():
                turns = played[slot].turns_of(agent)
                for turn, logprob in logprobs:
                    kind = from_text(turns[turn].text).action_type
                    (talk if kind == SPEAK else acts).add(logprob)
            episodes += played
        turns = [turn for episode in episodes for turn in episode.turns]
        told = [truth for episode in episodes for truth in _openings(episode)]
        return Play(
            joint=fmean(
                e.outcome["measures"]["joint_share"] * e.outcome["settled"] for e in episodes
            ),
            agreed=fmean(e.outcome["settled"] for e in episodes),
            score=fmean(s for e in episodes for s in e.outcome["scores"].values()),
            pareto=fmean(
                e.outcome["measures"]["pareto_optimal"] * e.outcome["settled"] for e in episodes
            ),
            invalid=fmean(not turn.valid for turn in turns),
            turns=len(turns) / len(episodes),
            speech=fmean(from_text(turn.text).action_type == SPEAK for turn in turns),
            speech_perplexity=talk.perplexity,
            act_perplexity=acts.perplexity,
            told=len(told) / len(episodes),
            true=fmean(told) if told else None,
        )

    def against(self, one: Policy, other: Policy) -> tuple[float, float]:
        """Mean score of each, where they meet in either seat."""
        scores: tuple[list[float], list[float]] = ([], [])
        for start in range(0, self.games, self.batch):
            for swapped in (False, True):
                pair = (other, one) if swapped else (one, other)
                for episode in self._play(*pair, start):
                    for seat, score in enumerate(episode.outcome["scores"].values()):
                        scores[seat ^ swapped].append(score)
        return fmean(scores[0]), fmean(scores[1])

    def _play(self, first: Policy, second: Policy, start: int) -> list[Episode]:
        count = min(self.batch, self.games - start)
        seeds = [game_seed(EVALUATION_SEED, start + i) for i in range(count)]
        seats = {"agent_0": first, "agent_1": second}
        return play_games(self._envs[:count], seeds, lambda game, agent: seats[agent])

    def _scored(self, rows: dict[RowKey, TokenRow]) -> dict[RowKey, list[tuple[int, float]]]:
        """Turn and log-probability under the start of every own token of every row."""
        keys = list(rows)
        ids = [torch.tensor(rows[key].ids) for key in keys]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)  # (B, T)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(i) for i in ids], batch_first=True)
        with torch.inference_mode():
            logits = self.reference(input_ids=padded, attention_mask=mask).logits[:, :-1]
            chosen: Tensor = logits.log_softmax(-1).gather(-1, padded[:, 1:, None])[..., 0]
        return {
            key: [
                (turn, float(chosen[i, t - 1]))
                for t, turn in enumerate(rows[key].turn_index)
                if turn >= 0
            ]
            for i, key in enumerate(keys)
        }


class _Mean:
    def __init__(self) -> None:
        self.sum, self.count = 0.0, 0

    def add(self, logprob: float) -> None:
        self.sum += logprob
        self.count += 1

    @property
    def perplexity(self) -> float | None:
        return math.exp(-self.sum / self.count) if self.count else None


def _openings(episode: Episode) -> list[bool]:
    """Whether each claim of what matters most names a pile that is worth most to its speaker."""
    deal = episode.config["scenario"]["outcome"]
    truths = []
    for turn in episode.turns:
        act = from_text(turn.text)
        claim = _OPENING.search(act.argument) if act.action_type == SPEAK else None
        if claim is not None and claim[1] in ITEMS:
            values = deal["values"][int(turn.agent.removeprefix("agent_"))]
            piles = {item: count * values.get(item, 0) for item, count in deal["items"].items()}
            truths.append(piles[claim[1]] == max(piles.values()))
    return truths


def run_one(bench: Bench, out: Path, arm: str, seed: int, iterations: int | None) -> RunResult:
    """Train with one seed and measure."""
    folder = out / f"{arm}-{seed}"
    game: dict[str, Any] = {**DEAL_GAME, "scenario": str(bench.start / TRAIN)}
    arguments = ["--recipe", RECIPE, "--output_dir", str(folder), "--seed", str(seed)]
    arguments += ["--model_name_or_path", str(bench.start), "--env_kwargs", json.dumps(game)]
    arguments += ["--advantage", arm]
    if iterations is not None:
        arguments += ["--total_iterations", str(iterations)]
    config, model = train.parse(arguments)
    train.run(config, model)
    steps = {int(path.name.partition("-")[2]): path for path in folder.glob("checkpoint-*")}
    curve = []
    for step in sorted(steps):
        play = bench.measure(bench.model(steps[step], EVALUATION_SEED + seed))
        curve.append(Point(step // config.steps_per_iteration, play))
    trained = bench.model(folder / train.FINAL_FOLDER, EVALUATION_SEED + seed)
    ours, theirs = bench.against(trained, bench.model(bench.start, EVALUATION_SEED + 100 + seed))
    return RunResult(arm, seed, bench.games, curve, ours, theirs)


def controls(bench: Bench) -> dict[str, Play]:
    """The same games played by others."""
    noises = {CAREFUL: 0.0, NOISY: BuildSettings.noise, RANDOM: 1.0}
    found = {"start": bench.measure(bench.model(bench.start, EVALUATION_SEED + 1))}
    for name, noise in noises.items():
        bots = BriefNegotiatorPolicy(EVALUATION_SEED, noise=noise)
        found[name] = bench.measure(RecordingPolicy(bots, bench.tokens, max_context=MAX_CONTEXT))
    return found


# --- the report -------------------------------------------------------------------


def report(runs: Sequence[RunResult], others: dict[str, Play], built: dict[str, Any]) -> str:
    """The tables, in Markdown."""
    arms = sorted({run.arm for run in runs})
    lines = [
        "# Self-play of a tiny model in a negotiation",
        "",
        "Two share out books, hats and balls worth different points to each, in at most "
        f"{DEAL_GAME['max_turns']} turns of talk and proposals; each is paid its own share of the "
        f"points. The model has {built['parameters']:,} parameters and learned from "
        f"{built['games']} games of scripted negotiators of which every act is random with "
        f"probability {built['noise']}. {runs[0].games} games per cell on scenarios that training "
        "never sees, one model in both seats. Made by `python benchmarks/negotiation.py`, then the "
        "same with `--summary`. Intervals: 95%, Student's t over training seeds.",
        "",
        "![curves](negotiation.png)",
        "",
        "| player | of the best sum | deals | own score | Pareto optimal | invalid acts | "
        "acts per game |",
        "|---|---|---|---|---|---|---|",
        *(_outcome_row(name, [play]) for name, play in others.items()),
    ]
    last = {arm: [run.curve[-1].play for run in runs if run.arm == arm] for arm in arms}
    for arm in arms:
        name = f"{arm}: {_iterations(runs, arm)} iterations, {len(last[arm])} seeds"
        lines.append(_outcome_row(name, last[arm]))
    lines += [
        "",
        "What is said. Perplexity is under the start, per token; a claim is a sentence on what "
        "matters most to its speaker, true if no pile is worth more to it:",
        "",
        "| player | talk, share of acts | perplexity of talk | perplexity of proposals | "
        "claims per game | true claims |",
        "|---|---|---|---|---|---|",
        *(_language_row(name, [play]) for name, play in others.items()),
        *(_language_row(arm, last[arm]) for arm in arms),
        "",
        "Trained against the start, each in either seat (mean score; a deal needs both):",
        "",
        "| arm | trained | start |",
        "|---|---|---|",
    ]
    for arm in arms:
        mine = [run for run in runs if run.arm == arm]
        ours = _interval([run.against_start for run in mine])
        lines.append(f"| {arm} | {ours} | {_interval([run.start_against_it for run in mine])} |")
    for arm in arms:
        lines += ["", f"By iteration, {arm}:", "", *_curve_table(runs, arm)]
    return "\n".join(lines) + "\n"


def _outcome_row(name: str, plays: list[Play]) -> str:
    read = attrgetter("joint", "agreed", "score", "pareto", "invalid", "turns")
    cells = zip(*map(read, plays), strict=True)
    return f"| {name} | {' | '.join(map(_interval, cells))} |"


def _language_row(name: str, plays: list[Play]) -> str:
    read = attrgetter("speech", "speech_perplexity", "act_perplexity", "told", "true")
    cells = zip(*map(read, plays), strict=True)
    return f"| {name} | {' | '.join(map(_interval, cells))} |"


def _curve_table(runs: Sequence[RunResult], arm: str) -> list[str]:
    mine = [run for run in runs if run.arm == arm]
    lines = [
        "| iteration | of the best sum | deals | own score | perplexity of talk | talk |",
        "|---|---|---|---|---|---|",
    ]
    for number, point in enumerate(mine[0].curve):
        read = attrgetter("joint", "agreed", "score", "speech_perplexity", "speech")
        cells = zip(*(read(run.curve[number].play) for run in mine), strict=True)
        lines.append(f"| {point.iteration} | {' | '.join(map(_interval, cells))} |")
    return lines


def _iterations(runs: Sequence[RunResult], arm: str) -> int:
    return next(run.curve[-1].iteration for run in runs if run.arm == arm)


def _interval(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    mean = fmean(known)
    if len(known) < 2:
        return f"{mean:.3f}"
    half = STUDENT[len(known)] * stdev(known) / math.sqrt(len(known))
    return f"{mean:.3f} [{mean - half:.3f}, {mean + half:.3f}]"


def plot(path: Path, runs: Sequence[RunResult], others: dict[str, Play]) -> None:
    """Outcome and readability by iteration, one line per seed, the mean in bold."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    panels = (
        (attrgetter("joint"), "Share of the best possible sum", (CAREFUL, NOISY, RANDOM)),
        (attrgetter("agreed"), "Share of games with a deal", (CAREFUL, NOISY, RANDOM)),
        (attrgetter("speech_perplexity"), "Perplexity of talk under the start", (CAREFUL, NOISY)),
    )
    start = others["start"]
    for axis, (read, title, beside) in zip(axes, panels, strict=True):
        for number, arm in enumerate(sorted({run.arm for run in runs})):
            curves = [
                [(0, read(start)), *((point.iteration, read(point.play)) for point in run.curve)]
                for run in runs
                if run.arm == arm
            ]
            for curve in curves:
                axis.plot(*zip(*curve, strict=True), color=f"C{number}", alpha=0.3, linewidth=1)
            steps = [iteration for iteration, _ in curves[0]]
            means = [fmean(curve[i][1] for curve in curves) for i in range(len(steps))]
            axis.plot(steps, means, color=f"C{number}", linewidth=2.5, label=arm)
        for name, style in zip(beside, ("--", ":", "-."), strict=False):
            axis.axhline(read(others[name]), color="grey", linestyle=style, linewidth=1, label=name)
        axis.set_title(title, fontsize=11)
        axis.set_xlabel("iteration")
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/negotiation"))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--arms", nargs="*", default=["hierarchical"], help="advantage estimators to train with"
    )
    parser.add_argument("--games", type=int, default=300, help="games per measurement")
    parser.add_argument("--iterations", type=int, help="of training; default: the recipe's")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--summary", action="store_true", help="only write tables and figure")
    options = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(options.threads)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    if options.summary:
        return summarise(out)
    start = out / "start"
    if not (start / BUILD_FILE).exists():
        built = build(0, progress=True)
        built.save(start)
    bench = Bench(start, options.games)
    path = out / "controls.json"
    if not path.exists():
        _write(path, controls(bench))
    for seed in options.seeds:
        for arm in options.arms:
            path = out / f"{arm}-{seed}.json"
            if not path.exists():
                result = run_one(bench, out, arm, seed, options.iterations)
                _write(path, result)
                print(f"{arm}, seed {seed}: {result.curve[-1].play}", flush=True)
    return 0


def summarise(out: Path) -> int:
    """Write the tables and the figure from what is in the folder."""
    others = msgspec.json.decode((out / "controls.json").read_bytes(), type=dict[str, Play])
    runs = [
        msgspec.json.decode(path.read_bytes(), type=RunResult)
        for path in sorted(out.glob("*-[0-9]*.json"))
    ]
    built = json.loads((out / "start" / BUILD_FILE).read_text(encoding="utf-8"))
    results = Path(__file__).parent / "results"
    text = report(runs, others, built)
    (results / "negotiation.md").write_text(text, encoding="utf-8")
    plot(results / "negotiation.png", runs, others)
    print(text)
    return 0


def _write(path: Path, value: object) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value)))


if __name__ == "__main__":
    sys.exit(main())
