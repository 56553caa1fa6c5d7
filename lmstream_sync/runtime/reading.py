"""What came over from the loop and was not handed out yet, and whose turn it is to take it.

Who touches what: `_batch` belongs to whoever holds `_turn`, the lock of the one who reads.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from typing import Any

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
from lmstream_sync.runtime import fork
from lmstream_sync.runtime.call import Call, Own, current_call
from lmstream_sync.runtime.channel import ChannelEnded
from lmstream_sync.runtime.ending import OpenCall
from lmstream_sync.runtime.waiting import Expired, Watch, check_process, forbid_on_loop

__all__ = ["END", "NOTHING", "Look", "Reader"]

#: Given by `_hand_out` for an item that is no event, only news for the accounts.
NOTHING = object()

#: In an event's place: everything was handed out, and nothing more comes.
END = object()


class Reader(OpenCall):
    """A call whose events are taken from its channel, one reader at a time.

    Args:
        call: the call, not started yet.
    """

    #: Whether the program goes on with nobody reading.
    _detached = False

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._batch: deque[Any] = deque()
        self._turn = threading.Lock()
        self._gave_up = False
        self._raised = False
        #: What reads this stream in place of its holder (`merge`), while that lives.
        self._read_by: weakref.ref[Reader] | None = None

    def _begin_turn(self) -> None:
        if self._detached:
            self._check_closed()
            raise StreamError("this stream was detached: its program goes on, and nobody reads it any more")
        if not self._turn.acquire(False):
            raise StreamError("another thread or task is reading this stream; give each reader a stream of its own")
        reader = self._read_by() if self._read_by is not None else None
        if reader is not None:
            self._turn.release()
            raise StreamError(f"this stream is read through {reader!r}; read that one")

    #: Whether `next()` may not go the short way: `_feed` has something to do, or nobody may read.
    _long_way = False

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

    def _nothing_yet(self) -> bool:
        """In the turn: whether there is certainly nothing to take, and nothing to say."""
        if self._batch or self._closing or self._ended or self._gave_up or self._long_way:
            return False
        return not self._channel.ready and self._call.generation == fork.generation

    def _fill_now(self) -> bool | None:
        """Bring what is there, without waiting: whether anything was; `None` at the end."""
        if self._ended or self._gave_up:
            return None
        if self._call.generation != fork.generation:
            check_process(self._call)
        if self._long_way:
            self._feed()
        try:
            taken = self._channel.take_now()
        except ChannelEnded:
            return None
        self._batch.extend(taken)
        return bool(taken)

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

    def _shown(self, item: Any) -> Any:
        """What `_hand_out` will give for an item, with no trace left."""
        return item.value if type(item) is Own else item

    def _is_output(self, item: Any) -> bool:
        """Whether `peek("output")` looks for an item like this."""
        return type(item) is not Own and not isinstance(item, StatusMessage)


class Look:
    """One `peek`: what of a stream's batch was looked at already.

    Args:
        stream: the stream; whoever looks holds its turn.
        until: see `EventStream.peek`.

    Raises:
        ConfigurationError: `until` is another word.
    """

    def __init__(self, stream: Reader, until: str) -> None:
        if until not in ("event", "output"):
            raise ConfigurationError(f'peek({until!r}): give "event" or "output"')
        self._stream = stream
        self._any = until == "event"
        self._looked = 0

    def further(self) -> Any:
        """Look at what came since: the event that is waited for, or `NOTHING` yet."""
        stream = self._stream
        batch = stream._batch
        for item in list(batch)[self._looked :]:
            shown = stream._shown(item)
            if shown is not NOTHING and (self._any or stream._is_output(item)):
                return shown
        self._looked = len(batch)
        if self._looked >= stream._channel.queue_size:
            return next((shown for item in batch if (shown := stream._shown(item)) is not NOTHING), NOTHING)
        return NOTHING
