"""A browser for the tests of the replay page, started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omar_envs.replay import write_replay
from tests.e2e.chromium import EXECUTABLE, Page
from tests.e2e.replay_pages import TROUBLE, requested, secretive
from tests.envs.episode_samples import negotiation, werewolf_game


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if EXECUTABLE is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with Page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def replay(page: Page, tmp_path: Path) -> Iterator[Page]:
    """The sample games, opened; whatever a test did, the page must have stayed quiet."""
    page.resize(1300, 900)
    page.prefer("light")
    path = tmp_path / "replay.html"
    write_replay(path, [secretive(werewolf_game()), negotiation()], title="Sample games")
    page.open(path)
    yield page
    assert page.reported(*TROUBLE) == []
    assert all(url.startswith("file:") for url in requested(page))
