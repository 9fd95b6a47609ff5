"""Two policies at hand against each other, in a game of two teams."""

from __future__ import annotations

from collections.abc import Callable

from omar_envs.arena.comparison import Played, compared
from omar_envs.arena.results import ArenaResult
from omar_envs.arena.schedule import TeamOf, check_games, deals, plans
from omar_envs.errors import ConfigError
from omar_envs.playing import AnyEnv, play_games
from omar_envs.policy import Policy


def compare(
    make_env: Callable[[], AnyEnv],
    a: Policy,
    b: Policy,
    *,
    team_of: TeamOf,
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
    check_games(games, per_seed=2)
    if batch < 1:
        raise ConfigError(f"batch must be at least 1: got {batch}")
    planned = plans(deals(make_env, team_of, games // 2, seed), 2, control=control)
    # The control games come last, so that A is soon done.
    planned.sort(key=lambda plan: plan.is_control)
    places = {agent: seat for seat, agent in enumerate(planned[0].deal.agents)}

    def policy_for(game: int, agent: str) -> Policy:
        return (a, b)[planned[game].seating[places[agent]]]

    episodes = play_games(
        [make_env() for _ in range(min(batch, len(planned)))],
        [plan.deal.seed for plan in planned],
        policy_for,
        progress=progress,
    )
    played = [Played(plan, episode) for plan, episode in zip(planned, episodes, strict=True)]
    return compared(played, (a.name, b.name), seed)


def total_games(games: int, control: bool = True) -> int:
    """How many games :func:`compare` plays for these arguments."""
    return games + games // 2 if control else games
