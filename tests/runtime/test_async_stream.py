"""`AsyncEventStream`: the same events on a loop of the reader's own, without a thread."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from lmstream_sync.errors import StreamCancelled, StreamClosed, StreamError, StreamTimeout
from lmstream_sync.runtime import crossing
from lmstream_sync.runtime.async_stream import AsyncEventStream
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.register import cancel
from tests.runtime.programs import (
    SOON,
    Endless,
    Silent,
    count,
    in_thread,
    let_the_loop_settle,
    stream,
    stream_of_call,
)


def test_events_come_in_order_on_the_readers_loop_and_take_no_thread() -> None:
    threads = set()

    async def read() -> list[int]:
        streams = [AsyncEventStream(stream(partial(count, 200), queue_size=3)) for _ in range(20)]

        async def one(events: AsyncEventStream) -> list[int]:
            got = []
            async for event in events:
                got.append(event)
                threads.add(threading.active_count())
            assert events.outcome == "completed"
            return got

        return [n for got in await asyncio.gather(*(one(events) for events in streams)) for n in got]

    list(stream(count))
    before = threading.active_count()
    assert asyncio.run(read()) == list(range(200)) * 20
    assert max(threads) == before


def test_an_error_comes_once_and_then_the_end() -> None:
    async def fail(call: Call) -> None:
        await call.put((1,))
        raise ValueError("x")

    async def read() -> None:
        events = AsyncEventStream(stream_of_call(fail))
        assert await events.__anext__() == 1
        with pytest.raises(ValueError):
            await events.__anext__()
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await events.__anext__()
        assert events.outcome == "failed"

    asyncio.run(read())


def test_cancelling_a_task_that_waits_loses_no_event() -> None:
    async def read() -> list[int]:
        n, go = 60, [asyncio.Event() for _ in range(60)]

        async def program(call: Call) -> None:
            for i in range(n):
                await go[i].wait()
                await call.put((i,))

        inner = stream_of_call(program)
        events = AsyncEventStream(inner)
        got: list[int] = []
        for i in range(n):
            task = asyncio.ensure_future(events.__anext__())
            await asyncio.sleep(0)
            inner._call.thread.post(go[i].set)
            if i % 3:
                await asyncio.sleep(0.0001 * (i % 7))
            task.cancel()  # before, while or after the event comes
            try:
                got.append(await task)
            except asyncio.CancelledError:
                pass
        got.extend([event async for event in events])
        return got

    assert asyncio.run(read()) == list(range(60))


def test_leaving_the_block_stops_the_program_and_does_not_block_the_readers_loop() -> None:
    program = Endless()

    async def read() -> None:
        async with AsyncEventStream(stream(program)) as events:
            assert await events.__anext__() == 0
        assert program.stopped.is_set()
        assert events.closed
        assert events.outcome == "left"
        with pytest.raises(StreamClosed):
            await events.__anext__()
        await events.aclose()

    asyncio.run(read())


def test_aclose_that_is_cancelled_settles_all_the_same() -> None:
    go = asyncio.Event()

    async def program(call: Call) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await go.wait()

    async def read() -> None:
        inner = stream_of_call(program)
        ended = []
        inner.on_end(lambda s: ended.append(s.outcome))
        let_the_loop_settle()
        closing = asyncio.ensure_future(AsyncEventStream(inner).aclose())
        await asyncio.sleep(0.01)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert ended == ["left"]
        inner._call.thread.post(go.set)

    asyncio.run(read())


def test_a_reader_that_waits_is_woken_by_close_by_cancel_and_by_the_end() -> None:
    for how, expected in (("close", StreamClosed), ("cancel", StreamCancelled), ("aclose", StreamClosed)):
        program = Silent()
        inner = stream(program)
        assert program.silent.wait(SOON)

        async def read(inner: object = inner, how: str = how, expected: type[Exception] = expected) -> None:
            events = AsyncEventStream(inner)  # type: ignore[arg-type]
            task = asyncio.ensure_future(events.__anext__())
            while inner._channel.waker is None:  # type: ignore[attr-defined]
                await asyncio.sleep(0)
            if how == "close":
                in_thread(inner.close)  # type: ignore[attr-defined]
            elif how == "cancel":
                cancel(events.id)
            else:
                await events.aclose()
            with pytest.raises(expected):
                await asyncio.wait_for(task, SOON)

        asyncio.run(read())
        assert program.stopped.wait(SOON)


def test_the_last_reference_gone_stops_the_program() -> None:
    program = Endless()

    async def read() -> None:
        async for event in AsyncEventStream(stream(program)):
            if event > 5:
                break

    asyncio.run(read())
    assert program.stopped.wait(SOON)


def test_it_reads_on_our_loop_too() -> None:
    async def read() -> list[int]:
        return [event async for event in AsyncEventStream(stream(partial(count, 100), queue_size=2))]

    assert crossing.run(read, instead="await") == list(range(100))


def test_its_bound_is_the_streams() -> None:
    put = 0

    async def program(call: Call) -> None:
        nonlocal put
        for i in range(50):
            put += 1
            await call.put((i,))

    async def read() -> None:
        events = AsyncEventStream(stream_of_call(program, queue_size=5))
        for i in range(50):
            assert await events.__anext__() == i
            await asyncio.get_running_loop().run_in_executor(None, let_the_loop_settle)
            assert put <= i + 1 + 5 + 1

    asyncio.run(read())


def test_two_tasks_that_read_at_once_are_an_error_and_the_first_reads_on() -> None:
    go_on = threading.Event()

    async def program(call: Call) -> None:
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        await call.put((1,))

    async def read() -> object:
        inner = stream_of_call(program)
        first = asyncio.ensure_future(AsyncEventStream(inner).__anext__())
        await asyncio.sleep(0)
        with pytest.raises(StreamError, match="task is reading"):
            await AsyncEventStream(inner).__anext__()
        with pytest.raises(StreamError, match="task is reading"):
            next(inner)
        go_on.set()
        return await first

    assert asyncio.run(read()) == 1


def test_result_reads_to_the_end_and_its_timeout_leaves_the_stream_going() -> None:
    go_on = threading.Event()

    async def program(call: Call) -> str:
        await call.put((1, 2))
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        return "done"

    async def read() -> list[object]:
        events = AsyncEventStream(stream_of_call(program))
        with pytest.raises(StreamTimeout) as caught:
            await events.result(timeout=0.05)
        assert caught.value.which == "result"
        go_on.set()
        return [await events.result(), await events.result(timeout=5), events.outcome]

    assert asyncio.run(read()) == ["done", "done", "completed"]
