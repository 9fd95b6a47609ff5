"""Published files: what loads, what is refused and why, and what can be computed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.cli import main
from omar_envs.errors import ConfigError, DamagedEpisodeError, EpisodeError
from omar_envs.sotopia import importer
from omar_envs.sotopia.importer import Imported
from omar_envs.sotopia.mechanisms import Division, MutualFriend
from omar_envs.sotopia.profiles import EnvironmentProfile, RelationshipType
from omar_envs.sotopia.published_deals import DEALS, FRIENDS, recognise
from tests.envs.published import FILES, agent, combo, environment, relationship, write_set

Load = Callable[..., Imported]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write a folder of JSON lines and load it."""

    def run(**files: list[Any]) -> Imported:
        write_set(tmp_path, **files)
        return importer.load(tmp_path)

    return run


# --- what loads -------------------------------------------------------------


def test_a_folder_of_json_lines_loads(load: Load) -> None:
    scenarios, episodes, warnings, refused = load()
    assert (warnings, refused, episodes) == ((), (), ())
    ada = scenarios.agents["A1"]
    assert (ada.name, ada.age, ada.secret) == ("Ada Moss", 41, "Cannot swim")
    assert ada.moral_values == ("Care", "Fairness")
    quay = scenarios.environments["E1"]
    assert quay.relationship is RelationshipType.friend
    assert quay.age_constraint == "[(18, 70), (18, 70)]"
    assert (quay.occupation_constraint, quay.agent_constraint, quay.outcome) == (None, None, None)
    (row,) = scenarios.relationships
    assert (row.agent_1_id, row.agent_2_id, row.relationship) == ("A1", "A2", 3)
    assert scenarios.casts("E1") == ((ada, scenarios.agents["A2"]),)


def by_key(rows: list[dict[str, Any]], key: str) -> dict[str, Any]:
    return {row[key]: {"pk": row[key], **row} for row in rows}


def test_dictionaries_by_key_give_the_same_scenarios(tmp_path: Path, load: Load) -> None:
    lines = load().scenarios
    folder = tmp_path / "dictionaries"
    folder.mkdir()
    agents = [{**agent(pk), "agent_id": pk} for pk in ("A1", "A2")]
    scene = {**environment("E1"), "relationship": 3, "occupation_constraint": None}
    cast = {"pk": "C1", "env_id": "E1", "agent_ids": ["A1", "A2"]}
    other = {"pk": "C2", "env_id": "E1", "agent_ids": ["A2", "A1"]}
    (folder / "agents.json").write_text(json.dumps(by_key(agents, "agent_id"), indent=1))
    (folder / "envs.json").write_text(json.dumps(by_key([scene], "env_id")))
    (folder / "combos.json").write_text(json.dumps([cast, other], indent=4))
    (folder / "a_hard.json").write_text("[\n 1\n]")
    read = importer.load(folder)
    assert (read.warnings, read.refused) == ((), ())
    assert read.scenarios.agents == lines.agents
    assert read.scenarios.environments == lines.environments
    assert read.scenarios.combos[0] == lines.combos[0]
    assert read.scenarios.hard == ("C2",)


def test_files_are_known_by_what_stands_in_them(tmp_path: Path, load: Load) -> None:
    expected = load()
    for number, path in enumerate(sorted(tmp_path.iterdir(), reverse=True)):
        path.rename(tmp_path / f"{number}.jsonl")
    assert importer.load(tmp_path).scenarios == expected.scenarios


def test_a_single_file_loads(tmp_path: Path, load: Load) -> None:
    expected = load().scenarios
    assert importer.load(tmp_path / "agent_profiles.jsonl").scenarios.agents == expected.agents
    alone = importer.load(tmp_path / "env_agent_combo_storages.jsonl")
    assert alone.scenarios.combos == expected.combos
    (warning,) = alone.warnings
    assert "not checked" in warning.why


def test_marks_line_ends_and_blank_lines_are_survived(tmp_path: Path, load: Load) -> None:
    expected = load()
    for path in tmp_path.iterdir():
        lines = path.read_bytes().split(b"\n")
        path.write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join([b"", *lines, b"  "]))
    assert importer.load(tmp_path) == expected


@pytest.mark.parametrize("nothing", ["nan", "none", "None", "", " nan ", None, float("nan")])
def test_the_ways_to_say_nothing(load: Load, nothing: object) -> None:
    row = agent("A3", age=nothing, occupation=nothing, secret=nothing, moral_values=nothing)
    scene = environment("E2", occupation_constraint=nothing, agent_constraint=nothing)
    read = load(agents=[agent("A1"), agent("A2"), row], environments=[scene], combos=[])
    assert not read.refused
    unknown = read.scenarios.agents["A3"]
    assert (unknown.age, unknown.occupation, unknown.secret) == (0, "", "")
    assert unknown.moral_values == ()
    assert read.scenarios.environments["E2"].occupation_constraint is None
    assert read.scenarios.environments["E2"].agent_constraint is None


def test_a_name_is_not_taken_for_nothing(load: Load) -> None:
    read = load(agents=[agent("A1", first_name="Nan"), agent("A2")])
    assert read.scenarios.agents["A1"].name == "Nan Moss"


@pytest.mark.parametrize(
    "values", ["['Care', 'Fairness']", '["Care", "Fairness"]', "('Care', ' Fairness')"]
)
def test_lists_written_as_text_are_read(load: Load, values: str) -> None:
    goals = repr(["Sell the boat", "Don't pay for the mast"])
    read = load(
        agents=[agent("A1", moral_values=values), agent("A2")],
        environments=[environment("E1", agent_goals=goals)],
        combos=[combo("C1", agent_ids='["A1", "A2"]')],
    )
    assert read.scenarios.agents["A1"].moral_values == ("Care", "Fairness")
    assert read.scenarios.environments["E1"].agent_goals[1] == "Don't pay for the mast"
    assert read.scenarios.combos[0].agent_ids == ("A1", "A2")


@pytest.mark.parametrize("age", [30, "30", "30.0", 30.0])
def test_ages_are_numbers_or_text(load: Load, age: object) -> None:
    assert load(agents=[agent("A1", age=age), agent("A2")]).scenarios.agents["A1"].age == 30


@pytest.mark.parametrize(
    "value", [4, "4", "4.0", "romantic", "romantic_relationship", "RelationshipType.romantic"]
)
def test_relationships_are_numbers_text_or_names(load: Load, value: object) -> None:
    read = load(
        environments=[environment("E1", relationship=value)],
        relationships=[relationship("R1", relationship=value)],
    )
    assert read.scenarios.environments["E1"].relationship is RelationshipType.romantic
    assert read.scenarios.relationships[0].relationship is RelationshipType.romantic


def test_either_spelling_of_the_related_agents(load: Load) -> None:
    row = relationship("R1")
    row["agent_1_id"], row["agent_2_id"] = row.pop("agent1_id"), row.pop("agent2_id")
    read = load(relationships=[row])
    assert read.scenarios.relationships[0].agent_2_id == "A2"
    assert not read.warnings


# --- what is refused --------------------------------------------------------

DAMAGES = [
    ("agents", {"first_name": "nan"}, "first_name"),
    ("agents", {"age": "thirty"}, "age"),
    ("agents", {"age": -1}, "age"),
    ("agents", {"age": True}, "age"),
    ("agents", {"age": 1e300}, "age"),
    ("agents", {"secret": 5}, "secret"),
    ("agents", {"moral_values": ["Care", 5]}, "moral_values"),
    ("agents", {"moral_values": "['Care'"}, "moral_values"),
    ("agents", {"agent_id": None}, "agent_id"),
    ("agents", {"agent_id": ["A9"]}, "agent_id"),
    ("agents", {"pk": "other"}, "agent_id"),
    ("agents", {"agent_id": "A1"}, "pk"),
    ("environments", {"agent_goals": ["Only one"]}, "agent_goals"),
    ("environments", {"agent_goals": ["x"] * 9}, "agent_goals"),
    ("environments", {"agent_goals": {"a": "b"}}, "agent_goals"),
    ("environments", {"agent_goals": ["x", None]}, "agent_goals"),
    ("environments", {"agent_goals": ["x", "nan"]}, "agent_goals"),
    ("environments", {"scenario": ""}, "scenario"),
    ("environments", {"relationship": "6"}, "relationship"),
    ("environments", {"relationship": -1}, "relationship"),
    ("environments", {"relationship": True}, "relationship"),
    ("environments", {"relationship": "enemy"}, "relationship"),
    ("environments", {"env_id": "E1"}, "pk"),
    ("relationships", {"relationship": None}, "relationship"),
    ("relationships", {"agent2_id": None}, "agent_2_id"),
    ("relationships", {"agent2_id": "A1"}, "agent_2_id"),
    ("relationships", {"relationship_id": "R1"}, "pk"),
    ("combos", {"agent_ids": ["A1"]}, "agent_ids"),
    ("combos", {"agent_ids": ["A1", "A1"]}, "agent_ids"),
    ("combos", {"agent_ids": ["A1", "A2", "A3"]}, "agent_ids"),
    ("combos", {"agent_ids": ["A1", "nobody"]}, "agent_ids"),
    ("combos", {"env_id": "nowhere"}, "env_id"),
    ("combos", {"combo_id": "C1"}, "pk"),
]


@pytest.mark.parametrize(("kind", "damage", "field"), DAMAGES)
def test_a_damaged_row_is_named_and_alone(
    load: Load, kind: str, damage: dict[str, Any], field: str
) -> None:
    sound = {
        "agents": [agent("A1"), agent("A2"), agent("A3")],
        "environments": [environment("E1")],
        "relationships": [relationship("R1")],
        "combos": [combo("C1")],
    }
    extra = {
        "agents": agent("A9"),
        "environments": environment("E9"),
        "relationships": relationship("R9", agent1_id="A1", agent2_id="A3"),
        "combos": combo("C9", agent_ids=["A2", "A3"]),
    }
    expected = load(**sound)
    rows: list[Any] = sound[kind]
    read = load(**{**sound, kind: [*rows, {**extra[kind], **damage}]})
    (problem,) = read.refused
    assert problem.file == FILES[kind]
    assert (problem.where, problem.field) == (str(len(rows) + 1), field)
    assert problem.why
    assert read.scenarios == expected.scenarios


@pytest.mark.parametrize(
    "line", ['{"agent_id": "A9", "first_', "nonsense", '"text"', "7", "null", "[[", "\\"]
)
def test_lines_that_are_no_objects_are_refused(tmp_path: Path, load: Load, line: str) -> None:
    expected = load()
    path = tmp_path / "agent_profiles.jsonl"
    path.write_text(line + "\n" + path.read_text())
    read = importer.load(tmp_path)
    (problem,) = read.refused
    assert (problem.file, problem.where) == (path.name, "1")
    assert read.scenarios == expected.scenarios


def test_a_line_in_another_encoding_is_refused(tmp_path: Path, load: Load) -> None:
    expected = load()
    path = tmp_path / "agent_profiles.jsonl"
    path.write_bytes(path.read_bytes() + '{"agent_id": "Zoë"}\n'.encode("latin-1"))
    read = importer.load(tmp_path)
    assert "UTF-8" in read.refused[0].why
    assert read.scenarios == expected.scenarios


def test_a_damaged_entry_of_a_dictionary_is_named_by_its_key(tmp_path: Path) -> None:
    rows = {"A1": agent("A1"), "A2": 5, "A3": {**agent("A3"), "age": "old"}, "A4": agent("A4")}
    (tmp_path / "agents.json").write_text(json.dumps(rows))
    read = importer.load(tmp_path)
    assert [(each.where, each.field) for each in read.refused] == [("A2", ""), ("A3", "age")]
    assert list(read.scenarios.agents) == ["A1", "A4"]


def test_the_later_row_of_a_key_is_refused(tmp_path: Path) -> None:
    old, new = json.dumps(agent("A1")), json.dumps(agent("A1", age=7))
    rows = f'"A1": {old}, "A2": {json.dumps(agent("A2"))}'
    for last in (new, "5"):
        (tmp_path / "agents.json").write_text(f'{{{rows}, "A1": {last}}}')
        read = importer.load(tmp_path)
        assert {pk: each.age for pk, each in read.scenarios.agents.items()} == {"A1": 41, "A2": 41}
        (problem,) = read.refused
        assert (problem.file, problem.where) == ("agents.json", "A1")
        assert "earlier" in problem.why


def test_a_row_that_has_a_field_twice_is_refused(tmp_path: Path, load: Load) -> None:
    expected = load()
    path = tmp_path / "agent_profiles.jsonl"
    twice = json.dumps(agent("A9")).replace("{", '{"age": 7, ')
    path.write_text(path.read_text() + twice + "\n")
    read = importer.load(tmp_path)
    (problem,) = read.refused
    assert (problem.where, problem.field) == ("3", "age")
    assert read.scenarios == expected.scenarios


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = {
    "agents": sorted(agent("x")),
    "environments": sorted(environment("x")),
    "relationships": sorted(relationship("x")),
    "combos": sorted(combo("x")),
}


@given(st.data())
def test_whatever_a_field_holds_the_other_rows_load(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(sorted(FIELDS)))
    field = data.draw(st.sampled_from(FIELDS[kind]))
    row = {
        "agents": agent("A9"),
        "environments": environment("E9"),
        "relationships": relationship("R9", agent2_id="A3"),
        "combos": combo("C9", agent_ids=["A2", "A3"]),
    }[kind]
    row[field] = data.draw(JSON)
    files = {
        "agents": [agent("A1"), agent("A2"), agent("A3")],
        "environments": [environment("E1")],
        "relationships": [relationship("R1")],
        "combos": [combo("C1")],
    }
    rows: list[Any] = files[kind]
    folder = tmp_path_factory.mktemp("any")
    write_set(folder, **{**files, kind: [row, *rows]})
    scenarios, _, _, refused = importer.load(folder)
    assert {"A1", "A2", "A3"} <= set(scenarios.agents)
    assert "E1" in scenarios.environments
    assert len(scenarios.relationships) >= 1
    total = sum(
        map(
            len,
            (scenarios.agents, scenarios.environments, scenarios.relationships, scenarios.combos),
        )
    )
    assert total + len(refused) == 7
    for each in scenarios.combos:
        assert scenarios.casts(each.env_id)
    assert importer.read(_written(folder, importer.encode(scenarios))) == scenarios


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "set.out"
    path.write_bytes(data)
    return path


# --- hard combinations ------------------------------------------------------


def test_an_index_means_the_place_in_the_file(tmp_path: Path) -> None:
    write_set(tmp_path, combos=[])
    casts: list[Any] = [combo("C0"), combo("C1", env_id="nowhere"), 5, combo("C3")]
    (tmp_path / "combos.json").write_text(json.dumps(casts))
    (tmp_path / "sotopia_hard.json").write_text('[3, 1, 2, 4, -1, true, "C0", 3, "C9", 0.5]')
    read = importer.load(tmp_path)
    assert read.scenarios.hard == ("C3", "C0")
    of_list = [each.where for each in read.refused if each.file == "sotopia_hard.json"]
    assert of_list == ["[1]", "[2]", "[3]", "[4]", "[5]", "[7]", "[8]", "[9]"]


# --- what is odd ------------------------------------------------------------


def test_a_pair_that_occurs_twice_is_kept_with_a_warning(load: Load) -> None:
    twice = relationship("R2", agent1_id="A2", agent2_id="A1", relationship="0")
    read = load(relationships=[relationship("R1"), twice], combos=[])
    assert [each.pk for each in read.scenarios.relationships] == ["R1", "R2"]
    (warning,) = read.warnings
    assert (warning.where, warning.file) == ("2", "relationship_profiles.jsonl")
    assert "relationship_profiles.jsonl:1" in warning.why
    assert not read.refused


def test_a_cast_related_otherwise_than_its_scenario_is_kept_with_a_warning(load: Load) -> None:
    read = load(
        agents=[agent("A1"), agent("A2"), agent("A3")],
        environments=[environment("E1"), environment("E2", relationship="0")],
        combos=[combo("C1"), combo("C2", env_id="E2"), combo("C3", agent_ids=["A1", "A3"])],
    )
    assert len(read.scenarios.combos) == 3
    assert [each.where for each in read.warnings] == ["2", "3"]
    assert "stranger" in read.warnings[0].why
    assert "friend" in read.warnings[0].why
    assert "no relationship profile" in read.warnings[1].why


def test_fields_that_are_not_read_are_counted_once_per_file(load: Load) -> None:
    read = load(agents=[agent("A1", shoe=9), agent("A2", shoe=8, hat="M")])
    (warning,) = read.warnings
    assert warning.file == "agent_profiles.jsonl"
    assert "shoe (2)" in warning.why
    assert "hat (1)" in warning.why


def test_other_files_in_the_folder_are_left_out_with_a_warning(tmp_path: Path, load: Load) -> None:
    expected = load()
    (tmp_path / "notes.json").write_text('{"made": "by hand"}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "README.md").write_text("not ours")
    read = importer.load(tmp_path)
    assert read.scenarios == expected.scenarios
    assert [each.file for each in read.warnings] == ["broken.json", "notes.json"]


def test_folders_are_skipped_whatever_their_name(tmp_path: Path, load: Load) -> None:
    expected = load()
    (tmp_path / "agents.json").mkdir()
    (tmp_path / "agents.jsonl").mkdir()
    assert importer.load(tmp_path) == expected


def test_upper_case_names_are_read(tmp_path: Path, load: Load) -> None:
    expected = load()
    for path in tmp_path.iterdir():
        path.rename(path.with_suffix(".JSONL"))
    assert importer.load(tmp_path).scenarios == expected.scenarios
    (tmp_path / "MORE_AGENTS.JSON").write_text(json.dumps({"A3": agent("A3")}, indent=1))
    assert set(importer.load(tmp_path).scenarios.agents) == {"A1", "A2", "A3"}


def test_what_is_no_published_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing that SOTOPIA publishes"):
        importer.load(tmp_path)
    with pytest.raises(EpisodeError, match="Check the path"):
        importer.load(tmp_path / "missing.jsonl")
    path = tmp_path / "agent_profiles.jsonl"
    path.write_text("pk,first_name\nA1,Ada\n")
    for place in (path, tmp_path):
        with pytest.raises(DamagedEpisodeError, match=r"agent_profiles\.jsonl.*JSON"):
            importer.load(place)
    path.write_text('[{"agent_id": "A1", "first_na')
    with pytest.raises(DamagedEpisodeError, match="agent_profiles"):
        importer.load(tmp_path)


def test_a_set_that_cannot_be_read_back_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "set\nof.json"
    for place in (path, tmp_path, path / "below", "set\0.json"):
        with pytest.raises(EpisodeError, match="cannot be read") as unread:
            importer.read(place)
        assert_one_line(unread.value)
    for text in (
        "",
        "{}",
        "[]",
        "scenario: old_boat",
        "[" * 100_000,
        json.dumps(agent("A1")) + "\n" + json.dumps(agent("A2")),
        json.dumps(by_key([agent("A1"), agent("A2")], "agent_id")),
        '{"agents": 5, "environments": {}}',
        '{"agents": 5, "environments": {}, "agents": "\\ud800"}',
        "\udcff",
    ):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(ConfigError, match="no set of scenarios") as refused:
            importer.read(path)
        assert_one_line(refused.value)


def assert_one_line(error: Exception) -> None:
    assert str(error).isprintable()
    assert "sotopia import FOLDER --out FILE.json" in str(error)


def test_a_set_that_contradicts_itself_is_refused(tmp_path: Path, load: Load) -> None:
    sound = json.loads(importer.encode(load().scenarios))
    (pair,) = sound["combos"]
    friend = {"mechanism": "mutual_friend", "friends": []}
    for change in (
        {"agents": {**sound["agents"], "A3": sound["agents"]["A1"]}},
        {"environments": {"E9": sound["environments"]["E1"]}},
        {"environments": {"E1": {**sound["environments"]["E1"], "outcome": friend}}},
        {"combos": [{**pair, "agent_ids": ["A1", "A9"]}]},
    ):
        with pytest.raises(ConfigError, match="no set of scenarios") as refused:
            importer.read(_written(tmp_path, json.dumps({**sound, **change}).encode()))
        assert_one_line(refused.value)


def test_a_file_of_agents_or_of_casts_alone_is_read_back(tmp_path: Path, load: Load) -> None:
    load()
    for name in ("agent_profiles.jsonl", "env_agent_combo_storages.jsonl"):
        alone = importer.load(tmp_path / name).scenarios
        assert importer.read(_written(tmp_path, importer.encode(alone))) == alone


# --- outcomes: items with points --------------------------------------------


def deal(scenario: str, *goals: str, source: str = DEALS) -> EnvironmentProfile:
    told = tuple(f"Do well (<extra_info>Extra information: {goal}</extra_info>)" for goal in goals)
    return EnvironmentProfile("E1", "share", scenario, told, source=source)


LAMPS = Division({"lamps": 3, "rugs": 2, "clock": 1}, ({"lamps": 1, "rugs": 4, "clock": 6},) * 2)
PRICED = [
    "For you, each lamp is worth 1 point, each rug is worth 4 points, and the clock is 6 points",
    "you value the lamps at 1 point each, the rugs at 4 points each, and the clock at 6 points.",
    "Lamps give you 1 point each, rugs give you 4 points each, and the clock gives you 6 points.",
    "For you, 1 lamp = 1 point, 1 rug = 4 points, 1 clock = 6 points",
    "a lamp is worth one point; a rug is four points and a clock equals six points",
    "You value each clock as 6 points, every lamp as 1 point, and rugs at 4 points apiece",
]
LISTED = [
    "They share 3 lamps, 2 rugs, and 1 clock.",
    "There are three lamps, two rugs and a clock in the flat, which two people rent.",
    "Left are 3 Lamps,2 rugs,and one clock between them.",
]


@pytest.mark.parametrize("listed", LISTED)
@pytest.mark.parametrize("priced", PRICED)
def test_items_and_points_are_read(listed: str, priced: str) -> None:
    outcome = recognise(deal(listed, priced, PRICED[0])).outcome
    assert isinstance(outcome, Division)
    assert {item.lower(): count for item, count in outcome.items.items()} == LAMPS.items
    assert outcome.values == LAMPS.values


def test_hints_do_not_stand_in_the_way() -> None:
    hinted = PRICED[0] + " <strategy_hint>Hint: give, and take 9 points.</strategy_hint>"
    assert recognise(deal(LISTED[0], hinted, PRICED[1])).outcome == LAMPS


COUNTS = st.integers(1, 9)
ITEMS = {"pear": "pears", "box": "boxes", "berry": "berries", "fishing rod": "fishing rods"}


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(ITEMS)), COUNTS), min_size=2, unique_by=lambda it: it[0]
    ),
    st.data(),
)
def test_any_counts_and_points_are_read_as_they_stand(
    held: list[tuple[str, int]], data: st.DataObject
) -> None:
    nouns = {item: item if count == 1 else ITEMS[item] for item, count in held}
    points = st.fixed_dictionaries({item: st.integers(1, 99) for item, _ in held})
    values = data.draw(st.tuples(points, points))
    listed = ", ".join(f"{count} {nouns[item]}" for item, count in held)
    goals = [
        ", ".join(f"each {item} is worth {seat[item]} points" for item in seat) for seat in values
    ]
    found = recognise(deal(f"To share: {listed}.", *goals))
    assert found.outcome == Division(
        {nouns[item]: count for item, count in held},
        tuple({nouns[item]: seat[item] for item, _ in held} for seat in values),
    )


@pytest.mark.parametrize(
    ("scenario", "goal", "why"),
    [
        (LISTED[0], "each lamp is worth 1 point, the rug 4 points, the clock is 6 points", "price"),
        (LISTED[0], PRICED[0].replace("each rug is", "the rug is"), "one or all"),
        (LISTED[0], PRICED[0].replace("each rug is", "rugs are"), "one or all"),
        (LISTED[0], PRICED[0].replace("each rug", "each rug or lamp"), "count"),
        (LISTED[0], PRICED[0].replace("4 points", "about 4 points"), "price"),
        (LISTED[0], PRICED[0].replace("4 points", "4.5 points"), "price"),
        (LISTED[0], PRICED[0].replace("4 points", "-4 points"), "price"),
        (LISTED[0], PRICED[0].replace("4 points", "a few points"), "price"),
        (LISTED[0], PRICED[0].replace("each rug", "each carpet"), "carpet"),
        (LISTED[0], PRICED[0] + ", each lamp is worth 2 points", "twice"),
        (LISTED[0], "each lamp is worth 1 point, each rug is worth 4 points", "same items"),
        ("They share 3 lamps and some rugs and 1 clock.", PRICED[0], "rug"),
        ("They share 3 lamps, 2 rugs, 1 clock, and 4 mugs.", PRICED[0], "4 mugs"),
        ("They share 4 mugs, 3 lamps, 2 rugs, and 1 clock.", PRICED[0], "4 mugs"),
        ("They share 3 lamps, 2 rugs, 1 clock. He wants 2 lamps.", PRICED[0], "twice"),
        ("They share 3 lamps, 2 rugs that fit, and 1 clock.", PRICED[0], "that fit"),
        ("They share 300 lamps, 2 rugs, and 1 clock.", PRICED[0], "300"),
        (LISTED[0], "make the best of it", "price"),
    ],
)
def test_what_would_take_a_guess_is_left_to_the_judge(scenario: str, goal: str, why: str) -> None:
    found = recognise(deal(scenario, PRICED[0], goal))
    assert found.outcome is None
    assert why in found.note


def test_only_the_two_sources_are_read() -> None:
    profile = deal(LISTED[0], PRICED[0], PRICED[0], source="craigslist_bargains")
    assert recognise(profile).outcome is None


def test_the_import_adds_outcomes_and_says_where_it_cannot(load: Load) -> None:
    goals = list(deal("", PRICED[0], PRICED[1]).agent_goals)
    unclear = [goals[0], goals[1].replace("rugs at 4 points each", "rugs at 4 points")]
    scenes = [
        environment("E1", scenario=LISTED[0], source=DEALS, agent_goals=goals),
        environment("E2", scenario=LISTED[0], source=DEALS, agent_goals=unclear),
    ]
    read = load(environments=scenes, combos=[])
    assert read.scenarios.environments["E1"].outcome == LAMPS
    assert read.scenarios.environments["E2"].outcome is None
    (warning,) = read.warnings
    assert (warning.where, warning.field) == ("2", "agent_goals")
    assert "judge" in warning.why


def test_without_outcomes_the_scenarios_are_as_published(load: Load, tmp_path: Path) -> None:
    goals = list(deal("", PRICED[0], PRICED[1]).agent_goals)
    unclear = [goals[0], "Do well"]
    scenes = [
        environment("E1", scenario=LISTED[0], source=DEALS, agent_goals=goals),
        environment("E2", scenario=LISTED[0], source=DEALS, agent_goals=unclear),
    ]
    computed = load(environments=scenes, combos=[]).scenarios.environments
    read = importer.load(tmp_path, outcomes=False)
    assert read.warnings == ()
    assert read.scenarios.environments == {
        pk: msgspec.structs.replace(each, outcome=None) for pk, each in computed.items()
    }
    assert computed["E1"].outcome is not None


# --- outcomes: friends ------------------------------------------------------


def friends(*lists: str, common: str = "Odile") -> EnvironmentProfile:
    scene = f'Two meet. <p viewer="environment">They have 1 common friends: {common}.</p>'
    goals = tuple(
        f"Find out.\n<extra_info> You know the following friends: \n {known}\n</extra_info>"
        for known in lists
    )
    return EnvironmentProfile("E1", "party", scene, goals, source=FRIENDS)


ODILE = "Odile: School: Upper Hill College, North  Sport: chess  \n"
LEFT = ODILE + " Pim: School: Mill Road  Sport: judo  \n"
RIGHT = " Zora: School: Lake  Sport: chess  \n" + ODILE


def test_friends_and_their_attributes_are_read() -> None:
    outcome = recognise(friends(LEFT, RIGHT)).outcome
    assert isinstance(outcome, MutualFriend)
    assert outcome.right == "Odile"
    assert [[friend.name for friend in known] for known in outcome.friends] == [
        ["Odile", "Pim"],
        ["Zora", "Odile"],
    ]
    assert outcome.friends[0][0].attributes == {
        "School": "Upper Hill College, North",
        "Sport": "chess",
    }


def test_a_namesake_on_another_list_is_another_person() -> None:
    outcome = recognise(friends(LEFT, RIGHT + " Pim: School: Hill  Sport: golf  \n")).outcome
    assert isinstance(outcome, MutualFriend)
    assert outcome.right == "Odile"


@pytest.mark.parametrize(
    "profile",
    [
        friends(LEFT, RIGHT, common="Pim"),
        friends(LEFT, RIGHT, common="Odile, Pim"),
        friends(LEFT, RIGHT.replace("chess", "golf")),
        friends(LEFT, RIGHT + " Pim: School: Mill Road  Sport: judo  \n"),
        friends(ODILE.replace("Odile", "Pim") + LEFT.replace(" Pim", " Bo"), RIGHT, common="Pim"),
        friends(LEFT, RIGHT + " Zora: School: Hill  Sport: golf  \n"),
        friends(LEFT, RIGHT + " Bo, who says little\n"),
        friends(LEFT, RIGHT + " Bo: School: \n"),
        friends(LEFT, ""),
        deal("Two meet.", LEFT, RIGHT, source=FRIENDS),
    ],
)
def test_friends_that_would_take_a_guess_are_left_to_the_judge(profile: EnvironmentProfile) -> None:
    found = recognise(profile)
    assert found.outcome is None
    assert found.note


# --- the command ------------------------------------------------------------


def told(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = main(["sotopia", "import", *map(str, words)])
    return code, capsys.readouterr().out


def test_the_command_counts_and_writes_a_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], load: Load
) -> None:
    goals = list(deal("", PRICED[0], PRICED[1]).agent_goals)
    scene = environment("E2", scenario=LISTED[0], source=DEALS, agent_goals=goals)
    expected = load(environments=[environment("E1"), scene]).scenarios
    out = tmp_path / "out.set"
    code, text = told(capsys, tmp_path, "--out", out)
    assert code == 0
    counts = dict(line.rsplit(None, 1) for line in text.splitlines()[:7])
    assert counts["agent profiles"] == "2"
    assert counts["environment profiles"] == "2"
    assert counts["combinations"] == "1"
    assert counts["refused"] == "0"
    assert f"1 of 1 from {DEALS}" in text
    assert importer.read(out) == expected
    assert expected.environments["E2"].outcome is not None
    out = tmp_path / "plain.set"
    code, text = told(capsys, tmp_path, "--out", out, "--no-outcomes")
    assert code == 0
    assert "computed" not in text
    assert importer.read(out) == importer.load(tmp_path, outcomes=False).scenarios
    assert importer.read(out).environments["E2"].outcome is None


def test_the_command_names_each_refused_row_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], load: Load
) -> None:
    ages = [f"old\x1b[2J{number}" for number in range(30)]
    load(
        agents=[agent(f"X{n}", age=age) for n, age in enumerate(ages)] + [agent("A1"), agent("A2")]
    )
    code, text = told(capsys, tmp_path)
    assert code == 1
    for line in range(1, 31):
        assert f"agent_profiles.jsonl:{line} age: it must be a whole number" in text
    assert "\x1b" not in text


def test_the_command_groups_warnings_and_shows_at_most_twenty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], load: Load
) -> None:
    same = [combo(f"C{number}", agent_ids=["A1", "A3"]) for number in range(9)]
    load(agents=[agent("A1"), agent("A2"), agent("A3")], combos=same)
    code, text = told(capsys, tmp_path)
    assert code == 0
    assert "storages.jsonl:1, 2, 3 and 6 rows more agent_ids" in text
    everybody = [agent(f"A{number}") for number in range(1, 40)]
    pairs = [relationship(f"R{n}", agent1_id="A1", agent2_id=f"A{n}") for n in range(2, 40)]
    load(
        agents=everybody,
        relationships=pairs + [{**p, "relationship_id": p["relationship_id"] + "b"} for p in pairs],
    )
    _, text = told(capsys, tmp_path)
    assert text.count("the same pair") == 20
    assert "and 18 more: --verbose" in text
    _, text = told(capsys, tmp_path, "--verbose")
    assert text.count("the same pair") == 38


def test_the_command_says_what_its_user_got_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], load: Load
) -> None:
    load()
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    for words in (
        [tmp_path / "nowhere"],
        [tmp_path, "--out", kept],
        [tmp_path, "--out", tmp_path / "no" / "folder"],
        [tmp_path, "--episodes", tmp_path / "none.jsonl"],
    ):
        assert main(["sotopia", "import", *map(str, words)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("omar-envs: ")
        assert said.err.count("\n") == 1
    assert kept.read_text() == "mine"
