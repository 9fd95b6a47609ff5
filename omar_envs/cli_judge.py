"""``omar-envs judge``: let a language model score saved episodes.

Judgements are appended to a file as they come. The same command goes on where it was
stopped: what is judged is not asked again, what failed is.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

import typer

from omar_envs.cli_help import About
from omar_envs.cli_options import OUTPUT_PANEL, Json, natural, positive
from omar_envs.errors import ConfigError
from omar_envs.terminal import progress, show, show_json

if TYPE_CHECKING:
    from omar_envs.cli_judge_report import Report
    from omar_envs.judge import Judgement, OpenAIJudge

EXIT_NONE_OK = 1
"""Exit code where no episode has a sound judgement."""

ABOUT = About(
    "Let a language model score saved episodes by a rubric.",
    "omar-envs judge episodes.jsonl --judge http://localhost:8000/v1#Qwen/Qwen3-32B",
    """\
Judgements are appended to a file as they come, one line each. The same command
goes on where it was stopped: what is judged is not asked again, what failed is.
A failed judgement is never a score. Several --judge make a panel.
The key is read from OPENAI_API_KEY. A rubric of one's own: pydoc
omar_envs.judge.rubric_files. Needs pip install 'omar-envs[judge]'.

exit codes: 0 done; 1 no episode has a sound judgement; 2 an option or a file
is wrong; 130 after Ctrl-C
""",
)

_Number = TypeVar("_Number", int, float)

_ASKING_PANEL = "How it is asked"
_COST_PANEL = "What it may cost"


def _or_none(number: Callable[[Any], _Number]) -> Callable[[Any], _Number | None]:
    def read(text: Any) -> _Number | None:
        return None if text == "none" else number(text)

    return read


def _real(text: str | float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise typer.BadParameter(f"must be a number or none: got {str(text)[:40]!r}")
    return number


class _Asking(NamedTuple):
    """How the judges are asked, as the options say."""

    urls: Sequence[str]
    rubric: str
    scale: Literal["raw", "unit", "rubric"]
    samples: int
    per_utterance: bool
    concurrency: int
    timeout: float
    max_tokens: int
    temperature: float | None
    seed: int | None
    schema: Literal["strict", "prompt"]
    prices: tuple[float, float] | None
    max_cost: float | None
    cache: Path | None


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="episodes, as JSON lines")],
    judge: Annotated[
        list[str],
        typer.Option(
            "--judge",
            metavar="URL#MODEL",
            help="a model behind an OpenAI-compatible endpoint; may be given several times",
        ),
    ],
    rubric: Annotated[
        str,
        typer.Option(
            "--rubric",
            metavar="NAME",
            help="sotopia, omar or a file in YAML",
            autocompletion=lambda incomplete: [
                name for name in ("sotopia", "omar") if name.startswith(incomplete)
            ],
        ),
    ] = "sotopia",
    scale: Annotated[
        Literal["raw", "unit", "rubric"],
        typer.Option("--scale", help="of rewards; pydoc omar_envs.judge.scales"),
    ] = "raw",
    samples: Annotated[
        int,
        typer.Option("--samples", metavar="K", parser=positive, help="the median of K judgements"),
    ] = 1,
    per_utterance: Annotated[
        bool, typer.Option("--per-utterance", help="also weigh every act by its importance")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="where judgements go  (default: FILE with the ending .judged.jsonl)",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    json: Json = False,
    concurrency: Annotated[
        int,
        typer.Option(
            "--concurrency",
            metavar="N",
            parser=positive,
            help="requests at once, of every judge",
            rich_help_panel=_ASKING_PANEL,
        ),
    ] = 32,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="SECONDS", help="of a request", rich_help_panel=_ASKING_PANEL
        ),
    ] = 120.0,
    max_tokens: Annotated[
        int,
        typer.Option(
            "--max-tokens",
            metavar="N",
            parser=positive,
            help="of an answer",
            rich_help_panel=_ASKING_PANEL,
        ),
    ] = 4096,
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature",
            metavar="T",
            parser=_or_none(_real),
            help="none: not sent, for models that know no other than their own",
            rich_help_panel=_ASKING_PANEL,
        ),
    ] = 0.0,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            parser=_or_none(natural),
            help="of the orders; none: not sent",
            rich_help_panel=_ASKING_PANEL,
        ),
    ] = 0,
    schema: Annotated[
        Literal["strict", "prompt"],
        typer.Option(
            "--schema",
            help="prompt: for endpoints that do not know response_format",
            rich_help_panel=_ASKING_PANEL,
        ),
    ] = "strict",
    prices: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--prices",
            metavar="PROMPT COMPLETION",
            help="per million tokens, of every judge",
            rich_help_panel=_COST_PANEL,
        ),
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            "--max-cost",
            metavar="COST",
            help="of this run, shared evenly among judges; needs --prices",
            rich_help_panel=_COST_PANEL,
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache", metavar="DIR", help="keep answers there", rich_help_panel=_COST_PANEL
        ),
    ] = None,
) -> int:
    """Judge a file of episodes.

    Returns:
        exit code: 0, or :data:`EXIT_NONE_OK`.

    Raises:
        ConfigError, EpisodeError: a setting, or a file, is of no use.
    """
    to = file.with_suffix(".judged.jsonl") if out is None else out
    if to.resolve() == file.resolve():
        raise ConfigError(f"--out must not be the file of episodes itself: got {to}")
    asking = _Asking(
        judge,
        rubric,
        scale,
        samples,
        per_utterance,
        concurrency,
        timeout,
        max_tokens,
        temperature,
        seed,
        schema,
        prices,
        max_cost,
        cache,
    )
    report = _judge_file(file, to, asking, told=not json)
    if json:
        show_json({"file": str(to), **report.summary()})
    else:
        show(report.text())
        show(f"\n{len(report.judgements)} judgements in {to}")
    return 0 if report.statuses["ok"] else EXIT_NONE_OK


def _judge_file(file: Path, out: Path, asking: _Asking, *, told: bool) -> Report:
    from omar_envs.cli_judge_report import Report
    from omar_envs.judge import PanelJudge, judge_all
    from omar_envs.judge.saved import JudgedEpisode, JudgedWriter, read_judged
    from omar_envs.transcript import encode, read_episodes

    episodes = read_episodes(file)
    names = [hashlib.sha256(encode(episode)).hexdigest() for episode in episodes]
    with ExitStack() as stack:
        judges = [stack.enter_context(judge) for judge in _judges(asking)]
        judge = judges[0] if len(judges) == 1 else PanelJudge(judges)
        setup = _setup(asking, judges)
        known = {line.episode: line for line in read_judged(out) if line.setup == setup}
        todo = [
            index
            for index, name in enumerate(names)
            if name not in known or known[name].result.status != "ok"
        ]
        writer = stack.enter_context(JudgedWriter(out))
        before = len(episodes) - len(todo)
        if before and told:
            show(f"{before} of {len(episodes)} were judged before, in {out}")
        done = 0

        def keep(number: int, judged: Judgement) -> None:
            nonlocal done
            index = todo[number]
            parts = judged.parts if len(judged.parts) > 1 else ()
            line = JudgedEpisode(index, names[index], setup, judged.result, parts)
            writer.write(line)
            known[line.episode] = line
            done += 1
            if update is not None:
                update(done)

        try:
            with progress("judged", len(todo)) as update:
                judge_all(judge, [episodes[i] for i in todo], keep, 2 * asking.concurrency)
        except KeyboardInterrupt:
            if told:
                show(f"\nstopped; what is judged stands in {out}, and the same command goes on")
            raise
        return Report(
            [known[name].judgement for name in names], [each.usage for each in judges], before
        )


def _judges(asking: _Asking) -> Iterator[OpenAIJudge]:
    for text, count in Counter(asking.urls).items():
        if count > 1:
            raise ConfigError(f"--judge {text} stands there {count} times; --samples asks it again")
    models = Counter(text.partition("#")[2] for text in asking.urls)
    for text in asking.urls:
        # Where several have a model of one name, its address tells which it is.
        yield _judge(asking, text, text if models[text.partition("#")[2]] > 1 else None)


def _judge(asking: _Asking, url: str, name: str | None) -> OpenAIJudge:
    from omar_envs.judge import judge_from_url, rubric_by_name

    return judge_from_url(
        url,
        name=name,
        rubric=rubric_by_name(asking.rubric),
        scale=asking.scale,
        per_utterance=asking.per_utterance,
        samples=asking.samples,
        concurrency=asking.concurrency,
        timeout=asking.timeout,
        max_tokens=asking.max_tokens,
        temperature=asking.temperature,
        schema=asking.schema,
        prices=asking.prices,
        max_cost=None if asking.max_cost is None else asking.max_cost / len(asking.urls),
        cache=asking.cache,
        seed=asking.seed,
    )


def _setup(asking: _Asking, judges: Sequence[OpenAIJudge]) -> str:
    return (
        f"{' + '.join(judge.model for judge in judges)}, {judges[0].version}, "
        f"samples={asking.samples}, per_utterance={asking.per_utterance}, "
        f"temperature={asking.temperature}, seed={asking.seed}, schema={asking.schema}"
    )
