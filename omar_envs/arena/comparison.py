"""Finished games of two entrants to what they say of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

from omar_envs.arena.results import ArenaResult, Entrant, Measure, Measures, Rate, Score
from omar_envs.arena.schedule import Plan
from omar_envs.arena.statistics import (
    CONFIDENCE,
    Difference,
    mean_difference,
    score_difference,
    settling,
)
from omar_envs.errors import EpisodeError
from omar_envs.intervals import paired_wilson, wilson
from omar_envs.types import Episode
from omar_envs.werewolf.estimates import Kind, Observation, estimate
from omar_envs.werewolf.measures import measure

WEREWOLF = "werewolf_v0"

_YES_OR_NO = ("settled", "pareto_optimal")
"""What an outcome either is or is not."""


class Played(NamedTuple):
    """A plan and its finished game."""

    plan: Plan
    episode: Episode

    def agents_of(self, entrant: int) -> list[str]:
        """The entrant's agents."""
        agents = self.plan.deal.agents
        return [a for a, e in zip(agents, self.plan.seating, strict=True) if e == entrant]

    def team_of(self, entrant: int) -> str:
        """The team that the entrant plays, in a game of two teams that are not both its."""
        return self.plan.deal.teams[self.agents_of(entrant)[0]]

    @property
    def winner(self) -> str | None:
        """The team that won.

        Raises:
            EpisodeError: the game has none.
        """
        outcome = self.episode.outcome
        if "winner" not in outcome or "teams" not in outcome:
            raise EpisodeError(
                f"an episode of {self.episode.env} has no 'winner' and 'teams' in its outcome: "
                "the arena is for games of teams"
            )
        winner: str | None = outcome["winner"]
        return winner

    def pay(self, entrant: int) -> float:
        """Mean total reward of the entrant's seats."""
        return fmean(self.episode.total_reward(agent) for agent in self.agents_of(entrant))

    @property
    def is_clean(self) -> bool:
        """Whether every act could be read."""
        return all(turn.valid for turn in self.episode.turns)


def compared(
    games: Sequence[Played], names: Sequence[str], seed: int, *, probes: bool = False
) -> ArenaResult:
    """A against B.

    Args:
        games: all games of one pair, whole blocks, and its control games.
        names: of all entrants, by number.
        seed: of the run.
        probes: whether to measure how Werewolf was played, which takes a third of the time
            that playing took.
    """
    matches = [game for game in games if not game.plan.is_control]
    control = [game for game in games if game.plan.is_control]
    a, b = matches[0].plan.pair
    has_teams = bool(matches[0].plan.deal.teams)
    blocks = by_block(matches)
    per_seed = len(matches) // len(blocks)
    scores = [fmean(score_of_a(game) for game in block) for block in blocks]
    interval = paired_wilson(scores, per_seed, CONFIDENCE)
    difference = _difference(blocks, scores, per_seed, has_teams)
    clean = [game for game in matches if game.is_clean]
    return ArenaResult(
        a=_entrant(names[a], a, matches, clean),
        b=_entrant(names[b], b, matches, clean),
        score=Score(len(scores), fmean(scores), interval.low, interval.high),
        control=_control_rates(control) if has_teams else {},
        games=len(matches),
        truncated=sum(game.episode.truncated for game in matches),
        clean_games=len(clean),
        seed=seed,
        difference=difference,
        settling=settling(difference, per_seed),
        control_rewards=_rewards(control, b),
        control_outcomes=_outcomes(control, b),
        seed_scores=tuple(scores),
        probes=_probes(matches, control) if probes and has_teams else {},
    )


def score_of_a(game: Played) -> float:
    """1 where A won, 0 where B did, else 1/2; without teams whoever's seats were paid more won."""
    a, b = game.plan.pair
    if game.plan.deal.teams:
        winner = game.winner
        return 0.5 if winner is None else float(winner == game.team_of(a))
    ahead = game.pay(a) - game.pay(b)
    # Sums of the same parts in another order may differ in the last bit.
    return 0.5 if abs(ahead) < 1e-9 else float(ahead > 0)


def by_block(games: Iterable[Played]) -> list[list[Played]]:
    """The games of each seed together, in the order of the seeds."""
    blocks: dict[int, list[Played]] = defaultdict(list)
    for game in games:
        blocks[game.plan.deal.block].append(game)
    return [blocks[number] for number in sorted(blocks)]


def measured(
    games: Iterable[Played],
    observe: Callable[[Played], Iterable[Observation]],
    kind_of: Callable[[str], Kind],
) -> Measures:
    """What is observed in the games, with intervals that take the seeds for the sample."""
    observed = ([o for game in block for o in observe(game)] for block in by_block(games))
    return {name: Measure.of(found) for name, found in estimate(observed, kind_of).items()}


def _difference(
    blocks: Sequence[Sequence[Played]], scores: Sequence[float], per_seed: int, has_teams: bool
) -> Difference:
    if has_teams:
        return score_difference(scores, per_seed)
    a, b = blocks[0][0].plan.pair
    return mean_difference([fmean(game.pay(a) - game.pay(b) for game in block) for block in blocks])


def _entrant(name: str, number: int, matches: Sequence[Played], clean: Sequence[Played]) -> Entrant:
    turns = [
        turn
        for game in matches
        for agent in [frozenset(game.agents_of(number))]
        for turn in game.episode.turns
        if turn.agent in agent
    ]
    has_teams = bool(matches[0].plan.deal.teams)
    return Entrant(
        name=name,
        acts=len(turns),
        invalid_acts=sum(not turn.valid for turn in turns),
        by_team=_by_team(number, matches, matches) if has_teams else {},
        by_team_clean=_by_team(number, matches, clean) if has_teams else {},
        by_role=_by_role(number, matches) if has_teams else {},
        rewards=_rewards(matches, number),
        outcomes=_outcomes(matches, number),
    )


def _by_team(number: int, matches: Sequence[Played], games: Sequence[Played]) -> dict[str, Rate]:
    teams = sorted(set(matches[0].plan.deal.teams.values()))
    return {
        team: _rate([game.winner == team for game in found], [game.winner for game in found])
        for team in teams
        for found in [[game for game in games if game.team_of(number) == team]]
    }


def _by_role(number: int, games: Sequence[Played]) -> dict[str, Rate]:
    found: dict[str, list[Played]] = defaultdict(list)
    for game in games:
        own = set(game.agents_of(number))
        for role in {seat.role for seat in game.episode.seats if seat.agent in own and seat.role}:
            found[role].append(game)
    return {
        role: _rate(
            [game.winner == game.team_of(number) for game in found[role]],
            [game.winner for game in found[role]],
        )
        for role in sorted(found)
    }


def _control_rates(control: Sequence[Played]) -> dict[str, Rate]:
    if not control:
        return {}
    winners = [game.winner for game in control]
    return {
        team: _rate([winner == team for winner in winners], winners)
        for team in sorted(set(control[0].plan.deal.teams.values()))
    }


def _rate(won: Sequence[bool], winners: Sequence[str | None]) -> Rate:
    wins = sum(won)
    interval = wilson(wins, len(won), CONFIDENCE)
    rate = wins / len(won) if won else None
    draws = sum(winner is None for winner in winners)
    return Rate(len(won), wins, draws, rate, interval.low, interval.high)


def _rewards(games: Sequence[Played], entrant: int) -> Measures:
    def observe(game: Played) -> Iterator[Observation]:
        own = set(game.agents_of(entrant))
        for seat in game.episode.seats:
            if seat.agent in own:
                reward = game.episode.total_reward(seat.agent)
                yield Observation("all", reward)
                yield Observation(seat.role or seat.agent, reward)

    found = measured(games, observe, lambda name: "mean")
    return {name: found[name] for name in sorted(found, key=lambda name: (name != "all", name))}


def _outcomes(games: Sequence[Played], entrant: int) -> Measures:
    """Of scenarios whose outcome is computed; nothing for other games."""
    scenarios = {_scenario(game.episode) for game in games}

    def observe(game: Played) -> Iterator[Observation]:
        outcome = game.episode.outcome
        if "scores" not in outcome or "points" not in outcome:
            return
        for agent in game.agents_of(entrant):
            yield Observation("score", outcome["scores"][agent])
        yield Observation("settled", int(outcome["settled"]))
        for name, value in outcome["measures"].items():
            yield Observation(name, int(value) if name in _YES_OR_NO else value)
        # Points of different scenarios are in different units.
        scenario = f"points ({_scenario(game.episode)})" if len(scenarios) > 1 else "points"
        for agent in game.agents_of(entrant):
            yield Observation(scenario, outcome["points"][agent])

    return measured(games, observe, lambda name: "share" if name in _YES_OR_NO else "mean")


def _scenario(episode: Episode) -> str:
    return str(episode.outcome.get("setting", {}).get("codename", ""))


def _probes(matches: Sequence[Played], control: Sequence[Played]) -> dict[str, Measures]:
    """Werewolf's measures of play, by who had the wolves; nothing for other games."""
    if any(game.episode.env != WEREWOLF for game in matches):
        return {}
    a, b = matches[0].plan.pair
    columns = {
        "A has the wolves": [g for g in matches if g.team_of(a) == "werewolf"],
        "B has the wolves": [g for g in matches if g.team_of(b) == "werewolf"],
        "B has every seat": list(control),
    }
    return {
        column: {
            name: Measure.of(found)
            for name, found in measure(game.episode for game in games).items()
            if found.n
        }
        for column, games in columns.items()
        if games
    }
