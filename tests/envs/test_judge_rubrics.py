"""Rubrics as data, the files they come from, and the reader of what a judge answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.errors import ConfigError
from omar_envs.judge import (
    OMAR,
    RUBRICS,
    SOTOPIA,
    Dimension,
    Rubric,
    rubric_by_name,
    rubric_from_yaml,
)
from omar_envs.judge.schema import AnswerError, Score, answer_schema, read_answer

KEYS = ("participant_1", "participant_2", "participant_3")


# --- rubrics --------------------------------------------------------------------


def test_sotopias_dimensions_and_ranges() -> None:
    assert {d.name: (d.low, d.high) for d in SOTOPIA.dimensions} == {
        "believability": (0, 10),
        "relationship": (-5, 5),
        "knowledge": (0, 10),
        "secret": (-10, 0),
        "social_rules": (-10, 0),
        "financial_and_material_benefits": (-5, 5),
        "goal": (0, 10),
    }


def test_omars_measures() -> None:
    assert {d.name: (d.low, d.high) for d in OMAR.dimensions} == dict.fromkeys(
        ("compromise_seeking", "persuasion", "strategic_commitment", "empathy", "mutual_benefit"),
        (0, 10),
    )
    assert RUBRICS["sotopia"] is SOTOPIA and RUBRICS["omar"] is OMAR
    assert all(rubric.name == name for name, rubric in RUBRICS.items())


FILE = """\
name: candour
instructions: Score how openly each participant deals with the others.
dimensions:
  - name: openness
    description: "0: hides everything; 10: tells all."
    low: 0
    high: 10
    weight: 2
  - {name: tact, description: How kindly?, low: -1, high: 1}
factor: 0.1
offset: -0.5
"""


def test_a_rubric_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "candour.yaml"
    path.write_text(FILE)
    rubric = rubric_from_yaml(path)
    assert rubric == rubric_by_name(str(path))
    assert rubric == Rubric(
        "candour",
        (
            Dimension("openness", "0: hides everything; 10: tells all.", 0, 10, 2.0),
            Dimension("tact", "How kindly?", -1, 1),
        ),
        "Score how openly each participant deals with the others.",
        factor=0.1,
        offset=-0.5,
    )
    assert rubric_by_name("omar") is OMAR


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("low: 0", "lowest: 0", "lowest"),
        ("low: 0", "low: 10", "high must be above low"),
        ("low: 0", "low: -1000", "at most 100"),
        ("low: 0", "low: zero", "int"),
        ("low: 0", "low: 0.5", "int"),
        ("weight: 2", "weight: -2", "weight"),
        ("weight: 2", "weight: .nan", "weight"),
        ("factor: 0.1", "factor: .inf", "factor"),
        ("factor: 0.1", "unit: episodes", "episodes"),
        ("name: openness", "name: Openness!", "Openness!"),
        ("name: openness", "name: tact", "different names"),
        ("name: candour", "name: ''", "''"),
        ("dimensions:", "dimension:", "dimension"),
        ("name: candour", "name: [", ""),
        ("name: candour", "\x00", ""),
    ],
)
def test_a_file_that_is_no_rubric(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = tmp_path / "mine.yaml"
    assert old in FILE
    path.write_text(FILE.replace(old, new, 1))
    with pytest.raises(ConfigError) as raised:
        rubric_from_yaml(path)
    assert "mine.yaml is no rubric" in str(raised.value)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_rubrics_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        rubric_from_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="sotopia, omar or a file"):
        rubric_by_name("sotopa")


TACT = Dimension("tact", "How kindly?", 0, 10)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 3},
        {"description": None},
        {"low": 0.0},
        {"high": 9.5},
        {"high": True},
        {"low": "0"},
        {"weight": "1"},
        {"weight": float("nan")},
    ],
)
def test_a_dimension_in_python_is_checked_as_one_in_a_file(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Dimension(**{"name": "tact", "description": "", "low": 0, "high": 10, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": None},
        {"dimensions": [TACT]},
        {"dimensions": (TACT, "wit")},
        {"dimensions": 3},
        {"instructions": None},
        {"unit": "turn"},
        {"factor": "1"},
        {"offset": float("inf")},
    ],
)
def test_a_rubric_in_python_is_checked_as_one_in_a_file(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Rubric(**{"name": "candour", "dimensions": (TACT,), **wrong})


def test_a_missing_yaml_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(FILE)
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"omar-envs\[judge\]"):
        rubric_from_yaml(tmp_path / "mine.yaml")


def test_a_version_changes_with_any_content() -> None:
    first = SOTOPIA.dimensions[0]
    others = SOTOPIA.dimensions[1:]
    change = msgspec.structs.replace
    variants = [
        SOTOPIA,
        change(SOTOPIA, instructions="Be strict."),
        change(SOTOPIA, factor=2.0),
        change(SOTOPIA, offset=2.0),
        change(SOTOPIA, dimensions=others),
        change(SOTOPIA, dimensions=(*others, first)),
        change(SOTOPIA, dimensions=(change(first, description="?"), *others)),
        change(SOTOPIA, dimensions=(change(first, high=9), *others)),
        change(SOTOPIA, dimensions=(change(first, weight=2.0), *others)),
    ]
    assert len({rubric.version for rubric in variants}) == len(variants)
    assert all(rubric.version.startswith("sotopia@") for rubric in variants)
    assert change(SOTOPIA, factor=1.0).version == SOTOPIA.version


# --- reading an answer ----------------------------------------------------------


@st.composite
def rubrics(draw: st.DrawFn) -> Rubric:
    names = draw(
        st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), min_size=1, unique=True)
    )
    dimensions = []
    for name in names[:4]:
        low = draw(st.integers(-50, 50))
        dimensions.append(Dimension(name, "?", low, low + draw(st.integers(1, 100))))
    return Rubric("drawn", tuple(dimensions))


@st.composite
def sheets(draw: st.DrawFn) -> tuple[Rubric, dict[str, dict[str, Score]]]:
    rubric = draw(rubrics())
    return rubric, {
        key: {
            d.name: Score(
                draw(st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)))),
                draw(st.integers(d.low, d.high)),
            )
            for d in rubric.dimensions
        }
        for key in KEYS
    }


def as_json(sheet: dict[str, dict[str, Score]]) -> dict[str, Any]:
    return {
        key: {name: score._asdict() for name, score in row.items()} for key, row in sheet.items()
    }


@given(sheets(), st.randoms(), st.booleans())
def test_a_sound_answer_reads_as_itself_in_any_order(
    drawn: tuple[Rubric, dict[str, dict[str, Score]]], shuffle: Any, pretty: bool
) -> None:
    rubric, sheet = drawn
    items = list(as_json(sheet).items())
    shuffle.shuffle(items)
    text = json.dumps(dict(items), indent=2 if pretty else None, ensure_ascii=pretty)
    for wrapped in (text, f"\n{text}\n", f"```json\n{text}\n```", f"<think>{{</think> {text}"):
        assert read_answer(wrapped, KEYS, rubric) == sheet


@given(sheets(), st.data())
def test_one_score_out_of_range_spoils_an_answer(
    drawn: tuple[Rubric, dict[str, dict[str, Score]]], data: st.DataObject
) -> None:
    rubric, sheet = drawn
    found = as_json(sheet)
    dimension = data.draw(st.sampled_from(rubric.dimensions))
    key = data.draw(st.sampled_from(KEYS))
    bad = data.draw(
        st.integers(max_value=dimension.low - 1) | st.integers(min_value=dimension.high + 1)
    )
    found[key][dimension.name]["score"] = bad
    with pytest.raises(AnswerError, match=f"{key}.{dimension.name}.score must be from"):
        read_answer(json.dumps(found), KEYS, rubric)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(sheets(), st.data(), json_values)
def test_whatever_stands_in_a_place_it_is_read_exactly_or_refused(
    drawn: tuple[Rubric, dict[str, dict[str, Score]]], data: st.DataObject, value: Any
) -> None:
    """Any part of a sound answer replaced by anything: never another score than stands there."""
    rubric, sheet = drawn
    found = as_json(sheet)
    key = data.draw(st.sampled_from(KEYS))
    dimension = data.draw(st.sampled_from(rubric.dimensions))
    match data.draw(st.integers(0, 3)):
        case 0:
            found[key] = value
        case 1:
            found[key][dimension.name] = value
        case 2:
            found[key][dimension.name]["score"] = value
        case 3:
            found[key][dimension.name]["reasoning"] = value
    try:
        read = read_answer(json.dumps(found), KEYS, rubric)
    except AnswerError:
        return
    for d in rubric.dimensions:
        for name in KEYS:
            assert type(read[name][d.name].score) is int
            assert read[name][d.name].score == found[name][d.name]["score"]
            assert d.low <= read[name][d.name].score <= d.high


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_no_text_but_an_answer_reads_as_one(text: str) -> None:
    with pytest.raises(AnswerError):
        read_answer(text, KEYS, SOTOPIA)


@given(rubrics(), st.integers(1, 8))
def test_the_schema_takes_exactly_what_the_reader_does(rubric: Rubric, seats: int) -> None:
    keys = tuple(f"participant_{n}" for n in range(1, seats + 1))
    schema = answer_schema(keys, rubric)["json_schema"]["schema"]
    forms = schema["$defs"]["scores"]["properties"]
    assert tuple(schema["properties"]) == keys
    for end in (0, -1):
        answer = {
            key: {
                name: {"reasoning": "", "score": form["properties"]["score"]["enum"][end]}
                for name, form in forms.items()
            }
            for key in schema["properties"]
        }
        read_answer(json.dumps(answer), keys, rubric)
