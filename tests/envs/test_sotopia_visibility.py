"""Marks in scenarios and goals, and what is known of a character: what is unclear is hidden."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.sotopia.library import library
from omar_envs.sotopia.profiles import AgentProfile, RelationshipType
from omar_envs.sotopia.visibility import (
    ENVIRONMENT,
    described,
    described_to_itself,
    full_text,
    visible_text,
)

ONE, TWO = "agent_0", "agent_1"
ALL = (ONE, TWO, ENVIRONMENT)

MARKED = {
    # text: who reads "hidden" in it
    '<p viewer="agent_0">hidden</p>': (ONE, ENVIRONMENT),
    "<p viewer='agent_0'>hidden</p>": (ONE, ENVIRONMENT),
    "<p viewer=agent_0>hidden</p>": (ONE, ENVIRONMENT),
    "<P\n  Viewer = 'agent_0' >hidden</P >": (ONE, ENVIRONMENT),
    "< p viewer='agent_0'>hidden< / p>": (ONE, ENVIRONMENT),
    '<p viewer=" agent_0 ">hidden</p>': (ONE, ENVIRONMENT),
    '<p viewer="agent_0, agent_1">hidden</p>': ALL,
    '<p viewer="agent_0 agent_1">hidden</p>': ALL,
    '<p class="a>b" viewer="agent_0">hidden</p>': (ONE, ENVIRONMENT),
    '<p viewer="agent_0" note="a<b">hidden</p>': (ONE, ENVIRONMENT),
    "<p viewer=agent_0/>hidden</p>": (ONE, ENVIRONMENT),
    '<p/viewer="agent_0">hidden</p>': (ONE, ENVIRONMENT),
    '<p viewer="agent_0">hidden': (ONE, ENVIRONMENT),
    '<p viewer="all">hidden</p>': ALL,
    "<p>hidden</p>": ALL,
    '<p viewer="environment">hidden</p>': (ENVIRONMENT,),
    '<p viewer="environment">hidden': (ENVIRONMENT,),
    '<p viewer="ENVIRONMENT">hidden</p>': (ENVIRONMENT,),
    '<p viewer="agent_9">hidden</p>': (ENVIRONMENT,),
    '<p viewer="agent_00">hidden</p>': (ENVIRONMENT,),
    '<p viewer="">hidden</p>': (ENVIRONMENT,),
    "<p viewer=>hidden</p>": (ENVIRONMENT,),
    "<p viewer>hidden</p>": (ENVIRONMENT,),
    '<p data-viewer="all">hidden</p>': (ENVIRONMENT,),
    '<p viewer="agent_0>hidden</p>': (ENVIRONMENT,),
    "<p viewer='agent_0\">hidden</p>": (ENVIRONMENT,),
    "<p viewer=“agent_0”>hidden</p>": (ENVIRONMENT,),
    '<p viewers="agent_0">hidden</p>': (ENVIRONMENT,),
    '<p veiwer="agent_0">hidden</p>': (ENVIRONMENT,),
    '<p viewer="all" viewer="environment">hidden</p>': (ENVIRONMENT,),
    '<p data-viewer="all" viewer="environment">hidden</p>': (ENVIRONMENT,),
    '<p viewer="agent_0">a <p viewer="environment">hidden</p></p>': (ENVIRONMENT,),
    '<p viewer="environment">a <p viewer="all">hidden</p></p>': (ENVIRONMENT,),
    '<p viewer="environment">a <p viewer="all">b</p> hidden</p>': (ENVIRONMENT,),
    '<p viewer="environment">a</p> hidden': ALL,
    '<p viewer="agent_0">a <p viewer="agent_1">b</p> hidden</p>': (ONE, ENVIRONMENT),
    '<p viewer="agent_0">a <p viewer="agent_1">b</p> c</p> hidden': ALL,
    '<p viewer="agent_0">a <p viewer="agent_1">b</p> hidden': (ONE, ENVIRONMENT),
    '<p viewer="agent_1"><extra_info viewer="agent_0">b</p> hidden': (ONE, ENVIRONMENT),
    "</p> hidden": ALL,
    "a <pre>hidden</pre>": ALL,
}


@pytest.mark.parametrize("text", MARKED)
def test_marks_are_for_their_viewers(text: str) -> None:
    for viewer in (ONE, TWO, ENVIRONMENT):
        shown = visible_text(f"Before. {text}", viewer)
        assert ("hidden" in shown) == (viewer in MARKED[text]), viewer
        assert shown.startswith("Before.")
        assert "viewer" not in shown
        assert "agent_" not in shown
    assert "hidden" in full_text(text)


def test_a_mark_without_its_bracket_takes_what_may_be_in_it_along() -> None:
    for text in ('a <p viewer="environment" hidden', 'a <p viewer="environment" hidden</p> hidden'):
        for viewer in (ONE, TWO):
            assert visible_text(text, viewer).split() == ["a", *["hidden"] * ("</p>" in text)]


@pytest.mark.parametrize("tag", ["extra_info", "strategy_hint", "clarification_hint"])
@pytest.mark.parametrize(
    "form",
    [
        "<{0}>hidden</{0}>",
        "<{1}>hidden</{1}>",
        "< {0} >hidden</ {0} >",
        "<{0}>hidden",
        "<{0}\n>hidden",
    ],
)
def test_hints_are_their_owners(tag: str, form: str) -> None:
    goal = "Win. " + form.format(tag, tag.upper())
    assert visible_text(goal, ONE, ONE) == "Win. hidden"
    assert visible_text(goal, ENVIRONMENT, ONE) == "Win. hidden"
    assert visible_text(goal, TWO, ONE) == "Win."
    assert visible_text(f'<{tag} viewer="agent_1">hidden</{tag}>', ONE, ONE) == ""
    assert visible_text(f'<{tag} viewer="agent_1">hidden</{tag}>', TWO, ONE) == "hidden"
    assert visible_text(f"<{tag} viewer=>hidden</{tag}>", ONE, ONE) == ""


@pytest.mark.parametrize(
    "text",
    [
        *("x < y", "I <3 you & me", "<b>bold</b>", "{goal} %s {0}", "&amp; ]]> &lt;p&gt;"),
        *("x < p and q > y", "is x < p ?", "<pizza>", "<p", "<extra_information>"),
        *("  two  spaces , a comma\n\n( )  ", "<extra_info", "<", ">", "<>"),
    ],
)
def test_all_else_is_text(text: str) -> None:
    for viewer in (ONE, ENVIRONMENT):
        assert visible_text(text, viewer) == text
    assert full_text(text) == text.strip()


pieces = st.lists(
    st.sampled_from(
        [
            *('<p viewer="agent_0">', '<p viewer="agent_1">', '<p viewer="environment">', "</p>"),
            *("<p>", "<extra_info>", "</extra_info>", "<strategy_hint>", "</strategy_hint>"),
            *("one", "two", "three ", " < ", "\n"),
        ]
    ),
    max_size=14,
)


def reference(parts: list[str], viewer: str, owner: str) -> list[str]:
    """The words that a viewer reads, by a slower way: with marks in pairs from the end."""
    readers = {
        '<p viewer="agent_0">': {ONE},
        '<p viewer="agent_1">': {TWO},
        '<p viewer="environment">': set(),
        "<p>": {ONE, TWO},
        "<extra_info>": {owner},
        "<strategy_hint>": {owner},
    }
    words = []
    for i, part in enumerate(parts):
        if part in readers or part.startswith("</") or not part.strip(" <\n"):
            continue
        seen = viewer
        for j in range(i):
            if parts[j] in readers and viewer not in readers[parts[j]]:
                # Is it closed before the word?
                name = parts[j].strip("<>").split()[0]
                depth = 1
                for other in parts[j + 1 : i]:
                    depth += other.startswith(f"<{name}")
                    depth -= other == f"</{name}>"
                    if not depth:
                        break
                if depth:
                    seen = ""
        if seen:
            words.append(part.strip())
    return words


@given(pieces)
def test_nested_marks_by_another_way(parts: list[str]) -> None:
    for viewer in (ONE, TWO):
        shown = visible_text(" ".join(parts), viewer, ONE)
        assert [w for w in shown.split() if w != "<"] == reference(parts, viewer, ONE)


@given(st.text(alphabet="<>/p \"'=viewragnt_01x", max_size=40))
def test_nobody_reads_what_does_not_stand_there(text: str) -> None:
    everything = full_text(text)
    for viewer in (ONE, TWO):
        letters = iter(everything)
        shown = visible_text(text, viewer, ONE)
        assert all(letter in letters for letter in shown if letter != " ")


# --- characters -----------------------------------------------------------------

FULL = AgentProfile(
    pk="pk-word",
    first_name="Ana",
    last_name="Sol",
    age=47,
    occupation="job-word",
    gender="gender-word",
    gender_pronoun="pronoun-word",
    public_info="public-word",
    big_five="five-word",
    moral_values=("moral-word",),
    schwartz_personal_values=("values-word",),
    personality_and_values="personality-word",
    decision_making_style="style-word",
    secret="secret-word",
    mbti="mbti-word",
    model_id="model-word",
    tag="tag-word",
)
ACQUAINTED = {"47", "job-word", "gender-word", "pronoun-word", "public-word"}
BEFRIENDED = ACQUAINTED | {"personality-word"}
ITS_OWN = BEFRIENDED | {"five-word", "moral-word", "values-word", "style-word", "secret-word"}
WORDS = ITS_OWN | {"mbti-word", "model-word", "tag-word", "pk-word"}


@pytest.mark.parametrize(
    ("relationship", "known"),
    [
        (RelationshipType.stranger, set()),
        (RelationshipType.know_by_name, set()),
        (RelationshipType.acquaintance, ACQUAINTED),
        (RelationshipType.friend, BEFRIENDED),
        (RelationshipType.romantic, BEFRIENDED),
        (RelationshipType.family, BEFRIENDED),
    ],
)
def test_what_is_known_of_others(relationship: RelationshipType, known: set[str]) -> None:
    text = described(FULL, relationship)
    assert {word for word in WORDS if word in text} == known
    assert (text == "") == (not known)


def test_everybody_knows_itself() -> None:
    text = described_to_itself(FULL)
    assert {word for word in WORDS if word in text} == ITS_OWN


def test_a_character_of_whom_nothing_is_said() -> None:
    blank = AgentProfile(pk="x", first_name="Ana")
    assert described_to_itself(blank) == ""
    assert {described(blank, relationship) for relationship in RelationshipType} == {""}


def test_marks_of_shipped_texts_are_all_read() -> None:
    for profile in library().environments.values():
        for text in (profile.scenario, *profile.agent_goals):
            for viewer in (*(f"agent_{seat}" for seat in range(8)), ENVIRONMENT):
                for owner in (None, "agent_0"):
                    shown = visible_text(text, viewer, owner)
                    assert "<" not in shown
                    assert "viewer" not in shown
