"""The page of ``benchmarks.gpu_checks``, from what its parts left."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results" / "gpu.md"
GIB = 1 << 30


def page(folder: Path) -> str:
    """What the parts found, as Markdown."""
    found = {
        part: json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
        for part in SECTIONS
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
    "transformers": _self_play("the transformers generator"),
    "backend": _backend,
    "recipe": _recipe,
}
