"""A browser for the tests of the replay page, and sample pages in it, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omar_envs.replay import write_replay
from tests.e2e.chromium import EXECUTABLE, Page
from tests.e2e.replay_pages import TROUBLE, anew, requested, secretive
from tests.envs.credit_samples import tokens_of
from tests.envs.episode_samples import negotiation, werewolf_game


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if EXECUTABLE is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with Page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the sample games."""
    path = tmp_path_factory.mktemp("sample") / "replay.html"
    write_replay(path, [secretive(werewolf_game()), negotiation()], title="Sample games")
    return path


@pytest.fixture(scope="session")
def credit_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two games, the first with the data of its tokens."""
    path = tmp_path_factory.mktemp("sample") / "credit.html"
    game = werewolf_game()
    write_replay(path, [game, negotiation()], token_data=[tokens_of(game)])
    return path


@pytest.fixture
def replay(page: Page, sample: Path) -> Iterator[Page]:
    """The sample games, as at first; whatever a test did, the page must have stayed quiet."""
    anew(page, sample)
    yield page
    assert page.reported(*TROUBLE) == []
    assert all(url.startswith("file:") for url in requested(page))
