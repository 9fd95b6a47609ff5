"""``omar-envs export``: recorded games in the forms that other libraries read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from omar_envs.cli_help import About
from omar_envs.cli_options import OUTPUT_PANEL, Json, Overwrite, complete_env, natural
from omar_envs.terminal import progress, show, show_json

if TYPE_CHECKING:
    from omar_envs.export.filters import TurnRule

_SEATS = "Which seats"
_ROWS = "What a row holds"
_HUB = "The Hugging Face hub"

ABOUT = About(
    "Turn recorded games into data for other libraries, with a dataset card.",
    "omar-envs export episodes.jsonl --format sft --result won --out won",
    """\
formats:
  chat        a row per seat: {"messages": [{"role", "content"}, ...]}
  sharegpt    a row per seat: {"conversations": [{"from", "value"}, ...]}
  sft         a row per act: prompt and completion, for TRL's SFTTrainer
  preference  a row per pair of replies: prompt, chosen, rejected, as TRL's
              DPOTrainer takes them; from won and lost games of equal seeds
  textarena   a row per game: logs, observations, steps, rewards
  datasets    a folder for datasets.load_from_disk, of the --rows named;
              --rows episodes keeps whole games [export]

--out NAME.jsonl is one file, any other name a folder with the card README.md
and one file per split. Options about seats can be repeated; names may have
commas between them. What each leaves out is counted and shown. --turn-rules
needs pip install 'omar-envs[train]'. More: docs/exports.md.
""",
)

Names = list[str] | None


def _complete_kind(incomplete: str) -> list[str]:
    from omar_envs.export import KINDS

    return [name for name in KINDS if name.startswith(incomplete)]


def _complete_rows(incomplete: str) -> list[str]:
    from omar_envs.export import FORMATS

    return [name for name in FORMATS if name.startswith(incomplete)]


def _complete_result(incomplete: str) -> list[str]:
    return [name for name in ("won", "lost", "drawn") if name.startswith(incomplete)]


def command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="episodes, as JSON lines, or folders")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="a file that ends in .jsonl, or a folder",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="one of those below", autocompletion=_complete_kind
        ),
    ] = "chat",
    rows: Annotated[
        str | None,
        typer.Option(
            "--rows",
            metavar="FORMAT",
            autocompletion=_complete_rows,
            help="what the rows of datasets are, or episodes  (default: chat)",
            rich_help_panel=_ROWS,
        ),
    ] = None,
    env: Annotated[
        Names,
        typer.Option(
            "--env",
            metavar="NAME",
            autocompletion=complete_env,
            help="of this environment",
            rich_help_panel=_SEATS,
        ),
    ] = None,
    seeds: Annotated[
        Names,
        typer.Option(
            "--seeds", metavar="RANGE", help="with these seeds: 0-99,200", rich_help_panel=_SEATS
        ),
    ] = None,
    role: Annotated[
        Names, typer.Option("--role", metavar="NAME", help="in this role", rich_help_panel=_SEATS)
    ] = None,
    team: Annotated[
        Names, typer.Option("--team", metavar="NAME", help="of this team", rich_help_panel=_SEATS)
    ] = None,
    seat: Annotated[
        list[int] | None,
        typer.Option(
            "--seat",
            metavar="N",
            parser=natural,
            help="with this number, from 0",
            rich_help_panel=_SEATS,
        ),
    ] = None,
    policy: Annotated[
        Names,
        typer.Option("--policy", metavar="NAME", help="played by it", rich_help_panel=_SEATS),
    ] = None,
    result: Annotated[
        Names,
        typer.Option("--result", metavar="NAME", help="won, lost or drawn", rich_help_panel=_SEATS),
    ] = None,
    min_reward: Annotated[
        float | None,
        typer.Option(
            "--min-reward", metavar="X", help="paid as much, in all", rich_help_panel=_SEATS
        ),
    ] = None,
    max_reward: Annotated[
        float | None,
        typer.Option(
            "--max-reward", metavar="X", help="paid no more, in all", rich_help_panel=_SEATS
        ),
    ] = None,
    min_acts: Annotated[
        int,
        typer.Option(
            "--min-acts",
            metavar="N",
            parser=natural,
            help="that acted as often",
            rich_help_panel=_SEATS,
        ),
    ] = 0,
    valid: Annotated[
        bool,
        typer.Option("--valid", help="without acts that were invalid", rich_help_panel=_SEATS),
    ] = False,
    complete: Annotated[
        bool,
        typer.Option("--complete", help="of games that no limit ended", rich_help_panel=_SEATS),
    ] = False,
    judged: Annotated[
        bool,
        typer.Option("--judged", help="whose judgement did not fail", rich_help_panel=_SEATS),
    ] = False,
    judgements: Annotated[
        list[Path] | None,
        typer.Option(
            "--judgements",
            metavar="FILE",
            help="of omar-envs judge over these games: they become part of the reward",
            rich_help_panel=_SEATS,
        ),
    ] = None,
    turn_rules: Annotated[
        bool,
        typer.Option(
            "--turn-rules",
            help="without speech that is empty, repeats or copies, by the trainer's rules",
            rich_help_panel=_SEATS,
        ),
    ] = False,
    strip_thinking: Annotated[
        bool,
        typer.Option(
            "--strip-thinking",
            help="leave out private reasoning from a seat's own replies",
            rich_help_panel=_ROWS,
        ),
    ] = False,
    no_ending: Annotated[
        bool,
        typer.Option(
            "--no-ending",
            help="leave out the message that ends the game, which nobody answers",
            rich_help_panel=_ROWS,
        ),
    ] = False,
    min_gap: Annotated[
        float | None,
        typer.Option(
            "--min-gap",
            metavar="X",
            help="least difference of rewards in a pair, where nobody wins  (default: 0.1)",
            rich_help_panel=_ROWS,
        ),
    ] = None,
    validation: Annotated[
        float,
        typer.Option("--validation", metavar="SHARE", help="of the seeds", rich_help_panel=_ROWS),
    ] = 0.0,
    test: Annotated[
        float, typer.Option("--test", metavar="SHARE", help="of the seeds", rich_help_panel=_ROWS)
    ] = 0.0,
    license: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="ID",
            help="for the card  (default: that of the scenarios)",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    push_to_hub: Annotated[
        str | None,
        typer.Option(
            "--push-to-hub",
            metavar="REPO",
            help="push the datasets there as well; nothing else goes over the network",
            rich_help_panel=_HUB,
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="as a private repository", rich_help_panel=_HUB)
    ] = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Export, and say what was written and what was left out."""
    from omar_envs.export import Files, Filters, Splits, export, parse_seeds

    filters = Filters(
        envs=_names(env),
        seeds=tuple(span for text in seeds or () for span in parse_seeds(text)),
        complete=complete,
        roles=_names(role),
        teams=_names(team),
        seats=tuple(seat or ()),
        policies=tuple(policy or ()),
        results=_names(result),
        min_reward=min_reward,
        max_reward=max_reward,
        judged=judged,
        min_acts=min_acts,
        valid=valid,
        turn_rule=_turn_rule() if turn_rules else None,
    )
    options: dict[str, Any] = {
        "rows": rows,
        "filters": filters,
        "judgements": judgements or (),
        "strip_thinking": strip_thinking,
        "ending": not no_ending,
        "min_gap": min_gap,
        "splits": Splits(validation, test),
        "license": license,
        "push_to_hub": push_to_hub,
        "private": private,
        "overwrite": overwrite,
    }
    source = Files(files)
    with progress("games", len(source)) as update:
        done = export(source, out, format, **options, progress=update)  # type: ignore[arg-type]
    if json:
        show_json(done.to_json())
    else:
        show(done.text())


def _names(values: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(
        name.strip() for value in values or () for name in value.split(",") if name.strip()
    )


def _turn_rule() -> TurnRule:
    from omar_envs.by_name import training_libraries

    with training_libraries():
        from omar_trainers.filters import TurnRules, dropped_by_rules

    rules = TurnRules()
    return lambda episode: dropped_by_rules(episode, rules)
