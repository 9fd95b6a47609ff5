"""Reading and writing episodes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.errors import DamagedEpisodeError, EpisodeError, SchemaVersionError
from omar_envs.transcript import (
    EpisodeWriter,
    decode,
    encode,
    iter_episodes,
    read_episodes,
    write_episodes,
)
from omar_envs.types import SCHEMA_VERSION, Episode, Message, Seat, Turn
from tests.envs.episode_samples import ANA, changed, negotiation, speech, werewolf_game

GAMES = [werewolf_game(), negotiation()]
HOSTILE = [
    '</script>"\\\n',
    "\x00\x1f\x7f",
    "\u2028\u2029\u202e\u2066",
    "\ufeff\U0001f43a",
    "é" * 9,
]

plain_text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | plain_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_text, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def raw(**changes: Any) -> bytes:
    """A line of the first game with other top-level values, whatever they are."""
    document = msgspec.json.decode(encode(GAMES[0]))
    return msgspec.json.encode({**document, **changes})


# --- there and back -------------------------------------------------------


def test_file_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    write_episodes(path, iter(GAMES))
    assert read_episodes(path) == GAMES
    assert list(iter_episodes(str(path))) == GAMES
    assert path.read_bytes().count(b"\n") == len(GAMES)


@given(text=plain_text, outcome=st.dictionaries(plain_text, json_values), seed=st.integers())
def test_any_content_round_trips(text: str, outcome: dict[str, Any], seed: int) -> None:
    episode = changed(speech(text), outcome=outcome, seed=seed)
    line = encode(episode)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode(line) == episode


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_on_its_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    write_episodes(path, [speech(text), GAMES[1]])
    assert read_episodes(path) == [speech(text), GAMES[1]]


def test_equal_episodes_give_equal_bytes() -> None:
    backwards = {
        agent: dict(reversed(parts.items())) for agent, parts in reversed(GAMES[0].rewards.items())
    }
    assert encode(changed(GAMES[0], rewards=backwards)) == encode(GAMES[0])


def test_an_empty_file_holds_no_episode(tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    write_episodes(path, [])
    assert read_episodes(path) == []


# --- damage ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "truncated"),
        (b"[]", "object"),
        (b"null", "object"),
        (b"Traceback (most recent call last):", "malformed"),
        (b"\x00" * 64, "malformed"),
        (b"{}", "schema_version"),
        (b'{"schema_version": 0}', "versions start at 1"),
        (b'{"schema_version": "1"}', "schema_version"),
        (b'{"schema_version": 1e400}', "out of range"),
        (b'{"schema_version": ' + b"9" * 5000 + b"}", "out of range"),
        (raw() + b" x", "trailing"),
        (raw(seed=None), "seed"),
        (raw(seed=1.5), "seed"),
        (raw(config=[]), "config"),
        (raw(env=[]), "env"),
        (raw().replace(b'"seed":7', b'"seed":1e999'), "range"),
        (raw().replace(b'"seed":7', b'"seed":' + b"9" * 5000), "range"),
        (raw().replace(b'"seed":7', b'"seed":NaN'), "malformed"),
        (raw().replace(b'"winner":"village"', b'"winner":1e999'), "range"),
        (raw().replace(b'"werewolf_v0"', b'"\\ud800"'), "malformed"),
        (raw().replace(b"werewolf_v0", b"caf\xe9"), "UTF-8"),
        (raw().replace(b"werewolf_v0", b"\xed\xa0\x80"), "UTF-8"),
        (raw(extra="@").replace(b"@", b"\xff"), "UTF-8"),
        (raw(config="@").replace(b'"@"', b'{"a":' * 200_000 + b"1" + b"}" * 200_000), "deep"),
        (raw(config="@").replace(b'"@"', b'{"a":' + b"[" * 99_999 + b"]" * 99_999 + b"}"), "deep"),
        (b"[" * 200_000, "object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_damage_is_named_with_file_and_line(line: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    path.write_bytes(encode(GAMES[0]) + line + b"\n" + encode(GAMES[1]))
    episodes = iter_episodes(path)
    assert next(episodes) == GAMES[0]
    with pytest.raises(DamagedEpisodeError, match=reason) as caught:
        next(episodes)
    assert f"{path}, line 2:" in str(caught.value)


@given(st.binary(max_size=200) | plain_text)
def test_noise_is_damage(line: bytes | str) -> None:
    with pytest.raises(DamagedEpisodeError, match="here: "):
        decode(line, "here")


@given(cut=st.integers(0, len(encode(GAMES[0])) - 2))
def test_every_truncation_is_damage(cut: int) -> None:
    with pytest.raises(DamagedEpisodeError):
        decode(encode(GAMES[0])[:cut])


def test_a_truncated_last_line_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    path.write_bytes(encode(GAMES[0]) + encode(GAMES[1])[:300])
    with pytest.raises(DamagedEpisodeError, match=r"line 2: .*Delete this last line"):
        read_episodes(path)


def test_a_last_line_without_its_break_is_read(tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    path.write_bytes(encode(GAMES[0]) + encode(GAMES[1]).rstrip())
    assert read_episodes(path) == GAMES


def test_empty_lines_are_for_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    path.write_bytes(encode(GAMES[0]) + b"\n \r\n")
    assert read_episodes(path) == GAMES[:1]
    path.write_bytes(encode(GAMES[0]) + b"\n" + encode(GAMES[1]))
    with pytest.raises(DamagedEpisodeError, match="line 2: empty"):
        read_episodes(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match=r"absent\.jsonl cannot be read: No such file"):
        read_episodes(tmp_path / "absent.jsonl")
    with pytest.raises(EpisodeError, match="cannot be read"):
        read_episodes(tmp_path)


# --- newer schemas --------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        raw(schema_version=SCHEMA_VERSION + 1),
        b'{"games": [1, 2], "schema_version": %d}' % (SCHEMA_VERSION + 1),
    ],
    ids=["same layout", "another layout"],
)
def test_a_newer_schema_is_told_before_its_layout(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    path.write_bytes(encode(GAMES[0]) + line + b"\n")
    with pytest.raises(SchemaVersionError) as caught:
        read_episodes(path)
    text = str(caught.value)
    assert f"{path}, line 2:" in text and "Upgrade omar-envs" in text
    assert f"version {SCHEMA_VERSION + 1};" in text and f"version {SCHEMA_VERSION}." in text


# --- contradictions -------------------------------------------------------


def broken_episodes() -> dict[str, Episode]:
    game = werewolf_game()
    message, turn = game.messages[1], game.turns[0]
    replace = msgspec.structs.replace

    def log(**changes: Any) -> Episode:
        return changed(game, messages=(replace(message, **changes), *game.messages[1:]))

    def acts(**changes: Any) -> Episode:
        return changed(game, turns=(replace(turn, **changes), *game.turns[1:]))

    return {
        "no stage": log(turn=99),
        "has no seat": log(sender="player_99"),
        "is for 'player_99'": log(audience=("player_99",)),
        r"turns\[0\] is of turn -1": acts(turn=-1),
        r"turns\[0\] is of 'moderator'": acts(agent="moderator"),
        "exactly one": changed(game, truncated=True),
        "exactly one of": changed(game, terminated=False),
        "rewards": changed(game, rewards={ANA: {}}),
        "same agent": changed(game, seats=game.seats + game.seats[:1]),
        "same turn": changed(game, stages=game.stages + game.stages[:1]),
        "the game itself": changed(game, seats=(*game.seats, Seat("moderator", "M"))),
    }


@pytest.mark.parametrize("reason", broken_episodes())
def test_contradictions_are_neither_written_nor_read(reason: str, tmp_path: Path) -> None:
    episode = broken_episodes()[reason]
    with pytest.raises(EpisodeError, match=reason):
        encode(episode)
    path = tmp_path / "games.jsonl"
    path.write_bytes(msgspec.json.encode(episode))
    with pytest.raises(DamagedEpisodeError, match=reason):
        read_episodes(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"outcome": {"score": float("nan")}}, r"outcome\['score'\] is nan"),
        ({"config": {"limits": [1.0, float("inf")]}}, r"config\['limits'\]\[1\] is inf"),
        ({"config": {"a": object()}}, "object, not a plain JSON type"),
        ({"outcome": {1: 2}}, "keys are text"),
        ({"outcome": {"a": "\ud83d"}}, r"lone surrogate \(U\+D83D\)"),
        ({"env": "\udcff"}, "lone surrogate"),
        ({"env": None}, "env"),
        ({"schema_version": SCHEMA_VERSION + 1}, "this package writes"),
    ],
)
def test_what_json_cannot_carry_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(EpisodeError, match=reason):
        encode(changed(GAMES[0], **changes))


def test_not_a_number_in_rewards_is_refused() -> None:
    bad = dict(GAMES[0].rewards, **{ANA: {"judge": float("nan")}})
    with pytest.raises(EpisodeError, match="judge"):
        encode(changed(GAMES[0], rewards=bad))
    turn = msgspec.structs.replace(GAMES[0].turns[0], reward_components={"judge": float("inf")})
    with pytest.raises(EpisodeError, match=r"turns\[0\]\.reward_components"):
        encode(changed(GAMES[0], turns=(turn,)))


def test_fields_of_the_wrong_type_are_refused() -> None:
    message = Message(0, ANA, None, "shout", "hey")  # type: ignore[arg-type]
    with pytest.raises(EpisodeError, match="shout"):
        encode(changed(GAMES[0], messages=(message,)))
    turn: Turn = msgspec.structs.replace(GAMES[0].turns[0], valid="yes")
    with pytest.raises(EpisodeError, match="valid"):
        encode(changed(GAMES[0], turns=(turn,)))


# --- writing --------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    write_episodes(path, GAMES[:1])
    with pytest.raises(EpisodeError, match="Episode 2"):
        write_episodes(path, [GAMES[1], changed(GAMES[1], truncated=False)])
    assert read_episodes(path) == GAMES[:1]
    assert os.listdir(tmp_path) == ["games.jsonl"]


def test_writing_follows_a_link_and_keeps_off_devices(tmp_path: Path) -> None:
    real, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    real.touch()
    link.symlink_to(real)
    write_episodes(link, GAMES)
    assert link.is_symlink() and read_episodes(real) == GAMES
    for target in (Path(os.devnull), tmp_path):
        with pytest.raises(EpisodeError, match="not a regular file"):
            write_episodes(target, GAMES)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize("write", [lambda path: write_episodes(path, GAMES), EpisodeWriter])
def test_a_missing_folder_is_named(write: Any, tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match=r"there is no folder .*absent"):
        write(tmp_path / "absent" / "games.jsonl")


def test_a_writer_appends_and_each_episode_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    with EpisodeWriter(path) as writer:
        assert read_episodes(path) == []
        writer.write(GAMES[0])
        assert read_episodes(path) == GAMES[:1]
    with EpisodeWriter(str(path)) as writer:
        writer.write(GAMES[1])
    assert read_episodes(path) == GAMES
    with pytest.raises(ValueError, match="closed"):
        writer.write(GAMES[0])


def test_a_writer_keeps_what_was_written_before_an_error(tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    with EpisodeWriter(path) as writer:
        writer.write(GAMES[0])
        with pytest.raises(EpisodeError):
            writer.write(changed(GAMES[1], truncated=False))
        writer.write(GAMES[1])
    assert read_episodes(path) == GAMES


def test_a_writer_does_not_glue_lines_together(tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    path.write_bytes(encode(GAMES[0]).rstrip())
    with EpisodeWriter(path) as writer:
        writer.write(GAMES[1])
    assert read_episodes(path) == GAMES


def test_a_writer_refuses_to_bury_a_truncated_line(tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    before = encode(GAMES[0]) + encode(GAMES[1])[:99]
    path.write_bytes(before)
    with pytest.raises(DamagedEpisodeError, match=r"line 2: .*Delete this last line"):
        EpisodeWriter(path)
    assert path.read_bytes() == before


def test_two_writers_never_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    with EpisodeWriter(path) as one, EpisodeWriter(path) as two:
        for _ in range(3):
            one.write(GAMES[0])
            two.write(GAMES[1])
    assert read_episodes(path) == GAMES * 3
