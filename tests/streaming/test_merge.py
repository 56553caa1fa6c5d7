"""Several streams read as one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.runtime.loop import loop_thread
from lmstream_sync.runtime.register import running_calls
from lmstream_sync.streaming import merge
from lmstream_sync.testing import Gate, Reply, stream_of

from .replies import chat

ENDLESS = chat(answer="word " * 2000)


def ask(**options: Any) -> Any:
    return lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")], **options)


@pytest.fixture
def endless(serve: Any) -> Any:
    """A server that writes without end, and two streams of it."""
    server = serve(Reply(ENDLESS, cut=5, delay=0.005))
    streams = {"a": ask()(q="1"), "b": ask()(q="2")}
    server.wait_for_request(2, timeout=20)
    return server, streams


def all_left(server: Any, n: int = 2) -> bool:
    server.wait_for_reader_left(n, timeout=20)
    return bool(server.open_streams == 0)


def texts(events: Any) -> dict[str, str]:
    """name → the text that its chunks give, joined together."""
    found: dict[str, str] = {}
    for name, event in events:
        if isinstance(event, lms.StreamResponse):
            found[name] = found.get(name, "") + event.chunk
    return found


def held(*gates: threading.Event) -> Any:
    """An asynchronous program that yields a number after each event is set."""

    async def program() -> Any:
        for number, gate in enumerate(gates):
            while not gate.is_set():
                await asyncio.sleep(0.001)
            yield number

    return lms.streamify(program)()


# What comes.


def test_everything_comes_with_the_name_of_its_stream_and_each_stream_in_its_own_order(serve: Any) -> None:
    serve({"one": Reply(chat(answer="first " * 50), cut=7), "two": Reply(chat(answer="second " * 50), cut=3)})
    with merge(a=ask()(q="one"), b=ask()(q="two")) as merged:
        events = list(merged)
    assert texts(events) == {"a": ("first " * 50).strip(), "b": ("second " * 50).strip()}
    finals = {name: event.answer for name, event in events if isinstance(event, lms.Prediction)}
    assert finals == {"a": ("first " * 50).strip(), "b": ("second " * 50).strip()}
    assert merged.outcome == "completed"


def test_events_come_in_the_order_in_which_they_arrived_also_to_a_reader_who_came_late() -> None:
    gates = [threading.Event() for _ in range(6)]
    streams = {"a": held(gates[0], gates[3], gates[4]), "b": held(gates[1], gates[2], gates[5])}
    merged = merge(**streams)
    channels = [streams["a"]._channel, streams["b"]._channel]
    for n, gate in enumerate(gates):
        gate.set()
        while sum(each.arrived for each in channels) <= n:  # ends by the test's time-out
            threading.Event().wait(0.001)
    assert [name for name, _ in merged] == ["a", "b", "b", "a", "a", "b"]


def test_an_event_comes_while_the_other_streams_are_silent() -> None:
    silent, said = threading.Event(), threading.Event()
    said.set()
    merged = merge(silent=held(silent), talks=held(said))
    assert next(merged) == ("talks", 0)
    silent.set()
    assert list(merged) == [("silent", 0)]


def test_a_stream_that_was_read_in_part_goes_on_where_it_was() -> None:
    stream = stream_of(["a", "b", "c"])
    assert next(stream) == "a"
    assert stream.peek() == "b"
    merged = merge(rest=stream, other=stream_of([]))
    assert list(merged) == [("rest", "b"), ("rest", "c")]


def test_a_merged_stream_merges() -> None:
    inner = merge(a=stream_of([1, 2]), b=stream_of([3]))
    events = list(merge(inner=inner, c=stream_of([4])))
    assert sorted(events, key=str) == [("c", 4), ("inner", ("a", 1)), ("inner", ("a", 2)), ("inner", ("b", 3))]
    assert inner.outcome == "completed"


def test_run_many_goes_on_in_a_merge() -> None:
    async def double(n: int) -> int:
        return 2 * n

    inputs = ((n,) for n in range(20))
    events = list(merge(many=lms.streaming.run_many(double, inputs, concurrency=2), one=stream_of(["x"])))
    assert sorted(event for name, event in events if name == "many") == [(n, 2 * n) for n in range(20)]


def test_an_unread_stream_is_held_back_by_its_own_bound() -> None:
    made = {"a": 0, "b": 0}

    def counting(name: str) -> Any:
        async def program() -> Any:
            for i in range(1000):
                made[name] += 1
                yield i

        return lms.streamify(program, queue_size=8)()

    with merge(a=counting("a"), b=counting("b")) as merged:
        for _ in range(100):
            next(merged)
        settled: tuple[int, ...] = ()
        while settled != (settled := tuple(made.values())):
            threading.Event().wait(0.02)
        assert sum(made.values()) <= 100 + 2 * (8 + 2)


def test_a_slow_reader_of_all_is_a_reader_of_each() -> None:
    """`reader` runs out for nobody while the merged stream is read."""
    many = lms.streamify(lambda: [lms.emit(i) for i in range(100)] and None, queue_size=400)()
    while many._channel.arrived < 100:  # ends by the test's time-out
        threading.Event().wait(0.001)
    full = lms.streamify(
        lambda: [lms.emit(i) for i in range(10)] and None, queue_size=2, timeout=lms.Timeout(reader=0.5)
    )()
    got = []
    for name, _ in merge(many=many, full=full):
        got.append(name)
        threading.Event().wait(0.01)
    assert got[:100] == ["many"] * 100 and got[100:] == ["full"] * 10


# What is to be known.


def test_result_partial_usage_and_text(serve: Any) -> None:
    serve({"one": Reply(chat(answer="first text"), cut=4), "two": Reply(chat(answer="second"), cut=4)})
    streams = {"a": ask()(q="one"), "b": ask()(q="two")}
    merged = merge(**streams)
    assert "".join(merged.text("a.answer")) == "first text"
    assert {name: value.answer for name, value in merged.result().items()} == {"a": "first text", "b": "second"}
    assert merged.partial == {"a.answer": "first text", "b.answer": "second"}
    assert streams["a"].partial == {"answer": "first text"} and streams["b"].prediction.answer == "second"
    assert streams["b"].result().answer == "second"
    ((model, counts),) = merged.usage.items()
    assert counts["total_tokens"] == sum(each.usage[model]["total_tokens"] for each in streams.values())
    assert merged.prediction is None
    first, total = merged.timings["first"], merged.timings["total"]
    assert first is not None and total is not None and 0 <= first <= total
    with pytest.raises(lms.ListenerError, match=r"text\('a.answer'\)"):
        merged.text("answer")


def test_a_members_partial_is_what_was_handed_out_through_the_merge(serve: Any) -> None:
    gate = Gate()
    pieces = ["[[ ## answer ## ]]\n", "one ", "two ", "three", "\n\n[[ ## completed ## ]]"]
    serve(Reply(pieces=pieces, pauses={4: gate}))
    member = ask()(q="?")
    merged = merge(only=member)
    assert member.partial == {"answer": ""}
    gate.wait()
    name, event = next(merged)
    assert member.partial == {"answer": event.chunk} and merged.partial == {"only.answer": event.chunk}
    gate.release()
    merged.result()
    assert member.outcome == "completed" and member.partial == {"answer": "one two three"}


def test_peek_leaves_the_event_in_its_place() -> None:
    merged = merge(a=stream_of(["x", "y"]), b=stream_of([]))
    assert merged.peek() == ("a", "x")
    assert list(merged) == [("a", "x"), ("a", "y")]
    assert merge(none=stream_of([])).peek() is None


def test_peek_for_output_passes_over_what_a_program_emits() -> None:
    def program() -> str:
        lms.emit("mine")
        return "the result"

    merged = merge(a=lms.streamify(program)())
    assert merged.peek("output") == ("a", "the result")
    assert list(merged) == [("a", "mine"), ("a", "the result")]


# Errors.


def test_an_error_is_raised_once_after_what_came_before_it_and_closes_the_others(serve: Any) -> None:
    server = serve(Reply(ENDLESS, cut=5, delay=0.005))
    other = ask()(q="?")
    server.wait_for_request(1, timeout=20)
    ended: list[Any] = []
    other.on_end(lambda s: ended.append(s.outcome))
    failing = stream_of(["a", "b"], error=KeyError("broken"))
    merged = merge(fails=failing, other=other)
    got = []
    with pytest.raises(KeyError, match="broken"):
        for name, event in merged:
            if name == "fails":
                got.append(event)
    assert got == ["a", "b"]
    assert merged.outcome == "failed" and isinstance(merged.error, KeyError)
    assert failing.outcome == "failed" and other.outcome == "left" and ended == ["left"]
    assert list(merged) == []
    with pytest.raises(KeyError):
        merged.result()
    assert all_left(server, 1)


def test_an_error_does_not_wait_for_streams_that_are_never_silent() -> None:
    async def busy() -> Any:
        n = 0
        while True:
            yield (n := n + 1)

    with pytest.raises(KeyError):
        for _ in merge(busy=lms.streamify(busy)(), fails=stream_of([], error=KeyError("x"))):
            pass


def test_an_error_of_the_library_carries_all_that_was_streamed(serve: Any) -> None:
    pieces = ["[[ ## answer ## ]]\n", "broken ", "off ", "here"]
    serve({"one": Reply(chat(answer="complete")), "two": Reply(pieces=pieces, drop_after=3)})
    merged = merge(whole=ask()(q="one"), broken=ask()(q="two"))
    with pytest.raises(lms.LMInterrupted) as raised:
        list(merged)
    assert raised.value.partial == merged.partial
    assert raised.value.partial["broken.answer"].startswith("broken")


def test_with_yield_an_error_is_an_event_and_the_others_go_on() -> None:
    streams = {"bad": stream_of(["x"], error=KeyError("broken")), "good": stream_of([1, 2, 3])}
    merged = merge(**streams, on_error="yield")
    events = list(merged)
    assert [event for name, event in events if name == "good"] == [1, 2, 3]
    bad = [event for name, event in events if name == "bad"]
    assert bad[0] == "x" and isinstance(bad[1], KeyError) and len(bad) == 2
    assert merged.outcome == "completed" and merged.error is None
    assert isinstance(merged.result()["bad"], KeyError) and merged.result()["good"] is None
    assert streams["bad"].outcome == "failed"


def test_with_yield_an_exception_that_is_no_error_is_raised_all_the_same() -> None:
    def program() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(merge(a=lms.streamify(program)(), b=stream_of([1]), on_error="yield"))


@pytest.mark.parametrize("on_error", ["raise", "yield"])
def test_peek_shows_an_error_and_leaves_it(on_error: Any) -> None:
    merged = merge(a=stream_of([], error=KeyError("x")), on_error=on_error)
    if on_error == "yield":
        shown = merged.peek()
        assert shown is not None and shown[0] == "a" and isinstance(shown[1], KeyError)
        assert [name for name, _ in merged] == ["a"]
    else:
        with pytest.raises(KeyError):
            merged.peek()
        assert merged.outcome is None
        with pytest.raises(KeyError):
            next(merged)


def test_an_error_in_a_merge_within_a_merge() -> None:
    inner = merge(a=stream_of(["x"], error=KeyError("deep")), b=stream_of([]))
    outer = merge(inner=inner, c=stream_of([1]), on_error="yield")
    events = list(outer)
    assert ("inner", ("a", "x")) in events and ("c", 1) in events
    assert [type(event) for _, event in events if isinstance(event, BaseException)] == [KeyError]
    assert inner.outcome == "failed"


def test_a_member_that_is_closed_by_itself_ends_and_the_others_go_on(serve: Any) -> None:
    server = serve(Reply(ENDLESS, cut=5, delay=0.005))
    one, go_on = ask()(q="?"), threading.Event()
    merged = merge(one=one, two=held(go_on))
    next(merged)
    one.close()
    assert all_left(server, 1)
    go_on.set()
    assert [event for name, event in merged if name == "two"] == [0]
    assert merged.result() == {"one": None, "two": None} and merged.outcome == "completed"


def test_cancelling_a_member_is_its_error_and_cancelling_the_merge_cancels_all(endless: Any) -> None:
    server, streams = endless
    merged = merge(**streams, on_error="yield")
    next(merged)
    assert lms.cancel(streams["a"].id)
    assert any(isinstance(event, lms.StreamCancelled) for name, event in _until_error(merged))
    assert lms.cancel(merged.id)
    with pytest.raises(lms.StreamCancelled):
        list(merged)
    assert merged.outcome == "cancelled"
    assert all_left(server)


def _until_error(merged: Any) -> Iterator[Any]:
    for name, event in merged:
        yield name, event
        if isinstance(event, Exception):
            return


# Leaving.


def test_break_closes_every_providers_connection(endless: Any, no_collector: None) -> None:
    server, streams = endless
    for _ in merge(a=streams.pop("a"), b=streams.pop("b")):
        break
    assert all_left(server)


def test_the_last_reference_gone_closes_members_that_somebody_still_holds(endless: Any, no_collector: None) -> None:
    server, streams = endless
    merged = merge(**streams)
    next(merged)
    del merged
    assert all_left(server)
    with pytest.raises(lms.StreamClosed):
        list(streams["a"])


def test_close_does_before_the_first_read_and_the_members_are_closed_too(endless: Any) -> None:
    server, streams = endless
    merged = merge(**streams)
    merged.close()
    assert all_left(server)
    assert merged.outcome == "left" and {each.outcome for each in streams.values()} == {"left"}
    for closed in (merged, streams["a"]):
        with pytest.raises(lms.StreamClosed):
            next(closed)


def test_leaving_the_with_block_does(endless: Any) -> None:
    server, streams = endless
    with merge(**streams) as merged:
        next(merged)
    assert all_left(server)


def test_closing_a_text_of_it_does(endless: Any) -> None:
    server, streams = endless
    with merge(**streams).text("a.answer") as text:
        assert next(text)
    assert all_left(server)


def test_close_from_another_thread_ends_a_read_that_waits(serve: Any) -> None:
    server = serve(Reply(chat(answer="a" * 50), cut=5, stall_after=2))
    merged = merge(a=ask()(q="1"), b=ask()(q="2"))
    raised: list[BaseException] = []

    def read() -> None:
        try:
            list(merged)
        except BaseException as error:
            raised.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    server.wait_for_stall(2, timeout=20)
    merged.close()
    reader.join(5)
    assert [type(error) for error in raised] == [lms.StreamClosed]
    assert all_left(server)


def test_on_end_of_members_runs_once_however_the_merge_ends(serve: Any) -> None:
    serve({"short": Reply(chat(answer="done")), "long": Reply(ENDLESS, cut=5, delay=0.005)})
    short, long = ask()(q="short"), ask()(q="long")
    ended: list[Any] = []
    for name, each in (("short", short), ("long", long)):
        each.on_end(lambda s, name=name: ended.append((name, s.outcome, s.partial["answer"])))
    merged = merge(short=short, long=long)
    merged.on_end(lambda s: ended.append(("merged", s.outcome)))
    for name, event in merged:
        if name == "short" and isinstance(event, lms.Prediction):
            break
    merged.close()
    assert ("short", "completed", "done") in ended and ("merged", "left") in ended
    assert [(name, outcome) for name, outcome, *_ in ended if name == "long"] == [("long", "left")]
    assert len(ended) == 3


def test_on_end_of_members_comes_in_a_worker_when_the_last_reference_went(endless: Any, no_collector: None) -> None:
    _, streams = endless
    called = threading.Event()
    seen: list[Any] = []

    def save(stream: lms.Stream) -> None:
        seen.append((stream.partial["answer"], stream.outcome, threading.current_thread().name))
        called.set()

    streams["a"].on_end(save)
    merged = merge(a=streams.pop("a"), b=streams.pop("b"))
    text = texts([next(merged), next(merged), next(merged)]).get("a", "")
    del merged
    assert called.wait(5)
    assert seen == [(text, "left", "lmstream-worker")]


def test_an_error_that_somebody_keeps_does_not_keep_the_merge_alive(serve: Any, no_collector: None) -> None:
    server = serve(Reply(ENDLESS, cut=5, delay=0.005))
    merged = merge(a=ask()(q="?"), bad=stream_of([], error=KeyError("x")), on_error="yield")
    server.wait_for_request(1, timeout=20)
    kept = [event for _, event in _until_error(merged)][-1]
    del merged
    assert isinstance(kept, KeyError)
    assert all_left(server, 1)


def test_a_member_is_read_through_the_merge_only_and_by_itself_again_after_its_end() -> None:
    stream = stream_of([1])
    merged = merge(one=stream)
    for read in (lambda: next(stream), stream.peek, stream.result, lambda: merge(again=stream)):
        with pytest.raises(lms.StreamError, match="read through"):
            read()
    assert list(merged) == [("one", 1)]
    assert stream.result() is None


def test_a_merge_inside_a_program_ends_with_it(serve: Any) -> None:
    server = serve(Reply(ENDLESS, cut=5, delay=0.005))

    def program() -> Iterator[Any]:
        yield from merge(a=ask()(q="1"), b=ask()(q="2"))

    outer = lms.streamify(program)()
    next(outer)
    outer.close()
    assert all_left(server)


def test_close_names_what_does_not_stop() -> None:
    began, go_on = threading.Event(), threading.Event()

    def hangs() -> None:
        began.set()
        go_on.wait(20)

    merged = merge(a=lms.streamify(hangs)(), b=stream_of([1]))
    assert next(merged) == ("b", 1) and began.wait(5)
    with pytest.warns(RuntimeWarning, match="hangs does not stop"):
        merged.close()
    go_on.set()


@pytest.mark.parametrize("asynchronously", [False, True])
def test_close_before_its_own_task_took_a_step_waits_for_the_members(asynchronously: bool) -> None:
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        go_on.wait(20)
        ended.set()

    member = lms.streamify(slow)()
    assert began.wait(5)
    there, merged_now = threading.Event(), threading.Event()

    def hold() -> None:
        there.set()
        merged_now.wait(20)

    loop_thread().loop.call_soon_threadsafe(hold)  # its task is made, and stopped, in one turn of the loop
    assert there.wait(5)
    merged = merge(a=member)
    merged._call.request_stop("left")
    merged_now.set()
    threading.Timer(0.2, go_on.set).start()
    if asynchronously:
        asyncio.run(merged.aclose())
    else:
        merged.close()
    assert ended.is_set()


def test_nothing_is_left_behind() -> None:
    before = running_calls()
    for _ in range(50):
        for _ in merge(a=stream_of(range(10)), b=stream_of(range(10))):
            break
        list(merge(a=stream_of(range(10)), b=stream_of([], error=None)))
    for _ in range(500):
        if running_calls() <= before:
            break
        threading.Event().wait(0.01)
    assert running_calls() <= before


# Asynchronously.


def test_async_for_and_async_streams() -> None:
    async def read() -> list[Any]:
        a = lms.streamify(lambda: "from a", async_streaming=True)()
        merged = merge(a=a, b=stream_of([1, 2]))
        return [event async for event in merged]

    events = asyncio.run(read())
    assert sorted(events, key=str) == [("a", "from a"), ("b", 1), ("b", 2)]


def test_async_for_gets_an_error_and_closes(endless: Any) -> None:
    server, streams = endless

    async def read() -> None:
        async with merge(**streams, bad=stream_of([], error=KeyError("x"))) as merged:
            async for _ in merged:
                pass

    with pytest.raises(KeyError):
        asyncio.run(read())
    assert all_left(server)


# For the web.


def test_server_sent_events_name_the_stream_and_mask_an_error() -> None:
    chunk = lms.StreamResponse("self", "answer", "42", True)
    streams = {"a": stream_of([chunk, lms.Prediction(answer="42")]), "b": stream_of([], error=KeyError("secret"))}
    first = [json.loads(line[6:]) for line in lms.streaming_response(merge(**streams, on_error="yield")) if "{" in line]
    assert sorted(first, key=str) == sorted(
        [
            {"stream": "a", "chunk": chunk.json()},
            {"stream": "a", "prediction": {"answer": "42"}},
            {"stream": "b", "error": {"type": "ProgramError", "message": "The answer could not be completed."}},
        ],
        key=str,
    )
    failing = merge(b=stream_of([], error=KeyError("told")), on_error="yield")
    assert "told" in "".join(lms.streaming_response(failing, expose_errors=True))


# Bad input.


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: merge(), "no streams"),
        (lambda: merge(stream_of([])), "by name"),
        (lambda: merge(a=[1]), "takes a Stream, not a list"),
        (lambda: merge(a=ask()), "call it"),
        (lambda: merge(a=stream_of([]), on_error="ignore"), "raise"),
    ],
)
def test_bad_input_says_what_to_give(make: Any, says: str) -> None:
    with pytest.raises(lms.ConfigurationError, match=says):
        make()


def test_streams_that_cannot_be_read_any_more_or_twice_are_refused() -> None:
    stream = stream_of([1])
    with pytest.raises(lms.ConfigurationError, match="twice"):
        merge(a=stream, b=stream)
    stream.result()
    with pytest.raises(lms.ConfigurationError, match="has ended"):
        merge(a=stream)
    closed = stream_of([1])
    closed.close()
    with pytest.raises(lms.ConfigurationError, match="has ended|was closed"):
        merge(a=closed)
