"""A person's game: the same as anybody's, on disk at every moment, and gone on with exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import util
from pathlib import Path

import msgspec
import pytest

from omar_envs import HumanPolicy, NegotiatorPolicy, rollout
from omar_envs.by_name import Game
from omar_envs.errors import ConfigError, EpisodeError, PolicyError
from omar_envs.policy import Policy, RandomPolicy, ScriptedPolicy, by_number
from omar_envs.sotopia.library import scenarios
from omar_envs.terminal_play import (
    RANDOM_SEAT,
    chosen_game,
    games_folder,
    new_game,
    newest,
    play_on,
    read_saved,
)
from omar_envs.terminal_play.saved import write_saved
from omar_envs.transcript import read_episodes
from omar_envs.types import CHOOSE, SPEAK, Request, View
from tests.envs.play_person import (
    AGAIN,
    Left,
    PlainPerson,
    RichPerson,
    begun,
    opponents_of,
    played,
    typed,
)

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"num_players": 5, "discussion_rounds": 1}
GAMES = [
    ("werewolf_v0", 2, "scripted", SMALL),
    ("werewolf_v0", 0, "random", {"preset": "mini4"}),
    ("werewolf_v0", 3, "scripted", {"discussion": "bidding", "max_days": 2, "num_players": 6}),
    ("werewolf_v0", 1, "scripted", {"discussion": "round_robin", "voting": "sequential", **SMALL}),
    ("sotopia_v0", 0, "scripted", {"max_turns": 6}),
    ("sotopia_v0", 1, "scripted", {"max_turns": 7, "order": "round_robin"}),
    ("sotopia_v0", 2, "random", {"scenario": "opening_the_cheese_stall", "max_turns": 4}),
]


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize(("env", "seat", "opponents", "settings"), GAMES)
def test_a_persons_game_is_the_one_that_rollout_would_play(
    env: str, seat: int, opponents: str, settings: dict[str, object], tmp_path: Path
) -> None:
    game, file = begun(env, seat, 1, tmp_path / "e.jsonl", opponents, **settings)
    episode = played(game, file, PlainPerson())
    made = rollout.make(env, game.config)
    replies = iter([turn.reply for turn in episode.turns_of(game.agent)])
    human = HumanPolicy(lambda prompt: next(replies), lambda text: None)
    policy = opponents_of(game)()
    assert rollout.play(made, policy, 1, overrides={game.agent: human}) == episode
    assert read_episodes(tmp_path / "e.jsonl") == [episode]
    assert rollout.replay(episode) == episode
    assert not file.exists()
    assert all(turn.valid for turn in episode.turns_of(game.agent))


@pytest.mark.parametrize(("env", "seat", "opponents", "settings"), GAMES)
def test_a_game_that_was_left_goes_on_as_if_it_had_not_been(
    env: str, seat: int, opponents: str, settings: dict[str, object], tmp_path: Path
) -> None:
    game, file = begun(env, seat, 5, tmp_path / "e.jsonl", opponents, **settings)
    whole = PlainPerson()
    episode = played(game, file, whole)
    for question in range(len(whole.views)):
        with pytest.raises(Left):
            played(game, file, PlainPerson(leaves_at=question))
        saved = read_saved(file)
        again = PlainPerson()
        assert played(saved, file, again) == episode
        assert again.views == whole.views[question:]
        assert not file.exists()


class Dies:
    """A policy during whose call number ``at`` the machine goes down."""

    name = "scripted"

    def __init__(self, policy: Policy, at: int) -> None:
        self._policy = policy
        self._left = at

    def act(self, views: Sequence[View]) -> Sequence[str]:
        self._left -= 1
        if self._left < 0:
            raise Left
        return self._policy.act(views)


def test_what_the_person_said_is_kept_while_the_others_think(tmp_path: Path) -> None:
    game, file = begun("werewolf_v0", 2, 5, tmp_path / "e.jsonl", discussion_rounds=1)
    whole = PlainPerson()
    episode = played(game, file, whole)
    assert len(whole.views) > 2
    call = 0
    while True:
        first = PlainPerson()
        try:
            play_on(game, file, lambda at=call: Dies(opponents_of(game)(), at), first)
            break
        except Left:
            pass
        second = PlainPerson()
        assert played(read_saved(file), file, second) == episode
        # Nothing is asked twice.
        assert first.views + second.views == whole.views
        call += 1
    assert call > 3


def test_every_moment_is_on_disk_whole(tmp_path: Path) -> None:
    game, file = begun("werewolf_v0", 2, 5, tmp_path / "e.jsonl", **SMALL)
    acts: list[int] = []

    def look(view: View) -> str:
        saved = read_saved(file)
        assert saved.answer is None
        acts.append(len(saved.replies))
        assert sum(reply.agent == game.agent for reply in saved.replies) == view.num_acts
        assert [entry.name for entry in tmp_path.iterdir() if entry.name != "state"] == [file.name]
        return typed(view)

    played(game, file, PlainPerson(look))
    assert acts == sorted(set(acts))


class Forgetful:
    """Never says the same again."""

    name = "forgetful"
    made = 0

    def __init__(self) -> None:
        Forgetful.made += 1
        self._mine = Forgetful.made

    def act(self, views: Sequence[View]) -> list[str]:
        assert all(view.request is not None for view in views)
        return [
            (view.request.choices or (f"I am number {self._mine}.",))[0]
            for view in views
            if view.request is not None
        ]


def test_others_that_say_something_else_are_told_of_and_the_record_stands(tmp_path: Path) -> None:
    game, file = begun("werewolf_v0", 2, 5, tmp_path / "e.jsonl", **SMALL)
    with pytest.raises(Left):
        play_on(game, file, Forgetful, PlainPerson(leaves_at=1))
    before = read_saved(file)
    again = PlainPerson()
    episode = play_on(before, file, Forgetful, again)
    assert [turn.reply for turn in episode.turns[: len(before.replies)]] == [
        reply.text for reply in before.replies
    ]
    assert "not as it would have" in again.told[0]
    assert rollout.replay(episode) == episode


def test_a_policy_that_is_not_to_be_asked_again_is_not(tmp_path: Path) -> None:
    game, file = begun("werewolf_v0", 2, 5, tmp_path / "e.jsonl", discussion_rounds=1)
    with pytest.raises(Left):
        played(game, file, PlainPerson(leaves_at=2))
    saved = read_saved(file)
    counted: list[int] = []

    class Counting(ScriptedPolicy):
        def act(self, views: Sequence[View]) -> list[str]:
            counted.append(min(view.num_acts for view in views))
            return super().act(views)

    play_on(saved, file, Counting, PlainPerson(), asks_again=False)
    assert min(counted) > 0


def test_a_saved_game_that_was_edited_is_refused(tmp_path: Path) -> None:
    game, file = begun("werewolf_v0", 2, 5, tmp_path / "e.jsonl", discussion_rounds=1)
    with pytest.raises(Left):
        played(game, file, PlainPerson(leaves_at=2))
    saved = read_saved(file)
    fewer = msgspec.structs.replace(saved, replies=saved.replies[1:])
    with pytest.raises(EpisodeError, match="does not fit its game after 0 acts"):
        played(fewer, file, PlainPerson())
    more = msgspec.structs.replace(saved, replies=saved.replies * 40)
    with pytest.raises(EpisodeError, match="does not fit"):
        played(more, file, PlainPerson())
    file.write_text('{"kind": "something else"}')
    with pytest.raises(EpisodeError, match="no unfinished game"):
        read_saved(file)
    with pytest.raises(EpisodeError, match="cannot be read"):
        read_saved(tmp_path / "nothing")


def test_the_episode_is_not_written_over_a_file_that_came_meanwhile(tmp_path: Path) -> None:
    out = tmp_path / "e.jsonl"
    game, file = begun("werewolf_v0", 2, 5, out, **SMALL)
    game = msgspec.structs.replace(game, overwrite=False)
    out.write_text("precious")
    with pytest.raises(EpisodeError, match="--out"):
        played(game, file, PlainPerson())
    assert out.read_text() == "precious"
    elsewhere = msgspec.structs.replace(read_saved(file), out=str(tmp_path / "f.jsonl"))
    episode = played(elsewhere, file, PlainPerson(leaves_at=0))  # nobody is asked any more
    assert read_episodes(tmp_path / "f.jsonl") == [episode]


def test_an_error_of_the_others_leaves_the_game_on_disk(tmp_path: Path) -> None:
    game, file = begun("werewolf_v0", 2, 5, tmp_path / "e.jsonl", **SMALL)

    class Broken(RandomPolicy):
        def act(self, views: Sequence[View]) -> list[str]:
            raise PolicyError("no reply came")

    with pytest.raises(PolicyError):
        play_on(game, file, Broken, PlainPerson())
    assert played(read_saved(file), file, PlainPerson()).seats[2].policy == "human"


# --- beginning ------------------------------------------------------------------


def test_the_last_game_is_found_by_when_it_was_played(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no unfinished game"):
        newest(games_folder(), ["werewolf_v0"])
    files = []
    for number, env in enumerate(("werewolf_v0", "sotopia_v0", "werewolf_v0")):
        game, file = new_game(Game(env, {}), "scripted", AGAIN, seed=number)
        write_saved(file, game)
        files.append(file)
    for age, file in enumerate(reversed(files)):
        os.utime(file, ns=(10**18 - age, 10**18 - age))
    assert len(set(files)) == 3
    assert newest(games_folder(), ["werewolf_v0", "sotopia_v0"]) == files[2]
    assert newest(games_folder(), ["sotopia_v0"]) == files[1]
    os.utime(files[0], ns=(2 * 10**18, 2 * 10**18))
    assert newest(games_folder(), ["werewolf_v0"]) == files[0]
    assert all(read_saved(file) for file in files)


def test_a_seat_is_drawn_from_the_seed() -> None:
    drawn = {
        new_game(Game("werewolf_v0", {}), "random", AGAIN, seat=RANDOM_SEAT, seed=seed)[0].agent
        for seed in range(40)
    }
    assert drawn == {f"player_{seat}" for seat in range(7)}
    with pytest.raises(ConfigError, match="no seat 7"):
        new_game(Game("werewolf_v0", {}), "random", AGAIN, seat=7)


def test_every_shipped_scenario_can_be_played_by_name() -> None:
    for scenario in scenarios():
        game, _ = new_game(Game("sotopia_v0", {"scenario": scenario.codename}), "random", AGAIN)
        assert game.config["reward"] == ("outcome" if scenario.outcome else "none")


def test_names_of_games() -> None:
    assert chosen_game("sotopia", None, "random", {"max_turns": 3}) == Game(
        "sotopia_v0", {"max_turns": 3}
    )
    assert chosen_game(None, None, "random", {}).env == "werewolf_v0"
    assert chosen_game(None, "sotopia_v0", "random", {}).env == "sotopia_v0"
    assert chosen_game(None, None, "random", {"scenario": "x"}).env == "sotopia_v0"
    assert chosen_game(None, "werewolf_v0", "random", {"scenario": "x"}).env == "werewolf_v0"
    with pytest.raises(ConfigError, match="which one"):
        chosen_game("werewolf", "sotopia_v0", "random", {})
    with pytest.raises(ConfigError, match="werewolf"):
        chosen_game("werwolf", None, "random", {})


def test_a_game_of_somebodys_own_can_be_played(tmp_path: Path) -> None:
    spec = util.spec_from_file_location("add_a_game", ROOT / "examples" / "add_a_game.py")
    assert spec is not None
    assert spec.loader is not None
    known = dict(rollout.ENVS)
    try:
        spec.loader.exec_module(util.module_from_spec(spec))
        for person in (PlainPerson(), RichPerson()):
            game, file = begun("odd_one_out_v0", 1, 5, tmp_path / "e.jsonl", "random")
            episode = played(game, file, person)
            assert rollout.replay(episode) == episode
        assert "winner" in person.file.getvalue()
    finally:
        rollout.ENVS.clear()
        rollout.ENVS.update(known)


# --- choices --------------------------------------------------------------------


def test_a_number_stands_for_a_choice_unless_choices_are_numbers() -> None:
    vote = Request(CHOOSE, "whom?", ("Ana", "Ben", "abstain"))
    assert [by_number(vote, text) for text in ("1", " 3 ", "2.")] == ["Ana", "abstain", "Ben"]
    for text in ("0", "4", "-1", "1 2", "Ana", "", "٣", "1" * 5000):
        assert by_number(vote, text) == text
    bid = Request(CHOOSE, "how much?", ("0", "1", "2"))
    assert [by_number(bid, text) for text in ("0", "1", "2")] == ["0", "1", "2"]
    assert by_number(Request(SPEAK, "speak", max_chars=10), "1") == "1"


def test_a_human_policy_asks_again_by_the_games_own_rules() -> None:
    env = rollout.make("sotopia_v0", {"max_turns": 1})
    lines = iter(["accept", '{"action_type": "dance"}', "hello"])
    told: list[str] = []
    human = HumanPolicy(lambda prompt: next(lines), told.append, read=env.read)
    episode = rollout.play(env, NegotiatorPolicy(1), 1, overrides={"agent_0": human})
    assert [turn.reply for turn in episode.turns_of("agent_0")] == ["hello"]
    assert sum("try again" in text for text in told) == 2


def test_reading_a_reply_changes_nothing() -> None:
    for env_name, agent, reply in (
        ("werewolf_v0", None, "nobody"),
        ("sotopia_v0", "agent_0", 'propose {"plants": 1}'),
        ("sotopia_v0", "agent_0", '{"action_type": "leave"}'),
    ):
        one, other = rollout.make(env_name), rollout.make(env_name)
        for env in (one, other):
            env.reset(seed=3)
        mover = agent or one.agent_selection
        before = one.view(mover)
        one.read(mover, reply)
        assert one.view(mover) == before
        while not one.over:
            for env in (one, other):
                env.step("none of these")
        assert one.episode() == other.episode()


def test_the_rich_screen_needs_the_seat_and_nothing_else(tmp_path: Path) -> None:
    game, file = begun("werewolf_v0", 2, 5, tmp_path / "e.jsonl", **SMALL)
    plain = played(game, file, PlainPerson())
    assert played(game, file, RichPerson()) == plain


def test_the_package_itself_needs_no_rich() -> None:
    code = "import omar_envs.terminal_play, sys; print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
