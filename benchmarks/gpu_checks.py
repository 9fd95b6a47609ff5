"""What only a GPU can show: the trainer on CUDA, vLLM beside it, a 4-billion-parameter recipe.

::

    python -m benchmarks.gpu_checks PART --out runs/gpu
    python -m benchmarks.gpu_checks page --out runs/gpu

Each part runs in a process of its own and leaves ``PART.json`` in the folder; ``page``
writes what is there to ``benchmarks/results/gpu.md``. Needs SmolLM2 in ``runs/`` (``make
runs/smollm2``), and vLLM where it says so:

- ``advantages``: the scan against a loop over tokens, both on the GPU; equal results;
- ``resume``: a run that is stopped and goes on, beside one that is not;
- ``colocate``: self-play by SmolLM2 through vLLM on the GPU that learns;
- ``transformers``: the same run with the transformers generator;
- ``backend``: self-play beside vLLM alone, the same requests;
- ``recipe``: ``werewolf_qwen3_4b`` with random weights of Qwen3-4B's shape: memory of each
  phase beside what :mod:`omar_trainers.memory` says.

Times are wall-clock times; what else the machine does shows in them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
SMOLLM2 = ROOT / "runs" / "smollm2"
RESULTS = ROOT / "benchmarks" / "results" / "gpu.md"
GIB = 1 << 30
RECIPE_GAMES = 2
"""In place of the recipe's 32: its memory does not depend on them, its time does."""

GAME: dict[str, Any] = {
    "num_players": 5,
    "roles": {"werewolf": 1, "seer": 1, "villager": 3},
    "discussion_rounds": 2,
    "wolf_chat_rounds": 0,
    "prompt_style": "terse",
}


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median time of a call on the GPU, after one that is not counted."""
    call()
    taken = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return median(taken)


def advantages(_: Path) -> dict[str, Any]:
    """64 rows of 4,096 tokens, 24 turns."""
    from benchmarks.bench_advantages import (
        Batch,
        loop_over_floats,
        loop_over_tokens,
        make_batch,
        scan,
    )

    host = make_batch(64, 4096, 24, torch.float64)
    want = loop_over_floats(host)
    found: dict[str, Any] = {}
    for dtype, name in ((torch.float64, "float64"), (torch.float32, "float32")):
        batch = Batch(
            host.turn_rewards.to("cuda", dtype),
            host.values.to("cuda", dtype),
            host.turn_index.cuda(),
        )
        got = scan(batch)
        difference = (got.double().cpu() - want).abs().max() / want.abs().max()
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        scan(batch)
        peak = torch.cuda.max_memory_allocated() - held
        size = sum(part.numel() * part.element_size() for part in batch)
        found[name] = {
            "relative_difference": float(difference),
            "scan_ms": 1e3 * seconds(lambda batch=batch: scan(batch), 30),
            "peak_over_inputs": peak / size,
        }
    host32 = make_batch(64, 4096, 24, torch.float32)
    start = time.perf_counter()
    loop_over_tokens(host32)
    found["loop_over_tokens_on_the_cpu_ms"] = 1e3 * (time.perf_counter() - start)
    # The same loop on the device: one launch after another.
    batch = Batch(*(part.cuda() for part in host32))
    torch.set_default_device("cuda")
    found["loop_over_tokens_ms"] = 1e3 * seconds(lambda: loop_over_tokens(batch), 2)
    torch.set_default_device("cpu")
    return found


def settings(folder: Path, **changes: Any) -> Any:
    """A few iterations of five-player Werewolf."""
    from omar_trainers.config import OMARConfig

    return OMARConfig(
        **{
            "output_dir": str(folder),
            "env_name": "werewolf_v0",
            "env_kwargs": GAME,
            "seats": 5,
            "games_per_iteration": 64,
            "total_iterations": 4,
            "minibatches": 2,
            "per_device_train_batch_size": 32,
            "learning_rate": 1e-5,
            "max_new_tokens_speak": 32,
            "max_row_tokens": 1024,
            "max_grad_norm": 1.0,
            "advantage": "hierarchical",
            "lam_turn": 0.9,
            "critic": "copy",
            "critic_learning_rate": 1e-5,
            "report_to": [],
            "seed": 0,
            **changes,
        }
    )


def lines(folder: Path) -> list[dict[str, Any]]:
    """What was logged of each iteration."""
    from omar_trainers.metrics import METRICS_FILE

    return [json.loads(line) for line in (folder / METRICS_FILE).read_text().splitlines()]


def resume(scratch: Path) -> dict[str, Any]:
    """The house model; stopped by an exception after its second checkpoint."""
    from transformers import TrainerCallback

    from omar_trainers.house import house_directory
    from omar_trainers.trainer import OMARTrainer

    class Stop(TrainerCallback):
        saves = 0

        def on_save(self, *_: Any, **__: Any) -> None:
            self.saves += 1
            if self.saves == 2:
                raise KeyboardInterrupt

    def make(name: str, *callbacks: Any) -> OMARTrainer:
        args = settings(
            scratch / name,
            save_iterations=1,
            learning_rate=1e-3,
            critic="fresh",
            bf16=False,
            max_new_tokens_speak=12,
            max_row_tokens=512,
        )
        return OMARTrainer(str(house_directory()), args, callbacks=list(callbacks))

    weights: list[list[torch.Tensor]] = []
    for name in ("whole", "again"):
        trainer = make(name)
        trainer.train()
        weights.append([p.detach().double() for p in trainer.model.parameters()])
    try:
        make("stopped", Stop()).train()
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("it was not stopped")
    trainer = make("stopped")
    trainer.train()
    weights.append([p.detach().double() for p in trainer.model.parameters()])

    def apart(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
        return max(float((x - y).abs().max()) for x, y in zip(a, b, strict=True))

    start = make("start").model
    moved = apart([p.detach().double() for p in start.parameters()], weights[0])
    gaps = [line["policy/logprob_gap"] for line in lines(scratch / "whole")]
    return {
        "weights_moved": moved,
        "again_differs_by": apart(weights[0], weights[1]),
        "resumed_differs_by": apart(weights[0], weights[2]),
        "logprob_gap": gaps,
    }


def self_play(scratch: Path, **changes: Any) -> dict[str, Any]:
    """SmolLM2: what it logged, and the memory it took."""
    from omar_trainers.trainer import OMARTrainer

    args = settings(scratch / "run", save_strategy="no", **changes)
    trainer = OMARTrainer(str(SMOLLM2), args)
    trainer.train()
    keep = (
        "policy/logprob_gap",
        "play/cached_prompt_share",
        "play/tokens_per_second",
        "policy/approx_kl",
        "grad_norm",
        "entropy",
        "step_time",
        "row/tokens",
    )
    logged = [
        {k: v for k, v in line.items() if k in keep or k.startswith("time/")}
        for line in lines(scratch / "run")
    ]
    return {"iterations": logged, "peak_gib": torch.cuda.max_memory_allocated() / GIB}


def colocate(scratch: Path) -> dict[str, Any]:
    """Through vLLM, which sleeps while the model learns."""
    return self_play(
        scratch,
        use_vllm=True,
        vllm_mode="colocate",
        vllm_gpu_memory_utilization=0.2,
        vllm_enable_sleep_mode=True,
        old_logprobs="recomputed",
        bf16=True,
    )


def transformers(scratch: Path) -> dict[str, Any]:
    """Through transformers, sampled in float32 as it learns."""
    return self_play(scratch, bf16=True, old_logprobs="recomputed")


def backend(_: Path) -> dict[str, Any]:
    """Self-play and vLLM alone, in turns."""
    from benchmarks import selfplay_throughput as page

    return page.on_gpu(repeats=5)


def recipe(scratch: Path) -> dict[str, Any]:
    """One round of few games as the recipe says, with random weights."""
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM, TrainerCallback
    from trl import get_peft_config

    from omar_trainers.train import parse
    from omar_trainers.trainer import OMARTrainer

    shape = Qwen3Config(
        vocab_size=151_936,
        hidden_size=2560,
        intermediate_size=9728,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=40_960,
        rope_theta=1_000_000.0,
        tie_word_embeddings=True,
        eos_token_id=2,
        bos_token_id=1,
        pad_token_id=2,
    )
    folder = scratch / "qwen3-4b-random"
    if not (folder / "config.json").exists():
        torch.manual_seed(0)
        with torch.device("cuda"):
            torch.set_default_dtype(torch.bfloat16)
            model = Qwen3ForCausalLM(shape)
            torch.set_default_dtype(torch.float32)
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(SMOLLM2).save_pretrained(folder)
        del model
        torch.cuda.empty_cache()
    config, names = parse(
        [
            *("--recipe", "werewolf_qwen3_4b", "--output_dir", str(scratch / "run")),
            *("--model_name_or_path", str(folder), "--games_per_iteration", str(RECIPE_GAMES)),
            *("--total_iterations", "1", "--critic_only_iterations", "0"),
            *("--save_strategy", "no", "--report_to", "none"),
        ]
    )
    config.model_init_kwargs = {"dtype": names.dtype, "attn_implementation": "sdpa"}
    peaks: list[dict[str, float]] = []

    def note(name: str) -> None:
        free, total = torch.cuda.mem_get_info()
        peaks.append(
            {
                "at": name,
                "torch_peak_gib": torch.cuda.max_memory_allocated() / GIB,
                "torch_now_gib": torch.cuda.memory_allocated() / GIB,
                "device_used_gib": (total - free) / GIB,
            }
        )
        torch.cuda.reset_peak_memory_stats()
        print(peaks[-1], flush=True)

    class Watch(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            note("ready")

        def on_step_end(self, *_: Any, **__: Any) -> None:
            note("step")

    trainer = OMARTrainer(
        str(folder), config, peft_config=get_peft_config(names), callbacks=[Watch()]
    )
    played = trainer.play_round

    def watched(prompts: Any) -> Any:
        note("before play")
        result = played(prompts)
        note("after play")
        return result

    trainer.play_round = watched  # type: ignore[method-assign]
    trainer.train()
    return {"games": RECIPE_GAMES, "memory": peaks, "iterations": lines(scratch / "run")}


def page(folder: Path) -> str:
    """What the parts found, as Markdown."""
    found = {
        part: json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
        for part in PARTS
        if (folder / f"{part}.json").exists()
    }
    if not found:
        sys.exit(f"{folder} holds no results yet: run a part first")
    first = next(iter(found.values()))
    lines = [
        "# On a GPU",
        "",
        f"{first['device']}, PyTorch {first['torch']}. Made by `python -m benchmarks.gpu_checks`,",
        "part by part, while other runs used the same machine: read times as bounds.",
    ]
    for part, result in found.items():
        lines += ["", *SECTIONS[part](result)]
    return "\n".join(lines) + "\n"


def _advantages(found: dict[str, Any]) -> list[str]:
    lines = [
        "## Hierarchical advantages, 64 rows of 4,096 tokens, 24 turns",
        "",
        "| | scan | loop over tokens, all rows at once | memory beside the inputs "
        "| differs from Python floats by |",
        "|---|---|---|---|---|",
    ]
    for name in ("float32", "float64"):
        one = found[name]
        loop = f"{found['loop_over_tokens_ms']:,.0f} ms" if name == "float32" else ""
        lines.append(
            f"| {name} | {one['scan_ms']:.1f} ms | {loop} | {one['peak_over_inputs']:.1f} times "
            f"| {one['relative_difference']:.0e} of the largest |"
        )
    return lines


def _resume(found: dict[str, Any]) -> list[str]:
    return [
        "## A run that was stopped and goes on",
        "",
        f"House model, four iterations, stopped after the second: its weights differ from those of "
        f"the unbroken run by {found['resumed_differs_by']:.0e} at most, where a second unbroken "
        f"run differs by {found['again_differs_by']:.0e} and training moved them by "
        f"{found['weights_moved']:.0e}. Logprobs of sampling and scoring in float32 are apart by "
        f"{max(found['logprob_gap']):.0e}.",
    ]


def _self_play(title: str) -> Callable[[dict[str, Any]], list[str]]:
    def section(found: dict[str, Any]) -> list[str]:
        def middle(name: str) -> float:
            return median(line[name] for line in found["iterations"])

        return [
            f"## SmolLM2-135M, 64 games an iteration, {title}",
            "",
            "| sampled tokens/s | play | score | learn | iteration | prompt tokens cached "
            "| gap of logprobs, sampled to scored | peak, all of it by PyTorch |",
            "|---|---|---|---|---|---|---|---|",
            f"| {middle('play/tokens_per_second'):,.0f} | {middle('time/play'):.1f} s "
            f"| {middle('time/score'):.1f} s | {middle('time/train'):.1f} s "
            f"| {middle('time/iteration'):.1f} s | {middle('play/cached_prompt_share'):.0%} "
            f"| {middle('policy/logprob_gap'):.3f} | {found['peak_gib']:.0f} GiB |",
            "",
            f"Medians of {len(found['iterations'])} iterations; a full-size critic learns beside.",
        ]

    return section


def _backend(found: dict[str, Any]) -> list[str]:
    plays, replays = found["passes"]["play"], found["passes"]["replay"]
    ratios = [
        replay["seconds"] / play["seconds"] for play, replay in zip(plays, replays, strict=True)
    ]

    def share(name: str) -> float:
        return median(play[name] / play["seconds"] for play in plays)

    return [
        "## Self-play beside vLLM alone, SmolLM2-135M in bfloat16",
        "",
        f"256 games, {plays[0]['in_flight']:,.0f} requests in flight on average, "
        f"{plays[0]['tokens']:,} tokens: self-play runs at {median(ratios):.2f} of the backend's "
        f"own speed (pairs: {', '.join(f'{ratio:.2f}' for ratio in ratios)}), "
        f"{median(play['tokens'] / play['seconds'] for play in plays):,.0f} tokens/s. Environments "
        f"take {share('environment'):.1%} of the time and templates, tokenizer and rows "
        f"{share('policy'):.1%}: one Python thread feeds a GPU that a model of this size leaves "
        "half idle.",
    ]


def _recipe(found: dict[str, Any]) -> list[str]:
    from omar_trainers.memory import estimate_recipe

    (line,) = found["iterations"]
    at = {each["at"]: each for each in found["memory"]}
    row_tokens = round(line["row/tokens"])
    arithmetic = estimate_recipe(
        ["--recipe", "werewolf_qwen3_4b", "--output_dir", str(RESULTS.parent)],
        devices=1,
        row_tokens=row_tokens,
    )
    known = {part.name: part.size / GIB for part in arithmetic.parts}
    before = ("policy: frozen base", "policy: adapters", "critic: weights")
    engine = at["ready"]["torch_now_gib"] - sum(known[name] for name in before)
    optimizers = at["step"]["torch_now_gib"] - at["ready"]["torch_now_gib"]
    peak = at["step"]["torch_peak_gib"] - engine
    return [
        "## Recipe `werewolf_qwen3_4b`, random weights of Qwen3-4B's shape",
        "",
        f"One iteration of {found['games']} games in place of 32, vLLM colocated and asleep while "
        f"the model learns; rows have {row_tokens:,} tokens on average.",
        "",
        "| GiB | measured | by `omar_trainers.memory`, at such rows |",
        "|---|---|---|",
        f"| vLLM: weights and cache | {engine:.1f} | {known['vLLM: weights and cache']:.1f} |",
        f"| optimizers of policy and critic | {optimizers:.2f} "
        f"| {known['policy: AdamW'] + known['critic: AdamW']:.2f} |",
        f"| peak while learning | {peak:.1f} | {arithmetic.peak('learn') / GIB:.1f} |",
        "",
        f"Gap of logprobs {line['policy/logprob_gap']:.3f}; the iteration took "
        f"{line['time/iteration']:.0f} s, its first and only, of which vLLM played "
        f"{line['time/play']:.0f} s.",
    ]


SECTIONS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "advantages": _advantages,
    "resume": _resume,
    "colocate": _self_play("vLLM colocated, asleep while the model learns"),
    "transformers": _self_play("the transformers generator, in float32"),
    "backend": _backend,
    "recipe": _recipe,
}

PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "advantages": advantages,
    "resume": resume,
    "colocate": colocate,
    "transformers": transformers,
    "backend": backend,
    "recipe": recipe,
}


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=[*PARTS, "page"])
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"))
    options = parser.parse_args()
    if options.part == "page":
        text = page(options.out)
        RESULTS.write_text(text, encoding="utf-8")
        print(text)
        return
    if not torch.cuda.is_available():
        sys.exit("this needs a GPU")
    scratch = options.out / options.part
    scratch.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    found = PARTS[options.part](scratch)
    found |= {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "seconds": time.perf_counter() - started,
    }
    text = json.dumps(found, indent=1)
    (options.out / f"{options.part}.json").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
