"""`stream_of` is a real stream, with no model behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import read_sse, stream_of

CHUNKS = [lms.StreamResponse("self", "answer", "4", False), lms.StreamResponse("self", "answer", "2", True)]


def test_it_gives_the_events_and_the_final_value() -> None:
    final = lms.Prediction(answer="42")
    with stream_of([lms.StatusMessage("thinking"), *CHUNKS, final]) as stream:
        assert isinstance(stream, lms.Stream)
        assert list(stream) == [lms.StatusMessage("thinking"), *CHUNKS, final]
        assert stream.result() is final is stream.prediction
    assert stream.outcome == "completed"


def test_the_error_comes_after_them() -> None:
    error = lms.RateLimitError("slow down", status_code=429)
    stream = stream_of(CHUNKS, error)
    assert [next(stream), next(stream)] == CHUNKS
    with pytest.raises(lms.RateLimitError) as raised:
        next(stream)
    assert raised.value is error
    assert raised.value.partial == stream.partial == {"answer": "42"}


def test_an_error_alone_can_be_peeked_at() -> None:
    stream = stream_of([], lms.AuthenticationError("no", status_code=401))
    with pytest.raises(lms.AuthenticationError):
        stream.peek()


def test_views_and_encoders_read_it() -> None:
    assert list(stream_of(CHUNKS).text("answer")) == ["4", "2"]
    events = read_sse(lms.streaming_response(stream_of([*CHUNKS, lms.Prediction(answer="42")])))
    assert [event.get("chunk", event).get("chunk") for event in events] == ["4", "2", None]
    assert events[-1] == {"prediction": {"answer": "42"}}


def test_events_may_wait_for_something() -> None:
    go_on = threading.Event()

    def events() -> Iterator[lms.StreamResponse]:
        yield CHUNKS[0]
        assert go_on.wait(10)
        yield CHUNKS[1]

    stream = stream_of(events())
    assert next(stream) == CHUNKS[0]
    go_on.set()
    assert list(stream) == CHUNKS[1:]
