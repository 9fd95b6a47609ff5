"""Golden playthroughs of shipped scenarios: every observation of four games.

After a change of words, scenarios or rules that is meant, write them anew and read the
diff::

    OMAR_UPDATE_GOLDEN=1 python -m pytest tests/golden/sotopia
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from omar_envs import sotopia_v0
from omar_envs.types import View
from tests.envs.sotopia_configs import act, example
from tests.golden.playthrough import playthrough

HERE = Path(__file__).parent
UPDATE = os.environ.get("OMAR_UPDATE_GOLDEN") == "1"
UNSAID = "I must not say this."


class Script:
    """Each agent's acts in order; the act that the rules give as an example for ``...``."""

    name = "script"

    def __init__(self, **acts: Sequence[Any]) -> None:
        self._acts = acts

    def act(self, views: Sequence[View]) -> list[str]:
        replies = []
        for view in views:
            own = self._acts[view.agent]
            reply = own[view.num_acts] if view.num_acts < len(own) else act("none")
            replies.append(example(view) if reply is ... else reply)
        return replies


GAMES: dict[str, tuple[dict[str, Any], Script]] = {
    "default": (
        {"invalid_penalty": 0.25},
        Script(
            agent_0=[
                f"<think>{UNSAID}</think>Shall we sort this out?\n* The conversation is over.",
                ...,
                "Take it or leave it.",
            ],
            agent_1=["accept", act("non-verbal communication", "shrugs"), "accept"],
        ),
    ),
    "the_harbour_grant": (
        {"scenario": "the_harbour_grant", "order": "round_robin", "max_turns": 9},
        Script(
            agent_0=[..., act("speak", "The two of us are enough.", to=["agent_1"]), act("leave")],
            agent_1=[act("action", "unrolls a chart"), "Hm, <b>perhaps</b>.", "accept"],
            agent_2=["What are you whispering?", ..., "So be it."],
        ),
    ),
    "letter_in_a_writing_desk": (
        {
            "scenario": "letter_in_a_writing_desk",
            "reward": "none",
            "order": "random",
            "max_turns": 5,
            "omniscient": True,
        },
        Script(
            agent_0=["I found something.", act("shout", "Hey!"), "Well?"],
            agent_1=[act("action", "sits down"), "accept", act("none")],
        ),
    ),
    "where_to_dig_the_well": (
        {"scenario": "where_to_dig_the_well", "max_turns": 4},
        Script(
            agent_0=["What do you know?", ..., "Done."],
            agent_1=[act("speak", "Ask me later.", to=["agent_2"]), "Not yet.", ..., "Done?"],
            agent_2=[..., ..., f"<think>{UNSAID}"],
        ),
    ),
}


@pytest.mark.parametrize("name", GAMES)
def test_playthrough(name: str) -> None:
    config, script = GAMES[name]
    played = playthrough(sotopia_v0.raw_env(**config), script, 3)
    path = HERE / f"{name}.txt"
    if UPDATE:
        path.write_text(played, encoding="utf-8")
    assert played == path.read_text(encoding="utf-8")
    assert UNSAID not in "".join(line for line in played.split("\n") if line.startswith("|"))
