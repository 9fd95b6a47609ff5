"""Scenarios of ``sotopia_v0`` for tiny models: two share out books, hats and balls.

Items and private values are drawn in the manner of Lewis et al. (arXiv 1706.05125).
Only the numbers differ from one scenario to another: whoever ignores its private
values cannot know what to ask for.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from omar_envs.sotopia.mechanisms.division import Division
from omar_envs.sotopia.profiles import (
    AgentProfile,
    EnvAgentCombo,
    EnvironmentProfile,
    ScenarioSet,
)

ITEMS = ("books", "hats", "balls")
NAMES = ("Ana", "Ben")

TOTAL = 10
"""What all pieces together are worth to each (points)."""

MOST_OF_ONE = 4
FEWEST, MOST = 5, 7
"""Pieces of one item, and of all together."""

DEAL_GAME: dict[str, Any] = {
    "num_agents": 2,
    "order": "round_robin",
    "max_turns": 8,
    "max_idle_turns": None,
    "invalid_penalty": 0.05,
}
"""Settings of ``sotopia_v0`` beside the scenarios."""

Pieces = tuple[int, ...]
Values = tuple[int, ...]


def deal_scenarios(number: int, seed: int) -> ScenarioSet:
    """``number`` divisions between :data:`NAMES`, all different.

    Each values all pieces together at :data:`TOTAL`; every item is worth something to
    at least one of the two, and some item to both. A longer set begins with a
    shorter one of the same seed.
    """
    cast = tuple(AgentProfile(pk=name.lower(), first_name=name) for name in NAMES)
    rng = np.random.default_rng(seed)
    drawn: dict[tuple[Pieces, Values, Values], None] = {}
    while len(drawn) < number:
        pieces, first, second = _draw(rng)
        pairs = list(zip(first, second, strict=True))
        if all(max(pair) for pair in pairs) and any(min(pair) for pair in pairs):
            drawn.setdefault((pieces, first, second))
    scenarios = [_scenario(f"deal-{seed}-{i}", *deal) for i, deal in enumerate(drawn)]
    ids = tuple(profile.pk for profile in cast)
    return ScenarioSet(
        agents={profile.pk: profile for profile in cast},
        environments={scenario.pk: scenario for scenario in scenarios},
        combos=tuple(EnvAgentCombo(s.pk, s.pk, ids) for s in scenarios),
    )


def split_scenarios(scenarios: ScenarioSet, first: int) -> tuple[ScenarioSet, ScenarioSet]:
    """The first so many, and the rest."""
    return (
        _only(scenarios, scenarios.combos[:first]),
        _only(scenarios, scenarios.combos[first:]),
    )


def _draw(rng: np.random.Generator) -> tuple[Pieces, Values, Values]:
    pieces = _PIECES[int(rng.integers(len(_PIECES)))]
    ways = _WAYS[pieces]
    first, second = (ways[int(i)] for i in rng.integers(len(ways), size=2))
    return pieces, first, second


def _scenario(pk: str, pieces: Pieces, first: Values, second: Values) -> EnvironmentProfile:
    return EnvironmentProfile(
        pk=pk,
        codename="a deal",
        scenario=f"{NAMES[0]} and {NAMES[1]} share out some things.",
        agent_goals=("Get what is worth most to you.",) * len(NAMES),
        outcome=Division(
            items=dict(zip(ITEMS, pieces, strict=True)),
            values=tuple(dict(zip(ITEMS, each, strict=True)) for each in (first, second)),
        ),
    )


def _only(scenarios: ScenarioSet, combos: tuple[EnvAgentCombo, ...]) -> ScenarioSet:
    return ScenarioSet(
        agents=scenarios.agents,
        environments={combo.env_id: scenarios.environments[combo.env_id] for combo in combos},
        combos=combos,
    )


def _worth(pieces: Pieces, values: Values) -> int:
    return sum(count * value for count, value in zip(pieces, values, strict=True))


_PIECES = [
    pieces
    for pieces in product(range(1, MOST_OF_ONE + 1), repeat=len(ITEMS))
    if FEWEST <= sum(pieces) <= MOST
]
_WAYS = {
    pieces: [
        values
        for values in product(range(TOTAL + 1), repeat=len(ITEMS))
        if _worth(pieces, values) == TOTAL
    ]
    for pieces in _PIECES
}
"""Pieces of each item to all values that make them worth :data:`TOTAL`."""
