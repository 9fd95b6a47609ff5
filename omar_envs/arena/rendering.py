"""Sections as plain text, as Markdown, as a page for the browser, and in a terminal."""

from __future__ import annotations

import base64
import re
import sys
import textwrap
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from omar_envs.arena.sections import Section
from omar_envs.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 80

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); }
td:first-child, th:first-child { font-weight: 600; overflow-wrap: anywhere; }
tbody tr:hover { background: var(--soft); }
.table { overflow-x: auto; }
p { max-width: 45rem; } img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
@media print { body { margin: 0; } tr { break-inside: avoid; } }
"""


def plain(told: Sequence[Section]) -> str:
    """Aligned columns, and sentences of at most :data:`WIDTH` characters a line."""
    blocks = []
    for section in told:
        lines = [section.title] if section.title else []
        lines += _aligned([section.header, *section.rows])
        if section.notes:
            lines.append("")
        for note in section.notes:
            lines += textwrap.wrap(note, WIDTH, break_long_words=False, break_on_hyphens=False)
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def markdown(told: Sequence[Section], title: str, picture: str | None = None) -> str:
    """Markdown with tables.

    Args:
        told: the sections.
        title: of all of it.
        picture: address of a picture to show first.
    """
    blocks = [f"# {_markdown(title)}"]
    if picture is not None:
        blocks.append(f"![{_markdown(title)}]({picture})")
    for section in told:
        if section.title:
            blocks.append(f"## {_markdown(section.title)}")
        lines = [section.header, ("---", *("---:" for _ in section.header[1:])), *section.rows]
        blocks.append("\n".join(f"| {' | '.join(map(_markdown, line))} |" for line in lines))
        blocks += [_markdown(note) for note in section.notes]
    return "\n\n".join(blocks) + "\n"


def page(told: Sequence[Section], title: str, png: bytes) -> str:
    """One self-contained page: it fetches nothing, runs no script, and opens from a disk."""
    picture = base64.b64encode(png).decode("ascii")
    parts = [
        f'<img alt="{_escaped(title)}: rates and differences with their intervals; the tables '
        f'below have the numbers" src="data:image/png;base64,{picture}">'
    ]
    for section in told:
        parts.append(f"<h2>{_escaped(section.title)}</h2>" if section.title else "")
        head = "".join(f'<th scope="col">{_escaped(text)}</th>' for text in section.header)
        body = "".join(
            f'<tr><th scope="row">{_escaped(row[0])}</th>'
            + "".join(f"<td>{_escaped(text)}</td>" for text in row[1:])
            + "</tr>"
            for row in section.rows
        )
        parts.append(
            f'<div class="table"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )
        parts += [f"<p>{_escaped(note)}</p>" for note in section.notes]
    content = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{_escaped(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{_escaped(title)}</h1>\n{content}\n</body></html>\n"
    )


def show_sections(told: Sequence[Section], console: Console | None = None) -> None:
    """Print to standard output: tables in a terminal, plain text into a pipe."""
    if console is None and not sys.stdout.isatty():
        print(printable(plain(told)), flush=True)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = console or Console()
    for section in told:
        table = Table(
            title=Text(printable(section.title)) if section.title else None,
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        for number, heading in enumerate(section.header):
            table.add_column(
                Text(printable(heading)), justify="left", no_wrap=number > 0, overflow="fold"
            )
        for row in section.rows:
            table.add_row(*(Text(printable(text)) for text in row))
        out.print(table)
        out.print()
        for note in section.notes:
            out.print(Text(printable(note)), style="dim" if section.title else "")
        out.print()


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(text) for text in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _markdown(text: str) -> str:
    # Names are data: a bar would end a cell, an angle bracket begin a tag.
    line = " ".join(printable(text).split())
    return re.sub(r"([\\|<>`*])", r"\\\1", line).replace("](", "]\\(")


def _escaped(text: str) -> str:
    return escape(printable(text))
