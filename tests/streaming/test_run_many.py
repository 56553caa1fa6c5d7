"""One program over many inputs, so many at a time."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.runtime import threads
from lmstream_sync.runtime.register import running_calls
from lmstream_sync.streaming import run_many
from lmstream_sync.testing import Gate, Reply

from .replies import chat

QA = "q -> answer"


def echo(request: dict[str, Any]) -> Reply:
    """Answers with what was asked."""
    asked = request["messages"][-1]["content"].split("<q>")[1].split("</q>")[0]
    return Reply(chat(answer=f"answer to {asked}"))


def rows(n: int) -> list[dict[str, str]]:
    return [{"q": f"<q>{i}</q>"} for i in range(n)]


def busy_workers() -> int:
    """How many worker threads have something to do."""
    pool = threads._pool
    return pool.count - len(pool._idle)


class Gauge:
    """How many calls of a program run at once, and how many did at most."""

    def __init__(self) -> None:
        self.now = self.most = self.begun = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.begun += 1
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self.now -= 1


class Counted:
    """Inputs that count how many of them were pulled, and in which thread."""

    def __init__(self, numbers: Any) -> None:
        self._numbers = iter(numbers)
        self.pulled = 0
        self.threads: set[threading.Thread] = set()

    def __iter__(self) -> Iterator[tuple[int]]:
        return self

    def __next__(self) -> tuple[int]:
        number = next(self._numbers)
        self.pulled += 1
        self.threads.add(threading.current_thread())
        return (number,)


async def double(n: int) -> int:
    return 2 * n


# What comes.


@pytest.mark.slow
def test_a_thousand_inputs_never_have_more_than_50_requests_open_at_the_server(serve: Any) -> None:
    open_at_once = []

    def reply(request: dict[str, Any]) -> Reply:
        open_at_once.append(server.open_streams)
        return replace(echo(request), pauses={0: 0.02})

    server = serve(reply)
    got = {index: result.answer for index, result in run_many(lms.Predict(QA), rows(1000), concurrency=50)}
    assert got == {i: f"answer to {i}" for i in range(1000)}
    assert 10 < max(open_at_once) <= 50


def test_fifty_calls_under_way_take_no_thread(serve: Any) -> None:
    server = serve(Reply(chat(answer="late"), stall_after=1))
    results = run_many(lms.Predict(QA), rows(60), concurrency=50)
    with pytest.raises(lms.StreamTimeout):
        results.peek(timeout=0.01)
    server.wait_for_stall(50, timeout=20)
    while busy_workers():  # one may still be on its way to rest; ends by the test's time-out
        threading.Event().wait(0.001)
    assert server.request_count == 50
    server.release()
    assert len(list(results)) == 60


def test_results_come_as_they_finish(serve: Any) -> None:
    slow = Gate()
    serve({"first": Reply(chat(answer="late"), pauses={0: slow}), "second": chat(answer="early")})
    results = run_many(lms.Predict(QA), [{"q": "first"}, {"q": "second"}])
    index, result = next(results)
    assert (index, result.answer) == (1, "early")
    slow.release()
    assert [(index, result.answer) for index, result in results] == [(0, "late")]


def test_ordered_gives_them_in_the_order_of_the_inputs(serve: Any) -> None:
    slow = Gate()
    serve({"first": Reply(chat(answer="late"), pauses={0: slow}), "": chat(answer="early")})
    results = run_many(lms.Predict(QA), [{"q": "first"}, {"q": "second"}, {"q": "third"}], ordered=True)
    with pytest.raises(lms.StreamTimeout):
        results.peek(timeout=0.05)
    slow.release()
    assert [(index, result.answer) for index, result in results] == [(0, "late"), (1, "early"), (2, "early")]


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("kind", ["on the loop", "in workers"])
def test_no_more_than_concurrency_run_at_once(kind: str, ordered: bool) -> None:
    gauge = Gauge()

    async def asynchronous(n: int) -> int:
        with gauge:
            await asyncio.sleep(0.001 * (n % 5))
            return n

    def synchronous(n: int) -> int:
        with gauge:
            threading.Event().wait(0.001 * (n % 5))
            return n

    program = asynchronous if kind == "on the loop" else synchronous
    got = list(run_many(program, ((n,) for n in range(200)), concurrency=7, ordered=ordered))
    assert sorted(got) == [(n, n) for n in range(200)] and (not ordered or got == sorted(got))
    assert gauge.most <= 7


@pytest.mark.parametrize(("ordered", "ahead"), [(False, 5), (True, 10)])
def test_endless_inputs_are_pulled_in_the_readers_thread_as_there_is_room(ordered: bool, ahead: int) -> None:
    inputs = Counted(itertools.count())
    results = run_many(double, inputs, concurrency=5, ordered=ordered)
    assert inputs.pulled == 0
    for given, (index, result) in enumerate(itertools.islice(results, 100), 1):
        assert result == 2 * index
        assert inputs.pulled <= given + ahead
    assert inputs.threads == {threading.current_thread()}
    pulled = inputs.pulled
    results.close()
    assert inputs.pulled == pulled


def test_ordered_does_not_run_ahead_of_one_that_takes_long() -> None:
    go_on, gauge = threading.Event(), Gauge()

    async def program(n: int) -> int:
        with gauge:
            while n == 0 and not go_on.is_set():
                await asyncio.sleep(0.001)
            return n

    inputs = Counted(range(1000))
    results = run_many(program, inputs, concurrency=5, ordered=True)
    with pytest.raises(lms.StreamTimeout):
        results.peek(timeout=0.2)
    assert inputs.pulled == 10 == gauge.begun
    go_on.set()
    assert [index for index, _ in results] == list(range(1000))


def test_inputs_may_be_dicts_examples_and_tuples(serve: Any) -> None:
    serve(echo)
    labelled = lms.Example(q="<q>c</q>", answer="the label").with_inputs("q")
    inputs = [{"q": "<q>a</q>"}, lms.Example(q="<q>b</q>"), labelled]
    got = dict(run_many(lms.Predict(QA), inputs))
    assert [got[i].answer for i in range(3)] == ["answer to a", "answer to b", "answer to c"]
    assert dict(run_many(lambda a, b=0: a - b, [(5, 3), {"a": 1, "b": 1}, (2,)])) == {0: 2, 1: 0, 2: 2}


def test_a_model_is_a_program(serve: Any) -> None:
    serve({"one": "1", "two": "2"})
    got = dict(run_many(lms.settings.lm, [("one",), {"prompt": "two"}]))
    assert got == {0: ["1"], 1: ["2"]}


def test_a_synchronous_program_meets_the_loop(serve: Any) -> None:
    serve(echo)

    class Twice(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict(QA)

        def forward(self, q: str) -> str:
            return self.ask(q=q).answer + self.ask(q=q).answer

    got = dict(run_many(Twice(), rows(20), concurrency=4))
    assert got == {i: f"answer to {i}answer to {i}" for i in range(20)}


def test_usage_is_that_of_all_calls(serve: Any) -> None:
    serve(echo)
    results = run_many(lms.Predict(QA), rows(5))
    assert results.result() is None
    ((model, counts),) = results.usage.items()
    assert model == "openai/scripted" and counts["total_tokens"] > 0
    one = run_many(lms.Predict(QA), rows(1))
    one.result()
    assert counts["completion_tokens"] == 5 * one.usage[model]["completion_tokens"]
    assert results.outcome == "completed" and results.prediction is None and results.partial == {}


request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="none")


@pytest.mark.parametrize("kind", ["worker", "loop"])
def test_contexts_hold_as_they_were_at_the_call(kind: str) -> None:
    def sync(n: int) -> tuple[str, str]:
        return request_id.get(), lms.settings.flavour

    async def asynchronous(n: int) -> tuple[str, str]:
        return request_id.get(), lms.settings.flavour

    token = request_id.set("at the call")
    with lms.context(flavour="salt"):
        results = run_many(sync if kind == "worker" else asynchronous, [(1,), (2,)])
    request_id.reset(token)
    with lms.context(flavour="sugar"):
        assert dict(results) == {0: ("at the call", "salt"), 1: ("at the call", "salt")}


def test_time_limits_are_those_of_each_call() -> None:
    async def program(n: int) -> int:
        await asyncio.sleep(60 if n == 3 else 0.02)
        return n

    with lms.context(timeout=0.3):
        results = run_many(program, ((n,) for n in range(40)), concurrency=2)
    got = dict(results)  # 40 inputs of 0.02 s, two at a time, take longer than 0.3 s
    assert isinstance(got.pop(3), lms.StreamTimeout)
    assert got == {n: n for n in range(40) if n != 3}


def test_what_calls_emit_goes_to_the_stream_they_are_made_in() -> None:
    async def part(n: int) -> int:
        await lms.aemit(f"part {n}")
        return n

    def program() -> int:
        return sum(result for _, result in run_many(part, [(1,), (2,)]))

    stream = lms.streamify(program)()
    assert sorted(map(str, stream)) == ["3", "part 1", "part 2"]
    assert dict(run_many(part, [(1,)])) == {0: 1}


# Errors.


def test_an_error_is_the_result_of_its_input_and_the_others_go_on(serve: Any) -> None:
    serve({"bad": Reply(status=400, body="no: sk-secret1234"), "": chat(answer="good")}, api_key="sk-secret1234")
    got = dict(run_many(lms.Predict(QA), [{"q": "fine"}, {"q": "bad"}, {"q": "fine too"}]))
    assert got[0].answer == got[2].answer == "good"
    assert isinstance(got[1], lms.BadRequestError)
    assert "secret1234" not in f"{got[1]} {got[1].__cause__} {got[1].__context__}"


def test_an_input_that_does_not_fit_the_program_is_its_own_error(serve: Any) -> None:
    serve(echo)
    got = dict(run_many(lms.Predict(QA), [{"question": "?"}, *rows(1), {}], ordered=True))
    assert isinstance(got[0], lms.SignatureError) and isinstance(got[2], lms.SignatureError)
    assert got[1].answer == "answer to 0"


def test_inputs_that_break_off_are_an_error_after_the_results_before() -> None:
    def inputs() -> Iterator[tuple[int]]:
        for n in range(10):
            yield (n,)
        raise OSError("the file ends here")

    results = run_many(double, inputs(), concurrency=3)
    got = []
    with pytest.raises(OSError, match="ends here"):
        for each in results:
            got.append(each)
    assert sorted(got) == [(n, 2 * n) for n in range(10)]
    assert results.outcome == "failed" and list(results) == []


def test_an_interrupt_in_the_inputs_passes_at_once() -> None:
    def inputs() -> Iterator[tuple[int]]:
        yield (1,)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_many(double, inputs()))


def test_an_exception_that_is_no_error_ends_all() -> None:
    async def program(n: int) -> int:
        if n == 2:
            raise SystemExit(3)
        if n > 2:
            await asyncio.sleep(60)
        return n

    results = run_many(program, ((n,) for n in itertools.count()), concurrency=2)
    with pytest.raises(SystemExit):
        list(results)
    assert results.outcome == "failed"


def test_no_lm_and_inputs_of_no_kind_end_all_rather_than_fail_each() -> None:
    with lms.context(lm=None), pytest.raises(lms.ConfigurationError, match="no LM"):
        list(run_many(lms.Predict(QA), itertools.repeat({"q": "?"})))
    results = run_many(double, [(1,), "a text"])
    assert next(results) == (0, 2)
    with pytest.raises(lms.ConfigurationError, match="an input is a str"):
        next(results)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: run_many("no program", []), "cannot be streamed"),
        (lambda: run_many(double, 5), "give a list"),
        (lambda: run_many(double, "texts"), "one str"),
        (lambda: run_many(double, {"n": 1}), "one dict"),
        (lambda: run_many(double, lms.Example(n=1)), "one Example"),
        (lambda: run_many(double, [], concurrency=0), "concurrency=0"),
        (lambda: run_many(double, [], concurrency=True), "concurrency"),
        (lambda: run_many(double, [], concurrency=2.5), "concurrency"),
        (lambda: run_many(double, [], ordered="yes"), "ordered"),
    ],
)
def test_bad_input_says_what_to_give(make: Any, says: str) -> None:
    with pytest.raises(lms.ConfigurationError, match=says):
        make()


def test_asynchronous_inputs_are_refused_and_text_is_not_there() -> None:
    async def inputs() -> Any:
        yield (1,)

    with pytest.raises(lms.ConfigurationError, match="asynchronous"):
        run_many(double, inputs())  # type: ignore[arg-type]
    with pytest.raises(lms.ListenerError, match="whole results"):
        run_many(double, []).text("answer")


def test_no_inputs_give_no_results() -> None:
    results = run_many(double, [])
    assert list(results) == [] and results.outcome == "completed"
    assert run_many(double, []).peek() is None


# Leaving.


def endless_after_the_first(request: dict[str, Any]) -> Reply:
    asked = request["messages"][-1]["content"]
    if "<q>0</q>" in asked:
        return Reply(chat(answer="first"))
    return Reply(chat(answer="word " * 100), stall_after=1)


@pytest.mark.parametrize("ordered", [False, True])
def test_break_stops_all_calls_and_closes_their_connections(serve: Any, no_collector: None, ordered: bool) -> None:
    server = serve(endless_after_the_first)
    for index, result in run_many(lms.Predict(QA), rows(100), concurrency=8, ordered=ordered):
        assert (index, result.answer) == (0, "first")
        server.wait_for_stall(7, timeout=20)
        break
    server.wait_for_reader_left(7, timeout=20)
    assert server.open_streams == 0
    assert server.request_count <= 16


def test_close_from_another_thread_ends_a_read_that_waits(serve: Any) -> None:
    server = serve(Reply(chat(answer="never"), stall_after=1))
    results = run_many(lms.Predict(QA), rows(10), concurrency=4)
    raised: list[BaseException] = []

    def read() -> None:
        try:
            list(results)
        except BaseException as error:
            raised.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    server.wait_for_stall(4, timeout=20)
    results.close()
    reader.join(5)
    assert [type(error) for error in raised] == [lms.StreamClosed]
    server.wait_for_reader_left(4, timeout=20)


def test_close_while_the_inputs_are_waited_for(serve: Any) -> None:
    asked, go_on = threading.Event(), threading.Event()
    gauge = Gauge()

    def inputs() -> Iterator[tuple[int]]:
        asked.set()
        go_on.wait(10)
        yield (1,)

    async def program(n: int) -> int:
        with gauge:
            return n

    results = run_many(program, inputs())
    raised: list[BaseException] = []

    def read() -> None:
        try:
            next(results)
        except BaseException as error:
            raised.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert asked.wait(5)
    results.close()
    go_on.set()
    reader.join(5)
    assert [type(error) for error in raised] == [lms.StreamClosed]
    assert gauge.begun == 0


def test_workers_stop_at_their_next_model_call(serve: Any) -> None:
    serve(chat(answer="yes"))
    gauge, stop = Gauge(), threading.Event()

    class Stubborn(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict(QA)

        def forward(self, q: str) -> None:
            with gauge:
                while not stop.is_set():
                    try:
                        self.ask(q=q)
                    except Exception:
                        pass

    results = run_many(Stubborn(), rows(10), concurrency=3)
    with pytest.raises(lms.StreamTimeout):
        results.peek(timeout=0.2)
    results.close()
    for _ in range(500):
        if gauge.now == 0:
            break
        threading.Event().wait(0.01)
    stop.set()
    assert gauge.begun == 3 and gauge.now == 0


def test_the_inputs_are_let_go_of_when_the_reader_has_left(no_collector: None) -> None:
    closed = threading.Event()

    def inputs() -> Iterator[tuple[int]]:
        try:
            for n in itertools.count():
                yield (n,)
        finally:
            closed.set()

    for _ in run_many(double, inputs()):
        break
    assert closed.wait(5)


def test_cancelling_it_stops_all(serve: Any) -> None:
    server = serve(endless_after_the_first)
    results = run_many(lms.Predict(QA), rows(10), concurrency=4)
    next(results)
    server.wait_for_stall(3, timeout=20)
    assert lms.cancel(results.id)
    with pytest.raises(lms.StreamCancelled):
        list(results)
    server.wait_for_reader_left(3, timeout=20)


def test_a_stalled_reader_holds_as_many_results_as_may_run() -> None:
    gauge = Gauge()

    async def program(n: int) -> int:
        with gauge:
            return n

    results = run_many(program, ((n,) for n in itertools.count()), concurrency=4)
    next(results)
    for _ in range(100):
        threading.Event().wait(0.001)
    assert gauge.begun <= 5
    results.close()


def test_close_names_what_does_not_stop() -> None:
    began, go_on = threading.Event(), threading.Event()

    def hangs(n: int) -> None:
        began.set()
        go_on.wait(20)

    results = run_many(hangs, [(1,)])
    with pytest.raises(lms.StreamTimeout):
        results.peek(timeout=0.05)
    assert began.wait(5)
    with pytest.warns(RuntimeWarning, match="hangs does not stop"):
        results.close()
    go_on.set()


def test_nothing_is_left_behind() -> None:
    before = running_calls()
    for _ in range(20):
        for _ in run_many(double, ((n,) for n in itertools.count()), concurrency=5):
            break
        list(run_many(double, [(n,) for n in range(20)], concurrency=5, ordered=True))
    for _ in range(500):
        if running_calls() <= before:
            break
        threading.Event().wait(0.01)
    assert running_calls() <= before


# Faces.


def test_async_for_pulls_in_the_readers_thread(serve: Any) -> None:
    serve(echo)
    inputs = rows(30)

    async def read() -> dict[int, str]:
        return {index: result.answer async for index, result in run_many(lms.Predict(QA), inputs, concurrency=3)}

    assert asyncio.run(read()) == {i: f"answer to {i}" for i in range(30)}


@pytest.mark.parametrize("ordered", [False, True])
def test_async_for_with_endless_inputs(ordered: bool) -> None:
    inputs = Counted(itertools.count())

    async def read() -> list[Any]:
        got = []
        async with run_many(double, inputs, concurrency=3, ordered=ordered) as results:
            async for each in results:
                got.append(each)
                if len(got) == 50:
                    break
        return got

    assert all(result == 2 * index for index, result in asyncio.run(read()))
    assert inputs.pulled <= 56


def test_a_program_on_the_loop_reads_one(serve: Any) -> None:
    serve(echo)

    async def program() -> list[str]:
        return [result.answer async for _, result in run_many(lms.Predict(QA), rows(3), ordered=True)]

    assert lms.streamify(program)().result() == ["answer to 0", "answer to 1", "answer to 2"]

    async def blocks() -> Any:
        return next(run_many(double, [(1,)]))

    with pytest.raises(lms.StreamError, match="async for"):
        lms.streamify(blocks)().result()


def test_server_sent_events_have_the_index_and_mask_errors() -> None:
    async def program(n: int) -> lms.Prediction:
        if n == 1:
            raise ValueError("inner details")
        return lms.Prediction(answer=n)

    body = "".join(lms.streaming_response(run_many(program, [(0,), (1,)], ordered=True)))
    assert 'data: {"index":0,"prediction":{"answer":0}}' in body
    assert 'data: {"index":1,"error":{"type":"ProgramError"' in body and "inner details" not in body


def test_results_of_one_may_be_the_inputs_of_another() -> None:
    first = run_many(double, ((n,) for n in range(50)), concurrency=4)
    second = run_many(double, ((result,) for _, result in first), concurrency=4)
    assert sorted(result for _, result in second) == [4 * n for n in range(50)]


def test_peek_leaves_the_result() -> None:
    results = run_many(double, [(1,), (2,)], ordered=True)
    assert results.peek() == (0, 2) == next(results)
    assert list(results) == [(1, 4)]
