"""Streams of a real program under fork, gevent, Ctrl-C and interpreter exit (law 6).

Each case is a script in a process of its own, against a server in another.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmstream_sync.testing import Reply, ServerProcess

from .replies import chat

ROOT = Path(__file__).parents[2]

# Python 3.12 and later warn of any fork in a process with threads.
QUIET_FORK = ("-W", "ignore:This process:DeprecationWarning")

HEAD = """
import sys, threading
import lmstream_sync as lms

def program(**options):
    lms.configure(lm=lms.LM("openai/x", api_base=sys.argv[1], api_key="sk-test", cache=False, **options))
    return lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])

def read(stream):
    return "".join(e.chunk for e in stream if isinstance(e, lms.StreamResponse))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """Answers slowly enough that several streams overlap."""
    with ServerProcess(Reply(chat(answer="one two three four five"), cut=4, delay=0.01)) as server:
        yield server


def run(script: str, url: str, *, head: str = HEAD, timeout: float = 50) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *QUIET_FORK, "-c", head + script, url],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def check(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, said, "")


def test_children_of_a_process_that_streamed_stream_too(server: ServerProcess) -> None:
    script = """
import os
answer = program()
print(read(answer(q="in the master")), flush=True)
held = answer(q="held over the fork")
next(held)
children = []
for i in range(3):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert read(answer(q=f"in child {i}")) == "one two three four five"
            try:
                list(held)
            except lms.StreamForked:
                code = 0
        finally:
            os._exit(code)
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
print(read(held)[-5:], flush=True)
"""
    check(run(script, server.url), "one two three four five\n[0, 0, 0]\n five")


def test_a_fork_in_the_middle_of_the_first_call_leaves_the_child_usable(server: ServerProcess) -> None:
    script = """
import os
answer = program()
stream = answer(q="litellm is being imported now")
child = os.fork()
if child == 0:
    code = 1
    try:
        code = 0 if read(answer(q="in the child")) == "one two three four five" else 2
    finally:
        os._exit(code)
print(read(stream), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    check(run(script, server.url), "one two three four five 0")


def test_forks_that_could_not_wait_for_the_first_import_leave_usable_children(server: ServerProcess) -> None:
    script = """
import os, faulthandler
from lmstream_sync.runtime import fork
fork.PATIENCE = 0.01  # so that each fork finds the import in another state
answer = program()
stream = answer(q="litellm is being imported now")
codes = []
for module in ["litellm", "litellm.utils", "litellm.llms", "litellm.main", "openai.types", "litellm.proxy"]:
    while module not in sys.modules and fork._imports: pass
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(40, exit=True)
        code = 1
        try:
            code = 0 if read(answer(q=f"in the child of {module}")) == "one two three four five" else 2
        finally:
            os._exit(code)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(read(stream), codes)
"""
    check(run(script, server.url), "one two three four five [0, 0, 0, 0, 0, 0]")


GEVENT_READ = """
answer = program()
import gevent
jobs = [gevent.spawn(lambda i=i: read(answer(q=str(i)))) for i in range(10)]
ticks = []
def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.005)
ticker = gevent.spawn(tick)
gevent.joinall(jobs, timeout=30, raise_error=True)
assert [job.value for job in jobs] == ["one two three four five"] * 10, [job.value for job in jobs]
assert len(ticks) > 5, "other greenlets stood still"
stream = answer(q="left")
next(stream)
stream.close()
print("ok", stream.outcome)
"""


def test_under_gevent_patched_first(server: ServerProcess) -> None:
    head = "from gevent import monkey; monkey.patch_all()\n" + HEAD
    check(run(GEVENT_READ, server.url, head=head), "ok left")


def test_under_gevent_patched_after_our_import_as_gunicorn_does(server: ServerProcess) -> None:
    head = HEAD + "\nlms.streamify, lms.LM, lms.Predict\nfrom gevent import monkey; monkey.patch_all()\n"
    check(run(GEVENT_READ, server.url, head=head), "ok left")


def test_under_gevent_a_synchronous_program_runs_too(server: ServerProcess) -> None:
    head = "from gevent import monkey; monkey.patch_all()\n" + HEAD
    script = """
program()
class Two(lms.Module):
    def __init__(self):
        self.ask = lms.Predict("q -> answer")
    def forward(self, q):
        lms.emit("first")
        self.ask(q=q)
        return self.ask(q=q)
answer = lms.streamify(Two(), stream_listeners=[lms.StreamListener("answer", allow_reuse=True)])
import gevent
jobs = [gevent.spawn(lambda: read(answer(q="x"))) for i in range(5)]
gevent.joinall(jobs, timeout=30, raise_error=True)
print({job.value for job in jobs})
"""
    check(run(script, server.url, head=head), str({"one two three four five" * 2}))


def test_the_first_calls_of_twenty_threads_at_once_share_one_start(server: ServerProcess) -> None:
    script = """
answer = program()
barrier = threading.Barrier(20)
said = []
def go():
    barrier.wait()
    said.append(read(answer(q="?")))
threads = [threading.Thread(target=go) for _ in range(20)]
for t in threads: t.start()
for t in threads: t.join()
print(len(said), set(said))
"""
    check(run(script, server.url), "20 {'one two three four five'}")


def test_ctrl_c_ends_a_waiting_read_and_the_stream() -> None:
    with ServerProcess(Reply(chat(answer="one two three"), cut=4, stall_after=6)) as server:
        script = """
stream = program()(q="?")
try:
    with stream:
        next(stream)
        print("reading", flush=True)
        for event in stream: pass
except KeyboardInterrupt:
    print("interrupted", stream.outcome)
"""
        process = subprocess.Popen(
            [sys.executable, *QUIET_FORK, "-c", HEAD + script, server.url],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted left\n"
        assert process.wait(20) == 0
        server.wait_for_reader_left(1, timeout=5)


def test_an_interpreter_ends_quietly_with_streams_open() -> None:
    with ServerProcess(Reply(chat(answer="word " * 1000), cut=4, delay=0.01)) as server:
        script = """
answer = program()
streams = [answer(q=str(i)) for i in range(5)]
for stream in streams: next(stream)
print("ends here")
"""
        check(run(script, server.url), "ends here")
        server.wait_for_reader_left(5, timeout=5)


def test_a_thread_that_still_reads_a_healthy_stream_reads_on_after_the_main_thread(server: ServerProcess) -> None:
    script = """
answer = program()
read(answer(q="so that nothing is left to be imported"))
threading.Thread(target=lambda: print(read(answer(q="?")))).start()
"""
    check(run(script, server.url), "one two three four five")


def test_warm_up_then_the_first_stream(server: ServerProcess) -> None:
    script = """
answer = program()
lms.warm_up()
assert "aiohttp" in sys.modules
print(read(answer(q="?")))
"""
    check(run(script, server.url), "one two three four five")


def test_streams_that_were_read_leave_nothing_for_the_collector() -> None:
    """Also those with more events than the queue takes, whose task waits for the reader."""
    script = """
import gc
answer = program()
assert len(list(answer(q="the first"))) > 50
gc.collect()
gc.disable()
for _ in range(20):
    list(answer(q="more"))
print(gc.collect())
"""
    with ServerProcess(Reply(chat(answer="word " * 100), cut=5)) as server:
        done = run(script, server.url)
    assert done.stderr == ""
    assert int(done.stdout) < 20, "objects in cycles, one for each stream at least"
