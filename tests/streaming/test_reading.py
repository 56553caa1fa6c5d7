"""Other ways to read: `text`, `snapshots`, `peek`, `result`, and what a stream tells of itself."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.testing import Reply

from .replies import chat


def listening(*fields: str, program: Any = None) -> Any:
    listeners = [lms.StreamListener(field) for field in fields]
    return lms.streamify(program or lms.Predict("q -> answer"), stream_listeners=listeners)


def test_text_gives_the_pieces_of_the_only_listened_field(serve: Any) -> None:
    serve(Reply(pieces=["[[ ## answer ## ]]\n", "a", "b", "c!\n\n[[ ## completed ## ]]"]))
    assert list(listening("answer")(q="?").text()) == ["a", "b", "c!"]


def test_snapshots_give_the_text_so_far(serve: Any) -> None:
    serve(Reply(pieces=["[[ ## answer ## ]]\n", "a", "b", "c!\n\n[[ ## completed ## ]]"]))
    assert list(listening("answer")(q="?").snapshots()) == ["a", "ab", "abc!"]


def test_text_without_listeners_reads_the_only_string_field(serve: Any) -> None:
    serve(Reply(chat(answer="one two", score="1"), cut=4))
    stream = lms.streamify(lms.Predict("q -> answer, score: int"))(q="?")
    assert "".join(stream.text()) == "one two"
    assert stream.result().score == 1


def test_of_several_fields_one_must_be_named(serve: Any) -> None:
    serve(chat(answer="A", reasoning="R"))
    program = listening("answer", "reasoning", program=lms.Predict("q -> answer, reasoning"))
    with pytest.raises(lms.ListenerError, match="answer, reasoning"):
        program(q="?").text()
    assert "".join(program(q="?").text("reasoning")) == "R"


def test_a_field_nobody_listens_to_is_refused(serve: Any) -> None:
    serve(chat(answer="A"))
    with pytest.raises(lms.ListenerError, match="'other'"):
        listening("answer")(q="?").text("other")


def test_on_a_cache_hit_the_whole_text_comes_once(serve: Any) -> None:
    serve(chat(answer="cached text"), cache=True)
    program = listening("answer")
    list(program(q="a cache hit"))
    assert list(program(q="a cache hit").text()) == ["cached text"]
    assert list(program(q="a cache hit").snapshots()) == ["cached text"]


def test_peek_leaves_the_event_in_the_stream(serve: Any) -> None:
    serve(chat(answer="yes"))
    stream = listening("answer")(q="?")
    seen = stream.peek()
    assert stream.peek() is seen
    assert next(stream) is seen


def test_peek_for_output_looks_past_status_messages_and_own_events() -> None:
    def program() -> Any:
        lms.emit({"own": 1})
        lms.emit(2)
        yield "output"
        lms.emit(3)

    stream = lms.streamify(program)()
    assert stream.peek("output") == "output"
    assert list(stream) == [{"own": 1}, 2, "output", 3]


def test_peek_raises_the_error_and_leaves_it_in_the_stream(serve: Any) -> None:
    serve(Reply(status=401))
    stream = listening("answer")(q="?")
    with pytest.raises(lms.AuthenticationError):
        stream.peek("output")
    assert stream.outcome is None
    with pytest.raises(lms.AuthenticationError):
        next(stream)
    assert list(stream) == []


def test_peek_at_the_end_gives_none() -> None:
    stream = lms.streamify(lambda: None)()
    assert stream.peek() is None
    assert list(stream) == []


def test_a_timeout_of_peek_and_result_leaves_the_stream_going(serve: Any) -> None:
    server = serve(Reply(chat(answer="yes"), cut=4, stall_after=1))
    stream = listening("answer")(q="?")
    with pytest.raises(lms.StreamTimeout) as peeked:
        stream.peek("output", timeout=0.05)
    with pytest.raises(lms.StreamTimeout) as waited:
        stream.result(timeout=0.05)
    assert (peeked.value.which, waited.value.which) == ("peek", "result")
    server.release()
    assert stream.result(timeout=10).answer == "yes"


def test_a_stream_tells_of_itself(serve: Any) -> None:
    serve(Reply(chat(answer="yes"), usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}))
    stream = listening("answer")(q="?")
    assert stream.outcome is None and not stream.closed and stream.error is None
    list(stream)
    assert stream.outcome == "completed" and stream.closed
    assert stream.partial == {"answer": "yes"}
    (usage,) = stream.usage.values()
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (7, 3, 10)
    assert not usage.get("estimated")
    assert 0 < stream.timings["first"] <= stream.timings["total"]
    assert len(stream.id) >= 16


def test_on_end_is_called_once_and_also_when_it_comes_late(serve: Any) -> None:
    serve(chat(answer="yes"))
    stream = listening("answer")(q="?")
    called: list[str] = []
    stream.on_end(lambda s: called.append(s.partial["answer"]))
    list(stream)
    stream.close()
    stream.on_end(lambda s: called.append("late"))
    assert called == ["yes", "late"]


def test_async_for_reads_a_stream_in_the_readers_own_loop(serve: Any) -> None:
    serve(Reply(chat(answer="one two three"), cut=3))

    async def read() -> tuple[str, Any]:
        text, final = "", None
        async for event in listening("answer")(q="?"):
            if isinstance(event, lms.StreamResponse):
                text += event.chunk
            else:
                final = event
        return text, final

    text, final = asyncio.run(read())
    assert text == final.answer == "one two three"


def test_leaving_an_async_for_closes_the_provider(serve: Any) -> None:
    server = serve(Reply(chat(answer="word " * 500), cut=5, delay=0.005))

    async def read() -> None:
        async with listening("answer")(q="?") as stream:
            async for _ in stream:
                break

    asyncio.run(read())
    server.wait_for_reader_left(1, timeout=5)


def test_cancelling_a_waiting_async_reader_loses_no_event(serve: Any) -> None:
    server = serve(Reply(chat(answer="one two three"), cut=4, stall_after=7))

    async def read() -> str:
        stream = lms.streamify(
            lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")], async_streaming=True
        )(q="?")
        text = ""
        while True:
            try:
                event = await asyncio.wait_for(anext(stream), 0.05)
            except asyncio.TimeoutError:
                server.release()
                continue
            except StopAsyncIteration:
                return text
            if isinstance(event, lms.StreamResponse):
                text += event.chunk

    assert asyncio.run(read()) == "one two three"


def test_messages_in_text_out_needs_no_signature(serve: Any) -> None:
    server = serve(Reply("Hello there.", cut=3, reasoning="A greeting."))
    lm = server.lm()
    stream = lms.stream(lm, messages=[{"role": "user", "content": "Hi"}])
    events = list(stream)
    by_field: dict[str, str] = {}
    for event in events[:-1]:
        by_field[event.signature_field_name] = by_field.get(event.signature_field_name, "") + event.chunk
    assert by_field == {"reasoning": "A greeting.", "text": "Hello there."}
    final = events[-1]
    assert (final.text, final.reasoning) == ("Hello there.", "A greeting.")
    assert server.requests[0].body["messages"] == [{"role": "user", "content": "Hi"}]
    assert "".join(lms.stream(lm, "Hi").text()) == "Hello there."


def sent(content: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


@pytest.mark.parametrize("late", [(), (sent(" and more"),)], ids=["last piece", "a piece after it"])
def test_the_piece_with_the_finish_reason_is_the_last_chunk_unless_more_comes(serve: Any, late: Any) -> None:
    server = serve(Reply(raw=[sent("one"), sent(" two", "stop"), *late, b"data: [DONE]\n\n"]))
    stream = lms.stream(server.lm(), "Hi")
    chunks = [e for e in stream if isinstance(e, lms.StreamResponse)]
    assert "".join(e.chunk for e in chunks) == stream.result().text
    assert [e.is_last_chunk for e in chunks] == [False] * (len(chunks) - 1) + [True]


def test_plain_calls_work_too(serve: Any) -> None:
    server = serve(chat(answer="yes"))
    assert lms.Predict("q -> answer")(q="?").answer == "yes"
    assert server.lm()("Hi") == [chat(answer="yes")]


def test_warm_up_opens_the_connection_that_the_first_stream_uses(serve: Any) -> None:
    server = serve(chat(answer="yes"))
    lms.warm_up()
    assert (server.open_connections, server.request_count) == (1, 0)
    assert listening("answer")(q="?").result().answer == "yes"
    assert server.open_connections == 1


def test_warm_up_of_a_dead_server_is_no_error_and_of_something_else_is_one() -> None:
    lms.warm_up(lms.LM("openai/x", api_base="http://127.0.0.1:9/v1", api_key="sk-test"))
    with pytest.raises(lms.ConfigurationError, match=r"lms\.LM"):
        lms.warm_up("openai/gpt-4o-mini")  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["fallbacks", "on_interrupt", "max_reply_bytes"])
def test_an_option_that_is_still_to_come_is_refused(option: str) -> None:
    with pytest.raises(lms.ConfigurationError, match=option):
        lms.LM("openai/x", **{option: "restart"})
