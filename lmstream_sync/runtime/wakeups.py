"""`Wakeup`: a wait on an asyncio loop, of whatever thread, that any other thread may end.

Each reader's loop has one bell, which all waits on it share: those that are ended while the
loop has not come round yet are told together, by one write to its wake-up pipe, and one timer
serves as the slice of all of them. When that passes, only those are told who have something to
look at: a thousand readers who wait need not be woken every second to find that all is well.

Who touches what: `rung` is extended by any thread and emptied on the reader's loop; `called` is
set by who rings and unset on the loop before it empties `rung`, so that whoever comes second of
the two sees the other; `_waiting` and `_ticking` belong to the reader's loop. A bell refers to
its loop only through waits that were not ended; those that were, or were left, are forgotten after a
slice, and all where the loop was closed, when another loop gets its bell.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque

from lmstream_sync.runtime.loop import LoopThread
from lmstream_sync.runtime.waiting import SLICE

__all__ = ["Wakeup"]


class Wakeup:
    """A wait on the running loop that any thread may end, by calling this; one waits on it at a time.

    For waits as short as can be, `begin` gives what is awaited, and `end` is called after the last of them.

    Attributes:
        thread: the loop thread of what is waited for. While it serves, and the interpreter does not
            end, the wait goes on when a slice has passed; without one each slice ends it.
    """

    __slots__ = ("_bell", "_came", "_posted", "_timer", "entered", "loop", "thread")

    def __init__(self) -> None:
        self.thread: LoopThread | None = None
        self.loop = asyncio.get_running_loop()
        self._bell = _bell_of(self.loop)
        self._timer: asyncio.TimerHandle | None = None
        #: Whether the bell knows of it, which looks after its slices.
        self.entered = False
        self.renew()

    def renew(self) -> None:
        """Make ready for a wait: what is posted from here on ends it."""
        self._posted = False
        self._came: asyncio.Future[bool] = self.loop.create_future()

    def __call__(self) -> None:
        """End the wait; from any thread."""
        if self._posted:
            return
        self._posted = True
        bell = self._bell
        bell.rung.append(self)
        if not bell.called:
            bell.call(self.loop)

    async def wait(self, seconds: float) -> bool:
        """Whether it was ended before the time was up, which may be earlier than `SLICE` seconds."""
        try:
            return await self.begin(seconds)
        finally:
            self.end()

    def begin(self, seconds: float) -> asyncio.Future[bool]:
        """Begin a wait: gives what `wait` awaits."""
        if seconds < SLICE:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_later(seconds, self.settle, False)
        elif not self.entered:
            self._bell.enter(self)
        return self._came

    def end(self) -> None:
        """The waits are over: whoever waits again and again need not call it in between."""
        if self.entered:
            self._bell.leave(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def settle(self, came: bool) -> None:
        """On the loop: end the wait."""
        if not self._came.done():
            self._came.set_result(came)

    @property
    def may_go_on(self) -> bool:
        """Whether somebody waits, for what may still come, with nothing to look at but the interpreter."""
        return self.thread is not None and self.thread.reachable and not self._came.done()


class _Bell:
    """Tells the waits of one loop that something came for them."""

    def __init__(self) -> None:
        self.rung: deque[Wakeup] = deque()
        self.called = False
        self._waiting: set[Wakeup] = set()
        self._ticking = False

    def call(self, loop: asyncio.AbstractEventLoop) -> None:
        self.called = True
        try:
            loop.call_soon_threadsafe(self._answer)
        except RuntimeError:  # the reader's loop was closed: nobody waits any more
            return

    def _answer(self) -> None:
        self.called = False
        rung = self.rung
        for _ in range(len(rung)):
            rung.popleft().settle(True)

    def enter(self, wakeup: Wakeup) -> None:
        self._waiting.add(wakeup)
        wakeup.entered = True
        if not self._ticking:
            self._ticking = True
            wakeup.loop.call_later(SLICE, self._slice_over)

    def leave(self, wakeup: Wakeup) -> None:
        self._waiting.discard(wakeup)
        wakeup.entered = False

    def _slice_over(self) -> None:
        self._ticking = False
        waiting, self._waiting = self._waiting, set()
        exiting = not threading.main_thread().is_alive()
        for each in waiting:
            if each.may_go_on and not exiting:
                self.enter(each)
            else:
                each.entered = False  # it enters again where it waits again
                each.settle(False)


_bells: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Bell] = weakref.WeakKeyDictionary()


def _bell_of(loop: asyncio.AbstractEventLoop) -> _Bell:
    bell = _bells.get(loop)
    if bell is None:
        for each in list(_bells):  # what was posted between a loop's last turn and its end keeps it
            if each.is_closed():
                _bells.pop(each, None)
        bell = _bells[loop] = _Bell()
    return bell
