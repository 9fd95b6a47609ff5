"""In the parallel environment the number of steps tells nothing that may not be known.

Every ``step`` gives every agent an observation, so that a policy with a memory counts
steps. The schedule of nights has the same stages whoever lives; so must the steps.
"""

from __future__ import annotations

import pytest

from omar_envs.conversation import ConversationEnv
from omar_envs.parallel import ConversationParallelEnv
from omar_envs.types import View
from tests.envs.games import name_of
from tests.envs.twins import Manners, Swapped


def until_the_second_day(env: ConversationEnv, manners: Manners, reader: str) -> list[str]:
    """What the reader is shown, step by step."""
    parallel = ConversationParallelEnv(env)
    shown = [env.observe(reader)["text"]]
    while parallel.view(reader).facts["day"] == 1:
        acts = {agent: manners(parallel.view(agent)) for agent in parallel.acting}
        # A potion might be known by what it does.
        acts |= {agent: "pass" for agent in acts if is_brewing(parallel.view(agent))}
        shown.append(parallel.step(acts)[0][reader]["text"])
    return shown


def is_brewing(view: View) -> bool:
    return (view.role, view.facts["phase"]) == ("witch", "night")


@pytest.mark.parametrize("lost", ["werewolf", "witch"])
def test_steps_of_a_night_do_not_tell_who_was_voted_out(lost: str) -> None:
    config = {
        "num_players": 9,
        "roles": {"werewolf": 2, "witch": 1},
        "reveal_on_death": "none",
        "first_phase": "day",
    }
    pair = Swapped(config, 0, ("villager", lost))
    names = [name_of(pair.env, agent) for agent in pair.players]
    villagers = [agent for agent in pair.ignorant if pair.env.view(agent).role == "villager"]
    manners = Manners(0, names, out=names[0])
    courses = [until_the_second_day(env, manners, villagers[0]) for env in (pair.env, pair.other)]
    assert courses[0] == courses[1]
