"""A stream that is detached: its program goes on to its end, and nobody reads it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from lmstream_sync.errors import StreamClosed, StreamError, StreamTimeout
from lmstream_sync.runtime.async_stream import AsyncEventStream
from lmstream_sync.runtime.register import cancel
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.settings import configure

from .programs import SOON, run_script, stream


class Steps:
    """A program of so many events, that holds after the first until it is let go on."""

    def __init__(self, events: int = 100) -> None:
        self.events = events
        self.go_on = threading.Event()
        self.sent = 0

    async def __call__(self) -> AsyncIterator[int]:
        for index in range(self.events):
            yield index
            self.sent += 1
            if index == 0:
                while not self.go_on.is_set():
                    await asyncio.sleep(0.005)


class Ended:
    """What `on_end` was told, and where."""

    def __init__(self) -> None:
        self.told = threading.Event()
        self.outcome: str | None = None
        self.error: BaseException | None = None
        self.thread = ""

    def __call__(self, ended: Any) -> None:
        self.outcome, self.error = ended.outcome, ended.error
        self.thread = threading.current_thread().name
        self.told.set()

    def wait(self) -> None:
        assert self.told.wait(SOON)


def test_the_program_goes_on_past_the_queues_bound_and_on_end_runs_in_a_worker() -> None:
    program, ended = Steps(), Ended()
    events = stream(program, queue_size=4)
    events.on_end(ended)
    next(events)
    events.detach()
    assert not events.closed
    program.go_on.set()
    ended.wait()
    assert program.sent == 100
    assert (ended.outcome, events.outcome) == ("completed", "completed")
    assert ended.thread.startswith("lmstream-worker")


def test_neither_the_last_reference_nor_the_end_of_the_block_stops_it() -> None:
    program, ended = Steps(), Ended()
    with stream(program) as events:
        events.on_end(ended)
        next(events)
        events.detach()
    del events
    gc.collect()
    program.go_on.set()
    ended.wait()
    assert (program.sent, ended.outcome) == (100, "completed")


def test_detached_before_the_first_event() -> None:
    program, ended = Steps(), Ended()
    events = stream(program)
    events.on_end(ended)
    events.detach()
    program.go_on.set()
    ended.wait()
    assert program.sent == 100


def test_nobody_reads_it_any_more() -> None:
    program = Steps()
    events = stream(program)
    next(events)
    events.detach()
    events.detach()  # once more is nothing
    for read in (lambda: next(events), events.peek, events.result):
        with pytest.raises(StreamError, match="detached"):
            read()
    program.go_on.set()


def test_close_stops_it() -> None:
    program, ended = Steps(), Ended()
    events = stream(program)
    events.on_end(ended)
    next(events)
    events.detach()
    events.close()
    ended.wait()
    assert ended.outcome == "left"
    with pytest.raises(StreamClosed):
        next(events)


def test_cancel_stops_it() -> None:
    program, ended = Steps(), Ended()
    events = stream(program)
    events.on_end(ended)
    next(events)
    events.detach()
    assert cancel(events.id)
    ended.wait()
    assert ended.outcome == "cancelled"


def test_its_deadlines_hold() -> None:
    program, ended = Steps(), Ended()
    events = stream(program, timeout=Timeout(total=0.2))
    events.on_end(ended)
    next(events)
    events.detach()
    ended.wait()
    assert ended.outcome == "failed"
    assert isinstance(ended.error, StreamTimeout) and ended.error.which == "total"


def test_a_reader_deadline_does_not_pass_for_want_of_a_reader() -> None:
    program, ended = Steps(400), Ended()
    events = stream(program, queue_size=2, timeout=Timeout(reader=0.2))
    events.on_end(ended)
    program.go_on.set()
    events.detach()
    ended.wait()
    assert ended.outcome == "completed"


def test_its_error_is_told_to_on_end_and_the_log(caplog: pytest.LogCaptureFixture) -> None:
    ended = Ended()

    async def fails() -> AsyncIterator[int]:
        yield 1
        raise KeyError("a secret")

    events = stream(fails)
    events.on_end(ended)
    events.detach()
    ended.wait()
    assert ended.outcome == "failed" and isinstance(ended.error, KeyError)
    assert "failed after its reader had left: KeyError" in caplog.text
    assert "a secret" not in caplog.text


def test_a_reader_that_waits_in_next_is_not_left_waiting() -> None:
    for _ in range(50):
        program, ended = Steps(3), Ended()
        events = stream(program)
        events.on_end(ended)
        next(events)
        got: list[Any] = []

        def read(events: Any = events, got: list[Any] = got) -> None:
            try:
                got.extend(events)
            except StreamError as error:
                got.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        events.detach()
        program.go_on.set()
        reader.join(SOON)
        assert not reader.is_alive()
        ended.wait()
        assert ended.outcome == "completed"


def test_detaching_takes_no_thread() -> None:
    programs = [Steps(5) for _ in range(100)]
    ended = [Ended() for _ in programs]
    streams = [stream(program) for program in programs]
    for events, end in zip(streams, ended, strict=True):
        events.on_end(end)
        next(events)
    before = threading.active_count()
    for events in streams:
        events.detach()
    assert threading.active_count() <= before
    for program in programs:
        program.go_on.set()
    for end in ended:
        end.wait()
        assert end.outcome == "completed"


def test_after_the_end_it_is_nothing() -> None:
    program = Steps(1)
    program.go_on.set()
    events = stream(program)
    assert list(events) == [0]
    events.detach()
    assert events.outcome == "completed" and list(events) == []


def test_the_asynchronous_face_has_it() -> None:
    program, ended = Steps(), Ended()

    async def read() -> None:
        async with AsyncEventStream(stream(program)) as events:
            events.on_end(ended)
            await anext(events)
            events.detach()

    asyncio.run(read())
    program.go_on.set()
    ended.wait()
    assert ended.outcome == "completed"


SCRIPT = """
import asyncio, os, sys, threading, time
import lmstream_sync as lms
from tests.runtime.programs import *

async def slow():
    yield 1
    await asyncio.sleep(0.5)
    yield 2

lms.configure(detach_grace={grace})
events = stream(slow)
def save(ended):
    time.sleep({saving})
    print("saved", ended.outcome, flush=True)
events.on_end(save)
next(events)
events.detach()
"""


def test_at_exit_it_is_waited_for_on_end_included() -> None:
    ended = run_script(SCRIPT.format(grace=20, saving=0.3))
    assert (ended.returncode, ended.stdout.split(), ended.stderr) == (0, ["saved", "completed"], "")


def test_at_exit_the_grace_time_is_the_limit() -> None:
    ended = run_script(SCRIPT.format(grace=0.05, saving=0))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "completed" not in ended.stdout


def test_no_grace_time() -> None:
    ended = run_script(SCRIPT.format(grace=None, saving=0))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_worker_hooks_are_entered_round_on_end_in_a_worker() -> None:
    entered: list[str] = []

    @contextlib.contextmanager
    def hook() -> Iterator[None]:
        entered.append(threading.current_thread().name)
        yield

    program, ended = Steps(3), Ended()
    program.go_on.set()
    configure(worker_hooks=(hook,))
    events = stream(program)
    events.on_end(ended)
    events.detach()
    ended.wait()
    assert entered == [ended.thread]


NESTED = """
import asyncio, threading, time
import lmstream_sync as lms
from lmstream_sync.runtime import waiting
from tests.runtime.programs import *
waiting.EXIT_PATIENCE = 0.2
inside = threading.Event()

async def slow():
    await asyncio.sleep(1.5)
    yield 1

def program():
    with stream(slow) as inner:  # opened before the outer one is detached
        inside.set()
        return list(inner)

events = stream_of_function(program)
events.on_end(lambda ended: print(ended.outcome, flush=True))
inside.wait()
events.detach()
"""


def test_at_exit_what_a_detached_program_reads_has_the_grace_time_too() -> None:
    ended = run_script(NESTED)
    assert (ended.returncode, ended.stdout.split(), ended.stderr) == (0, ["completed"], "")


class TestOnEndThrough:
    def test_every_function_is_run_by_it(self) -> None:
        order: list[str] = []

        def run(call: Any) -> None:
            order.append("before")
            call()
            order.append("after")

        events = stream(Steps(1))
        events.on_end(lambda ended: order.append(f"told {ended.outcome}"))
        events.on_end_through(run)
        events.close()
        assert order == ["before", "told left", "after"]
        events.on_end(lambda ended: order.append("late"))
        assert order[3:] == ["before", "late", "after"]

    def test_what_a_function_raises_does_not_reach_it(self, caplog: pytest.LogCaptureFixture) -> None:
        reached: list[BaseException] = []

        def run(call: Any) -> None:
            try:
                call()
            except BaseException as error:
                reached.append(error)

        events = stream(Steps(1))
        events.on_end_through(run)
        events.on_end(lambda ended: 1 / 0)
        events.close()
        assert reached == [] and "ZeroDivisionError" in caplog.text

    def test_what_it_raises_itself_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        def run(call: Any) -> None:
            raise ValueError("no context")

        events = stream(Steps(1))
        events.on_end_through(run)
        events.on_end(lambda ended: None)
        events.close()
        assert "no context" in caplog.text

    def test_it_is_used_in_a_worker_when_the_last_reference_goes(self) -> None:
        told = threading.Event()
        inside = threading.local()

        def run(call: Any) -> None:
            inside.here = True
            call()

        events = stream(Steps(1))
        events.on_end_through(run)
        events.on_end(lambda ended: told.set() if inside.here else None)
        del events
        assert told.wait(SOON)


class TestAsyncPeek:
    def test_it_leaves_what_it_saw(self) -> None:
        program = Steps(3)
        program.go_on.set()

        async def read() -> Any:
            events = AsyncEventStream(stream(program))
            seen = await events.peek(), await events.peek("output")
            return seen, [event async for event in events]

        assert asyncio.run(read()) == ((0, 0), [0, 1, 2])

    def test_the_programs_error_stays_in_the_stream(self) -> None:
        async def fails() -> AsyncIterator[int]:
            if fails is None:
                yield 1
            raise KeyError("at once")

        async def read() -> None:
            events = AsyncEventStream(stream(fails))
            for _ in range(2):
                with pytest.raises(KeyError):
                    await events.peek()
            with pytest.raises(KeyError):
                await anext(events)

        asyncio.run(read())

    def test_the_end_is_none(self) -> None:
        async def nothing() -> AsyncIterator[int]:
            if nothing is None:
                yield 1

        async def read() -> Any:
            return await AsyncEventStream(stream(nothing)).peek()

        assert asyncio.run(read()) is None

    def test_it_times_out_and_the_stream_goes_on(self) -> None:
        program = Steps(2)

        async def read() -> list[Any]:
            events = AsyncEventStream(stream(program))
            assert await anext(events) == 0
            with pytest.raises(StreamTimeout) as raised:
                await events.peek(timeout=0.05)
            assert raised.value.which == "peek"
            program.go_on.set()
            return [event async for event in events]

        assert asyncio.run(read()) == [1]

    def test_their_loop_goes_on_meanwhile(self) -> None:
        program = Steps(2)

        async def read() -> Any:
            events = AsyncEventStream(stream(program))
            await anext(events)
            looking = asyncio.create_task(events.peek())
            await asyncio.sleep(0)
            assert not looking.done()
            program.go_on.set()
            return await looking

        assert asyncio.run(read()) == 1
