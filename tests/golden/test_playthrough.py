"""Golden playthroughs: every observation of one game per preset, and of a small odd one.

After a change of words or rules that is meant, write them anew and read the diff::

    OMAR_UPDATE_GOLDEN=1 python -m pytest tests/golden
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omar_envs import werewolf_v0
from omar_envs.policy import ScriptedPolicy
from omar_envs.werewolf.presets import PRESETS
from tests.golden.playthrough import playthrough

HERE = Path(__file__).parent
UPDATE = os.environ.get("OMAR_UPDATE_GOLDEN") == "1"
ODD_REPLIES = {3: "?", 7: "<think>I must not say this.</think>I know nothing.\n* Night 7 begins."}
"""Acts, by number, that the scripted players do not make."""
ALL_ROLES = {
    **{"werewolf": 2, "seer": 1, "doctor": 1, "witch": 1, "hunter": 1, "medium": 1},
    **{"possessed": 1, "mayor": 1, "mason": 2, "idiot": 1, "jester": 1},
}


def same_as_file(name: str, played: str) -> None:
    path = HERE / f"{name}.txt"
    if UPDATE:
        path.write_text(played, encoding="utf-8")
    assert played == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("style", ["plain", "terse"])
def test_odd_replies(style: str) -> None:
    env = werewolf_v0.raw_env(
        num_players=6,
        roles={"werewolf": 2, "seer": 1, "doctor": 1},
        discussion="round_robin",
        discussion_rounds=1,
        invalid_penalty=0.25,
        prompt_style=style,
    )
    policy = ScriptedPolicy(2, brief=style == "terse")
    played = playthrough(env, policy, 4, ODD_REPLIES)
    same_as_file(f"werewolf_{style}", played)
    assert "I must not say this" not in "".join(
        line for line in played.split("\n") if line.startswith("|")
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_preset(preset: str) -> None:
    env = werewolf_v0.raw_env(preset)
    same_as_file(f"preset_{preset}", playthrough(env, ScriptedPolicy(1), 1))


def test_every_role_and_option() -> None:
    env = werewolf_v0.raw_env(
        num_players=14,
        roles=ALL_ROLES,
        discussion="bidding",
        discussion_rounds=2,
        voting="sequential",
        vote_tie="revote",
        last_words="all",
        reveal_on_death=["none", "role"],
        personas="default",
        speech_budget=60,
        allow_silence=True,
    )
    same_as_file("every_role", playthrough(env, ScriptedPolicy(1, noise=0.3), 3))
