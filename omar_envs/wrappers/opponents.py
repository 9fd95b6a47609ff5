"""Who plays the seats around a learner's own: one for all of them, or one for each."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from omar_envs.by_name import Game, policy_by_name
from omar_envs.errors import ConfigError
from omar_envs.policy import Policy

__all__ = ["Opponent", "Opponents", "Seating", "loaded", "seating"]

Opponent = str | os.PathLike[str] | Policy | Callable[..., Policy]
"""Name of a policy, a model's folder, a policy, or what makes one from a seed or from nothing."""

Opponents = Opponent | Mapping[str, Opponent] | Sequence[Opponent]
"""One for all other seats; by agent id; or one for each other seat, in order."""

Seating = Callable[[int, str], dict[str, Policy]]
"""A game's seed and its learner's agent id to the policy of every other agent."""

FRESH_PER_GAME = ("random", "scripted")
"""Policies that are made anew for each game: they cost nothing, and start from its seed."""

SEED = "seed"
"""The argument by which a callable is given its seed; one that must have another gets it there."""

LEFT_OUT = "scripted"
"""Plays the seats that a mapping leaves out."""


def loaded(opponents: Opponents, game: Game) -> Opponents:
    """The same opponents, with every model that is named loaded, once.

    Raises:
        ConfigError: a policy is unknown or cannot be loaded, or none of the forms fits.
    """
    models: dict[str, Opponent] = {}

    def load(opponent: Opponent) -> Opponent:
        if not isinstance(opponent, str | os.PathLike):
            return _checked(opponent)
        name = os.fspath(opponent)
        if name in FRESH_PER_GAME:
            return name
        if name not in models:
            models[name] = policy_by_name(name, 0, game)
        return models[name]

    if isinstance(opponents, str | os.PathLike):
        return load(opponents)
    if isinstance(opponents, Mapping):
        return {agent: load(opponent) for agent, opponent in opponents.items()}
    if isinstance(opponents, Sequence):
        return [load(opponent) for opponent in opponents]
    return load(opponents)


def seating(opponents: Opponents, game: Game, agents: Sequence[str]) -> Seating:
    """How every game's other seats are filled.

    Args:
        opponents: one for all; by agent id, where ``"scripted"`` plays who is left out and
            the learner's own entry is not used; or as many as there are other seats.
        game: what they play.
        agents: the ids of all seats.

    Raises:
        ConfigError: as :func:`loaded`; an agent is none of ``agents``, or the number of
            opponents does not fit.
    """
    ready = loaded(opponents, game)
    if isinstance(ready, Mapping):
        return _by_agent(ready, game, agents)
    if isinstance(ready, Sequence) and not isinstance(ready, str):
        return _in_order(ready, game, agents)
    make = _maker(ready, game)

    def same_for_all(seed: int, seat: str) -> dict[str, Policy]:
        return dict.fromkeys(_others(agents, seat), make(seed))

    return same_for_all


def _by_agent(opponents: Mapping[str, Opponent], game: Game, agents: Sequence[str]) -> Seating:
    if unknown := [agent for agent in opponents if agent not in agents]:
        raise ConfigError(
            f"opponents names {', '.join(map(repr, unknown))}; the agents are {', '.join(agents)}"
        )
    makers = [_maker(opponents.get(agent, LEFT_OUT), game) for agent in agents]

    def seated(seed: int, seat: str) -> dict[str, Policy]:
        return {
            agent: make(seed + number)
            for number, (agent, make) in enumerate(zip(agents, makers, strict=True))
            if agent != seat
        }

    return seated


def _in_order(opponents: Sequence[Opponent], game: Game, agents: Sequence[str]) -> Seating:
    if len(opponents) != len(agents) - 1:
        raise ConfigError(
            f"opponents has {len(opponents)} policies, and there are {len(agents) - 1} other seats"
        )
    makers = [_maker(opponent, game) for opponent in opponents]

    def seated(seed: int, seat: str) -> dict[str, Policy]:
        return {
            agent: make(seed + number)
            for number, (agent, make) in enumerate(zip(_others(agents, seat), makers, strict=True))
        }

    return seated


def _others(agents: Sequence[str], seat: str) -> list[str]:
    return [agent for agent in agents if agent != seat]


def _maker(opponent: Opponent, game: Game) -> Callable[[int], Policy]:
    if isinstance(opponent, str):
        return lambda seed: policy_by_name(opponent, seed, game)
    if _is_policy(opponent):
        policy: Any = opponent
        return lambda seed: policy
    assert callable(opponent)  # checked when it was loaded
    make = _from_seed(opponent)

    def made(seed: int) -> Policy:
        policy = make(seed)
        if not _is_policy(policy):
            raise ConfigError(
                f"opponents is a callable that made {policy!r}: it makes a policy, an object "
                "with a name and act(views)"
            )
        return policy

    return made


def _from_seed(make: Callable[..., Policy]) -> Callable[[int], Policy]:
    signature = inspect.signature(make)
    # A partial with a seed of its own still shows one, as a default.
    given = isinstance(make, partial) and SEED in make.keywords
    if SEED in signature.parameters and not given and _takes(signature, seed=0):
        return lambda seed: make(seed=seed)
    if _takes(signature):
        return lambda seed: make()
    if _takes(signature, 0):
        return make
    raise ConfigError(
        f"opponents is called with a seed or with nothing to make a policy: {make!r} takes "
        f"{signature}"
    )


def _takes(signature: inspect.Signature, *seed: int, **named: int) -> bool:
    try:
        signature.bind(*seed, **named)
    except TypeError:
        return False
    return True


def _checked(opponent: Any) -> Opponent:
    if _is_policy(opponent):
        return opponent  # type: ignore[no-any-return]
    if callable(opponent):
        _from_seed(opponent)
        return opponent  # type: ignore[no-any-return]
    raise ConfigError(
        "opponents must be the name of a policy, a policy (an object with a name and "
        "act(views)), a callable that makes one, a mapping of agent ids to those, or a list "
        f"with one for each other seat: got {opponent!r}"
    )


def _is_policy(thing: Any) -> bool:
    """Whether it can be asked; a policy's class cannot, it makes one."""
    if isinstance(thing, type):
        return False
    try:
        return callable(thing.act) and isinstance(thing.name, str)
    except AttributeError:
        return False
