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
from lmstream_sync.runtime.reading import NOTHING, Look
from lmstream_sync.runtime.stream import EventStream
from lmstream_sync.runtime.waiting import Expired, Watch
from lmstream_sync.runtime.wakeups import Wakeup

__all__ = ["AsyncEventStream"]


class AsyncEventStream:
    """An asynchronous iterator over an `EventStream`, and an asynchronous context manager."""

    def __init__(self, stream: EventStream) -> None:
        self.stream = stream
        self._wakeup: Wakeup | None = None

    def __aiter__(self) -> AsyncEventStream:
        return self

    async def __anext__(self) -> Any:
        """The next event; errors as `Stream.__next__` raises them, the end as `StopAsyncIteration`."""
        event = self.stream._at_hand()
        return event if event is not NOTHING else await self.next(None)

    async def next(self, timeout: float | None) -> Any:
        """The next event, or `Expired` when none came within `timeout` seconds.

        Raises:
            StreamError: another thread or task reads at this moment.
        """
        stream = self.stream
        until = None if timeout is None else time.monotonic() + timeout
        watch: Watch | None = None
        while True:
            came, event = stream._take_now()
            if came:
                return event
            if watch is None:
                watch = Watch(stream._call, until)
            await self._wait(watch)

    async def _wait(self, watch: Watch) -> None:
        """Wait until something came or the channel ended (or, now and then, for nothing at all)."""
        stream = self.stream
        channel = stream._channel
        stream._begin_turn()  # kept over the wait: there is one waker, for one reader
        try:
            woken = self._wakeup
            if woken is None or woken.loop is not asyncio.get_running_loop():
                woken = self._wakeup = Wakeup()
            else:
                woken.renew()
            channel.wake_with(woken.post)
            if channel.ready:
                return
            if not await woken.wait(watch.slice()):
                try:
                    watch.look()
                except LMStreamError as error:
                    stream._give_up(error)
        finally:
            channel.wake_with(None)
            stream._turn.release()

    async def peek(self, until: Literal["event", "output"] = "event", timeout: float | None = None) -> Any:
        """See `Stream.peek`: wait for an event and leave it, and all before it, in the stream."""
        stream = self.stream
        look = Look(stream, until)
        watch = Watch(stream._call, None if timeout is None else time.monotonic() + timeout)
        while True:
            stream._begin_turn()
            try:
                stream._check_closed()
                shown = look.further()
                came = True if shown is not NOTHING else stream._fill_now()
            finally:
                stream._turn.release()
            if shown is not NOTHING:
                return shown
            if came is None:
                stream._peeked_to_the_end()
                return None
            if not came:
                try:
                    await self._wait(watch)
                except Expired:
                    raise stream._nothing_to_peek_at(timeout) from None

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
                thread.post(running[0].when_done, woken.post)
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
