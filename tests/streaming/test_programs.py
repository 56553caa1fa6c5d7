"""Every kind of program, and what it may do."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import lmstream_sync as lms

from .replies import chat


def answer_text(events: list[Any]) -> str:
    return "".join(e.chunk for e in events if isinstance(e, lms.StreamResponse))


class SyncForward(lms.Module):
    def __init__(self) -> None:
        self.ask = lms.Predict("q -> answer")

    def forward(self, q: str) -> lms.Prediction:
        assert threading.current_thread().name == "lmstream-worker"
        return self.ask(q=q)


class AsyncForward(lms.Module):
    def __init__(self) -> None:
        self.ask = lms.Predict("q -> answer")

    async def aforward(self, q: str) -> lms.Prediction:
        assert threading.current_thread().name == "lmstream-loop"
        return await self.ask.acall(q=q)


class OwnCall(lms.Module):
    def __init__(self) -> None:
        self.ask = lms.Predict("q -> answer")

    def __call__(self, q: str) -> lms.Prediction:
        return self.ask(q=q)


class OwnAcall(lms.Module):
    def __init__(self) -> None:
        self.ask = lms.Predict("q -> answer")

    async def acall(self, q: str) -> lms.Prediction:
        return await self.ask.acall(q=q)


class Outer(lms.Module):
    def __init__(self, inner: lms.Module) -> None:
        self.inner = inner

    def forward(self, q: str) -> lms.Prediction:
        return self.inner(q=q)


class AsyncOuter(Outer):
    async def aforward(self, q: str) -> lms.Prediction:
        return await self.inner.acall(q=q)


@pytest.mark.parametrize(
    "make",
    [
        SyncForward,
        AsyncForward,
        OwnCall,
        OwnAcall,
        lambda: Outer(SyncForward()),
        lambda: Outer(AsyncForward()),
        lambda: AsyncOuter(SyncForward()),
        lambda: AsyncOuter(AsyncForward()),
    ],
    ids=["forward", "aforward", "__call__", "acall", "sync>sync", "sync>async", "async>sync", "async>async"],
)
def test_a_module_may_override_any_of_the_four(serve: Any, make: Callable[[], lms.Module]) -> None:
    serve(chat(answer="yes"))
    program = lms.streamify(make(), stream_listeners=[lms.StreamListener("answer")])
    stream = program(q="?")
    assert answer_text(list(stream)) == "yes"
    assert stream.result().answer == "yes"


def test_is_async_program_runs_acall(serve: Any) -> None:
    serve(chat(answer="yes"))
    program = lms.streamify(AsyncForward(), stream_listeners=[lms.StreamListener("answer")], is_async_program=True)
    assert answer_text(list(program(q="?"))) == "yes"


def test_positional_arguments_pass_through(serve: Any) -> None:
    serve(chat(answer="yes"))
    program = lms.streamify(SyncForward(), stream_listeners=[lms.StreamListener("answer")])
    assert answer_text(list(program("?"))) == "yes"


def generator(n: int) -> Iterator[int]:
    yield from range(n)
    return "returned"


def generator_of_prediction(n: int) -> Iterator[Any]:
    yield lms.Prediction(answer="not the last")
    yield from range(n)
    yield lms.Prediction(answer="last")


async def async_generator(n: int) -> AsyncIterator[Any]:
    for i in range(n):
        await asyncio.sleep(0)
        yield i
    yield lms.Prediction(answer="last")


async def coroutine(n: int) -> int:
    await asyncio.sleep(0)
    return n


class AsyncCallable:
    async def __call__(self, n: int) -> int:
        return n


def test_the_events_of_a_generator_come_as_they_are_and_its_return_value_last() -> None:
    stream = lms.streamify(generator)(3)
    assert list(stream) == [0, 1, 2, "returned"]
    assert stream.result() == "returned"


@pytest.mark.parametrize("program", [generator_of_prediction, async_generator])
def test_a_prediction_that_a_generator_yields_last_is_its_final_value(program: Any) -> None:
    stream = lms.streamify(program)(2)
    events = list(stream)
    assert [e for e in events if not isinstance(e, lms.Prediction)] == [0, 1]
    assert events[-1].answer == "last" and stream.result() is events[-1]


def failing_generator() -> Iterator[Any]:
    yield lms.Prediction(answer="before the error")
    raise KeyError("then")


async def failing_async_generator() -> AsyncIterator[Any]:
    yield lms.Prediction(answer="before the error")
    raise KeyError("then")


@pytest.mark.parametrize("program", [failing_generator, failing_async_generator])
def test_a_prediction_before_an_error_is_an_event_like_any_other(program: Any) -> None:
    stream = lms.streamify(program)()
    assert next(stream).answer == "before the error"
    with pytest.raises(KeyError):
        next(stream)
    assert stream.prediction is None


@pytest.mark.parametrize(
    ("program", "value"),
    [
        (coroutine, 5),
        (AsyncCallable(), 5),
        (functools.partial(coroutine), 5),
        (lambda n: n, 5),
        (lambda n: coroutine(n), 5),
    ],
    ids=["coroutine", "async __call__", "partial", "function", "function giving a coroutine"],
)
def test_a_function_of_any_kind_is_a_program(program: Any, value: int) -> None:
    assert lms.streamify(program)(5).result() == value


def test_a_function_that_gives_a_generator_is_one() -> None:
    assert list(lms.streamify(lambda n: generator(n))(2)) == [0, 1, "returned"]
    assert list(lms.streamify(lambda n: async_generator(n))(2))[:2] == [0, 1]


def test_a_generator_is_closed_when_the_reader_leaves() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    for _ in lms.streamify(endless)():
        break
    assert closed.wait(5)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(lms.ConfigurationError, match="cannot be streamed"):
        lms.streamify(42)
    with pytest.raises(lms.ConfigurationError, match=r"lms\.Predict"):
        lms.streamify(lms.Signature("q -> answer"))
    with pytest.raises(lms.ConfigurationError, match="class"):
        lms.streamify(SyncForward)


def test_a_blocking_call_on_the_loop_names_the_form_that_awaits(serve: Any) -> None:
    serve(chat(answer="yes"))

    class Blocks(AsyncForward):
        async def aforward(self, q: str) -> lms.Prediction:
            return self.ask(q=q)

    with pytest.raises(lms.StreamError, match="await .*acall"):
        list(lms.streamify(Blocks(), stream_listeners=[lms.StreamListener("answer")])(q="?"))


def test_reading_a_stream_with_next_on_the_loop_names_async_for(serve: Any) -> None:
    async def outer() -> None:
        next(lms.streamify(generator)(3))

    with pytest.raises(lms.StreamError, match="async for"):
        lms.streamify(outer)().result()


def test_a_stream_inside_a_program_is_a_stream_of_its_own(serve: Any) -> None:
    serve(chat(answer="inner"))
    inner = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])

    def outer(q: str) -> str:
        text = ""
        for event in inner(q=q):
            if isinstance(event, lms.StreamResponse):
                text += event.chunk
        return text

    assert list(lms.streamify(outer)("?")) == ["inner"]


def test_a_stream_inside_a_program_is_stopped_with_it(serve: Any) -> None:
    from lmstream_sync.testing import Reply

    server = serve(Reply(chat(answer="word " * 500), cut=5, delay=0.005))
    inner = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])
    ended = threading.Event()

    def outer(q: str) -> Iterator[Any]:
        try:
            yield from inner(q=q)
        finally:
            ended.set()

    stream = lms.streamify(outer)("?")
    next(stream)
    stream.close()
    assert ended.wait(5)
    server.wait_for_reader_left(1, timeout=5)
