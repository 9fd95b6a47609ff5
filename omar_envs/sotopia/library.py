"""This project's own characters and scenarios, as they come with the package.

Nothing is read before it is asked for, and then once. The texts are under the licence
in ``data/LICENSE.md``. The files there are lists of the types in
:mod:`omar_envs.sotopia.profiles`: ``computed.json`` holds the scenarios whose result is
computed, ``judged.json`` those that only a judge can score.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import TypeVar

import msgspec

from omar_envs.errors import ConfigError
from omar_envs.sotopia.profiles import (
    AgentProfile,
    EnvAgentCombo,
    EnvironmentProfile,
    RelationshipProfile,
    ScenarioSet,
)

CATEGORIES = (
    "exchange",
    "negotiation",
    "competition",
    "collaboration",
    "accommodation",
    "persuasion",
    "conflict_repair",
    "secrets",
)
"""What scenarios are about: one of these each."""

DIFFICULTIES = ("easy", "medium", "hard")

_Rows = TypeVar("_Rows")


@cache
def library() -> ScenarioSet:
    """All of it: scenarios whose result is computed first, then the judged ones.

    ``hard`` names the scenarios of difficulty ``hard``, whatever their cast.
    """
    environments = (
        *_read("computed.json", tuple[EnvironmentProfile, ...]),
        *_read("judged.json", tuple[EnvironmentProfile, ...]),
    )
    return ScenarioSet(
        agents={agent.pk: agent for agent in _read("characters.json", tuple[AgentProfile, ...])},
        environments={environment.pk: environment for environment in environments},
        relationships=_read("relationships.json", tuple[RelationshipProfile, ...]),
        combos=_read("combos.json", tuple[EnvAgentCombo, ...]),
        hard=_read("hard.json", tuple[str, ...]),
    )


def scenarios(
    *,
    category: str | None = None,
    difficulty: str | None = None,
    computed: bool | None = None,
    num_agents: int | None = None,
) -> tuple[EnvironmentProfile, ...]:
    """The scenarios that fit, always in the same order; all of them by default.

    Args:
        category: one of :data:`CATEGORIES`.
        difficulty: one of :data:`DIFFICULTIES`.
        computed: ``True`` for those whose result is computed, ``False`` for those that
            need a judge.
        num_agents: how many take part, 2 to 8; there may be none with so many.

    Raises:
        ConfigError: the category or the difficulty is unknown.
    """
    if category is not None and category not in CATEGORIES:
        raise ConfigError(f"category {category!r} is unknown: use one of {', '.join(CATEGORIES)}")
    if difficulty is not None and difficulty not in DIFFICULTIES:
        raise ConfigError(
            f"difficulty {difficulty!r} is unknown: use one of {', '.join(DIFFICULTIES)}"
        )
    return tuple(
        each
        for each in library().environments.values()
        if category in (None, each.category)
        and difficulty in (None, each.difficulty)
        and computed in (None, each.outcome is not None)
        and num_agents in (None, each.num_agents)
    )


def scenario(name: str) -> EnvironmentProfile:
    """The scenario of this ``pk``.

    Raises:
        ConfigError: there is none; the message names the closest.
    """
    environments = library().environments
    if name not in environments:
        raise ConfigError(_unknown("scenario", name, environments))
    return environments[name]


def character(name: str) -> AgentProfile:
    """The character of this ``pk`` or display name.

    Raises:
        ConfigError: there is none; the message names the closest.
    """
    agents = library().agents
    if name in agents:
        return agents[name]
    by_name = {agent.name: agent for agent in agents.values()}
    if name not in by_name:
        raise ConfigError(_unknown("character", name, (*by_name, *agents)))
    return by_name[name]


def default_scenario(num_agents: int = 2) -> EnvironmentProfile:
    """The first scenario for so many participants whose result is computed.

    Raises:
        ConfigError: there is none; the message names the numbers there are.
    """
    fitting = scenarios(computed=True, num_agents=num_agents)
    if not fitting:
        numbers = sorted({each.num_agents for each in scenarios(computed=True)})
        raise ConfigError(
            f"no computed scenario is for {num_agents} participants: "
            f"there are some for {', '.join(map(str, numbers))}"
        )
    return fitting[0]


def _read(file: str, rows: type[_Rows]) -> _Rows:
    data = files("omar_envs.sotopia").joinpath("data", file).read_bytes()
    return msgspec.json.decode(data, type=rows)


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"there is no {kind} {name!r}: did you mean {' or '.join(map(repr, close))}?"
    return f"there is no {kind} {name!r}: see omar_envs.sotopia.library.library()"
