"""Frozen past models on one side of some games.

Who plays what depends on the run's seed, the iteration and the game's number
alone, so it is the same however many processes share the games. The rows of a
frozen side are dummies: nothing is learned from them.

Self-play against a pool of past models: fictitious self-play (Heinrich et al.,
ICML 2015); preferring those that are hard to beat: AlphaStar (Vinyals et al.,
Nature 2019), whose prioritised fictitious self-play ``hardest`` follows.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np

from omar_envs.errors import PolicyError
from omar_envs.types import Episode
from omar_trainers.config import OMARConfig
from omar_trainers.game_plans import (
    GamePlan,
    Lineup,
    PlayedGames,
    PlayGames,
    SeatKey,
    SeedStream,
    derive_seed,
)
from omar_trainers.generation_protocol import (
    GenerationRequest,
    GenerationResult,
    TextGenerator,
    as_stream,
)
from omar_trainers.metrics import Mean
from omar_trainers.opponents.learned_seats import learned_agents
from omar_trainers.opponents.pool import GameResult, Member, OpponentPool
from omar_trainers.rows import TokenRow
from omar_trainers.seat_rows import RowFacts
from omar_trainers.shown.judge_usage import sum_usage


class ModelStore(Protocol):
    """Past models by name. All processes call :meth:`write` and :meth:`keep` together."""

    def write(self, name: str) -> None:
        """Save the live model's present weights under a name."""
        ...

    def keep(self, names: set[str]) -> None:
        """Remove all others."""
        ...

    def load(self, name: str, seed: int) -> AbstractContextManager[TextGenerator]:
        """What samples a past model's replies while the block lasts."""
        ...


class _Bout(NamedTuple):
    """A game's opponent, and the lot that decides which side it plays."""

    member: Member
    lot: np.random.Generator


class Opponents:
    """Lets past models play their share of the games, and keeps the score.

    Args:
        args: settings.
        lineup: who plays in a game, and for which team.
        models: the past models.
        checkpoints: the iterations before each checkpoint that a run may go on from.
        learns: tells whose rows are learned from; None takes all.
    """

    def __init__(
        self,
        args: OMARConfig,
        lineup: Lineup,
        models: ModelStore,
        checkpoints: Callable[[], Iterable[int]],
        learns: Callable[[RowFacts], bool] | None = None,
    ) -> None:
        self._args = args
        self._lineup = lineup
        self._learns = learns
        self.models = models
        self._checkpoints = checkpoints
        self.pool = OpponentPool(
            args.opponent_pool_size, args.opponent_every, args.opponent_sampling
        )

    def begin(self, iteration: int) -> None:
        """Let the live model enter the pool if it is due. All processes call it together."""
        if self.pool.is_due(iteration):
            self.models.write(self.pool.enter(iteration).name)
        self.models.keep(self.pool.needed(self._checkpoints()))

    def play(
        self,
        play: PlayGames,
        plans: Sequence[GamePlan],
        live: TextGenerator,
        *,
        iteration: int,
        first_game: int,
    ) -> PlayedGames:
        """Play one process's games of an iteration, some against past models.

        Args:
            play: plays games with one generator in every seat.
            plans: the games.
            live: the learning model.
            iteration: from 0.
            first_game: number of the first of ``plans`` among those of all processes.
        """
        bouts = self._draw_bouts(iteration)
        by_member: dict[int | None, list[int]] = {}
        for i in range(len(plans)):
            bout = bouts.get(first_game + i)
            by_member.setdefault(bout and bout.member.iteration, []).append(i)
        parts: list[tuple[list[int], PlayedGames]] = []
        if None in by_member:
            own = by_member.pop(None)
            parts.append((own, play([plans[i] for i in own], live)))
        for member, games in sorted(by_member.items()):
            frozen = {
                (slot, agent): Member(member).name
                for slot, i in enumerate(games)
                for agent in self._frozen_side(plans[i], bouts[first_game + i].lot)
            }
            seed = derive_seed(self._args.seed, SeedStream.OPPONENTS, iteration, first_game, member)
            live.forget()
            with self.models.load(Member(member).name, seed) as past:
                played = play([plans[i] for i in games], TwoModels(live, past, frozenset(frozen)))
            parts.append((games, played._replace(frozen=frozen)))
        return merge_games(len(plans), parts)

    def results(self, played: PlayedGames) -> list[GameResult]:
        """What came of this process's games against past models, unscored ones left out."""
        found = []
        members = {member.name: member.iteration for member in self.pool.members}
        for game, episode in enumerate(played.episodes):
            past = {agent: name for (g, agent), name in played.frozen.items() if g == game}
            if past:
                points = live_points(episode, set(past))
                if points is not None:
                    found.append(GameResult(members[next(iter(past.values()))], points))
        return found

    def count(self, own: Sequence[GameResult], everyone: Sequence[GameResult]) -> dict[str, Mean]:
        """Add an iteration's results to the pool's. -> this process's part of the metrics

        Args:
            own: of this process.
            everyone: of all processes, in their order.
        """
        self.pool.count(everyone)
        means = {"pool/size": Mean(len(self.pool.members), 1)}
        for result in own:
            for name in ("pool/score", f"pool/{Member(result.member).name}/score"):
                known = means.get(name, Mean(0.0, 0.0))
                means[name] = Mean(known.total + result.points, known.count + 1)
        return means

    def state_dict(self) -> dict[str, Any]:
        """The pool's list with its games."""
        return self.pool.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self.pool.load_state_dict(state)

    def _frozen_side(self, plan: GamePlan, lot: np.random.Generator) -> list[str]:
        seats = self._lineup(plan)
        teams = {agent: kind.team for agent, kind in seats.items()}
        return frozen_side(teams, learned_agents(self._learns, seats), lot)

    def _draw_bouts(self, iteration: int) -> dict[int, _Bout]:
        """The games of all processes, by number, that a past model takes part in."""
        args = self._args
        seed = derive_seed(args.seed, SeedStream.OPPONENTS, iteration)
        bouts = {}
        for game in sorted(shared_games(args.games_per_iteration, args.opponent_share, seed)):
            lot = np.random.default_rng(derive_seed(seed, game))
            bouts[game] = _Bout(self.pool.draw(lot), lot)
        return bouts


def shared_games(games: int, share: float, seed: int) -> set[int]:
    """The numbers of the games that a past model takes part in.

    As many as ``share`` of them; a fraction of a game is drawn for.
    """
    random = np.random.default_rng(seed)
    count = int(share * games + random.random())
    return set(random.permutation(games)[:count].tolist())


def frozen_side(
    teams: Mapping[str, str | None], learned: Container[str], random: np.random.Generator
) -> list[str]:
    """The agents that a past model plays: a team drawn by lot, or all but one.

    A lot that left no live agent to learn from does not count, if there is another.

    Args:
        teams: of every agent, None where the game has none.
        learned: the agents whose rows are learned from.
        random: the lot.
    """
    names = sorted({team for team in teams.values() if team is not None})
    if len(names) > 1:
        sides = [[agent for agent, team in teams.items() if team == name] for name in names]
    else:
        sides = [[agent for agent in teams if agent != live] for live in teams]
    useful = [
        side for side in sides if any(agent in learned and agent not in side for agent in teams)
    ]
    drawn_from = useful or sides
    return drawn_from[random.integers(len(drawn_from))]


def live_points(episode: Episode, frozen: set[str]) -> float | None:
    """Points of the live seats against the frozen ones: 1, 1/2 or 0.

    By the winning team where the game has one, else by the mean return of a seat;
    None if that could not be determined.
    """
    teams = episode.outcome.get("teams", {})
    if teams and "winner" in episode.outcome:
        winner = episode.outcome["winner"]
        if winner is None:
            return 0.5
        return float(any(team == winner for agent, team in teams.items() if agent not in frozen))
    if any(None in parts.values() for parts in episode.rewards.values()):
        return None
    sides: dict[bool, list[float]] = {True: [], False: []}
    for seat in episode.seats:
        sides[seat.agent in frozen].append(episode.total_reward(seat.agent))
    if not (sides[True] and sides[False]):
        return None
    past, live = (sum(sides[side]) / len(sides[side]) for side in (True, False))
    return 0.5 if live == past else float(live > past)


class TwoModels:
    """One generator for two: some seats' requests go to the frozen model.

    It answers in batches, also where the live model streams: a past model is sampled in
    batches, and games that went ahead one by one would each leave it a batch of a row
    or two. But what streams works while the past model does.

    Args:
        live: samples for all other rows.
        past: samples for the rows in ``frozen``.
        frozen: rows as ``(game, agent)``.
    """

    def __init__(self, live: TextGenerator, past: TextGenerator, frozen: frozenset[SeatKey]):
        self._live = as_stream(live)
        self._past = past
        self._frozen = frozen

    @property
    def max_context(self) -> int:
        return min(self._live.max_context, self._past.max_context)

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        """One result per request, in order.

        Raises:
            PolicyError: the live model's generator has lost some of its rows.
        """
        live = [request for request in requests if request.row not in self._frozen]
        past = [request for request in requests if request.row in self._frozen]
        results: dict[Hashable, GenerationResult] = {}
        if live:
            self._live.submit(live)
        if past:
            found = self._past.generate(past)
            results |= {r.row: result for r, result in zip(past, found, strict=True)}
        while len(results) < len(requests):
            answered = self._live.poll()
            if not answered:
                raise PolicyError(
                    f"the live model's generator has nothing under way, but "
                    f"{len(requests) - len(results)} rows wait for its replies"
                )
            results |= answered
        return [results[request.row] for request in requests]

    def forget(self) -> None:
        """Drop what either has cached about rows."""
        self._live.forget()
        self._past.forget()


def merge_games(count: int, parts: Sequence[tuple[Sequence[int], PlayedGames]]) -> PlayedGames:
    """Put games that were played in parts back in their order.

    Args:
        count: games over all parts.
        parts: where each game of a part belongs, and the part.
    """
    episodes: dict[int, Episode] = {}
    rows: dict[SeatKey, TokenRow] = {}
    frozen: dict[SeatKey, str] = {}
    for places, part in parts:
        for slot, episode in enumerate(part.episodes):
            seats = tuple(
                msgspec.structs.replace(
                    seat, policy=part.frozen.get((slot, seat.agent), seat.policy)
                )
                for seat in episode.seats
            )
            episodes[places[slot]] = msgspec.structs.replace(episode, seats=seats)
        rows |= {
            (places[slot], agent): replace(row, game=places[slot])
            for (slot, agent), row in part.rows.items()
        }
        frozen |= {(places[slot], agent): name for (slot, agent), name in part.frozen.items()}
    return PlayedGames(
        [episodes[i] for i in range(count)],
        rows,
        frozen,
        sum_usage(part.judge_usage for _, part in parts),
    )
