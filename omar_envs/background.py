"""An event loop in a thread of its own, for asynchronous work asked for from ordinary code."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from omar_envs.errors import StateError

_Result = TypeVar("_Result")


class LoopThread:
    """An event loop that runs in a thread of its own until it is stopped.

    Work that is given to it also runs where a loop is running already, as in a notebook.
    A forked process has no part of its parent's threads: what was made before the fork is
    of no use there.

    Args:
        at_end: called there before the loop closes.
    """

    def __init__(self, at_end: Callable[[], Awaitable[None]] | None = None) -> None:
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

        async def live() -> None:
            stopped = asyncio.Event()
            started.set_result((asyncio.get_running_loop(), stopped))
            await stopped.wait()
            if at_end is not None:
                await at_end()

        self._thread = threading.Thread(
            target=lambda: asyncio.run(live()), name="omar-envs", daemon=True
        )
        self._process = os.getpid()
        self._thread.start()
        self._loop, self._stopped = started.result()

    def submit(self, work: Coroutine[Any, Any, _Result]) -> Future[_Result]:
        """Run ``work`` there. Cancelling the future cancels it.

        Raises:
            StateError: this is another process than the one that made it.
        """
        if os.getpid() != self._process:
            work.close()
            raise StateError("this was made in another process, before a fork: make one here")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run ``work`` there and wait for it; an interrupt cancels it.

        Raises:
            StateError: as :meth:`submit`.
        """
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    @property
    def is_current(self) -> bool:
        """Whether this is asked on the thread itself."""
        return threading.current_thread() is self._thread

    def stop(self) -> None:
        """End the loop and its thread; in a forked process there is none to end."""
        if os.getpid() != self._process:
            return
        self._loop.call_soon_threadsafe(self._stopped.set)
        # The garbage collector may run this on the thread itself.
        if not self.is_current:
            self._thread.join()
