"""A reader that goes away stops the work (law 4), as the server sees it."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import Gate, Reply

from .replies import chat

ENDLESS = chat(answer="word " * 2000)


@pytest.fixture
def endless(serve: Any) -> Any:
    """A server that writes slowly and without end, and a program that listens."""
    server = serve(Reply(ENDLESS, cut=5, delay=0.005))
    program = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])
    return server, program


def left(server: Any) -> bool:
    server.wait_for_reader_left(1, timeout=5)
    return bool(server.open_streams == 0)


def test_break_closes_the_providers_connection(endless: Any, no_collector: None) -> None:
    server, program = endless
    for event in program(q="?"):
        assert isinstance(event, lms.StreamResponse)
        break
    assert left(server)
    assert server.pieces_sent < 1000


def test_an_exception_in_the_loop_body_does(endless: Any, no_collector: None) -> None:
    server, program = endless

    def read() -> None:
        for _ in program(q="?"):
            raise KeyError("in the body")

    with pytest.raises(KeyError):
        read()
    assert left(server)


def test_close_does_and_the_next_read_says_closed(endless: Any) -> None:
    server, program = endless
    stream = program(q="?")
    next(stream)
    stream.close()
    assert left(server)
    with pytest.raises(lms.StreamClosed):
        next(stream)
    with pytest.raises(lms.StreamClosed):
        stream.result()
    assert stream.outcome == "left" and stream.closed


def test_leaving_the_with_block_does(endless: Any) -> None:
    server, program = endless
    with program(q="?") as stream:
        next(stream)
    assert left(server)


def test_close_before_the_first_read_does(endless: Any) -> None:
    server, program = endless
    stream = program(q="?")
    server.wait_for_request(1, timeout=5)
    stream.close()
    assert left(server)


@pytest.mark.parametrize("view", ["text", "snapshots", "sse"])
def test_closing_a_view_does_before_its_first_item(endless: Any, view: str) -> None:
    server, program = endless
    stream = program(q="?")
    server.wait_for_request(1, timeout=5)
    views: dict[str, Any] = {
        "text": stream.text,
        "snapshots": stream.snapshots,
        "sse": lambda: lms.streaming_response(stream),
    }
    views[view]().close()
    assert left(server)


def test_dropping_a_view_does(endless: Any, no_collector: None) -> None:
    server, program = endless
    for text in program(q="?").text():
        assert text
        break
    assert left(server)


def test_a_garbage_cycle_is_stopped_by_the_collector(endless: Any) -> None:
    server, program = endless
    stream = program(q="?")
    next(stream)
    stream.me = stream
    del stream
    gc.collect()
    assert left(server)


def test_close_from_another_thread_ends_a_read_that_waits(serve: Any) -> None:
    server = serve(Reply(chat(answer="a" * 50), cut=5, stall_after=2))
    program = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])
    stream = program(q="?")
    raised: list[BaseException] = []

    def read() -> None:
        try:
            for _ in stream:
                pass
        except BaseException as error:
            raised.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    server.wait_for_request(1, timeout=5)
    stream.close()
    reader.join(5)
    assert [type(e) for e in raised] == [lms.StreamClosed]
    assert left(server)


class Stubborn(lms.Module):
    """A program that says `except Exception` round everything."""

    def __init__(self) -> None:
        self.ask = lms.Predict("q -> answer")
        self.steps = 0
        self.ended = threading.Event()

    def forward(self, q: str) -> lms.Prediction:
        try:
            while True:
                try:
                    self.steps += 1
                    self.ask(q=q)
                except Exception:
                    pass
        finally:
            self.ended.set()


def test_a_worker_stops_at_its_next_model_call_also_within_except_exception(serve: Any) -> None:
    server = serve(Reply(chat(answer="yes"), delay=0.01))
    module = Stubborn()
    stream = lms.streamify(module, stream_listeners=[lms.StreamListener("answer", allow_reuse=True)])(q="?")
    next(stream)
    stream.close()
    assert module.ended.wait(5)
    asked = server.request_count
    assert module.steps <= asked + 1


def test_a_cached_model_call_is_a_model_call_too(serve: Any) -> None:
    serve(chat(answer="yes"), cache=True)
    module = Stubborn()
    stream = lms.streamify(module, stream_listeners=[lms.StreamListener("answer", allow_reuse=True)])(q="cached")
    next(stream)
    stream.close()
    assert module.ended.wait(5)


def test_cancel_by_id_reaches_the_reader_after_what_was_queued(endless: Any) -> None:
    server, program = endless
    stream = program(q="?")
    next(stream)
    assert lms.cancel(stream.id) is True
    with pytest.raises(lms.StreamCancelled):
        for _ in stream:
            pass
    assert stream.outcome == "cancelled"
    assert left(server)
    assert lms.cancel(stream.id) is False
    assert lms.cancel("unknown") is False


def test_what_was_read_is_kept_for_whoever_saves_it(endless: Any) -> None:
    _, program = endless
    saved: list[tuple[str, str]] = []
    with program(q="?") as stream:
        stream.on_end(lambda s: saved.append((s.partial["answer"], s.outcome)))
        got = next(stream).chunk + next(stream).chunk
    assert saved == [(got, "left")]


def test_on_end_comes_in_a_worker_when_the_last_reference_went(endless: Any, no_collector: None) -> None:
    _, program = endless
    called = threading.Event()
    seen: list[Any] = []

    def save(stream: lms.Stream) -> None:
        seen.append((stream.partial["answer"], stream.outcome, threading.current_thread()))
        called.set()

    stream = program(q="?")
    stream.on_end(save)
    got = next(stream).chunk
    del stream
    assert called.wait(5)
    ((text, outcome, thread),) = seen
    assert (text, outcome) == (got, "left")
    assert thread is not threading.current_thread() and thread.name == "lmstream-worker"


@pytest.mark.parametrize("where", ["worker", "loop"])
def test_an_emit_that_waits_for_room_is_not_ended_by_an_exception_that_a_program_may_swallow(where: str) -> None:
    ended, swallowed = threading.Event(), []

    def worker() -> None:
        try:
            while True:
                try:
                    lms.emit("word")
                except Exception as error:
                    swallowed.append(error)
        finally:
            ended.set()

    async def loop() -> None:
        try:
            while True:
                try:
                    await lms.aemit("word")
                except Exception as error:
                    swallowed.append(error)
        finally:
            ended.set()

    for _ in range(50):
        ended.clear()
        stream = lms.streamify(worker if where == "worker" else loop, queue_size=2)()
        next(stream)
        stream.close()
        assert ended.wait(5)
    assert swallowed == []


def test_detached_the_program_ends_and_its_answer_is_there_to_save(serve: Any) -> None:
    gate = Gate()
    serve(Reply(chat(answer="one two three four"), cut=4, pauses={5: gate}))
    saved: list[Any] = []
    done = threading.Event()

    def save(stream: lms.Stream) -> None:
        saved.append((stream.partial, stream.outcome, stream.prediction))
        done.set()

    program = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])
    stream = program(q="?")
    stream.on_end(save)
    gate.wait()
    stream.detach()
    del stream
    gate.release()
    assert done.wait(10)
    ((partial, outcome, prediction),) = saved
    assert (partial, outcome) == ({"answer": "one two three four"}, "completed")
    assert prediction.answer == "one two three four"


def test_what_its_reader_drives_cannot_be_detached(serve: Any) -> None:
    serve(chat(answer="yes"))
    for driven in (
        lms.run_many(lms.Predict("q -> answer"), [{"q": "?"}]),
        lms.merge(one=lms.stream(lms.Predict("q -> answer"), q="?")),
    ):
        with driven, pytest.raises(lms.StreamError, match="driven by its reader"):
            driven.detach()
