"""`Timeout`: each of its clocks, and which of several wins."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from lmstream_sync import configure, context
from lmstream_sync.errors import ConfigurationError, StreamTimeout
from lmstream_sync.runtime import clocks, crossing, workers
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.clocks import limits_asked, request_clock
from lmstream_sync.runtime.deadlines import CallClocks, RequestClock
from lmstream_sync.runtime.emitting import emit
from lmstream_sync.runtime.timeout import Timeout
from tests.runtime.programs import SOON, Endless, Silent, stream, stream_of_call, stream_of_function, timers_set

SHORT = 0.05


def passes(events: object) -> str:
    """Which clock ended a stream."""
    with pytest.raises(StreamTimeout) as caught:
        events.result()  # type: ignore[attr-defined]
    assert events.outcome == "failed"  # type: ignore[attr-defined]
    return caught.value.which


# The values


def test_the_defaults() -> None:
    limits = Timeout()
    assert (limits.connect, limits.first, limits.idle, limits.total, limits.reader) == (10, 120, 300, None, 300)


def test_a_number_means_total_and_none_means_no_limit() -> None:
    assert Timeout.of(5) == Timeout(total=5)
    assert Timeout.of(0.5) == Timeout(total=0.5)
    assert Timeout.of(None) is None
    assert Timeout(idle=None).idle is None
    limits = Timeout(first=1)
    assert Timeout.of(limits) is limits


@pytest.mark.parametrize("value", [0, -1, True, "5", float("nan")])
def test_a_value_that_is_no_positive_number_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError):
        Timeout(first=value)  # type: ignore[arg-type]
    for wrong in ("5", [1], True):
        with pytest.raises(ConfigurationError):
            Timeout.of(wrong)  # type: ignore[arg-type]


def test_a_timeout_does_not_change_and_compares_by_value() -> None:
    limits = Timeout(first=1, idle=None)
    with pytest.raises(AttributeError):
        limits.first = 2  # type: ignore[misc]
    assert limits == Timeout(idle=None, first=1)
    assert hash(limits) == hash(Timeout(idle=None, first=1))
    assert limits != Timeout(first=1)
    assert "first=1" in repr(limits) and "idle=None" in repr(limits)


def test_context_beats_the_calls_own_beats_configure_beats_the_default_field_by_field() -> None:
    configure(timeout=Timeout(first=1, idle=1, reader=1))
    with context(timeout=Timeout(first=3)):
        limits = limits_of_a_call(Timeout(first=2, idle=2))
    assert (limits.first, limits.idle, limits.reader, limits.connect) == (3, 2, 1, 10)
    with context(timeout=7):
        assert limits_of_a_call(Timeout(total=2)).total == 7
    with context(timeout=Timeout(idle=None)):
        assert limits_of_a_call(Timeout(idle=2)).idle is None


def limits_of_a_call(own: Timeout) -> Timeout:
    async def nothing(_: Call) -> None: ...

    return Call(nothing, None, limits_asked(own), "a program").clocks.timeout


# The clocks of a call


def test_total_counts_from_the_call_while_events_come() -> None:
    program = Endless()
    events = stream(program, timeout=Timeout(total=SHORT))
    assert passes(events) == "total"
    assert program.stopped.wait(SOON)
    assert events.timings["total"] >= SHORT


def test_idle_ends_a_call_in_which_nothing_moves() -> None:
    program = Silent(1, 2)
    events = stream(program, timeout=Timeout(idle=SHORT))
    assert [next(events), next(events)] == [1, 2]
    assert passes(events) == "idle"
    assert program.stopped.wait(SOON)


def test_idle_restarts_at_every_event_and_every_touch() -> None:
    async def program(call: Call) -> str:
        for i in range(8):
            await asyncio.sleep(0.1)
            if i % 2:
                await call.put((i,))
            else:
                clocks.touch()
        return "moved"

    assert stream_of_call(program, timeout=Timeout(idle=0.4)).result() == "moved"


def test_touch_from_a_worker_keeps_a_call_alive_and_outside_a_call_does_nothing() -> None:
    clocks.touch()

    def program() -> str:
        for _ in range(8):
            threading.Event().wait(0.1)
            clocks.touch()
        return "moved"

    assert stream_of_function(program, timeout=Timeout(idle=0.4)).result() == "moved"


def test_idle_stands_still_while_the_task_waits_for_a_slow_reader() -> None:
    async def program(call: Call) -> str:
        await call.put(range(20))
        return "read"

    events = stream_of_call(program, queue_size=2, timeout=Timeout(idle=SHORT))
    next(events)
    threading.Event().wait(6 * SHORT)  # the reader is busy
    assert events.result() == "read"


def test_reader_ends_a_call_whose_reader_does_not_read_and_it_gets_what_was_queued() -> None:
    program = Endless()
    events = stream(program, queue_size=4, timeout=Timeout(reader=SHORT))
    assert next(events) == 0
    assert program.stopped.wait(SOON)
    got = []
    with pytest.raises(StreamTimeout) as caught:
        for event in events:
            got.append(event)
    assert caught.value.which == "reader"
    assert got == list(range(1, len(got) + 1))
    assert 2 <= len(got) <= 5


def test_a_late_reader_gets_what_waited_for_room_too() -> None:
    async def program(call: Call) -> None:
        await call.put(range(12))

    events = stream_of_call(program, queue_size=4, timeout=Timeout(reader=SHORT))
    assert events._call.done.wait(SOON)
    got = []
    with pytest.raises(StreamTimeout):
        for event in events:
            got.append(event)
    assert got == list(range(12))


def test_a_slow_reader_of_one_long_batch_is_a_reader_who_reads() -> None:
    async def program(call: Call) -> str:
        await call.put(range(12))
        return "read"

    events = stream_of_call(program, queue_size=2, timeout=Timeout(reader=0.4))
    for i in range(12):
        threading.Event().wait(0.1)  # 1.2 s in all, for a batch that was put at once
        assert next(events) == i
    assert events.result() == "read"


def test_a_slow_reader_is_not_late_for_what_he_took_at_once() -> None:
    async def program(call: Call) -> str:
        await call.put(range(40))
        return "read"

    events = stream_of_call(program, queue_size=20, timeout=Timeout(reader=0.4))
    for i in range(10):  # all from one take
        threading.Event().wait(0.1)
        assert next(events) == i
    assert events.result() == "read"


def test_a_worker_that_blocks_does_not_keep_its_reader_from_the_timeout() -> None:
    for limits, which in ((Timeout(total=SHORT), "total"), (Timeout(idle=SHORT), "idle")):
        go = threading.Event()

        def program(go: threading.Event = go) -> None:
            emit(1)
            go.wait(SOON)

        events = stream_of_function(program, timeout=limits)
        assert next(events) == 1
        assert passes(events) == which
        assert not events._call.done.is_set()  # the worker blocks still
        go.set()
        assert events._call.done.wait(SOON)


def test_a_plain_call_obeys_too_and_a_blocked_worker_does_not_keep_its_caller() -> None:
    go = threading.Event()
    with context(timeout=SHORT), pytest.raises(StreamTimeout) as caught:
        crossing.run(lambda: workers.in_worker(lambda: go.wait(SOON)), instead="await")
    assert caught.value.which == "total"
    go.set()
    with pytest.raises(StreamTimeout) as caught:
        crossing.run(lambda: asyncio.sleep(SOON), instead="await", timeout=Timeout(idle=SHORT))
    assert caught.value.which == "idle"

    async def from_elsewhere() -> None:
        await crossing.arun(lambda: asyncio.sleep(SOON), timeout=Timeout(total=SHORT))

    with pytest.raises(StreamTimeout):
        asyncio.run(from_elsewhere())


def test_a_timeout_is_told_after_all_events_that_came_before_it() -> None:
    program = Silent(*range(10))
    events = stream(program, timeout=Timeout(idle=SHORT))
    assert program.stopped.wait(SOON)
    got = []
    with pytest.raises(StreamTimeout):
        for event in events:
            got.append(event)
    assert got == list(range(10))


def test_a_timeout_beats_what_the_program_raises_when_it_is_stopped() -> None:
    async def program() -> AsyncIterator[int]:
        yield 1
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("in the clean-up")

    assert passes(stream(program, timeout=Timeout(idle=SHORT))) == "idle"


def test_of_two_limits_of_which_one_says_nothing_none_is_made() -> None:
    some, nothing = Timeout(first=1), Timeout()
    assert some.over(None) is some.over(nothing) is some.over(some) is nothing.over(some) is some
    assert some.over(Timeout(idle=2)) == Timeout(first=1, idle=2)


# The clock of a model request


async def request(own: Timeout | None, first: float = 0.0, then: float = 0.0) -> str:
    async with request_clock(own) as clock:
        clock.sent()
        await asyncio.sleep(first)
        clock.arrived()
        await asyncio.sleep(then)
    return "replied"


def asked(own: Timeout | None, first: float = 0.0, then: float = 0.0) -> str:
    return crossing.run(lambda: request(own, first, then), instead="await", timeout=own)


def test_first_ends_a_request_whose_first_token_does_not_come() -> None:
    with pytest.raises(StreamTimeout) as caught:
        asked(Timeout(first=SHORT), first=SOON)
    assert caught.value.which == "first"
    assert asked(Timeout(first=0.5), then=0.7) == "replied"


def test_first_is_an_error_of_the_request_that_a_program_may_handle() -> None:
    async def program(call: Call) -> list[str]:
        words = []
        for _ in range(2):
            with pytest.raises(StreamTimeout):
                await request(Timeout(first=SHORT), first=SOON)
            words.append("late")
        words.append(await request(Timeout(first=SOON)))
        await asyncio.sleep(0)  # the interruption left nothing behind
        return words

    assert stream_of_call(program).result() == ["late", "late", "replied"]


def test_first_begins_when_the_request_is_sent() -> None:
    async def program(call: Call) -> str:
        async with request_clock(Timeout(first=0.2)) as clock:
            assert clock.remaining() is None
            await asyncio.sleep(0.4)  # an engine's own imports
            clock.sent()
            assert 0 < clock.remaining() <= 0.2
            clock.arrived()
            assert clock.remaining() is None
        return "replied"

    assert stream_of_call(program).result() == "replied"


def test_what_remains_is_the_least_of_first_and_both_totals() -> None:
    async def program(call: Call) -> None:
        with context(timeout=Timeout(first=60, total=50)):
            async with request_clock(None) as clock:
                assert 49 < (clock.remaining() or 0) <= 50
                clock.sent()
                assert 49 < (clock.remaining() or 0) <= 50
        with context(timeout=Timeout(first=40)):
            async with request_clock(None) as clock:
                clock.sent()
                assert 39 < (clock.remaining() or 0) <= 40
                clock.arrived()
                assert 54 < (clock.remaining() or 0) <= 55
        with context(timeout=Timeout(total=30)):
            async with request_clock(None) as clock:
                assert 29 < (clock.remaining() or 0) <= 30

    stream_of_call(program, timeout=Timeout(total=55)).result()


def test_requests_set_no_timers_where_the_limits_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """One timer serves a call and all its requests."""

    async def program(call: Call) -> int:
        loop = asyncio.get_running_loop()
        timers = timers_set(loop, monkeypatch)
        for _ in range(5):
            async with request_clock(None) as clock:
                clock.sent()
                assert 119 < (clock.remaining() or 0) <= 120
                clock.arrived()
        found = len(timers)
        loop.call_later(60, list).cancel()
        assert len(timers) == found + 1  # they are counted
        monkeypatch.undo()
        return found

    assert stream_of_call(program).result() == 0


def test_a_request_keeps_its_limits_when_its_call_has_ended() -> None:
    """It is one that a worker brought, which goes on after the program returned."""

    class Ended:
        stopping = False

        def __init__(self) -> None:
            self.clocks = CallClocks(Timeout(), self)

        def fail(self, error: BaseException) -> None:
            raise AssertionError

    async def late(ends_in_the_middle: bool) -> None:
        call = Ended()
        call.clocks.start(asyncio.get_running_loop(), 0.0)
        if not ends_in_the_middle:
            call.clocks.stop()
        async with RequestClock(Timeout(first=SHORT), call) as clock:
            clock.sent()
            if ends_in_the_middle:
                call.clocks.stop()
            await asyncio.sleep(SOON)

    for ends_in_the_middle in (True, False):
        with pytest.raises(StreamTimeout, match="first token"):
            asyncio.run(late(ends_in_the_middle))


def test_idle_stands_still_until_the_first_token_and_counts_from_there() -> None:
    limits = Timeout(idle=0.2)
    assert stream_of_call(lambda _: request(None, first=0.5), timeout=limits).result() == "replied"
    assert passes(stream_of_call(lambda _: request(None, then=SOON), timeout=limits)) == "idle"


def test_a_models_own_idle_and_total_hold_inside_a_call_without_them() -> None:
    async def program(call: Call) -> str:
        return await request(Timeout(idle=SHORT), then=SOON)

    assert passes(stream_of_call(program)) == "idle"

    async def patient(call: Call) -> str:
        with pytest.raises(StreamTimeout) as caught:
            await request(Timeout(total=SHORT), then=SOON)
        return caught.value.which

    assert stream_of_call(patient).result() == "total"


def test_the_limits_of_the_call_beat_the_models_own() -> None:
    limits = Timeout(first=SOON, idle=SOON, total=SOON)
    own = Timeout(first=SHORT, idle=SHORT, total=SHORT)
    assert stream_of_call(lambda _: request(own, 3 * SHORT, 3 * SHORT), timeout=limits).result() == "replied"


def test_the_models_own_limits_beat_what_configure_says() -> None:
    configure(timeout=Timeout(first=SHORT, idle=SHORT))
    own = Timeout(first=SOON, idle=None)
    assert stream_of_call(lambda _: request(own, 3 * SHORT, 3 * SHORT)).result() == "replied"


@pytest.mark.parametrize("which", ["first", "total"])
def test_a_context_entered_inside_the_program_counts_for_its_requests(which: str) -> None:
    async def program(call: Call) -> str:
        with context(timeout=Timeout(**{which: SHORT})), pytest.raises(StreamTimeout) as caught:
            await request(Timeout(first=SOON, total=SOON), first=SOON)
        assert await request(None, first=3 * SHORT) == "replied"  # and for no others
        return caught.value.which

    assert stream_of_call(program, timeout=Timeout(first=SOON, total=SOON)).result() == which


def test_the_idle_of_a_call_is_its_own_again_after_requests_side_by_side() -> None:
    async def program(call: Call) -> str:
        await asyncio.gather(request(Timeout(idle=SHORT), then=SHORT / 2), request(Timeout(idle=SHORT)))
        await asyncio.sleep(3 * SHORT)
        return "idle for long"

    assert stream_of_call(program).result() == "idle for long"


def test_a_stop_during_a_request_is_a_stop_and_no_timeout() -> None:
    cancelled = threading.Event()

    async def program(call: Call) -> None:
        await call.put((1,))
        try:
            await request(Timeout(first=SOON), first=SOON)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    events = stream_of_call(program)
    next(events)
    events.close()
    assert cancelled.is_set()
    assert events.outcome == "left"
