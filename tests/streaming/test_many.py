"""Many streams at once, contexts, and what is left behind."""

from __future__ import annotations

import contextvars
import gc
import os
import threading
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.runtime.register import running_calls
from lmstream_sync.runtime.threads import worker_count
from lmstream_sync.testing import Reply

from .replies import chat


def echo(request: dict[str, Any]) -> Reply:
    """Answers with what was asked, in small pieces."""
    asked = request["messages"][-1]["content"].split("<q>")[1].split("</q>")[0]
    return Reply(chat(answer=f"answer to {asked}"), cut=3)


class Worker(lms.Module):
    def __init__(self) -> None:
        self.ask = lms.Predict("q -> answer")

    def forward(self, q: str) -> lms.Prediction:
        return self.ask(q=q)


def read_all(program: Any, n: int, **context: Any) -> dict[int, tuple[str, str]]:
    """Read n streams in n threads at once: number → streamed text, final text."""
    lm = lms.settings.lm
    barrier = threading.Barrier(n)
    got: dict[int, tuple[str, str]] = {}

    def read(i: int) -> None:
        with lms.context(lm=lm):
            barrier.wait()
            stream = program(q=f"<q>{i}</q>")
            text = "".join(e.chunk for e in stream if isinstance(e, lms.StreamResponse))
            got[i] = (text, stream.result().answer)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    return got


@pytest.mark.parametrize("module", [lambda: lms.Predict("q -> answer"), Worker], ids=["on the loop", "in a worker"])
@pytest.mark.parametrize("n", [8, 9, 20, 100])
def test_streams_of_one_streamified_object_all_finish_and_never_mix(serve: Any, module: Any, n: int) -> None:
    serve(echo)
    program = lms.streamify(module(), stream_listeners=[lms.StreamListener("answer")])
    got = read_all(program, n)
    assert got == {i: (f"answer to {i}", f"answer to {i}") for i in range(n)}


request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="none")


@pytest.mark.parametrize("kind", ["worker", "loop"])
def test_contextvars_and_settings_hold_as_they_were_at_the_call(kind: str) -> None:
    go_on = threading.Event()

    def sync() -> tuple[str, str]:
        go_on.wait(10)
        return request_id.get(), lms.settings.flavour

    async def asynchronous() -> tuple[str, str]:
        import asyncio

        while not go_on.is_set():
            await asyncio.sleep(0.001)
        return request_id.get(), lms.settings.flavour

    program = lms.streamify(sync if kind == "worker" else asynchronous)
    token = request_id.set("at the call")
    with lms.context(flavour="salt"):
        stream = program()
    request_id.reset(token)
    with lms.context(flavour="sugar"):
        go_on.set()
        assert stream.result() == ("at the call", "salt")


def test_the_program_starts_at_the_call_and_not_at_the_first_read() -> None:
    started = threading.Event()
    stream = lms.streamify(started.set)()
    assert started.wait(5)
    assert stream.result() is None


def test_a_stalled_reader_holds_at_most_queue_size_events() -> None:
    made = 0

    async def program() -> Any:
        nonlocal made
        for i in range(1000):
            made += 1
            yield i

    for size in (1, 2, 5, 32):
        made = 0
        stream = lms.streamify(program, queue_size=size)()
        next(stream)
        for _ in range(200):
            if made >= size:
                threading.Event().wait(0.001)
        assert made <= size + 2, size
        stream.close()


@pytest.mark.parametrize("queue_size", [0, -1, 1.5, True, "many"])
def test_a_queue_size_that_cannot_be_is_refused(queue_size: Any) -> None:
    with pytest.raises(lms.ConfigurationError, match="queue_size"):
        lms.streamify(lambda: 1, queue_size=queue_size)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.timeout(120)
def test_500_streams_in_a_row_leave_nothing_behind(serve: Any) -> None:
    serve(Reply(chat(answer="one two three four five"), cut=4))
    program = lms.streamify(Worker(), stream_listeners=[lms.StreamListener("answer")])
    for _ in range(10):
        program(q="warm").result()
    gc.collect()
    workers, threads, descriptors = worker_count(), threading.active_count(), open_descriptors()
    for i in range(500):
        if i % 5 == 0:
            for _ in program(q="left"):
                break
        else:
            program(q="read").result()
    gc.collect()
    assert threading.active_count() <= threads + 2
    assert open_descriptors() <= descriptors + 4
    for _ in range(500):
        if running_calls() == 0:
            break
        threading.Event().wait(0.01)
    assert running_calls() == 0
    assert worker_count() <= workers + 2
