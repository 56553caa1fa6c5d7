"""Coroutines that a job gives to somebody who was stopped before he took them."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import pytest

from lmstream_sync.runtime.crossing import run
from lmstream_sync.runtime.threads import closing_unawaited


async def nothing() -> None:
    """What the job makes."""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("moment", ["while it runs", "when it has just ended"])
def test_a_coroutine_that_nobody_came_to_await_is_closed(moment: str) -> None:
    made: list[Any] = []
    started, go_on = threading.Event(), threading.Event()

    def job() -> Any:
        started.set()
        go_on.wait(5)
        made.append(nothing())
        return made[0]

    async def ask() -> None:
        with closing_unawaited():
            await asyncio.get_running_loop().run_in_executor(None, job)

    async def stopped() -> None:
        task = asyncio.ensure_future(ask())
        while not started.is_set():
            await asyncio.sleep(0)
        if moment == "while it runs":
            task.cancel()
            await asyncio.wait([task])
            go_on.set()
        else:
            go_on.set()
            while not made or not task._fut_waiter.done():
                await asyncio.sleep(0)
            task.cancel()  # its result has come, and it has not taken it yet
            await asyncio.wait([task])
        assert task.cancelled()
        while not made or inspect.getcoroutinestate(made[0]) != inspect.CORO_CLOSED:
            await asyncio.sleep(0)

    run(stopped, instead="")


def test_one_that_is_awaited_is_left_alone() -> None:
    async def answer() -> int:
        return 7

    async def ask() -> int:
        with closing_unawaited():
            found: int = await (await asyncio.get_running_loop().run_in_executor(None, answer))
        return found

    assert run(ask, instead="") == 7
