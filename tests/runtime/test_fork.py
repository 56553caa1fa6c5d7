"""Round a `fork()`: each test forks in an interpreter of its own.

The scripts say `ok` at their end; a child that does not end by itself is killed by its
parent's alarm.
"""

from __future__ import annotations

import os
import textwrap

import pytest

from tests.runtime.programs import run_script

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() here")

PRELUDE = """
import asyncio, gc, os, signal, socket, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks in a process with threads
from lmstream_sync.errors import *
from lmstream_sync.runtime import crossing, fork, workers
from lmstream_sync.runtime.async_stream import AsyncEventStream
from lmstream_sync.runtime.register import cancel, running_calls
from lmstream_sync.runtime.emitting import emit
from lmstream_sync.runtime.loop import loop_thread
from tests.runtime.programs import (
    Endless, Silent, count, in_thread, let_the_loop_settle, stream, stream_of_call, stream_of_function)

def in_child(fn, how_it_ends=os._exit):
    "Fork; run fn in the child; the parent gets its pid."
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(10)
    try:
        fn()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    how_it_ends(0)

def wait_for(pid):
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the child ended with {status}"

def works():
    assert list(stream(count)) == list(range(10))
    assert stream_of_function(lambda: crossing.run(lambda: asyncio.sleep(0, 7), instead="await")).result() == 7
"""


def forked(source: str, *, seconds: float = 30.0) -> str:
    done = run_script(PRELUDE + textwrap.dedent(source) + "\nprint('ok')\n", seconds=seconds)
    assert done.stdout.endswith("ok\n"), done.stdout + done.stderr
    return done.stderr


def test_the_child_gets_a_fresh_loop_and_the_parents_streams_go_on() -> None:
    forked("""
        events = stream(lambda: count(1000), queue_size=3)
        assert next(events) == 0
        parents = loop_thread()
        def child():
            works()
            assert loop_thread() is not parents
        wait_for(in_child(child))
        assert list(events) == list(range(1, 1000))
        works()
        assert loop_thread() is parents
    """)


def test_a_stream_opened_before_raises_stream_forked_in_the_child() -> None:
    forked("""
        program = Silent(1, 2)
        unread, read, dropped = stream(program), stream(Silent(1, 2, 3)), stream(Endless())
        next(read), next(dropped)
        def child():
            global dropped
            for events in (unread, read):
                async def read_asynchronously():
                    await AsyncEventStream(events).__anext__()
                for ask in (events.__next__, events.peek, events.result, lambda: asyncio.run(read_asynchronously())):
                    try:
                        while True:
                            ask()
                            assert events is read  # what it had taken before is its own
                    except StreamForked as error:
                        assert "fork" in str(error)
            assert running_calls() == 0 and not cancel(unread.id)
            unread.close()
            assert unread.closed
            del dropped
            gc.collect()
            works()
        wait_for(in_child(child))
        assert not program.stopped.is_set()
        assert [next(unread), next(unread)] == [1, 2]
        assert next(dropped) == 1
        unread.close()
        assert program.stopped.is_set()
    """)


def test_a_fork_while_the_loop_is_busy_and_logging() -> None:
    forked("""
        import io, logging
        logging.basicConfig(stream=open(os.devnull, "w"), level=logging.INFO)
        async def talks():
            i = 0
            while True:
                logging.info("busy %d", i)
                yield i
                i += 1
        busy = stream(talks)
        reader = threading.Thread(target=lambda: [None for _ in busy], daemon=True)
        reader.start()
        def child():
            logging.info("in the child")
            works()
        for _ in range(15):
            wait_for(in_child(child))
        works()
    """)


def test_a_fork_while_the_loop_does_not_answer_waits_two_seconds_at_most() -> None:
    forked("""
        fork.PATIENCE = 0.3
        go = threading.Event()
        began = threading.Event()
        async def blocks(call):
            began.set()
            go.wait(10)
            return "on"
        events = stream_of_call(blocks)
        began.wait(10)
        before = time.monotonic()
        pid = in_child(works)
        assert time.monotonic() - before < 2
        wait_for(pid)
        go.set()
        assert events.result() == "on"
        works()
    """)


def test_a_fork_waits_for_imports_that_run() -> None:
    forked("""
        in_import, go = threading.Event(), threading.Event()
        import importlib.abc, importlib.machinery
        class Slow(importlib.abc.MetaPathFinder, importlib.abc.Loader):
            def find_spec(self, name, path, target=None):
                return importlib.machinery.ModuleSpec(name, self) if name == "slow_module" else None
            def exec_module(self, module):
                in_import.set()
                go.wait(10)
        sys.meta_path.insert(0, Slow())
        def program():
            with fork.importing():
                import slow_module
            return "imported"
        events = stream_of_function(program)
        in_import.wait(10)
        threading.Timer(0.2, go.set).start()
        def child():
            assert go.is_set(), "the fork did not wait"
            works()
        wait_for(in_child(child))
        assert events.result() == "imported"
    """)


def test_an_import_that_took_too_long_does_not_hang_the_child() -> None:
    forked("""
        import importlib.abc, importlib.machinery
        fork.PATIENCE = 0.2
        in_import, go = threading.Event(), threading.Event()
        class Slow(importlib.abc.MetaPathFinder, importlib.abc.Loader):
            def find_spec(self, name, path, target=None):
                return importlib.machinery.ModuleSpec(name, self) if name == "slow_module" else None
            def exec_module(self, module):
                if os.getpid() == parent:
                    in_import.set()
                    go.wait(10)
                module.whole = True
        parent = os.getpid()
        sys.meta_path.insert(0, Slow())
        def program():
            with fork.importing():
                import slow_module
            return slow_module.whole
        events = stream_of_function(program)
        in_import.wait(10)
        def child():
            import slow_module
            assert slow_module.whole
            works()
        wait_for(in_child(child))
        go.set()
        assert events.result() is True
    """)


SERVER = """
listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
saw_end = threading.Event()
connected = threading.Event()
def serve():
    connection, _ = listener.accept()
    connected.set()
    with connection:
        try:
            while connection.recv(100):
                connection.sendall(b"pong\\n")
        except ConnectionError:  # closed with our answers unread
            pass
    saw_end.set()
threading.Thread(target=serve, daemon=True).start()
async def talk():
    reader, writer = await asyncio.open_connection(*address)
    try:
        while True:
            writer.write(b"ping\\n")
            yield await reader.readline()
    finally:
        writer.close()
"""


def test_the_childs_copies_of_the_parents_sockets_are_closed_without_disturbing_the_parent() -> None:
    forked(
        SERVER
        + textwrap.dedent("""
        events = stream(talk, queue_size=2)
        assert next(events) == b"pong\\n"
        go_r, go_w = os.pipe()
        ready_r, ready_w = os.pipe()
        def child():
            os.close(go_w)
            works()
            gc.collect()
            os.write(ready_w, b"x")
            os.read(go_r, 1)  # lives on
        pid = in_child(child)
        os.read(ready_r, 1)
        assert [next(events) for _ in range(50)] == [b"pong\\n"] * 50  # the parent's is as it was
        assert not saw_end.is_set()
        events.close()
        assert saw_end.wait(5), "the server does not see the end: the child holds the connection"
        os.write(go_w, b"x")
        wait_for(pid)
        works()
    """)
    )


def test_a_child_that_ends_as_an_interpreter_does_disturbs_nobody_and_runs_no_clean_up_of_the_parents() -> None:
    stderr = forked(
        SERVER
        + textwrap.dedent("""
        marks = os.pipe()
        async def marked():
            try:
                async for event in AsyncEventStream(stream(talk, queue_size=2)):
                    yield event
            finally:
                os.write(marks[1], b"%d " % os.getpid())
        events = stream(marked, queue_size=2)
        assert next(events) == b"pong\\n"
        pid = in_child(lambda: None, how_it_ends=sys.exit)
        wait_for(pid)
        pid = in_child(works, how_it_ends=sys.exit)
        wait_for(pid)
        assert [next(events) for _ in range(50)] == [b"pong\\n"] * 50
        events.close()
        assert saw_end.wait(5)
        assert os.read(marks[0], 100) == b"%d " % os.getpid(), "a child ran the program's clean-up"
        works()
    """)
    )
    assert stderr == ""


def test_fifty_forks_in_a_row() -> None:
    forked("""
        events = stream(lambda: count(200), queue_size=2)
        for i in range(50):
            pid = in_child(works)
            assert next(events) == i
            wait_for(pid)
        assert list(events) == list(range(50, 200))
    """)


def test_forks_from_several_threads_at_once_leave_the_loop_running() -> None:
    forked("""
        works()
        together = threading.Barrier(4)
        def fork_often():
            together.wait(10)
            for _ in range(8):
                wait_for(in_child(works))
        for join in [in_thread(fork_often) for _ in range(4)]:
            join()
        works()
    """)


def test_a_fork_of_a_fork() -> None:
    forked("""
        works()
        events = stream(Silent(1))
        def child():
            works()
            mine = stream(Silent(1))
            def grandchild():
                for old in (events, mine):
                    try:
                        next(old)
                        raise AssertionError("read the grandparent's stream")
                    except StreamForked:
                        pass
                works()
            wait_for(in_child(grandchild))
            assert next(mine) == 1
        wait_for(in_child(child))
        assert next(events) == 1
    """)


def test_a_fork_by_a_worker_of_a_running_call() -> None:
    forked("""
        def program():
            def child():
                works()
                before = time.monotonic()
                for use in (lambda: emit(1), lambda: crossing.check_stopped()):
                    try:
                        use()
                    except StreamError:
                        pass
                assert crossing.run(lambda: asyncio.sleep(0, 5), instead="await") == 5
                assert time.monotonic() - before < 0.9, "it waited for the parent's loop"
            wait_for(in_child(child))
            emit("in the parent")
            return "on"
        events = stream_of_function(program)
        assert list(events) == ["in the parent"]
        assert events.result() == "on"
    """)


def test_a_fork_by_code_on_the_loop() -> None:
    forked("""
        async def program(call):
            wait_for(in_child(works))
            return "on"
        assert stream_of_call(program).result() == "on"
        works()
    """)


def test_multiprocessing_with_fork_works() -> None:
    forked("""
        import multiprocessing
        events = stream(lambda: count(100), queue_size=2)
        next(events)
        def work(x):
            return x * len(list(stream(count)))
        with multiprocessing.get_context("fork").Pool(3) as pool:
            assert pool.map(work, range(6)) == [10 * x for x in range(6)]
        assert list(events) == list(range(1, 100))
    """)
