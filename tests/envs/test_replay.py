"""The replay page as a document: what it embeds, and that nothing can break out of it."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs.errors import EpisodeError
from omar_envs.replay import render_html, write_replay
from omar_envs.transcript import encode
from tests.envs.episode_samples import (
    ANA,
    BEN,
    NAMES,
    Recorder,
    changed,
    negotiation,
    speech,
    werewolf_game,
)

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]></style><img src=x onerror=alert(1)>",
    "{{script}} {{data}} {{title}} \\u003c \\1 \\g<0>",
    "\u2028\u2029\u202e\u2066\ufeff\x00\r\n\t\x7f",
    "&lt;b&gt; &amp; &#60;",
    "'\"`${alert(1)}\\",
]
VOID = {"meta", "input", "br", "hr", "img", "link"}


class Document(HTMLParser):
    """What a browser would make of the page: its elements and their texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.titles: list[str] = []
        self._inside: list[str] = []
        self.feed(page)
        self.close()
        assert not self._inside, f"left open: {self._inside}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._inside.append(tag)
        if tag == "script":
            self.scripts.append("")
        if tag == "style":
            self.styles.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag

    def handle_data(self, data: str) -> None:
        tag = self._inside[-1] if self._inside else ""
        if tag == "script":
            self.scripts[-1] += data
        elif tag == "style":
            self.styles[-1] += data
        elif tag == "title":
            self.titles.append(data)

    @property
    def index(self) -> Any:
        return json.loads(self.scripts[0])

    @property
    def games(self) -> Any:
        return [json.loads(script) for script in self.scripts[1:-1]]

    @property
    def code(self) -> str:
        return self.scripts[-1]

    @property
    def policy(self) -> dict[str, str]:
        (content,) = (
            attributes["content"]
            for tag, attributes in self.elements
            if attributes.get("http-equiv") == "Content-Security-Policy"
        )
        return dict(part.strip().split(" ", 1) for part in str(content).split(";"))


def digest(source: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() + "'"


EMPTY = Document(render_html([]))


def test_the_page_holds_its_episodes_and_nothing_from_elsewhere() -> None:
    games = [werewolf_game(), negotiation()]
    page = render_html(games, title="Two games")
    document = Document(page)
    assert [game["episode"] for game in document.games] == [
        json.loads(encode(game)) for game in games
    ]
    assert document.titles == ["Two games"]
    for reference in ("://", "url(", "@import", "fetch(", "XMLHttpRequest", "WebSocket"):
        assert reference not in page
    for tag, attributes in document.elements:
        assert tag not in {"link", "img", "iframe", "object", "base", "form"}
        assert not {"src", "style", "srcdoc"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")


def test_the_policy_admits_this_script_and_style_and_nothing_else() -> None:
    document = Document(render_html([werewolf_game()]))
    assert len(document.scripts) == 3 and len(document.styles) == 1
    assert document.policy == {
        "default-src": "'none'",
        "script-src": digest(document.code),
        "style-src": digest(document.styles[0]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_script_never_makes_markup_or_code_of_text() -> None:
    script = EMPTY.code
    for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function("):
        assert way not in script


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_data_only(text: str) -> None:
    episode = changed(
        speech(text, names=dict(NAMES, **{ANA: text})),
        env=text,
        config={text: text},
        outcome={"winner": text, text: [text]},
    )
    document = Document(render_html([episode], title=text))
    assert document.games[0]["episode"] == json.loads(encode(episode))
    ordinary = Document(render_html([speech("Hello.")]))
    assert [tag for tag, _ in document.elements] == [tag for tag, _ in ordinary.elements]
    assert document.code == EMPTY.code and document.styles == EMPTY.styles
    assert not set("<>&\u2028\u2029") & set("".join(document.scripts[:-1]))


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=50)
def test_any_text_survives_unchanged(text: str) -> None:
    document = Document(render_html([speech(text)]))
    assert document.games[0]["episode"]["messages"][0]["text"] == text


def test_a_title_with_a_lone_surrogate_can_be_written(tmp_path: Path) -> None:
    write_replay(tmp_path / "replay.html", [], title="\ud800 & more")
    assert "\ufffd &amp; more" in (tmp_path / "replay.html").read_text("utf-8")


def test_seeds_beyond_a_browsers_numbers_stay_exact() -> None:
    document = Document(render_html([changed(negotiation(), seed=2**63 + 1)]))
    assert document.index[0]["seed"] == "9223372036854775809"


@pytest.mark.parametrize(
    ("tags", "private", "rest"),
    [
        (["think"], "ba", "c <plan>d</plan>"),
        (["think", "plan"], "ba\nd", "c"),
        ([], None, None),
        ("think", None, None),
        ([7, None], None, None),
    ],
)
def test_private_reasoning_is_split_by_the_games_own_tags(
    tags: Any, private: str | None, rest: str | None
) -> None:
    game = werewolf_game()
    turn = msgspec.structs.replace(game.turns[0], reply="<think>ba</think> c <plan>d</plan>")
    episode = changed(game, turns=(turn,), config={"private_tags": tags})
    (reply,) = Document(render_html([episode])).games[0]["replies"]
    assert reply == (None if private is None else [private, rest])


def test_the_same_episodes_give_the_same_page() -> None:
    assert render_html([werewolf_game()]) == render_html(iter([werewolf_game()]))


def test_a_page_carries_very_long_texts() -> None:
    text = "<" * 1_000_000
    page = render_html([speech(text)])
    assert Document(page).games[0]["episode"]["messages"][0]["text"] == text


def test_a_broken_episode_leaves_the_old_page_alone(tmp_path: Path) -> None:
    path = tmp_path / "replay.html"
    write_replay(path, [negotiation()])
    before = path.read_bytes()
    message = msgspec.structs.replace(werewolf_game().messages[0], audience=("nobody",))
    with pytest.raises(EpisodeError, match="nobody"):
        write_replay(path, [negotiation(), changed(werewolf_game(), messages=(message,))])
    assert path.read_bytes() == before
    with pytest.raises(EpisodeError, match="no folder"):
        write_replay(tmp_path / "absent" / "replay.html", [])


def test_the_file_is_utf_8_with_line_feeds(tmp_path: Path) -> None:
    path = tmp_path / "replay.html"
    write_replay(path, [speech("žluťoučký 🐺")], title="Été")
    assert path.read_bytes().decode("utf-8") == render_html([speech("žluťoučký 🐺")], title="Été")
    assert b"\r" not in path.read_bytes()
    assert BEN in path.read_text("utf-8")


@pytest.mark.parametrize("agent", ["public", "all"])
def test_an_agent_called_as_the_pages_own_eyes_is_refused(agent: str) -> None:
    game = Recorder({agent: "Ana"})
    game.stage("discussion", "Day 1")
    with pytest.raises(EpisodeError, match=f"the agent '{agent}'"):
        render_html([game.episode()])
