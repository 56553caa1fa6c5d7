"""Blocking waits that always end: they are sliced, and look round between the slices.

A loop that died wakes nobody, and `atexit` comes too late for threads that still wait, so
the one who waits looks himself.
"""

from __future__ import annotations

import threading
import time

from lmstream_sync.errors import LoopDied, StreamError, StreamForked, StreamTimeout
from lmstream_sync.runtime import fork
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.loop import on_loop_thread

__all__ = ["SLICE", "Expired", "Watch", "check_process", "forbid_on_loop"]

#: Seconds of one slice.
SLICE = 1.0

#: Seconds without anything, after the main thread has ended, until a wait gives up.
EXIT_PATIENCE = 5.0


def forbid_on_loop(instead: str) -> None:
    """Refuse to block the loop thread, which every stream needs.

    Raises:
        StreamError: this is the loop thread; the message names what to write instead.
    """
    if on_loop_thread():
        raise StreamError(
            f"this would block the event-loop thread, on which asynchronous programs run: use `{instead}` here"
        )


def check_process(call: Call) -> None:
    """Refuse a call of the process that this one was forked from.

    Raises:
        StreamForked: it is one.
    """
    if call.generation != fork.generation:
        raise StreamForked("this stream was opened before a fork() and belongs to the parent process; open one here")


class Expired(Exception):
    """The deadline of a wait has passed; no user sees it."""


class Watch:
    """Looks, between the slices of one wait, whether it can still end by itself.

    Args:
        call: what is waited for.
        until: when the wait ends, by `time.monotonic()`.
    """

    def __init__(self, call: Call, until: float | None = None) -> None:
        self._call = call
        self._until = until
        self._since = time.monotonic()

    def slice(self) -> float:
        """Seconds to wait now.

        Raises:
            Expired: the deadline has passed.
        """
        if self._until is None:
            return SLICE
        left = self._until - time.monotonic()
        if left <= 0:
            raise Expired
        return min(SLICE, left)

    def look(self) -> None:
        """A slice passed and nothing came.

        Raises:
            StreamForked: this is a child of the process that the call runs in.
            LoopDied: the loop thread is gone.
            StreamTimeout: `which="exit"`, see `EXIT_PATIENCE`.
        """
        call = self._call
        check_process(call)
        if not call.thread.alive:
            call.lost()
            raise LoopDied(f"the event-loop thread that ran {call.name} is gone; the next call starts another")
        if call.unattended:
            return  # at exit it has a grace time of its own, after which the loop ends
        if not threading.main_thread().is_alive() and time.monotonic() - self._since >= EXIT_PATIENCE:
            call.request_stop("left")
            raise StreamTimeout("the interpreter is exiting and nothing came any more", which="exit")
