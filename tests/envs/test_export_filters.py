"""What a filter keeps, and that nothing is left out without being counted."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from omar_envs import RandomPolicy, ScriptedPolicy, rollout, sotopia_v0, werewolf_v0
from omar_envs.errors import ConfigError
from omar_envs.export import Filters, Splits, export, parse_seeds
from omar_envs.judge.saved import JudgedEpisode, JudgedWriter
from omar_envs.sotopia.bots import NegotiatorPolicy
from omar_envs.transcript import encode
from omar_envs.types import Episode, JudgeResult
from tests.envs.export_games import hostile, lines, play_and_look, with_rewards

Row = dict[str, Any]


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    """Won, lost and drawn games, by two policies, with invalid acts and failed judgements."""

    def small() -> Any:
        return werewolf_v0.raw_env(num_players=5, max_days=1, elimination_discount=0.5)

    found = rollout.run(small, ScriptedPolicy(seed=1), 12, 0)
    found += rollout.run(small, RandomPolicy(seed=1), 12, 0)
    found += rollout.run(sotopia_v0.raw_env, NegotiatorPolicy(seed=1), 4, 0)
    env = small()
    found += [play_and_look(env, seed, hostile(seed, env)).episode for seed in range(4)]
    agent = found[0].seats[0].agent
    return [with_rewards(found[0], {agent: {"outcome": 1.0, "judge": None}}), *found[1:]]


def rows(episodes: list[Episode], path: Path, format: Any = "chat", **asked: Any) -> list[Row]:
    done = export(episodes, path, format, filters=Filters(**asked))
    found = lines(path)
    assert sum(done.rows.values()) == len(found)
    return found


@pytest.mark.parametrize(
    ("asked", "keeps"),
    [
        ({"envs": ("sotopia",)}, lambda row: row["env"] == "sotopia_v0"),
        ({"envs": ("werewolf_v0",)}, lambda row: row["env"] == "werewolf_v0"),
        ({"roles": ("seer", "werewolf")}, lambda row: row["role"] in ("seer", "werewolf")),
        ({"teams": ("village",)}, lambda row: row["team"] == "village"),
        ({"seats": (0, 4)}, lambda row: row["agent"][-1] in "04"),
        ({"policies": ("random",)}, lambda row: row["policy"] == "random"),
        ({"results": ("won",)}, lambda row: row["result"] == "won"),
        ({"results": ("lost", "drawn")}, lambda row: row["result"] in ("lost", "drawn")),
        ({"min_reward": 0.5}, lambda row: row["reward"] is not None and row["reward"] >= 0.5),
        ({"max_reward": -1}, lambda row: row["reward"] is not None and row["reward"] <= -1),
        ({"judged": True}, lambda row: row["reward"] is not None),
        ({"complete": True}, lambda row: not row["truncated"]),
        ({"valid": True}, lambda row: not row["invalid_acts"]),
        ({"min_acts": 3}, lambda row: row["acts"] >= 3),
        ({"seeds": ((0, 2), (10**6, 2**32))}, lambda row: not 2 < row["seed"] < 10**6),
        (
            {"roles": ("seer",), "results": ("won",), "valid": True},
            lambda row: (row["role"], row["result"], row["invalid_acts"]) == ("seer", "won", 0),
        ),
    ],
)
def test_a_filter_keeps_just_what_it_says(
    asked: dict[str, Any], keeps: Any, episodes: list[Episode], tmp_path: Path
) -> None:
    everything = rows(episodes, tmp_path / "all.jsonl")
    done = export(episodes, tmp_path / "some.jsonl", filters=Filters(**asked))
    kept = [row for row in everything if keeps(row)]
    assert lines(tmp_path / "some.jsonl") == kept
    assert 0 < len(kept) < len(everything)
    seats = {number: len(episode.seats) for number, episode in enumerate(episodes)}
    games = sum(done.dropped.get("games", {}).values())
    lost = sum(done.dropped.get("seats", {}).values())
    if asked.keys() & {"envs", "seeds", "complete"}:
        assert (games, lost) == (len(seats) - len({row["episode"] for row in kept}), 0)
    else:
        assert (games, lost) == (0, sum(seats.values()) - len(kept))


def test_in_rows_of_single_acts_only_the_bad_acts_go(
    episodes: list[Episode], tmp_path: Path
) -> None:
    everything = rows(episodes, tmp_path / "all.jsonl", "sft")
    done = export(episodes, tmp_path / "some.jsonl", "sft", filters=Filters(valid=True))
    assert lines(tmp_path / "some.jsonl") == [row for row in everything if row["valid"]]
    invalid = sum(not turn.valid for episode in episodes for turn in episode.turns)
    assert done.dropped["acts"]["invalid"] == invalid > 0


def test_a_turn_rule_names_the_acts_to_leave_out(episodes: list[Episode], tmp_path: Path) -> None:
    def no_votes(episode: Episode) -> dict[str, list[str]]:
        return {
            seat.agent: [
                "a_choice" if turn.request.choices else "" for turn in episode.turns_of(seat.agent)
            ]
            for seat in episode.seats
        }

    found = rows(episodes, tmp_path / "acts.jsonl", "sft", turn_rule=no_votes)
    assert {row["request"] for row in found} == {"SPEAK"}
    seats = rows(episodes, tmp_path / "seats.jsonl", turn_rule=no_votes)
    speakers = {
        (number, seat.agent)
        for number, episode in enumerate(episodes)
        for seat in episode.seats
        if not any(turn.request.choices for turn in episode.turns_of(seat.agent))
    }
    assert {(row["episode"], row["agent"]) for row in seats} == speakers


def test_the_trainers_rules_fit(episodes: list[Episode], tmp_path: Path) -> None:
    filters = pytest.importorskip("omar_trainers.filters")
    rules = filters.TurnRules()
    done = export(
        episodes,
        tmp_path / "rows.jsonl",
        "sft",
        filters=Filters(turn_rule=lambda episode: filters.dropped_by_rules(episode, rules)),
    )
    counts: Counter[str] = Counter()
    for episode in episodes:
        for acts in filters.dropped_by_rules(episode, rules).values():
            counts.update(reason for reason in acts if reason)
    assert counts["copying"] > 0
    assert all(done.dropped["acts"][reason] >= count for reason, count in counts.items())


def test_rows_of_whole_games_go_by_all_seats(episodes: list[Episode], tmp_path: Path) -> None:
    found = rows(episodes, tmp_path / "a.jsonl", "textarena", valid=True, judged=True)
    assert {row["episode"] for row in found} == {
        number
        for number, episode in enumerate(episodes)
        if all(turn.valid for turn in episode.turns)
        and all(None not in parts.values() for parts in episode.rewards.values())
    }


def test_nothing_left_says_where_it_went(episodes: list[Episode], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no row is left of 32 games .*reward.*loosen"):
        export(episodes, tmp_path / "out", filters=Filters(min_reward=99))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"envs": ("werewulf",)}, "Did you mean werewolf"),
        ({"roles": ("seeer",)}, "Did you mean seer"),
        ({"teams": ("wolves",)}, "no team 'wolves'"),
        ({"results": ("wn",)}, "Did you mean won"),
        ({"seeds": ((9, 3),)}, "no seed"),
        ({"seats": (-1,)}, "from 0"),
        ({"min_reward": float("inf")}, "finite"),
        ({"min_reward": 1, "max_reward": 0}, "above"),
        ({"min_acts": -1}, "min_acts"),
    ],
)
def test_impossible_filters(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Filters(**asked)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"roles": ("jester",)}, "no role in these games 'jester'"),
        ({"policies": ("scriptd",)}, "Did you mean scripted"),
        ({"seats": (7,)}, "seats 0 to 4"),
    ],
)
def test_names_that_no_game_has(
    asked: dict[str, Any], message: str, episodes: list[Episode], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        export(episodes, tmp_path / "out", filters=Filters(**asked))
    assert not list(tmp_path.iterdir())


def test_seed_ranges() -> None:
    assert parse_seeds("0-99, 200") == ((0, 99), (200, 200))
    for text in ("", "a", "1-", "-1", "1--2", "1-2-3", "٣", "1,,2"):
        with pytest.raises(ConfigError, match="seeds are"):
            parse_seeds(text)


# --- judgements made afterwards ---------------------------------------------


def judged(episodes: list[Episode], path: Path, setup: str = "one") -> Path:
    """A file of judgements: the first is missing, the second failed, others pay by seat."""
    with JudgedWriter(path) as writer:
        for index, episode in enumerate(episodes[1:], start=1):
            scores = {seat.agent: {"goal": float(i)} for i, seat in enumerate(episode.seats)}
            result = JudgeResult("failed") if index == 1 else JudgeResult("ok", scores=scores)
            name = hashlib.sha256(encode(episode)).hexdigest()
            writer.write(JudgedEpisode(index, name, setup, result))
    return path


def test_judgements_made_afterwards_are_part_of_the_reward(
    episodes: list[Episode], tmp_path: Path
) -> None:
    talks = rollout.run(
        lambda: sotopia_v0.raw_env(judge_weight=0.5), NegotiatorPolicy(seed=1), 4, 0
    )
    verdicts = judged(talks, tmp_path / "talks.judged.jsonl")
    export(talks, tmp_path / "rows.jsonl", judgements=[verdicts])
    for row in lines(tmp_path / "rows.jsonl"):
        parts = {each["component"]: each["amount"] for each in row["rewards"]}
        if row["episode"] < 2:
            assert parts["judge"] is None
            assert row["reward"] is None
        else:
            assert parts["judge"] == 0.5 * int(row["agent"][-1])
            assert row["reward"] == sum(parts.values())
    done = export(
        talks,
        tmp_path / "some.jsonl",
        judgements=[verdicts],
        filters=Filters(judged=True, min_reward=parts["outcome"] + 0.5),
    )
    assert {row["agent"] for row in lines(tmp_path / "some.jsonl")} == {"agent_1"}
    assert done.dropped["seats"]["unjudged"] == 4


def test_judgements_that_do_not_fit(episodes: list[Episode], tmp_path: Path) -> None:
    one = judged(episodes, tmp_path / "one.jsonl")
    two = judged(episodes, tmp_path / "two.jsonl", "another")
    for options, message in (
        ({"judgements": [one, two]}, "two set-ups"),
        ({"judgements": [tmp_path / "none.jsonl"]}, "omar-envs judge"),
        ({"judgements": [one], "format": "datasets", "rows": "episodes"}, "leave out"),
    ):
        with pytest.raises(ConfigError, match=message):
            export(episodes, tmp_path / "out", **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="none of the judgements"):
        export(episodes[:1], tmp_path / "out", judgements=[one])
    assert {path.name for path in tmp_path.iterdir()} == {"one.jsonl", "two.jsonl"}


# --- splits -----------------------------------------------------------------


@given(st.integers(0, 2**63), st.floats(0, 0.49), st.floats(0, 0.49))
def test_a_seed_is_in_one_split_which_grows_with_its_share(
    seed: int, validation: float, test: float
) -> None:
    splits = Splits(validation, test)
    assert splits.of(seed) == splits.of(seed) in splits.names
    if splits.of(seed) == "test":
        assert Splits(0, min(0.99, test * 1.5)).of(seed) == "test"
    assert Splits().of(seed) == "train"


def test_shares_hold_on_average() -> None:
    counts = Counter(Splits(0.1, 0.2).of(seed) for seed in range(20_000))
    assert counts["test"] / 20_000 == pytest.approx(0.2, abs=0.012)
    assert counts["validation"] / 20_000 == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0), (0, 1), (0.5, 0.5), (float("nan"), 0)])
def test_impossible_shares(validation: float, test: float) -> None:
    with pytest.raises(ConfigError):
        Splits(validation, test)


@pytest.mark.parametrize("format", ["chat", "sft", "preference", "textarena"])
def test_games_of_equal_seeds_stay_together(format: Any, tmp_path: Path) -> None:
    episodes = [
        episode
        for policy in (ScriptedPolicy(seed=1), RandomPolicy(seed=1))
        for episode in rollout.run(lambda: werewolf_v0.raw_env(num_players=5), policy, 12, 0)
    ]
    done = export(episodes, tmp_path / "out", format, splits=Splits(0.2, 0.3))
    seeds = {
        split: {row["seed"] for row in lines(tmp_path / "out" / f"{split}.jsonl")}
        for split in done.rows
    }
    assert len(seeds) > 1
    assert sum(map(len, seeds.values())) == len(set().union(*seeds.values()))
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"README.md", *(f"{split}.jsonl" for split in done.rows)}


# --- the card ---------------------------------------------------------------


def front_matter(path: Path) -> dict[str, Any]:
    _, matter, text = path.read_text("utf-8").split("---\n", 2)
    assert text.strip()
    found: dict[str, Any] = yaml.safe_load(matter)
    return found


def table(card: str, heading: str) -> dict[str, list[float]]:
    """The table whose first line begins with the heading: numbers by the first cell."""
    lines = card.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading}|"))
    found = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        found[name.replace("\\", "")] = [float(cell.replace(",", "")) for cell in cells]
    return found


def test_the_cards_counts_are_right(episodes: list[Episode], tmp_path: Path) -> None:
    done = export(episodes, tmp_path / "out", filters=Filters(min_acts=2), splits=Splits(test=0.3))
    found = [row for split in done.rows for row in lines(tmp_path / "out" / f"{split}.jsonl")]
    card = done.card.read_text("utf-8")
    holds = {name: value for name, (value,) in table(card, "").items()}
    kept = {(row["episode"], row["agent"]) for row in found}
    assert holds["rows"] == len(found) == done.seats == len(kept)
    assert holds["games"] == len({row["episode"] for row in found}) == done.games
    assert holds["acts of these seats"] == sum(row["acts"] for row in found)
    assert holds["of which could not be read"] == sum(row["invalid_acts"] for row in found)
    texts = [(m["role"], len(m["content"])) for row in found for m in row["messages"]]
    assert holds["characters in all rows"] == sum(length for _, length in texts)
    assert holds["of which the seats wrote"] == sum(
        length for role, length in texts if role == "assistant"
    )
    rewards = [row["reward"] for row in found if row["reward"] is not None]
    assert holds["seats with an unknown reward"] == len(found) - len(rewards)
    mean = sum(rewards) / len(rewards)
    assert holds["mean reward of the others"] == pytest.approx(mean, abs=5e-4)
    for column in ("role", "team", "result", "policy"):
        counts = Counter(row[column] or "(none)" for row in found)
        assert table(card, f"{column} ") == {name: [count] for name, count in counts.items()}
    truncated = {row["episode"] for row in found if row["truncated"]}
    assert holds["games that a limit ended"] == len(truncated)
    splits = table(card, "split ")
    for split, rows_there in done.rows.items():
        there = lines(tmp_path / "out" / f"{split}.jsonl")
        games = {row["episode"] for row in there}
        seeds = {row["seed"] for row in there}
        assert splits[split] == [rows_there, len(games), len(seeds)]
    lost = done.dropped["seats"]["few_acts"]
    assert f"seats left out: {lost:,} few_acts" in card
    assert "min_acts 2" in card


def test_the_front_matter_is_yaml_that_names_files_and_types(
    episodes: list[Episode], tmp_path: Path
) -> None:
    done = export(episodes, tmp_path / "out", "sft", splits=Splits(test=0.3))
    matter = front_matter(done.card)
    assert matter["license"] == ["apache-2.0", "cc-by-4.0"]
    assert {"werewolf", "sotopia"} <= set(matter["tags"])
    (config,) = matter["configs"]
    assert {each["split"]: each["path"] for each in config["data_files"]} == {
        split: f"{split}.jsonl" for split in done.rows
    }
    types = {each["name"]: each.get("dtype") for each in matter["dataset_info"]["features"]}
    assert types["seed"] == "int64"
    assert types["reward"] == "float64"
    assert matter["size_categories"] in (["n<1K"], ["1K<n<10K"])


def test_the_licence_follows_the_scenarios(episodes: list[Episode], tmp_path: Path) -> None:
    werewolf = [episode for episode in episodes if episode.env == "werewolf_v0"]
    talks = [episode for episode in episodes if episode.env == "sotopia_v0"]
    assert front_matter(export(werewolf, tmp_path / "a").card)["license"] == "apache-2.0"
    card = export(talks, tmp_path / "b").card
    assert front_matter(card)["license"] == "cc-by-4.0"
    assert "CC-BY-4.0" in card.read_text("utf-8")
    given = export(werewolf, tmp_path / "c", license="cc0-1.0").card
    assert front_matter(given)["license"] == "cc0-1.0"


def test_imported_scenarios_are_not_given_a_licence(tmp_path: Path) -> None:
    from omar_envs.sotopia import library

    mine = msgspec.structs.replace(
        library.scenario("moving_out_of_the_flat"), pk="elsewhere", source="some | book"
    )
    talk = rollout.play(sotopia_v0.raw_env(scenario=mine), NegotiatorPolicy(seed=1), 0)
    card = export([talk], tmp_path / "a").card
    assert front_matter(card)["license"] == "other"
    assert "some \\| book (1 games)" in card.read_text("utf-8")


def test_names_of_players_policies_cannot_break_the_card(
    episodes: list[Episode], tmp_path: Path
) -> None:
    evil = "x |\n---\nlicense: mit\n<script>alert(1)</script> [a](javascript:b)"
    seats = tuple(msgspec.structs.replace(seat, policy=evil) for seat in episodes[0].seats)
    card = export([msgspec.structs.replace(episodes[0], seats=seats)], tmp_path / "a").card
    text = card.read_text("utf-8")
    assert front_matter(card)["license"] == "apache-2.0"
    assert "<script>" not in text
    assert "[a](" not in text
