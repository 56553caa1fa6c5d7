"""The clocks of a call and of a model request: what `Timeout` says, made to happen.

They run on the loop thread. `touch` alone may be called from any thread: it writes one
number.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import TracebackType

from lmstream_sync.errors import StreamTimeout
from lmstream_sync.runtime.timeout import Timeout

__all__ = ["CallClocks", "RequestClock"]


def _later(
    loop: asyncio.AbstractEventLoop, seconds: float, fn: Callable[..., object], *args: object
) -> asyncio.TimerHandle:
    """A timer with a context of its own.

    Else it would keep the context it is made in, and with it all that a call's variables
    refer to, until it fires: minutes.
    """
    return loop.call_later(seconds, fn, *args, context=contextvars.Context())


def _nobody(error: StreamTimeout) -> None:
    """Who hears of a deadline when the call is over."""


class CallClocks:
    """`total`, `idle` and `reader` of one call.

    Args:
        timeout: the limits in force.
        expired: called on the loop with the error, once, when one of them passes.
    """

    def __init__(self, timeout: Timeout, expired: Callable[[StreamTimeout], None]) -> None:
        self.timeout = timeout
        self._expired = expired
        self._loop: asyncio.AbstractEventLoop | None = None
        self._moved = 0.0
        self._still = 0
        # `idle`, and in its place those of the requests under way that have one of their own.
        self._idle = timeout.idle
        self._idles: dict[object, float | None] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def start(self, loop: asyncio.AbstractEventLoop, already: float) -> None:
        """Start `total` and `idle`; `already` seconds of `total` have passed since the call."""
        self._loop = loop
        self._moved = loop.time()
        if self.timeout.total is not None:
            self._arm("total", max(0.0, self.timeout.total - already), self._total_passed)
        if self._idle is not None:
            self._arm("idle", self._idle, self._look_whether_idle)

    def stop(self) -> None:
        """Stop them all and keep nothing alive."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._loop = None
        self._expired = _nobody

    def touch(self) -> None:
        """Something moved."""
        loop = self._loop  # once: in a worker's thread the call may end meanwhile
        if loop is not None:
            self._moved = loop.time()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let `idle` stand still: the task waits for a reader or for a first token."""
        self._still += 1
        try:
            yield
        finally:
            self._still -= 1
            self.touch()

    @contextmanager
    def waiting_for_reader(self, read_at: Callable[[], float]) -> Iterator[None]:
        """Run `reader` for as long as the block lasts; `idle` stands still.

        It runs anew from each time that the reader read: a slow one reads on.

        Args:
            read_at: when the reader last got an event, as `time.monotonic()` says.
        """
        loop, limit = self._loop, self.timeout.reader
        timer: asyncio.TimerHandle | None = None

        def look(since: float) -> None:
            nonlocal timer
            assert loop is not None and limit is not None
            left = max(since, read_at()) + limit - time.monotonic()
            if left > 0:
                timer = _later(loop, left, look, since)
            else:
                self._reader_passed()

        if loop is not None and limit is not None:
            timer = _later(loop, limit, look, time.monotonic())
        with self.standing_still():
            try:
                yield
            finally:
                if timer is not None:
                    timer.cancel()

    @contextmanager
    def idle_limit(self, seconds: float | None) -> Iterator[None]:
        """Another `idle` for as long as the block lasts (a model's own time-out); of several the shortest."""
        token = object()
        self._idles[token] = seconds
        self._set_idle()
        try:
            yield
        finally:
            del self._idles[token]
            self.touch()
            self._set_idle()

    def _set_idle(self) -> None:
        limits = self._idles.values() if self._idles else (self.timeout.idle,)
        self._idle = min((each for each in limits if each is not None), default=None)
        if self._idle is not None:
            self._arm("idle", self._idle, self._look_whether_idle)

    def _arm(self, name: str, seconds: float, passed: Callable[[], None]) -> None:
        if self._loop is None:
            return
        old = self._timers.pop(name, None)
        if old is not None:
            old.cancel()
        self._timers[name] = _later(self._loop, seconds, passed)

    def _look_whether_idle(self) -> None:
        if self._loop is None or self._idle is None:
            return
        if self._still:
            self._arm("idle", self._idle, self._look_whether_idle)
            return
        left = self._moved + self._idle - self._loop.time()
        if left > 0:
            self._arm("idle", left, self._look_whether_idle)
        else:
            self._expired(
                StreamTimeout(f"nothing moved for {self._idle:g} s (Timeout(idle=...) sets this)", which="idle")
            )

    def _total_passed(self) -> None:
        self._expired(
            StreamTimeout(
                f"the call took longer than {self.timeout.total:g} s (Timeout(total=...) sets this)", which="total"
            )
        )

    def _reader_passed(self) -> None:
        self._expired(
            StreamTimeout(
                f"nobody read the stream for {self.timeout.reader:g} s (Timeout(reader=...) sets this)",
                which="reader",
            )
        )


class RequestClock:
    """The clock round one model request; an asynchronous context manager.

    `first` runs from `sent()` to `arrived()`, a `total` that differs from the call's to the
    end of the block. When one passes, the task is interrupted and the block raises
    `StreamTimeout`.

    Args:
        timeout: the limits in force for this request.
        call: the clocks of the call that the request belongs to.
        call_stopping: whether that call is being stopped, whose cancellation is not ours.
    """

    def __init__(
        self,
        timeout: Timeout,
        call: CallClocks,
        call_stopping: Callable[[], bool],
    ) -> None:
        self.timeout = timeout
        self._own_total = timeout.total if timeout.total != call.timeout.total else None
        self._call = call
        self._call_stopping = call_stopping
        self._task: asyncio.Task[object] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._first_until: float | None = None
        self._passed: str | None = None
        self._first_timer: asyncio.TimerHandle | None = None
        self._still: AbstractContextManager[None] | None = None
        self._idle: AbstractContextManager[None] | None = None

    async def __aenter__(self) -> RequestClock:
        self._task = asyncio.current_task()
        if self._own_total is not None:
            self._timers.append(self._later(self._own_total, "total"))
        if self.timeout.idle != self._call.timeout.idle:
            self._idle = self._call.idle_limit(self.timeout.idle)
            self._idle.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.arrived()
        if self._idle is not None:
            self._idle.__exit__(None, None, None)
        for timer in self._timers:
            timer.cancel()
        task, self._task = self._task, None
        if self._passed is None or self._call_stopping():
            return
        if not isinstance(error, asyncio.CancelledError):
            # The block was over before the cancellation reached it: take it here.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        uncancel = getattr(task, "uncancel", None)  # Python 3.11
        if uncancel is not None:
            uncancel()
        if isinstance(error, asyncio.CancelledError):
            raise self.expired() from None

    def expired(self) -> StreamTimeout:
        """The error for the limit that passed (`first` where none did)."""
        which = self._passed or "first"
        seconds = self.timeout.first if which == "first" else self._own_total
        what = "the model's first token did not come within" if which == "first" else "the model call took longer than"
        return StreamTimeout(f"{what} {seconds:g} s (Timeout({which}=...) sets this)", which=which)

    def sent(self) -> None:
        """The request is about to be sent: `first` begins, `idle` stands still."""
        self._call.touch()
        if self._still is None:
            self._still = self._call.standing_still()
            self._still.__enter__()
        if self._first_timer is None and self.timeout.first is not None:
            self._first_until = asyncio.get_running_loop().time() + self.timeout.first
            self._first_timer = self._later(self.timeout.first, "first")

    def arrived(self) -> None:
        """The first token came: `first` is over and `idle` counts again. May be called again."""
        if self._still is not None:
            still, self._still = self._still, None
            still.__exit__(None, None, None)
        if self._first_timer is not None:
            self._first_timer.cancel()
            self._first_timer = None
            self._first_until = None

    def touch(self) -> None:
        """The provider sent something."""
        self._call.touch()

    def remaining(self) -> float | None:
        """Seconds left of `first`, or `None` where it has no limit."""
        if self._first_until is None:
            return None
        return max(0.0, self._first_until - asyncio.get_running_loop().time())

    def _later(self, seconds: float, which: str) -> asyncio.TimerHandle:
        return _later(asyncio.get_running_loop(), seconds, self._interrupt, which)

    def _interrupt(self, which: str) -> None:
        if self._task is not None and self._passed is None:
            self._passed = which
            self._task.cancel()
