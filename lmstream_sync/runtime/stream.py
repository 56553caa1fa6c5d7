"""The reader's side of a call: an iterator object that any one thread or task reads.

What it holds is in `reading`, how it ends in `ending`. Nothing here is referred to from the
task's side, so that the last reference gone stops the program.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any, Literal

from lmstream_sync.errors import StreamCancelled, StreamError
from lmstream_sync.runtime.call import Call, current_call
from lmstream_sync.runtime.detached import run_unattended
from lmstream_sync.runtime.reading import END, NOTHING, Look, Reader
from lmstream_sync.runtime.threads import in_user_hooks
from lmstream_sync.runtime.waiting import SLICE, Expired, check_process
from lmstream_sync.runtime.wakeups import Wakeup

__all__ = ["EventStream"]

_log = logging.getLogger("lmstream_sync.runtime")

#: Seconds between two looks at whether a reader has left `next()`.
_LOOK = 0.01


class EventStream(Reader):
    """Events of one running call, in order. A subclass may keep account of them.

    Args:
        call: the call, not started yet; it is started here, so that nothing runs without
            a reader that can stop it.
    """

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        call.start()

    # Reading.

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> Any:
        """The next event.

        Raises:
            StopIteration: the program has ended, or its error was raised before.
            StreamClosed: `close()` came first, in whatever thread.
            StreamError: another thread reads at this moment, or this is the loop thread.
            StreamTimeout, LoopDied, StreamForked: see `errors`.
            BaseException: the program's own error, once, after all events before it.
        """
        event = self._at_hand()
        return event if event is not NOTHING else self._next(None)

    def _at_hand(self) -> Any:
        """The short way to an event that is here already; `NOTHING` where there is none, or something to look at."""
        batch = self._batch
        if batch and not self._closing and not self._long_way and self._turn.acquire(False):
            try:
                if batch and self._read_by is None and not self._closing and current_call.get() is None:
                    self._channel.read_at = time.monotonic()
                    return self._hand_out(batch.popleft())
            finally:
                self._turn.release()
        return NOTHING

    def _next(self, until: float | None) -> Any:
        self._begin_turn()
        try:
            self._check_closed()
            reader_of = current_call.get()  # a program that reads this stream, itself with a reader
            if reader_of is not None:
                reader_of.check_stopped()
            batch = self._batch
            if batch:
                self._feed()
            else:
                self._fill(until)
            while batch:
                self._channel.read_at = time.monotonic()
                event = self._hand_out(batch.popleft())
                if event is not NOTHING:
                    return event
                if not batch:
                    self._fill(until)
        finally:
            self._turn.release()
        self._end_reached()  # outside the turn: `on_end` functions may read
        raise StopIteration

    def _take_now(self) -> Any:
        """In the turn: the next event, `NOTHING` where none is there yet, `END` after the last."""
        if self._closing:
            self._check_closed()
        batch = self._batch
        if batch:
            self._feed()
        while True:
            while batch:
                self._channel.read_at = time.monotonic()
                event = self._hand_out(batch.popleft())
                if event is not NOTHING:
                    return event
            came = self._fill_now()
            if not came:
                return END if came is None else NOTHING

    # Looking ahead, and waiting for the end.

    def peek(self, until: Literal["event", "output"] = "event", timeout: float | None = None) -> Any:
        """Wait for an event and leave it, and all before it, in the stream.

        Args:
            until: `"event"` for the next one; `"output"` for the first that is neither a
                status message nor sent by `emit` (`queue_size` are looked through at
                most, then the first is given).
            timeout: seconds, `None` for no limit.

        Returns:
            The event, or `None` when the program ends without one.

        Raises:
            ConfigurationError: `until` is another word.
            StreamTimeout: `which="peek"`; the stream goes on.
            BaseException: the program's error, which stays in the stream: `next()` raises
                it at its place.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        look = Look(self, until)
        self._begin_turn()
        try:
            self._check_closed()
            while True:
                shown = look.further()
                if shown is not NOTHING:
                    return shown
                before = len(self._batch)
                try:
                    self._fill(deadline)
                except Expired:
                    raise self._nothing_to_peek_at(timeout) from None
                if len(self._batch) == before:
                    break
        finally:
            self._turn.release()
        return self._peeked_to_the_end()

    def _nothing_to_peek_at(self, timeout: float | None) -> BaseException:
        return self._timed_out(f"nothing came within {timeout:g} s", "peek")

    def _peeked_to_the_end(self) -> None:
        """All that came was looked at: raise the program's error, which stays in the stream."""
        self._check_closed()
        failure = self._call.error
        if failure is not None and not self._ended:
            raise self._decorated(failure).with_traceback(failure.__traceback__)

    def result(self, timeout: float | None = None) -> Any:
        """Read to the end, dropping events, and give the program's final value.

        It gives it again and again, and raises the program's error again and again.

        Args:
            timeout: seconds, `None` for no limit.

        Raises:
            StreamTimeout: `which="result"`; the stream goes on.
            StreamClosed: the stream was closed before its end.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                self._next(deadline)
                # A program that never stops sending ends too; one that is done is read to its end.
                if deadline is not None and time.monotonic() >= deadline and not self._call.done.is_set():
                    raise Expired
        except StopIteration:
            pass
        except Expired:
            raise self._timed_out(f"the program did not end within {timeout:g} s", "result") from None
        if self._error is not None:
            self._raise_error()
        return self._call.result

    # Without a reader.

    @property
    def may_be_detached(self) -> bool:
        """Whether `detach` is possible: not for what `merge` and `run_many` give, which their reader drives."""
        return self._detached or not self._long_way

    def detach(self) -> None:
        """Leave the program to itself: it goes on to its end, under its deadlines, and nobody reads it.

        Its events are dropped; `partial` goes on growing, and `on_end` functions run in a
        worker when it ends. Leaving a `with` block and the last reference gone no longer stop
        it; `close()` and `lms.cancel(id)` still do. When the interpreter exits, what is detached
        has `settings.detach_grace` seconds to end. After the end, or `close()`, nothing happens.
        Safe from any thread.

        Raises:
            StreamError: it is `merge`'s or `run_many`'s, which their reader's thread drives.
            StreamForked: it belongs to the parent process.
        """
        if self._ended or self._closing or self._detached:
            return
        if not self.may_be_detached:
            raise StreamError("what merge and run_many give is driven by its reader, and cannot be detached")
        check_process(self._call)
        self._detached = self._call.detached = self._long_way = True
        run_unattended(self._call.thread, self._read_on)

    async def _read_on(self) -> None:
        """On the loop, in the reader's place: take what comes, and drop it."""
        while not self._turn.acquire(False):  # the reader is still in `next()`
            await asyncio.sleep(_LOOK)
        woken = Wakeup()
        channel = self._channel
        channel.wake_with(woken)
        try:
            while True:
                woken.renew()
                came = self._fill_now() if not self._batch else True
                while self._batch:
                    channel.read_at = time.monotonic()
                    self._hand_out(self._batch.popleft())
                if came is None or self._closing:
                    break
                if not came:
                    await woken.wait(SLICE)
                else:
                    await asyncio.sleep(0)
        finally:
            channel.wake_with(None)
            self._turn.release()
        # In a worker, where `on_end` functions may block; they belong to what exit waits for.
        await asyncio.get_running_loop().run_in_executor(None, in_user_hooks, self._end_unread)

    def _end_unread(self) -> None:
        error = self._call.error
        if error is not None and not isinstance(error, StreamCancelled) and not self._closing:
            # Nobody is there to hear of it but the log, and `on_end`.
            _log.error("%r failed after its reader had left: %s", self, type(error).__name__)
        with suppress(BaseException):
            self._end_reached()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if not self._detached:
            self.close()
