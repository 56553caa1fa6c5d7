"""Errors arrive where the reader is, after all events that came before them (law 7)."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import Reply

from .replies import chat


def listening(program: Any = None) -> Any:
    return lms.streamify(program or lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])


def read(stream: Any) -> tuple[list[Any], BaseException | None]:
    events: list[Any] = []
    try:
        for event in stream:
            events.append(event)
    except BaseException as error:
        return events, error
    return events, None


def test_no_lm_is_said_at_the_call() -> None:
    with pytest.raises(lms.ConfigurationError, match=r"lms\.configure\(lm="):
        listening()(q="?")


def test_missing_and_unknown_inputs_are_said_at_the_call(serve: Any) -> None:
    serve(chat(answer="yes"))
    with pytest.raises(lms.SignatureError, match="q"):
        listening()()
    with pytest.raises(lms.SignatureError, match="query"):
        listening()(q="?", query="?")
    with pytest.raises(lms.SignatureError):
        lms.streamify(lambda n: n)(1, 2)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, lms.AuthenticationError),
        (400, lms.BadRequestError),
        (404, lms.BadRequestError),
        (429, lms.RateLimitError),
        (500, lms.ServerError),
    ],
)
def test_a_refusal_of_the_provider_is_our_own_error(serve: Any, status: int, kind: type[lms.LMError]) -> None:
    serve(Reply(status=status), num_retries=0)
    events, error = read(listening()(q="?"))
    assert type(error) is kind and error.status_code == status
    assert not [e for e in events if isinstance(e, lms.StreamResponse)]


def test_an_unreachable_server_is_a_connection_error() -> None:
    lm = lms.LM("openai/x", api_base="http://127.0.0.1:9/v1", api_key="sk-test", num_retries=0, cache=False)
    with lms.context(lm=lm):
        _, error = read(listening()(q="?"))
    assert type(error) is lms.LMConnectionError


def test_a_reply_that_breaks_off_is_an_error_and_never_a_short_answer(serve: Any) -> None:
    serve(Reply(chat(answer="one two three four five six"), cut=6, drop_after=6), num_retries=0)
    stream = listening()(q="?")
    events, error = read(stream)
    text = "".join(e.chunk for e in events)
    assert isinstance(error, lms.LMInterrupted)
    assert text and "one two three four five six".startswith(text)
    assert not any(e.is_last_chunk for e in events)
    assert error.partial == stream.partial == {"answer": text}
    assert (stream.outcome, stream.error) == ("failed", error)


def test_a_reply_without_finish_reason_and_done_is_one_too(serve: Any) -> None:
    serve(Reply(chat(answer="one two three"), cut=6, finish_reason=None, done=False), num_retries=0)
    _, error = read(listening()(q="?"))
    assert isinstance(error, lms.LMInterrupted)


def test_a_reply_that_lacks_a_field_says_so_after_what_it_had(serve: Any) -> None:
    serve(chat(answer="yes"))
    events, error = read(listening(lms.Predict("q -> answer, score: float"))(q="?"))
    assert "".join(e.chunk for e in events) == "yes"
    assert isinstance(error, lms.AdapterParseError)
    assert "score" in str(error) and error.lm_response == chat(answer="yes")


class Boom(Exception):
    pass


def test_a_programs_own_exception_comes_as_it_is_after_its_events() -> None:
    boom = Boom("own")

    def program() -> Iterator[int]:
        yield 1
        raise boom

    stream = lms.streamify(program)()
    events, error = read(stream)
    assert events == [1] and error is boom
    assert list(stream) == []
    for _ in range(2):
        with pytest.raises(Boom):
            stream.result()


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_stop_iteration_of_a_program_is_a_runtime_error_with_the_cause(kind: type[Exception]) -> None:
    def sync() -> None:
        raise kind("from a program")

    async def asynchronous() -> None:
        raise kind("from a program")

    for program in (sync, asynchronous):
        _, error = read(lms.streamify(program)())
        assert type(error) is RuntimeError and type(error.__cause__) is kind


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_would_end_an_interpreter_reaches_its_own_reader_only(kind: type[BaseException]) -> None:
    def sync() -> None:
        raise kind("from a program")

    async def asynchronous() -> None:
        raise kind("from a program")

    other = lms.streamify(range_program)(1000)
    next(other)
    for program in (sync, asynchronous):
        _, error = read(lms.streamify(program)())
        assert type(error) is kind
    assert len(list(other)) == 999


def range_program(n: int) -> Iterator[int]:
    yield from range(n)


def test_no_key_is_shown_though_the_provider_echoes_it(serve: Any) -> None:
    key = "sk-verysecretkey1234567890"
    serve(Reply(status=401, body={"error": {"message": f"Incorrect API key provided: {key}"}}), api_key=key)
    stream = listening()(q="?")
    _, error = read(stream)
    assert isinstance(error, lms.AuthenticationError)
    shown = []
    one: BaseException | None = error
    while one is not None:
        shown += [str(one), repr(one), repr(vars(one))]
        shown += traceback.format_exception(one)
        for frame, _ in traceback.walk_tb(one.__traceback__):
            shown.append(repr({name: value for name, value in frame.f_locals.items() if name not in ("key", "shown")}))
        one = one.__cause__ or one.__context__
    ours = [text for text in shown if key in text and "test_errors" not in text]
    assert not ours
    assert key not in lms.streaming_response(stream).__next__()
