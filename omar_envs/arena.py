"""Two policies against each other in a team game, fairly.

The two teams of a game are rarely equally strong, and neither are the seeds.
So every seed is played twice, with the same roles and names: once with A as
the one team and B as the other, once the other way round. Either policy meets
the same luck, and what is reported is

- each policy's win rate in each team,
- A's score over both teams (draws count half), with an interval that knows that
  the two games of a seed belong together,
- a control: B in every seat. Its win rates show how strong the teams are by
  themselves, which is what A's and B's rates in one team must be held against,
- how many acts could not be read, and the same rates over the games in which
  every act could: a policy may win because the other cannot name its choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import NamedTuple

import msgspec

from omar_envs.errors import ConfigError, EpisodeError
from omar_envs.intervals import paired_wilson, wilson
from omar_envs.playing import AnyEnv, conversation, play_games
from omar_envs.policy import Policy
from omar_envs.rollout import game_seed
from omar_envs.types import Episode

CONFIDENCE = 0.95


class Rate(msgspec.Struct, frozen=True):
    """How often one side won.

    Attributes:
        games: games that count here.
        wins, draws: of these; a draw is a game that no team won.
        rate: ``wins / games``; ``None`` without games.
        low, high: Wilson's interval of it.
    """

    games: int
    wins: int
    draws: int
    rate: float | None
    low: float
    high: float


class Score(msgspec.Struct, frozen=True):
    """Mean score over the seeds: a win is 1, a draw 1/2, a loss 0.

    Attributes:
        seeds: how many; each was played twice, with the teams swapped.
        mean: in [0, 1]; above 1/2 the entrant is the stronger one.
        low, high: interval from the variance between seeds.
    """

    seeds: int
    mean: float
    low: float
    high: float


class Entrant(msgspec.Struct, frozen=True):
    """One policy's side of a comparison.

    Attributes:
        name: the policy's name.
        acts, invalid_acts: its acts, and those that could not be read.
        by_team: its results in each team.
        by_team_clean: the same over the games in which every act could be read.
    """

    name: str
    acts: int
    invalid_acts: int
    by_team: dict[str, Rate]
    by_team_clean: dict[str, Rate]


class ArenaResult(msgspec.Struct, frozen=True):
    """What :func:`compare` found.

    Attributes:
        a, b: the entrants.
        score: A's score over both teams; B's is one minus that.
        control: each team's results with B in every seat, one game per seed;
            empty if none was played.
        games: games of A against B.
        truncated: those of them that a limit ended.
        clean_games: those of them in which every act could be read.
        seed: of the comparison.
        confidence: coverage of every interval.
    """

    a: Entrant
    b: Entrant
    score: Score
    control: dict[str, Rate]
    games: int
    truncated: int
    clean_games: int
    seed: int
    confidence: float = CONFIDENCE

    def to_json(self) -> str:
        """The whole result as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode("utf-8")

    def table(self) -> str:
        """The result as lines of plain text, ready to print or paste."""
        teams = sorted(self.a.by_team)
        b_score = Score(
            self.score.seeds, 1 - self.score.mean, 1 - self.score.high, 1 - self.score.low
        )
        rows = [
            ["", *teams, "both teams"],
            [f"A: {self.a.name}", *_rate_cells(self.a.by_team, teams), _score_cell(self.score)],
            [f"B: {self.b.name}", *_rate_cells(self.b.by_team, teams), _score_cell(b_score)],
        ]
        if self.control:
            rows.append(["control: B in every seat", *_rate_cells(self.control, teams), ""])
        if 0 < self.clean_games < self.games:
            for letter, entrant in (("A", self.a), ("B", self.b)):
                cells = _rate_cells(entrant.by_team_clean, teams)
                rows.append([f"{letter}, no invalid act", *cells, ""])
        return "\n".join(
            [
                *_aligned(rows),
                "",
                f"Win rates with {self.confidence:.0%} intervals; in 'both teams' draws are half.",
                f"{self.games} games: {self.score.seeds} seeds (run {self.seed}), "
                "each played twice with the teams swapped; "
                f"{_draws(self.a)} without a winner, {self.truncated} ended by a limit.",
                f"Unreadable acts: A {_share(self.a)}, B {_share(self.b)}; "
                f"{self.clean_games} games had none.",
            ]
        )


class _Match(NamedTuple):
    """One finished game, and the team that A played in it."""

    episode: Episode
    team_of_a: str


def compare(
    make_env: Callable[[], AnyEnv],
    a: Policy,
    b: Policy,
    *,
    team_of: Callable[[str], str],
    games: int = 200,
    seed: int = 0,
    control: bool = True,
    batch: int = 256,
    progress: Callable[[int], None] | None = None,
) -> ArenaResult:
    """Play A against B, every seed with both distributions of the teams.

    All games are played in one batch after another; the requests that belong to
    one policy reach it together.

    Args:
        make_env: makes one environment of a game of two teams; its episodes'
            ``outcome`` has ``winner`` (a team or ``None``) and ``teams`` (team of
            every agent).
        a, b: the policies.
        team_of: team that a role belongs to, ``werewolf.rules.team_of`` say.
        games: games of A against B; even, since every seed gives two.
        seed: of the comparison; comparisons with different seeds share no games.
        control: also play B in every seat, once per seed.
        batch: at most this many games live at once.
        progress: called with the number of finished games whenever it grows;
            there are :func:`total_games` of them.

    Raises:
        ConfigError: ``games`` is not a positive even number, ``batch`` not
            positive, or the game has not exactly two teams.
    """
    if games < 2 or games % 2:
        raise ConfigError(f"games must be even and positive, as each seed gives two: got {games}")
    if batch < 1:
        raise ConfigError(f"batch must be at least 1: got {batch}")
    probe = make_env()
    deals = [_deal(probe, game_seed(seed, number), team_of) for number in range(games // 2)]
    plans = [_Plan(deal, team) for deal in deals for team in sorted(set(deal.teams.values()))]
    if control:
        plans += [_Plan(deal, None) for deal in deals]

    def policy_for(game: int, agent: str) -> Policy:
        plan = plans[game]
        return a if plan.deal.teams[agent] == plan.team_of_a else b

    episodes = play_games(
        [make_env() for _ in range(min(batch, len(plans)))],
        [plan.deal.seed for plan in plans],
        policy_for,
        progress=progress,
    )
    matches = [
        _Match(episode, plan.team_of_a)
        for episode, plan in zip(episodes, plans, strict=True)
        if plan.team_of_a is not None
    ]
    return _result(a.name, b.name, matches, episodes[games:], seed)


def total_games(games: int, control: bool = True) -> int:
    """How many games :func:`compare` plays for these arguments."""
    return games + games // 2 if control else games


class _Deal(NamedTuple):
    """What a seed deals: the team of every agent."""

    seed: int
    teams: dict[str, str]


class _Plan(NamedTuple):
    """A game to play; ``team_of_a`` is ``None`` where B has every seat."""

    deal: _Deal
    team_of_a: str | None


def _deal(env: AnyEnv, seed: int, team_of: Callable[[str], str]) -> _Deal:
    game = conversation(env)
    game.reset(seed=seed)
    teams = {}
    for agent in game.possible_agents:
        role = game.view(agent).role
        if role is None:
            raise ConfigError(
                "the arena compares two teams, and here not every agent has a role: take a game "
                "of two teams, or compare the scores in the episodes of `omar-envs rollout`"
            )
        teams[agent] = team_of(role)
    if len(set(teams.values())) != 2:
        raise ConfigError(
            f"the arena needs a game of exactly two teams; got {sorted(set(teams.values()))}"
        )
    return _Deal(seed, teams)


def _result(
    name_a: str, name_b: str, matches: Sequence[_Match], control: Sequence[Episode], seed: int
) -> ArenaResult:
    clean = [match for match in matches if all(turn.valid for turn in match.episode.turns)]
    scores = [_score_of_a(match) for match in matches]
    pairs = [fmean(pair) for pair in zip(scores[::2], scores[1::2], strict=True)]
    interval = paired_wilson(pairs, confidence=CONFIDENCE)
    return ArenaResult(
        a=_entrant(name_a, matches, clean, is_a=True),
        b=_entrant(name_b, matches, clean, is_a=False),
        score=Score(len(pairs), fmean(pairs), interval.low, interval.high),
        control={
            team: _rate([_winner(episode) for episode in control], team)
            for team in (_team_names(control[0]) if control else ())
        },
        games=len(matches),
        truncated=sum(match.episode.truncated for match in matches),
        clean_games=len(clean),
        seed=seed,
    )


def _entrant(
    name: str, matches: Sequence[_Match], clean: Sequence[_Match], *, is_a: bool
) -> Entrant:
    teams = _team_names(matches[0].episode)
    turns = [
        turn
        for match in matches
        for turn in match.episode.turns
        if (match.episode.outcome["teams"][turn.agent] == match.team_of_a) == is_a
    ]

    def by_team(games: Sequence[_Match]) -> dict[str, Rate]:
        return {
            team: _rate([_winner(m.episode) for m in games if (m.team_of_a == team) == is_a], team)
            for team in teams
        }

    return Entrant(
        name=name,
        acts=len(turns),
        invalid_acts=sum(not turn.valid for turn in turns),
        by_team=by_team(matches),
        by_team_clean=by_team(clean),
    )


def _rate(winners: Sequence[str | None], team: str) -> Rate:
    wins = sum(winner == team for winner in winners)
    draws = sum(winner is None for winner in winners)
    interval = wilson(wins, len(winners), CONFIDENCE)
    rate = wins / len(winners) if winners else None
    return Rate(len(winners), wins, draws, rate, interval.low, interval.high)


def _winner(episode: Episode) -> str | None:
    if "winner" not in episode.outcome or "teams" not in episode.outcome:
        raise EpisodeError(
            f"an episode of {episode.env} has no 'winner' and 'teams' in its outcome: "
            "the arena is for games of teams"
        )
    winner: str | None = episode.outcome["winner"]
    return winner


def _team_names(episode: Episode) -> list[str]:
    return sorted(set(episode.outcome["teams"].values()))


def _score_of_a(match: _Match) -> float:
    winner = _winner(match.episode)
    return 0.5 if winner is None else float(winner == match.team_of_a)


def _rate_cells(rates: dict[str, Rate], teams: Sequence[str]) -> list[str]:
    return [_cell(rates[team].rate, rates[team].low, rates[team].high) for team in teams]


def _score_cell(score: Score) -> str:
    return _cell(score.mean, score.low, score.high)


def _cell(value: float | None, low: float, high: float) -> str:
    return "no games" if value is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _draws(entrant: Entrant) -> int:
    return sum(rate.draws for rate in entrant.by_team.values())


def _share(entrant: Entrant) -> str:
    if not entrant.acts:
        return "no acts"
    return f"{entrant.invalid_acts / entrant.acts:.2%} of {entrant.acts}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
