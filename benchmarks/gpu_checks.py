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

from benchmarks.gpu_page import GIB, RESULTS, page

ROOT = Path(__file__).resolve().parents[1]
SMOLLM2 = ROOT / "runs" / "smollm2"
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
    """Through transformers."""
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
