"""A call whose reply the cache has: answered in the caller's thread, as running the program would answer it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.program.at_hand import written_run
from lmstream_sync.program.run import Run, run_under_way
from lmstream_sync.runtime.loop import loop_thread

from .replies import chat

PROGRAMS = [lms.Predict("q -> answer"), lms.ChainOfThought("q -> answer")]
REPLY = chat(reasoning="because", answer="yes")


def streamed(program: Any, **options: Any) -> Any:
    return lms.streamify(program, stream_listeners=[lms.StreamListener("answer")], **options)


@pytest.fixture
def busy_loop() -> Iterator[Any]:
    """Keeps the event-loop thread from doing anything, from when it is called."""
    go_on = threading.Event()

    def occupy() -> None:
        there = threading.Event()

        def hold() -> None:
            there.set()
            go_on.wait(30)

        loop_thread().loop.call_soon_threadsafe(hold)
        assert there.wait(5)

    yield occupy
    go_on.set()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("listeners", [[], [lms.StreamListener("answer")]])
def test_a_hit_needs_no_loop(program: Any, listeners: Any, serve: Any, busy_loop: Any) -> None:
    server = serve(REPLY, cache=True)
    program(q="?")
    busy_loop()
    (prediction,) = lms.streamify(program, stream_listeners=listeners)(q="?")
    assert prediction.answer == "yes"
    assert list(lms.stream(program, q="?"))[-1].answer == "yes"
    assert len(server.requests) == 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_hit_is_accounted_for_as_a_run_is(program: Any, serve: Any) -> None:
    serve(REPLY, cache=True)
    lm = lms.settings.lm
    first = list(streamed(program)(q="?"))[-1]
    assert [entry["cached"] for entry in lm.history] == [False]
    trace: list[Any] = []
    ended: list[Any] = []
    with lms.context(trace=trace, track_usage=True):
        stream = streamed(program)(q="?")
        stream.on_end(ended.append)
        events = list(stream)
    assert [type(event) for event in events] == [lms.Prediction]
    assert events[0].toDict() == first.toDict()
    assert events[0].raw("answer") == "yes"
    assert (stream.outcome, stream.usage, stream.prediction, stream.result()) == ("completed", {}, events[0], events[0])
    assert ended == [stream]
    assert stream.partial == {"answer": "yes"}
    assert stream.timings["first"] is not None
    assert [entry["cached"] for entry in lm.history] == [False, True]
    assert lm.history[1]["messages"] == lm.history[0]["messages"]
    assert [(inputs, made) for _, inputs, made in trace] == [({"q": "?"}, events[0])]


def test_the_same_values_are_made_anew_for_each_call(serve: Any) -> None:
    serve(chat(answer="[1, 2]"), cache=True)
    program = streamed(lms.Predict("q -> answer: list[int]"))
    list(program(q="?"))
    one, two = program(q="?").result(), program(q="?").result()
    one.answer.append(3)
    assert two.answer == [1, 2]


class Recording(lms.BaseCallback):
    """Writes down which hooks run."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_module_start(self, call_id: str, instance: Any, inputs: Any) -> None:
        self.seen.append(f"module {type(instance).__name__}")

    def on_lm_end(self, call_id: str, outputs: Any, exception: Any = None) -> None:
        self.seen.append(f"lm {outputs}")

    def on_adapter_format_end(self, call_id: str, outputs: Any, exception: Any = None) -> None:
        self.seen.append("format")

    def on_adapter_parse_end(self, call_id: str, outputs: Any, exception: Any = None) -> None:
        self.seen.append(f"parse {outputs}")


@pytest.mark.parametrize("where", ["settings", "module", "lm", "adapter"])
def test_callbacks_see_a_hit_wherever_they_were_given(where: str, serve: Any) -> None:
    serve(chat(answer="yes"), cache=True)
    program = lms.Predict("q -> answer")
    program(q="?")
    recording = Recording()
    given: dict[str, Any] = {}
    if where == "settings":
        given = {"callbacks": [recording]}
    elif where == "module":
        program.callbacks.append(recording)
    elif where == "lm":
        lms.settings.lm.callbacks.append(recording)
    else:
        given = {"adapter": lms.ChatAdapter(callbacks=[recording])}
    with lms.context(**given):
        list(streamed(program)(q="?"))
    expected = {
        "module": ["module Predict"],
        "lm": [f"lm {[chat(answer='yes')]}"],
        "adapter": ["format", "parse {'answer': 'yes'}"],
    }
    expected["settings"] = [*expected["module"], "format", *expected["lm"], "parse {'answer': 'yes'}"]
    assert recording.seen == expected[where]


class Telling(lms.StatusMessageProvider):
    """Says something of models."""

    def lm_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str:
        return "asking"


def test_a_provider_that_tells_of_models_tells_of_a_hit(serve: Any) -> None:
    serve(chat(answer="yes"), cache=True)
    program = streamed(lms.Predict("q -> answer"), status_message_provider=Telling())
    list(program(q="?"))
    told, prediction = program(q="?")
    assert (told.message, prediction.answer) == ("asking", "yes")


def test_what_a_subclass_does_is_done(serve: Any) -> None:
    class Louder(lms.Predict):
        async def aforward(self, *args: Any, **inputs: Any) -> Any:
            made = await super().aforward(*args, **inputs)
            made.answer = made.answer.upper()
            return made

    serve(chat(answer="yes"), cache=True)
    program = streamed(Louder("q -> answer"))
    assert list(program(q="?"))[-1].answer == "YES"
    assert [event.answer for event in program(q="?")] == ["YES"]


class Counting(lms.ChatAdapter):
    """Counts how often it writes a prompt."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def format(self, *args: Any, **kwargs: Any) -> Any:
        self.written += 1
        return super().format(*args, **kwargs)


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_prompt_is_written_once_whether_the_cache_has_the_reply_or_not(program: Any, cache: bool, serve: Any) -> None:
    serve(REPLY, cache=cache)
    with lms.context(adapter=Counting()) as _:
        adapter = lms.settings.adapter
        for number in (1, 2):
            assert list(streamed(program)(q="?"))[-1].answer == "yes"
            assert adapter.written == number


def test_the_run_that_was_begun_is_taken_once_and_by_its_own_predictor(serve: Any) -> None:
    serve(REPLY)
    mine, other = lms.Predict("q -> answer"), lms.Predict("q -> answer")
    begun = written_run(mine, (), {"q": "?"})
    assert begun is not None

    def take() -> None:
        run_under_way.set(begun)
        assert Run.of(other, (), {"q": "?"}) is not begun
        assert Run.of(mine, (), {"q": "?"}) is begun
        assert Run.of(mine, (), {"q": "?"}) is not begun

    copy_context().run(take)


class Refusing(lms.ChatAdapter):
    """Writes no prompt."""

    def format(self, *args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError("no prompt today")


def test_what_goes_wrong_with_the_prompt_comes_from_the_stream(serve: Any) -> None:
    serve(chat(answer="yes"))
    with lms.context(adapter=Refusing()):
        stream = streamed(lms.Predict("q -> answer"))(q="?")
        with pytest.raises(ZeroDivisionError, match="no prompt today"):
            next(stream)


def test_a_kept_reply_that_does_not_parse_fails_in_the_stream_and_is_remembered_once(serve: Any) -> None:
    serve("nothing that it should be", cache=True)
    program = streamed(lms.Predict("q -> answer: int"))
    with lms.context(adapter=lms.ChatAdapter(use_json_adapter_fallback=False)):
        for number in (1, 2):
            stream = program(q="?")
            with pytest.raises(lms.AdapterParseError):
                list(stream)
            assert stream.outcome == "failed"
            assert [entry["cached"] for entry in lms.settings.lm.history] == [False, True][:number]


def test_wrong_inputs_are_told_at_the_call(serve: Any) -> None:
    serve(chat(answer="yes"), cache=True)
    for program in PROGRAMS:
        with pytest.raises(lms.SignatureError, match="question"):
            streamed(program)(question="?")


def test_a_hit_may_be_merged_looked_at_left_detached_and_read_by_field(serve: Any) -> None:
    serve(chat(answer="yes"), cache=True)
    program = streamed(lms.Predict("q -> answer"), queue_size=1)
    list(program(q="?"))
    with lms.merge(one=program(q="?"), two=program(q="?")) as merged:
        assert sorted((event.name, event.event.answer) for event in merged) == [("one", "yes"), ("two", "yes")]
    stream = program(q="?")
    assert stream.peek().answer == "yes"
    assert [event.answer for event in stream] == ["yes"]
    assert list(program(q="?").text("answer")) == ["yes"]
    left = program(q="?")
    left.close()
    assert left.outcome == "left"
    with pytest.raises(lms.StreamClosed):
        next(left)
    alone = program(q="?")
    ended = threading.Event()
    alone.on_end(lambda _: ended.set())
    alone.detach()
    assert ended.wait(5)
    assert not lms.cancel(alone.id)


def test_a_hit_is_read_asynchronously(serve: Any) -> None:
    serve(chat(answer="yes"), cache=True)
    program = streamed(lms.Predict("q -> answer"), async_streaming=True)

    async def answers() -> list[str]:
        return [event.answer async for event in program(q="?") if isinstance(event, lms.Prediction)]

    assert [asyncio.run(answers()) for _ in range(3)] == [["yes"]] * 3


def test_a_program_that_reads_a_hit_of_another_streams_its_own_events_only(serve: Any) -> None:
    serve(chat(answer="yes"), cache=True)
    inner = lms.streamify(lms.Predict("q -> answer"))
    list(inner(q="?"))

    def outer(q: str) -> Any:
        return lms.Prediction(answer=inner(q=q).result().answer + "!")

    events = list(lms.streamify(outer, status_message_provider=Telling())(q="?"))
    assert [event.answer for event in events] == ["yes!"]
