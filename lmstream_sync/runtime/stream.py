"""The reader's side of a call: an iterator object that any one thread or task reads.

How it ends is in `ending`. Who touches what: `_batch` belongs to whoever holds `_turn`, the
lock of the one who reads. Nothing here is referred to from the task's side, so that the
last reference gone stops the program.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from typing import Any, Literal

from lmstream_sync.errors import (
    ConfigurationError,
    LMStreamError,
    Stopped,
    StreamCancelled,
    StreamClosed,
    StreamError,
    StreamTimeout,
)
from lmstream_sync.events import StatusMessage
from lmstream_sync.runtime.call import Call, Own, current_call
from lmstream_sync.runtime.channel import ChannelEnded
from lmstream_sync.runtime.ending import OpenCall
from lmstream_sync.runtime.waiting import Expired, Watch, check_process, forbid_on_loop

__all__ = ["NOTHING", "EventStream"]

#: Given by `_hand_out` for an item that is no event, only news for the accounts.
NOTHING = object()


class EventStream(OpenCall):
    """Events of one running call, in order. A subclass may keep account of them.

    Args:
        call: the call, not started yet; it is started here, so that nothing runs without
            a reader that can stop it.
    """

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._batch: deque[Any] = deque()
        self._turn = threading.Lock()
        self._gave_up = False
        self._raised = False
        #: What reads this stream in place of its holder (`merge`), while that lives.
        self._read_by: weakref.ref[EventStream] | None = None
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
        batch = self._batch
        if batch and not self._closing and not self._feeds and self._turn.acquire(False):
            # Events that are here already go the short way.
            try:
                if batch and self._read_by is None and not self._closing and current_call.get() is None:
                    self._channel.read_at = time.monotonic()
                    event = self._hand_out(batch.popleft())
                    if event is not NOTHING:
                        return event
            finally:
                self._turn.release()
        return self._next(None)

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

    def _begin_turn(self) -> None:
        if not self._turn.acquire(False):
            raise StreamError("another thread or task is reading this stream; give each reader a stream of its own")
        reader = self._read_by() if self._read_by is not None else None
        if reader is not None:
            self._turn.release()
            raise StreamError(f"this stream is read through {reader!r}; read that one")

    #: Whether `_feed` has anything to do.
    _feeds = False

    def _feed(self) -> None:
        """In the reader's thread, before it takes events: for a subclass that brings its program something."""

    def _fill(self, until: float | None) -> None:
        """Bring what is there, waiting for it; leaves the batch as it is when the end is reached."""
        if self._ended or self._gave_up:
            return
        check_process(self._call)
        forbid_on_loop("async for event in stream")
        watch = Watch(self._call, until)
        reader_of = current_call.get()
        while True:
            if reader_of is not None:
                reader_of.check_stopped()
            self._feed()
            try:
                taken = self._take(watch)
            except ChannelEnded:
                return
            if taken:
                self._batch.extend(taken)
                return
            try:
                watch.look()
            except LMStreamError as error:
                self._give_up(error)
                return

    def _take(self, watch: Watch) -> list[Any]:
        try:
            seconds = watch.slice()
        except Expired:
            taken = self._channel.take_now()  # there is no time to wait, but to look
            if not taken:
                raise
            return taken
        return self._channel.take(seconds)

    def _give_up(self, error: BaseException) -> None:
        """The call will not end by itself any more: the loop died, or the interpreter exits."""
        self._gave_up = True
        if self._call.error is None:
            self._call.error = error

    def _take_now(self) -> tuple[bool, Any]:
        """(True, event) or (False, None) where none is there yet; raises as `next()` does at the end."""
        self._begin_turn()
        try:
            self._check_closed()
            batch = self._batch
            if batch:
                self._feed()
            elif not self._ended and not self._gave_up:
                check_process(self._call)
                self._feed()
                try:
                    taken = self._channel.take_now()
                except ChannelEnded:
                    pass
                else:
                    if not taken:
                        return False, None
                    batch.extend(taken)
            while batch:
                self._channel.read_at = time.monotonic()
                event = self._hand_out(batch.popleft())
                if event is not NOTHING:
                    return True, event
                if not batch:
                    return False, None  # look again
        finally:
            self._turn.release()
        self._end_reached()
        raise StopAsyncIteration

    def _hand_out(self, item: Any) -> Any:
        """What the reader gets for an item of the queue, or `NOTHING`; a subclass keeps its accounts here."""
        return self._shown(item)

    def _check_closed(self) -> None:
        if self._closing and self._outcome != "completed":
            raise self._closed_error()

    def _closed_error(self) -> BaseException:
        parent = self._call.parent
        if parent is not None and parent.stopping:
            return Stopped("the reader of the program that reads this stream has gone")
        return self._decorated(StreamClosed("the stream was closed before its end; what had come is in stream.partial"))

    def _end_reached(self) -> None:
        """Everything was handed out: settle how it ended; raise the error the first time."""
        self._check_closed()
        call = self._call
        if not self._ended:
            error = call.error
            if error is None and not call.completed:
                # Closed under us by the garbage collector's or another thread's stop.
                error = self._closed_error()
                if isinstance(error, Stopped):
                    raise error
            if error is None:
                self._conclude("completed", None)
            else:
                self._conclude("cancelled" if isinstance(error, StreamCancelled) else "failed", error)
        if self._error is not None and not self._raised:
            self._raised = True
            self._raise_error()

    def _raise_error(self) -> None:
        assert self._error is not None
        raise self._error.with_traceback(self._trace)

    def _timed_out(self, message: str, which: str) -> BaseException:
        return self._decorated(StreamTimeout(message, which=which))

    def _all_read(self) -> bool:
        return not self._batch and not self._channel.unread

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
        if until not in ("event", "output"):
            raise ConfigurationError(f'peek({until!r}): give "event" or "output"')
        deadline = None if timeout is None else time.monotonic() + timeout
        self._begin_turn()
        try:
            self._check_closed()
            looked = 0
            while True:
                batch = self._batch
                for item in list(batch)[looked:]:
                    shown = self._shown(item)
                    if shown is not NOTHING and (until == "event" or self._is_output(item)):
                        return shown
                looked = len(batch)
                if looked >= self._channel.queue_size:
                    first = next((shown for item in batch if (shown := self._shown(item)) is not NOTHING), NOTHING)
                    if first is not NOTHING:
                        return first
                try:
                    self._fill(deadline)
                except Expired:
                    raise self._timed_out(f"nothing came within {timeout:g} s", "peek") from None
                if len(batch) == looked:
                    break
        finally:
            self._turn.release()
        self._check_closed()
        failure = self._call.error
        if failure is not None and not self._ended:
            raise self._decorated(failure).with_traceback(failure.__traceback__)
        return None

    def _shown(self, item: Any) -> Any:
        """What `_hand_out` will give for an item, with no trace left."""
        return item.value if type(item) is Own else item

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

    def _is_output(self, item: Any) -> bool:
        """Whether `peek("output")` looks for an item like this."""
        return type(item) is not Own and not isinstance(item, StatusMessage)

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
