"""The library's loop, unseen by who does not run on it.

asyncio notes the running loop for each thread of the system. Under gevent and eventlet all
greenlets are on one, so in each of them `asyncio.get_running_loop()` would give this loop, and
what asks it (Django's ORM, `asyncio.run`) would refuse to work. Where a loop lets other greenlets
run, in its `select` and where it starts a thread, the note is taken back. With real threads
nothing of this is done.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["unseen", "unseen_while_waiting"]


def _greenlets() -> bool:
    """Whether what looks like threads here are greenlets: looked up at use, as patches may come late."""
    return threading.get_ident.__module__ != "_thread"


@contextmanager
def unseen() -> Iterator[None]:
    """Inside the block, which may run other greenlets, no loop is noted as running in this thread."""
    if not _greenlets():
        yield
        return
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(running)


def unseen_while_waiting(loop: asyncio.AbstractEventLoop) -> None:
    """While the loop waits, whoever asks for the running loop is told what they were before."""
    selector = getattr(loop, "_selector", None)
    if selector is None or not _greenlets():
        return
    wait = selector.select
    others: asyncio.AbstractEventLoop | None = None

    def select(timeout: float | None = None) -> Any:
        nonlocal others
        running = asyncio._get_running_loop()
        asyncio._set_running_loop(others)
        try:
            return wait(timeout)
        finally:
            others = asyncio._get_running_loop()
            asyncio._set_running_loop(running)

    selector.select = select
