"""The clocks of a call and of a model request: what `Timeout` says, made to happen.

They run on the loop thread. `touch` alone may be called from any thread: it writes one
number.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Protocol

from lmstream_sync.errors import StreamTimeout
from lmstream_sync.runtime.agenda import Agenda, agenda_of
from lmstream_sync.runtime.timeout import Timeout

__all__ = ["CallClocks", "RequestClock"]

#: Seconds: a timer that goes off so seldom costs nothing.
_LONG = 10.0


class _Failing(Protocol):
    """A call, as far as its clocks know it."""

    def fail(self, error: BaseException) -> None: ...


class CallClocks:
    """`total`, `idle` and `reader` of one call.

    They and the limits of the call's requests are looked at when the first of them may pass, and
    then again when the next may: see `Agenda`.

    Args:
        timeout: the limits in force.
        call: its `fail` is called on the loop with the error, once, when one of them passes.
    """

    __slots__ = ("_agenda", "_call", "_idle", "_loop", "_moved", "_requests", "_still", "_total_at", "timeout")

    def __init__(self, timeout: Timeout, call: _Failing) -> None:
        self.timeout = timeout
        self._call: _Failing | None = call  # until it is over
        # That of the call, while its own limits count.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._moved = 0.0
        self._still = 0
        self._total_at: float | None = None
        # `idle`, or in its place the shortest of the requests under way that have one of their own.
        self._idle = timeout.idle
        self._requests: dict[RequestClock, None] = {}
        # That of the loop it was started on.
        self._agenda: Agenda | None = None

    def start(self, loop: asyncio.AbstractEventLoop, already: float) -> None:
        """Start `total` and `idle`; `already` seconds of `total` have passed since the call."""
        now = loop.time()
        self._loop, self._moved, self._agenda = loop, now, agenda_of(loop)
        total = self.timeout.total
        if total is not None:
            self._total_at = now + max(0.0, total - already)
        self._plan(now)

    def stop(self) -> None:
        """End the call's own limits, and keep nothing of it alive."""
        loop, self._loop = self._loop, None
        self._call = None
        if loop is not None and self._requests:  # of a worker that outlives the call
            self._plan(loop.time())
        elif self._agenda is not None:
            self._agenda.remove(self)

    @property
    def total_at(self) -> float | None:
        """When, by the loop's time, `total` passes; `None` where it has no limit, or the call is over."""
        return self._total_at if self._loop is not None else None

    def touch(self) -> None:
        """Something moved."""
        if self._loop is not None:
            self._moved = time.monotonic()  # which is the loop's time

    def stand_still(self) -> None:
        """Let `idle` stand still until `move_again`: the task waits for a reader or for a first token."""
        self._still += 1

    def move_again(self) -> None:
        """What `stand_still` was called for is over; each call of it needs one of this."""
        self._still -= 1
        self.touch()

    def begin(self, request: RequestClock) -> None:
        """A request is under way; its `idle`, where it has one of its own, holds in place of the call's."""
        self._requests[request] = None
        if request.has_own_idle:
            self.touch()
            self._set_idle()

    def end(self, request: RequestClock) -> None:
        """It is over."""
        del self._requests[request]
        if request.has_own_idle:
            self.touch()
            self._set_idle()
        if self._loop is None and not self._requests and self._agenda is not None:
            self._agenda.remove(self)

    def look_by(self, at: float) -> None:
        """Something may pass at this time of the loop: look then, or before."""
        if self._agenda is None:
            self._agenda = agenda_of(asyncio.get_running_loop())
        self._agenda.put_by(self, at)

    def _plan(self, now: float) -> None:
        """Look again when the first of all limits may pass."""
        agenda = self._agenda
        if agenda is None:
            return
        times = [at for request in self._requests if (at := request.next_limit_at) is not None]
        if self._loop is not None:
            if self._total_at is not None:
                times.append(self._total_at)
            if self._idle is not None:
                times.append((now if self._still else self._moved) + self._idle)
            first = self.timeout.first
            if first is not None and first >= _LONG:
                # Early enough for the requests to come, each of which would have to set it anew.
                times.append(now + first)
        if times:
            agenda.put(self, min(times))
        else:
            agenda.remove(self)

    def look(self) -> None:
        """Some limit may have passed."""
        now = asyncio.get_running_loop().time()
        for request in tuple(self._requests):
            request.look(now)
        if self._loop is not None:
            if self._total_at is not None and now >= self._total_at:
                self._pass(
                    f"the call took longer than {self.timeout.total:g} s (Timeout(total=...) sets this)", "total"
                )
            elif self._idle is not None and not self._still and now >= self._moved + self._idle:
                self._pass(f"nothing moved for {self._idle:g} s (Timeout(idle=...) sets this)", "idle")
        if self._agenda is not None and self not in self._agenda:
            self._plan(now)

    def _pass(self, said: str, which: str) -> None:
        call, self._call, self._loop = self._call, None, None
        if call is not None:
            call.fail(StreamTimeout(said, which=which))

    def _set_idle(self) -> None:
        own = [request.timeout.idle for request in self._requests if request.has_own_idle]
        limits = own or [self.timeout.idle]
        self._idle = min((each for each in limits if each is not None), default=None)
        if self._loop is not None and self._idle is not None:
            self.look_by(self._loop.time() + self._idle)

    def waiting_for_reader(self, read_at: Callable[[], float]) -> _ReaderWait:
        """Run `reader` for as long as a `with` block lasts; `idle` stands still.

        It runs anew from each time that the reader read: a slow one reads on.

        Args:
            read_at: when the reader last got an event, as `time.monotonic()` says.
        """
        return _ReaderWait(self, read_at)

    def look_at_reader(self, wait: _ReaderWait) -> asyncio.TimerHandle | None:
        """Let `reader` pass where the reader has not read for so long; else the timer for the next look."""
        loop, limit = self._loop, self.timeout.reader
        if loop is None or limit is None:
            return None
        left = wait.last_read_at() + limit - time.monotonic()
        if left > 0:
            return loop.call_later(left, wait.look, context=contextvars.Context())
        self._pass(f"nobody read the stream for {limit:g} s (Timeout(reader=...) sets this)", "reader")
        return None


class _ReaderWait:
    """A wait of the task for its reader."""

    __slots__ = ("_clocks", "_read_at", "_since", "_timer")

    def __init__(self, clocks: CallClocks, read_at: Callable[[], float]) -> None:
        self._clocks = clocks
        self._read_at = read_at
        self._since = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def last_read_at(self) -> float:
        """When the reader last read, or the wait began."""
        return max(self._since, self._read_at())

    def look(self) -> None:
        """The timer went off."""
        self._timer = self._clocks.look_at_reader(self)

    def __enter__(self) -> None:
        self._clocks.stand_still()
        self.look()

    def __exit__(self, *exc_info: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._clocks.move_again()


class _Clocked(Protocol):
    """A call, as far as the clock of a request knows it."""

    clocks: CallClocks
    stopping: bool


class RequestClock:
    """The clock round one model request; an asynchronous context manager.

    `first` runs from `sent()` to `arrived()`, a `total` that differs from the call's to the
    end of the block. When one passes, the task is interrupted and the block raises
    `StreamTimeout`.

    Args:
        timeout: the limits in force for this request.
        call: the call that the request belongs to; while it is being stopped, its cancellation
            is not ours.
    """

    __slots__ = ("_call", "_first_at", "_passed", "_still", "_task", "_total_at", "clocks", "has_own_idle", "timeout")

    def __init__(self, timeout: Timeout, call: _Clocked) -> None:
        self.timeout = timeout
        #: Whether its `idle` differs from the call's.
        self.has_own_idle = False
        self._call = call
        #: Those of the call, which are touched whenever the provider sent something.
        self.clocks = call.clocks
        self._task: asyncio.Task[object] | None = None
        self._first_at: float | None = None
        self._total_at: float | None = None
        self._passed: str | None = None
        self._still = False

    async def __aenter__(self) -> RequestClock:
        self._task = asyncio.current_task()
        limits, of_call = self.timeout, self.clocks.timeout
        if limits is not of_call:
            self.has_own_idle = limits.idle != of_call.idle
            if limits.total is not None and limits.total != of_call.total:
                self._total_at = asyncio.get_running_loop().time() + limits.total
        self.clocks.begin(self)
        if self._total_at is not None:
            self.clocks.look_by(self._total_at)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.arrived()
        self.clocks.end(self)
        task, self._task = self._task, None
        if self._passed is None or self._call.stopping:
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
        seconds = self.timeout.first if which == "first" else self.timeout.total
        what = "the model's first token did not come within" if which == "first" else "the model call took longer than"
        return StreamTimeout(f"{what} {seconds:g} s (Timeout({which}=...) sets this)", which=which)

    def sent(self) -> None:
        """The request is about to be sent: `first` begins, `idle` stands still."""
        if not self._still:
            self._still = True
            self.clocks.stand_still()
        first = self.timeout.first
        if self._first_at is None and first is not None:
            self._first_at = asyncio.get_running_loop().time() + first
            self.clocks.look_by(self._first_at)

    def arrived(self) -> None:
        """The first token came: `first` is over and `idle` counts again. May be called again."""
        self._first_at = None
        if self._still:
            self._still = False
            self.clocks.move_again()

    def remaining(self) -> float | None:
        """Seconds until the first of `first`, its own `total` and the call's passes; `None` where none is set."""
        ends = [at for at in (self._first_at, self._total_at, self.clocks.total_at) if at is not None]
        return max(0.0, min(ends) - asyncio.get_running_loop().time()) if ends else None

    @property
    def next_limit_at(self) -> float | None:
        """When, by the loop's time, the next of its own limits passes."""
        if self._passed is not None:
            return None
        if self._first_at is None or self._total_at is None:
            return self._total_at if self._first_at is None else self._first_at
        return min(self._first_at, self._total_at)

    def look(self, now: float) -> None:
        """Interrupt the task where one of its limits has passed."""
        if self._task is None or self._passed is not None:
            return
        if self._first_at is not None and now >= self._first_at:
            self._passed = "first"
        elif self._total_at is not None and now >= self._total_at:
            self._passed = "total"
        else:
            return
        self._task.cancel()
