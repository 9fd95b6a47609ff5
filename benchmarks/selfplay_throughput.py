"""Does self-play keep its backend busy? Tokens per second beside the backend's own.

::

    OMP_NUM_THREADS=1 python -m benchmarks.selfplay_throughput

Each contestant plays Werewolf with one model in every seat, then its backend is given the
very requests that those games made, and nothing else is done: no game, no text, no rows.
transformers gets them in the same batches, with the same seed, and samples the same tokens.
vLLM keeps as many of them in flight as self-play had on average; both are greedy, so
that its prefix cache finds the same tokens. The two take turns, ``--repeats`` times; times
are CPU time of one process on one thread, which a busy machine does not change much, and
ratios are of medians. Writes ``benchmarks/results/selfplay_throughput.md``.

Needs SmolLM2 and vLLM's environment in ``runs/``, as ``make test-vllm`` makes them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.prompt_caches import GAME, SMOLLM2, caches

ROOT = Path(__file__).resolve().parents[1]
MAX_CONTEXT = 512
RESULTS = ROOT / "benchmarks" / "results" / "selfplay_throughput.md"
VLLM = ROOT / "runs" / "vllm-venv" / "bin" / "python"


clock: Callable[[], float] = time.process_time
"""What passes are timed by."""


class Contestant(NamedTuple):
    """A backend and a model; games per pass, and the longest speech in tokens."""

    backend: str
    model: str
    games: int
    speech: int
    python: Path
    device: str = "cpu"


CONTESTANTS = (
    Contestant("transformers", "house", 64, 12, Path(sys.executable)),
    Contestant("transformers", "smollm2", 4, 12, Path(sys.executable)),
    Contestant("vllm", "smollm2", 4, 12, VLLM),
)


class Pass(NamedTuple):
    """One pass, in CPU seconds; ``outside`` is what was not spent in the backend."""

    tokens: int
    seconds: float
    wall: float
    policy: float = 0.0
    environment: float = 0.0
    cached: float = 0.0
    in_flight: float = 0.0


def main() -> None:
    """Measure every contestant in a process of its own, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--only", type=int, nargs="*", default=range(len(CONTESTANTS)))
    options = parser.parse_args()
    if options.one is not None:
        measure(CONTESTANTS[options.one], options.repeats)
        return
    found = []
    for number in options.only:
        contestant = CONTESTANTS[number]
        command = [str(contestant.python), "-m", "benchmarks.selfplay_throughput"]
        settings = {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "trainers")]),
            "HF_HUB_OFFLINE": "1",
            "VLLM_LOGGING_LEVEL": "ERROR",
            "VLLM_CPU_KVCACHE_SPACE": "1",
        }
        answer = subprocess.run(
            [*command, "--one", str(number), "--repeats", str(options.repeats)],
            cwd=ROOT,
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        line = next(x for x in answer.stdout.splitlines() if x.startswith('{"found"'))
        found.append((contestant, json.loads(line)["found"]))
        print(row(*found[-1]))
    if len(found) == len(CONTESTANTS):
        RESULTS.write_text(page(found), encoding="utf-8")


def on_gpu(repeats: int) -> dict[str, Any]:
    """SmolLM2 on vLLM on a GPU, by the wall clock."""
    global clock
    clock = time.perf_counter
    contestant = Contestant("vllm", "smollm2", 256, 12, Path(sys.executable), "cuda")
    found = take_turns(contestant, repeats)
    return {"row": row(contestant, found), "passes": found}


def measure(contestant: Contestant, repeats: int) -> None:
    """One line of JSON says what was found."""
    print(json.dumps({"found": take_turns(contestant, repeats)}))


def take_turns(contestant: Contestant, repeats: int) -> dict[str, list[dict[str, float]]]:
    """Play and replay in turns."""
    table = VLLMTable(contestant) if contestant.backend == "vllm" else TorchTable(contestant)
    table.play()  # warms up, and records
    passes: dict[str, list[Pass]] = {"play": [], "replay": []}
    for _ in range(repeats):
        for kind, once in (("play", table.play), ("replay", table.replay)):
            passes[kind].append(once())
            print(kind, passes[kind][-1], file=sys.stderr, flush=True)
    return {k: [p._asdict() for p in v] for k, v in passes.items()}


class Timed:
    """Passes requests on to a generator, and times it; or remembers them instead."""

    def __init__(self, inner: Any, records: bool) -> None:
        self.inner = inner
        self.records = records
        self.num_calls = self.num_requests = 0
        self.seconds = 0.0
        self.batches: list[list[Any]] = []
        self.max_context = inner.max_context

    def generate(self, requests: Sequence[Any]) -> list[Any]:
        self.note(requests)
        start = clock()
        results = self.inner.generate(requests)
        self.seconds += clock() - start
        return results

    def forget(self) -> None:
        self.inner.forget()

    def note(self, requests: Sequence[Any]) -> None:
        self.num_calls += 1
        self.num_requests += len(requests)
        if self.records:
            self.batches.append([replace(r, ids=list(r.ids)) for r in requests])


class TimedStream(Timed):
    """The same for one that streams."""

    def submit(self, requests: Sequence[Any]) -> None:
        self.note(requests)
        start = clock()
        self.inner.submit(requests)
        self.seconds += clock() - start

    def poll(self) -> list[tuple[Hashable, Any]]:
        start = clock()
        found = self.inner.poll()
        self.seconds += clock() - start
        return found


class TimedPolicy:
    """A policy that streams, timed."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.seconds = 0.0
        self.name = inner.name

    def act(self, views: Sequence[Any]) -> list[str]:
        raise AssertionError("it is asked by submit")

    def submit(self, views: Sequence[Any]) -> None:
        start = clock()
        self.inner.submit(views)
        self.seconds += clock() - start

    def poll(self) -> list[Any]:
        start = clock()
        replies = self.inner.poll()
        self.seconds += clock() - start
        return replies


class TorchTable:
    """Games on transformers."""

    temperature = 1.0

    def __init__(self, contestant: Contestant) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from omar_trainers.house import house_directory
        from omar_trainers.tokens import ChatTokenizer

        self.contestant = contestant
        self.path = str(house_directory() if contestant.model == "house" else SMOLLM2)
        self.tokens = ChatTokenizer(AutoTokenizer.from_pretrained(self.path))
        self.batches: list[list[Any]] = []
        self.in_flight = 0.0
        if contestant.backend == "transformers":
            self.model = AutoModelForCausalLM.from_pretrained(self.path, dtype=torch.float32)

    def generator(self) -> Any:
        """A fresh one, with nothing cached."""
        from omar_trainers.generation import TransformersGenerator

        return TransformersGenerator(
            self.model,
            end_token_id=self.tokens.end_token_id,
            pad_token_id=self.tokens.pad_token_id,
            seed=0,
            max_context=MAX_CONTEXT,
        )

    def watch(self, generator: Any) -> Timed:
        """The generator, timed; the first time its requests are recorded."""
        return Timed(generator, records=not self.batches)

    def play(self) -> Pass:
        """Self-play from environments to rows."""
        from omar_envs import werewolf_v0
        from omar_envs.rollout import play_games
        from omar_trainers.model_policy import ModelPolicy

        envs = [werewolf_v0.raw_env(**GAME) for _ in range(self.contestant.games)]
        timed = self.watch(self.generator())
        wall, start = time.perf_counter(), clock()
        policy = TimedPolicy(
            ModelPolicy(
                timed,
                self.tokens,
                max_new_tokens_speak=self.contestant.speech,
                temperature=self.temperature,
            )
        )
        play_games(envs, range(len(envs)), lambda game, agent: policy)
        rows = policy.inner.take_rows().values()
        seconds, wall = clock() - start, time.perf_counter() - wall
        self.batches = self.batches or timed.batches
        asked = sum(r.num_asked for r in rows)
        return Pass(
            tokens=sum(turn >= 0 for r in rows for turn in r.turn_index),
            seconds=seconds,
            wall=wall,
            policy=policy.seconds - timed.seconds,
            environment=seconds - policy.seconds,
            cached=sum(r.num_reused for r in rows) / asked,
            in_flight=self.in_flight or timed.num_requests / timed.num_calls,
        )

    def replay(self) -> Pass:
        """The recorded batches, and nothing else."""
        generator = self.generator()
        wall, start = time.perf_counter(), clock()
        results = [r for batch in self.batches for r in generator.generate(batch)]
        seconds, wall = clock() - start, time.perf_counter() - wall
        return Pass(sum(len(r.ids) for r in results), seconds, wall)


class VLLMTable(TorchTable):
    """Games on vLLM's engine in this process."""

    temperature = 0.0

    def __init__(self, contestant: Contestant) -> None:
        super().__init__(contestant)
        os.environ |= {
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_NO_USAGE_STATS": "1",
        }
        from vllm import LLM

        where: dict[str, Any] = (
            {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 64, "block_size": 32}
            if contestant.device == "cpu"
            else {"dtype": "bfloat16", "max_num_seqs": 512, "gpu_memory_utilization": 0.2}
        )
        self.llm = LLM(
            self.path, max_model_len=MAX_CONTEXT, logprobs_mode="processed_logprobs", **where
        )
        self.steps: list[int] = []
        engine = self.llm.llm_engine
        step = engine.step

        def counted() -> Any:
            self.steps.append(engine.get_num_unfinished_requests())
            return step()

        engine.step = counted

    def generator(self) -> Any:
        """One on an engine that has nothing cached."""
        from omar_trainers.vllm.backends import EngineBackend
        from omar_trainers.vllm.generator import VLLMGenerator

        self.llm.reset_prefix_cache()
        return VLLMGenerator(
            EngineBackend(self.llm, seed=0),
            end_token_id=self.tokens.end_token_id,
            max_context=MAX_CONTEXT,
        )

    def watch(self, generator: Any) -> Timed:
        """The generator, timed; the first time its requests are recorded."""
        return TimedStream(generator, records=not self.batches)

    def play(self) -> Pass:
        """Self-play from environments to rows."""
        self.steps.clear()
        played = super().play()
        self.in_flight = sum(self.steps) / len(self.steps)
        return played._replace(in_flight=self.in_flight)

    def replay(self) -> Pass:
        """The recorded requests, so many at once as there were on average."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        self.llm.reset_prefix_cache()
        engine, end = self.llm.llm_engine, self.tokens.end_token_id
        calls = [call for batch in self.batches for call in batch]
        waiting = [(call, first_fork(call)) for call in calls]
        queue = [(ids, limit, allowed) for _, (ids, limit, allowed) in waiting if limit]
        tokens = cached = asked = 0
        wall, start = time.perf_counter(), clock()
        number = 0
        room = max(1, round(self.in_flight))
        while number < len(queue) or engine.has_unfinished_requests():
            while number < len(queue) and engine.get_num_unfinished_requests() < room:
                ids, limit, allowed = queue[number]
                parameters = SamplingParams(
                    temperature=0.0,
                    max_tokens=limit,
                    logprobs=0,
                    ignore_eos=True,
                    stop_token_ids=[end],
                    detokenize=False,
                    allowed_token_ids=allowed,
                    output_kind=RequestOutputKind.FINAL_ONLY,
                )
                engine.add_request(str(number), {"prompt_token_ids": ids}, parameters)
                number += 1
            for output in engine.step():
                tokens += len(output.outputs[0].token_ids)
                cached += output.num_cached_tokens
                asked += len(output.prompt_token_ids)
        seconds, wall = clock() - start, time.perf_counter() - wall
        return Pass(tokens, seconds, wall, cached=cached / asked)


def first_fork(call: Any) -> tuple[list[int], int, list[int] | None]:
    """Prompt, limit and allowed ids of a request's first call; limit 0 where there is none."""
    from omar_trainers.trie import ChoiceTrie

    if call.choices is None:
        return list(call.ids), call.max_new_tokens, None
    trie, prefix = ChoiceTrie(call.choices), ()
    while prefix not in call.choices and len(trie.allowed(prefix, -1)) == 1:
        prefix += trie.allowed(prefix, -1)
    allowed = trie.allowed(prefix, -1)
    return [*call.ids, *prefix], int(len(allowed) > 1), list(allowed)


def middle(passes: Sequence[dict[str, float]], name: str) -> float:
    """Median of one field."""
    return median(each[name] for each in passes)


def row(contestant: Contestant, found: dict[str, list[dict[str, float]]]) -> str:
    """One line of the table."""
    play, replay = found["play"], found["replay"]
    speeds = [
        median(each["tokens"] / each["seconds"] for each in passes) for passes in (play, replay)
    ]
    # The backend's calls alone have no tokens that needed no call: compare equal requests.
    work = middle(replay, "seconds") / middle(play, "seconds")
    outside = middle(play, "environment") / middle(play, "seconds")
    policy = middle(play, "policy") / middle(play, "seconds")
    return (
        f"| {contestant.backend} | {contestant.model} | {len(play)} | {contestant.games} "
        f"| {middle(play, 'in_flight'):.1f} | {middle(play, 'tokens'):,.0f} | {speeds[0]:,.0f} "
        f"| {work:.3f} | {outside:.2%} | {policy:.2%} | {middle(play, 'cached'):.1%} |"
    )


def page(found: Sequence[tuple[Contestant, Any]]) -> str:
    """The results as Markdown."""
    lines = "\n".join(row(*each) for each in found)
    return f"""# Self-play beside its backend alone

Werewolf, 5 players, up to 2 days with 2 rounds of talk each, one model in every seat. Self-play
(environments, prompts, tokens, rows), and then the requests that it made given to the backend
alone, in turns; medians of CPU time on one thread of a busy machine. Made by
`OMP_NUM_THREADS=1 python -m benchmarks.selfplay_throughput` on {platform.machine()}, Python
{platform.python_version()}.

| backend | model | passes | games at once | requests at once, mean | tokens sampled | tokens/s \
| of the backend's own speed | environment's share of the time | policy's own share \
| prompt tokens cached, second turn on |
|---|---|---|---|---|---|---|---|---|---|---|
{lines}

- *Of the backend's own speed*: time of the requests alone over time of self-play.
- *Environment*: rules, views and texts. *Policy's own*: templates, tokenizer, rows.
- *Cached*: of all tokens of a row that the backend is asked to go on from, those that it did
  not have to read again. vLLM keeps whole blocks of 32 tokens, and these rows are short.

How much of a row a cache can hold from the second turn on, by its block (1 is the transformers
generator, 16 vLLM on GPUs, 32 vLLM on the CPU): whole games with replies of 40 words, SmolLM2's
tokens, no model.

| game | tokens per row | block 1 | block 16 | block 32 |
|---|---|---|---|---|
{caches()}
"""


if __name__ == "__main__":
    main()
