"""What is decided before a framework is asked: options, headers, what takes no stream."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.streaming.stream import AsyncStream
from lmstream_sync.testing import Gate, Reply, stream_of
from lmstream_sync.web.body import AsyncBody, Body
from lmstream_sync.web.response import (
    Answer,
    Asked,
    Options,
    answer_without_stream,
    aopen_response,
    open_response,
    options_for,
    source_of,
)

from ..streaming.replies import chat


def opened(stream: lms.Stream, asked: Asked, options: Options) -> Answer:
    return open_response(stream, asked, options)


def opened_on_a_loop(stream: lms.Stream, asked: Asked, options: Options) -> Answer:
    return asyncio.run(aopen_response(AsyncStream(stream), asked, options))


BOTH = pytest.mark.parametrize("opening", [opened, opened_on_a_loop])


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_leave": "go on"},
        {"heartbeat": 0},
        {"heartbeat": -1},
        {"heartbeat": "15"},
        {"heartbeat": True},
        {"heartbeat": float("nan")},
        {"wait_first": -1},
        {"wait_first": True},
        {"wait_first": None},
        {"wait_first": "10"},
        {"headers": {"X-A": "b\r\nSet-Cookie: c"}},
        {"headers": {"X-A\n": "b"}},
        {"headers": {"X A": "b"}},
        {"headers": {"": "b"}},
        {"headers": {"X-A": "b\0"}},
        {"headers": {"X-A": "€"}},
        {"headers": {"content-length": "3"}},
    ],
    ids=str,
)
def test_options_that_cannot_be_meant_are_refused(wrong: Any) -> None:
    with pytest.raises(lms.ConfigurationError):
        Options(**wrong)


def test_what_needs_no_stream() -> None:
    options = Options(format=("sse", "text"))
    assert answer_without_stream(Asked("GET"), options) is None
    assert answer_without_stream(Asked("POST", last_event_id="3"), options) is None
    again = answer_without_stream(Asked("GET", last_event_id="3"), options)
    assert again is not None and (again.status, again.content) == (204, b"")
    head = answer_without_stream(Asked("HEAD", accept="text/plain"), options)
    assert head is not None and head.status == 200 and head.headers["Content-Type"].startswith("text/plain")


@BOTH
def test_headers_of_a_stream(opening: Any) -> None:
    answer = opening(stream_of([]), Asked(), Options(headers={"x-accel-buffering": "yes", "X-Mine": "1"}))
    assert answer.headers == {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "yes",
        "X-Content-Type-Options": "nosniff",
        "X-Mine": "1",
    }


@BOTH
def test_the_headers_of_a_format_are_sent(opening: Any) -> None:
    answer = opening(stream_of([]), Asked(), Options(format="ai-sdk"))
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"


def test_what_is_no_stream_is_refused() -> None:
    for given in ("text", ["a"], type("It", (), {"stream": "text"})()):
        with pytest.raises(lms.ConfigurationError, match="give the Stream"):
            source_of(given)


def test_of_an_asynchronous_stream_the_one_beneath_is_sent() -> None:
    stream = stream_of(["a"])
    assert source_of(lms.AsyncStream(stream)) is source_of(stream) is stream


def test_wrong_options_close_the_stream() -> None:
    for wrong in ({"heartbeat": -1}, {"on_leave": "go"}, {"wait_first": "long"}):
        stream = stream_of(["a"])
        made = {"format": "sse", "headers": None, "heartbeat": 15, "wait_first": 10, "on_leave": "stop"} | wrong
        with pytest.raises(lms.ConfigurationError):
            options_for(stream, *made.values())
        assert stream.closed


def test_what_cannot_be_detached_is_refused_at_the_call() -> None:
    stream = lms.merge(one=stream_of(["a"]))
    with pytest.raises(lms.ConfigurationError, match="driven by its reader"):
        options_for(stream, "sse", None, 15, 10, "finish", False)
    assert stream.closed


@BOTH
def test_an_unknown_format_closes_the_stream(opening: Any) -> None:
    stream = stream_of(["a"])
    with pytest.raises(lms.ConfigurationError, match="format='sso'"):
        opening(stream, Asked(), Options(format="sso"))
    assert stream.closed


@BOTH
@pytest.mark.parametrize("asked", [Asked("HEAD"), Asked("GET", last_event_id="1")])
@pytest.mark.parametrize("on_leave", ["stop", "finish"])
def test_a_stream_that_is_not_sent_is_closed(opening: Any, asked: Asked, on_leave: Any) -> None:
    ended: list[Any] = []
    stream = stream_of(["a", "b"])
    stream.on_end(lambda each: ended.append(each.outcome))
    answer = opening(stream, asked, Options(on_leave=on_leave))
    assert answer.format is None
    assert (stream.closed, ended) == (True, ["left"])


@BOTH
def test_an_error_before_the_first_output_is_the_answer(opening: Any, caplog: Any) -> None:
    ended: list[Any] = []
    stream = stream_of([lms.StatusMessage("one moment")], lms.Busy("too many", retry_after=3))
    stream.on_end(lambda each: ended.append(each.outcome))
    answer = opening(stream, Asked(), Options())
    assert (answer.status, answer.headers["Retry-After"], answer.format) == (429, "3", None)
    assert ended == ["failed"]
    [record] = [each for each in caplog.records if each.name == "lmstream_sync.streaming"]
    assert "Busy: too many" in record.getMessage()


@BOTH
def test_a_program_that_ends_without_a_word_is_a_stream(opening: Any) -> None:
    assert opening(stream_of([]), Asked(), Options()).status == 200


@BOTH
def test_silence_is_no_error(opening: Any, model: Any) -> None:
    gate = Gate()
    model(Reply(chat(answer="yes"), pauses={0: gate}))
    with lms.stream(lms.Predict("q -> answer"), q="?") as stream:
        answer = opening(stream, Asked(), Options(wait_first=0))
        assert answer.format is not None and not stream.closed
        gate.release()
        assert stream.result().answer == "yes"


def test_a_deadline_of_the_program_is_504(model: Any) -> None:
    model(Reply(chat(answer="yes"), stall_after=0))
    stream = lms.streamify(lms.Predict("q -> answer"), timeout=lms.Timeout(first=0.05))(q="?")
    assert open_response(stream, Asked(), Options()).status == 504


def test_a_reader_that_is_interrupted_leaves_nothing_open(model: Any, monkeypatch: Any) -> None:
    server = model(Reply(chat(answer="yes"), stall_after=0))
    stream = lms.stream(lms.Predict("q -> answer"), q="?")

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        server.wait_for_stall()
        raise KeyboardInterrupt

    monkeypatch.setattr(stream, "peek", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_response(stream, Asked(), Options())
    server.wait_for_reader_left()


def test_a_stream_that_cannot_be_detached_is_closed_and_that_is_said() -> None:
    merged = lms.merge(a=stream_of(["a"]))
    body = Body(merged, opened(merged, Asked(), Options()).format, 15, "finish", False)  # type: ignore[arg-type]
    with pytest.raises(lms.StreamError, match="cannot be detached"):
        body.close()
    assert merged.closed


def test_the_same_on_a_loop() -> None:
    async def leave() -> None:
        merged = lms.merge(a=stream_of(["a"]))
        answer = await aopen_response(AsyncStream(merged), Asked(), Options())
        assert answer.format is not None
        body = AsyncBody(merged, answer.format, 15, "finish", False)
        with pytest.raises(lms.StreamError, match="cannot be detached"):
            await body.aclose()
        assert merged.closed

    asyncio.run(leave())


def test_a_body_ends_where_somebody_else_closed_the_stream() -> None:
    stream = stream_of(["a", "b"])
    body = Body(stream, opened(stream, Asked(), Options()).format, 15, "stop", False)  # type: ignore[arg-type]
    assert next(body)
    stream.close()
    assert list(body) == []


def test_a_reader_who_leaves_while_the_first_output_is_waited_for(model: Any) -> None:
    """Under ASGI the view's task is cancelled; with `on_leave="finish"` the program ends all the same."""
    for on_leave, outcome in (("finish", "completed"), ("stop", "left")):
        gate = Gate()
        model(Reply(chat(answer="at last"), pauses={0: gate}))
        stream = lms.stream(lms.Predict("question -> answer"), question="Why?")
        ended: list[str | None] = []
        told = threading.Event()
        stream.on_end(lambda s, ended=ended, told=told: (ended.append(s.outcome), told.set()))

        async def leave(stream: lms.Stream = stream, on_leave: Any = on_leave, gate: Gate = gate) -> None:
            waiting = asyncio.ensure_future(
                aopen_response(lms.AsyncStream(stream), Asked(), Options(on_leave=on_leave))
            )
            await asyncio.to_thread(gate.wait)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        asyncio.run(leave())
        gate.release()
        assert told.wait(10)
        assert ended == [outcome]
