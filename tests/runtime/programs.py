"""Small programs, and the ways to run and observe them, that the tests of `runtime` share."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lmstream_sync.runtime import crossing, workers
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.channel import Channel
from lmstream_sync.runtime.stream import EventStream
from lmstream_sync.runtime.timeout import Timeout

ROOT = Path(__file__).resolve().parents[2]

#: Seconds that a test waits for what should come at once; only a failing test waits so long.
SOON = 10.0


def stream(
    program: Callable[[], AsyncIterator[Any]],
    *,
    queue_size: int = 32,
    timeout: Timeout | None = None,
    result: Any = "result",
) -> EventStream:
    """A stream of what an asynchronous generator function yields."""

    async def run(call: Call) -> Any:
        generator = program()
        try:
            async for event in generator:
                await call.put((event,))
        finally:
            close = getattr(generator, "aclose", None)
            if close is not None:
                await close()
        return result

    return stream_of_call(run, queue_size=queue_size, timeout=timeout)


def stream_of_call(
    run: Callable[[Call], Awaitable[Any]], *, queue_size: int = 32, timeout: Timeout | None = None
) -> EventStream:
    """A stream of a coroutine function that is given its call."""
    return EventStream(Call(run, Channel(queue_size), timeout or Timeout(), "the program"))


def stream_of_function(fn: Callable[[], Any], *, queue_size: int = 32, timeout: Timeout | None = None) -> EventStream:
    """A stream of a synchronous function, which runs in a worker and emits its events."""

    async def run(call: Call) -> Any:
        return await workers.in_worker(fn)

    return stream_of_call(run, queue_size=queue_size, timeout=timeout)


async def count(n: int = 10) -> AsyncIterator[int]:
    """0, 1, ... n - 1."""
    for i in range(n):
        yield i


class Endless:
    """A program that counts for ever, and tells when it ran and when it was stopped."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self.stopped = threading.Event()

    async def __call__(self) -> AsyncIterator[int]:
        self.running.set()
        try:
            i = 0
            while True:
                yield i
                i += 1
        finally:
            self.stopped.set()


class Silent:
    """A program that gives its events and then waits for ever."""

    def __init__(self, *events: Any) -> None:
        self.events = events
        self.silent = threading.Event()
        self.stopped = threading.Event()

    async def __call__(self) -> AsyncIterator[Any]:
        try:
            for event in self.events:
                yield event
            self.silent.set()
            await asyncio.Event().wait()
        finally:
            self.stopped.set()


def let_the_loop_settle() -> None:
    """Give everything that is ready on the loop its turn: what still waits then, waits for us."""

    async def pass_often() -> None:
        for _ in range(60):
            await asyncio.sleep(0)

    crossing.run(pass_often, instead="await")


def timers_set(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> list[asyncio.TimerHandle]:
    """Every timer that a loop is told to set from here on."""
    timers: list[asyncio.TimerHandle] = []
    call_at = loop.call_at

    def noted(*args: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append(call_at(*args, **options))
        return timers[-1]

    monkeypatch.setattr(loop, "call_at", noted)
    return timers


def in_thread(fn: Callable[[], Any]) -> Callable[[], Any]:
    """Start a function in a thread; what is returned waits for its end and gives its value or its error."""
    outcome: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            outcome.append((True, fn()))
        except BaseException as error:
            outcome.append((False, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join() -> Any:
        thread.join(SOON)
        assert outcome, "the thread still runs"
        ok, value = outcome[0]
        if not ok:
            raise value
        return value

    return join


def wait_until_waiting(events: EventStream) -> None:
    """Return once another thread waits in `next()` of a stream that gives nothing."""
    deadline = threading.Event()
    while not events._channel._queue._sync_not_empty_waiting:
        assert not deadline.wait(0.001)


def script_environment() -> dict[str, str]:
    """The environment in which a script of a test finds the library and the tests."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}


def run_script(source: str, *arguments: str, seconds: float = 30.0, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter; its exit code must be as said."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", source, *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        env=script_environment(),
        cwd=ROOT,
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
