"""The crossing: what streams goes from the loop to its reader through a janus queue.

The only file that knows janus. The queue is bounded in events. The loop's side puts lists;
as many events of a list as there is room for move at once. The reader's side takes all that
is there, and moves up what found no room yet: the loop is woken only when everything has
moved, once for each list rather than once for each take. Both together hold at most
`queue_size` events (and what was put and found no room yet): the queue takes half of them,
because what the reader took is out of the queue's sight.

Who touches what: what found no room (`late`) is extended by the loop thread and emptied from its left
under the queue's lock, by whoever puts or takes; `_drained` belongs to the loop thread, and the reader
looks whether there is somebody in it; the waker is set and cleared by the one reader and
called by whoever puts, takes or ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import janus

__all__ = ["Channel", "ChannelEnded"]


class ChannelEnded(Exception):
    """Nothing more comes: the task ended and everything was taken, or somebody closed it."""


# What janus' own constructor makes, but for what each queue must have for itself.
_specimen: janus.Queue[Any] = janus.Queue()
_get: Any = type(_specimen.sync_q).get
_put_nowait: Any = type(_specimen.async_q).put_nowait


class _BatchQueue(janus.Queue[Any]):
    """A janus queue whose items are put and taken by the batch, and counted one by one.

    It is put into by `_put_nowait` and taken from by `_get`, which are janus', and is its own face
    to both. It makes nothing of what janus makes for those who wait: nobody waits here but the one
    reader's thread, in `_get`, and `allow_waiting` makes what that needs. Every open stream has one of
    these, and what it is made of is what the garbage collector goes through.

    An item that is put is a list of events, of which so many move up as there is room, or `None` for
    those that found none before.

    Args:
        maxsize: its bound, in events.
    """

    #: How many events ever moved up; changed under the queue's lock.
    arrived = 0
    #: How many items the next get takes at most; written by the reader.
    most: int | None = None

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        #: What is there to be taken: looked at without a lock, changed by janus.
        self.held: list[Any] = []
        self._queue = self.held  # type: ignore[assignment]
        #: What found no room yet; made for the first that did not.
        self.late: deque[Any] | None = None
        self._sync_mutex = threading.Lock()
        # Until somebody is about to wait.
        self._sync_not_empty = self._sync_mutex  # type: ignore[assignment]

    @property
    def _parent(self) -> _BatchQueue:
        """What a face of the queue calls it."""
        return self

    def _put(self, item: Sequence[Any] | None) -> None:
        held, late = self.held, self.late
        before = len(held)
        if late:
            late.extend(item or ())
            room = self._maxsize - before if self._maxsize else len(late)
            try:
                for _ in range(min(room, len(late))):
                    held.append(late.popleft())
            except IndexError:  # the loop may drop what waits at any moment
                pass
        elif item:
            room = self._maxsize - before
            if not self._maxsize or len(item) <= room:
                held.extend(item)
            else:
                held.extend(item[:room])
                self.keep(item[room:])
        self.arrived += len(held) - before

    def keep(self, events: Sequence[Any]) -> None:
        """On the loop: these find no room now."""
        if self.late is None:
            self.late = deque()
        self.late.extend(events)

    def _get_loop(self) -> Any:
        """The loop that janus would tell of what the other side does: nothing waits on one here.

        Not looked up, as that asks the system for the process's number, for each put.
        """
        return None

    def allow_waiting(self) -> None:
        """Before a `get` that waits, in its thread: have what it waits on."""
        if not isinstance(self._sync_not_empty, threading.Condition):
            condition = threading.Condition(self._sync_mutex)
            # Else a condition tries to take its lock to see whether it is held, and under gevent a
            # failed try lets other greenlets run: in the middle of a put, while the loop runs.
            condition._is_owned = self._sync_mutex.locked
            self._sync_not_empty = condition

    def hold(self, items: Iterable[Any]) -> None:
        """Have these in the queue; before anybody else knows of it."""
        self.held.extend(items)
        self.arrived = len(self.held)

    def lift_bound(self) -> None:
        """Take whatever comes from now on: what is put last was already in memory."""
        self._maxsize = 0

    def _get(self) -> list[Any]:
        held = self.held
        taken = held[: self.most]
        del held[: self.most]
        if self.late:
            self._put(None)
        return taken


for _name, _value in vars(_specimen).items():
    if _value is None or isinstance(_value, (bool, int)):  # its counters, as they are at first
        setattr(_BatchQueue, _name, _value)
del _specimen


class Channel:
    """A bounded crossing of events from the event loop to one reader in any thread.

    Args:
        queue_size: how many events may wait for a stalled reader, its own share included.
    """

    def __init__(self, queue_size: int) -> None:
        self.queue_size = queue_size
        self._queue = _BatchQueue((queue_size + 1) // 2)
        self._drained: list[asyncio.Future[None]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        #: What is called, in any thread, whenever something came or the channel ended: see `wake_with`.
        self.waker: Callable[[], None] | None = None
        self._over = False
        #: When the reader last got an event (`time.monotonic()`); written by the reader alone.
        self.read_at = 0.0

    # The loop's side.

    def offer(self, events: Sequence[Any]) -> bool:
        """Add events; true when all of them found room. Else call `drain` and wait."""
        queue = self._queue
        if not events:
            return not queue.late or self._move_up()
        try:
            _put_nowait(queue, events)
        except janus.AsyncQueueFull:
            queue.keep(events)
            return self._move_up()  # the reader may have taken everything between the two
        except janus.AsyncQueueShutDown:
            self._drop_late()
            return True
        waker = self.waker
        if waker is not None:
            waker()
        return not queue.late

    @property
    def backlog(self) -> int:
        """How many events found no room yet."""
        return len(self._queue.late or ())

    async def drain(self) -> None:
        """Wait until everything offered so far has found room.

        Raises:
            ChannelEnded: the reader has gone.
        """
        while self._queue.late and not self._over:
            self._loop = asyncio.get_running_loop()
            drained = self._loop.create_future()
            waiting = self._drained
            if waiting is None:
                waiting = self._drained = []
            waiting.append(drained)
            try:
                # Looked at again once the reader can see that somebody waits: whichever of the
                # two comes second, its look or the reader's last take, sees the other.
                if self._queue.late:
                    await drained
            finally:
                if drained in waiting:
                    waiting.remove(drained)
        if self._over:
            raise ChannelEnded

    def end(self, last: Sequence[Any] = ()) -> None:
        """No more events than these; the reader gets all that were offered, then the end."""
        self._queue.lift_bound()
        if self._queue.late:
            self._move_up()
        if last:
            with suppress(janus.AsyncQueueShutDown):  # the reader has gone
                _put_nowait(self._queue, last)
        self._queue.shutdown()
        self._over = True
        self._tell_drained()
        self._wake()

    def end_with(self, events: Iterable[Any]) -> None:
        """Hold these events and then the end, in whatever thread, before anybody reads: nothing has to cross."""
        self._queue.hold(events)
        self._queue.shutdown()
        self._over = True

    def close(self) -> None:
        """End, and drop what nobody has taken."""
        self._drop_late()
        self._queue.close()
        self._over = True
        self._tell_drained()
        self._wake()

    def _move_up(self) -> bool:
        """Have what found no room before go as far as there is some now; whether all of it went."""
        try:
            _put_nowait(self._queue, None)
        except janus.AsyncQueueFull:
            return False
        except janus.AsyncQueueShutDown:
            self._drop_late()
            return True
        self._wake()
        return not self._queue.late

    def _drop_late(self) -> None:
        if self._queue.late is not None:
            self._queue.late.clear()

    def _tell_drained(self) -> None:
        waiting, self._drained = self._drained, None
        for each in waiting or ():
            if not each.done():
                each.set_result(None)

    def _wake(self) -> None:
        waker = self.waker
        if waker is not None:
            waker()

    # The reader's side.

    def take(self, seconds: float) -> list[Any]:
        """All events that are there, waiting for the first; an empty list when none came in time.

        Raises:
            ChannelEnded: nothing is there and nothing more comes.
        """
        arrived = self._queue.arrived
        self._queue.allow_waiting()
        try:
            taken: list[Any] = _get(self._queue, timeout=seconds)
        except janus.SyncQueueEmpty:
            return []
        except janus.SyncQueueShutDown:
            raise ChannelEnded from None
        self._taken(arrived)
        return taken

    def take_now(self, most: int | None = None) -> list[Any]:
        """All events that are there, or the first `most` of them, without waiting.

        Raises:
            ChannelEnded: nothing is there and nothing more comes.
        """
        queue = self._queue
        if not queue.held and not self._over:  # janus says it by raising
            return []
        queue.most = most
        arrived = queue.arrived
        try:
            taken: list[Any] = _get(queue, block=False)
        except janus.SyncQueueEmpty:
            return []
        except janus.SyncQueueShutDown:
            raise ChannelEnded from None
        finally:
            queue.most = None
        self._taken(arrived)
        return taken

    def _taken(self, arrived: int) -> None:
        if self._drained and not self._queue.late and self._loop is not None:
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._tell_drained)
        if self._queue.arrived != arrived:
            self._wake()

    @property
    def arrived(self) -> int:
        """How many events ever found room; for the waker, which is called after each push."""
        return self._queue.arrived

    @property
    def unread(self) -> bool:
        """Whether there are events to take."""
        return self.waiting > 0

    @property
    def waiting(self) -> int:
        """How many events there are to take; looks without a lock, for a signal handler's `close()`."""
        return len(self._queue.held)

    @property
    def ready(self) -> bool:
        """Whether `take_now` would give something or say that this is the end."""
        return self._over or bool(self._queue.held)

    def wake_with(self, waker: Callable[[], None] | None) -> None:
        """Have `waker` called, in any thread, whenever something came or the channel ended.

        For a reader that does not block: set it, look with `take_now` once more, then wait.
        """
        self.waker = waker
