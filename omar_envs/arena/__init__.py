"""Policies against each other, fairly.

The two teams of a game are rarely equally strong, nor its seats, nor the seeds. So every
seed is played with all rotations, with the same roles and names: once with A as the one team
and B as the other, once the other way round. Either policy meets the same luck. ::

    from omar_envs.arena import evaluate

    result = evaluate(["scripted", "random"], env="werewolf", games=200)
    print(result.matches[0].table())

What is reported of two policies (:class:`ArenaResult`):

- each one's win rate in each team and role,
- A's score over both teams (draws count half), with an interval that knows that
  the games of a seed belong together, a permutation test, and how many games more would
  settle it,
- a control: B in every seat. Its win rates show how strong the teams are by
  themselves, which is what A's and B's rates in one team must be held against,
- how many acts could not be read, and the same rates over the games in which
  every act could: a policy may win because the other cannot name its choice.

Where there are no two teams, the rewards of the seats are compared. More than two entrants
are also rated (:class:`Tournament`). :func:`compare` takes two policies as they are.
"""

from omar_envs.arena.benches import Bench, benches_by_url
from omar_envs.arena.cluster import Cluster
from omar_envs.arena.entrants import Contestant, Spending, contestants
from omar_envs.arena.evaluation import evaluate, planned_games
from omar_envs.arena.ratings import bradley_terry, nash_average
from omar_envs.arena.results import (
    ArenaResult,
    Entrant,
    Judged,
    Measure,
    Rate,
    Rating,
    Score,
    Tournament,
)
from omar_envs.arena.statistics import (
    CONFIDENCE,
    Difference,
    Settling,
    mean_difference,
    score_difference,
    seeds_to_find,
    settling,
    sign_flip_test,
)
from omar_envs.arena.two_policies import compare, total_games

__all__ = [
    "CONFIDENCE",
    "ArenaResult",
    "Bench",
    "Cluster",
    "Contestant",
    "Difference",
    "Entrant",
    "Judged",
    "Measure",
    "Rate",
    "Rating",
    "Score",
    "Settling",
    "Spending",
    "Tournament",
    "benches_by_url",
    "bradley_terry",
    "compare",
    "contestants",
    "evaluate",
    "mean_difference",
    "nash_average",
    "planned_games",
    "score_difference",
    "seeds_to_find",
    "settling",
    "sign_flip_test",
    "total_games",
]
