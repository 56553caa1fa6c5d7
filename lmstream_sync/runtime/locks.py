"""A lock that a `fork()` cannot leave locked in the child.

Before a fork every such lock is taken, so that what it guards is whole in the child, and
afterwards each gets a fresh one there. They are held briefly, with no I/O, no waiting and
no user code inside.
"""

from __future__ import annotations

import threading
import time
import weakref
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING

__all__ = ["ForkSafeLock", "renew_all", "take_all"]


class ForkSafeLock:
    """Like `threading.Lock`, and fresh in a forked child."""

    def __init__(self) -> None:
        # The name is looked up here: gevent may have patched it since the import.
        self._lock = threading.Lock()
        _all.add(self)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; false when it could not be had (in time)."""
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    if TYPE_CHECKING:

        def __enter__(self) -> bool: ...

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
        ) -> None: ...

    else:
        # Those of the lock itself, whichever it is by now, with no function of Python's in between.
        __enter__ = property(attrgetter("_lock.__enter__"))
        __exit__ = property(attrgetter("_lock.__exit__"))

    def renew(self) -> None:
        """Put a fresh lock in place (in a forked child, where its holder does not exist)."""
        self._lock = threading.Lock()


_all: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()


def _every_lock() -> list[ForkSafeLock]:
    while True:
        try:
            return list(_all)
        except RuntimeError:  # another thread made one while we looked
            continue


def take_all(seconds: float) -> list[ForkSafeLock]:
    """Take every lock, waiting `seconds` at most in all; gives those that were had."""
    until = time.monotonic() + seconds
    return [lock for lock in _every_lock() if lock.acquire(timeout=max(0.0, until - time.monotonic()))]


def renew_all() -> None:
    """Make every lock fresh."""
    for lock in _every_lock():
        lock.renew()
