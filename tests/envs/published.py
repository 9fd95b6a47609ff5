"""Small files in SOTOPIA's published shapes, with texts of our own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def agent(pk: str, **changed: Any) -> Row:
    row: Row = {
        "agent_id": pk,
        "first_name": "Ada" if pk == "A1" else "Ben",
        "last_name": "Moss" if pk == "A1" else "Cox",
        "age": 41,
        "occupation": "Boat builder",
        "gender": "Woman",
        "gender_pronoun": "She/her",
        "public_info": "Sings in a choir.",
        "big_five": "Openness - High",
        "moral_values": ["Care", " Fairness"],
        "schwartz_personal_values": ["Tradition"],
        "personality_and_values": "Patient, proud of good work.",
        "decision_making_style": "Slow",
        "secret": "Cannot swim",
        "mbti": "ISTJ",
    }
    return {**row, **changed}


def environment(pk: str, **changed: Any) -> Row:
    row: Row = {
        "env_id": pk,
        "codename": "old_boat",
        "source": "hand-craft",
        "scenario": "Two friends stand on a quay beside an old boat",
        "agent_goals": ["Sell the boat", "Find out what is wrong with the mast"],
        "relationship": "3",
        "age_constraint": "[(18, 70), (18, 70)]",
        "occupation_constraint": "nan",
        "agent_constraint": "none",
    }
    return {**row, **changed}


def relationship(pk: str, **changed: Any) -> Row:
    row: Row = {
        "relationship_id": pk,
        "agent1_id": "A1",
        "agent2_id": "A2",
        "relationship": "3",
        "background_story": "They once sailed round the island.",
    }
    return {**row, **changed}


def combo(pk: str, **changed: Any) -> Row:
    return {"combo_id": pk, "env_id": "E1", "agent_ids": ["A1", "A2"], **changed}


FILES = {
    "agents": "agent_profiles.jsonl",
    "environments": "environment_profiles.jsonl",
    "relationships": "relationship_profiles.jsonl",
    "combos": "env_agent_combo_storages.jsonl",
}


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def write_set(folder: Path, **files: list[Any]) -> None:
    """The four files: two agents and one row of each other kind, where nothing else is given."""
    rows = {
        "agents": [agent("A1"), agent("A2")],
        "environments": [environment("E1")],
        "relationships": [relationship("R1")],
        "combos": [combo("C1")],
        **files,
    }
    for kind, name in FILES.items():
        write_lines(folder / name, rows[kind])
