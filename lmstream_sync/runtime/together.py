"""Several calls that run as one: waiting for all of them, and for their clean-up when they are stopped.

On the loop thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

from lmstream_sync.runtime.call import Call

__all__ = ["stop_all", "until_all_done", "until_stopped"]


def stop_all(calls: Iterable[Call], reason: str) -> None:
    """Stop each call that still runs."""
    for each in calls:
        each.stop(reason)


async def until_all_done(call: Call, members: list[Call]) -> None:
    """Wait until every member is done; where `call` is stopped first, stop them and wait for their clean-up."""
    done = _all_done(members)
    try:
        await done
    except asyncio.CancelledError:
        stop_all(members, "cancelled" if call.reason == "cancelled" else "left")
        await until_stopped(call, members)
        raise


async def until_stopped(call: Call, members: list[Call]) -> None:
    """Wait for members that were told to stop, however often `call` is cancelled meanwhile."""
    for each in members:
        busy = dict(each.busy_with)
        call.busy_with.update(busy)  # what a warning names
        each.when_done(partial(_forget, call, busy))
    done = _all_done(members)
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError:
            continue


def _forget(call: Call, busy: Iterable[object]) -> None:
    for token in busy:
        call.busy_with.pop(token, None)


def _all_done(members: list[Call]) -> asyncio.Future[Any]:
    done = asyncio.get_running_loop().create_future()
    left = len(members)

    def one_less() -> None:
        nonlocal left
        left -= 1
        if left <= 0 and not done.done():
            done.set_result(None)

    for each in members:
        each.when_done(one_less)
    if not members:
        done.set_result(None)
    return done
