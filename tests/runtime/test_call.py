"""One running call: how it ends, what its context is, what it takes with it when it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lmstream_sync import context, settings
from lmstream_sync.errors import LoopDied, Stopped, StreamCancelled, StreamClosed
from lmstream_sync.runtime import crossing, workers
from lmstream_sync.runtime.async_stream import AsyncEventStream
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.emitting import aemit, emit
from lmstream_sync.runtime.loop import loop_thread, on_loop_thread
from lmstream_sync.runtime.register import cancel, running_calls
from lmstream_sync.runtime.stream import EventStream
from lmstream_sync.runtime.threads import worker_count
from tests.runtime.programs import (
    SOON,
    Endless,
    Silent,
    count,
    in_thread,
    let_the_loop_settle,
    stream,
    stream_of_call,
    stream_of_function,
    wait_until_waiting,
)

# What a program may raise


class OwnBase(BaseException):
    """An error of the program's own that is no Exception."""


RAISED: list[tuple[BaseException, type[BaseException]]] = [
    (ValueError("x"), ValueError),
    (OwnBase("x"), OwnBase),
    (SystemExit(3), SystemExit),
    (KeyboardInterrupt("x"), KeyboardInterrupt),
    (GeneratorExit("x"), GeneratorExit),
    (StopIteration("x"), RuntimeError),
    (StopAsyncIteration("x"), RuntimeError),
    (asyncio.CancelledError("x"), StreamCancelled),
    (Stopped("x"), StreamCancelled),
]
each_error = pytest.mark.parametrize(("raised", "seen"), RAISED, ids=[type(error).__name__ for error, _ in RAISED])


def ways_to_raise(error: BaseException) -> dict[str, Callable[[], EventStream]]:
    """Where in a program an error may come from."""

    async def asynchronous(call: Call) -> None:
        await call.put((1,))
        raise error

    async def sub_task(call: Call) -> None:
        async def fail() -> None:
            raise error

        await call.put((1,))
        await asyncio.create_task(fail())

    def synchronous() -> None:
        emit(1)
        raise error

    def from_loop_to_worker() -> None:
        async def fail() -> None:
            raise error

        emit(1)
        crossing.run(fail, instead="await")

    return {
        "coroutine": lambda: stream_of_call(asynchronous),
        "sub-task": lambda: stream_of_call(sub_task),
        "worker": lambda: stream_of_function(synchronous),
        "sub-task of a worker": lambda: stream_of_function(from_loop_to_worker),
    }


@each_error
@pytest.mark.parametrize("way", list(ways_to_raise(ValueError())))
def test_whatever_a_program_raises_reaches_its_own_reader_and_the_loop_goes_on(
    way: str, raised: BaseException, seen: type[BaseException]
) -> None:
    thread = loop_thread()
    other = stream(count, queue_size=1)
    events = ways_to_raise(raised)[way]()
    assert next(events) == 1
    with pytest.raises(seen) as caught:
        next(events)
    if seen is RuntimeError:
        assert isinstance(caught.value.__cause__, type(raised))
    with pytest.raises(StopIteration):
        next(events)
    assert list(other) == list(range(10))
    assert loop_thread() is thread and thread.alive


@each_error
def test_whatever_a_plain_call_raises_reaches_its_caller(raised: BaseException, seen: type[BaseException]) -> None:
    async def fail() -> None:
        raise raised

    with pytest.raises(seen):
        crossing.run(fail, instead="await")
    assert crossing.run(lambda: asyncio.sleep(0, "on"), instead="await") == "on"


# Cancelled by somebody else


def test_cancel_gives_the_reader_what_was_queued_and_then_stream_cancelled() -> None:
    program = Silent(1, 2, 3)
    events = stream(program)
    assert program.silent.wait(SOON)
    assert cancel(events.id) is True
    assert program.stopped.wait(SOON)
    assert [next(events) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(StreamCancelled):
        next(events)
    assert events.outcome == "cancelled"
    assert isinstance(events.error, StreamCancelled)
    with pytest.raises(StreamCancelled):
        events.result()
    assert cancel(events.id) is False


def test_cancel_wakes_a_reader_that_waits() -> None:
    events = stream(Silent())
    read = in_thread(lambda: list(events))
    wait_until_waiting(events)
    assert cancel(events.id)
    with pytest.raises(StreamCancelled):
        read()


def test_cancel_of_nothing_is_false() -> None:
    assert cancel("no such stream") is False
    events = stream(count)
    events.result()
    assert cancel(events.id) is False


def test_whoever_asks_first_for_the_id_all_are_told_the_same() -> None:
    for _ in range(50):
        events = stream(count)
        together = threading.Barrier(4)

        def ask(events: EventStream = events, together: threading.Barrier = together) -> str:
            together.wait(SOON)
            return events.id

        asking = [in_thread(ask) for _ in range(4)]
        assert len({told() for told in asking}) == 1
        events.close()


def test_ids_cannot_be_guessed() -> None:
    streams = [stream(count) for _ in range(50)]
    assert len({events.id for events in streams}) == 50
    assert all(len(events.id) >= 16 for events in streams)
    for events in streams:
        events.close()


# The context of the call

word = contextvars.ContextVar("word", default="none")


def test_the_context_is_that_of_the_call_on_the_loop_in_workers_and_back() -> None:
    def in_worker() -> list[str]:
        async def back_on_the_loop() -> str:
            return word.get()

        return [word.get(), settings.flavour, crossing.run(back_on_the_loop, instead="await")]

    async def program(call: Call) -> list[str]:
        return [word.get(), settings.flavour, *await workers.in_worker(in_worker)]

    word.set("at the call")
    try:
        with context(flavour="vanilla"):
            events = stream_of_call(program)
        word.set("at next()")
        with context(flavour="other"):
            assert events.result() == ["at the call", "vanilla", "at the call", "vanilla", "at the call"]
    finally:
        word.set("none")


def test_what_a_program_sets_is_seen_by_nobody_else() -> None:
    async def program(call: Call) -> str:
        word.set("mine")
        await asyncio.sleep(0)
        return word.get()

    assert stream_of_call(program).result() == "mine"
    assert word.get() == "none"

    async def look() -> str:
        return word.get()

    assert crossing.run(look, instead="await") == "none"


def test_the_program_starts_at_the_call_and_not_at_the_first_next() -> None:
    program = Silent()
    with stream(program):
        assert program.silent.wait(SOON)


# Calls inside calls


def read_all(events: EventStream) -> None:
    for _ in events:
        pass


def test_a_stream_inside_a_worker_is_stopped_with_the_outer_one() -> None:
    for how in ("close", "cancel", "drop"):
        inner, ended = Silent(1), threading.Event()
        raised: list[type[BaseException]] = []

        def program(inner: Silent = inner, ended: threading.Event = ended, raised: Any = raised) -> None:
            try:
                with contextlib.suppress(Exception):  # as programs do
                    emit("started")
                    read_all(stream(inner))
            except BaseException as error:
                raised.append(type(error))
                raise
            finally:
                ended.set()

        outer = stream_of_function(program)
        assert next(outer) == "started"
        assert inner.silent.wait(SOON)
        if how == "close":
            outer.close()
        elif how == "cancel":
            cancel(outer.id)
            with pytest.raises(StreamCancelled):
                next(outer)
        del outer
        assert inner.stopped.wait(SOON), how
        assert ended.wait(SOON), how
        assert raised == [Stopped], how


def test_a_worker_that_reads_a_stream_with_events_at_hand_is_stopped_at_its_next_read() -> None:
    for how in ("close", "cancel"):
        go, raised = threading.Event(), threading.Semaphore(0)

        def program(go: threading.Event = go, raised: threading.Semaphore = raised) -> None:
            inner = stream(count)
            assert inner._call.done.wait(SOON)
            next(inner)
            emit("read one")
            go.wait(SOON)
            try:
                next(inner)
            except Stopped:
                raised.release()
                raise

        outer = stream_of_function(program)
        next(outer)
        if how == "close":
            closed = in_thread(outer.close)
        else:
            closed = lambda: None  # noqa: E731
            cancel(outer.id)
        while not outer._call.stopping:
            pass
        go.set()
        assert raised.acquire(timeout=SOON), how
        closed()


def test_a_worker_whose_reader_went_is_stopped_at_its_next_emit_call_or_stream() -> None:
    def open_stream() -> None:
        stream(Silent())
        next(stream(count))

    for name, next_step in {
        "emit": lambda: emit(2),
        "run": lambda: crossing.run(lambda: asyncio.sleep(0), instead="await"),
        "check_stopped": crossing.check_stopped,
        "a new stream": open_stream,
    }.items():
        go, raised, ended = threading.Event(), [], threading.Event()

        def program(go: Any = go, raised: Any = raised, ended: Any = ended, next_step: Any = next_step) -> None:
            emit(1)
            go.wait(SOON)
            try:
                next_step()
            except BaseException as error:
                raised.append(type(error))
                raise
            finally:
                ended.set()

        events = stream_of_function(program)
        next(events)
        closed = in_thread(events.close)
        while not events._call.stopping:
            pass
        go.set()
        assert ended.wait(SOON), name
        closed()
        assert raised == [Stopped], name


def test_a_worker_that_waits_for_the_loop_is_stopped_where_it_waits() -> None:
    cancelled, raised = threading.Event(), threading.Event()

    def program() -> None:
        async def model_call() -> None:
            await aemit("asked")
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        try:
            crossing.run(model_call, instead="await")
        except Stopped:
            raised.set()
            raise

    events = stream_of_function(program)
    assert next(events) == "asked"
    events.close()
    assert cancelled.is_set()
    assert raised.is_set()


def test_streams_that_a_failed_program_left_open_are_stopped() -> None:
    inner = Endless()
    kept: list[EventStream] = []

    async def program(call: Call) -> None:
        kept.append(stream(inner))
        async for _ in AsyncEventStream(kept[0]):
            raise ValueError("with a stream open")

    with pytest.raises(ValueError):
        stream_of_call(program).result()
    assert inner.stopped.wait(SOON)
    with pytest.raises(StreamClosed):
        read_all(kept[0])


def test_an_asynchronous_program_reads_a_stream_and_is_stopped_with_it() -> None:
    inner = Silent(1, 2)

    async def program(call: Call) -> None:
        async for event in AsyncEventStream(stream(inner)):
            await call.put((event,))

    outer = stream_of_call(program)
    assert [next(outer), next(outer)] == [1, 2]
    outer.close()
    assert inner.stopped.wait(SOON)
    assert outer._call.done.is_set()


def test_streams_may_be_nested_deeper_than_any_pool() -> None:
    depth = 40

    def nested(level: int) -> int:
        emit(level)
        if level == depth:
            return level
        inner = stream_of_function(lambda: nested(level + 1))
        for event in inner:
            emit(event)
        return inner.result()

    outer = stream_of_function(lambda: nested(1))
    assert list(outer) == list(range(1, depth + 1))
    assert outer.result() == depth


# Many at once, and one after the other


def test_a_hundred_readers_in_a_hundred_threads() -> None:
    together = threading.Barrier(100)

    def read() -> list[int]:
        together.wait(SOON)
        return list(stream(lambda: count(50), queue_size=4))

    readers = [in_thread(read) for _ in range(100)]
    for reader in readers:
        assert reader() == list(range(50))


def test_asynchronous_programs_take_no_thread_and_synchronous_ones_a_worker_each() -> None:
    before = threading.active_count()
    workers_before = worker_count()
    streams = [stream(Silent(1)) for _ in range(200)]
    assert [next(events) for events in streams] == [1] * 200
    assert threading.active_count() == before
    for events in streams:
        events.close()
    go = threading.Event()

    def program() -> None:
        emit(1)
        go.wait(SOON)

    busy = [stream_of_function(program) for _ in range(20)]
    assert [next(events) for events in busy] == [1] * 20
    assert threading.active_count() - before == worker_count() - workers_before <= 20
    go.set()
    for events in busy:
        events.result()
    assert running_calls() == 0


# The death of the loop


def kill_the_loop() -> None:
    """End the loop thread as nothing should: by an error that comes out of the loop itself."""
    thread = loop_thread()

    def break_it() -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("the selector is gone")

        thread.loop._selector.select = broken  # type: ignore[attr-defined]

    thread.post(break_it)
    assert thread._ended.wait(SOON)


def test_when_the_loop_dies_readers_and_callers_get_loop_died_and_the_next_call_starts_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    thread = loop_thread()
    silent = [stream(Silent(1, 2)) for _ in range(3)]
    for events in silent:
        assert next(events) == 1
        assert events.peek() == 2
    reader = in_thread(lambda: list(silent[0]))
    wait_until_waiting(silent[0])
    began = threading.Event()

    async def never() -> None:
        began.set()
        await asyncio.Event().wait()

    caller = in_thread(lambda: crossing.run(never, instead="await"))
    assert began.wait(SOON)

    async def read_asynchronously() -> None:
        async for _ in AsyncEventStream(silent[1]):
            pass

    asynchronous = in_thread(lambda: asyncio.run(read_asynchronously()))
    kill_the_loop()
    for waiter in (reader, caller, asynchronous):
        with pytest.raises(LoopDied):
            waiter()
    assert silent[0].outcome == "failed"
    silent[2].close()
    assert silent[2].closed
    # Numbers of threads are used again: nobody else may be taken for the loop thread.
    assert not any(in_thread(on_loop_thread)() for _ in range(20))
    assert list(stream(count)) == list(range(10))
    assert loop_thread() is not thread


def test_a_worker_whose_loop_died_gets_loop_died(caplog: pytest.LogCaptureFixture) -> None:
    began, ended = threading.Event(), threading.Event()
    raised: list[BaseException] = []

    async def never() -> None:
        began.set()
        await asyncio.Event().wait()

    def program() -> None:
        try:
            crossing.run(never, instead="await")
        except BaseException as error:
            raised.append(error)
        finally:
            ended.set()

    events = stream_of_function(program)
    assert began.wait(SOON)
    kill_the_loop()
    assert ended.wait(SOON)
    assert isinstance(raised[0], LoopDied)
    with pytest.raises(LoopDied):
        next(events)


def test_a_program_that_stops_the_loop_does_not_end_it() -> None:
    thread = loop_thread()

    async def program() -> AsyncIterator[int]:
        yield 1
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)
        yield 2

    assert list(stream(program)) == [1, 2]
    let_the_loop_settle()
    assert loop_thread() is thread
