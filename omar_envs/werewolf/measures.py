"""Measures of play, from finished games of Werewolf alone.

    from omar_envs.werewolf.measures import markdown, measure
    print(markdown({"start": measure(before), "trained": measure(after)}))

What each measure means stands in :data:`MEASURES`, its formula in the functions of
:mod:`omar_envs.werewolf.measured_play` (results, votes, powers),
:mod:`omar_envs.werewolf.measured_influence` (accusations, agreement) and
:mod:`omar_envs.werewolf.measured_speech`, how its interval is made in
:mod:`omar_envs.werewolf.estimates`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from omar_envs.types import Episode
from omar_envs.werewolf import measured_influence, measured_play, measured_speech
from omar_envs.werewolf.estimates import Definition, Estimate, Kind, Observation, estimate, nothing
from omar_envs.werewolf.recap import recap

_MODULES = (measured_play, measured_influence, measured_speech)

MEASURES: dict[str, Definition] = {
    name: definition for module in _MODULES for name, definition in module.DEFINITIONS.items()
}
"""Every measure, how it is estimated, and its meaning."""


def measure(episodes: Iterable[Episode]) -> dict[str, Estimate]:
    """All of :data:`MEASURES` over some Werewolf episodes, which are read once.

    Returns:
        An estimate of every measure, in the order of :data:`MEASURES`, each followed by
        its parts that were observed, in the alphabet: ``survival``, ``survival/doctor``.

    Raises:
        EpisodeError: an episode is of another game.
    """
    found = estimate((_observations(episode) for episode in episodes), _kind)
    measured = {name: nothing(definition.kind) for name, definition in MEASURES.items()}
    measured |= found
    return {name: measured[name] for name in sorted(measured, key=_place)}


def markdown(columns: Mapping[str, Mapping[str, Estimate]]) -> str:
    """A Markdown table with one row for each measure and part that any column observed.

    Args:
        columns: what :func:`measure` gave, by column heading.
    """
    rows = sorted({name for c in columns.values() for name, e in c.items() if e.n}, key=_place)
    lines = [["measure", "of", *columns], ["---", "---", *("---:" for _ in columns)]]
    for name in rows:
        base, _, part = name.partition("/")
        cells = (str(column.get(name, nothing(_kind(name)))) for column in columns.values())
        lines.append([MEASURES[base].meaning, part, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _observations(episode: Episode) -> Iterable[Observation]:
    game = recap(episode)
    return chain(*(module.observe(game) for module in _MODULES))


def _kind(name: str) -> Kind:
    return MEASURES[name.partition("/")[0]].kind


_ORDER = {name: number for number, name in enumerate(MEASURES)}


def _place(name: str) -> tuple[int, str]:
    base, _, part = name.partition("/")
    return _ORDER[base], part
