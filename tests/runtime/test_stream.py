"""The reader's side: iteration, `peek`, `result`, `close`, the last reference, `on_end`."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import warnings
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from lmstream_sync.errors import StreamCancelled, StreamClosed, StreamError, StreamTimeout
from lmstream_sync.events import StatusMessage
from lmstream_sync.runtime import crossing, workers
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.emitting import aemit, emit
from lmstream_sync.runtime.loop import on_loop_thread
from lmstream_sync.runtime.register import cancel, running_calls
from lmstream_sync.runtime.stream import EventStream
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


async def failing(n: int = 3) -> AsyncIterator[int]:
    for i in range(n):
        yield i
    raise ValueError("the program's own")


# Reading


def test_events_come_in_order_and_then_the_end_again_and_again() -> None:
    events = stream(partial(count, 100), queue_size=3)
    assert list(events) == list(range(100))
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(events)
    assert events.closed
    assert events.outcome == "completed"


def test_an_error_comes_once_after_all_events_before_it_and_then_the_end() -> None:
    events = stream(failing)
    assert [next(events) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the program's own"):
        next(events)
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(events)
    assert events.outcome == "failed"
    assert isinstance(events.error, ValueError)
    assert events.closed


def test_the_traceback_of_an_error_shows_the_program_and_does_not_grow() -> None:
    events = stream(failing)
    seen = []
    for _ in range(3):
        with pytest.raises(ValueError) as caught:
            events.result()
        seen.append([entry.name for entry in caught.traceback])
    assert "failing" in seen[0]
    assert len(seen[1]) == len(seen[2])


def test_result_reads_to_the_end_and_gives_the_value_again_and_again() -> None:
    events = stream(count, result={"a": 1})
    assert next(events) == 0
    assert events.result() == events.result() == {"a": 1}
    assert list(events) == []
    assert events.outcome == "completed"


def test_result_raises_the_programs_error_again_and_again() -> None:
    events = stream(failing)
    for _ in range(3):
        with pytest.raises(ValueError):
            events.result()
    with pytest.raises(StopIteration):
        next(events)


def test_result_raises_an_error_that_next_raised_before() -> None:
    events = stream(failing, queue_size=1)
    with pytest.raises(ValueError):
        list(events)
    with pytest.raises(ValueError):
        events.result()


def test_a_timeout_of_result_leaves_the_stream_going() -> None:
    go = asyncio.Event()

    async def program() -> AsyncIterator[int]:
        yield 1
        await go.wait()
        yield 2

    events = stream(program)
    with pytest.raises(StreamTimeout) as caught:
        events.result(timeout=0.05)
    assert caught.value.which == "result"
    assert isinstance(caught.value, TimeoutError)
    assert events.outcome is None
    events._call.thread.post(go.set)
    assert next(events) == 2
    assert events.result(timeout=SOON) == "result"


def test_a_timeout_of_result_ends_a_stream_of_which_there_is_no_end() -> None:
    with stream(Endless()) as events:
        with pytest.raises(StreamTimeout):
            events.result(timeout=0.05)
        assert isinstance(next(events), int)


def test_result_with_no_time_at_all_gives_what_is_there() -> None:
    events = stream(count)
    assert events._call.done.wait(SOON)
    assert events.result(timeout=0) == "result"


def test_two_threads_in_next_at_once_are_an_error_and_the_first_reads_on() -> None:
    program = Silent()
    with stream(program) as events:
        first = in_thread(lambda: next(events))
        wait_until_waiting(events)
        for read in (lambda: next(events), events.peek, events.result):
            with pytest.raises(StreamError, match="another thread"):
                read()
        cancel(events.id)
        with pytest.raises(StreamCancelled):
            first()


def test_reading_on_the_loop_thread_is_an_error_that_names_async_for() -> None:
    async def program(call: Call) -> None:
        inner = stream(Silent())
        with pytest.raises(StreamError, match="async for"):
            next(inner)
        inner.close()

    stream_of_call(program).result()


# Peek


def test_peek_shows_the_next_event_and_leaves_it_in_the_stream() -> None:
    events = stream(count)
    assert events.peek() == 0
    assert events.peek() == 0
    assert next(events) == 0
    assert events.peek() == 1
    assert list(events) == list(range(1, 10))
    assert events.peek() is None
    assert events.peek("output") is None


def test_peek_for_output_passes_over_status_messages_and_the_programs_own_events() -> None:
    status = StatusMessage("thinking")

    async def program(call: Call) -> None:
        await aemit("own")
        await call.put((status,), output=False)
        await call.put(("token", "token 2"))

    for queue_size in (3, 4, 32):
        events = stream_of_call(program, queue_size=queue_size)
        assert events.peek() == "own"
        assert events.peek("output") == "token"
        assert list(events) == ["own", status, "token", "token 2"]


def test_peek_for_output_looks_through_queue_size_events_at_most_and_then_gives_the_first() -> None:
    emitted = 0

    async def program(call: Call) -> None:
        nonlocal emitted
        for i in range(100):
            await aemit(i)
            emitted += 1
        await call.put(("token",))

    for queue_size in (1, 2, 3, 5, 32):
        emitted = 0
        events = stream_of_call(program, queue_size=queue_size)
        assert events.peek("output") == 0
        let_the_loop_settle()
        assert emitted <= 2 * queue_size + 1
        assert list(events) == [*range(100), "token"]


def test_peek_raises_the_programs_error_and_next_raises_it_at_its_place() -> None:
    async def program() -> AsyncIterator[int]:
        raise ValueError("no key")
        yield 0

    events = stream(program)
    for _ in range(2):
        with pytest.raises(ValueError, match="no key"):
            events.peek()
    assert events.outcome is None
    with pytest.raises(ValueError, match="no key"):
        next(events)
    with pytest.raises(StopIteration):
        next(events)
    assert events.peek() is None


def test_peek_for_output_raises_an_error_that_follows_other_events_and_loses_none() -> None:
    async def program(call: Call) -> None:
        await aemit("own")
        raise ValueError("no key")

    events = stream_of_call(program)
    with pytest.raises(ValueError):
        events.peek("output")
    assert next(events) == "own"
    with pytest.raises(ValueError):
        next(events)


def test_a_timeout_of_peek_leaves_the_stream_going() -> None:
    go = asyncio.Event()

    async def program() -> AsyncIterator[int]:
        await go.wait()
        yield 1

    events = stream(program)
    with pytest.raises(StreamTimeout) as caught:
        events.peek(timeout=0.05)
    assert caught.value.which == "peek"
    events._call.thread.post(go.set)
    assert events.peek(timeout=SOON) == 1
    assert list(events) == [1]


def test_peek_with_no_time_at_all_gives_what_is_there() -> None:
    events = stream(count)
    assert events._call.done.wait(SOON)
    assert events.peek(timeout=0) == 0
    with stream(Silent()) as silent, pytest.raises(StreamTimeout):
        silent.peek(timeout=0)


# Close


def test_leaving_the_with_block_stops_the_program() -> None:
    program = Endless()
    with stream(program) as events:
        assert next(events) == 0
    assert program.stopped.is_set()
    assert events.outcome == "left"
    assert events.closed
    assert events.error is None
    for read in (lambda: next(events), events.result, events.peek):
        with pytest.raises(StreamClosed):
            read()


def test_close_before_the_first_next_stops_the_program() -> None:
    program = Silent()
    events = stream(program)
    assert program.silent.wait(SOON)
    events.close()
    assert program.stopped.is_set()
    with pytest.raises(StreamClosed):
        next(events)


def test_close_at_once_leaves_nothing_running() -> None:
    for _ in range(100):
        events = stream(Endless())
        events.close()
        assert events._call.done.is_set()
        assert events.outcome == "left"


def test_close_again_and_after_the_end_does_nothing() -> None:
    events = stream(count)
    assert events.result() == "result"
    events.close()
    events.close()
    assert events.outcome == "completed"
    assert events.result() == "result"
    left = stream(Endless())
    left.close()
    left.close()
    assert left.outcome == "left"


def test_close_wakes_a_next_that_waits_in_another_thread() -> None:
    program = Silent()
    events = stream(program)
    assert program.silent.wait(SOON)
    read = in_thread(lambda: next(events))
    wait_until_waiting(events)
    events.close()
    with pytest.raises(StreamClosed):
        read()
    assert program.stopped.is_set()


def test_close_wakes_a_result_that_waits_in_another_thread() -> None:
    events = stream(Silent(1, 2, 3))
    read = in_thread(events.result)
    wait_until_waiting(events)
    in_thread(events.close)()
    with pytest.raises(StreamClosed):
        read()


def test_close_on_the_loop_thread_only_posts_the_stop() -> None:
    program = Endless()
    events = stream(program)
    assert next(events) == 0

    async def close() -> bool:
        events.close()
        return program.stopped.is_set()

    assert crossing.run(close, instead="await") is False
    assert program.stopped.wait(SOON)
    with pytest.raises(StreamClosed):
        next(events)


def test_close_in_a_signal_handler_wakes_the_interrupted_reader() -> None:
    program = Silent()
    events = stream(program)
    assert program.silent.wait(SOON)
    old = signal.signal(signal.SIGUSR1, lambda *_: events.close())
    try:

        def interrupt() -> None:
            wait_until_waiting(events)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

        interrupted = in_thread(interrupt)
        with pytest.raises(StreamClosed):
            next(events)
        interrupted()
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert program.stopped.is_set()
    assert events.outcome == "left"


def test_close_in_a_signal_handler_never_waits_for_a_lock_that_the_interrupted_reader_holds() -> None:
    # The handler runs in the thread that is in the middle of taking from the queue.
    events = stream(count)
    assert events._call.done.wait(SOON)
    closed = threading.Event()

    def close() -> None:
        with events._channel._queue._sync_mutex:  # as the interrupted `get` does
            events.close()
        closed.set()

    in_thread(close)()
    assert closed.is_set()


def test_close_waits_for_the_clean_up_of_the_program() -> None:
    cleaned = []

    async def program() -> AsyncIterator[int]:
        try:
            while True:
                yield 0
        finally:
            for i in range(5):
                await asyncio.sleep(0)
                cleaned.append(i)

    for _ in range(100):  # the stop may meet the program in any of its steps
        cleaned.clear()
        events = stream(program)
        next(events)
        events.close()
        assert cleaned == list(range(5))


def test_a_clean_up_is_not_cancelled_a_second_time_wherever_the_stop_meets_the_program() -> None:
    cleaned = threading.Semaphore(0)

    def work() -> None:
        emit("from the worker")

    async def program(call: Call) -> None:
        try:
            while True:
                await crossing.checkpoint()
                emit("from the loop")
                await workers.in_worker(work)
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            cleaned.release()

    for i in range(200):
        events = stream_of_call(program, queue_size=4)
        for _ in range(i % 5 + 1):
            next(events)
        events.close()
        assert cleaned.acquire(timeout=0), "the clean-up was cut short"


def test_close_warns_and_names_what_does_not_stop() -> None:
    go = threading.Event()

    def stubborn_tool() -> None:
        emit(1)
        go.wait(SOON)

    events = stream_of_function(stubborn_tool)
    ended = []
    events.on_end(lambda s: ended.append(s.outcome))
    assert next(events) == 1
    with pytest.warns(RuntimeWarning, match="stubborn_tool"):
        events.close()
    assert events.outcome == "left"
    assert ended == ["left"]
    go.set()
    assert events._call.done.wait(SOON)


def test_a_warning_made_an_error_does_not_keep_close_from_settling() -> None:
    go = threading.Event()

    def stubborn_tool() -> None:
        emit(1)
        go.wait(SOON)

    events = stream_of_function(stubborn_tool)
    ended = []
    events.on_end(lambda s: ended.append(s.outcome))
    next(events)
    with warnings.catch_warnings(), pytest.raises(RuntimeWarning):
        warnings.simplefilter("error")
        events.close()
    go.set()
    assert events.outcome == "left"
    assert ended == ["left"]


def test_a_program_that_says_except_exception_is_stopped_all_the_same() -> None:
    stopped = threading.Event()

    async def program(call: Call) -> None:
        try:
            while True:
                try:
                    await call.put((1,))
                    await asyncio.sleep(0)
                except Exception:
                    continue
        finally:
            stopped.set()

    events = stream_of_call(program)
    next(events)
    events.close()
    assert stopped.is_set()


def test_a_worker_that_says_except_exception_is_stopped_at_its_next_emit() -> None:
    stopped = threading.Event()

    def program() -> None:
        try:
            while True:
                try:
                    emit(1)
                except Exception:
                    continue
        finally:
            stopped.set()

    events = stream_of_function(program)
    next(events)
    events.close()
    assert stopped.is_set()


def test_a_program_that_swallows_its_cancellation_once_is_stopped_at_its_next_event() -> None:
    stopped = threading.Event()

    async def program(call: Call) -> None:
        try:
            await call.put((1,))
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass
            await call.put((2,))
            await asyncio.Event().wait()
        finally:
            stopped.set()

    events = stream_of_call(program)
    next(events)
    events.close()
    assert stopped.is_set()


def test_a_program_that_swallows_its_cancellation_once_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmstream_sync.runtime.call.CANCEL_AGAIN", 0.05)
    stopped = threading.Event()

    async def program(call: Call) -> None:
        try:
            await call.put((1,))
            for _ in range(3):
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    pass
            await asyncio.Event().wait()
        finally:
            stopped.set()

    events = stream_of_call(program)
    next(events)
    events.close()
    assert stopped.wait(SOON)


# The last reference


@pytest.mark.usefixtures("no_collector")
def test_break_stops_the_program_by_reference_counts_alone() -> None:
    program = Endless()
    for event in stream(program):
        if event > 40:
            break
    del event
    assert program.stopped.wait(SOON)


@pytest.mark.usefixtures("no_collector")
def test_a_stream_that_was_never_read_stops_with_its_last_reference() -> None:
    program = Silent()
    events = stream(program)
    assert program.silent.wait(SOON)
    del events
    assert program.stopped.wait(SOON)


@pytest.mark.usefixtures("no_collector")
def test_a_stream_left_after_peek_and_after_timeouts_stops_with_its_last_reference() -> None:
    program = Silent(1)
    events = stream(program)
    assert events.peek() == 1
    with pytest.raises(StreamTimeout):
        events.result(timeout=0.01)
    with pytest.raises(StreamTimeout):
        events.peek(timeout=0.01)
    alive = weakref.ref(events)
    del events
    assert alive() is None
    assert program.stopped.wait(SOON)


@pytest.mark.usefixtures("no_collector")
def test_a_generator_over_a_stream_stops_it_when_it_is_dropped() -> None:
    program = Endless()

    def view() -> Iterator[str]:
        for event in stream(program):
            yield str(event)

    body = view()
    assert next(body) == "0"
    del body
    assert program.stopped.wait(SOON)


@pytest.mark.usefixtures("no_collector")
def test_an_inner_stream_in_a_worker_that_raised_stops_by_reference_counts_alone() -> None:
    inner = Endless()

    def program() -> None:
        events = stream(inner)
        next(events)
        raise ValueError("with a stream open")

    outer = stream_of_function(program)
    with pytest.raises(ValueError):
        outer.result()
    assert inner.stopped.wait(SOON)


@pytest.mark.usefixtures("no_collector")
def test_an_inner_stream_that_a_worker_breaks_out_of_stops_by_reference_counts_alone() -> None:
    inner = Endless()

    def program() -> bool:
        for event in stream(inner):
            if event > 3:
                break
        return inner.stopped.wait(SOON)

    assert stream_of_function(program).result() is True
    assert inner.stopped.is_set()


def test_the_garbage_collector_stops_a_stream_in_a_reference_cycle() -> None:
    program = Endless()

    class Holder:
        events: EventStream
        itself: Holder

    holder = Holder()
    holder.events = stream(program)
    holder.itself = holder
    next(holder.events)
    del holder
    assert not program.stopped.is_set()
    gc.collect()
    assert program.stopped.wait(SOON)


def test_the_garbage_collector_on_the_loop_thread_stops_a_stream_too() -> None:
    program = Endless()
    holder: list[Any] = [stream(program)]
    holder.append(holder)
    next(holder[0])
    del holder

    async def collect() -> bool:
        gc.collect()
        return program.stopped.is_set()

    assert crossing.run(collect, instead="await") is False
    assert program.stopped.wait(SOON)


# The end, told to `on_end`


def ended(events: EventStream) -> Callable[[], tuple[threading.Thread, str | None, bool]]:
    told: list[tuple[threading.Thread, str | None, bool]] = []
    came = threading.Event()

    def tell(s: EventStream) -> None:
        told.append((threading.current_thread(), s.outcome, on_loop_thread()))
        came.set()

    events.on_end(tell)

    def once() -> tuple[threading.Thread, str | None, bool]:
        assert came.wait(SOON)
        let_the_loop_settle()
        assert len(told) == 1
        return told[0]

    return once


def test_on_end_runs_once_in_the_thread_that_read_to_the_end() -> None:
    events = stream(count)
    end = ended(events)
    reader = in_thread(lambda: (list(events), threading.current_thread())[1])()
    events.close()
    assert end() == (reader, "completed", False)


def test_on_end_runs_in_the_thread_that_read_an_error() -> None:
    events = stream(failing)
    end = ended(events)
    with pytest.raises(ValueError):
        list(events)
    assert events.closed
    assert end() == (threading.current_thread(), "failed", False)


def test_on_end_runs_in_the_thread_that_closes() -> None:
    events = stream(Endless())
    end = ended(events)
    closer = in_thread(lambda: (events.close(), threading.current_thread())[1])()
    assert end() == (closer, "left", False)


def test_on_end_tells_a_cancelled_stream() -> None:
    events = stream(Silent(1))
    end = ended(events)
    next(events)
    cancel(events.id)
    with pytest.raises(StreamCancelled):
        next(events)
    assert end() == (threading.current_thread(), "cancelled", False)


@pytest.mark.usefixtures("no_collector")
def test_on_end_runs_in_a_worker_after_the_last_reference_went() -> None:
    events = stream(Endless())
    end = ended(events)
    name = events.id
    again: list[EventStream] = []
    events.on_end(again.append)
    next(events)
    del events
    thread, outcome, on_loop = end()
    assert thread.name == "lmstream-worker"
    assert (outcome, on_loop) == ("left", False)
    deadline = threading.Event()
    while not again:
        assert not deadline.wait(0.001)
    assert again[0].id == name
    with pytest.raises(StreamClosed):
        next(again[0])


def test_on_end_runs_in_a_worker_after_the_collector_took_the_stream() -> None:
    holder: list[Any] = [stream(Endless())]
    holder.append(holder)
    end = ended(holder[0])
    del holder
    gc.collect()
    thread, outcome, on_loop = end()
    assert (thread.name, outcome, on_loop) == ("lmstream-worker", "left", False)


def test_on_end_runs_in_a_worker_when_the_stream_is_closed_on_the_loop() -> None:
    events = stream(Endless())
    end = ended(events)

    async def close() -> None:
        events.close()

    crossing.run(close, instead="await")
    thread, outcome, on_loop = end()
    assert (thread.name, outcome, on_loop) == ("lmstream-worker", "left", False)


def test_on_end_after_the_end_runs_at_once() -> None:
    events = stream(count)
    events.result()
    assert ended(events)() == (threading.current_thread(), "completed", False)


def test_what_an_on_end_function_raises_is_logged_and_the_others_run(caplog: pytest.LogCaptureFixture) -> None:
    events = stream(count)

    def bad(_: EventStream) -> None:
        raise RuntimeError("the database is away")

    events.on_end(bad)
    end = ended(events)
    events.result()
    assert end()[1] == "completed"
    assert "the database is away" in caplog.text


def test_an_on_end_function_may_use_the_stream() -> None:
    events = stream(count)
    seen = []
    events.on_end(lambda s: seen.append((s.result(), s.closed, s.close())))
    list(events)
    assert seen == [("result", True, None)]


def test_on_end_given_while_another_thread_ends_the_stream_is_never_lost() -> None:
    for _ in range(300):
        events = stream(partial(count, 1))
        together = threading.Barrier(2)
        told: list[str | None] = []

        def read(events: EventStream = events, together: threading.Barrier = together) -> None:
            together.wait(SOON)
            events.result()

        done = in_thread(read)
        together.wait(SOON)
        for _ in range(5):
            events.on_end(lambda s, told=told: told.append(s.outcome))
        done()
        assert told == ["completed"] * 5


# Races


@pytest.mark.parametrize("n", [0, 1, 40])
def test_close_against_next_against_the_end(n: int) -> None:
    for _ in range(150):
        events = stream(partial(count, n), queue_size=3)
        end = []
        events.on_end(lambda s, end=end: end.append(s.outcome))
        together = threading.Barrier(3)

        def read(events: EventStream = events, together: threading.Barrier = together) -> list[int] | None:
            together.wait(SOON)
            try:
                return list(events)
            except StreamClosed:
                return None

        def close(events: EventStream = events, together: threading.Barrier = together) -> None:
            together.wait(SOON)
            events.close()

        reader, closers = in_thread(read), [in_thread(close), in_thread(close)]
        got = reader()
        for closer in closers:
            closer()
        assert end == [events.outcome]
        if got is None:
            assert events.outcome in ("left", "completed")  # the latter where nothing was left to read
        elif events.outcome == "completed":
            assert got == list(range(n))
        assert events._call.done.wait(SOON)
    assert running_calls() == 0


def test_cancel_against_the_end() -> None:
    outcomes = set()
    for i in range(300):
        events = stream(partial(count, i % 7), queue_size=4)
        together = threading.Barrier(2)

        def stop(events: EventStream = events, together: threading.Barrier = together) -> bool:
            together.wait(SOON)
            return cancel(events.id)

        cancelled = in_thread(stop)
        together.wait(SOON)
        try:
            got = list(events)
        except StreamCancelled:
            assert events.outcome == "cancelled"
        else:
            assert got == list(range(i % 7))
            assert events.outcome == "completed"
        assert isinstance(cancelled(), bool)
        outcomes.add(events.outcome)
        assert events._call.done.wait(SOON)
    assert outcomes <= {"completed", "cancelled"}
    assert running_calls() == 0


def test_the_last_reference_gone_against_the_end() -> None:
    for i in range(200):
        events = stream(partial(count, i % 5))
        came = threading.Event()
        events.on_end(lambda s, came=came: came.set())
        if i % 2:
            next(events, None)
        del events
        assert came.wait(SOON)
    assert running_calls() == 0


def test_workers_that_emit_while_the_reader_closes_all_stop() -> None:
    for _ in range(20):
        stopped = threading.Semaphore(0)

        def work(stopped: threading.Semaphore = stopped) -> None:
            try:
                while True:
                    emit(1)
            finally:
                stopped.release()

        async def program(call: Call, work: Callable[[], None] = work) -> None:
            await asyncio.gather(*(workers.in_worker(work) for _ in range(4)))

        events = stream_of_call(program, queue_size=2)
        for _ in range(10):
            next(events)
        events.close()
        for _ in range(4):
            assert stopped.acquire(timeout=SOON)
        assert events._call.done.wait(SOON)
