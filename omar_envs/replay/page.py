"""The page as a document: its parts put together, the episodes embedded as data."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple, TypeVar

import msgspec

from omar_envs.errors import ConfigError, EpisodeError
from omar_envs.judge.saved import JudgedEpisode
from omar_envs.parsing import (
    DEFAULT_PRIVATE_TAGS,
    clean,
    private_parts,
    single_line,
    strip_private,
)
from omar_envs.replay.briefing import Briefing, briefing_of
from omar_envs.replay.token_data import (
    EpisodeTokens,
    SeatTokens,
    check_token_data,
    episode_key,
)
from omar_envs.transcript import StrPath, encode, replace_file
from omar_envs.types import Episode, JudgeResult, Seat

_STYLES = ("page.css", "transcript.css", "figures.css", "print.css")
_SCRIPTS = (
    *("model.js", "dom.js", "avatars.js", "votes.js", "credit.js", "setting.js"),
    *("transcript.js", "panels.js", "search.js", "timeline.js", "page.js"),
)
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}

_EYES = ("public", "all")
"""What the page calls the eyes that are no seat's."""

_Beside = TypeVar("_Beside", EpisodeTokens, JudgedEpisode)


def render_html(
    episodes: Iterable[Episode],
    *,
    title: str = "Replay",
    token_data: Iterable[EpisodeTokens] = (),
    judgements: Iterable[JudgedEpisode] = (),
) -> str:
    """The whole page.

    Args:
        episodes: shown in this order; none gives a page that says so.
        title: heading of the page, plain text.
        token_data: what a trainer knew of the episodes' tokens. Those of other episodes
            are passed over; of two for one episode the last counts.
        judgements: what judges said of the episodes, with their reasons. Those of other
            episodes are passed over.

    Raises:
        EpisodeError: an episode contradicts itself or cannot be written as JSON, an agent
            in it is called as the page calls the eyes of nobody ("public", "all"), or token
            data do not fit their episode.
        ConfigError: there are token data, or judgements, and none is of these episodes.
    """
    games = _games(list(episodes), list(token_data), list(judgements))
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


def write_replay(
    path: StrPath,
    episodes: Iterable[Episode],
    *,
    title: str = "Replay",
    token_data: Iterable[EpisodeTokens] = (),
    judgements: Iterable[JudgedEpisode] = (),
) -> None:
    """Write the page to a file, or leave the file there is as it was.

    Arguments as of :func:`render_html`.

    Raises:
        EpisodeError, ConfigError: as :func:`render_html`, or the file cannot be written.
    """
    write_page(
        path, render_html(episodes, title=title, token_data=token_data, judgements=judgements)
    )


def write_page(path: StrPath, page: str) -> None:
    """Write what :func:`render_html` gave to a file, or leave the file there is as it was.

    Raises:
        EpisodeError: the file cannot be written.
    """
    replace_file(path, [page.encode("utf-8")])


def _template(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode("utf-8")).digest()).decode()


class _Reply(NamedTuple):
    """A reply taken apart by the game's own rule: what nobody else saw, and the rest."""

    private: str
    rest: str


class _Tokens(msgspec.Struct):
    estimator: str
    seats: dict[str, SeatTokens]


class _Judgement(msgspec.Struct):
    result: JudgeResult
    parts: tuple[JudgeResult, ...]


class _Entry(msgspec.Struct):
    """What the list of games shows of one before it is opened."""

    env: str
    seed: str  # a browser's numbers are exact to 2**53 only
    seats: tuple[Seat, ...]
    stages: int
    winner: str | None
    has_tokens: bool


class _Game(msgspec.Struct):
    """What the page gets of one episode, beside what it can find out itself."""

    episode: msgspec.Raw
    replies: list[_Reply | None]  # by turn; None where nothing in the reply is private
    briefing: Briefing | None
    tokens: _Tokens | None
    judgements: list[_Judgement]


class _Shown(NamedTuple):
    entry: _Entry
    game: _Game


def _games(
    episodes: list[Episode], token_data: list[EpisodeTokens], judgements: list[JudgedEpisode]
) -> list[_Shown]:
    keys = [episode_key(episode) for episode in episodes] if token_data or judgements else []
    tokens_of = _by_episode("token data", token_data, keys)
    judged_of = _by_episode("judgements", judgements, keys)
    return [
        _shown(
            episode,
            tokens_of[key][-1] if key in tokens_of else None,
            judged_of.get(key, ()),
        )
        for episode, key in zip(episodes, keys or [""] * len(episodes), strict=True)
    ]


def _by_episode(
    name: str, items: list[_Beside], keys: Sequence[str]
) -> Mapping[str, list[_Beside]]:
    known = set(keys)
    found: dict[str, list[_Beside]] = {}
    for item in items:
        if item.episode in known:
            found.setdefault(item.episode, []).append(item)
    if items and not found:
        raise ConfigError(
            f"none of the {len(items)} {name} is of these episodes: "
            "take the files that were written with them"
        )
    return found


def _shown(
    episode: Episode, tokens: EpisodeTokens | None, judged: Sequence[JudgedEpisode]
) -> _Shown:
    taken = [seat.agent for seat in episode.seats if seat.agent in _EYES]
    if taken:
        raise EpisodeError(
            f"A page cannot tell the agent {taken[0]!r} from its own eyes of that name, "
            "and what it knows from what they see: give the agent another id."
        )
    if tokens is not None:
        check_token_data(tokens, episode)
    winner = episode.outcome.get("winner")
    tags = _private_tags(episode)
    # The last judgement of each set-up: a failed one may have been asked for again.
    judgements = {line.setup: _Judgement(line.result, line.parts) for line in judged}
    return _Shown(
        _Entry(
            env=episode.env,
            seed=str(episode.seed),
            seats=episode.seats,
            stages=len(episode.stages),
            winner=winner if isinstance(winner, str) else None,
            has_tokens=tokens is not None,
        ),
        _Game(
            episode=msgspec.Raw(encode(episode)),
            replies=[_private(turn.reply, tags) for turn in episode.turns],
            briefing=briefing_of(episode),
            tokens=None
            if tokens is None
            else _Tokens(tokens.estimator, {seat.agent: seat for seat in tokens.seats}),
            judgements=list(judgements.values()),
        ),
    )


def _embedded(games: list[_Shown]) -> str:
    """One element for each game, so that a browser reads only those that are opened."""
    index = _element('id="index"', msgspec.json.encode([game.entry for game in games]))
    return "\n".join(
        [index, *(_element('class="game"', msgspec.json.encode(game.game)) for game in games)]
    )


def _element(attribute: str, data: bytes) -> str:
    """JSON that cannot end its script element: these characters occur in strings only."""
    text = data.decode().translate(_ESCAPES)
    return f'<script type="application/json" {attribute}>{text}</script>'


def _private_tags(episode: Episode) -> list[str]:
    """The tags of the episode's own configuration, which may come from anywhere."""
    tags = episode.config.get("private_tags", DEFAULT_PRIVATE_TAGS)
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list | tuple) else []


def _private(reply: str, tags: list[str]) -> _Reply | None:
    parts = [part for part in private_parts(reply, tags) if part]
    return _Reply("\n".join(parts), strip_private(reply, tags).strip()) if parts else None
