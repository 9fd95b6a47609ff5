"""Does self-play improve a real language model?

SmolLM2-135M-Instruct (`make runs/smollm2`) plays four-player Werewolf
(`preset="mini4"`: one wolf, one seer, two villagers; one night, one day, one vote)
with terse prompts. Three models are compared:

- ``base``: the model as published; its choices are masked to the legal names, as everybody's;
- ``cold``: after a short supervised start on scripted games;
- ``trained``: after self-play from there, one model in every seat.

::

    python -m benchmarks.smollm2_selfplay --out runs/smollm2-werewolf
    python -m benchmarks.smollm2_selfplay --out runs/smollm2-gpu --device cuda --iterations 60
    python -m benchmarks.smollm2_selfplay --out runs/smollm2-werewolf runs/smollm2-gpu --summary

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
from typing import Any, NamedTuple

import msgspec
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from benchmarks.smollm2_tables import (
    PAIRS,
    PLAN_FILE,
    PROBED_GAMES,
    Match,
    Plan,
    match_file,
    probes_file,
    read_run,
    tables,
)
from omar_envs import werewolf_v0
from omar_envs.arena import compare
from omar_envs.policy import ScriptedPolicy
from omar_envs.rollout import run
from omar_envs.transcript import write_episodes
from omar_envs.werewolf.probes import probe
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


def load(folder: Path) -> PreTrainedModel:
    """A model in float32, of which only the upper layers learn."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.requires_grad_(False)
    for layer in model.model.layers[-LEARNING_LAYERS:]:
        layer.requires_grad_(True)
    model.model.norm.requires_grad_(True)
    return model


def cold_start(folder: Path, device: str) -> None:
    """A supervised start on scripted games: the format, and a little sense."""
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    tokens = ChatTokenizer(tokenizer)
    bots = ScriptedPolicy(COLD_SEED, noise=COLD_NOISE, brief=True)
    recorder = RecordingPolicy(bots, tokens, max_context=1024)
    run(make_env, recorder, COLD_GAMES, COLD_SEED, batch=COLD_GAMES)
    model = load(BASE).to(device)
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


class Scale(NamedTuple):
    """What the machine has the time for: settings of the trainer."""

    games: int
    batch: int
    save_iterations: int
    settings: dict[str, Any]


SCALES = {
    "cpu": Scale(48, 16, 2, {"use_cpu": True}),
    # In bfloat16 sampling and scoring round apart: the old policy's logprobs are computed again.
    "cuda": Scale(128, 64, 20, {"bf16": True, "old_logprobs": "recomputed"}),
}


def self_play(out: Path, cold: Path, plan: Plan) -> None:
    """Self-play from the cold start; goes on where it stopped."""
    scale = SCALES[plan.device]
    args = OMARConfig(
        output_dir=str(out),
        env_name="werewolf_v0",
        env_kwargs=GAME,
        seats=SEATS,
        games_per_iteration=plan.games,
        total_iterations=plan.iterations,
        save_iterations=scale.save_iterations,
        save_total_limit=2,
        minibatches=4,
        per_device_train_batch_size=scale.batch,
        max_new_tokens_speak=12,
        max_row_tokens=512,
        learning_rate=plan.learning_rate,
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
        seed=plan.seed,
        report_to=[],
        **scale.settings,
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


def write_probes(out: Path, name: str, folder: Path) -> None:
    """Count what a model does with the talk; keep some of its games to read."""
    games = run(make_env, policy(folder, name, ARENA_SEED + 3), PROBED_GAMES, ARENA_SEED + 4)
    write_episodes(out / f"games-{name}.jsonl", games[:20])
    counts = {key: (share.hits, share.chances) for key, share in probe(games).items()}
    probes_file(out, name).write_bytes(msgspec.json.encode(counts))


def run_all(out: Path, plan: Plan, games: int) -> None:
    """Every stage that has not left its result yet."""
    out.mkdir(parents=True, exist_ok=True)
    kept = out / PLAN_FILE
    if kept.exists() and msgspec.json.decode(kept.read_bytes(), type=Plan) != plan:
        sys.exit(f"{out} holds a run by other settings ({kept}): name another folder")
    kept.write_bytes(msgspec.json.encode(plan))
    cold, training = out / "cold", out / "training"
    if not (cold / "tokenizer_config.json").exists():
        cold_start(cold, plan.device)
    if not (training / "final" / "tokenizer_config.json").exists():
        self_play(training, cold, plan)
    models = {"base": BASE, "cold": cold, "trained": training / "final"}
    for first, second in PAIRS:
        file = match_file(out, first, second)
        if not file.exists():
            match = play_match(models, first, second, games)
            file.write_bytes(msgspec.json.encode(match))
        for name in (first, second):
            if not probes_file(out, name).exists():
                write_probes(out, name, models[name])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--out", type=Path, nargs="+", default=[Path("runs/smollm2-werewolf")], help="folder"
    )
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--games", type=int, default=400, help="arena games per pair")
    parser.add_argument("--seed", type=int, default=0, help="of self-play")
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--device", choices=list(SCALES), default="cpu", help="and its scale")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--summary", action="store_true", help="write the tables of all folders, run nothing"
    )
    options = parser.parse_args(arguments)
    if options.summary:
        text = tables([read_run(out) for out in options.out])
        RESULTS.write_text(text, encoding="utf-8")
        print(text)
        return
    if len(options.out) > 1:
        parser.error("one folder takes one run: name several with --summary only")
    torch.set_num_threads(options.threads)
    scale = SCALES[options.device]
    plan = Plan(
        options.device, options.seed, options.learning_rate, options.iterations, scale.games
    )
    run_all(options.out[0], plan, options.games)


if __name__ == "__main__":
    main()
