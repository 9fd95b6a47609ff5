"""What each seat had been told before an episode's first stage.

An episode keeps the log of a game, not the instructions at its beginning: those follow
from environment, config and seed, and are made again here.
"""

from __future__ import annotations

import msgspec

from omar_envs.errors import OmarError
from omar_envs.playing import conversation
from omar_envs.rollout import make
from omar_envs.sotopia.env import SotopiaEnv
from omar_envs.sotopia.visibility import visible_text
from omar_envs.types import Episode


class Briefing(msgspec.Struct, frozen=True):
    """Attributes:
    public: what anybody may know of the setting; "" where a game has no words for that.
    seats: by agent id, the instructions that stand at the head of its view.
    """

    public: str
    seats: dict[str, str]


def briefing_of(episode: Episode) -> Briefing | None:
    """The briefing, or ``None`` if this package would not deal the same seats again.

    That is so for an episode of a game that is not in this package, or of other rules.
    """
    try:
        env = conversation(make(episode.env, episode.config))
        env.reset(seed=episode.seed)
    except (OmarError, ValueError, TypeError, OverflowError):
        # The config may come from anywhere, and a replay must open whatever it is.
        return None
    if list(env.possible_agents) != [seat.agent for seat in episode.seats]:
        return None
    views = [env.view(agent) for agent in env.possible_agents]
    dealt = [(view.name, view.role) for view in views]
    if dealt != [(seat.name, seat.role) for seat in episode.seats]:
        return None
    public = visible_text(env.scenario.scenario, "") if isinstance(env, SotopiaEnv) else ""
    told = {
        view.agent: view.messages[0]["content"]
        for view in views
        if view.messages and view.messages[0]["role"] == "system"
    }
    return Briefing(public, told)
