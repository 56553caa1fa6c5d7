"""`run`, `arun`, `syncify`, `asyncify`: from any thread or loop to ours and back."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from functools import partial
from typing import Any

import pytest

from lmstream_sync.errors import Stopped, StreamError
from lmstream_sync.runtime import crossing, workers
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.emitting import aemit, emit
from lmstream_sync.runtime.loop import on_loop_thread
from lmstream_sync.runtime.register import running_calls
from tests.runtime.programs import SOON, in_thread, let_the_loop_settle, stream_of_call, stream_of_function

word = contextvars.ContextVar("word", default="none")


async def where() -> tuple[bool, str]:
    await asyncio.sleep(0)
    return on_loop_thread(), word.get()


def test_run_runs_on_the_loop_in_the_callers_context() -> None:
    def call() -> tuple[bool, str]:
        word.set("mine")
        return crossing.run(where, instead="await")

    assert in_thread(call)() == (True, "mine")
    assert crossing.run(where, instead="await") == (True, "none")


def test_make_is_called_on_the_loop() -> None:
    def make() -> Any:
        assert on_loop_thread()
        return where()

    assert crossing.run(make, instead="await") == (True, "none")


def test_run_on_the_loop_thread_is_an_error_that_names_what_to_write() -> None:
    async def program() -> None:
        with pytest.raises(StreamError, match=r"await lm\.acall\(\.\.\.\)"):
            crossing.run(where, instead="await lm.acall(...)")

    crossing.run(program, instead="await")


def test_run_in_many_threads_at_once() -> None:
    together = threading.Barrier(50)

    def call(i: int) -> int:
        together.wait(SOON)
        return crossing.run(lambda: asyncio.sleep(0, i), instead="await")

    calls = [in_thread(partial(call, i)) for i in range(50)]
    assert [join() for join in calls] == list(range(50))
    assert running_calls() == 0


def test_run_inside_a_worker_belongs_to_the_workers_call() -> None:
    before = running_calls()

    def program() -> int:
        return crossing.run(count_calls, instead="await")

    async def count_calls() -> int:
        return running_calls() - before

    assert stream_of_function(program).result() == 1


async def test_arun_body() -> tuple[bool, str]:
    return await crossing.arun(where)


test_arun_body.__test__ = False  # type: ignore[attr-defined]


def test_arun_awaits_on_our_loop_and_hops_over_from_another() -> None:
    word.set("mine")
    try:
        assert crossing.run(test_arun_body, instead="await") == (True, "mine")
        assert asyncio.run(test_arun_body()) == (True, "mine")
    finally:
        word.set("none")


def test_arun_raises_the_error_of_what_it_ran() -> None:
    async def fail() -> None:
        raise ValueError("x")

    async def program() -> None:
        for _ in range(2):
            with pytest.raises(ValueError):
                await crossing.arun(fail)

    crossing.run(program, instead="await")
    asyncio.run(program())


def test_arun_many_at_once_from_one_foreign_loop() -> None:
    async def program() -> list[int]:
        return await asyncio.gather(*(crossing.arun(lambda i=i: asyncio.sleep(0, i)) for i in range(100)))

    assert asyncio.run(program()) == list(range(100))


class Watched:
    """A coroutine that waits for ever, and tells that it began and that it was stopped."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.stopped = threading.Event()

    async def __call__(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()


async def begin_and_cancel(watched: Watched) -> None:
    task = asyncio.ensure_future(crossing.arun(watched))
    while not watched.began.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_cancelling_arun_on_a_foreign_loop_stops_what_it_ran() -> None:
    watched = Watched()
    asyncio.run(begin_and_cancel(watched))
    assert watched.stopped.wait(SOON)


def test_cancelling_arun_on_a_foreign_loop_inside_a_worker_stops_what_it_ran() -> None:
    watched = Watched()

    def program() -> bool:
        asyncio.run(begin_and_cancel(watched))
        return watched.stopped.wait(SOON)

    assert stream_of_function(program).result() is True


def test_a_foreign_loop_inside_a_worker_is_stopped_with_its_call() -> None:
    watched, raised = Watched(), threading.Event()

    async def foreign() -> None:
        emit("emit on a foreign loop waits in its thread")
        await aemit("and aemit does not")
        try:
            await crossing.arun(watched)
        except Stopped:
            raised.set()
            raise

    events = stream_of_function(lambda: asyncio.run(foreign()))
    assert next(events).startswith("emit")
    assert next(events).startswith("and aemit")
    assert watched.began.wait(SOON)
    events.close()
    assert watched.stopped.is_set()
    assert raised.is_set()


def test_syncify_gives_a_plain_function() -> None:
    async def double(x: int, *, by: int = 2) -> int:
        """Doubles."""
        assert on_loop_thread()
        return x * by

    plain = crossing.syncify(double)
    assert plain(4) == 8
    assert plain(4, by=3) == 12
    assert plain.__name__ == "double"
    assert plain.__doc__ == "Doubles."

    async def program() -> None:
        with pytest.raises(StreamError, match="await .*double"):
            plain(1)

    crossing.run(program, instead="await")


def test_syncify_takes_what_has_an_acall() -> None:
    class Program:
        async def acall(self, x: int) -> int:
            return x + 1

    assert crossing.syncify(Program())(1) == 2  # type: ignore[arg-type]


def test_syncify_works_in_a_worker_of_a_call() -> None:
    async def say(x: str) -> str:
        await aemit(x)
        return x

    events = stream_of_function(lambda: crossing.syncify(say)("hello"))
    assert list(events) == ["hello"]
    assert events.result() == "hello"


def test_check_stopped_and_checkpoint_outside_a_call_do_nothing() -> None:
    crossing.check_stopped()
    asyncio.run(crossing.checkpoint())


def test_a_checkpoint_waits_until_what_was_emitted_found_room() -> None:
    passed = threading.Event()

    async def program(call: Call) -> None:
        for i in range(6):
            emit(i)
        await crossing.checkpoint()
        passed.set()

    events = stream_of_call(program, queue_size=4)
    let_the_loop_settle()
    assert not passed.is_set()
    assert [next(events) for _ in range(4)] == [0, 1, 2, 3]
    assert passed.wait(SOON)
    assert list(events) == [4, 5]


def test_ctrl_c_in_a_waiting_run_stops_what_it_ran() -> None:
    import signal

    watched = Watched()

    def interrupt() -> None:
        watched.began.wait(SOON)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    interrupted = in_thread(interrupt)
    with pytest.raises(KeyboardInterrupt):
        crossing.run(watched, instead="await")
    interrupted()
    assert watched.stopped.wait(SOON)


# Workers


def test_in_worker_runs_in_a_daemon_thread_with_the_callers_context_on_any_loop() -> None:
    def look() -> tuple[bool, bool, str]:
        return threading.current_thread().daemon, on_loop_thread(), word.get()

    async def program() -> tuple[bool, bool, str]:
        word.set("mine")
        return await workers.in_worker(look)

    assert crossing.run(program, instead="await") == (True, False, "mine")
    assert asyncio.run(program()) == (True, False, "mine")


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, StopAsyncIteration])
def test_in_worker_raises_what_the_function_raised_and_the_worker_goes_on(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("x")

    async def program() -> None:
        with pytest.raises(error):
            await workers.in_worker(fail)

    crossing.run(program, instead="await")


def test_asyncify_runs_at_most_async_max_workers_at_once() -> None:
    from lmstream_sync import configure

    configure(async_max_workers=3)
    lock, now, most = threading.Lock(), 0, 0
    all_busy = threading.Barrier(3)

    @workers.asyncify
    def work(x: int, *, plus: int = 0) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        all_busy.wait(SOON)  # three do run at once
        with lock:
            now -= 1
        return x + plus

    async def program() -> list[int]:
        return await asyncio.gather(*(work(i, plus=1) for i in range(12)))

    for run in (lambda: crossing.run(program, instead="await"), lambda: asyncio.run(program())):
        assert run() == list(range(1, 13))
    assert most == 3


def test_worker_hooks_surround_each_run_of_user_code_in_a_worker() -> None:
    from contextlib import contextmanager

    from lmstream_sync import context

    log: list[str] = []

    @contextmanager
    def hook() -> Any:
        log.append("enter")
        try:
            yield
        finally:
            log.append("leave")

    def program() -> None:
        log.append("run")

    with context(worker_hooks=[hook]):
        stream_of_function(program).result()
    assert log == ["enter", "run", "leave"]
