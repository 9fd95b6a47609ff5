"""The server that all checks of this folder share, and what it did, said at the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from checks.vllm.server import Server

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "runs" / "vllm-venv" / "bin" / "python"
WEIGHTS = ROOT / "runs" / "smollm2"
LOG = ROOT / "runs" / "vllm-server.log"
DID = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[DID] = []
    # Whoever ends the run by a signal ends the server, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> Iterator[Server]:
    if not PYTHON.exists() or not WEIGHTS.exists():
        pytest.fail("there is no server, or no model, to check against: run make test-vllm")
    with Server(PYTHON, WEIGHTS, LOG) as running:
        yield running
        pytestconfig.stash[DID] += summary(running)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OPENAI_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def report(pytestconfig: pytest.Config) -> list[str]:
    """Lines for the end of the run."""
    return pytestconfig.stash[DID]


def summary(server: Server) -> list[str]:
    hits = server.metric("prefix_cache_hits_total")
    asked = server.metric("prefix_cache_queries_total")
    return [
        f"server: up in {server.start_seconds:.0f} s; "
        f"{server.metric('request_success_total'):,.0f} requests, "
        f"{server.metric('prompt_tokens_total'):,.0f} prompt tokens, "
        f"{hits / asked:.0%} of them from its prefix cache, "
        f"{server.metric('generation_tokens_total'):,.0f} generated; log: {LOG}",
    ]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.stash[DID]:
        terminalreporter.section("vLLM")
        for line in config.stash[DID]:
            terminalreporter.write_line(line)
