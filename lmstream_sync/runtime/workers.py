"""To a worker thread and back: synchronous code of the user, waited for asynchronously."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from lmstream_sync.errors import Stopped
from lmstream_sync.runtime.call import current_call
from lmstream_sync.runtime.loop import on_loop_thread
from lmstream_sync.runtime.threads import start_result
from lmstream_sync.settings import settings

__all__ = ["asyncify", "in_worker"]

P = ParamSpec("P")
T = TypeVar("T")


async def in_worker(fn: Callable[[], T], *, name: str = "") -> T:
    """Run a synchronous function in a worker thread, in the caller's context.

    Cancelled on our loop, it waits for the function to end, which nobody can interrupt:
    its next model or tool call, `emit` or read of a stream raises `Stopped`.
    """
    loop = asyncio.get_running_loop()
    came: asyncio.Future[tuple[bool, Any]] = loop.create_future()

    def deliver(ok: bool, value: Any) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, came, ok, value)

    start_result(fn, deliver)
    call = current_call.get() if on_loop_thread() else None
    token = object()
    if call is not None:
        call.busy_with[token] = name or getattr(fn, "__qualname__", "a synchronous function")
    del fn
    cancelled = False
    try:
        while not came.done():
            try:
                await asyncio.wait([came])
            except asyncio.CancelledError:
                if call is None:
                    raise
                cancelled = True
    finally:
        if call is not None:
            call.busy_with.pop(token, None)
    ok, value = came.result()
    came = loop.create_future()  # else the error would hold this frame, which holds the error
    if cancelled:
        raise asyncio.CancelledError
    if ok:
        result: T = value
        return result
    if isinstance(value, Stopped) and call is not None and call.stopping:
        await call.end_here()
    try:
        raise value
    finally:
        del value


def _settle(came: asyncio.Future[tuple[bool, Any]], ok: bool, value: Any) -> None:
    if not came.done():
        came.set_result((ok, value))


_limits: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[int, asyncio.Semaphore]] = (
    weakref.WeakKeyDictionary()
)


def asyncify(fn: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """A coroutine function that runs a synchronous function in a worker thread.

    At most `settings.async_max_workers` run at once on one loop; contextvars go with them.
    """

    @wraps(fn)
    async def asynchronous(*args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        allowed = settings.async_max_workers
        known = _limits.get(loop)
        if known is None or known[0] != allowed:
            known = (allowed, asyncio.Semaphore(allowed))
            _limits[loop] = known
        async with known[1]:
            return await in_worker(partial(fn, *args, **kwargs), name=getattr(fn, "__qualname__", ""))

    return asynchronous
