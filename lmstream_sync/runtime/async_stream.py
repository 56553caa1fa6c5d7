"""`AsyncEventStream`: the thin wrapper for readers on an event loop of their own.

It takes no thread: it drains what is there and, when there is nothing, waits for a wake-up
that the channel posts to the reader's loop. Events are only taken when they are handed
out, so cancelling a reader that waits loses none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from lmstream_sync.errors import LMStreamError
from lmstream_sync.runtime.ending import CLOSE_SECONDS, Outcome
from lmstream_sync.runtime.stream import EventStream
from lmstream_sync.runtime.waiting import Expired, Watch

__all__ = ["AsyncEventStream"]


class AsyncEventStream:
    """An asynchronous iterator over an `EventStream`, and an asynchronous context manager."""

    def __init__(self, stream: EventStream) -> None:
        self.stream = stream

    def __aiter__(self) -> AsyncEventStream:
        return self

    async def __anext__(self) -> Any:
        """The next event; errors as `Stream.__next__` raises them, the end as `StopAsyncIteration`."""
        return await self.next(None)

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
            woken = _Wakeup()
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
        woken = _Wakeup()
        stream._call.thread.post(stream._call.when_done, woken.post)
        try:
            await woken.wait(CLOSE_SECONDS)
            stream._warn_if_running()
        finally:  # cancelled, or warnings may be errors here
            stream._settle_close()

    async def __aenter__(self) -> AsyncEventStream:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
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

    def on_end(self, fn: Callable[[Any], object]) -> None:
        """See `Stream.on_end`: `fn` gets the `Stream`, in the thread that reads or closes."""
        self.stream.on_end(fn)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.stream!r}>"


class _Wakeup:
    """A wait on the running loop that any thread may end."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._came: asyncio.Future[bool] = self._loop.create_future()

    def post(self) -> None:
        with suppress(RuntimeError):  # the reader's loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._set, True)

    async def wait(self, seconds: float) -> bool:
        """Whether it was ended before the time was up."""
        timer = self._loop.call_later(seconds, self._set, False)
        try:
            return await self._came
        finally:
            timer.cancel()

    def _set(self, came: bool) -> None:
        if not self._came.done():
            self._came.set_result(came)
