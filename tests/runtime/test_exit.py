"""Ctrl-C and the end of the interpreter, in interpreters of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

from tests.runtime.programs import ROOT, run_script, script_environment

PRELUDE = """
import asyncio, atexit, gc, os, signal, sys, threading, time
from lmstream_sync.errors import *
from lmstream_sync.runtime import crossing, waiting, workers
from lmstream_sync.runtime.async_stream import AsyncEventStream
from lmstream_sync.runtime.emitting import emit
from tests.runtime.programs import *
"""

# What an open stream may be doing when the interpreter ends.
OPEN = {
    "running": "events = stream(Endless()); next(events)",
    "silent": "events = stream(Silent(1)); next(events)",
    "never read": "events = stream(Endless())",
    "many": "events = [stream(Endless()) for _ in range(50)]",
    "in a cycle": "events = [stream(Endless())]; events.append(events)",
    "a worker that emits": "events = stream_of_function(lambda: [emit(i) for i in range(10**9)]); next(events)",
    "a worker that blocks": "events = stream_of_function(lambda: [emit(1), threading.Event().wait()]); next(events)",
    "a worker that waits for the loop": (
        "events = stream_of_function(lambda: [emit(1), crossing.run(asyncio.Event().wait, instead='')]); next(events)"
    ),
    "a nested stream": "events = stream_of_function(lambda: [emit(i) for i in stream(Endless())]); next(events)",
    "a daemon thread that reads": """
import lmstream_sync.runtime.loop as loop
waiting.SLICE = 60
events = stream(Silent(1))
next(events)
reader = threading.Thread(target=lambda: list(events), daemon=True)
reader.start()
wait_until_waiting(events)
atexit.unregister(loop._stop_at_exit)
atexit.register(reader.join, 0.3)  # after ours: time to make noise in
atexit.register(loop._stop_at_exit)
""",
    "a program that swallows its stop": """
async def stubborn(call):
    await call.put((1,))
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass
events = stream_of_call(stubborn); next(events)
""",
}


@pytest.mark.parametrize("what", list(OPEN))
def test_the_interpreter_ends_soon_and_without_noise_while_streams_are_open(what: str) -> None:
    done = run_script(PRELUDE + OPEN[what] + "\nprint('ok')", seconds=8)
    assert done.stdout == "ok\n"
    assert done.stderr == ""


def test_a_program_is_cleaned_up_when_the_interpreter_ends() -> None:
    done = run_script(
        PRELUDE
        + textwrap.dedent("""
        async def program():
            try:
                yield 1
                await asyncio.Event().wait()
            finally:
                print("cleaned up", flush=True)
        events = stream(program)
        next(events)
        """)
    )
    assert done.stdout == "cleaned up\n"
    assert done.stderr == ""


WAITS = {
    "next": "lambda: list(events)",
    "result": "events.result",
    "run": "lambda: crossing.run(lambda: asyncio.sleep(1000), instead='await')",
    "async for": "lambda: asyncio.run(AsyncEventStream(events).next(None))",
}


@pytest.mark.parametrize("how", list(WAITS))
def test_a_thread_that_waits_for_nothing_is_let_go_when_the_main_thread_has_ended(how: str) -> None:
    done = run_script(
        PRELUDE
        + textwrap.dedent(f"""
        waiting.EXIT_PATIENCE = 0.5
        waiting.SLICE = 0.1
        events = stream(Silent())
        def wait():
            try:
                ({WAITS[how]})()
            except StreamTimeout as error:
                print(error.which, flush=True)
        threading.Thread(target=wait).start()
        """),
        seconds=10,
    )
    assert done.stdout == "exit\n"
    assert done.stderr == ""


def test_a_thread_that_reads_a_healthy_stream_reads_on_after_the_main_thread_has_ended() -> None:
    done = run_script(
        PRELUDE
        + textwrap.dedent("""
        waiting.EXIT_PATIENCE = 1.0
        waiting.SLICE = 0.1
        async def program():
            for i in range(8):
                await asyncio.sleep(0.25)
                yield i
        events = stream(program)
        threading.Thread(target=lambda: print(list(events), events.outcome)).start()
        """)
    )
    assert done.stdout == "[0, 1, 2, 3, 4, 5, 6, 7] completed\n"
    assert done.stderr == ""


def test_a_call_after_the_end_is_an_error_and_no_hang() -> None:
    done = run_script(
        PRELUDE
        + textwrap.dedent("""
        def late():
            try:
                print(list(stream(count)))
            except (LoopDied, RuntimeError) as error:
                print("refused")
        atexit.register(late)  # runs before or after ours
        list(stream(count))
        import lmstream_sync.runtime.loop as loop
        atexit.unregister(loop._stop_at_exit)
        atexit.register(loop._stop_at_exit)
        """)
    )
    assert done.stdout in ("refused\n", f"{list(range(10))}\n")


def interrupted(source: str, number: int = signal.SIGINT) -> subprocess.CompletedProcess[str]:
    """Run a program and send it a signal once it has said `ready` and its main thread waits."""
    with subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(source)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=script_environment(),
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        try:
            out, err = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess([], process.returncode, out, err)


SAY_READY = """
program = Silent(1)
events = stream(program)
def say_ready():
    wait_until_waiting(events)
    print("ready", flush=True)
next(events)
threading.Thread(target=say_ready, daemon=True).start()
"""


def test_ctrl_c_ends_a_wait_in_next_and_stops_the_program() -> None:
    done = interrupted(
        SAY_READY
        + textwrap.dedent("""
        try:
            with events:
                next(events)
        except KeyboardInterrupt:
            print("interrupted", program.stopped.wait(5), events.outcome)
        print(list(stream(count)))
        """)
    )
    assert done.stdout == f"interrupted True left\n{list(range(10))}\n"
    assert done.stderr == ""


def test_a_stream_may_be_read_on_after_ctrl_c() -> None:
    done = interrupted(
        SAY_READY
        + textwrap.dedent("""
        try:
            next(events)
        except KeyboardInterrupt:
            pass
        try:
            events.peek(timeout=0.05)
        except StreamTimeout:
            print("still there")
        """)
    )
    assert done.stdout == "still there\n"
    assert done.stderr == ""


def test_ctrl_c_that_nobody_catches_ends_the_interpreter() -> None:
    done = interrupted(SAY_READY + "list(events)")
    assert done.returncode in (-signal.SIGINT, 130)
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert "Exception ignored" not in done.stderr


def test_system_exit_raised_in_a_signal_handler_ends_a_wait() -> None:
    done = interrupted(
        "def leave(*_):\n    sys.exit(7)\nsignal.signal(signal.SIGTERM, leave)\n" + SAY_READY + "list(events)",
        signal.SIGTERM,
    )
    assert done.returncode == 7
    assert done.stderr == ""
