"""One running call: its task on the loop, and everything that can end it.

A `Call` is what the task's side and the reader's side share. The task refers to the call
and never to the reader; the reader refers to the call and never to the task; so either can
be collected while the other lives.

Who touches what: everything here belongs to the loop thread, but `stopping` (set by any
thread, read by workers; `asked_to_stop` beside it), `done` (set once, on the loop), and what is written
before `done` is set or the channel ends and only read afterwards (`result`, `error`).

A call ends in one of these ways, and each wakes the reader by ending the channel and then
sets `done`: the program returned; it raised; a deadline passed (`fail`); the reader left
(`stop("left")`); somebody cancelled it (`stop("cancelled")`); the parent call was stopped.
The death of the loop wakes nobody: whoever waits looks at it in slices.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context, ContextVar, copy_context
from functools import partial
from typing import Any, NoReturn

from lmstream_sync.errors import Stopped, StreamCancelled, StreamError
from lmstream_sync.runtime import fork, register
from lmstream_sync.runtime.channel import Channel, ChannelEnded
from lmstream_sync.runtime.deadlines import CallClocks
from lmstream_sync.runtime.flag import Flag
from lmstream_sync.runtime.loop import LoopThread, loop_thread, on_loop_thread
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.settings import settings

__all__ = ["Call", "Own", "current_call"]

#: The call that this code runs for; it goes with the context into workers.
current_call: ContextVar[Call | None] = ContextVar("lmstream_sync_call", default=None)

#: Seconds after which a task that swallowed its cancellation is cancelled again.
CANCEL_AGAIN = 5.0


def _task_in(context: Context, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task in the context that is the current one: no copy of it, where Python can do without."""
    if sys.version_info >= (3, 11):
        return loop.create_task(work, context=context)
    return loop.create_task(work)


class Own:
    """An event of the program's own (`emit`), told from the library's while it is in the stream."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Call:
    """One call of a program.

    Args:
        make: gives the coroutine to run; called on the loop, in the call's context.
        channel: where its events go, or `None` for a plain call.
        timeout: the limits asked for; `configure` and the defaults supply the others.
        name: what it runs, for messages.
    """

    _id: str | None = None

    def __init__(
        self, make: Callable[[Call], Awaitable[Any]], channel: Channel | None, timeout: Timeout, name: str
    ) -> None:
        self.name = name
        self.channel = channel
        self.timeout = timeout
        self.generation = fork.generation
        self.began = time.monotonic()
        self.first_at: float | None = None
        self.ended_at: float | None = None
        self.thread: LoopThread = loop_thread()
        self.parent = current_call.get()
        self.stopping = False
        self.asked_to_stop: str | None = None
        self.reason: str | None = None
        self.error: BaseException | None = None
        self.result: Any = None
        #: Its last events, which cross together with its end, where the program returns.
        self.last: Sequence[Any] = ()
        self.done = Flag()
        self.clocks = CallClocks(timeout.over(Timeout.of(settings.process_wide("timeout"))), self)
        self.busy_with: dict[object, str] = {}
        #: Whether its reader left it to itself; written by whoever detaches.
        self.detached = False
        #: Whether `emit` may send to the reader; where not, a call round this one gets it.
        self.takes_events = True
        self._make: Callable[[Call], Awaitable[Any]] | None = make
        self._task: asyncio.Task[None] | None = None
        self._ok = False
        self._finished = False
        # Made when there is something to hold: most calls need none of them.
        self._sub_tasks: set[asyncio.Task[Any]] | None = None
        self._children: weakref.WeakSet[Call] | None = None
        self._when_done: list[Callable[[], None]] | None = None

    @property
    def id(self) -> str:
        """Its name, which cannot be guessed; made for whoever asks first, in any thread.

        To ask the system for random bytes lets other threads run: each call would wait for them.
        """
        if self._id is None:
            vars(self).setdefault("_id", os.urandom(12).hex())  # one step: whoever comes second gets the first's
        made: str = vars(self)["_id"]
        return made

    def is_called(self, name: str) -> bool:
        """Whether this is its `id`, which somebody was told."""
        return self._id == name

    # From the caller's thread.

    def end_at_once(self, result: Any) -> None:
        """Have its result, which is its only event, without running anything: `start` does nothing then."""
        self._make = None
        self.result, self._ok, self._finished = result, True, True
        self.first_at = self.ended_at = time.monotonic()
        if self.channel is not None:
            self.channel.end_with((result,))
        self.done.set()

    def start(self) -> None:
        """Start the program on the loop, with the caller's context as it is now."""
        if self._finished:
            return
        register.enter(self)
        context = copy_context()
        context.run(current_call.set, self)
        try:
            self.thread.begin(partial(self._start, context), context)
        except RuntimeError:
            register.leave(self)
            raise

    def request_stop(self, reason: str) -> None:
        """Have the call stopped, from any thread: nothing of its program starts from here on."""
        self.asked_to_stop = self.asked_to_stop or reason
        self.stopping = True
        if not self.thread.post(self.stop, reason):
            self.lost()

    def lost(self) -> None:
        """The loop died, and the task with it: nobody waits for it any more."""
        if self.generation == fork.generation:
            register.leave(self)
            self.done.set()

    def check_stopped(self) -> None:
        """Raise `Stopped` when the call is being stopped; in any thread."""
        # On the loop only after `stop` ran there: its cancellation, coming later, would
        # interrupt the clean-up that `Stopped` began.
        if self.reason is not None if on_loop_thread() else self.stopping:
            raise Stopped(f"the reader of {self.name} has gone; its program stops here")

    async def end_here(self) -> NoReturn:
        """On the loop, in code of a call that is being stopped: be cancelled now, once."""
        if self.reason is None:  # the stop that was asked for is still on its way
            self.stop(self.asked_to_stop or "left")
            await asyncio.sleep(0)
        raise asyncio.CancelledError

    def when_done(self, fn: Callable[[], None]) -> None:
        """Have a function called on the loop when the task is done, or at once if it is."""
        if self._finished:
            fn()
        elif self._when_done is None:
            self._when_done = [fn]
        else:
            self._when_done.append(fn)

    # On the loop.

    def _start(self, context: Context) -> None:
        if self.parent is not None:
            self.parent._adopt(self)
            if self.parent.stopping or (self.parent._finished and not self.parent._ok):
                self.stop("left")
        if self.stopping:
            self._make = None
            self._finish(cancelled=True)
            return
        loop = asyncio.get_running_loop()
        self.clocks.start(loop, time.monotonic() - self.began)
        self._task = _task_in(context, loop, self._run())
        self._task.add_done_callback(self._task_done, context=context)

    async def _run(self) -> None:
        make, self._make = self._make, None
        assert make is not None
        try:
            running = make(self)
            make = None  # what is called is not kept while it runs
            result = await running
            del running
            if self.channel is not None:
                await self.flush()
        except (asyncio.CancelledError, Stopped):
            if self.reason is None and self.asked_to_stop is None:
                self.error = StreamCancelled(f"{self.name} was cancelled from inside its own program")
        except BaseException as error:
            # Whatever it is reaches this call's reader; raised further, SystemExit and its
            # kin would leave the loop that all streams share.
            if self.reason is None:
                # Without this frame, which refers to the call, which refers to the error.
                trace = error.__traceback__
                error = error.with_traceback(trace.tb_next if trace is not None else None)
                self.error = _reader_safe(error)
        else:
            if self.reason is None:
                self.result = result
                self._ok = True

    def _task_done(self, task: asyncio.Task[None]) -> None:
        # A task cancelled before its first step has run no `except` of its own.
        self._finish(cancelled=task.cancelled())

    def _finish(self, *, cancelled: bool) -> None:
        if self._finished:
            return
        self._finished = True
        if not self._ok and self.error is None:
            reason = self.reason or self.asked_to_stop
            if reason == "cancelled" or (cancelled and reason is None):
                self.error = StreamCancelled(f"{self.name} was cancelled")
        self.ended_at = time.monotonic()
        self.clocks.stop()
        register.leave(self)
        self._task = None
        if self.thread.ending:
            return  # with the interpreter: whoever waits is a daemon thread, which need not hear of it
        if not self._ok:
            # Its error keeps the frames of the program, and with them the streams it had open.
            self._stop_children()
        if self.channel is not None:
            if self._ok and self.last:
                self.first_at = self.first_at or self.ended_at
                self.channel.end(self.last)
            else:
                self.channel.end()
        self._tell_done()

    def _tell_done(self) -> None:
        self.done.set()
        callbacks, self._when_done = self._when_done, None
        for fn in callbacks or ():
            fn()

    @property
    def unattended(self) -> bool:
        """Whether nobody waits for it: it was detached, or a call that it is made in was."""
        return self.detached or (self.parent is not None and self.parent.unattended)

    @property
    def completed(self) -> bool:
        """Whether the program returned."""
        return self._ok

    def stop(self, reason: str) -> None:
        """Stop the program: its task, the sub-tasks of its workers, the calls made inside it."""
        if self._finished or self.reason is not None:
            return
        if self._task is not None and self._task.done():
            return  # it returned in this very step of the loop
        self.reason = reason
        self.stopping = True
        if self.channel is not None:
            if reason == "cancelled":
                self.error = StreamCancelled(f"{self.name} was cancelled")
                self.channel.end()
            else:
                self.channel.close()
        self._cancel_all()

    def fail(self, error: BaseException) -> None:
        """A deadline passed: the reader gets the error after what was queued, the program stops."""
        if self._finished or self.reason is not None:
            return
        if self._task is not None and self._task.done():
            return
        self.error = error
        self.ended_at = time.monotonic()
        self.reason = "failed"
        self.stopping = True
        if self.channel is not None:
            self.channel.end()
        self._cancel_all()
        if self.channel is None:
            # A plain call has no reader to tell but the one who waits for `done`; a worker
            # that cannot be interrupted must not hold him.
            self._tell_done()

    def _cancel_all(self) -> None:
        if self._finished:
            return
        self._stop_children()
        for sub_task in list(self._sub_tasks or ()):
            sub_task.cancel()
        if self._task is not None:
            self._task.cancel()
            # Cancelled again until it ends: a program may swallow the first.
            self.thread.loop.call_later(CANCEL_AGAIN, _cancel_again, weakref.ref(self), context=Context())

    def _stop_children(self) -> None:
        # Whatever ended this call: the streams that its program reads have lost their reader.
        for child in self.children:
            child.stop("left")

    def _adopt(self, child: Call) -> None:
        if self._children is None:
            self._children = weakref.WeakSet()
        self._children.add(child)

    @property
    def children(self) -> list[Call]:
        """The calls made inside this one that still run."""
        return list(self._children or ())

    def run_sub_task(self, coroutine: Awaitable[Any], ended: Callable[[asyncio.Task[Any]], None]) -> asyncio.Task[Any]:
        """Run what a worker of this call asked for; it is stopped with the call."""
        task = asyncio.ensure_future(coroutine)
        assert isinstance(task, asyncio.Task)
        if self._sub_tasks is None:
            self._sub_tasks = set()
        self._sub_tasks.add(task)
        task.add_done_callback(self._sub_tasks.discard)
        task.add_done_callback(ended)
        if self.stopping:
            task.cancel()
        return task

    # Events.

    async def put(self, events: Sequence[Any], *, output: bool = True) -> None:
        """Send events to the reader, waiting for room; see `send`."""
        waiting = self.send(events, output=output)
        if waiting is not None:
            await waiting

    def send(
        self, events: Sequence[Any], *, output: bool = True, touched: bool = False
    ) -> Coroutine[Any, Any, None] | None:
        """Send events to the reader; gives what waits for room, to be awaited, where there is none for all.

        Args:
            events: in order.
            output: they came from a model.
            touched: the idle clock heard already of what they were made of.
        """
        if self.stopping:
            return self.end_here()
        if output and self.first_at is None:
            self.first_at = time.monotonic()
        if not touched:
            self.clocks.touch()
        channel = self.channel
        return None if channel is None or channel.offer(events) else self._wait_for_room(channel)

    def put_soon(self, event: Any, *, limited: bool = True) -> None:
        """Send an event from synchronous code on the loop, which cannot wait.

        Args:
            event: what the reader gets.
            limited: refuse when `queue_size` events already wait for room. What a program
                cannot make more of without a model or tool call needs no limit: there it waits.

        Raises:
            StreamError: `queue_size` events already wait for room.
        """
        channel = self.channel
        if channel is None or self.stopping:
            return
        if limited and channel.backlog >= channel.queue_size:
            raise StreamError(
                f"{channel.queue_size} events of this program wait for a slow reader, and synchronous code on the "
                "event loop cannot wait for room: use `await lms.aemit(...)`"
            )
        self.clocks.touch()
        channel.offer((event,))

    async def flush(self) -> None:
        """Wait until all that synchronous code put has found room."""
        channel = self.channel
        if channel is not None and channel.backlog:
            await self._wait_for_room(channel)

    async def _wait_for_room(self, channel: Channel) -> None:
        try:
            with self.clocks.waiting_for_reader(lambda: channel.read_at):
                await channel.drain()
        except ChannelEnded:  # an `Exception`, which a program may swallow
            await self.end_here()


def _reader_safe(error: BaseException) -> BaseException:
    """The error, or one in its place where the reader would take it for the end of the stream."""
    if not isinstance(error, (StopIteration, StopAsyncIteration)):
        return error
    safe = RuntimeError(f"the program raised {type(error).__name__}")
    safe.__cause__ = error
    return safe


def _cancel_again(reference: weakref.ref[Call]) -> None:
    call = reference()
    if call is not None:
        call._cancel_all()
