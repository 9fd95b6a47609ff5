"""Social scenarios that need a judge, for the checks of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omar_envs import sotopia_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.sotopia.library import scenarios
from omar_envs.types import View

LINES = (
    "Good to see you. Shall we settle this today?",
    "I would like that, but not at any price.",
    "What if each of us gives up one thing?",
    "Then tell me what you would give up first.",
    "Half of it. I need the other half, and I think you see why.",
    "That is more than I hoped for. Thank you.",
)


def social(**settings: Any) -> ConversationEnv:
    """Two characters in one of six scenarios that nothing but a judge can score."""
    drawn_from = scenarios(computed=False, num_agents=2)[:6]
    return sotopia_v0.raw_env(drawn_from, **{"reward": "none", **settings})


class Talkers:
    """Speak the same lines in every game, from another one on in each."""

    name = "talkers"

    def act(self, views: Sequence[View]) -> list[str]:
        return [LINES[(view.game + 2 * view.num_acts) % len(LINES)] for view in views]
