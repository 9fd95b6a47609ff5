"""``omar-envs sotopia import``: read SOTOPIA's published files, and say what was in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omar_envs.cli_help import About
from omar_envs.cli_options import OUTPUT_PANEL, Json, Overwrite, new_file
from omar_envs.errors import ConfigError
from omar_envs.terminal import show, show_json

if TYPE_CHECKING:
    from omar_envs.sotopia.importer import Imported
    from omar_envs.sotopia.published_rows import Problem

EXIT_REFUSED = 1
"""Exit code where a row was refused."""

GROUP = About(
    "Social scenarios as SOTOPIA publishes them: import.",
    "omar-envs sotopia import FOLDER --out scenarios.json",
)
ABOUT = About(
    "Read SOTOPIA's published files: profiles, scenarios, casts, episodes.",
    "omar-envs sotopia import FOLDER --out scenarios.json",
    """\
Takes JSON lines (agent_profiles, environment_profiles, relationship_profiles,
env_agent_combo_storages), JSON dictionaries by key with a list of combinations
and of the hard ones, and sotopia_episodes_v1. Prints what was loaded, what is
odd about it, and each refused row with file, line, field and reason.
--out is played by --set scenario=FILE and by the environment's scenario=;
omar-envs judge and replay read --episodes.

exit codes: 0 done; 1 some rows were refused, the others are kept; 2 a path is
of no use
""",
)

_WARNINGS_TOLD = 20
_PLACES_TOLD = 3


def command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="a file, or a folder of them")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="keep the scenarios, as JSON",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    episodes: Annotated[
        Path | None,
        typer.Option(
            "--episodes",
            metavar="FILE",
            help="keep the episodes, as JSON lines",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    no_outcomes: Annotated[
        bool,
        typer.Option(
            "--no-outcomes",
            help="keep SOTOPIA's own protocol, where only a judge scores: add no outcome that "
            "can be computed, and no acts that close a deal",
        ),
    ] = False,
    overwrite: Overwrite = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", help="show every warning by itself", rich_help_panel=OUTPUT_PANEL
        ),
    ] = False,
    json: Json = False,
) -> int:
    """Import, tell, and write what was asked for.

    Returns:
        exit code: 0, or :data:`EXIT_REFUSED`.

    Raises:
        ConfigError, EpisodeError: the path, or a file to write, is of no use.
    """
    from omar_envs.sotopia import importer
    from omar_envs.transcript import replace_file, write_episodes

    for kept in (out, episodes):
        if kept is not None:
            new_file(kept, overwrite)
    imported = importer.load(path, outcomes=not no_outcomes)
    scenarios = imported.scenarios
    if out is not None:
        if not (scenarios.agents or scenarios.environments or scenarios.relationships):
            raise ConfigError(f"{path} holds no scenarios for --out: name another path")
        replace_file(out, [importer.encode(scenarios)])
    if episodes is not None:
        if not imported.episodes:
            raise ConfigError(f"{path} holds no episodes for --episodes: name another path")
        write_episodes(episodes, imported.episodes)
    if json:
        show_json(
            {
                "loaded": _counts(imported),
                "computed": {} if no_outcomes else _computed(imported),
                "warnings": [problem._asdict() for problem in imported.warnings],
                "refused": [problem._asdict() for problem in imported.refused],
            }
        )
    else:
        show("\n".join(_report(imported, outcomes=not no_outcomes, verbose=verbose)))
    return EXIT_REFUSED if imported.refused else 0


def _report(imported: Imported, *, outcomes: bool, verbose: bool) -> Iterator[str]:
    loaded = _counts(imported)
    width = max(map(len, loaded))
    for kind, count in loaded.items():
        yield f"{kind:<{width}}  {count:>6}"
    if outcomes:
        for source, (found, profiles) in _computed(imported).items():
            yield f"outcome can be computed: {found} of {profiles} from {source}"
    yield from _warnings(imported.warnings, verbose=verbose)
    if imported.refused:
        yield f"\n{_rows(len(imported.refused))} refused:"
        yield from (f"  {problem}" for problem in imported.refused)


def _counts(imported: Imported) -> dict[str, int]:
    from omar_envs.sotopia import importer

    scenarios = imported.scenarios
    return {
        importer.AGENTS: len(scenarios.agents),
        importer.ENVIRONMENTS: len(scenarios.environments),
        importer.RELATIONSHIPS: len(scenarios.relationships),
        importer.COMBOS: len(scenarios.combos),
        importer.HARD: len(scenarios.hard),
        importer.EPISODES: len(imported.episodes),
        "refused": len(imported.refused),
    }


def _computed(imported: Imported) -> dict[str, tuple[int, int]]:
    """Source of deals -> (scenarios whose outcome can be computed, scenarios)."""
    from omar_envs.sotopia.published_deals import SOURCES

    profiles = imported.scenarios.environments.values()
    counts: dict[str, tuple[int, int]] = {}
    for source in SOURCES:
        found = [each.outcome is not None for each in profiles if each.source == source]
        if found:
            counts[source] = (sum(found), len(found))
    return counts


def _warnings(warnings: Iterable[Problem], *, verbose: bool) -> Iterator[str]:
    told = [str(problem) for problem in warnings] if verbose else _grouped(warnings)
    if told:
        yield "\nwarnings:"
        shown = told if verbose else told[:_WARNINGS_TOLD]
        yield from (f"  {line}" for line in shown)
        if len(told) > len(shown):
            yield f"  and {len(told) - len(shown)} more: --verbose shows them all"


def _grouped(warnings: Iterable[Problem]) -> list[str]:
    """One line for all rows of a file that have the same said about them."""
    from omar_envs.sotopia.published_rows import Problem

    groups: dict[tuple[str, str, str], list[str]] = {}
    for file, where, field, why in warnings:
        groups.setdefault((file, field, why), []).append(where)
    lines = []
    for (file, field, why), places in groups.items():
        where = ", ".join(places[:_PLACES_TOLD])
        rest = len(places) - _PLACES_TOLD
        also = f" and {_rows(rest)} more" if rest > 0 else ""
        lines.append(str(Problem(file, where + also, field, why)))
    return lines


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
