"""Worker threads, and the executor that the loop's own jobs go to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from lmstream_sync.runtime.threads import DaemonExecutor, start_job, worker_count


def test_workers_are_daemons() -> None:
    seen: list[threading.Thread] = []
    done = threading.Event()

    def job() -> None:
        seen.append(threading.current_thread())
        done.set()

    start_job(job)
    assert done.wait(5)
    assert seen[0].daemon and worker_count() >= 1


@pytest.mark.filterwarnings("error")
def test_a_coroutine_that_a_job_gives_to_nobody_is_closed() -> None:
    started, may_give = threading.Event(), threading.Event()
    made: list[Coroutine[Any, Any, None]] = []

    async def never_awaited() -> None:
        raise AssertionError("it must not run")

    def job() -> Coroutine[Any, Any, None]:
        started.set()
        may_give.wait(5)
        made.append(never_awaited())
        return made[0]

    async def cancelled_midway() -> None:
        waiting = asyncio.get_running_loop().run_in_executor(executor, job)
        while not started.is_set():
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)  # the executor hears of it
        may_give.set()

    executor = DaemonExecutor(max_workers=1)
    asyncio.run(cancelled_midway())
    for _ in range(5000):
        if made and made[0].cr_frame is None:
            break
        threading.Event().wait(0.001)
    assert made and made[0].cr_frame is None


def test_the_executor_gives_results_and_errors() -> None:
    async def run() -> tuple[int, str]:
        loop = asyncio.get_running_loop()
        five = await loop.run_in_executor(executor, lambda: 5)
        try:
            await loop.run_in_executor(executor, lambda: 1 // 0)
        except ZeroDivisionError as error:
            return five, str(error)
        return five, "no error"

    executor = DaemonExecutor(max_workers=1)
    assert asyncio.run(run()) == (5, "integer division or modulo by zero")
