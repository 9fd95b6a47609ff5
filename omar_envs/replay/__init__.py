"""Recorded games as one self-contained web page.

The page needs no network and opens from ``file://``. Everything in the episodes
is embedded as data and set as text only, never as markup, and a content
security policy admits the page's own script and style by their hashes and
nothing else.

Roles, rewards and the outcome stay hidden until the reader asks for them, or the game
reveals a role. The page shows the game through one pair of eyes at a time: what is
public, what one seat could read (its briefing, exactly the messages whose audience
holds it, and its own acts), or everything.

::

    from omar_envs.replay import read_for_replay, write_replay

    read = read_for_replay(["runs/more/games"])
    write_replay("replay.html", read.episodes, token_data=read.token_data)
"""

from omar_envs.replay.page import render_html, write_page, write_replay
from omar_envs.replay.serving import page_server, serve_page
from omar_envs.replay.sources import ForReplay, read_for_replay
from omar_envs.replay.token_data import (
    TOKEN_DATA_VERSION,
    EpisodeTokens,
    SeatTokens,
    TurnTokens,
    episode_key,
    read_token_data,
    write_token_data,
)
from omar_envs.transcript import TOKEN_DATA_SUFFIX

__all__ = [
    "TOKEN_DATA_SUFFIX",
    "TOKEN_DATA_VERSION",
    "EpisodeTokens",
    "ForReplay",
    "SeatTokens",
    "TurnTokens",
    "episode_key",
    "page_server",
    "read_for_replay",
    "read_token_data",
    "render_html",
    "serve_page",
    "write_page",
    "write_replay",
    "write_token_data",
]
