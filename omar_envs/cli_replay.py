"""``omar-envs replay``: a page for the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omar_envs.cli_help import About
from omar_envs.cli_options import natural
from omar_envs.errors import ConfigError
from omar_envs.terminal import show

ABOUT = About(
    "Turn files or folders of episodes into one page for the browser.",
    "omar-envs replay episodes.jsonl -o replay.html\n  omar-envs replay runs/demo --serve",
    """\
The page holds everything it needs; it is overwritten if it exists. In a folder,
every file of episodes in it and below is taken. What lies beside games.jsonl is
found by its name: games.tokens.jsonl, which a training run leaves beside its
sample games, and games.judged.jsonl, which omar-envs judge writes.

--serve shows the page on http://127.0.0.1 instead, to this machine alone, until
Ctrl-C, which is no error: the exit code is 0. With -o it is written as well.
""",
)


def command(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="episodes, as JSON lines, or a folder of such files"),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="default: FILE with the ending .html, or replay.html in the folder",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXT", help="heading  (default: FILE's name)")
    ] = None,
    tokens: Annotated[
        list[Path] | None,
        typer.Option("--tokens", metavar="FILE", help="token data that lie elsewhere"),
    ] = None,
    judged: Annotated[
        list[Path] | None,
        typer.Option("--judged", metavar="FILE", help="judgements that lie elsewhere"),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="show it on this machine's loopback address")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="N", parser=natural, help="of --serve  (default: a free one)"
        ),
    ] = None,
) -> None:
    """Write the page, or serve it."""
    from omar_envs.replay import read_for_replay, render_html, serve_page, write_page

    if port is not None and not serve:
        raise ConfigError("--port is of --serve: add that, or leave it out")
    read = read_for_replay(files, tokens=tokens or (), judged=judged or ())
    if not read.episodes:
        raise ConfigError(f"no episode in {', '.join(map(str, files))}")
    target = None if serve and out is None else out or _beside(files)
    if target is not None:
        read.check_spared(target)
    first = files[0]
    page = render_html(
        read.episodes,
        title=(first.resolve().name if first.is_dir() else first.stem) if title is None else title,
        token_data=read.token_data,
        judgements=read.judgements,
    )
    count = len(read.episodes)
    told = "1 episode" if count == 1 else f"{count} episodes"
    if target is not None:
        write_page(target, page)
        show(f"{told} in {target}: open it in a browser")
    if serve:
        serve_page(page, port or 0, announce=lambda url: show(f"{told} at {url}  (Ctrl-C ends)"))


def _beside(files: list[Path]) -> Path:
    if len(files) == 1 and not files[0].is_dir():
        return files[0].with_suffix(".html")
    return (files[0] if files[0].is_dir() else files[0].parent) / "replay.html"
