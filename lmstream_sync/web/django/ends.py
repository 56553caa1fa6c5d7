"""Where the `on_end` functions of a response's stream run: where they may use the database.

Not while the view runs, which may be inside a transaction (`ATOMIC_REQUESTS`), nor on an
event loop, where Django's ORM refuses to work. So they are kept until the body is read or
closed, which happens after the view returned and before Django ends the connections of the
request, and run in the thread of the request.

Who touches what: `_kept` is added to and emptied by any thread, one end at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from asgiref.sync import sync_to_async

from lmstream_sync.runtime.loop import current_loop_thread, on_loop_thread
from lmstream_sync.runtime.threads import start_job
from lmstream_sync.web.django.connections import tended_connections

__all__ = ["Ends", "on_event_loop"]


class Ends:
    """The ended stream's functions that are still to be called."""

    def __init__(self) -> None:
        self._kept: deque[Callable[[], None]] = deque()
        self._keeping = True

    def add(self, call: Callable[[], None]) -> None:
        """Given to `Stream.on_end_through`."""
        self._kept.append(call)
        if not self._keeping:
            self.call()

    def call(self) -> None:
        """Call what was kept, in this thread; in a worker where this one runs an event loop."""
        if self._kept and on_event_loop():
            start_job(self._call)
        else:
            self._call()

    async def acall(self) -> None:
        """The same for the task that answers a request under ASGI, in the thread that Django has for it."""
        # Cancelled while it waits, it leaves to `let_go` what was not begun.
        if self._kept:
            await sync_to_async(self._call, thread_sensitive=True)()

    def let_go(self) -> None:
        """The response is over: keep nothing from here on."""
        self._keeping = False
        self.call()

    def drop(self) -> None:
        """The same where nothing may be called, as in the garbage collector: a worker does."""
        self._keeping = False
        thread = current_loop_thread()
        if self._kept and thread is not None:
            thread.post(start_job, self._call)

    def _call(self) -> None:
        while self._kept:
            try:
                call = self._kept.popleft()
            except IndexError:  # another thread was quicker
                return
            with tended_connections():
                call()


def on_event_loop() -> bool:
    """Whether this code runs on an event loop, other than seemingly.

    Under gevent the library's own loop runs in a greenlet of the one thread there is, and
    asyncio says so in every other.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False
    ours = current_loop_thread()
    return on_loop_thread() if ours is not None and ours.loop is loop else True
