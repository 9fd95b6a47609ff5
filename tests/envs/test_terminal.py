"""Nothing that a player writes may act on a terminal."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.terminal import printable, progress, show, show_json


@given(st.text(st.characters(codec=None)))
def test_printable_leaves_no_controls(text: str) -> None:
    kept = printable(text)
    assert len(kept) == len(text)
    assert not [c for c in kept if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    kept.encode("utf-8")


@pytest.mark.parametrize("text", ["Ana: I trust Bo.", "çà → 日本 🐺", "two\nlines\tand a tab"])
def test_printable_leaves_text_alone(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    "text",
    ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "over\rwritten", "\u202etxt.exe", "\u2066hidden"],
)
def test_printable_replaces_what_a_terminal_obeys(text: str) -> None:
    assert printable(text) != text
    assert not set(printable(text)) & set("\x1b\x07\x9b\r\u202e\u2066")


def test_show_prints_safely(capsys: pytest.CaptureFixture[str]) -> None:
    show("Ana: \x1b[31mred")
    assert capsys.readouterr().out == "Ana: \ufffd[31mred\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_document_cannot_act_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    said = {"Ana\x1b[2J": "\u202etxt.exe \x9b31m 日本", "n": 1.5, "none": None}
    show_json(said)
    told = capsys.readouterr().out
    assert told.isascii() and told == printable(told)
    assert json.loads(told) == said


def test_a_document_holds_no_number_that_json_has_not() -> None:
    with pytest.raises(ValueError):
        show_json({"mean": float("nan")})


def test_progress_moves_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with progress("games", 3) as update:
        assert update is None
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with progress("[games]", 3) as update:
        assert update is not None
        update(1)
        update(3)
    assert "[games]" in screen.getvalue() and "3/3" in screen.getvalue()
