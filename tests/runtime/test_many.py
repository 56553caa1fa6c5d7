"""Many calls at once, without a model: what is begun when, in what context, and what is let go of."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from lmstream_sync.errors import ConfigurationError, StreamError, StreamForked, StreamTimeout
from lmstream_sync.events import ManyResult
from lmstream_sync.runtime import fork
from lmstream_sync.runtime.call import Call, current_call
from lmstream_sync.runtime.many import ManyCalls
from lmstream_sync.runtime.timeout import Timeout


def many(inputs: Any, begin: Any, **options: Any) -> ManyCalls:
    given = {"concurrency": 4, "ordered": False, "limits": Timeout(), "name": "many", **options}
    return ManyCalls(inputs, begin, **given)


def gives(item: Any) -> Callable[[Call], Awaitable[Any]]:
    async def make(call: Call) -> Any:
        return item

    return make


def test_outcomes_are_pairs_with_names() -> None:
    (result,) = many(["x"], gives)
    assert result == (0, "x") == ManyResult(0, "x")
    assert (result.index, result.result) == (0, "x")


def test_each_call_is_one_of_its_own_and_a_child_of_the_whole() -> None:
    seen: list[Call | None] = []

    def begin(item: int) -> Callable[[Call], Awaitable[Any]]:
        async def make(call: Call) -> None:
            assert current_call.get() is call
            seen.append(call.parent)

        return make

    outcomes = many(range(3), begin)
    assert sorted(outcomes) == [(0, None), (1, None), (2, None)]
    assert set(seen) == {outcomes._call}


mood: contextvars.ContextVar[str] = contextvars.ContextVar("mood", default="none")


def test_an_input_is_understood_in_the_context_of_the_making_and_changes_no_others() -> None:
    def begin(item: int) -> Callable[[Call], Awaitable[Any]]:
        before = mood.get()
        mood.set(f"changed by {item}")

        async def make(call: Call) -> tuple[str, str]:
            return before, mood.get()

        return make

    token = mood.set("made here")
    outcomes = many(range(2), begin, ordered=True)
    mood.reset(token)
    assert [result for _, result in outcomes] == [("made here", f"changed by {n}") for n in range(2)]


def test_what_begin_raises_is_the_outcome_but_a_configuration_error_ends_all() -> None:
    def begin(item: int) -> Callable[[Call], Awaitable[Any]]:
        if item == 1:
            raise ValueError("not this one")
        if item == 3:
            raise ConfigurationError("none of them")
        return gives(item)

    outcomes = many(itertools.count(), begin, ordered=True)
    assert next(outcomes) == (0, 0)
    index, error = next(outcomes)
    assert index == 1 and isinstance(error, ValueError)
    assert next(outcomes) == (2, 2)
    with pytest.raises(ConfigurationError, match="none of them"):
        next(outcomes)


def test_an_outcome_does_not_keep_the_stream_alive(no_collector: None) -> None:
    def begin(item: int) -> Callable[[Call], Awaitable[Any]]:
        try:
            raise KeyError(item)
        except KeyError:
            raise ValueError(item) from None

    outcomes = many([1], begin)
    reference = weakref.ref(outcomes)
    _, error = next(outcomes)
    del outcomes
    assert reference() is None and isinstance(error, ValueError)


def test_inputs_that_broke_off_do_not_keep_the_stream_alive_while_calls_run(no_collector: None) -> None:
    cancelled = threading.Event()

    def begin(item: int) -> Callable[[Call], Awaitable[Any]]:
        async def make(call: Call) -> int:
            if item:
                try:
                    await asyncio.sleep(60)
                finally:
                    cancelled.set()
            return item

        return make

    def inputs() -> Iterator[int]:
        yield 0
        yield 1
        try:
            raise KeyError("first")
        except KeyError:
            raise OSError("broken")  # noqa: B904

    outcomes = many(inputs(), begin)
    assert next(outcomes) == (0, 0)
    with pytest.raises(StreamTimeout):
        outcomes.peek(timeout=0.05)
    del outcomes
    assert cancelled.wait(5)


def test_an_error_of_the_inputs_says_where_they_broke_off() -> None:
    def inputs() -> Iterator[int]:
        yield 0
        raise OSError("broken")

    outcomes = many(inputs(), gives)
    assert next(outcomes) == (0, 0)
    with pytest.raises(OSError, match="broken") as raised:
        next(outcomes)
    assert 'raise OSError("broken")' in str(raised.value.__cause__)


def test_inputs_are_let_go_of_at_close() -> None:
    class Inputs:
        def __iter__(self) -> Any:
            return itertools.count()

    closed = threading.Event()

    def generator() -> Any:
        try:
            yield from Inputs()
        finally:
            closed.set()

    outcomes = many(generator(), gives)
    next(outcomes)
    outcomes.close()
    assert closed.is_set()


def test_a_slot_is_free_again_after_a_deadline() -> None:
    def begin(item: int) -> Callable[[Call], Awaitable[Any]]:
        async def make(call: Call) -> int:
            if item % 2:
                await asyncio.sleep(60)
            return item

        return make

    outcomes = dict(many(range(6), begin, concurrency=1, limits=Timeout(total=0.05)))
    assert [outcomes[n] for n in (0, 2, 4)] == [0, 2, 4]
    assert all(isinstance(outcomes[n], StreamTimeout) for n in (1, 3, 5))


def test_in_a_forked_child_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def begin(item: int) -> Callable[[Call], Awaitable[Any]]:
        begun.append(item)
        return gives(item)

    outcomes = many(itertools.count(), begin)
    with monkeypatch.context() as forked:
        forked.setattr(fork, "generation", fork.generation + 1)
        with pytest.raises(StreamForked):
            next(outcomes)
    assert begun == []
    outcomes.close()


def test_two_threads_at_once_are_refused() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def inputs() -> Any:
        asked.set()
        go_on.wait(10)
        yield 1

    outcomes = many(inputs(), gives)
    reader = threading.Thread(target=lambda: next(outcomes))
    reader.start()
    assert asked.wait(5)
    with pytest.raises(StreamError, match="another thread"):
        next(outcomes)
    go_on.set()
    reader.join(5)


def test_inputs_that_read_their_own_results_are_an_error_and_no_deadlock() -> None:
    def inputs() -> Any:
        yield 1
        yield next(outcomes)

    outcomes = many(inputs(), gives)
    assert next(outcomes) == (0, 1)
    with pytest.raises(Exception, match="another thread or task is reading"):
        next(outcomes)
