"""Something that is done once a process, in a worker, by whoever asks first; all others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context

from lmstream_sync.runtime import fork
from lmstream_sync.runtime.locks import ForkSafeLock
from lmstream_sync.runtime.threads import start_job

__all__ = ["Once"]


class Once:
    """Runs a function once, in a worker thread; any number of tasks of any loop wait for it.

    It belongs to nobody: a waiter that is cancelled does not take it from the others. What
    it raises reaches all who wait, and the next one to ask tries again.
    """

    def __init__(self, fn: Callable[[], None]) -> None:
        self._fn = fn
        # Guards the three below.
        self._lock = ForkSafeLock()
        self._done = False
        self._running = False
        self._waiting: list[Callable[[BaseException | None], None]] = []
        fork.after_fork_in_child(self._forget_the_parents_run)

    @property
    def done(self) -> bool:
        """Whether it was done, so that there is nothing to wait for."""
        return self._done

    async def wait(self) -> None:
        """Return when it was done; start it where nobody has.

        Raises:
            Exception: what the function raised.
        """
        if self._done:
            return
        loop = asyncio.get_running_loop()
        came: asyncio.Future[BaseException | None] = loop.create_future()

        def tell(error: BaseException | None) -> None:
            with suppress(RuntimeError):  # their loop was closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, came, error)

        with self._lock:
            if self._done:
                return
            self._waiting.append(tell)
            starts = not self._running
            self._running = True
        if starts:
            # Not in the context of the one who came first, which it would keep alive.
            start_job(lambda: Context().run(self._run))
        error = await came
        if error is not None:
            raise error

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            with fork.importing():
                self._fn()
        except BaseException as raised:
            error = raised
        with self._lock:
            self._done = error is None
            self._running = False
            waiting, self._waiting = self._waiting, []
        for tell in waiting:
            tell(error)

    def _forget_the_parents_run(self) -> None:
        self._running = False
        self._waiting = []


def _settle(came: asyncio.Future[BaseException | None], error: BaseException | None) -> None:
    if not came.done():
        came.set_result(error)
