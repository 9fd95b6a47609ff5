"""The notebook runs from top to bottom, with small numbers and without its installation."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chromium import EXECUTABLE, Page

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "colab.ipynb"
CONTENT: dict[str, Any] = json.loads(NOTEBOOK.read_text("utf-8"))
SMALL = {"ITERATIONS": 1, "GAMES_PER_ITERATION": 64, "ARENA_GAMES": 8}


def tagged(tag: str) -> list[dict[str, Any]]:
    return [cell for cell in CONTENT["cells"] if tag in cell["metadata"].get("tags", [])]


def program() -> str:
    """The cells as a script, in which a cell's last value is shown as a notebook shows it."""
    lines = ["shown = []"]
    for cell in CONTENT["cells"]:
        if cell["cell_type"] != "code" or cell in tagged("install"):
            continue
        body = ast.parse("".join(cell["source"]))
        *_, last = body.body
        if isinstance(last, ast.Expr):
            body.body[-1] = ast.parse("shown.append()").body[0]
            body.body[-1].value.args = [last.value]  # type: ignore[attr-defined]
        lines.append(ast.unparse(body))
    lines.append("pages = [each._repr_html_() for each in shown if hasattr(each, '_repr_html_')]")
    lines.append("open('shown.html', 'w').write('\\n'.join(pages))")
    text = "\n".join(lines)
    for name, number in SMALL.items():
        text, found = re.subn(rf"^{name} = \d+$", f"{name} = {number}", text, flags=re.MULTILINE)
        assert found == 1, name
    return text


def test_it_is_a_clean_notebook() -> None:
    assert CONTENT["nbformat"] == 4
    assert len(tagged("install")) == len(tagged("parameters")) == 1
    for cell in CONTENT["cells"]:
        assert re.fullmatch(r"[\w-]{1,64}", cell["id"])
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
    assert NOTEBOOK.stat().st_size < 20_000


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("notebook")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program()],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder, done.stdout


@pytest.mark.slow
def test_it_plays_trains_and_measures(ran: tuple[Path, str]) -> None:
    folder, printed = ran
    assert "both teams" in printed
    assert (folder / "runs" / "notebook" / "final" / "model.safetensors").is_file()
    shown = (folder / "shown.html").read_text("utf-8")
    assert shown.count("<iframe ") == 2 and shown.count("<img ") == 1


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="there is no Chromium here")
def test_what_it_shows_is_seen(ran: tuple[Path, str], tmp_path: Path) -> None:
    """The replays as frames inside another page, without an error and without any request."""
    folder, _ = ran
    with Page(tmp_path) as page:
        page.open(folder / "shown.html")
        page.wait_for("document.images[0].complete && document.images[0].naturalWidth > 100")
        asked = [event["request"]["url"] for event in page.reported("Network.requestWillBeSent")]
        assert not [url for url in asked if url.startswith(("http:", "https:"))]
        assert not page.reported("Runtime.exceptionThrown")
