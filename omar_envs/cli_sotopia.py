"""``omar-envs sotopia import``: read SOTOPIA's published files, and say what was in them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from omar_envs.errors import ConfigError
from omar_envs.sotopia import importer, published_deals
from omar_envs.sotopia.importer import Imported
from omar_envs.sotopia.published_rows import Problem
from omar_envs.terminal import show
from omar_envs.transcript import replace_file, write_episodes

EXIT_REFUSED = 1
"""Exit code where a row was refused."""

SUMMARY = "Read SOTOPIA's published files: profiles, scenarios, casts, episodes."
EXAMPLE = "omar-envs sotopia import FOLDER --out scenarios.json"
NOTES = """\
Takes JSON lines (agent_profiles, environment_profiles, relationship_profiles,
env_agent_combo_storages), JSON dictionaries by key with a list of combinations and of
the hard ones, and sotopia_episodes_v1. Prints what was loaded, what is odd about it,
and each refused row with file, line, field and reason. Exit code 1: some were refused.
omar_envs.sotopia.importer.read reads --out; omar-envs judge and replay read --episodes.
"""

_WARNINGS_TOLD = 20
_PLACES_TOLD = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command, on its own parser."""
    parser.add_argument("path", type=Path, metavar="PATH", help="a file, or a folder of them")
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep the scenarios, as JSON")
    parser.add_argument(
        "--episodes", type=Path, metavar="FILE", help="keep the episodes, as JSON lines"
    )
    parser.add_argument(
        "--no-outcomes",
        action="store_true",
        help="keep SOTOPIA's own protocol, where only a judge scores: add no outcome that can "
        "be computed, and no acts that close a deal",
    )
    parser.add_argument("--verbose", action="store_true", help="show every warning by itself")


def run(args: argparse.Namespace) -> int:
    """Import, tell, and write what was asked for.

    Returns:
        exit code: 0, or :data:`EXIT_REFUSED`.

    Raises:
        ConfigError, EpisodeError: the path, or a file to write, is of no use.
    """
    imported = importer.load(args.path, outcomes=not args.no_outcomes)
    scenarios = imported.scenarios
    if args.out is not None:
        if not (scenarios.agents or scenarios.environments or scenarios.relationships):
            raise ConfigError(f"{args.path} holds no scenarios for --out: name another path")
        replace_file(args.out, [importer.encode(scenarios)])
    if args.episodes is not None:
        if not imported.episodes:
            raise ConfigError(f"{args.path} holds no episodes for --episodes: name another path")
        write_episodes(args.episodes, imported.episodes)
    show("\n".join(_report(imported, outcomes=not args.no_outcomes, verbose=args.verbose)))
    return EXIT_REFUSED if imported.refused else 0


def _report(imported: Imported, *, outcomes: bool, verbose: bool) -> Iterator[str]:
    loaded = _counts(imported)
    width = max(map(len, loaded))
    for kind, count in loaded.items():
        yield f"{kind:<{width}}  {count:>6}"
    if outcomes:
        yield from _computed(imported)
    yield from _warnings(imported.warnings, verbose=verbose)
    if imported.refused:
        yield f"\n{_rows(len(imported.refused))} refused:"
        yield from (f"  {problem}" for problem in imported.refused)


def _counts(imported: Imported) -> dict[str, int]:
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


def _computed(imported: Imported) -> Iterator[str]:
    profiles = imported.scenarios.environments.values()
    for source in published_deals.SOURCES:
        found = [each.outcome is not None for each in profiles if each.source == source]
        if found:
            yield f"outcome can be computed: {sum(found)} of {len(found)} from {source}"


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
