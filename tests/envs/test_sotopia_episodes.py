"""Published conversations as Episodes: acts, rewards, and rows that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.cli import main
from omar_envs.errors import ConfigError, DamagedEpisodeError
from omar_envs.judge.prompt import record
from omar_envs.judge.rubrics import SOTOPIA
from omar_envs.rollout import replay
from omar_envs.sotopia import importer
from omar_envs.sotopia.acts import Act, from_text
from omar_envs.sotopia.published_episodes import load_episodes, read_episode
from omar_envs.sotopia.published_rows import Problem, Row
from omar_envs.transcript import decode, encode, read_episodes
from omar_envs.types import Episode, Message
from tests.envs.published import agent, write_lines

ADA, BEN = "Ada Moss", "Ben Cox"
NAMES = (ADA, BEN)
Fields = dict[str, Any]


def published(**changed: Any) -> Fields:
    row: Fields = {
        "episode_id": "P1",
        "environment_id": "E1",
        "agent_ids": ["A1", "A2"],
        "experiment_tag": "first_run",
        "experiment_model_name_pairs": ["judge-model", "model-a", "model-b"],
        "raw_messages": [
            [
                ["Environment", ADA, "Here you are"],
                ["Environment", BEN, "Here you are"],
                [ADA, "Environment", 'said: "Is the mast sound?"'],
                [BEN, "Environment", "did nothing"],
            ],
            [
                ["Environment", ADA, 'Turn #0: Ada Moss said: "Is the mast sound?"'],
                [ADA, "Environment", "did nothing"],
                [BEN, "Environment", "[non-verbal communication] looks away"],
            ],
            [[ADA, "Environment", "did nothing"], [BEN, "Environment", "did nothing"]],
            [[ADA, "Environment", "did nothing"], [BEN, "Environment", "left the conversation"]],
        ],
        "scenario": "Two friends stand on a quay",
        "codename": "old_boat",
        "agents_background": {
            ADA: "Ada Moss is a boat builder. She sings. Ada's secrets: Cannot swim",
            BEN: "Ben Cox sells fish. Ben's secrets: ",
        },
        "social_goals": {ADA: "Sell the boat", BEN: "Ask about the mast"},
        "social_interactions": "",
        "reasoning": "Both were polite.",
        "rewards": [
            {"believability": 9.0, "goal": 4.0, "overall_score": 6.5},
            {"believability": 8.0, "goal": 1.0, "overall_score": 4.5},
        ],
    }
    return {**row, **changed}


def imported(**changed: Any) -> tuple[Episode, tuple[Problem, ...]]:
    read = read_episode(Row("e.jsonl", "7", published(**changed)), set())
    assert not isinstance(read, Problem), read
    # Whatever was imported can be kept.
    assert decode(encode(read.episode)) == read.episode
    return read


def acts(episode: Episode) -> list[tuple[str, Act]]:
    names = {seat.agent: seat.name for seat in episode.seats}
    return [(names[turn.agent], from_text(turn.text)) for turn in episode.turns]


# --- acts -------------------------------------------------------------------


def test_an_episode_has_its_seats_acts_and_messages() -> None:
    episode, warnings = imported()
    assert warnings == ()
    assert (episode.env, episode.terminated) == ("sotopia_v0", True)
    seats = [(seat.agent, seat.name, seat.policy) for seat in episode.seats]
    assert seats == [("agent_0", ADA, "model-a"), ("agent_1", BEN, "model-b")]
    assert acts(episode) == [
        (ADA, Act("speak", "Is the mast sound?")),
        (BEN, Act("non-verbal communication", "looks away")),
        (ADA, Act("none")),
        (BEN, Act("leave")),
    ]
    assert [turn.reply for turn in episode.turns] == [turn.text for turn in episode.turns]
    assert episode.messages == (
        Message(0, "agent_0", None, "speech", "Is the mast sound?"),
        Message(1, "agent_1", None, "action", "[non-verbal] looks away"),
        Message(3, "agent_1", None, "action", "has left the conversation."),
    )


def test_an_episode_is_not_replayed_as_some_other_game() -> None:
    episode, _ = imported()
    with pytest.raises(ConfigError, match="published"):
        replay(episode)


def test_the_judge_is_told_the_setting() -> None:
    episode, _ = imported()
    assert episode.outcome["reason"] == "imported"
    assert episode.config["published"]["reasons"] == "Both were polite."
    setting = episode.outcome["setting"]
    assert (setting["codename"], setting["relationships"]) == ("old_boat", [])
    assert setting["participants"]["agent_0"] == {
        "name": ADA,
        "background": "Ada Moss is a boat builder. She sings.",
        "goal": "Sell the boat",
        "secret": "Cannot swim",
    }
    assert setting["participants"]["agent_1"]["secret"] == ""
    assert episode.config["published"]["agent_ids"] == ["A1", "A2"]


def test_silence_counts_for_all_where_all_act_at_once() -> None:
    turns = [[[ADA, "Environment", 'said: "Hm."'], [BEN, "Environment", "[action] waits"]]]
    turns.append([[ADA, "Environment", "did nothing"], [BEN, "Environment", "did nothing"]])
    episode, _ = imported(raw_messages=turns)
    assert [act.action_type for _, act in acts(episode)] == ["speak", "action", "none", "none"]


LINES = st.sampled_from(
    [
        "Well, well.",
        'Ben Cox said: "no" and went',
        "Ada Moss left the conversation",
        "Ada Moss: [action] sighs, he told me",
        'He called it "a boat" then?',
        "Turn #3",
        "",
        "[action] said: nothing",
        "Ben",
        "{name} \\ 'x'",
    ]
)
WORDS = st.lists(LINES, min_size=1, max_size=4).map("\n".join).filter(str.strip)
DEED = st.sampled_from(["nods", "puts the rope down: slowly", 'writes "sold" on it'])
ACT = st.one_of(
    st.builds(Act, st.just("speak"), WORDS),
    st.builds(Act, st.sampled_from(["action", "non-verbal communication"]), DEED),
    st.just(Act("none")),
    st.just(Act("leave")),
)


def in_words(act: Act) -> str:
    match act.action_type:
        case "none":
            return "did nothing"
        case "leave":
            return "left the conversation"
        case "speak":
            return f'said: "{act.argument}"'
    return f"[{act.action_type}] {act.argument}"


def on_one_line(made: Sequence[tuple[str, Act]]) -> list[tuple[str, Act]]:
    return [(name, Act(act.action_type, " ".join(act.argument.split()))) for name, act in made]


@given(st.lists(st.tuples(st.sampled_from(NAMES), ACT), min_size=1, max_size=8))
def test_acts_are_read_back_from_text(made: list[tuple[str, Act]]) -> None:
    for head, after, between in (
        ("", "", "\n\n"),
        ("", ":", "\n"),
        ("Turn #4: ", "", "\n"),
        ("Turn #4\n", "", "\n"),
    ):
        text = between.join(f"{head}{name}{after} {in_words(act)}" for name, act in made)
        episode, _ = imported(raw_messages=None, social_interactions=text)
        assert acts(episode) == on_one_line(made)


@given(st.lists(st.tuples(ACT, ACT), min_size=1, max_size=6))
def test_acts_are_read_back_from_messages(made: list[tuple[Act, Act]]) -> None:
    turns = [
        [[name, "Environment", in_words(act)] for name, act in zip(NAMES, turn, strict=True)]
        for turn in made
    ]
    episode, _ = imported(raw_messages=turns, social_interactions="Ada Moss did nothing")
    done = [(name, act) for name, act in acts(episode) if act.action_type != "none"]
    expected = on_one_line(
        [(name, act) for turn in made for name, act in zip(NAMES, turn, strict=True)]
    )
    assert done == [(name, act) for name, act in expected if act.action_type != "none"]


def test_messages_without_an_act_do_not_hide_the_text() -> None:
    text = f'{ADA} said: "Is it sound?"\n\n{BEN} did nothing'
    for raw, warned in (
        ([], 0),
        ([[]], 1),
        ([[["Environment", ADA, "Here you are"]], []], 1),
    ):
        episode, warnings = imported(raw_messages=raw, social_interactions=text)
        assert acts(episode) == [(ADA, Act("speak", "Is it sound?")), (BEN, Act("none"))]
        assert [each.field for each in warnings] == ["raw_messages"] * warned


def test_an_act_told_in_a_quote_is_speech_with_a_warning() -> None:
    text = f'{ADA} said: "You said:\n{BEN} said: "never"\nto me."\n\n{BEN} said: "Did I?"'
    episode, warnings = imported(raw_messages=None, social_interactions=text)
    assert [name for name, _ in acts(episode)] == [ADA, BEN]
    assert "in a quote" in warnings[0].why


def test_a_name_that_begins_with_another_is_told_apart() -> None:
    short, long = "Al", "Al Moss"
    episode, _ = imported(
        raw_messages=None,
        social_interactions='Al Moss said: "I am Al."\nAl said: "No."',
        social_goals={short: "Talk", long: "Talk"},
        agents_background={},
    )
    assert [name for name, _ in acts(episode)] == [long, short]


def test_loose_ends_of_a_text_are_told() -> None:
    text = f'Once upon a time\n\n{ADA} said: "And then'
    episode, warnings = imported(raw_messages=None, social_interactions=text)
    assert acts(episode) == [(ADA, Act("speak", "And then"))]
    assert len(warnings) == 2
    assert {(each.where, each.field) for each in warnings} == {("7", "social_interactions")}


def test_a_judge_is_not_shown_what_an_earlier_one_said() -> None:
    episode, _ = imported(reasoning="CANARY", rewards=[[1.5, {"goal": 7.25}]] * 2)
    assert episode.config["published"]["dimensions"]["agent_0"] == {"goal": 7.25}
    said = record(episode, [seat.agent for seat in episode.seats])
    assert "CANARY" not in json.dumps(said)
    assert "7.25" not in json.dumps(said)


def test_a_message_in_no_published_form_is_kept_as_an_action() -> None:
    turns = [[[ADA, "Environment", "shrugs"]]]
    episode, (warning,) = imported(raw_messages=turns)
    assert acts(episode) == [(ADA, Act("action", "shrugs"))]
    assert warning.field == "raw_messages[0]"


def test_hostile_text_does_not_get_through() -> None:
    turns = [[[ADA, "Environment", 'said: "a\x00b\ud800c\u2028Moderator: x"']]]
    episode, _ = imported(raw_messages=turns)
    (message,) = episode.messages
    assert message.text.isprintable()
    assert message.text.startswith("a\ufffdb\ufffdc ")


# --- rewards ----------------------------------------------------------------


def test_the_overall_score_is_the_reward_of_the_last_act() -> None:
    episode, _ = imported()
    assert episode.rewards == {"agent_0": {"judge": 6.5}, "agent_1": {"judge": 4.5}}
    for each in ("agent_0", "agent_1"):
        paid = [turn.reward_components["judge"] for turn in episode.turns_of(each)]
        assert paid == [0.0] * (len(paid) - 1) + [episode.rewards[each]["judge"]]
    assert episode.config["published"]["dimensions"]["agent_0"] == {
        "believability": 9.0,
        "goal": 4.0,
    }


@pytest.mark.parametrize(
    ("reward", "total", "dimensions", "warned"),
    [
        ({"goal": 4, "secret": -2}, 1.0, {"goal": 4.0, "secret": -2.0}, False),
        ([3.0, {"goal": 4.0, "overall_score": 4.0}], 4.0, {"goal": 4.0}, False),
        ([3.0, {"goal": 4.0, "secret": -2}], 3.0, {"goal": 4.0, "secret": -2.0}, True),
        ([4.0, {"goal": 4.0}], 4.0, {"goal": 4.0}, False),
        ({"goal": 0.0, "overall_score": 0.0}, 0.0, {"goal": 0.0}, False),
        (2.5, 2.5, {}, False),
        (0.0, None, {}, True),
        ([0.0, {}], None, {}, True),
        (None, None, {}, True),
        ("good", None, {}, True),
        ({"goal": "good"}, None, {}, True),
        ({"goal": float("nan")}, None, {}, True),
        ({"goal": True}, None, {}, True),
        ({"goal": 10**400}, None, {}, True),
        ({}, None, {}, True),
    ],
)
def test_a_failed_judgement_is_not_a_zero(
    reward: object, total: float | None, dimensions: dict[str, float], warned: bool
) -> None:
    episode, warnings = imported(rewards=[{"goal": 7.0}, reward])
    assert episode.rewards["agent_0"] == {"judge": 7.0}
    assert episode.rewards["agent_1"] == {"judge": total}
    assert episode.config["published"]["dimensions"]["agent_1"] == dimensions
    assert [each.field for each in warnings] == ["rewards[1]"] * warned


def test_the_ranges_are_those_of_the_rubric() -> None:
    for dimension in SOTOPIA.dimensions:
        ends = [float(dimension.low), float(dimension.high)]
        for score in [*ends, ends[0] - 0.5, ends[1] + 0.5]:
            scores = {dimension.name: score}
            episode, warnings = imported(rewards=[scores, [4.0, {"goal": 4.0}]])
            assert episode.config["published"]["dimensions"]["agent_0"] == scores
            assert episode.rewards["agent_0"] == {"judge": score}
            told = [(each.where, each.field) for each in warnings]
            assert told == [("7", "rewards[0]")] * (score not in ends)
            assert all(dimension.name in each.why for each in warnings)


@pytest.mark.parametrize(("overall", "warned"), [(1.67, 0), (1.66, 0), (1.65, 1), (1.7, 1)])
def test_an_overall_score_that_is_not_the_mean_is_kept(overall: float, warned: int) -> None:
    scores = {"goal": 7.0, "secret": -2.0, "relationship": 0.0, "overall_score": overall}
    episode, warnings = imported(rewards=[scores, None])
    assert episode.rewards["agent_0"] == {"judge": overall}
    of_first = [each for each in warnings if each.field == "rewards[0]"]
    assert len(of_first) == warned
    assert all("mean" in each.why for each in of_first)


def test_raw_rewards_serve_where_there_are_no_others() -> None:
    episode, _ = imported(rewards=None, raw_rewards=[[2.0, {"goal": 2.0}], 0.0])
    assert episode.rewards == {"agent_0": {"judge": 2.0}, "agent_1": {"judge": None}}
    episode, warnings = imported(rewards=None)
    assert episode.rewards["agent_0"] == {"judge": None}
    assert warnings == ()
    episode, (warning,) = imported(rewards=[{"goal": 7.0}])
    assert episode.rewards["agent_0"] == {"judge": None}
    assert warning.field == "rewards"


# --- rows that cannot be read -----------------------------------------------

DAMAGES: list[tuple[Fields, str]] = [
    ({"social_goals": None, "agents_background": None}, "social_goals"),
    ({"social_goals": {ADA: "Sell"}}, "social_goals"),
    ({"social_goals": {ADA: "Sell", BEN: 5}}, "social_goals"),
    ({"social_goals": ["Sell", "Buy"]}, "social_goals"),
    ({"agents_background": {ADA: "A", "Cy": "C"}}, "agents_background"),
    ({"agent_ids": ["A1"]}, "agent_ids"),
    ({"episode_id": None}, "episode_id"),
    ({"raw_messages": "none of it", "social_interactions": ""}, "raw_messages"),
    ({"raw_messages": [5]}, "raw_messages[0]"),
    ({"raw_messages": [[], [[ADA, "said"]]]}, "raw_messages[1]"),
    ({"raw_messages": [[["Cy", "Environment", "did nothing"]]]}, "raw_messages[0]"),
    ({"raw_messages": None}, "social_interactions"),
    ({"raw_messages": []}, "social_interactions"),
    ({"raw_messages": [[["Environment", ADA, "Here you are"]]]}, "social_interactions"),
    ({"raw_messages": [], "social_interactions": "They talk."}, "social_interactions"),
    ({"episode_id": "P1"}, "episode_id"),
    ({"raw_messages": None, "social_interactions": "They talk."}, "social_interactions"),
    ({"scenario": ["x"]}, "scenario"),
]


@pytest.mark.parametrize(("damage", "field"), DAMAGES)
def test_a_damaged_row_is_named_and_alone(tmp_path: Path, damage: Fields, field: str) -> None:
    path = tmp_path / "sotopia_episodes_v1.jsonl"
    damaged = published(**{"episode_id": "P2", **damage})
    write_lines(path, [published(), damaged, published(episode_id="P3")])
    read = importer.load(tmp_path)
    (problem,) = read.refused
    assert (problem.file, problem.where, problem.field) == (path.name, "2", field)
    ids = [episode.config["published"]["episode_id"] for episode in read.episodes]
    assert ids == ["P1", "P3"]
    episodes = load_episodes(path)
    next(episodes)
    with pytest.raises(DamagedEpisodeError, match=rf"{path.name}:2 "):
        next(episodes)


def test_an_id_is_taken_across_files(tmp_path: Path) -> None:
    write_lines(tmp_path / "a_episodes.jsonl", [published(episode_id=5)])
    write_lines(tmp_path / "b_episodes.jsonl", [published(scenario=["x"]), published()])
    write_lines(tmp_path / "c_episodes.jsonl", [published(), published(episode_id="5")])
    read = importer.load(tmp_path)
    ids = [episode.config["published"]["episode_id"] for episode in read.episodes]
    assert ids == ["5", "P1"]
    assert [(each.file[0], each.where, each.field) for each in read.refused] == [
        ("b", "1", "scenario"),
        ("c", "1", "episode_id"),
        ("c", "2", "episode_id"),
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(published())), JSON)
def test_whatever_a_field_holds_the_row_is_read_or_refused(field: str, value: object) -> None:
    row = json.loads(json.dumps(published(**{field: value})))
    read = read_episode(Row("e.jsonl", "1", row), set())
    if not isinstance(read, Problem):
        assert decode(encode(read.episode)) == read.episode


# --- the command ------------------------------------------------------------


def test_the_command_keeps_episodes_beside_profiles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_lines(
        tmp_path / "sotopia_episodes_v1.jsonl",
        [published(), published(episode_id="P2", rewards=[0.0, 0.0])],
    )
    write_lines(tmp_path / "agent_profiles.jsonl", [agent("A1")])
    out = tmp_path / "kept.episodes"
    assert main(["sotopia", "import", str(tmp_path), "--episodes", str(out)]) == 0
    text = capsys.readouterr().out
    assert "failed judgement" in text
    assert read_episodes(out) == list(load_episodes(tmp_path / "sotopia_episodes_v1.jsonl"))
    assert main(["replay", str(out), "-o", str(tmp_path / "page.html")]) == 0
