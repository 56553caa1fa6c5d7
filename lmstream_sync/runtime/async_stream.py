"""`AsyncEventStream`: the thin wrapper for readers on an event loop of their own.

It takes no thread: it drains what is there and, when there is nothing, waits for a wake-up
that the channel posts to the reader's loop. Events are only taken when they are handed
out, so cancelling a reader that waits loses none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Literal

from lmstream_sync.errors import LMStreamError
from lmstream_sync.runtime.ending import CLOSE_SECONDS, Outcome
from lmstream_sync.runtime.reading import END, NOTHING, Look
from lmstream_sync.runtime.stream import EventStream
from lmstream_sync.runtime.waiting import SLICE, Expired, Watch
from lmstream_sync.runtime.wakeups import Wakeup

__all__ = ["AsyncEventStream"]


class AsyncEventStream:
    """An asynchronous iterator over an `EventStream`, and an asynchronous context manager."""

    def __init__(self, stream: EventStream) -> None:
        self.stream = stream
        self._wakeup: Wakeup | None = None

    def __aiter__(self) -> AsyncEventStream:
        return self

    # One coroutine for all of a wait: there is one for each event, and each open stream has one.
    async def next(self, timeout: float | None = None) -> Any:
        """The next event; errors as `Stream.__next__` raises them, the end as `StopAsyncIteration`.

        Args:
            timeout: seconds after which it raises `Expired`.
        """
        stream = self.stream
        if stream._batch and (event := stream._at_hand()) is not NOTHING:
            return event
        watch = None if timeout is None else Watch(stream._call, time.monotonic() + timeout)
        stream._begin_turn()  # kept over the waits: there is one waker, for one reader
        try:
            idle = stream._nothing_yet()
            while idle or (event := stream._take_now()) is NOTHING:
                idle = False
                waiting = self._begin_wait(SLICE if watch is None else watch.slice(), timeout is None)
                if waiting is not None and not await waiting:
                    watch = self._look(watch)
        finally:
            stream._turn.release()
            if timeout is not None and self._wakeup is not None:
                self._wakeup.end()
        if event is not END:
            return event
        if self._wakeup is not None:
            self._wakeup.end()
        stream._end_reached()  # outside the turn: `on_end` functions may read
        raise StopAsyncIteration

    __anext__ = next

    def _begin_wait(self, seconds: float, for_ever: bool) -> asyncio.Future[bool] | None:
        """In the turn: what is done when something came or the time is up; `None` where something is there.

        The waker stays in the channel: where nobody waits, being called does nothing.

        Args:
            seconds: how long to wait at most.
            for_ever: it may be longer where all is well.
        """
        woken = self._wakeup
        if woken is None or woken.loop is not asyncio.get_running_loop():
            woken = self._wakeup = Wakeup()
        else:
            woken.renew()
        woken.thread = self.stream._call.thread if for_ever else None
        channel = self.stream._channel
        if channel.waker is not woken:
            channel.wake_with(woken)
        return None if channel.ready else woken.begin(seconds)

    def _look(self, watch: Watch | None) -> Watch:
        """A slice passed and nothing came: look round. Gives what goes on looking."""
        stream = self.stream
        if watch is None:
            watch = Watch(stream._call)
        try:
            watch.look()
        except LMStreamError as error:
            stream._give_up(error)
        return watch

    async def peek(self, until: Literal["event", "output"] = "event", timeout: float | None = None) -> Any:
        """See `Stream.peek`: wait for an event and leave it, and all before it, in the stream."""
        stream = self.stream
        look = Look(stream, until)
        watch = Watch(stream._call, None if timeout is None else time.monotonic() + timeout)
        stream._begin_turn()
        try:
            while True:
                stream._check_closed()
                shown = look.further()
                if shown is not NOTHING:
                    return shown
                came = stream._fill_now()
                if came is None:
                    break
                waiting = None if came else self._begin_wait(watch.slice(), timeout is None)
                if waiting is not None and not await waiting:
                    self._look(watch)
        except Expired:
            raise stream._nothing_to_peek_at(timeout) from None
        finally:
            stream._turn.release()
            if self._wakeup is not None:
                self._wakeup.end()
        stream._peeked_to_the_end()
        return None

    async def result(self, timeout: float | None = None) -> Any:
        """See `Stream.result`: read to the end and give the program's final value."""
        stream = self.stream
        until = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0 and not stream._call.done.is_set():
                    raise Expired
                await self.next(left)
        except StopAsyncIteration:
            pass
        except Expired:
            raise stream._timed_out(f"the program did not end within {timeout:g} s", "result") from None
        return stream.result()  # everything was read: it gives the value, or raises the error, at once

    async def aclose(self) -> None:
        """`Stream.close()` without blocking the reader's loop."""
        stream = self.stream
        if not stream._begin_close():
            return
        woken = Wakeup()
        thread, until = stream._call.thread, time.monotonic() + CLOSE_SECONDS
        try:
            while (running := stream._running()) and (left := until - time.monotonic()) > 0:
                woken.renew()
                thread.post(running[0].when_done, woken)
                await woken.wait(left)
            stream._warn_if_running()
        finally:  # cancelled, or warnings may be errors here
            stream._settle_close()

    async def __aenter__(self) -> AsyncEventStream:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if not self.stream._detached:
            await self.aclose()

    @property
    def id(self) -> str:
        """See `Stream.id`."""
        return self.stream.id

    @property
    def closed(self) -> bool:
        """See `Stream.closed`."""
        return self.stream.closed

    @property
    def outcome(self) -> Outcome | None:
        """See `Stream.outcome`."""
        return self.stream.outcome

    @property
    def error(self) -> BaseException | None:
        """See `Stream.error`."""
        return self.stream.error

    @property
    def timings(self) -> dict[str, float | None]:
        """See `Stream.timings`."""
        return self.stream.timings

    def detach(self) -> None:
        """See `Stream.detach`."""
        self.stream.detach()

    def on_end(self, fn: Callable[[Any], object]) -> None:
        """See `Stream.on_end`: `fn` gets the `Stream`, in the thread that reads or closes."""
        self.stream.on_end(fn)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.stream!r}>"
