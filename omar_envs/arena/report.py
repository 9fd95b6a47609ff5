"""A report in files: one page for the browser, or Markdown with its picture beside it."""

from __future__ import annotations

from pathlib import Path

from omar_envs.arena.libraries import needs
from omar_envs.arena.plotting import png
from omar_envs.arena.rendering import markdown, page
from omar_envs.arena.results import Tournament
from omar_envs.arena.sections import sections
from omar_envs.errors import ConfigError
from omar_envs.transcript import replace_file

_PAGES = (".html", ".htm")
_MARKDOWN = (".md", ".markdown")
_PICTURE = ".png"


def check_report(path: Path) -> None:
    """Whether a report can be written there, found out before any game is played.

    Raises:
        ConfigError: it cannot, or matplotlib is missing.
    """
    needs("matplotlib", "arena")
    ending = path.suffix.lower()
    if path.is_dir() or ending in (*_PAGES, *_MARKDOWN, _PICTURE):
        if not path.parent.is_dir():
            raise ConfigError(f"there is no folder {path.parent}: make it first")
    elif ending:
        raise ConfigError(f"a report is a folder, or a file in .html, .md or .png: got {path}")
    elif path.exists():
        raise ConfigError(f"{path} is a file: name a folder, or a file in .html, .md or .png")


def write_report(path: Path, found: Tournament) -> list[Path]:
    """Write a report; files of an earlier one are replaced.

    Args:
        path: a file in ``.html`` (one page that holds everything), ``.md`` (with a
            picture of the same name) or ``.png``, or a folder, made where there is none,
            for ``report.html``, ``report.md``, ``report.png`` and ``result.json``.
        found: the run.

    Returns:
        what was written.

    Raises:
        ConfigError: as :func:`check_report`.
        EpisodeError: the disk does not take it.
    """
    check_report(path)
    title = _title(found)
    told = sections(found, whole=True)
    picture = png(found)
    ending = path.suffix.lower() if not path.is_dir() else ""
    if ending:
        if ending in _PAGES:
            contents = {path: page(told, title, picture).encode("utf-8")}
        elif ending in _MARKDOWN:
            beside = path.with_suffix(_PICTURE)
            text = markdown(told, title, picture=beside.name)
            contents = {path: text.encode("utf-8"), beside: picture}
        else:
            contents = {path: picture}
    else:
        path.mkdir(parents=True, exist_ok=True)
        contents = {
            path / "report.html": page(told, title, picture).encode("utf-8"),
            path / "report.md": markdown(told, title, picture="report.png").encode("utf-8"),
            path / "report.png": picture,
            path / "result.json": found.to_json().encode("utf-8") + b"\n",
        }
    for file, content in contents.items():
        replace_file(file, [content])
    return list(contents)


def _title(found: Tournament) -> str:
    game = found.env.removesuffix("_v0").capitalize()
    if len(found.entrants) == 2:
        return f"{game}: {found.entrants[0]} against {found.entrants[1]}"
    return f"{game}: {len(found.entrants)} entrants"
