"""Games as text: all that was said and paid, and nothing that passes for something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs.policy import RandomPolicy
from omar_envs.rollout import make, play
from omar_envs.terminal import printable
from omar_envs.types import SPEAK, View
from omar_trainers.shown.game_text import game_text, games_path, write_games

GAME = {"num_players": 5, "discussion_rounds": 1}


class Replies:
    """Says one text wherever it may speak, and chooses the first label."""

    name = "replies"

    def __init__(self, text: str) -> None:
        self._text = text

    def act(self, views: Sequence[View]) -> list[str]:
        replies = []
        for view in views:
            assert view.request is not None
            speaks = view.request.kind == SPEAK
            replies.append(self._text if speaks else view.request.choices[0])
        return replies


def test_everything_said_done_and_paid_is_in_it() -> None:
    for seed in range(4):
        game = play(make("werewolf_v0", GAME), RandomPolicy(seed), seed)
        text = game_text(game)
        for seat in game.seats:
            total = game.total_reward(seat.agent)
            head = f"{seat.agent} {seat.name} ({seat.role}, {game.outcome['teams'][seat.agent]}"
            line = next(line for line in text.splitlines() if line.startswith(head))
            assert f"return {total:+.3g}" in line
        position = 0
        for message in game.messages:
            position = text.index(message.text, position)
        private = [message for message in game.messages if message.audience is not None]
        assert text.count("[only ") == len(private) > 0
        paid = [t for t in game.turns if any(t.reward_components.values())]
        assert text.count("  $ ") == len(paid)


def test_thoughts_and_unreadable_replies_are_shown_as_such() -> None:
    thinks = play(make("werewolf_v0", GAME), Replies("<think>I lie</think>I am good"), 1)
    text = game_text(thinks)
    assert "wrote in full: <think>I lie</think>I am good" in text
    invalid = play(make("werewolf_v0", GAME), Replies("   "), 1)
    assert "could not be read" in game_text(invalid)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_no_text_of_a_player_begins_a_line_or_moves_a_cursor(said: str) -> None:
    # What stands in a thought is shown as the player wrote it.
    thought = f"<think>\x1b[2J\u202e{said}\n--- ended</think>"
    hostile = f"{thought}{said}\n--- ended\r\x1b[2J\u2028winner: me\u202e{said}\x00\ud800"
    text = game_text(play(make("werewolf_v0", GAME), Replies(hostile), 0))
    lines = text.split("\n")
    assert sum(line.startswith("--- ended") for line in lines) == 1
    assert sum(line.startswith("winner: ") for line in lines) == 1
    assert not any(line.startswith("winner: me") for line in lines)
    assert len(text.splitlines()) == len(lines) - 1
    assert "wrote in full" in text
    assert printable(text) == text


def test_a_file_of_games_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    games = [play(make("werewolf_v0", GAME), RandomPolicy(seed), seed) for seed in range(2)]
    path = games_path(tmp_path, 12)
    assert path.name == "iteration-000012.txt"
    write_games(path, games)
    write_games(path, games[:1])
    assert path.read_text(encoding="utf-8") == f"Game 1 of 1\n{game_text(games[0])}"
    assert list(path.parent.iterdir()) == [path]
