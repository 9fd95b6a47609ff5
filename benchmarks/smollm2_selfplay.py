"""Does self-play improve a real language model on two CPU cores?

SmolLM2-135M-Instruct (`make runs/smollm2`) plays four-player Werewolf
(`preset="mini4"`: one wolf, one seer, two villagers; one night, one day, one vote)
with terse prompts. Three models are compared:

- ``base``: the model as published; its choices are masked to the legal names, as everybody's;
- ``cold``: after a short supervised start on scripted games;
- ``trained``: after self-play from there, one model in every seat.

::

    python benchmarks/smollm2_selfplay.py --out runs/smollm2-werewolf
    python benchmarks/smollm2_selfplay.py --out runs/smollm2-werewolf --summary

Each stage is kept in the folder and not run again; self-play goes on from its last
checkpoint. Only the upper layers learn, in the cold start and in self-play: the
backward pass through the lower ones is what two cores have no time for.
``--summary`` writes the tables to ``benchmarks/results/smollm2_selfplay.md``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from omar_envs import werewolf_v0
from omar_envs.arena import ArenaResult, Rate, Score, compare
from omar_envs.policy import ScriptedPolicy
from omar_envs.rollout import run
from omar_envs.transcript import write_episodes
from omar_envs.werewolf.probes import PROBES, probe
from omar_envs.werewolf.rules import team_of
from omar_trainers.config import OMARConfig
from omar_trainers.model_policy import ModelPolicy
from omar_trainers.sft import RecordingPolicy, sft_rows
from omar_trainers.tokens import ChatTokenizer
from omar_trainers.trainer import OMARTrainer

BASE = Path("runs/smollm2")
RESULTS = Path(__file__).parent / "results" / "smollm2_selfplay.md"
GAME: dict[str, Any] = {"preset": "mini4", "prompt_style": "terse"}
SEATS = 4
LEARNING_LAYERS = 10
"""The upper layers, of thirty, that learn."""

COLD_GAMES = 240
COLD_SEED = 1_000
COLD_NOISE = 0.1
ARENA_SEED = 50_000
"""Neither the cold start nor training plays the arena's games."""

PROBED_GAMES = 60
"""Of each model in every seat."""

PAIRS = (("trained", "base"), ("trained", "cold"), ("cold", "base"), ("cold", "cold"))
"""In this order. The last is the control: what the arena calls a difference where there is none."""


class Match(msgspec.Struct, frozen=True):
    """One pair's games."""

    first: str
    second: str
    result: ArenaResult


def load(folder: Path) -> PreTrainedModel:
    """A model in float32, of which only the upper layers learn."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.requires_grad_(False)
    for layer in model.model.layers[-LEARNING_LAYERS:]:
        layer.requires_grad_(True)
    model.model.norm.requires_grad_(True)
    return model


def cold_start(folder: Path) -> None:
    """A supervised start on scripted games: the format, and a little sense."""
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    tokens = ChatTokenizer(tokenizer)
    bots = ScriptedPolicy(COLD_SEED, noise=COLD_NOISE, brief=True)
    recorder = RecordingPolicy(bots, tokens, max_context=1024)
    run(make_env, recorder, COLD_GAMES, COLD_SEED, batch=COLD_GAMES)
    model = load(BASE)
    sft_rows(
        model,
        list(recorder.take_rows().values()),
        pad_token_id=tokens.pad_token_id,
        epochs=1.0,
        lr=2e-4,
        batch_size=8,
        seed=0,
        progress=True,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def self_play(out: Path, cold: Path, iterations: int) -> None:
    """Self-play from the cold start; goes on where it stopped."""
    args = OMARConfig(
        output_dir=str(out),
        env_name="werewolf_v0",
        env_kwargs=GAME,
        seats=SEATS,
        games_per_iteration=48,
        total_iterations=iterations,
        save_iterations=2,
        save_total_limit=2,
        minibatches=4,
        per_device_train_batch_size=16,
        max_new_tokens_speak=12,
        max_row_tokens=512,
        learning_rate=5e-5,
        epsilon=0.2,
        entropy_coef=0.0,
        max_grad_norm=1.0,
        advantage="hierarchical",
        lam_turn=0.9,
        critic="fresh",
        critic_overrides={
            "hidden_size": 96,
            "intermediate_size": 192,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "num_key_value_heads": 3,
        },
        critic_learning_rate=1e-3,
        critic_only_iterations=1,
        use_cpu=True,
        seed=0,
        report_to=[],
    )
    trainer = OMARTrainer(load(cold), args, processing_class=AutoTokenizer.from_pretrained(cold))
    trainer.train()
    trainer.save_model(str(out / "final"))


def make_env() -> Any:
    """The game."""
    return werewolf_v0.raw_env(**GAME)


def policy(folder: Path, name: str, seed: int) -> ModelPolicy:
    """A model as it played in training."""
    return ModelPolicy.from_pretrained(
        folder,
        seed=seed,
        name=name,
        max_new_tokens_speak=12,
        max_context=512,
        dtype=torch.float32,
    )


def play_match(models: dict[str, Path], first: str, second: str, games: int) -> Match:
    """Every deal twice, with the teams swapped."""
    result = compare(
        make_env,
        policy(models[first], first, ARENA_SEED + 1),
        policy(models[second], second, ARENA_SEED + 2),
        team_of=team_of,
        games=games,
        seed=ARENA_SEED,
        control=False,
    )
    return Match(first, second, result)


def summary(out: Path, matches: Sequence[Match], iterations: int) -> str:
    """The tables, in Markdown."""
    lines = [
        "# SmolLM2-135M-Instruct, four-player Werewolf, on a CPU",
        "",
        f"Cold start on {COLD_GAMES} scripted games, then {iterations} iterations of 48 games of "
        f"self-play; the upper {LEARNING_LAYERS} of 30 layers learn. "
        f"{matches[0].result.games} games per row, every deal played twice with the teams swapped, "
        "95% intervals. Made by `python benchmarks/smollm2_selfplay.py`.",
        "",
        "| first : second | score of the first | first as werewolf | second as werewolf "
        "| first as village | second as village | invalid acts of first, second |",
        "|---|---|---|---|---|---|---|",
    ]
    for match in matches:
        a, b = match.result.a, match.result.b
        lines.append(
            f"| {match.first} : {match.second} | {_score(match.result.score)} "
            f"| {_rate(a.by_team['werewolf'])} | {_rate(b.by_team['werewolf'])} "
            f"| {_rate(a.by_team['village'])} | {_rate(b.by_team['village'])} "
            f"| {a.invalid_acts / a.acts:.1%}, {b.invalid_acts / b.acts:.1%} |"
        )
    lines += [
        "",
        "A score is the mean over both teams; a draw is half a win. Read a team's rate beside the",
        "other model's in the same team, for the teams are not equally strong.",
        "",
        f"What the models do with the talk, {PROBED_GAMES} games of each in every seat:",
        "",
        "| share of | base | cold | trained |",
        "|---|---|---|---|",
    ]
    shares = {
        name: msgspec.json.decode((out / f"probes-{name}.json").read_bytes())
        for name in ("base", "cold", "trained")
    }
    for name, meaning in PROBES.items():
        cells = [_share(shares[model][name]) for model in shares]
        lines.append(f"| {meaning} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_probes(out: Path, name: str, folder: Path) -> None:
    """Count what a model does with the talk; keep some of its games to read."""
    games = run(make_env, policy(folder, name, ARENA_SEED + 3), PROBED_GAMES, ARENA_SEED + 4)
    write_episodes(out / f"games-{name}.jsonl", games[:20])
    counts = {key: (share.hits, share.chances) for key, share in probe(games).items()}
    (out / f"probes-{name}.json").write_bytes(msgspec.json.encode(counts))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/smollm2-werewolf"))
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--games", type=int, default=400, help="arena games per pair")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--summary", action="store_true", help="write the tables, run nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    files = {pair: out / f"match-{pair[0]}-{pair[1]}.json" for pair in PAIRS}
    if not options.summary:
        cold, training = out / "cold", out / "training"
        if not (cold / "tokenizer_config.json").exists():
            cold_start(cold)
        if not (training / "final" / "tokenizer_config.json").exists():
            self_play(training, cold, options.iterations)
        models = {"base": BASE, "cold": cold, "trained": training / "final"}
        for pair, file in files.items():
            if not file.exists():
                match = play_match(models, *pair, options.games)
                file.write_bytes(msgspec.json.encode(match))
            for name in pair:
                if not (out / f"probes-{name}.json").exists():
                    write_probes(out, name, models[name])
    matches = [
        msgspec.json.decode(file.read_bytes(), type=Match)
        for file in files.values()
        if file.exists()
    ]
    if len(matches) < 2:  # the second one brings the last model's probes
        sys.exit(f"{out} holds no results yet: run the command without --summary first")
    text = summary(out, matches, options.iterations)
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


def _score(score: Score) -> str:
    return f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]"


def _rate(rate: Rate) -> str:
    return "no games" if rate.rate is None else f"{rate.rate:.1%} [{rate.low:.1%}, {rate.high:.1%}]"


def _share(counts: tuple[int, int]) -> str:
    hits, chances = counts
    return "never" if not chances else f"{hits / chances:.0%} of {chances}"


if __name__ == "__main__":
    main()
