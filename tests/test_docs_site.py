"""The site builds without a warning, asks no other host for anything, and opens from disk."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

from tests.e2e.chromium import EXECUTABLE, Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
LOADED = {"audio", "embed", "iframe", "img", "script", "source", "video"}
"""Tags whose ``src`` a browser fetches; of ``link``, its ``href``."""
BUILD = "import socket, sys; {}; from mkdocs.__main__ import cli; cli(sys.argv[1:])"
NO_NETWORK = "socket.socket.connect = lambda *_: sys.exit('the build asks another host')"

pytestmark = pytest.mark.slow


class Fetched(HTMLParser):
    """Addresses that a page makes a browser fetch, and the text that a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text = ""
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self._code += tag in ("code", "pre", "script")
        if tag in LOADED and told.get("src"):
            self.addresses.append(str(told["src"]))
        if tag == "link" and told.get("rel") not in ("canonical", "prev", "next"):
            self.addresses.append(str(told.get("href")))

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("code", "pre", "script")

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-c", BUILD.format(NO_NETWORK)]
    done = subprocess.run(
        [*command, "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Fetched]:
    read = {}
    for path in site.rglob("*.html"):
        page = Fetched()
        page.feed(path.read_text("utf-8"))
        read[path.relative_to(site).as_posix()] = page
    return read


@pytest.fixture(scope="module")
def docstrings() -> ModuleType:
    spec = util.spec_from_file_location("docstrings", DOCS / "site" / "docstrings.py")
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_there_and_can_be_reached(site: Path, pages: dict[str, Fetched]) -> None:
    home = (site / "index.html").read_text("utf-8")
    for page in DOCS.rglob("*.md"):
        built = page.relative_to(DOCS).with_suffix(".html").as_posix()
        assert built in pages
        assert f'href="{built}" class="md-nav__link' in home, f"{page.name} stands in no menu"
    assert not list(site.rglob("hooks.py"))


def test_pages_load_nothing_from_other_hosts(site: Path, pages: dict[str, Fetched]) -> None:
    for name, page in pages.items():
        for address in page.addresses:
            assert not re.match(r"(\w+:)?//", address), f"{name} loads {address}"
            # The page for what is not there is shown at any address, so it counts from the top.
            base = site if address.startswith("/") else (site / name).parent
            assert base.joinpath(address.split("?")[0].lstrip("/")).exists(), (name, address)
    for style in site.rglob("*.css"):
        # The theme's icons are data: addresses inside the file.
        for address in re.findall(r"url\(\s*[\"']?([^\"')]+)", style.read_text("utf-8")):
            assert not re.match(r"(https?:)?//", address), f"{style.name} loads {address}"
        assert "@import" not in style.read_text("utf-8")


def test_formulas_are_mathml(site: Path) -> None:
    text = (site / "algorithm.html").read_text("utf-8")
    assert text.count("<math ") > 40
    assert "<mi>δ</mi>" in text or "<mi>&#x003B4;</mi>" in text
    assert "arithmatex" not in text
    assert not re.search(r"\\(?:gamma|lambda|hat|frac|qquad)", text)


def test_docstrings_are_read_as_markdown(pages: dict[str, Fetched]) -> None:
    reference = {name: page.text for name, page in pages.items() if name.startswith("api/")}
    assert len(reference) >= 8
    for name, text in reference.items():
        assert not re.search(r":(?:attr|class|data|func|meth|mod):", text), name
        assert "====" not in text, name
        assert "autoref" not in text, name


def test_names_in_docstrings_are_linked(site: Path) -> None:
    text = (site / "api" / "environments.html").read_text("utf-8")
    assert re.search(r'href="#omar_envs\.types\.Episode"[^>]*><code>Episode</code>', text)
    assert 'id="omar_envs.conversation.ConversationEnv.view"' in text
    assert 'id="omar_envs.conversation.ConversationEnv._publish"' not in text


def test_search_knows_the_pages(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    places = {each["location"].partition("#")[0] for each in index["docs"]}
    assert {"faq.html", "algorithm.html", "api/judge.html", "werewolf.html"} <= places


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if EXECUTABLE is None:
        pytest.skip("there is no Chromium here")
    with Page(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.mark.parametrize("name", ["index.html", "algorithm.html", "api/environments.html"])
def test_a_browser_opens_pages_from_disk(site: Path, browser: Page, name: str) -> None:
    browser.resize(390, 844, mobile=True)
    browser.open(site / name)
    browser.wait_for("document.querySelector('[data-md-component=search-query]')")
    asked = [event["request"]["url"] for event in browser.reported("Network.requestWillBeSent")]
    assert not [url for url in asked if url.startswith(("http:", "https:", "ws:"))]
    assert not browser.reported("Runtime.exceptionThrown")
    assert browser.run("document.documentElement.scrollWidth") <= 390, "it scrolls sideways"


def test_search_works_from_disk(site: Path, browser: Page) -> None:
    browser.resize(1280, 900)
    # The search begins when its box is first focused, which a hidden window never is.
    browser.send("Emulation.setFocusEmulationEnabled", enabled=True)
    browser.open(site / "index.html")
    browser.run("""(() => {
        const box = document.querySelector("[data-md-component=search-query]");
        box.focus();
        box.value = "dead agent rewarded";
        box.dispatchEvent(new Event("keyup", {bubbles: true}));
    })()""")
    browser.wait_for("document.querySelector('.md-search-result__link[href*=\"faq.html\"]')")


def test_a_simple_table_becomes_markdown(docstrings: ModuleType) -> None:
    text = "A\n\n====  ====\nx     y\n====  ====\n1     two\n      three\n4     5\n====  ====\n\nB"
    found = docstrings.markdown(text, None)
    assert found.split("\n")[2:9] == [
        *("", "| x | y |", "| --- | --- |", "| 1 | two three |", "| 4 | 5 |", "", "")
    ]
    assert found.startswith("A\n") and found.endswith("\nB")


def test_two_tables_and_text_between_them(docstrings: ModuleType) -> None:
    text = "===  ===\na    b\n===  ===\n\nbetween\n\n===  ===\nc    d\n===  ===\ne    f\n===  ==="
    found = docstrings.markdown(text, None)
    assert "between" in found
    assert "| a | b |" in found and "| e | f |" in found
    assert "=" not in found


def test_literal_blocks_and_roles(docstrings: ModuleType) -> None:
    text = "See :class:`~omar_envs.types.View` ::\n\n    code\n\nor::\n\n    more"
    assert docstrings.markdown(text, None) == (
        'See <autoref identifier="omar_envs.types.View" optional><code>View</code></autoref>'
        "\n\n    code\n\nor:\n\n    more"
    )


def test_arguments_become_a_list(docstrings: ModuleType) -> None:
    text = "Arguments\n---------\na : int\n    What it is.\nb, c : str\nd\n    Last.\n\nAfter : all"
    lines = docstrings.markdown(text, None).split("\n")
    assert lines[2:7] == [
        "- `a` (int):",
        "    What it is.",
        "- `b`, `c` (str)",
        "- `d`:",
        "    Last.",
    ]
