"""The crossing: order, the bound of law 5, and the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial

import pytest

from lmstream_sync.errors import StreamCancelled, StreamError
from lmstream_sync.runtime import crossing, workers
from lmstream_sync.runtime.async_stream import AsyncEventStream
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.emitting import aemit, emit
from lmstream_sync.runtime.register import cancel
from lmstream_sync.runtime.timeout import Timeout
from tests.runtime.programs import (
    SOON,
    in_thread,
    let_the_loop_settle,
    stream,
    stream_of_call,
    stream_of_function,
    wait_until_waiting,
)

SIZES = [1, 2, 3, 5, 32]


class Meter:
    """Counts what producers put and what the reader got."""

    def __init__(self, queue_size: int) -> None:
        self.queue_size = queue_size
        self.begun = 0
        self.accepted = 0
        self.read = 0


@pytest.mark.parametrize("queue_size", SIZES)
def test_a_stalled_reader_holds_at_most_queue_size_events_wherever_it_stalls(queue_size: int) -> None:
    meter = Meter(queue_size)

    async def program(call: Call) -> None:
        for i in range(4 * queue_size + 8):
            meter.begun += 1
            await call.put((i,))
            meter.accepted += 1

    with stream_of_call(program, queue_size=queue_size) as events:
        most = 0
        while True:
            let_the_loop_settle()
            assert meter.accepted - meter.read <= queue_size
            assert meter.begun - meter.read <= queue_size + 1  # and the one that waits for room
            most = max(most, meter.accepted - meter.read)
            try:
                assert next(events) == meter.read
            except StopIteration:
                break
            meter.read += 1
        assert meter.read == 4 * queue_size + 8
        assert most >= (queue_size + 1) // 2  # the bound is used, not a queue of one


@pytest.mark.parametrize("queue_size", SIZES)
@pytest.mark.parametrize("batch", [2, 7, 100])
def test_a_batch_counts_as_many_as_it_holds_and_a_longer_one_is_split(queue_size: int, batch: int) -> None:
    put = 0

    async def program(call: Call) -> None:
        nonlocal put
        for first in range(0, 3 * batch, batch):
            put += batch
            await call.put(range(first, first + batch))

    events = stream_of_call(program, queue_size=queue_size)
    channel = events._channel
    got = []
    while True:
        let_the_loop_settle()
        # Of what was put, all but the rest of one batch that waits for room has been accepted.
        assert put - channel.backlog - len(got) <= queue_size or events._call.done.is_set()
        assert channel.backlog <= batch
        try:
            got.append(next(events))
        except StopIteration:
            break
    assert got == list(range(3 * batch))


@pytest.mark.parametrize("queue_size", SIZES)
def test_several_producers_on_the_loop_share_one_bound(queue_size: int) -> None:
    producers, each = 7, 20
    meter = Meter(queue_size)

    async def produce(call: Call, who: int) -> None:
        for i in range(each):
            meter.begun += 1
            await call.put(((who, i),))
            meter.accepted += 1

    async def program(call: Call) -> None:
        await asyncio.gather(*(produce(call, who) for who in range(producers)))

    events = stream_of_call(program, queue_size=queue_size)
    got = []
    while True:
        let_the_loop_settle()
        # A put that returned is in the bound; each producer waits with one more.
        assert meter.begun - meter.read <= queue_size + producers
        try:
            got.append(next(events))
        except StopIteration:
            break
        meter.read += 1
    assert len(got) == producers * each
    for who in range(producers):
        assert [i for w, i in got if w == who] == list(range(each))


def test_several_workers_and_sub_tasks_emit_at_once_and_each_keeps_its_order() -> None:
    producers, each = 6, 60
    together = threading.Barrier(producers)

    def from_worker(who: int) -> None:
        together.wait(SOON)
        for i in range(each):
            emit((who, i))

    async def from_loop(who: int) -> None:
        for i in range(each):
            await aemit((who, i))

    async def program(call: Call) -> None:
        await asyncio.gather(
            *(workers.in_worker(partial(from_worker, who)) for who in range(producers)),
            *(from_loop(who) for who in range(producers, 2 * producers)),
        )

    got = list(stream_of_call(program, queue_size=3))
    assert len(got) == 2 * producers * each
    for who in range(2 * producers):
        assert [i for w, i in got if w == who] == list(range(each))


def test_a_worker_that_emits_waits_for_room() -> None:
    emitted = 0

    def program() -> None:
        nonlocal emitted
        for i in range(50):
            emit(i)
            emitted += 1

    events = stream_of_function(program, queue_size=4)
    for i in range(50):
        assert next(events) == i
        let_the_loop_settle()
        assert emitted <= i + 1 + 4 + 1
    assert list(events) == []


def test_synchronous_code_on_the_loop_may_emit_queue_size_more_and_then_gets_an_error_naming_aemit() -> None:
    tried = []

    async def program(call: Call) -> None:
        with pytest.raises(StreamError, match="aemit"):
            for i in range(100):
                emit(i)
                tried.append(i)
        await crossing.checkpoint()

    events = stream_of_call(program, queue_size=6)
    let_the_loop_settle()
    assert len(tried) == 3 + 6  # the queue's half of the bound, and queue_size more
    assert list(events) == tried


def test_what_synchronous_code_emitted_goes_out_before_what_comes_after_it() -> None:
    async def program(call: Call) -> None:
        for i in range(8):
            emit(("emitted", i))
        await call.put([("put", i) for i in range(8)])
        emit("last")

    assert list(stream_of_call(program, queue_size=8)) == (
        [("emitted", i) for i in range(8)] + [("put", i) for i in range(8)] + ["last"]
    )


def test_the_end_comes_after_all_events_even_those_that_wait_for_room() -> None:
    async def program(call: Call) -> str:
        await call.put(range(100))
        return "done"

    events = stream_of_call(program, queue_size=2)
    let_the_loop_settle()
    assert list(events) == list(range(100))
    assert events.result() == "done"


@pytest.mark.parametrize("queue_size", SIZES)
@pytest.mark.parametrize("count", [0, 1, 100])
def test_the_last_events_come_after_all_that_wait_for_room(queue_size: int, count: int) -> None:
    async def program(call: Call) -> str:
        await call.put(range(count))
        call.last = ("last", "very last")
        return "done"

    events = stream_of_call(program, queue_size=queue_size)
    let_the_loop_settle()
    assert list(events) == [*range(count), "last", "very last"]
    assert events.result() == "done"
    assert events.timings["first"] is not None


def test_the_last_event_and_the_end_wake_a_reader_once() -> None:
    woken: list[None] = []
    go = asyncio.Event()

    async def program(call: Call) -> None:
        await go.wait()
        call.last = ("last",)

    events = stream_of_call(program)
    events._channel.wake_with(lambda: woken.append(None))
    events._call.thread.post(go.set)
    assert events._call.done.wait(SOON)
    assert len(woken) == 1
    assert list(events) == ["last"]


@pytest.mark.parametrize("how", ["fails", "is cancelled", "is left"])
def test_a_program_that_does_not_return_has_no_last_event(how: str) -> None:
    ready = threading.Event()

    async def program(call: Call) -> None:
        call.last = ("last",)
        ready.set()
        if how == "fails":
            raise ValueError("x")
        await asyncio.Event().wait()

    events = stream_of_call(program)
    assert ready.wait(SOON)
    if how == "is left":
        events.close()
        assert events._channel.waiting == 0
        return
    if how == "is cancelled":
        cancel(events.id)
    with pytest.raises(ValueError if how == "fails" else StreamCancelled):
        next(events)


def test_a_waiting_reader_is_woken_by_an_event_and_by_the_end() -> None:
    for what, expected in (("event", [1]), ("end", [])):
        go = asyncio.Event()

        async def program(what: str = what, go: asyncio.Event = go) -> AsyncIterator[int]:
            await go.wait()
            if what == "event":
                yield 1

        events = stream(program)
        read = in_thread(lambda events=events: list(events))
        wait_until_waiting(events)
        events._call.thread.post(go.set)
        assert read() == expected


def test_a_put_that_waits_for_room_ends_when_the_stream_is_closed() -> None:
    ended = threading.Event()

    async def program(call: Call) -> None:
        try:
            await call.put(range(1000))
        finally:
            ended.set()

    events = stream_of_call(program, queue_size=2)
    assert next(events) == 0
    events.close()
    assert ended.is_set()
    assert events._channel.backlog == 0


def test_emit_outside_a_stream_does_nothing() -> None:
    emit(1)
    asyncio.run(aemit(1))
    assert crossing.run(lambda: aemit(1), instead="await") is None


def test_the_loop_is_woken_once_for_each_list_and_not_for_each_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes a burst cheap: counted, as time would not be the same twice."""
    lists, length = 5, 320

    async def program(call: Call) -> None:
        for _ in range(lists):
            await call.put(range(length))

    events = stream_of_call(program, queue_size=32)
    next(events)
    woken = 0
    wake = events._call.thread.loop.call_soon_threadsafe

    def counted(*args: object, **options: object) -> object:
        nonlocal woken
        woken += 1
        return wake(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(events._call.thread.loop, "call_soon_threadsafe", counted)
    assert sum(1 for _ in events) == lists * length - 1
    assert woken <= 2 * lists  # taking 16 at a time it would be 20 for each list


@pytest.mark.parametrize("queue_size", SIZES)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["thread", "loop"])
def test_no_wake_up_is_lost_between_a_take_and_the_wait_for_room(queue_size: int, asynchronous: bool) -> None:
    """Many short lists from several producers, so that both sides come to wait at every possible moment."""
    producers, lists = 3, 200

    async def produce(call: Call, who: int) -> None:
        for number in range(lists):
            await call.put([(who, number, part) for part in range(1 + (number * 7 + who) % 5)])

    async def program(call: Call) -> None:
        await asyncio.gather(*(produce(call, who) for who in range(producers)))

    async def read() -> list[object]:
        return [event async for event in AsyncEventStream(events)]

    events = stream_of_call(program, queue_size=queue_size, timeout=Timeout(total=SOON))
    got = asyncio.run(read()) if asynchronous else list(events)
    for who in range(producers):
        wanted = [(who, n, part) for n in range(lists) for part in range(1 + (n * 7 + who) % 5)]
        assert [event for event in got if event[0] == who] == wanted  # type: ignore[index]
