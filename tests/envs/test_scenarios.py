"""The characters, scenarios, relationships and casts that come with the package."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations, product
from pathlib import Path

import msgspec
import pytest

from omar_envs.errors import ConfigError
from omar_envs.sotopia.library import (
    CATEGORIES,
    DIFFICULTIES,
    character,
    default_scenario,
    library,
    scenario,
    scenarios,
)
from omar_envs.sotopia.profiles import (
    AgentProfile,
    EnvironmentProfile,
    RelationshipType,
)
from omar_envs.sotopia.visibility import ENVIRONMENT, visible_text

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "omar_envs" / "sotopia" / "data"
SCENARIOS = scenarios()
CHARACTERS = tuple(library().agents.values())
COMBOS = library().combos

MAX_OVERLAP = 0.1
"""Jaccard index of two scenarios' sets of word triples, at most: the most alike two
have in common what turns of phrase any two English texts have."""

MARKS = {"p", "extra_info", "strategy_hint", "clarification_hint"}


def each_scenario() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("profile", SCENARIOS, ids=lambda profile: profile.pk)


def word_grams(text: str, length: int) -> set[tuple[str, ...]]:
    """Its runs of words, marks left out."""
    words = re.findall(r"\w+", re.sub(r"<[^>]*>", " ", text).casefold())
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}


def texts(profile: EnvironmentProfile) -> tuple[str, ...]:
    return (profile.scenario, *profile.agent_goals)


def pair(first: str, second: str) -> frozenset[str]:
    return frozenset((first, second))


ROWS = {pair(row.agent_1_id, row.agent_2_id): row for row in library().relationships}


# What there is.


def test_there_is_enough() -> None:
    assert len(SCENARIOS) >= 60
    assert len(CHARACTERS) >= 40
    assert len(library().relationships) >= 60
    assert len(scenarios(computed=True)) >= 28
    assert len(scenarios(computed=False)) >= 42
    assert sum(profile.num_agents >= 3 for profile in SCENARIOS) >= 15
    assert sum(profile.num_agents >= 3 for profile in scenarios(computed=False)) >= 10


def test_every_kind_of_scenario_is_there() -> None:
    assert {profile.category for profile in SCENARIOS} == set(CATEGORIES)
    assert {profile.difficulty for profile in SCENARIOS} == set(DIFFICULTIES)
    judged = scenarios(computed=False)
    assert min(Counter(profile.category for profile in judged).values()) >= 4
    assert {profile.relationship for profile in judged} == set(RelationshipType)
    assert {profile.num_agents for profile in SCENARIOS} == set(range(2, 9))
    marks = {mark for profile in judged for text in texts(profile) for mark in tags(text)}
    assert {mark.strip("</>").split()[0] for mark in marks} == MARKS


def test_no_key_is_given_twice() -> None:
    """A second row of the same key would silently take the place of the first."""
    for files, held in (
        (("computed.json", "judged.json"), library().environments),
        (("characters.json",), library().agents),
    ):
        keys = [row["pk"] for file in files for row in json.loads((DATA / file).read_bytes())]
        assert keys == list(held)


def test_hard_is_the_list_of_the_hard_ones() -> None:
    hard = scenarios(difficulty="hard")
    assert library().hard == tuple(profile.pk for profile in hard)
    assert len(hard) >= 14
    assert {profile.outcome is None for profile in hard} == {True, False}


def test_the_licence_is_stated_beside_the_data() -> None:
    stated = (DATA / "LICENSE.md").read_text("utf-8")
    assert "CC-BY-4.0" in stated
    assert "computed.json" in stated and "judged.json" in stated


# Finding a scenario.


def test_computed_scenarios_come_first() -> None:
    computed = [profile.outcome is not None for profile in SCENARIOS]
    assert computed == sorted(computed, reverse=True)
    assert scenarios(computed=True) + scenarios(computed=False) == SCENARIOS


@pytest.mark.parametrize("category", [None, *CATEGORIES])
def test_filters_combine(category: str | None) -> None:
    for difficulty, computed, num_agents in product(
        (None, *DIFFICULTIES), (None, True, False), (None, 2, 3, 9)
    ):
        found = scenarios(
            category=category, difficulty=difficulty, computed=computed, num_agents=num_agents
        )
        assert found == tuple(
            profile
            for profile in SCENARIOS
            if (category is None or profile.category == category)
            and (difficulty is None or profile.difficulty == difficulty)
            and (computed is None or (profile.outcome is not None) == computed)
            and (num_agents is None or len(profile.agent_goals) == num_agents)
        )


def test_an_unknown_filter_is_an_error_that_names_the_known() -> None:
    with pytest.raises(ConfigError, match="conflict_repair"):
        scenarios(category="conflict repair")
    with pytest.raises(ConfigError, match="easy, medium, hard"):
        scenarios(difficulty="Hard")


def test_a_scenario_is_found_by_its_pk() -> None:
    for profile in SCENARIOS:
        assert scenario(profile.pk) is profile
    with pytest.raises(ConfigError, match="did you mean 'wall_on_the_driveway'"):
        scenario("wall_on_driveway")
    with pytest.raises(ConfigError, match="there is no scenario ''"):
        scenario("")


def test_a_character_is_found_by_pk_and_by_name() -> None:
    for profile in CHARACTERS:
        assert character(profile.pk) is profile
        assert character(profile.name) is profile
    with pytest.raises(ConfigError, match="did you mean 'Pilar Quispe'"):
        character("Pilar Quispé")


@pytest.mark.parametrize("num_agents", range(2, 9))
def test_the_default_scenario_is_the_first_computed_one_of_its_size(num_agents: int) -> None:
    default = default_scenario(num_agents)
    assert default.outcome is not None
    assert default == scenarios(computed=True, num_agents=num_agents)[0]
    assert default_scenario() == SCENARIOS[0]


@pytest.mark.parametrize("num_agents", [-1, 0, 1, 9])
def test_no_default_scenario_names_the_numbers_there_are(num_agents: int) -> None:
    with pytest.raises(ConfigError, match="2, 3, 4, 5, 6, 7, 8"):
        default_scenario(num_agents)


# Reading it.


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_nothing_is_read_by_importing_and_all_of_it_once_by_asking() -> None:
    printed = run_python(
        "import sys\n"
        "opened = []\n"
        "def note(event, args):\n"
        "    if event == 'open' and 'sotopia' in str(args[0]) and '.json' in str(args[0]):\n"
        "        opened.append(args[0])\n"
        "sys.addaudithook(note)\n"
        "import omar_envs, omar_envs.cli\n"
        "from omar_envs.sotopia import library\n"
        "before = len(opened)\n"
        "assert library.library() is library.library()\n"
        "library.scenarios(); library.default_scenario()\n"
        "print(before, len(opened), len(set(opened)))\n"
    )
    assert printed == "0 6 6"


def test_the_wheel_holds_the_data(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    # A wheel can be imported from as it is: what it lacks would be missed.
    printed = run_python(
        "import sys\n"
        f"sys.path.insert(0, {str(wheel)!r})\n"
        "from importlib.resources import files\n"
        "from omar_envs.sotopia import library\n"
        "assert '.whl' in library.__file__\n"
        "held = library.library()\n"
        "stated = files('omar_envs.sotopia').joinpath('data', 'LICENSE.md').read_text('utf-8')\n"
        "print(len(held.environments), len(held.agents), 'CC-BY-4.0' in stated)\n"
    )
    assert printed == f"{len(SCENARIOS)} {len(CHARACTERS)} True"


# Characters.


@pytest.mark.parametrize("profile", CHARACTERS, ids=lambda profile: profile.pk)
def test_a_character_is_complete(profile: AgentProfile) -> None:
    assert re.fullmatch(r"omar-\d{3}-[a-z]+-[a-z]+", profile.pk)
    assert 18 <= profile.age <= 78
    filled = (
        profile.occupation,
        profile.decision_making_style,
        *profile.moral_values,
        *profile.schwartz_personal_values,
    )
    assert len(filled) >= 6 and all(text == text.strip() != "" for text in filled)
    assert (profile.gender, profile.gender_pronoun) in {
        ("Woman", "She/her"),
        ("Man", "He/him"),
        ("Nonbinary", "They/them"),
    }
    assert re.fullmatch(r"[EI][NS][FT][JP]", profile.mbti)
    traits = re.findall(r"([A-Z][A-Za-z ]+) - (?:High|Moderate|Low)(?:; |$)", profile.big_five)
    assert traits == [
        "Openness to Experience",
        "Conscientiousness",
        "Extraversion",
        "Agreeableness",
        "Neuroticism",
    ]
    for text in (profile.public_info, profile.personality_and_values):
        assert text.startswith(f"{profile.first_name} ") and text.endswith(".")
        assert "<" not in text and "{" not in text


def test_characters_differ() -> None:
    for values in (
        [profile.first_name for profile in CHARACTERS],
        [profile.last_name for profile in CHARACTERS],
        [profile.secret for profile in CHARACTERS],
        [profile.public_info for profile in CHARACTERS],
        [profile.occupation for profile in CHARACTERS],
    ):
        assert len(set(values)) == len(CHARACTERS)
    ages = [profile.age for profile in CHARACTERS]
    assert min(ages) == 18 and max(ages) == 78 and len(set(ages)) >= 30
    genders = Counter(profile.gender for profile in CHARACTERS)
    assert min(genders["Woman"], genders["Man"]) >= 15 and genders["Nonbinary"] >= 3


def test_a_name_is_no_part_of_another_name_and_in_no_scenario() -> None:
    """A first name then tells who is meant, wherever it stands."""
    names = [
        part.casefold()
        for profile in CHARACTERS
        for part in (profile.first_name, profile.last_name)
    ]
    assert not [
        (name, other) for name in names for other in names if name != other and name in other
    ]
    for profile in SCENARIOS:
        words = {word for (word,) in word_grams(msgspec.json.encode(profile).decode(), 1)}
        assert not words & {each.first_name.casefold() for each in CHARACTERS}


def test_secrets_stand_nowhere_else() -> None:
    """No four words running of a secret are in any text that others may see."""
    elsewhere = [text for profile in SCENARIOS for text in texts(profile)]
    elsewhere += [row.background_story for row in library().relationships]
    elsewhere += [f"{each.public_info} {each.personality_and_values}" for each in CHARACTERS]
    said = {gram for text in elsewhere for gram in word_grams(text, 4)}
    for profile in CHARACTERS:
        secret = word_grams(profile.secret, 4)
        assert len(secret) >= 4
        assert not secret & said, profile.pk


# Scenarios.


def tags(text: str) -> list[str]:
    return re.findall(r"<[^<>]*>", text)


@each_scenario()
def test_a_scenario_is_complete(profile: EnvironmentProfile) -> None:
    assert profile.pk == profile.codename
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", profile.pk)
    assert profile.source == "omar-envs"
    assert profile.category in CATEGORIES and profile.difficulty in DIFFICULTIES
    assert len(set(profile.agent_goals)) == profile.num_agents
    assert 1 <= len(re.findall(r"[.?!]['\"”’)]*(?=\s|<|$)", profile.scenario)) <= 6
    assert all(len(goal.split()) >= 5 for goal in profile.agent_goals)
    for seats in profile.pair_relationships:
        assert len(set(seats.seats)) == 2
        assert set(seats.seats) <= set(range(profile.num_agents))
        assert seats.relationship != profile.relationship


@each_scenario()
def test_texts_are_whole(profile: EnvironmentProfile) -> None:
    opening = {f"<{mark}>": mark for mark in MARKS - {"p"}}
    opening |= {f'<p viewer="agent_{seat}">': "p" for seat in range(profile.num_agents)}
    for text in texts(profile):
        assert text == " ".join(text.split())
        assert not set("{}[]\\") & set(text)
        assert text.count("<") == text.count(">") == len(tags(text))
        open_marks: list[str] = []
        for tag in tags(text):
            if tag.startswith("</"):
                assert tag == f"</{open_marks.pop()}>"
            else:
                open_marks.append(opening[tag])
        assert not open_marks


@each_scenario()
def test_what_is_for_one_viewer_is_for_no_other(profile: EnvironmentProfile) -> None:
    whole = visible_text(profile.scenario, ENVIRONMENT)
    for viewer, text in re.findall(r'<p viewer="(\w+)">([^<]*)</p>', profile.scenario):
        assert text in whole
        for seat in range(profile.num_agents):
            seen = visible_text(profile.scenario, f"agent_{seat}")
            assert (text in seen) == (viewer == f"agent_{seat}")
    for seat, goal in enumerate(profile.agent_goals):
        own = visible_text(goal, f"agent_{seat}", f"agent_{seat}")
        assert word_grams(own, 1) == word_grams(goal, 1)


def test_no_two_scenarios_are_alike() -> None:
    grams = {profile.pk: word_grams(" ".join(texts(profile)), 3) for profile in SCENARIOS}
    overlap = {
        (first, second): len(grams[first] & grams[second]) / len(grams[first] | grams[second])
        for first, second in combinations(grams, 2)
    }
    worst = max(overlap, key=lambda two: overlap[two])
    assert overlap[worst] < MAX_OVERLAP, (worst, overlap[worst])
    assert len({text for profile in SCENARIOS for text in texts(profile)}) == sum(
        1 + profile.num_agents for profile in SCENARIOS
    )


# Relationships and casts.


def test_relationships_join_characters() -> None:
    rows = library().relationships
    assert len({row.pk for row in rows}) == len({row.background_story for row in rows}) == len(rows)
    assert len(ROWS) == len(rows), "a pair occurs twice"
    assert {row.relationship for row in rows} == set(RelationshipType)
    for row in rows:
        assert row.agent_1_id != row.agent_2_id
        for agent in (row.agent_1_id, row.agent_2_id):
            assert character(agent).first_name in row.background_story


def test_every_scenario_has_casts() -> None:
    counts = Counter(combo.env_id for combo in COMBOS)
    assert set(counts) == {profile.pk for profile in SCENARIOS}
    assert min(counts.values()) >= 3
    assert len({combo.pk for combo in COMBOS}) == len(COMBOS)
    assert len({(combo.env_id, frozenset(combo.agent_ids)) for combo in COMBOS}) == len(COMBOS)
    assert {agent for combo in COMBOS for agent in combo.agent_ids} == set(library().agents)


@each_scenario()
def test_casts_fill_the_seats_with_people_of_the_right_age(profile: EnvironmentProfile) -> None:
    ages = ast.literal_eval(profile.age_constraint or str([(18, 78)] * profile.num_agents))
    assert len(ages) == profile.num_agents
    for cast in library().casts(profile.pk):
        assert len({member.pk for member in cast}) == len(cast) == profile.num_agents
        for member, (youngest, oldest) in zip(cast, ages, strict=True):
            assert youngest <= member.age <= oldest


@each_scenario()
def test_casts_are_to_one_another_what_the_scenario_says(profile: EnvironmentProfile) -> None:
    for cast in library().casts(profile.pk):
        for seat, other in combinations(range(profile.num_agents), 2):
            wanted = profile.relationship_of(seat, other)
            row = ROWS.get(pair(cast[seat].pk, cast[other].pk))
            if row is not None:
                assert row.relationship == wanted, "their story tells otherwise"
            elif profile.num_agents == 2:
                assert wanted <= RelationshipType.know_by_name, "they have no story"
