"""Under gevent's patching the loop runs as a patched thread and works, whoever came first."""

from __future__ import annotations

import importlib.util
import textwrap

import pytest

from tests.runtime.programs import run_script

# Looked for, not imported: it belongs into the processes that these tests start.
pytestmark = pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is not installed")

PATCH = "from gevent import monkey; monkey.patch_all()\n"

IMPORTS = """
import asyncio, os, sys, threading, time
import lmstream_sync
from lmstream_sync.errors import *
from lmstream_sync.runtime import crossing, workers
from lmstream_sync.runtime.async_stream import AsyncEventStream
from lmstream_sync.runtime.register import running_calls
from lmstream_sync.runtime.emitting import emit
from lmstream_sync.runtime.loop import on_loop_thread
from tests.runtime.programs import *
"""

ORDERS = {"patched first": PATCH + IMPORTS, "patched after the import": IMPORTS + PATCH}


def under_gevent(order: str, source: str) -> None:
    done = run_script(ORDERS[order] + "import gevent\n" + textwrap.dedent(source) + "\nprint('ok')\n", seconds=20)
    assert done.stdout.endswith("ok\n"), done.stdout + done.stderr
    assert "Traceback" not in done.stderr


each_order = pytest.mark.parametrize("order", list(ORDERS))


@each_order
def test_streams_in_several_greenlets_at_once(order: str) -> None:
    under_gevent(
        order,
        """
        def read(n):
            return list(stream(lambda: count(n), queue_size=3))
        greenlets = [gevent.spawn(read, n) for n in range(30)]
        gevent.joinall(greenlets, timeout=10, raise_error=True)
        assert [g.value for g in greenlets] == [list(range(n)) for n in range(30)]
        assert not on_loop_thread()
        """,
    )


@each_order
def test_a_reader_that_waits_lets_other_greenlets_run(order: str) -> None:
    under_gevent(
        order,
        """
        go = asyncio.Event()
        async def program():
            await go.wait()
            yield 1
        events = stream(program)
        reader = gevent.spawn(lambda: list(events))
        ticks = 0
        for _ in range(20):
            gevent.sleep(0.001)
            ticks += 1
        assert ticks == 20 and not reader.ready()
        events._call.thread.post(go.set)
        assert reader.get(timeout=5) == [1]
        """,
    )


@each_order
def test_workers_plain_calls_and_the_rule_of_the_loop_thread(order: str) -> None:
    under_gevent(
        order,
        """
        def program():
            emit(1)
            return crossing.run(lambda: asyncio.sleep(0.01, 5), instead="await")
        greenlets = [gevent.spawn(lambda: stream_of_function(program).result(timeout=10)) for _ in range(10)]
        gevent.joinall(greenlets, timeout=10, raise_error=True)
        assert [g.value for g in greenlets] == [5] * 10
        async def blocks():
            try:
                crossing.run(lambda: asyncio.sleep(0), instead="await it")
            except StreamError as error:
                return str(error)
        assert "await it" in crossing.run(blocks, instead="await")
        assert crossing.run(lambda: asyncio.sleep(0, 3), instead="await") == 3
        """,
    )


@each_order
def test_close_from_another_greenlet_and_leaving_midway(order: str) -> None:
    under_gevent(
        order,
        """
        program = Silent(1)
        events = stream(program)
        next(events)
        def wait():
            try:
                next(events)
            except StreamClosed:
                return "closed"
        reader = gevent.spawn(wait)
        gevent.sleep(0.01)
        gevent.spawn(events.close).get(timeout=5)
        assert reader.get(timeout=5) == "closed"
        assert program.stopped.is_set()
        for _ in range(20):
            endless = Endless()
            for event in stream(endless):
                if event > 3:
                    break
            assert endless.stopped.wait(5)
        killed = Silent()
        reader = gevent.spawn(lambda: list(stream(killed)))
        killed.silent.wait(5)
        reader.kill(timeout=5)
        del reader  # it keeps the GreenletExit, and so its frames
        assert killed.stopped.wait(5)
        let_the_loop_settle()
        assert running_calls() == 0
        """,
    )


@each_order
def test_a_fork_as_gunicorns_worker_does(order: str) -> None:
    under_gevent(
        order,
        """
        assert list(stream(count)) == list(range(10))
        events = stream(Silent(1))
        next(events)
        # gevent installs this after the fork, too late for a child that has ended by then.
        gevent.get_hub().loop.install_sigchld()
        pid = os.fork()
        if not pid:
            status = 1
            try:
                assert list(stream(count)) == list(range(10))
                try:
                    next(events)
                except StreamForked:
                    status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        assert list(stream(count)) == list(range(10))
        """,
    )


def test_preload_then_fork_then_patch_as_gunicorn_does() -> None:
    done = run_script(
        IMPORTS
        + textwrap.dedent("""
        assert list(stream(count)) == list(range(10))  # on a native loop thread, before the fork
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            status = 1
            try:
                from gevent import monkey
                monkey.patch_all()
                import gevent
                greenlets = [gevent.spawn(lambda: list(stream(count))) for _ in range(20)]
                gevent.joinall(greenlets, timeout=10, raise_error=True)
                assert [g.value for g in greenlets] == [list(range(10))] * 20
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        print("ok")
        """),
        seconds=20,
    )
    assert done.stdout == "ok\n"


@each_order
def test_nobody_but_the_loop_thinks_that_a_loop_runs(order: str) -> None:
    # Django's ORM refuses to work, and `asyncio.run` too, where one seems to.
    under_gevent(
        order,
        """
        def nobody():
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                return True
            return False
        async def seen_by_the_program():
            for index in range(20):
                assert asyncio.get_running_loop() is not None
                yield await workers.in_worker(nobody)
                await asyncio.sleep(0.001)
        events = stream(seen_by_the_program)
        seen = []
        for there in events:
            seen += [there, nobody()]
        assert seen == [True] * 40, seen
        def read():
            return [(there, nobody()) for there in stream(seen_by_the_program, queue_size=2)]
        greenlets = [gevent.spawn(read) for _ in range(20)]
        gevent.joinall(greenlets, timeout=10, raise_error=True)
        assert [pair for each in greenlets for pair in each.value] == [(True, True)] * 400
        assert asyncio.run(asyncio.sleep(0, 42)) == 42
        """,
    )
