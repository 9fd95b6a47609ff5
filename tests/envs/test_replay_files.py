"""What a replay is made from: files, folders, token data, judgements; and the command."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs.cli import main
from omar_envs.errors import (
    ConfigError,
    DamagedEpisodeError,
    EpisodeError,
    SchemaVersionError,
)
from omar_envs.judge.saved import JudgedWriter
from omar_envs.replay import (
    TOKEN_DATA_VERSION,
    EpisodeTokens,
    SeatTokens,
    TurnTokens,
    episode_key,
    read_for_replay,
    read_token_data,
    render_html,
    write_token_data,
)
from omar_envs.transcript import encode, write_episodes
from omar_envs.types import Episode
from tests.envs.credit_samples import judged, sound, tokens_of
from tests.envs.episode_samples import ANA, changed, negotiation, speech, werewolf_game

# --- token data ---------------------------------------------------------------

AMOUNTS = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@st.composite
def turns(draw: st.DrawFn) -> TurnTokens:
    tokens = tuple(draw(st.lists(TEXTS, max_size=4)))
    amounts = st.lists(AMOUNTS, min_size=len(tokens), max_size=len(tokens)).map(tuple)
    known = st.one_of(st.just(()), amounts)
    return TurnTokens(
        tokens, draw(known), draw(known), draw(AMOUNTS), draw(AMOUNTS), draw(st.booleans())
    )


DATA = st.builds(
    EpisodeTokens,
    st.just(TOKEN_DATA_VERSION),
    TEXTS,
    TEXTS,
    st.lists(
        st.builds(SeatTokens, TEXTS, st.lists(turns(), max_size=3).map(tuple)),
        max_size=3,
        unique_by=lambda seat: seat.agent,
    ).map(tuple),
)


@given(st.lists(DATA, max_size=2))
@settings(max_examples=40)
def test_token_data_survive_the_file(
    tmp_path_factory: pytest.TempPathFactory, data: list[EpisodeTokens]
) -> None:
    path = tmp_path_factory.mktemp("data") / "games.tokens.jsonl"
    write_token_data(path, data)
    assert read_token_data(path) == data


def test_the_key_of_an_episode_is_that_of_its_line(tmp_path: Path) -> None:
    one, other = werewolf_game(), changed(werewolf_game(), seed=8)
    assert episode_key(one) == episode_key(werewolf_game()) != episode_key(other)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{}", "token_data_version"),
        ("nonsense", "line 1"),
        ('{"token_data_version":1}', "episode"),
        (
            '{"token_data_version":1,"episode":"e","estimator":"x","seats":[{"agent":"a",'
            '"turns":[{"tokens":["b"],"advantages":[1,2]}]}]}',
            "2 advantages for 1 tokens",
        ),
        (
            '{"token_data_version":1,"episode":"e","estimator":"x","seats":['
            '{"agent":"a","turns":[]},{"agent":"a","turns":[]}]}',
            "twice",
        ),
    ],
)
def test_damaged_token_data_are_named_by_file_and_line(
    tmp_path: Path, line: str, told: str
) -> None:
    path = tmp_path / "x.tokens.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DamagedEpisodeError, match=told) as error:
        read_token_data(path)
    assert "x.tokens.jsonl, line 1" in str(error.value)


def test_newer_token_data_are_refused_before_their_layout_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.tokens.jsonl"
    path.write_text('{"token_data_version": 2, "all": "else is new"}\n')
    with pytest.raises(SchemaVersionError, match="version 2"):
        read_token_data(path)
    with pytest.raises(EpisodeError, match="absent"):
        read_token_data(tmp_path / "absent")


def test_what_contradicts_itself_is_not_written(tmp_path: Path) -> None:
    turn = TurnTokens(("a", "b"), values=(1.0,))
    data = EpisodeTokens(1, "e", "x", (SeatTokens("a", (turn,)),))
    with pytest.raises(EpisodeError, match="1 values for 2 tokens"):
        write_token_data(tmp_path / "x", [data])
    assert not (tmp_path / "x").exists()


def test_token_data_must_fit_their_episode() -> None:
    game = werewolf_game()
    data = tokens_of(game)
    stranger = msgspec.structs.replace(data, seats=(SeatTokens("player_9", ()),))
    with pytest.raises(EpisodeError, match="player_9"):
        render_html([game], token_data=[stranger])
    first = data.seats[0]
    longer = SeatTokens(first.agent, (*first.turns, first.turns[0]))
    with pytest.raises(EpisodeError, match=f"9 acts of {ANA}, who made 8"):
        render_html([game], token_data=[msgspec.structs.replace(data, seats=(longer,))])


def test_what_is_of_no_episode_here_is_an_error_and_of_one_is_enough() -> None:
    game, other = werewolf_game(), negotiation()
    with pytest.raises(ConfigError, match="1 token data is of these"):
        render_html([game], token_data=[tokens_of(other)])
    with pytest.raises(ConfigError, match="1 judgements is of these"):
        render_html([game], judgements=[judged(other, sound(other))])
    assert "<|end|>".replace("<", "\\u003c").replace(">", "\\u003e") in render_html(
        [game], token_data=[tokens_of(other), tokens_of(game)]
    )


# --- files and folders --------------------------------------------------------


def run_folder(tmp_path: Path) -> Path:
    """A folder as a training run leaves it, with other JSON lines in it."""
    folder = tmp_path / "run"
    (folder / "games" / "deeper").mkdir(parents=True)
    (folder / "metrics.jsonl").write_text('{"iteration": 1}\n')
    (folder / "empty.jsonl").write_text("")
    (folder / "list.jsonl").write_text("[1]\n")
    write_episodes(folder / "games" / "b.jsonl", [werewolf_game()])
    write_token_data(folder / "games" / "b.tokens.jsonl", [tokens_of(werewolf_game())])
    write_episodes(folder / "games" / "a.jsonl", [negotiation(), speech("Hello.")])
    write_episodes(folder / "games" / "deeper" / "c.jsonl", [speech("Deep.")])
    with JudgedWriter(folder / "games" / "a.judged.jsonl") as writer:
        writer.write(judged(negotiation(), sound(negotiation())))
    return folder


def test_a_folder_gives_its_episodes_and_what_lies_beside_them(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    read = read_for_replay([folder])
    assert [path.name for path in read.files] == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert [encode(episode) for episode in read.episodes] == [
        encode(game) for game in (negotiation(), speech("Hello."), werewolf_game(), speech("Deep."))
    ]
    assert read.token_data == [tokens_of(werewolf_game())]
    assert [line.result.model for line in read.judgements] == ["Judge-1B"]
    # A file that is named twice, or stands in a folder that is, comes once.
    assert read_for_replay([folder, folder / "games" / "b.jsonl"]) == read


def test_several_files_come_in_their_order(tmp_path: Path) -> None:
    games: list[Episode] = [werewolf_game(), negotiation(), speech("Hello.")]
    paths = [tmp_path / name for name in ("z.jsonl", "a.jsonl", "m")]
    for path, game in zip(paths, games, strict=True):
        write_episodes(path, [game])
    assert [game.seats for game in read_for_replay(paths).episodes] == [g.seats for g in games]


def test_a_damaged_file_in_a_folder_is_not_passed_over(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    (folder / "cut.jsonl").write_bytes(encode(speech("Hello."))[:200])
    with pytest.raises(DamagedEpisodeError, match=r"cut\.jsonl, line 1"):
        read_for_replay([folder])


def test_what_is_no_file_is_passed_over_in_a_folder_and_empty_lines_hide_nothing(
    tmp_path: Path,
) -> None:
    folder = run_folder(tmp_path)
    (folder / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    (folder / "folder.jsonl").mkdir()
    assert len(read_for_replay([folder]).episodes) == 4
    (folder / "late.jsonl").write_bytes(b"\n" + encode(speech("Hello.")))
    with pytest.raises(EpisodeError, match=r"late\.jsonl, line 1"):
        read_for_replay([folder])


def test_a_folder_without_episodes_says_so(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"iteration": 1}\n')
    with pytest.raises(EpisodeError, match="no episodes in"):
        read_for_replay([tmp_path])


def test_the_command_takes_folders_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_folder(tmp_path)
    assert main(["replay", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("4 episodes in ")
    page = (folder / "replay.html").read_text("utf-8")
    assert "<title>run</title>" in page and "Judge-1B" in page and "hierarchical" in page
    files = [str(folder / "games" / name) for name in ("a.jsonl", "b.jsonl")]
    out = str(tmp_path / "both.html")
    assert main(["replay", *files, "-o", out, "--title", "Two & more"]) == 0
    assert "<title>Two &amp; more</title>" in Path(out).read_text("utf-8")


def test_the_command_takes_token_data_and_judgements_from_elsewhere(tmp_path: Path) -> None:
    game = speech("Hello.")
    games, tokens, verdicts = (tmp_path / name for name in ("g.jsonl", "t", "j"))
    write_episodes(games, [game])
    write_token_data(tokens, [tokens_of(game)])
    with JudgedWriter(verdicts) as writer:
        writer.write(judged(game, sound(game)))
    assert main(["replay", str(games), "--tokens", str(tokens), "--judged", str(verdicts)]) == 0
    page = (tmp_path / "g.html").read_text("utf-8")
    assert "hierarchical" in page and f"GOAL-OF-{ANA}" in page


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--tokens", "absent"], "absent"),
        (["--judged", "absent"], "absent"),
        (["--port", "8000"], "--serve"),
        (["--serve", "--port", "70000"], "65535"),
        (["--serve", "--port", "-1"], "whole number"),
    ],
)
def test_the_command_complains_before_it_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    games = tmp_path / "g.jsonl"
    write_episodes(games, [speech("Hello.")])
    options = [str(tmp_path / "absent") if word == "absent" else word for word in options]
    try:
        code = main(["replay", str(games), *options])
    except SystemExit as stop:
        code = int(str(stop.code))
    assert code == 2 and told in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["g.jsonl"]


@pytest.mark.parametrize("name", ["b.jsonl", "b.tokens.jsonl", "link"])
def test_the_command_does_not_write_over_what_it_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    games = run_folder(tmp_path) / "games"
    (games / "link").symlink_to("b.jsonl")
    before = (games / name).read_bytes()
    assert main(["replay", str(games / "b.jsonl"), "-o", str(games / name)]) == 2
    assert "would be lost" in capsys.readouterr().err
    assert (games / name).read_bytes() == before


def test_files_without_a_game_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n", encoding="utf-8")
    assert main(["replay", str(empty)]) == 2
    assert f"no episode in {empty}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [empty]
