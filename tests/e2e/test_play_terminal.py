"""A person plays in a real terminal: tmux types, and reads what stands on the screen.

The commands run as users run them, in a terminal of 80 columns and 24 rows.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omar_envs import rollout
from omar_envs.transcript import read_episodes
from omar_envs.types import Episode
from tests.envs.chat_server import Call, ChatServer, Send, say

TMUX = shutil.which("tmux")
PATIENCE = 60.0
PROMPT = re.compile(r"^[^\n>]*> ?$")
WORDS = "I trust nobody [bold]here[/bold]."
GAME = ["--seat", "2", "--with", "scripted", "--seed", "1"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TMUX is None, reason="needs tmux, a terminal that programs can drive"),
]


class Terminal:
    """One terminal of its own, on a tmux server of its own."""

    def __init__(self, folder: Path) -> None:
        self._server = f"omar-{os.getpid()}-{secrets.token_hex(4)}"
        self._folder = folder

    def tmux(self, *words: str) -> str:
        assert TMUX is not None
        return subprocess.run(
            [TMUX, "-L", self._server, "-f", "/dev/null", *words],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def start(self, *words: str, width: int = 80, height: int = 24, **settings: str) -> None:
        """Run ``omar-envs`` with these words; the shell then shows its exit code and stays."""
        told = {"XDG_STATE_HOME": str(self._folder / "state"), "OMP_NUM_THREADS": "1", **settings}
        command = shlex.join([sys.executable, "-m", "omar_envs.cli", *words])
        exports = " ".join(f"{key}={shlex.quote(value)}" for key, value in told.items())
        # The shell outlives what the keys send to all.
        folder = shlex.quote(str(self._folder))
        line = f"trap : INT; cd {folder}; env {exports} {command}; echo code=$?; cat"
        if not self._running():
            size = ["-x", str(width), "-y", str(height)]
            self.tmux("new-session", "-d", *size, "sh", "-c", line)
            self.tmux("set-option", "-g", "history-limit", "20000")
        else:
            self.tmux("respawn-pane", "-k", "sh", "-c", line)
            self.tmux("clear-history")

    def _running(self) -> bool:
        try:
            return bool(self.tmux("list-sessions"))
        except subprocess.CalledProcessError:
            return False

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)
        self.tmux("send-keys", "Enter")

    def key(self, name: str) -> None:
        self.tmux("send-keys", name)

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p").rstrip()

    def everything(self) -> str:
        """All that was ever shown; rows that the terminal broke are joined."""
        return self.tmux("capture-pane", "-p", "-J", "-S", "-").rstrip()

    def coloured(self) -> str:
        return self.tmux("capture-pane", "-p", "-e", "-S", "-")

    def pid(self) -> int:
        """Of the game: the child of the pane's shell."""
        shell = self.tmux("list-panes", "-F", "#{pane_pid}").strip()
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(children[0])

    def until(self, there: Callable[[str], bool]) -> str:
        """What stands on the screen, once it is as wanted."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            text = self.everything()
            if there(text):
                return text
            time.sleep(0.05)
        raise AssertionError(f"the screen stayed at:\n{self.everything()}")

    def asked(self, times: int) -> str:
        """Wait for the box of question number ``times``, from 1, and its prompt."""
        return self.until(
            lambda text: (
                text.count("╭─ You are ") >= times
                and PROMPT.match(text.split("\n")[-1]) is not None
            )
        )

    def ended(self, code: int) -> str:
        return self.until(lambda text: text.endswith(f"code={code}"))

    def close(self) -> None:
        if self._running():
            self.tmux("kill-server")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    try:
        yield made
    finally:
        made.close()


def answer_all(terminal: Terminal, first: int, answer: Callable[[str], str]) -> str:
    """Answer every question from number ``first`` on until the command ends."""
    number = first
    while True:
        text = terminal.until(
            lambda text, number=number: (
                "code=" in text  # type: ignore[misc]
                or (
                    text.count("╭─ You are ") >= number
                    and PROMPT.match(text.split("\n")[-1]) is not None
                )
            )
        )
        if "code=" in text:
            return text
        terminal.type(answer(text))
        number += 1


def the_episode(folder: Path) -> Episode:
    (file,) = folder.glob("**/*.jsonl")
    (episode,) = read_episodes(file)
    return episode


def by_number(text: str) -> str:
    """The first choice where there are choices, words elsewhere."""
    choosing = "Type a number" in text.rpartition("╭─ You are ")[2]
    return "1" if choosing else WORDS


def test_a_whole_game_of_werewolf(terminal: Terminal, tmp_path: Path) -> None:
    terminal.start("play", "werewolf", *GAME)
    terminal.asked(1)
    screen = terminal.screen()
    for part in ("You are Clara, villager", "Day 1", "Alive", "Elena (villager)", "/help"):
        assert part in screen
    assert max(map(len, screen.split("\n"))) <= 80
    text = answer_all(terminal, 1, by_number)
    assert text.endswith("code=0")
    assert f"Clara (you): {WORDS}" in text
    episode = the_episode(tmp_path)
    assert rollout.replay(episode) == episode
    assert all(turn.valid for turn in episode.turns_of("player_2"))
    before, _, after = text.partition("The end")
    roles = {seat.name: seat.role for seat in episode.seats}
    for name, role in roles.items():
        assert f"{name} ({role})" not in before or name in ("Elena", *_dead(episode))
        assert re.search(rf"{name}.*{role}", after)
    for part in ("outcome", "invalid", "Reward", "Saved in", "omar-envs replay", "--seed 1"):
        assert part in after
    assert "\x1b[1m" in terminal.coloured()


def _dead(episode: Episode) -> list[str]:
    names = {seat.agent: seat.name for seat in episode.seats}
    return [names[death["agent"]] for death in episode.outcome["deaths"]]


def test_a_social_scenario(terminal: Terminal, tmp_path: Path) -> None:
    terminal.start("play", "sotopia", "--scenario", "moving_out_of_the_flat", "--seed", "1")
    text = terminal.asked(1)
    assert "Your goal" in text
    assert "Turn 1 of 20" in terminal.screen()
    terminal.type("Hello, Dezba.")
    terminal.asked(2)
    terminal.type("/gesture points at the plants")
    terminal.asked(3)
    terminal.type('propose {"plants": 2, "lamp": 1}')
    text = answer_all(terminal, 4, lambda text: "accept" if "Open to all" in text else "Please.")
    assert text.endswith("code=0")
    episode = the_episode(tmp_path)
    assert all(turn.valid for turn in episode.turns_of("agent_0"))
    assert "points to you" in text
    assert "[non-verbal] points at the plants" in text


def test_ctrl_c_a_kill_and_a_new_size(terminal: Terminal, tmp_path: Path) -> None:
    terminal.start("play", "werewolf", *GAME)
    answer_all(terminal, 1, by_number)
    whole = the_episode(tmp_path)
    next(tmp_path.glob("**/*.jsonl")).unlink()

    terminal.start("play", "werewolf", *GAME)
    terminal.asked(1)
    terminal.type(WORDS)
    terminal.asked(2)
    terminal.tmux("resize-window", "-x", "60", "-y", "40")
    terminal.asked(3)  # the same question, drawn anew
    assert max(map(len, terminal.screen().rpartition("╭─ You")[2].split("\n"))) <= 60
    terminal.tmux("send-keys", "-l", "half a")
    terminal.key("C-c")
    text = terminal.ended(130)
    (told,) = re.findall(r"Go on with: omar-envs (.*)", text)
    assert "Traceback" not in text

    terminal.start(*shlex.split(told))
    text = terminal.asked(1)
    assert f"Clara (you): {WORDS}" in text
    terminal.type(WORDS)
    terminal.asked(2)
    os.kill(terminal.pid(), signal.SIGKILL)
    terminal.ended(137)

    terminal.start("play", "--resume")
    text = answer_all(terminal, 1, by_number)
    assert text.endswith("code=0")
    assert the_episode(tmp_path) == whole


@pytest.mark.parametrize("settings", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colour(settings: dict[str, str], terminal: Terminal) -> None:
    terminal.start("play", "werewolf", *GAME, **settings)
    text = terminal.until(lambda text: text.endswith("Clara>"))
    assert "discussion round 1" in text
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m|\x1b\[[0-9;]*9[0-7]m", terminal.coloured())
    terminal.key("C-d")
    assert "Go on with" in terminal.ended(0)


def test_slow_others_are_waited_for_and_ctrl_c_keeps_what_was_said(
    terminal: Terminal, tmp_path: Path
) -> None:
    pytest.importorskip("openai")
    go_on = threading.Event()

    def behave(call: Call) -> Send:
        go_on.wait(PATIENCE)
        return say("I abstain.")

    small = ["--set", "num_players=3", 'roles={"werewolf": 1}', "first_phase=day", "max_days=1"]
    with ChatServer(behave) as server:
        words = ["play", "werewolf", "--with", f"{server.url}#m", "--seed", "1", *small]
        terminal.start(*words, OPENAI_API_KEY="none")
        terminal.asked(1)
        terminal.type("Hello all.")
        terminal.until(lambda text: "The others are thinking" in text)
        terminal.key("C-c")
        terminal.ended(130)
        terminal.start("play", "--resume", OPENAI_API_KEY="none")
        terminal.until(lambda text: "The others are thinking" in text)
        go_on.set()
        text = terminal.asked(1)
        assert "(you): Hello all." in text
        assert "thinking" not in text
        text = answer_all(terminal, 1, lambda text: "1" if "Type a number" in text else "Well.")
    assert text.endswith("code=0")
    (mine, *_) = the_episode(tmp_path).turns_of("player_0")
    assert mine.reply == "Hello all."
