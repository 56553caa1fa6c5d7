"""The promises of the public interface, sentence by sentence, that no other file of this folder holds."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.streaming.sse import encode_event
from lmstream_sync.testing import Reply, read_sse

from .replies import chat

ANSWER = [lms.StreamListener("answer")]


def answers(**options: Any) -> Callable[..., Any]:
    return lms.streamify(lms.Predict("q -> answer"), stream_listeners=ANSWER, **options)


def pieces(events: list[Any]) -> list[tuple[str, str, str]]:
    """Predictor, field and text of each chunk that has some."""
    return [
        (e.predict_name, e.signature_field_name, e.chunk)
        for e in events
        if isinstance(e, lms.StreamResponse) and e.chunk
    ]


# Names


def test_dspys_submodules_hold_the_same_objects() -> None:
    for name in ("StreamListener", "StatusMessageProvider", "StatusMessage", "StreamResponse", "streaming_response"):
        assert getattr(lms.streaming, name) is getattr(lms, name)
    assert lms.adapters.ChatAdapter is lms.ChatAdapter
    assert lms.settings.configure is lms.configure
    assert lms.settings.context is lms.context


# Running


def test_what_configure_says_in_any_thread_the_next_call_sees() -> None:
    thread = threading.Thread(target=lambda: lms.configure(shade="blue"))
    thread.start()
    thread.join()
    assert list(lms.streamify(lambda: lms.settings.shade)()) == ["blue"]
    with lms.context(shade="red"):
        assert list(lms.streamify(lambda: lms.settings.shade)()) == ["red"]


def test_a_context_variable_holds_in_a_synchronous_tool_of_an_asynchronous_program() -> None:
    user = contextvars.ContextVar("user", default="nobody")

    def who() -> str:
        return f"{user.get()} in {threading.current_thread() is not threading.main_thread()}"

    async def program() -> Any:
        return await lms.Tool(who).acall()

    user.set("ada")
    stream = lms.streamify(program, status_message_provider=False)()
    user.set("eve")
    assert stream.result() == "ada in True"


@pytest.mark.parametrize("value", [5, "text", [], {"a": 1}, False])
def test_a_final_value_of_any_kind_comes_and_is_the_result(value: Any) -> None:
    stream = lms.streamify(lambda: value)()
    assert list(stream) == [value]
    assert stream.result() == value and stream.prediction is None and stream.outcome == "completed"


def test_a_stream_that_a_program_returns_is_its_final_value_and_can_be_read() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    (inner,) = list(lms.streamify(lambda: lms.iterate(numbers))())
    assert list(inner) == [1, 2]


@pytest.mark.parametrize("option", ["max_concurrent_calls", "when_full", "limit_key"])
def test_an_option_that_does_nothing_yet_is_refused(option: str) -> None:
    with pytest.raises(TypeError, match=option):
        lms.streamify(len, **{option: 1})  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "option",
    [
        {"stream_listeners": "answer"},
        {"stream_listeners": lms.StreamListener("answer")},
        {"queue_size": 0},
        {"timeout": -1},
        {"timeout": "soon"},
        {"status_message_provider": "loud"},
    ],
)
def test_an_argument_that_cannot_work_is_refused_at_streamify(option: dict[str, Any]) -> None:
    with pytest.raises(lms.ConfigurationError):
        lms.streamify(lms.Predict("q -> answer"), **option)


@pytest.mark.parametrize("setting", [{"queue_size": 0}, {"timeout": "soon"}])
def test_a_setting_that_cannot_work_is_refused_at_the_call(setting: dict[str, Any]) -> None:
    program = lms.streamify(lambda: 1)
    with lms.context(**setting), pytest.raises(lms.ConfigurationError):
        program()


def test_a_class_in_place_of_a_module_is_refused() -> None:
    with pytest.raises(lms.ConfigurationError, match="object"):
        lms.streamify(lms.Predict)


# `stream`, and the fields' names


def test_a_model_streams_text_and_reasoning_that_can_be_read_by_name(serve: Any) -> None:
    server = serve(Reply("hello you", reasoning="so it is"))
    stream = lms.stream(server.lm(), "hi")
    assert pieces(list(stream)) == [
        *(("self", "reasoning", text) for text in ("so", " it", " is")),
        *(("self", "text", text) for text in ("hello", " you")),
    ]
    assert stream.partial == {"text": "hello you", "reasoning": "so it is"}
    assert stream.prediction is not None and stream.prediction.reasoning == "so it is"
    assert "".join(lms.stream(server.lm(), "hi").text()) == "hello you"
    assert "".join(lms.stream(server.lm(), "hi").text("reasoning")) == "so it is"


class Twice(lms.Module):
    def __init__(self) -> None:
        self.draft = lms.Predict("q -> answer")
        self.steps = [lms.Predict("q -> answer")]

    def forward(self, q: str) -> Any:
        self.draft(q=q)
        return self.steps[0](q=q)


def test_of_two_predictors_with_a_field_of_one_name_each_is_named_in_partial_and_text(serve: Any) -> None:
    serve([chat(answer="one"), chat(answer="two"), chat(answer="one"), chat(answer="two")])
    stream = lms.stream(Twice(), q="?")
    with pytest.raises(lms.ListenerError, match=r"draft\.answer, steps\[0\]\.answer"):
        stream.text("answer")
    assert pieces(list(stream)) == [("draft", "answer", "one"), ("steps[0]", "answer", "two")]
    assert stream.partial == {"draft.answer": "one", "steps[0].answer": "two"}
    assert list(lms.stream(Twice(), q="?").text("steps[0].answer")) == ["two"]


def test_a_predictor_made_while_the_program_runs_streams_too(serve: Any) -> None:
    class Plans(lms.Module):
        def __init__(self) -> None:
            self.plan = lms.Predict("q -> plan")

        def forward(self, q: str) -> Any:
            return lms.Predict("plan -> answer")(plan=self.plan(q=q).plan)

    serve([chat(plan="first"), chat(answer="yes")])
    assert pieces(list(lms.stream(Plans(), q="?"))) == [("plan", "plan", "first"), ("self", "answer", "yes")]


def test_the_predictors_of_a_function_that_are_given_to_listeners_have_names_of_their_own(serve: Any) -> None:
    serve([chat(answer="one"), chat(answer="two")])
    first, second = lms.Predict("q -> answer"), lms.Predict("q -> answer")

    def program(q: str) -> Any:
        first(q=q)
        return second(q=q)

    listeners = [lms.StreamListener("answer", predict=each) for each in (first, second)]
    stream = lms.streamify(program, stream_listeners=listeners)("?")
    assert pieces(list(stream)) == [("self", "answer", "one"), ("self[1]", "answer", "two")]
    assert stream.partial == {"self.answer": "one", "self[1].answer": "two"}


def test_without_listeners_text_is_read_by_the_adapter(serve: Any) -> None:
    serve(Reply(chat(answer="yes it is"), cut=3))
    program = lms.streamify(lms.Predict("q -> answer"))
    assert "".join(program(q="?").text()) == "yes it is"
    assert list(program(q="?").snapshots())[-1] == "yes it is"


def test_without_listeners_text_that_had_come_stands_before_a_parse_error(serve: Any) -> None:
    serve("[[ ## answer ## ]]\nyes it is")
    with lms.context(adapter=lms.ChatAdapter(use_json_adapter_fallback=False)):
        stream = lms.streamify(lms.Predict("q -> answer, more"))(q="?")
    view, got = stream.text("answer"), []
    with pytest.raises(lms.AdapterParseError) as caught:
        for text in view:
            got.append(text)
    assert "".join(got) == caught.value.partial["answer"] == "yes it is"


# Errors, `partial`, `on_end`


def test_every_error_of_a_stream_carries_what_was_handed_out(serve: Any) -> None:
    server = serve(Reply(pieces=["[[ ## answer ## ]]\none", " two", " three"], stall_after=1))
    stream = answers()(q="?")
    next(stream)
    for wait in (stream.peek, stream.result):
        with pytest.raises(lms.StreamTimeout) as late:
            while True:
                wait(timeout=0.05)
                next(stream)
        assert late.value.partial == stream.partial == {"answer": "one"}
    seen: list[Any] = []
    stream.on_end(lambda s: seen.append((s.partial, s.outcome)))
    stream.close()
    with pytest.raises(lms.StreamClosed) as closed:
        next(stream)
    assert closed.value.partial == stream.partial
    assert seen == [({"answer": "one"}, "left")]
    server.release()


def test_an_interrupted_reply_carries_what_was_handed_out(serve: Any) -> None:
    serve(Reply(pieces=["[[ ## answer ## ]]\none", " two", " three"], drop_after=2), num_retries=0)
    stream = answers()(q="?")
    with pytest.raises(lms.LMInterrupted) as caught:
        list(stream)
    assert caught.value.partial == stream.partial == {"answer": "one two"}


def test_of_several_runs_partial_has_the_last(serve: Any) -> None:
    serve([chat(answer="one"), chat(answer="two")])
    ask = lms.Predict("q -> answer")

    def program(q: str) -> Any:
        ask(q=q)
        return ask(q=q)

    stream = lms.streamify(program, stream_listeners=[lms.StreamListener("answer", allow_reuse=True)])("?")
    stream.result()
    assert stream.partial == {"answer": "two"}


def test_who_saves_partial_at_the_end_saves_the_answer_of_a_cache_hit_too(serve: Any) -> None:
    saved: list[Any] = []
    with lms.context(cache=lms.LMRequestLRUCache()):
        server = serve(chat(answer="yes it is"), cache=True)
        for _ in range(2):
            stream = answers()(q="?")
            assert stream.partial == {"answer": ""}
            stream.on_end(lambda s: saved.append((s.partial["answer"], s.outcome)))
            list(stream)
    assert saved == [("yes it is", "completed")] * 2 and server.request_count == 1


@pytest.mark.parametrize("ending", ["completed", "left", "cancelled", "failed", "dropped"])
def test_on_end_is_called_once_however_it_ends(ending: str) -> None:
    go_on = threading.Event()
    told: list[str] = []
    came = threading.Event()

    async def program() -> AsyncIterator[int]:
        yield 1
        if ending == "failed":
            raise ValueError
        while not go_on.is_set() and ending != "completed":
            await asyncio.sleep(0.01)

    stream = lms.streamify(program)()

    def tell(ended: lms.Stream) -> None:
        told.append(str(ended.outcome))
        came.set()

    stream.on_end(tell)
    if ending == "cancelled":
        lms.cancel(stream.id)
    if ending == "left":
        stream.close()
    elif ending != "dropped":
        try:
            list(stream)
        except (ValueError, lms.StreamCancelled):
            pass
        stream.close()
    del stream
    assert came.wait(10)
    gc.collect()
    assert told == ["left" if ending == "dropped" else ending]
    go_on.set()


# Status messages


class Tells(lms.StatusMessageProvider):
    """Says the kind of each hook."""

    def tool_start_status_message(self, instance: Any, inputs: Any) -> str:
        return "tool_start"

    def tool_end_status_message(self, outputs: Any) -> str:
        return "tool_end"

    def module_start_status_message(self, instance: Any, inputs: Any) -> str:
        return "module_start"

    def module_end_status_message(self, outputs: Any) -> str:
        return "module_end"

    def lm_start_status_message(self, instance: Any, inputs: Any) -> str:
        return "lm_start"

    def lm_end_status_message(self, outputs: Any) -> str:
        return "lm_end"


def breaks(x: int) -> str:
    raise ValueError("it broke")


def finish() -> str:
    return "over"


class Uses(lms.Module):
    def __init__(self) -> None:
        self.breaks, self.finish = lms.Tool(breaks), lms.Tool(finish)
        self.inner = lms.ChainOfThought("q -> answer")

    def forward(self, q: str) -> Any:
        with pytest.raises(ValueError):
            self.breaks(x=1)
        self.finish()
        return self.inner(q=q)


class UsesAsync(Uses):
    async def aforward(self, q: str) -> Any:
        with pytest.raises(ValueError):
            await self.breaks.acall(x=1)
        await self.finish.acall()
        return await self.inner.acall(q=q)


@pytest.mark.parametrize("module", [Uses, UsesAsync])
def test_each_status_message_tells_what_it_is_of(serve: Any, module: type[lms.Module]) -> None:
    serve(chat(reasoning="so", answer="yes"))
    events = list(lms.streamify(module(), Tells(), [lms.StreamListener("answer")])(q="?"))
    said = [event for event in events if isinstance(event, lms.StatusMessage)]
    assert [(event.kind, event.name) for event in said] == [
        ("module_start", module.__name__),
        ("tool_start", "breaks"),
        ("tool_end", "breaks"),
        ("module_start", "ChainOfThought"),
        ("module_start", "Predict"),
        ("lm_start", "openai/scripted"),
        ("lm_end", "openai/scripted"),
        ("module_end", "Predict"),
        ("module_end", "ChainOfThought"),
        ("module_end", module.__name__),
    ]
    assert all(event.message == event.kind for event in said)
    start_of = {event.call_id: event for event in said if event.kind.endswith("start")}
    assert len(start_of) == 5
    assert all(start_of[event.call_id].name == event.name for event in said)
    assert said[0].inputs == {"q": "?"} and said[1].inputs == {"x": 1} and said[2].inputs is None
    assert isinstance(said[2].error, ValueError) and said[2].outputs is None
    assert said[6].outputs is not None and said[6].error is None
    assert said[-1].outputs is events[-1]


def test_a_failed_model_is_told_with_its_error(serve: Any) -> None:
    serve(Reply(status=401), num_retries=0)
    stream = lms.streamify(lms.Predict("q -> answer"), Tells(), ANSWER)(q="?")
    said: list[Any] = []
    with pytest.raises(lms.AuthenticationError) as caught:
        for event in stream:
            said.append(event)
    assert [event.kind for event in said] == ["module_start", "lm_start", "lm_end", "module_end"]
    assert said[2].error is said[3].error is caught.value


def test_a_hook_that_raises_is_logged_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(lms.StatusMessageProvider):
        def tool_start_status_message(self, instance: Any, inputs: Any) -> str:
            raise KeyError("no words")

    tool = lms.Tool(finish, name="search")
    events = list(lms.streamify(lambda: tool(), Broken())())
    assert [(event.kind, event.name) for event in events[:-1]] == [("tool_end", "search")]
    assert "tool_start" in caplog.text


class Sleeps(lms.BaseCallback):
    def on_module_start(self, call_id: str, instance: Any, inputs: Any) -> None:
        time.sleep(0.15)


@pytest.mark.parametrize("on_loop", [True, False])
def test_a_callback_that_sleeps_is_named_in_a_warning_where_it_holds_up_the_loop(
    on_loop: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Quick(lms.Module):
        if on_loop:

            async def aforward(self) -> int:
                return 1

        else:

            def forward(self) -> int:
                return 1

    with caplog.at_level(logging.WARNING), lms.context(callbacks=[Sleeps()]):
        lms.streamify(Quick())().result()
    assert ("Sleeps.on_module_start took" in caplog.text) is on_loop


# The asynchronous wrapper


def test_an_async_stream_tells_what_a_stream_tells(serve: Any) -> None:
    serve(Reply(chat(answer="yes it is"), cut=4))

    async def read() -> None:
        stream = answers(async_streaming=True)(q="?")
        assert isinstance(stream, lms.AsyncStream)
        told: list[Any] = []
        stream.on_end(lambda inner: told.append(inner.outcome))
        found = await stream.result(timeout=10)
        assert found.answer == "yes it is" and stream.prediction is found and await stream.result() is found
        assert stream.partial == {"answer": "yes it is"}
        assert stream.outcome == "completed" and stream.closed and stream.error is None
        assert stream.usage["openai/scripted"]["completion_tokens"] > 0
        assert stream.cost == stream.stream.cost
        assert set(stream.timings) == {"first", "total"} and stream.timings["total"] is not None
        assert stream.id == stream.stream.id and told == ["completed"]

    asyncio.run(read())


def test_an_async_stream_gives_text_and_snapshots(serve: Any) -> None:
    serve(Reply(chat(answer="yes it is")))
    program = answers(async_streaming=True)

    async def read() -> None:
        assert [text async for text in program(q="?").text()] == ["yes", " it", " is"]
        assert [text async for text in program(q="?").snapshots("answer")] == ["yes", "yes it", "yes it is"]
        with pytest.raises(lms.ListenerError):
            program(q="?").text("nothing")

    asyncio.run(read())


def test_a_text_view_of_an_async_stream_that_is_left_closes_the_provider(serve: Any) -> None:
    server = serve(Reply(chat(answer="yes it is"), cut=4, stall_after=8))

    async def read() -> None:
        async with answers(async_streaming=True)(q="?").text() as view:
            async for _ in view:
                break

    asyncio.run(read())
    server.wait_for_reader_left(1, timeout=5)


def test_an_error_comes_out_of_the_result_of_an_async_stream_again_and_again(serve: Any) -> None:
    serve(Reply(status=401), num_retries=0)

    async def read() -> None:
        stream = answers(async_streaming=True)(q="?")
        for _ in range(2):
            with pytest.raises(lms.AuthenticationError):
                await stream.result()

    asyncio.run(read())


# Deadlines


@pytest.mark.parametrize("where", ["worker", "loop"])
def test_a_context_entered_inside_the_program_counts_for_its_model_requests(serve: Any, where: str) -> None:
    server = serve(Reply("x", stall_after=0))
    ask = lms.Predict("q -> answer")

    def in_worker() -> str:
        with lms.context(timeout=lms.Timeout(first=0.2)), pytest.raises(lms.StreamTimeout) as caught:
            ask(q="?")
        return caught.value.which

    async def on_loop() -> str:
        with lms.context(timeout=lms.Timeout(first=0.2)), pytest.raises(lms.StreamTimeout) as caught:
            await ask.acall(q="?")
        return caught.value.which

    program: Any = in_worker if where == "worker" else on_loop
    assert lms.streamify(program, timeout=lms.Timeout(first=30))().result() == "first"
    server.release()


# Server-sent events


def test_a_raw_chunk_is_sent_as_the_providers_own_object(serve: Any) -> None:
    serve(chat(answer="yes"))
    sent = read_sse("".join(lms.streaming_response(lms.streamify(lms.Predict("q -> answer"))(q="?"))))
    chunks = [each["chunk"] for each in sent if "chunk" in each]
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]) == chat(
        answer="yes"
    )
    assert not any("predict_id" in chunk for chunk in chunks)
    assert sent[-1] == {"prediction": {"answer": "yes"}}


def test_events_of_the_programs_own_that_are_the_librarys_have_its_shapes() -> None:
    def shape(event: Any) -> Any:
        return json.loads(encode_event(event).removeprefix("data: "))

    assert shape(lms.StatusMessage("busy")) == {"status": "busy"}
    assert shape(lms.StreamRestart("self", "answer", "again")) == {
        "restart": {"predict_name": "self", "signature_field_name": "answer", "reason": "again"}
    }
    response = lms.StreamResponse("self", "answer", "a", True)
    assert shape(response) == {"chunk": response.json()}
    assert shape({"n": (1, 2)}) == {"event": {"n": [1, 2]}}
    assert encode_event("data: x") == "data: x\n\n"


def test_pieces_that_a_program_makes_itself_are_accounted_for() -> None:
    def program() -> Iterator[Any]:
        yield lms.StreamResponse("mine", "story", "Once ", False)
        yield lms.StreamResponse("mine", "story", "upon", True)

    assert list(lms.streamify(program)().text("story")) == ["Once ", "upon"]
    stream = lms.streamify(program)()
    list(stream)
    assert stream.partial == {"story": "Once upon"}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_response_closed_before_its_first_item_closes_the_provider(serve: Any, asynchronous: bool) -> None:
    server = serve(Reply(chat(answer="yes it is"), cut=4, stall_after=8))
    stream = answers(async_streaming=asynchronous)(q="?")
    server.wait_for_request(1)

    async def leave() -> None:
        async with lms.streaming_response(stream):
            pass

    if asynchronous:
        asyncio.run(leave())
    else:
        lms.streaming_response(stream).close()
    server.wait_for_reader_left(1, timeout=5)
    assert stream.outcome == "left"


def test_a_heartbeat_comes_in_an_asynchronous_response_too(serve: Any) -> None:
    server = serve(Reply(chat(answer="yes"), cut=4, stall_after=1))

    async def read() -> list[str]:
        response = lms.streaming_response(answers(async_streaming=True)(q="?"), heartbeat=0.02)
        first = await response.__anext__()
        server.release()
        return [first, *[event async for event in response]]

    sent = asyncio.run(read())
    assert sent[0].startswith(":") and sent[-1] == "data: [DONE]\n\n"
