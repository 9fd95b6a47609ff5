"""Settings of all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# What a shell starts in the background ignores Ctrl-C, and so would all that a test starts:
# a handler of Python's own is none to a new program, which then begins with the default.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines differ tenfold in speed: how long an example takes says nothing.
settings.register_profile(
    "omar", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("omar")


@pytest.fixture(autouse=True, scope="session")
def _games_are_saved_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nobody's own folder of saved games is touched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
