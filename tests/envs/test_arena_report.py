"""What is shown of results: a terminal, a pipe, Markdown, a page, a picture."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from omar_envs import RandomPolicy
from omar_envs.arena import Contestant, Tournament, evaluate
from omar_envs.arena.rendering import show_sections
from omar_envs.arena.sections import sections
from omar_envs.errors import ConfigError

SMALL: dict[str, Any] = {"num_players": 5, "discussion_rounds": 1}
PNG = b"\x89PNG\r\n\x1a\n"
HOSTILE = "<script>alert(1)</script> | \x1b[31mred\u202e $x$ ](http://evil)"


@pytest.fixture(scope="module")
def pair() -> Tournament:
    return evaluate(["scripted", "random"], env="werewolf", settings=SMALL, games=12)


@pytest.fixture(scope="module")
def many() -> Tournament:
    hostile = Contestant(HOSTILE, RandomPolicy, per_game=True)
    return evaluate(
        ["scripted", "random", hostile], env="werewolf", settings=SMALL, games=4, nash=True
    )


@pytest.fixture(scope="module")
def social() -> Tournament:
    return evaluate(["scripted", "random"], env="sotopia", games=4)


def test_a_pipe_gets_plain_text(pair: Tournament, capsys: pytest.CaptureFixture[str]) -> None:
    show_sections(sections(pair, whole=False))
    told = capsys.readouterr().out
    assert told == pair.table() + "\n"
    assert "\x1b" not in told
    assert all(len(line) <= 80 for line in told.splitlines())
    for words in ("A: scripted", "both teams", "Win rate by role", "sign-flip", "concealment"):
        assert words in told


@pytest.mark.parametrize("which", ["pair", "many", "social"])
def test_a_terminal_of_80_columns_is_wide_enough(
    which: str, request: pytest.FixtureRequest
) -> None:
    from rich.console import Console

    found: Tournament = request.getfixturevalue(which)
    screen = io.StringIO()
    show_sections(sections(found, whole=False), Console(file=screen, width=80, force_terminal=True))
    plain = Console(file=io.StringIO(), width=80)
    told = screen.getvalue()
    assert "…" not in told
    assert "\x1b[31m" not in told and "\u202e" not in told
    lines = plain.render_lines(told)
    assert lines


def test_markdown_has_every_measure_and_no_markup_of_names(
    pair: Tournament, many: Tournament
) -> None:
    told = pair.markdown()
    assert "| A: scripted |" in told
    assert "seats alive at the end" in told
    rows = [line for line in told.splitlines() if line.startswith("|")]
    assert len(rows) > 30
    hostile = many.markdown()
    assert "<script>" not in hostile.replace("\\<", "")
    assert "](http" not in hostile
    for line in hostile.splitlines():
        if line.startswith("| 1:"):
            assert line.replace("\\|", "").count("|") == 5


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_holds_everything_and_runs_nothing(many: Tournament, tmp_path: Path) -> None:
    (written,) = many.report(tmp_path / "page.html")
    page = Page()
    page.feed(written.read_text("utf-8"))
    assert "script" not in {tag for tag, _ in page.tags}
    sources = [of["src"] for _, of in page.tags if "src" in of]
    assert len(sources) == 1 and (sources[0] or "").startswith("data:image/png;base64,")
    assert not any("href" in of for _, of in page.tags)
    assert "<script>alert(1)</script>" in page.text
    assert "red" in page.text and not {"\x1b", "\u202e"} & set(page.text)
    for words in ("Cross table", "Nash average", "Win rate by role", "openskill"):
        assert words in page.text


def test_a_folder_gets_all_forms(pair: Tournament, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    written = pair.report(folder)
    assert sorted(path.name for path in written) == [
        "report.html",
        "report.md",
        "report.png",
        "result.json",
    ]
    assert (folder / "report.png").read_bytes().startswith(PNG)
    assert "(report.png)" in (folder / "report.md").read_text("utf-8")
    again = Tournament.from_json((folder / "result.json").read_bytes())
    assert again.table() == pair.table()


@pytest.mark.parametrize("which", ["pair", "many", "social"])
def test_a_picture_of_everything(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    request.getfixturevalue(which).plot(tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)


def test_markdown_has_its_picture_beside_it(pair: Tournament, tmp_path: Path) -> None:
    pair.report(tmp_path / "x.md")
    assert "(x.png)" in (tmp_path / "x.md").read_text("utf-8")
    assert (tmp_path / "x.png").is_file()


@pytest.mark.parametrize("name", ["x.pdf", "none/x.html"])
def test_reports_that_cannot_be_written(pair: Tournament, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        pair.report(tmp_path / name)
    with pytest.raises(ConfigError, match=r"\.png"):
        pair.plot(tmp_path / "x.svg")


def test_outcomes_of_scenarios_are_told(social: Tournament) -> None:
    told = social.table()
    for words in ("Outcome", "settled", "joint_share", "points", "Reward of a seat"):
        assert words in told
