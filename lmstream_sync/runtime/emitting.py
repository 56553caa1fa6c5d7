"""`emit` and `aemit`: a program's own events."""

from __future__ import annotations

from functools import partial
from typing import Any

from lmstream_sync.runtime.call import Call, Own, current_call
from lmstream_sync.runtime.crossing import arun, run_in_call
from lmstream_sync.runtime.loop import on_loop_thread

__all__ = ["aemit", "emit"]


def emit(value: Any) -> None:
    """Send an event of the program's own to the reader, unchanged and in order.

    In a worker it waits for room. In synchronous code on the loop it cannot wait: up to
    `queue_size` more are kept. Outside a stream nothing happens.

    Raises:
        StreamError: synchronous code on the loop emitted more than the reader took;
            `await lms.aemit(...)` waits for it.
        Stopped: the reader has gone.
    """
    call = _receiver()
    if call is None:
        return
    call.check_stopped()
    if on_loop_thread():
        call.put_soon(Own(value))
    else:
        run_in_call(call, partial(call.put, (Own(value),), output=False))


async def aemit(value: Any) -> None:
    """`emit` for asynchronous code: waits for room on every loop."""
    call = _receiver()
    if call is None:
        return
    call.check_stopped()
    await arun(partial(call.put, (Own(value),), output=False))


def _receiver() -> Call | None:
    """The nearest call round this code whose reader takes events of the program's own."""
    call = current_call.get()
    while call is not None and (call.channel is None or not call.takes_events):
        call = call.parent
    return call
