"""``omar-envs judge``: let a language model score saved episodes.

Judgements are appended to a file as they come. The same command goes on where it was
stopped: what is judged is not asked again, what failed is.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from omar_envs.cli_options import DEFAULT, natural, positive
from omar_envs.errors import ConfigError
from omar_envs.judge import (
    Judgement,
    OpenAIJudge,
    PanelJudge,
    agreement,
    judge_all,
    judge_from_url,
    rubric_by_name,
)
from omar_envs.judge.saved import JudgedEpisode, JudgedWriter, read_judged
from omar_envs.judge.scales import SCALES
from omar_envs.judging import mean_score
from omar_envs.metering import Usage
from omar_envs.terminal import counter, show
from omar_envs.transcript import encode, read_episodes
from omar_envs.types import JudgeResult
from omar_envs.werewolf.estimates import Observation, estimate

EXIT_NONE_OK = 1
"""Exit code where no episode has a sound judgement."""

SUMMARY = "Let a language model score saved episodes by a rubric."
EXAMPLE = "omar-envs judge episodes.jsonl --judge http://localhost:8000/v1#Qwen/Qwen3-32B"
NOTES = """\
Judgements are appended to a file as they come, one line each. The same command goes
on where it was stopped: what is judged is not asked again, what failed is. A failed
judgement is never a score. Exit code 1: no episode has a sound judgement.
The key is read from OPENAI_API_KEY. Several --judge make a panel. A rubric of one's
own: pydoc omar_envs.judge.rubric_files. Needs pip install 'omar-envs[judge]'.
"""

_Number = TypeVar("_Number", int, float)

_KINDS_TOLD = 5
_LONGEST_REASON = 300


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command, on its own parser."""
    parser.add_argument("file", type=Path, metavar="FILE", help="episodes, as JSON lines")
    parser.add_argument(
        "--judge",
        action="append",
        required=True,
        metavar="URL#MODEL",
        help="a model behind an OpenAI-compatible endpoint; may be given several times",
    )
    parser.add_argument(
        "--rubric", default="sotopia", help="sotopia, omar or a file in YAML (default: sotopia)"
    )
    parser.add_argument(
        "--scale", choices=SCALES, default="raw", help="of rewards; pydoc omar_envs.judge.scales"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="default: FILE with the ending .judged.jsonl"
    )
    parser.add_argument(
        "--samples", type=positive, default=1, metavar="K", help="the median of K judgements"
    )
    parser.add_argument(
        "--per-utterance", action="store_true", help="also weigh every act by its importance"
    )
    parser.add_argument("--concurrency", type=positive, default=32, metavar="N", help=DEFAULT)
    parser.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS", help=DEFAULT)
    parser.add_argument("--max-tokens", type=positive, default=4096, metavar="N", help=DEFAULT)
    parser.add_argument(
        "--temperature",
        type=_or_none(float),
        default=0.0,
        help="none: not sent, for models that know no other than their own (default: 0)",
    )
    parser.add_argument(
        "--seed",
        type=_or_none(natural),
        default=0,
        help="of the orders; none: not sent (default: 0)",
    )
    parser.add_argument(
        "--schema",
        choices=("strict", "prompt"),
        default="strict",
        help="prompt: for endpoints that do not know response_format",
    )
    parser.add_argument(
        "--prices",
        type=float,
        nargs=2,
        metavar=("PROMPT", "COMPLETION"),
        help="per million tokens, of every judge",
    )
    parser.add_argument(
        "--max-cost",
        type=float,
        metavar="COST",
        help="of this run, shared evenly among judges; needs --prices",
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep answers there")


def run(args: argparse.Namespace) -> int:
    """Judge a file of episodes.

    Returns:
        exit code: 0, or :data:`EXIT_NONE_OK`.

    Raises:
        ConfigError, EpisodeError: a setting, or a file, is of no use.
    """
    out = args.file.with_suffix(".judged.jsonl") if args.out is None else args.out
    if out.resolve() == args.file.resolve():
        raise ConfigError(f"--out must not be the file of episodes itself: got {out}")
    episodes = read_episodes(args.file)
    names = [hashlib.sha256(encode(episode)).hexdigest() for episode in episodes]
    with ExitStack() as stack:
        judges = [stack.enter_context(judge) for judge in _judges(args)]
        judge = judges[0] if len(judges) == 1 else PanelJudge(judges)
        setup = _setup(args, judges)
        known = {line.episode: line for line in read_judged(out) if line.setup == setup}
        todo = [
            index
            for index, name in enumerate(names)
            if name not in known or known[name].result.status != "ok"
        ]
        writer = stack.enter_context(JudgedWriter(out))
        if len(todo) < len(episodes):
            show(f"{len(episodes) - len(todo)} of {len(episodes)} were judged before, in {out}")

        def keep(number: int, done: Judgement) -> None:
            index = todo[number]
            parts = done.parts if len(done.parts) > 1 else ()
            line = JudgedEpisode(index, names[index], setup, done.result, parts)
            writer.write(line)
            known[line.episode] = line

        try:
            with _progress(len(todo)) as advance:

                def each(number: int, done: Judgement) -> None:
                    keep(number, done)
                    advance()

                judge_all(judge, [episodes[i] for i in todo], each, 2 * args.concurrency)
        except KeyboardInterrupt:
            show(f"\nstopped; what is judged stands in {out}, and the same command goes on")
            raise
        judged = [known[name] for name in names]
        show(_report([line.judgement for line in judged], [judge.usage for judge in judges]))
        show(f"\n{len(judged)} judgements in {out}")
    return 0 if any(line.result.status == "ok" for line in judged) else EXIT_NONE_OK


def _or_none(number: Callable[[str], _Number]) -> Callable[[str], _Number | None]:
    def read(text: str) -> _Number | None:
        return None if text == "none" else number(text)

    read.__name__ = number.__name__  # argparse names what it could not read by it
    return read


def _judges(args: argparse.Namespace) -> Iterator[OpenAIJudge]:
    for text, count in Counter(args.judge).items():
        if count > 1:
            raise ConfigError(f"--judge {text} stands there {count} times; --samples asks it again")
    models = Counter(text.partition("#")[2] for text in args.judge)
    for text in args.judge:
        # Where several have a model of one name, its address tells which it is.
        yield _judge(args, text, text if models[text.partition("#")[2]] > 1 else None)


def _judge(args: argparse.Namespace, url: str, name: str | None) -> OpenAIJudge:
    return judge_from_url(
        url,
        name=name,
        rubric=rubric_by_name(args.rubric),
        scale=args.scale,
        per_utterance=args.per_utterance,
        samples=args.samples,
        concurrency=args.concurrency,
        timeout=args.timeout,
        max_tokens=args.max_tokens,
        temperature=args.temperature,
        schema=args.schema,
        prices=None if args.prices is None else tuple(args.prices),
        max_cost=None if args.max_cost is None else args.max_cost / len(args.judge),
        cache=args.cache,
        seed=args.seed,
    )


def _setup(args: argparse.Namespace, judges: Sequence[OpenAIJudge]) -> str:
    return (
        f"{' + '.join(judge.model for judge in judges)}, {judges[0].version}, "
        f"samples={args.samples}, per_utterance={args.per_utterance}, "
        f"temperature={args.temperature}, seed={args.seed}, schema={args.schema}"
    )


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error, where somebody watches it; plain where ``rich`` is missing."""
    done = 0
    update = counter("judged", total)
    if update is None:
        yield lambda: None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ModuleNotFoundError:

        def count() -> None:
            nonlocal done
            done += 1
            update(done)

        yield count
        return
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("judged", total=total)
        yield lambda: bar.advance(task)


# --- the report -------------------------------------------------------------


def _report(judgements: Sequence[Judgement], usages: Sequence[Usage]) -> str:
    results = [judgement.result for judgement in judgements]
    parts = [_statuses(results)]
    sound = [result for result in results if result.status == "ok"]
    if sound:
        parts.append(_table(sound))
    if any(len(judgement.parts) > 1 for judgement in judgements):
        parts.append(_agreement(judgement.parts for judgement in judgements))
    parts.append(_spent(usages))
    return "\n\n".join(parts)


def _statuses(results: Sequence[JudgeResult]) -> str:
    statuses = Counter(result.status for result in results)
    lines = [
        f"{len(results)} episodes: {statuses['ok']} ok, {statuses['failed']} failed, "
        f"{statuses['refused']} refused"
    ]
    reasons = Counter(result.error for result in results if result.status != "ok")
    for reason, count in reasons.most_common(_KINDS_TOLD):
        lines.append(f"  {count} times: {reason[:_LONGEST_REASON]}")
    if len(reasons) > _KINDS_TOLD:
        lines.append(f"  and {len(reasons) - _KINDS_TOLD} more reasons, in the file")
    return "\n".join(lines)


def _table(results: Sequence[JudgeResult]) -> str:
    rows = ["| dimension | mean [95% interval] (participants) |", "|---|---|"]
    found = estimate((_observations(result) for result in results), lambda name: "mean")
    rows += [f"| {name} | {value} |" for name, value in found.items()]
    return "\n".join(rows)


def _observations(result: JudgeResult) -> Iterator[Observation]:
    for agent, row in (result.scores or {}).items():
        for name, score in row.items():
            yield Observation(name, score)
        yield Observation("overall (plain mean)", mean_score(result, agent))
    for reward in (result.rewards or {}).values():
        yield Observation("reward", reward)


def _agreement(groups: Iterable[Sequence[JudgeResult]]) -> str:
    rows = [
        "| dimension | mean deviation | Krippendorff's alpha | participants |",
        "|---|---|---|---|",
    ]
    for name, (units, deviation, alpha) in agreement(groups).items():
        rows.append(f"| {name} | {_number(deviation)} | {_number(alpha)} | {units} |")
    return "\n".join(rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _spent(usages: Sequence[Usage]) -> str:
    prompt = sum(usage.prompt_tokens for usage in usages)
    completion = sum(usage.completion_tokens for usage in usages)
    requests = sum(usage.requests for usage in usages)
    failures = sum(usage.failures for usage in usages)
    text = (
        f"{requests} requests, {failures} of them without an answer; {prompt} prompt tokens, "
        f"{completion} completion tokens"
    )
    costs = [usage.cost for usage in usages if usage.cost is not None]
    return f"{text}; cost {sum(costs):.4f}" if costs else text
