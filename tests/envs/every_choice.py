"""Odds of a game of Werewolf by playing the real rules through every choice and every draw.

Nothing is sampled, and no symmetry is used but that it makes no difference who sits
where: the roles are dealt in the order of the deck. For small games only: five players
cast some thousand ballots in each of some dozen positions.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Mapping
from copy import copy
from fractions import Fraction
from math import prod
from typing import Any, cast

import numpy as np

from omar_envs.werewolf.roles import Night
from omar_envs.werewolf.rules import Game, Rules, Step
from omar_envs.werewolf.theory import Odds

ZERO, ONE = Fraction(0), Fraction(1)

ENDS = {
    "werewolf": Odds(ONE, ZERO),
    "village": Odds(ZERO, ONE),
    "jester": Odds(ZERO, ZERO, ZERO, ONE),
    None: Odds(ZERO, ZERO, ONE),
}


class Undecided(Exception):
    """A draw comes that is not written down; ``options`` is how many it is among."""

    def __init__(self, options: int) -> None:
        super().__init__(options)
        self.options = options


class Written:
    """A generator whose draws are written down beforehand."""

    def __init__(self, draws: tuple[int, ...] = ()) -> None:
        self.left = list(draws)

    def shuffle(self, players: list[int]) -> None:
        """They stay in the order in which they come."""

    def random(self) -> Written:
        """What the rules multiply by the number of options: that makes the draw."""
        return self

    def __mul__(self, options: int) -> int:
        if not self.left:
            raise Undecided(options)
        return self.left.pop(0)


def every_end(settings: dict[str, Any]) -> Odds:
    """Odds of the game when every choice is uniform over the legal ones."""
    known: dict[Hashable, Odds] = {}

    def odds(game: Game) -> Odds:
        where = state(game)
        if where not in known:
            game = twin(game)
            step = game.next_step()
            known[where] = ENDS[game.winner()] if step is None else mean(game, step)
        return known[where]

    def mean(game: Game, step: Step) -> Odds:
        reached: dict[Hashable, tuple[Game, Fraction]] = {}
        acts = choices(game, step)
        for named in itertools.product(*acts.values()):
            for left, chance in resolved(game, step, dict(zip(acts, named, strict=True))):
                where = state(left)
                reached[where] = left, reached.get(where, (left, ZERO))[1] + chance
        every = prod(map(len, acts.values()))
        ends = [[part * chance for part in odds(left)] for left, chance in reached.values()]
        return Odds(*(sum(column, ZERO) / every for column in zip(*ends, strict=True)))

    rules = Rules(**settings, discussion_rounds=1, wolf_chat_rounds=0)
    return odds(Game(rules, cast(np.random.Generator, Written())))


def choices(game: Game, step: Step) -> dict[int, list[int | None]]:
    """What each who acts may name; ``None`` to abstain or to pass."""
    if step.kind not in ("night", "vote", "shot"):
        return {}  # talk has nothing to resolve
    may_pass = {
        player: step.kind == "night" and game.held[player].may_pass for player in game.actors(step)
    }
    abstain = step.kind == "vote" and game.rules.allow_abstain
    return {
        player: [*game.targets(player, step.kind), *([None] if passes or abstain else [])]
        for player, passes in may_pass.items()
    }


def resolve(game: Game, step: Step, named: Mapping[int, int | None]) -> None:
    """Apply the acts of a step."""
    match step.kind:
        case "night":
            game.resolve_night(step, named)
        case "vote":
            game.resolve_vote(step, named)
        case "shot":
            for target in named.values():
                assert target is not None
                game.resolve_shot(step, target)


def resolved(
    game: Game, step: Step, named: Mapping[int, int | None]
) -> Iterator[tuple[Game, Fraction]]:
    """The games that come of these acts, one for each way in which ties are drawn."""
    ways: list[tuple[tuple[int, ...], Fraction]] = [((), ONE)]
    while ways:
        draws, chance = ways.pop()
        left = twin(game, draws)
        try:
            resolve(left, step, named)
        except Undecided as draw:
            ways += [((*draws, k), chance / draw.options) for k in range(draw.options)]
        else:
            yield left, chance


def twin(game: Game, draws: tuple[int, ...] = ()) -> Game:
    """The game once more; its draws are to be these."""
    other = Game.__new__(Game)
    for name, value in vars(game).items():
        setattr(other, name, value.copy() if isinstance(value, list | dict | set) else value)
    other.held = tuple(copy(role) if vars(role) else role for role in game.held)
    night = {field: copy(getattr(game.night, field)) for field in Night.__struct_fields__}
    other.night = Night(**night)
    other._rng = cast(np.random.Generator, Written(draws))
    return other


def state(game: Game) -> Hashable:
    """All that the rest of the game depends on."""
    remembering = [
        player
        for player in game.living()
        if game.roles[player] != "doctor" or not game.rules.doctor_repeat_save
    ]
    dark = bool(game._queue) and game._queue[0].kind == "night"
    return (
        tuple(game.alive),
        tuple(tuple(vars(game.held[player]).items()) for player in remembering),
        game.days_begun,
        game._next_is_night,
        tuple(game._queue),
        tuple(game._doomed),
        tuple(sorted(game._voiceless)),
        tuple(game._ballot),
        (game.night.victim, tuple(game.night.protected)) if dark else None,
        game.winner(),
    )
