"""Work that goes on with nobody waiting for it: what reads streams whose readers left them to themselves.

No thread waits for one: each is a task on the loop. `_running` belongs to the loop thread,
but that `_wait_for_all`, at exit, looks at whether it is empty.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from lmstream_sync.runtime import fork
from lmstream_sync.runtime.loop import LoopThread, before_loop_exit
from lmstream_sync.settings import settings

__all__ = ["run_unattended"]

# Calls that were asked for and tasks that run; what they refer to lives as long.
_running: set[object] = set()

#: Seconds between two looks at whether all have ended, at exit.
_LOOK = 0.02


def run_unattended(thread: LoopThread, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine to its end on the loop; at exit it has `settings.detach_grace` seconds for that.

    Args:
        thread: the loop thread.
        make: gives the coroutine; called on the loop. It must not raise.
    """

    def begin() -> None:
        task = asyncio.ensure_future(make())
        _running.add(task)
        _running.discard(begin)
        task.add_done_callback(_running.discard)

    _running.add(begin)
    if not thread.post(begin):
        _running.discard(begin)


def _wait_for_all() -> None:
    grace = settings.process_wide("detach_grace")
    until = time.monotonic() + (grace or 0.0)
    pause = threading.Event()
    while _running and time.monotonic() < until:
        pause.wait(_LOOK)


before_loop_exit(_wait_for_all)
fork.after_fork_in_child(_running.clear)
