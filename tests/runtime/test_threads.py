"""Worker threads, and the executor that the loop's own jobs go to."""

from __future__ import annotations

import asyncio
import threading

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
