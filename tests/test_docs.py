"""The documentation's code runs as it stands, and what its commands name exists."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from omar_envs.cli import main
from tests.run_pages import BLOCK, code_of

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
WITH_CODE = [page for page in PAGES if code_of(page).strip()]
WITH_TORCH = {"algorithm"}
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]
REASONS = ("needs a server", "needs a GPU")
"""Why code on a page may stand there without being run."""


def shell_lines() -> list[tuple[str, str]]:
    """Every command of every page, and the page."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
            lines = block.replace("\\\n", " ").splitlines()
            found += [(page.stem, line) for line in lines if line.strip() and line[0] != "#"]
    return found


SHELL = shell_lines()


def failures(pages: list[Path]) -> dict[str, str | None]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.run_pages", *map(str, pages)],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    wrong: dict[str, str | None] = json.loads(done.stdout)
    return wrong


@pytest.fixture(scope="module")
def wrong() -> dict[str, str | None]:
    return failures([page for page in WITH_CODE if page.stem not in WITH_TORCH])


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page: Path, request: pytest.FixtureRequest) -> None:
    told = failures([page]) if page.stem in WITH_TORCH else request.getfixturevalue("wrong")
    assert told[str(page)] is None, told[str(page)]


def test_code_that_cannot_run_says_why() -> None:
    for page in PAGES:
        for reason, _ in BLOCK.findall(page.read_text("utf-8")):
            assert reason in ("", *REASONS), f"{page.name}: {reason}"
        # A mark that stands elsewhere would mark nothing.
        marks = page.read_text("utf-8").count("<!-- not run")
        assert marks == sum(bool(reason) for reason, _ in BLOCK.findall(page.read_text("utf-8")))


def test_pages_with_code_were_found() -> None:
    stems = {page.stem for page in WITH_CODE}
    assert {"index", "quick_start", "werewolf", "add_a_role", "add_a_game", "faq"} <= stems


def test_the_game_of_the_page_is_the_example() -> None:
    example = (ROOT / "examples" / "add_a_game.py").read_text("utf-8")
    text = (DOCS / "add_a_game.md").read_text("utf-8")
    place = 0
    *of_the_game, _ = (body for _, body in BLOCK.findall(text))
    for body in of_the_game:
        found = example.find(body, place)
        assert found >= 0, f"the example does not go on with:\n{body}"
        place = found + len(body)
    assert example[place:].lstrip().startswith('if __name__ == "__main__":')


def test_links_lead_somewhere() -> None:
    for page in (*PAGES, ROOT / "README.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize(
    ("page", "line"), [each for each in SHELL if each[1].startswith("omar-envs ")]
)
def test_commands_have_these_options(
    page: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options are read before ``--help`` is shown; nothing runs."""
    with pytest.raises(SystemExit) as stop:
        main([*shlex.split(line, comments=True)[1:], "--help"])
    assert stop.value.code == 0, capsys.readouterr().err


def test_commands_with_an_unknown_option_are_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["rollout", "--no-such-option", "--help"])
    assert stop.value.code == 2
    assert "no-such-option" in capsys.readouterr().err


def test_scripts_and_recipes_exist() -> None:
    for page, line in SHELL:
        words = shlex.split(line, comments=True)
        for before, word in pairwise(words):
            if before == "-m" and "python" in words[0]:
                assert find_spec(word), f"{page}: {line}"
            if before == "python" and word.endswith(".py"):
                assert (ROOT / word).is_file(), f"{page}: {line}"
            if before == "--recipe":
                recipe = ROOT / "trainers" / "recipes" / f"{word}.yaml"
                assert recipe.is_file() or word.isupper(), f"{page}: {line}"
        if words[0] == "make":
            planned = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True)
            assert planned.returncode == 0, f"{page}: {line}"


def test_extras_exist() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        for named in re.findall(r"(?:omar-envs|-e '?\.)\[([a-z,]+)\]", text):
            assert set(named.split(",")) <= set(EXTRAS), f"{page.name}: {named}"
