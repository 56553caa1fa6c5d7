"""From any thread to the loop and back.

`run` and `arun` bring a coroutine to the loop and wait for its end, in the caller's
context. What a worker of a running call brings belongs to that call and is stopped with it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import Any, TypeVar, cast

from lmstream_sync.errors import Stopped
from lmstream_sync.runtime import fork
from lmstream_sync.runtime.call import Call, current_call
from lmstream_sync.runtime.clocks import limits_asked
from lmstream_sync.runtime.loop import on_loop_thread
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.runtime.waiting import Watch, forbid_on_loop

__all__ = ["arun", "check_stopped", "checkpoint", "run", "run_in_call", "syncify"]

T = TypeVar("T")


def run(make: Callable[[], Awaitable[T]], *, instead: str, timeout: Timeout | None = None, name: str = "the call") -> T:
    """Run a coroutine on the loop thread and wait for it, from any other thread.

    Args:
        make: gives the coroutine; called on the loop, in a copy of the caller's context.
        instead: what to write on the loop thread, for the error there.
        timeout: limits of the thing called, below those of the context.
        name: what runs, for messages.

    Raises:
        StreamError: this is the loop thread.
        Stopped: the call that this code runs for was stopped.
        StreamTimeout, LoopDied, StreamForked: see `errors`.
    """
    forbid_on_loop(instead)
    call = current_call.get()
    if call is None or call.generation != fork.generation:
        result: T = _run_call(Call(lambda _: make(), None, limits_asked(timeout), name))
    else:
        result = run_in_call(call, make)
    return result


def _run_call(call: Call) -> Any:
    watch = Watch(call)
    try:  # from here on: Ctrl-C may come anywhere
        call.start()
        while not call.done.wait(watch.slice()):
            watch.look()
    except BaseException:
        call.request_stop("left")
        raise
    return _outcome_of(call)


class _Meeting:
    """What one worker waits for: the end of the coroutine it brought to the loop."""

    def __init__(self, call: Call, make: Callable[[], Awaitable[Any]]) -> None:
        self.call = call
        self.make: Callable[[], Awaitable[Any]] | None = make
        self.task: asyncio.Task[Any] | None = None
        self.came = threading.Event()
        self.when_came: Callable[[], None] | None = None
        self.ok = False
        self.value: Any = None

    def begin(self) -> None:
        make, self.make = self.make, None
        if make is not None:
            self.task = self.call.run_sub_task(_as_coroutine(make), self._ended)

    def leave(self) -> None:
        """On the loop: nobody waits for it any more."""
        self.make = None
        if self.task is not None:
            self.task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self.value = Stopped(f"{self.call.name} was stopped")
        elif (error := task.exception()) is not None:
            self.value = error
        else:
            self.ok, self.value = True, task.result()
        self.came.set()
        if self.when_came is not None:
            self.when_came()

    def result(self) -> Any:
        value, self.value = self.value, None
        if self.ok:
            return value
        try:
            raise value
        finally:
            del value


async def _as_coroutine(make: Callable[[], Awaitable[T]]) -> T:
    return await make()


def run_in_call(call: Call, make: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine on the loop as a part of a running call, from a worker; wait for its end."""
    call.check_stopped()
    watch = Watch(call)
    meeting = _Meeting(call, make)
    try:
        if not call.thread.post(meeting.begin):
            watch.look()
        while not meeting.came.wait(watch.slice()):
            watch.look()
    except BaseException:
        call.thread.post(meeting.leave)
        raise
    return meeting.result()


async def arun(make: Callable[[], Awaitable[T]], *, timeout: Timeout | None = None, name: str = "the call") -> T:
    """`run` for asynchronous code: awaits on our loop, hops over from anybody else's."""
    if on_loop_thread():
        return await make()
    theirs = asyncio.get_running_loop()
    came = theirs.create_future()

    def tell() -> None:
        with suppress(RuntimeError):  # their loop was closed: nobody waits any more
            theirs.call_soon_threadsafe(_settle, came)

    call = current_call.get()
    if call is not None and call.generation == fork.generation:
        call.check_stopped()
        meeting = _Meeting(call, make)
        meeting.when_came = tell
        call.thread.post(meeting.begin)
        try:
            await _wait_looking(came, call)
        except BaseException:
            call.thread.post(meeting.leave)
            raise
        return cast(T, meeting.result())
    call = Call(lambda _: make(), None, limits_asked(timeout), name)
    call.thread.post(call.when_done, tell)
    try:
        call.start()
        await _wait_looking(came, call)
    except BaseException:
        call.request_stop("left")
        raise
    return cast(T, _outcome_of(call))


def _settle(came: asyncio.Future[None]) -> None:
    if not came.done():
        came.set_result(None)


async def _wait_looking(came: asyncio.Future[None], call: Call) -> None:
    watch = Watch(call)
    while not came.done():
        await asyncio.wait([came], timeout=watch.slice())
        if not came.done():
            watch.look()


def _outcome_of(call: Call) -> Any:
    if call.completed:
        return call.result
    error, call.error = call.error, None
    if error is None:
        error = Stopped(f"{call.name} was stopped")
    try:
        raise error
    finally:
        del error  # its traceback holds this frame


def check_stopped() -> None:
    """Raise `Stopped` when the reader of the call that this code runs for has gone."""
    call = current_call.get()
    if call is not None:
        call.check_stopped()


async def checkpoint() -> None:
    """`check_stopped`, and on our loop let out what synchronous code emitted."""
    call = current_call.get()
    if call is not None:
        if not on_loop_thread():
            call.check_stopped()
        elif call.stopping:
            await call.end_here()
        else:
            await call.flush()


def syncify(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function that runs an asynchronous one, or a module's `acall`, on the loop thread.

    Raises, when called:
        StreamError: on the loop thread, where it would block every stream.
    """
    target = getattr(fn, "acall", fn)
    name = getattr(fn, "__qualname__", type(fn).__name__)

    @wraps(target)
    def synchronous(*args: Any, **kwargs: Any) -> Any:
        return run(lambda: target(*args, **kwargs), instead=f"await {name}(...)", name=name)

    return synchronous
