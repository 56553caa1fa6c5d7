"""Nothing stays behind: no thread, no task, no descriptor, no call, however streams end."""

from __future__ import annotations

import os
import textwrap

import pytest

from tests.runtime.programs import run_script

PRELUDE = """
import asyncio, contextvars, gc, os, sys, threading, weakref
from lmstream_sync.errors import *
from lmstream_sync.runtime import crossing, workers
from lmstream_sync.runtime.async_stream import AsyncEventStream
from lmstream_sync.runtime.call import Call
from lmstream_sync.runtime.register import cancel, running_calls
from lmstream_sync.runtime.emitting import emit
from lmstream_sync.runtime.loop import loop_thread
from lmstream_sync.runtime.threads import worker_count
from lmstream_sync.runtime.timeout import Timeout
from tests.runtime.programs import *

async def tasks():
    return len(asyncio.all_tasks())

def descriptors():
    return len(os.listdir("/proc/self/fd"))

def what_is_there():
    for _ in range(200):
        let_the_loop_settle()
        if not running_calls():
            break
        threading.Event().wait(0.01)
    threads = threading.active_count() - worker_count()
    return (threads, crossing.run(tasks, instead="await"), descriptors(), running_calls())

def read(): assert list(stream(count)) == list(range(10))
def leave():
    for event in stream(Endless()):
        break
def left_unread(): stream(Silent(1))
def close_at_once(): stream(Endless()).close()
def cancelled():
    events = stream(Silent(1))
    next(events)
    cancel(events.id)
    try:
        next(events)
    except StreamCancelled:
        pass
def failed():
    async def fail():
        yield 1
        raise ValueError("x")
    try:
        list(stream(fail))
    except ValueError:
        pass
def timed_out():
    try:
        list(stream(Silent(), timeout=Timeout(idle=0.001)))
    except StreamTimeout:
        pass
def worker(): assert list(stream_of_function(lambda: [emit(i) for i in range(5)])) == list(range(5))
def leave_worker():
    for event in stream_of_function(lambda: [emit(i) for i in range(10**6)]):
        break
def nested():
    for event in stream_of_function(lambda: [emit(i) for i in stream(Endless())]):
        if event > 3:
            break
def nested_failure():
    def program():
        inner = stream(Endless())
        next(inner)
        raise ValueError("x")
    try:
        stream_of_function(program).result()
    except ValueError:
        pass
def asynchronous():
    async def read():
        async for event in AsyncEventStream(stream(Endless())):
            break
    asyncio.run(read())
def plain(): assert crossing.run(lambda: asyncio.sleep(0, 1), instead="await") == 1
WAYS = (read, leave, left_unread, close_at_once, cancelled, failed, timed_out, worker, leave_worker, nested,
        nested_failure, asynchronous, plain)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are counted in /proc")
@pytest.mark.parametrize("collector", ["with the collector", "by reference counts alone"])
def test_five_hundred_streams_leave_nothing_behind(collector: str) -> None:
    done = run_script(
        PRELUDE
        + textwrap.dedent(f"""
        if {collector!r} != "with the collector":
            gc.disable()
        read()
        before = what_is_there()
        for i in range(520):
            WAYS[i % len(WAYS)]()
        after = what_is_there()
        assert after == before, (before, after)
        assert worker_count() <= 60, worker_count()
        print("ok")
        """),
        seconds=40,
    )
    assert done.stdout == "ok\n"
    assert done.stderr == ""


def test_what_a_stream_refers_to_goes_with_it_by_reference_counts_alone() -> None:
    done = run_script(
        PRELUDE
        + textwrap.dedent("""
        gc.disable()
        class Thing:
            pass
        variable = contextvars.ContextVar("variable")

        def once(how):
            thing = Thing()
            def program():
                emit(thing)
                return thing
            async def asynchronous(call):
                await call.put((thing,))
                return thing
            async def endless():
                while True:
                    yield thing
            def in_context():
                variable.set(thing)
                return list(stream(count))
            {
                "read": lambda: stream_of_call(asynchronous).result(),
                "worker": lambda: stream_of_function(program).result(),
                "left": lambda: next(stream(endless)),
                "context": lambda: contextvars.copy_context().run(in_context),
                "plain": lambda: crossing.run(lambda: asyncio.sleep(0, thing), instead="await"),
            }[how]()
            return weakref.ref(thing)

        for how in ("read", "worker", "left", "context", "plain"):
            things = [once(how) for _ in range(5)]
            what_is_there()
            for _ in range(200):  # a worker lets go of its job a moment after the result is known
                alive = sum(thing() is not None for thing in things)
                if not alive:
                    break
                threading.Event().wait(0.01)
            assert alive == 0, (how, alive)
        print("ok")
        """)
    )
    assert done.stdout == "ok\n", done.stdout


def test_timers_of_ended_calls_keep_nothing() -> None:
    done = run_script(
        PRELUDE
        + textwrap.dedent("""
        limits = Timeout(idle=1000, total=1000, reader=1000)
        for _ in range(300):
            list(stream(count, timeout=limits))
            events = stream(Endless(), timeout=limits)
            next(events)
            events.close()
        del events
        what_is_there()
        gc.collect()
        calls = sum(isinstance(thing, Call) for thing in gc.get_objects())
        assert calls <= 2, calls
        print("ok")
        """)
    )
    assert done.stdout == "ok\n"


def test_workers_are_used_again() -> None:
    done = run_script(
        PRELUDE
        + textwrap.dedent("""
        for _ in range(300):
            worker()
        assert worker_count() <= 3, worker_count()
        for error in (ValueError, SystemExit, KeyboardInterrupt):
            def fail():
                raise error("x")
            for _ in range(20):
                try:
                    stream_of_function(fail).result()
                except error:
                    pass
        assert worker_count() <= 3, worker_count()
        print("ok")
        """)
    )
    assert done.stdout == "ok\n"
    assert done.stderr == ""


def test_idle_workers_end() -> None:
    done = run_script(
        PRELUDE
        + textwrap.dedent("""
        from lmstream_sync.runtime import threads
        threads.IDLE_SECONDS = 0.05
        together = threading.Barrier(10)
        for join in [in_thread(stream_of_function(lambda: together.wait(10)).result) for _ in range(10)]:
            join()
        for _ in range(500):
            if not worker_count():
                break
            threading.Event().wait(0.01)
        assert worker_count() == 0
        worker()  # and new ones come
        print("ok")
        """)
    )
    assert done.stdout == "ok\n"
