"""Recorded games as one self-contained web page.

The page needs no network and opens from ``file://``. Everything in the episodes
is embedded as data and set as text only, never as markup, and a content
security policy admits the page's own script and style by their hashes and
nothing else.

Roles, rewards and the outcome stay hidden until the reader asks for them. The
page shows the game through one pair of eyes at a time: what is public, what one
seat could read (exactly the messages whose audience holds it, and its own acts),
or everything.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable
from importlib.resources import files
from typing import NamedTuple

import msgspec

from omar_envs.parsing import (
    DEFAULT_PRIVATE_TAGS,
    clean,
    private_parts,
    single_line,
    strip_private,
)
from omar_envs.transcript import StrPath, encode, replace_file
from omar_envs.types import Episode

__all__ = ["render_html", "write_replay"]

_STYLES = ("page.css", "transcript.css")
_SCRIPTS = ("model.js", "dom.js", "transcript.js", "panels.js", "page.js")
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def render_html(episodes: Iterable[Episode], *, title: str = "Replay") -> str:
    """The whole page.

    Args:
        episodes: shown in this order; none gives a page that says so.
        title: heading of the page, plain text.

    Raises:
        EpisodeError: an episode contradicts itself or cannot be written as JSON.
    """
    games = list(episodes)
    style = "\n".join(_template(name) for name in _STYLES)
    script = "\n".join(_template(name) for name in _SCRIPTS)
    parts = {
        "title": html.escape(single_line(clean(title))),
        "style": style,
        "style_hash": _hash(style),
        "script": script,
        "script_hash": _hash(script),
        "data": _embedded(games),
    }
    # One pass: what has been put in is not searched again.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match.group(1)], _template("page.html"))


def write_replay(path: StrPath, episodes: Iterable[Episode], *, title: str = "Replay") -> None:
    """Write the page to a file, or leave the file there is as it was.

    Raises:
        EpisodeError: as :func:`render_html`, or the file cannot be written.
    """
    replace_file(path, [render_html(episodes, title=title).encode("utf-8")])


def _template(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


def _hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode("utf-8")).digest()).decode()


class _Reply(NamedTuple):
    """A reply taken apart by the game's own rule: what nobody else saw, and the rest."""

    private: str
    rest: str


class _Game(msgspec.Struct):
    """What the page gets of one episode, beside what it can find out itself."""

    episode: msgspec.Raw
    seed: str  # a browser's numbers are exact to 2**53 only
    replies: list[_Reply | None]  # by turn; None where nothing in the reply is private


def _embedded(episodes: list[Episode]) -> str:
    """JSON that cannot end its script element: these characters occur in strings only."""
    games = [
        _Game(
            msgspec.Raw(encode(episode)),
            str(episode.seed),
            [_private(turn.reply, _private_tags(episode)) for turn in episode.turns],
        )
        for episode in episodes
    ]
    return msgspec.json.encode(games).decode().translate(_ESCAPES)


def _private_tags(episode: Episode) -> list[str]:
    """The tags of the episode's own configuration, which may come from anywhere."""
    tags = episode.config.get("private_tags", DEFAULT_PRIVATE_TAGS)
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list | tuple) else []


def _private(reply: str, tags: list[str]) -> _Reply | None:
    parts = [part for part in private_parts(reply, tags) if part]
    return _Reply("\n".join(parts), strip_private(reply, tags).strip()) if parts else None
