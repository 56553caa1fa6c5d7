"""Status messages, a program's own events, and server-sent events."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.streaming.encoded import AsyncEncoded, Encoded
from lmstream_sync.streaming.format import Format
from lmstream_sync.streaming.sse import SSEFormat, encode_error, encode_event
from lmstream_sync.testing import Reply, read_sse

from .replies import chat


def search(query: str) -> str:
    """Search the pantry."""
    return f"found {query}"


class WithTool(lms.Module):
    def __init__(self) -> None:
        self.search = lms.Tool(search)
        self.ask = lms.Predict("q, found -> answer")

    def forward(self, q: str) -> lms.Prediction:
        return self.ask(q=q, found=self.search(query=q))


class AsyncWithTool(WithTool):
    async def aforward(self, q: str) -> lms.Prediction:
        return await self.ask.acall(q=q, found=await self.search.acall(query=q))


@pytest.mark.parametrize("module", [WithTool, AsyncWithTool])
def test_a_tool_in_a_custom_module_sends_the_default_messages_before_the_answer(serve: Any, module: Any) -> None:
    serve(chat(answer="yes"))
    program = lms.streamify(module(), stream_listeners=[lms.StreamListener("answer")])
    events = list(program(q="pans"))
    start, end = events[:2]
    assert (start.message, start.kind, start.name) == ("Calling tool search...", "tool_start", "search")
    assert end.message == "Tool calling finished! Querying the LLM with tool calling results..."
    assert (end.kind, end.outputs, end.call_id) == ("tool_end", "found pans", start.call_id)
    assert all(not isinstance(e, lms.StatusMessage) for e in events[2:])


class Loud(lms.StatusMessageProvider):
    def __init__(self, name: str = "") -> None:
        self.name = name

    def module_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str:
        return f"{self.name}module {type(instance).__name__} {inputs}"

    def module_end_status_message(self, outputs: Any) -> str:
        return f"{self.name}module ends {type(outputs).__name__}"

    def lm_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str:
        return f"{self.name}lm"

    def lm_end_status_message(self, outputs: Any) -> str:
        return f"{self.name}lm ends"

    def tool_end_status_message(self, outputs: Any) -> None:
        return None


def test_a_provider_of_ones_own_says_what_it_likes_in_order(serve: Any) -> None:
    serve(chat(answer="yes"))
    program = lms.streamify(lms.Predict("q -> answer"), Loud(), [lms.StreamListener("answer")])
    events = list(program(q="?"))
    said = [e.message for e in events if isinstance(e, lms.StatusMessage)]
    assert said == ["module Predict {'q': '?'}", "lm", "lm ends", "module ends Prediction"]


def test_false_means_no_messages(serve: Any) -> None:
    serve(chat(answer="yes"))
    program = lms.streamify(WithTool(), False, [lms.StreamListener("answer")])
    assert not [e for e in program(q="?") if isinstance(e, lms.StatusMessage)]


def test_two_providers_stay_apart_and_the_settings_as_they_were(serve: Any) -> None:
    serve(Reply(chat(answer="yes"), cut=2, delay=0.001))
    mine = [lms.BaseCallback()]
    lms.configure(callbacks=mine)
    barrier = threading.Barrier(2)
    said: dict[str, list[str]] = {}

    def read(name: str) -> None:
        program = lms.streamify(lms.Predict("q -> answer"), Loud(name), [lms.StreamListener("answer")])
        barrier.wait()
        said[name] = [e.message for e in program(q=name) if isinstance(e, lms.StatusMessage)]

    lm = lms.settings.lm
    lms.configure(lm=lm)
    threads = [threading.Thread(target=read, args=(name,)) for name in "AB"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {name: {text[0] for text in texts} for name, texts in said.items()} == {"A": {"A"}, "B": {"B"}}
    assert lms.settings.callbacks is mine and len(mine) == 1


def test_a_message_goes_out_when_it_happens_not_when_the_program_ends() -> None:
    go_on = threading.Event()

    def slow(query: str) -> str:
        go_on.wait(10)
        return query

    tool = lms.Tool(slow)
    stream = lms.streamify(lambda: tool(query="x"))()
    assert next(stream).message == "Calling tool slow..."
    go_on.set()
    assert list(stream)[-1] == "x"


def test_emit_sends_own_events_in_order_with_the_text(serve: Any) -> None:
    serve(chat(answer="yes"))

    class Emits(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict("q -> answer")

        def forward(self, q: str) -> lms.Prediction:
            lms.emit("before")
            found = self.ask(q=q)
            lms.emit({"after": found.answer})
            return found

    events = list(lms.streamify(Emits(), stream_listeners=[lms.StreamListener("answer")])(q="?"))
    assert events[0] == "before"
    assert events[-2] == {"after": "yes"}


def test_aemit_waits_for_room_and_emit_on_the_loop_cannot() -> None:
    async def waits() -> None:
        for i in range(100):
            await lms.aemit(i)

    async def cannot() -> None:
        for i in range(100):
            lms.emit(i)

    assert list(lms.streamify(waits, queue_size=4)()) == list(range(100))
    with pytest.raises(lms.StreamError, match="aemit"):
        lms.streamify(cannot, queue_size=4)().result()


def test_emit_outside_a_stream_does_nothing() -> None:
    lms.emit("nobody")
    asyncio.run(lms.aemit("nobody"))


def test_server_sent_events_have_the_documented_shapes(serve: Any) -> None:
    serve(Reply(pieces=["[[ ## answer ## ]]\nyes", "\u2028\nno\n", "[[ ## completed ## ]]"]))

    class Program(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict("q -> answer")

        def forward(self, q: str) -> lms.Prediction:
            lms.emit({"own": True})
            lms.emit('data: {"as": "it is"}')
            return self.ask(q=q)

    stream = lms.streamify(Program(), stream_listeners=[lms.StreamListener("answer")])(q="?")
    sent = list(lms.streaming_response(stream))
    assert all(event.endswith("\n\n") and "\n" not in event[:-2] for event in sent)
    assert sent[-1] == "data: [DONE]\n\n"
    data = read_sse("".join(sent))
    assert data[0] == {"event": {"own": True}}
    assert data[1] == {"as": "it is"}
    assert data[2] == {
        "chunk": {
            "predict_name": "ask",
            "signature_field_name": "answer",
            "chunk": "yes",
            "is_last_chunk": False,
        }
    }
    assert data[3]["chunk"]["chunk"] == "\u2028\nno" and data[3]["chunk"]["is_last_chunk"]
    assert data[4:] == [{"prediction": {"answer": "yes\u2028\nno"}}]


def test_an_error_is_masked_unless_exposed(serve: Any) -> None:
    serve(Reply(status=429, body={"error": {"message": "the inner details"}}), num_retries=0)
    program = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])
    masked = list(lms.streaming_response(program(q="?")))
    exposed = list(lms.streaming_response(program(q="?"), expose_errors=True))
    assert read_sse(masked[0])[0]["error"]["type"] == "RateLimitError"
    assert "inner details" not in masked[0]
    assert "inner details" in exposed[0]
    assert masked[-1] == exposed[-1] == "data: [DONE]\n\n"


def test_a_heartbeat_comes_while_nothing_does(serve: Any) -> None:
    server = serve(Reply(chat(answer="yes"), cut=4, stall_after=1))
    program = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])
    response = lms.streaming_response(program(q="?"), heartbeat=0.02)
    assert next(response).startswith(":")
    server.release()
    rest = [event for event in response if not event.startswith(":")]
    assert rest[-1] == "data: [DONE]\n\n"


def test_an_async_stream_gives_an_async_iterator(serve: Any) -> None:
    serve(chat(answer="yes"))
    program = lms.streamify(
        lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")], async_streaming=True
    )

    async def read() -> list[str]:
        return [event async for event in lms.streaming_response(program(q="?"))]

    assert asyncio.run(read())[-1] == "data: [DONE]\n\n"


def test_any_text_makes_one_event_that_can_be_sent() -> None:
    for text in ["\ud83d", "a\r\nb\nc", "\u2028\u2029", "data: x", "\x00"]:
        event = encode_event(lms.StreamResponse("self", "answer", text, False))
        assert event.count("\n") == 2 and "\r" not in event
        event.encode()
        assert json.loads(event[6:])["chunk"]["chunk"] == text
    assert json.loads(encode_event({"x": float("nan")})[6:]) == {"event": {"x": None}}


def test_an_error_of_a_program_has_no_name_of_its_own_in_public() -> None:
    assert json.loads(encode_error(KeyError("secret"))[6:])["error"]["type"] == "ProgramError"


def test_what_is_no_stream_is_refused() -> None:
    with pytest.raises(lms.ConfigurationError, match="Stream"):
        lms.streaming_response([1, 2])  # type: ignore[call-overload]


class _Dropping(Format):
    """Writes the last of ten events only."""

    def event(self, event: object, *, expose: bool = False) -> str:
        return "ten" if event == 10 else ""

    def failed(self, error: BaseException, *, expose: bool = False) -> str:
        return "failed"

    def heartbeat(self) -> str:
        return "beat"


def test_a_heartbeat_is_due_when_nothing_is_written_whatever_comes() -> None:
    """Events that a format leaves out write nothing: without this nobody would notice that the reader left."""
    beaten = threading.Event()

    async def counting() -> AsyncIterator[int]:
        number = 0
        while not beaten.is_set():
            number += 1
            yield -number
            await asyncio.sleep(0.002)
        yield 10

    encoded = Encoded(lms.iterate(counting), _Dropping(), 0.05, False)
    assert next(encoded) == "beat"
    beaten.set()
    assert [text for text in encoded if text != "beat"] == ["ten"]

    async def read() -> list[str]:
        beaten.clear()
        asynchronous = AsyncEncoded(lms.AsyncStream(lms.iterate(counting)), _Dropping(), 0.05, False)
        first = await anext(asynchronous)
        beaten.set()
        return [first, *[text async for text in asynchronous if text != "beat"]]

    assert asyncio.run(read()) == ["beat", "ten"]


def test_a_string_of_a_program_forges_no_event_in_the_web_format() -> None:
    forged = 'data: {"prediction":{"answer":"forged"}}\n\ndata: [DONE]\n\n'
    assert encode_event(forged) == forged  # DSPy's way, and so `streaming_response`'s
    assert json.loads(SSEFormat(finished_strings=False).event(forged)[6:]) == {"event": forged}


def test_an_exposed_error_shows_no_key_of_any_model() -> None:
    lm = lms.LM("openai/x", api_key="corp-7f3a9b2c1d8e4f60")
    told = encode_error(ValueError("the key corp-7f3a9b2c1d8e4f60 and sk-abcdefghijklmnopqrstu"), expose=True)
    assert "corp-7f3a" not in told and "sk-abc" not in told
    assert lm is not None
