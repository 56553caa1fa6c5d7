"""Real HTTP through each engine: what comes, what breaks, what is closed."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.errors import (
    BadRequestError,
    ContextWindowExceededError,
    LMConnectionError,
    LMError,
    LMInterrupted,
    LMProtocolError,
    RateLimitError,
    ServerError,
    StreamCancelled,
    StreamTimeout,
)
from lmstream_sync.lm import LM, direct_http, litellm_wire
from lmstream_sync.runtime import crossing
from lmstream_sync.runtime.call import current_call
from lmstream_sync.runtime.register import cancel
from lmstream_sync.runtime.timeout import Timeout
from lmstream_sync.testing import Gate, Reply, ScriptedServer
from tests.lm import wire_formats as wire
from tests.lm.conftest import RecordingTap
from tests.lm.raw_server import HEAD, chunked, read_request, speaking
from tests.runtime.programs import SOON

ASKED = [{"role": "user", "content": "q"}]


def sse(*data: str) -> list[bytes]:
    return [f"data: {line}\n\n".encode() for line in data]


def piece(delta: str, finish: str = "null", index: int = 0) -> str:
    return f'{{"id":"c","choices":[{{"index":{index},"delta":{delta},"finish_reason":{finish}}}]}}'


def test_a_reply_comes_in_the_providers_pieces(engine: str, tap: RecordingTap) -> None:
    with ScriptedServer(Reply(pieces=["he", "llo", " wor", "ld"])) as server:
        reply = server.lm(
            engine=engine,
        ).request(ASKED, {}, tap)
    assert tap.pieces == ["he", "llo", " wor", "ld"]
    assert reply.choices[0].text == "hello world" and reply.choices[0].finish_reason == "stop"
    assert tap.reply is reply


class SafeText(str):
    """As frameworks have for text that needs no escaping."""


def test_a_text_of_a_class_of_its_own_is_sent_as_text(engine: str, tap: RecordingTap) -> None:
    with ScriptedServer(Reply("fine")) as server:
        server.lm(engine=engine).request([{"role": "user", "content": SafeText("<b>")}], {"stop": SafeText("me")}, tap)
        body = server.requests[0].body
    assert (body["messages"], body["stop"]) == ([{"role": "user", "content": "<b>"}], "me")


def test_what_one_read_brought_comes_as_one_list(engine: str, tap: RecordingTap) -> None:
    body = b"".join(sse(*(piece(f'{{"content":"{n}"}}') for n in range(9)), piece("{}", '"stop"'), "[DONE]"))
    with ScriptedServer(Reply(raw=[body])) as server:
        server.lm(
            engine=engine,
        ).request(ASKED, {}, tap)
    assert [len(batch) for batch in tap.batches][0] >= 9


def test_usage_is_asked_for_and_comes(engine: str, tap: RecordingTap) -> None:
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    with ScriptedServer(Reply("a b c d", usage=usage)) as server:
        reply = server.lm(
            engine=engine,
        ).request(ASKED, {}, tap)
        assert server.requests[0].body["stream_options"] == {"include_usage": True}
    assert (reply.usage["total_tokens"], reply.usage["cached_tokens"], "estimated" in reply.usage) == (7, 2, False)


def test_an_endpoint_that_refuses_to_report_usage_is_asked_without(engine: str, tap: RecordingTap) -> None:
    def answer(body: dict[str, Any]) -> Reply:
        if "stream_options" in body:
            return Reply(status=400, body={"error": {"message": "Unrecognized argument: stream_options"}})
        return Reply("fine", usage=False)

    with ScriptedServer(answer) as server:
        lm = server.lm(
            engine=engine,
        )
        assert lm.request(ASKED, {}, tap).usage["estimated"] is True
        assert len(server.requests) == 2
        lm.request(ASKED, {}, tap)
        assert len(server.requests) == 3


def test_usage_that_nobody_reported_is_an_estimate(engine: str, tap: RecordingTap) -> None:
    with ScriptedServer(Reply("a b c d", usage=False)) as server:
        assert (
            server.lm(
                engine=engine,
            )
            .request(ASKED, {}, tap)
            .usage["estimated"]
            is True
        )


def test_reasoning_tool_calls_and_further_choices_come_whole(engine: str, tap: RecordingTap) -> None:
    calls = [{"name": "find", "arguments": {"q": "x"}}]
    with ScriptedServer(
        [Reply("text", reasoning="hm hm"), Reply(tool_calls=calls), Reply("a b", alternatives=["c d"])]
    ) as server:
        lm = server.lm(
            engine=engine,
        )
        assert lm.request(ASKED, {}, tap).choices[0].reasoning == "hm hm"
        assert any(delta.reasoning for delta in tap.deltas)
        choice = lm.request(ASKED, {}, RecordingTap()).choices[0]
        assert choice.tool_calls[0]["function"]["name"] == "find" and choice.finish_reason == "tool_calls"
        both = lm.request(ASKED, {"n": 2}, RecordingTap()).choices
        assert [(choice.text, choice.finish_reason) for choice in both] == [("a b", "stop"), ("c d", "stop")]


def test_chunks_may_lack_role_index_and_model(engine: str, tap: RecordingTap) -> None:
    raw = sse('{"choices":[{"delta":{"content":"bare"}}]}', '{"choices":[{"delta":{},"finish_reason":"stop"}]}')
    with ScriptedServer(Reply(raw=raw)) as server:
        assert (
            server.lm(
                engine=engine,
            )
            .request(ASKED, {}, tap)
            .choices[0]
            .text
            == "bare"
        )


def test_a_piece_that_repeats_is_no_error(engine: str, tap: RecordingTap) -> None:
    with ScriptedServer(Reply(pieces=["-----"] * 250)) as server:
        assert (
            server.lm(
                engine=engine,
            )
            .request(ASKED, {}, tap)
            .choices[0]
            .text
            == "-----" * 250
        )


def test_a_whole_response_where_a_stream_was_asked_for_is_taken(engine: str, tap: RecordingTap) -> None:
    with ScriptedServer(Reply("all at once", whole=True)) as server:
        assert (
            server.lm(
                engine=engine,
            )
            .request(ASKED, {}, tap)
            .choices[0]
            .text
            == "all at once"
        )
    assert tap.pieces == ["all at once"]


def test_no_key_is_demanded_before_the_provider_does(
    engine: str,
) -> None:
    with ScriptedServer("fine") as server:
        assert LM(engine=engine, model="openai/x", api_base=server.url, cache=False)("q") == ["fine"]


@pytest.mark.parametrize(
    "ending", [{"finish_reason": None}, {"done": False}, {"finish_reason": None, "done": False}], ids=str
)
def test_an_end_is_believed_where_the_provider_said_it(engine: str, ending: dict[str, Any], tap: RecordingTap) -> None:
    with ScriptedServer(Reply("a b c", **ending)) as server:
        if len(ending) == 1:
            assert (
                server.lm(
                    engine=engine,
                )
                .request(ASKED, {}, tap)
                .choices[0]
                .text
                == "a b c"
            )
        else:
            with pytest.raises(LMInterrupted):
                server.lm(
                    engine=engine,
                ).request(ASKED, {}, tap)
            assert not any(delta.finish_reason for delta in tap.deltas)
            assert len(server.requests) == 1


def test_a_choice_that_did_not_end_is_a_broken_reply(engine: str, tap: RecordingTap) -> None:
    raw = sse(piece('{"content":"a"}'), piece('{"content":"x"}', index=1), piece("{}", '"stop"'))
    with ScriptedServer(Reply(raw=raw)) as server, pytest.raises(LMInterrupted):
        server.lm(
            engine=engine,
        ).request(ASKED, {"n": 2}, tap)


GOOD = [*sse(piece('{"content":"a"}'), piece("{}", '"stop"')), b"data: [DONE]\n\n"]


@pytest.mark.parametrize(("engine", "transport"), [("direct", ""), ("litellm", "aiohttp"), ("litellm", "httpx")])
@pytest.mark.parametrize("then", ["nothing", "a comment", "the connection's end"])
def test_a_body_that_does_not_end_after_done_is_left(
    engine: str,
    then: str,
    transport: str,
    tap: RecordingTap,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if transport == "httpx":
        import litellm

        monkeypatch.setattr(litellm, "disable_aiohttp_transport", True)
    left = threading.Event()

    def speak(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(HEAD + b"".join(map(chunked, GOOD)))
        if then == "a comment":
            connection.sendall(chunked(b": more\n\n"))
        if then == "the connection's end" or not read_request(connection):
            left.set()

    with speaking(speak) as place:
        lm = LM("openai/m", engine=engine, api_base=f"http://{place}/v1", api_key="k", cache=False, num_retries=0)
        reply = lm.request(ASKED, {}, tap)
        assert left.wait(SOON), "the connection was kept"
    assert (reply.choices[0].text, reply.choices[0].finish_reason) == ("a", "stop")
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def test_a_request_is_cancelled_while_it_waits_for_the_end_after_done(
    engine: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (direct_http, litellm_wire):
        monkeypatch.setattr(module, "END_SECONDS", 2 * SOON)
    left = threading.Event()

    def speak(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(HEAD + chunked(b"".join(GOOD)))
        if not read_request(connection):
            left.set()

    with speaking(speak) as place:
        tap = NamingTap()
        lm = LM("openai/m", engine=engine, api_base=f"http://{place}/v1", api_key="k", cache=False, num_retries=0)
        thread, raised = in_a_thread(lm, tap)
        assert tap.fed.wait(SOON)
        assert cancel(tap.call_id)
        assert left.wait(SOON)
        thread.join(SOON)
    assert [type(error) for error in raised] == [StreamCancelled]
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4])
def test_a_byte_order_mark_before_everything_is_no_text(engine: str, cut: int, tap: RecordingTap) -> None:
    body = MARK + b"".join(GOOD)
    raw = [*(body[at : at + 1] for at in range(cut)), body[cut:]]
    with ScriptedServer(Reply(raw=raw)) as server:
        assert server.lm(engine=engine).request(ASKED, {}, tap).choices[0].text == "a"


def test_half_of_a_mark_is_something_else(engine: str, tap: RecordingTap) -> None:
    with ScriptedServer(Reply(raw=[MARK[:1], MARK[1:2]])) as server, pytest.raises((LMProtocolError, LMInterrupted)):
        server.lm(engine=engine, num_retries=0).request(ASKED, {}, tap)


FAULTS: list[tuple[Reply, type[LMError], int | None]] = [
    (Reply(status=400), BadRequestError, 400),
    (Reply(status=404), BadRequestError, 404),
    (Reply(status=403), LMError, 403),
    (Reply(status=500), ServerError, 500),
    (Reply(status=503), ServerError, 503),
    (Reply(status=429), RateLimitError, 429),
    (
        Reply(
            status=400, body={"error": {"message": "maximum context length is 5", "code": "context_length_exceeded"}}
        ),
        ContextWindowExceededError,
        400,
    ),
    (Reply("x", drop_after=0), LMConnectionError, None),
    (Reply("a b c", drop_after=2), LMInterrupted, None),
    (Reply("a b c", malformed_after=2), LMProtocolError, None),
    (Reply("a b c", malformed_after=0), LMProtocolError, None),
    (Reply("a b c", error_after=2), LMInterrupted, None),
    (Reply(raw=[b"<html>hello</html>"], content_type="text/html"), LMProtocolError, None),
    (Reply(raw=[b'{"hello": 1}'], content_type="application/json"), LMProtocolError, None),
    (Reply(raw=[b"hello"], content_type="text/plain"), LMProtocolError, None),
    (Reply(raw=sse("[1, 2]", "[DONE]")), LMProtocolError, None),
    (Reply("a b c", error_after=0, body={"error": "overloaded"}), ServerError, 500),
    (Reply(raw=[]), LMInterrupted, None),
]


@pytest.mark.parametrize(("fault", "kind", "status"), FAULTS)
def test_faults_have_names(
    engine: str, fault: Reply, kind: type[LMError], status: int | None, tap: RecordingTap
) -> None:
    with ScriptedServer(fault) as server, pytest.raises(kind) as caught:
        server.lm(engine=engine, num_retries=0).request(ASKED, {}, tap)
    assert caught.value.model == "openai/scripted" or caught.value.model
    if kind is not LMInterrupted:
        # (Where an error object has no status, litellm makes one up.)
        assert caught.value.status_code in ({status, None} if fault.error_after is not None else {status})


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_whole_request_fails_by_the_same_names(engine: str, status: int, tap: RecordingTap) -> None:
    kinds = []
    with ScriptedServer(Reply(status=status)) as server:
        for each in (tap, None):
            with pytest.raises(LMError) as caught:
                server.lm(engine=engine, num_retries=0).request(ASKED, {}, each)
            kinds.append((type(caught.value), caught.value.status_code))
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Reply("a b c", drop_after=0), LMConnectionError),
        (Reply("a b c", drop_after=2), LMInterrupted),
        (Reply("a b c", malformed_after=1), LMProtocolError),
        (Reply("a b c", error_after=0), ServerError),
        (Reply(raw=[b"{}"]), LMProtocolError),
        (Reply(raw=[b'{"choices": []}']), LMProtocolError),
        (Reply(raw=[b"<html>hello</html>"], content_type="text/html"), LMProtocolError),
    ],
)
def test_the_faults_of_a_whole_reply_have_names(engine: str, fault: Reply, kind: type[LMError]) -> None:
    with ScriptedServer(fault) as server, pytest.raises(LMError) as caught:
        server.lm(engine=engine, num_retries=0)("q")
    assert type(caught.value) is kind
    assert caught.value.provider == "openai"
    assert caught.value.status_code in ({None, 500} if fault.error_after is not None else {None})
    assert "litellm." not in str(caught.value)


def test_a_connection_opened_ahead_is_the_one_that_is_used(engine: str, tap: RecordingTap) -> None:
    gate = Gate()
    with ScriptedServer(Reply("a b", pauses={1: gate})) as server:
        lm = server.lm(
            engine=engine,
        )
        crossing.run(lm.connect, instead="await lm.connect()", name="connect")
        assert (server.open_connections, server.request_count) == (1, 0)
        asking = threading.Thread(target=lm.request, args=(ASKED, {}, tap))
        asking.start()
        gate.wait()
        assert server.open_connections == 1
        gate.release()
        asking.join()


@pytest.mark.parametrize("model", ["openai/x", "anthropic/claude-x", "no-such-provider"])
def test_what_fails_while_connecting_ahead_is_nobodys(
    engine: str, model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    lm = LM(engine=engine, model=model, api_base="http://127.0.0.1:9/v1")
    crossing.run(lm.connect, instead="await lm.connect()", name="connect")
    assert capfd.readouterr().out == ""


def test_an_unreachable_server_is_said_to_be_so(
    engine: str,
) -> None:
    with pytest.raises(LMConnectionError, match="could not be reached") as caught:
        LM(engine=engine, model="openai/x", api_base="http://127.0.0.1:9/v1", api_key="k", cache=False, num_retries=0)(
            "q"
        )
    assert caught.value.status_code is None


def test_before_the_first_token_it_is_tried_again(engine: str, tap: RecordingTap) -> None:
    refused = Reply(status=429, retry_after=0.01)
    with ScriptedServer([refused, Reply("x", drop_after=0), refused, Reply("fine")]) as server:
        assert server.lm(engine=engine, num_retries=3).request(ASKED, {}, tap).choices[0].text == "fine"
        assert len(server.requests) == 4
    assert tap.pieces == ["fine"]


def test_after_the_first_token_it_is_not(engine: str, tap: RecordingTap) -> None:
    with ScriptedServer([Reply("a b c", drop_after=2), Reply("fine")]) as server:
        with pytest.raises(LMInterrupted):
            server.lm(engine=engine, num_retries=3).request(ASKED, {}, tap)
        assert len(server.requests) == 1
    assert tap.pieces == ["a", " b"]


def test_a_long_retry_after_is_told_at_once(engine: str, tap: RecordingTap) -> None:
    with ScriptedServer(Reply(status=429, retry_after=900)) as server:
        with pytest.raises(RateLimitError) as caught:
            server.lm(engine=engine, num_retries=3).request(ASKED, {}, tap)
        assert len(server.requests) == 1
    assert caught.value.retry_after == 900


@pytest.mark.parametrize("whose", ["lm", "context", "streamify"])
def test_a_pause_that_does_not_fit_the_total_is_told_at_once(engine: str, whose: str) -> None:
    """Not when `total` has passed: then a `StreamTimeout` would come."""
    with ScriptedServer(Reply(status=429, retry_after=5)) as server:
        lm = server.lm(engine=engine, num_retries=3, timeout=2 if whose == "lm" else None)
        asyncio.run(lm.prepare())
        with lms.context(lm=lm, timeout=2 if whose == "context" else None), pytest.raises(RateLimitError) as caught:
            if whose == "streamify":
                listeners = [lms.StreamListener("answer")]
                program = lms.streamify(lms.Predict("q -> answer"), stream_listeners=listeners, timeout=2)
                list(program(q="?"))
            else:
                lm("q")
        assert len(server.requests) == 1
    assert caught.value.retry_after == 5


def test_a_retry_after_may_be_a_date(engine: str, tap: RecordingTap) -> None:
    when = datetime.now(timezone.utc) + timedelta(seconds=900)
    with ScriptedServer(Reply(status=429, retry_after=format_datetime(when, usegmt=True))) as server:
        with pytest.raises(RateLimitError) as caught:
            server.lm(engine=engine, num_retries=3).request(ASKED, {}, tap)
        assert len(server.requests) == 1
    assert caught.value.retry_after is not None and 800 < caught.value.retry_after <= 900


# Leaving.


def in_a_thread(lm: LM, tap: RecordingTap) -> tuple[threading.Thread, list[BaseException]]:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            lm.request(ASKED, {}, tap)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, raised


class NamingTap(RecordingTap):
    """Remembers the id of the call that it is fed in."""

    call_id = ""

    async def feed(self, deltas: Any) -> None:
        call = current_call.get()
        assert call is not None
        self.call_id = call.id
        await super().feed(deltas)


def test_a_cancelled_request_closes_the_providers_connection(
    engine: str,
) -> None:
    gate = Gate()
    with ScriptedServer(Reply("a b c d", pauses={2: gate})) as server:
        tap = NamingTap()
        thread, raised = in_a_thread(
            server.lm(
                engine=engine,
            ),
            tap,
        )
        gate.wait()
        assert tap.fed.wait(5)
        assert cancel(tap.call_id)
        server.wait_for_reader_left()
        thread.join(5)
    assert isinstance(raised[0], StreamCancelled)
    assert server.counts.pieces_sent == 2


def test_a_tap_that_raises_closes_it_too(
    engine: str,
) -> None:
    class Broken(RecordingTap):
        async def feed(self, deltas: Any) -> None:
            raise KeyError("the program's own")

    gate = Gate()
    with ScriptedServer(Reply("a b c d", pauses={1: gate})) as server:
        with pytest.raises(KeyError, match="the program's own"):
            server.lm(
                engine=engine,
            ).request(ASKED, {}, Broken())
        server.wait_for_reader_left()


@pytest.mark.parametrize("which", ["first", "total", "idle"])
def test_a_deadline_closes_it_too(engine: str, which: str, tap: RecordingTap) -> None:
    stall = 0 if which == "first" else 1
    with ScriptedServer(Reply("a b c d", stall_after=stall)) as server:
        with pytest.raises(StreamTimeout) as caught:
            server.lm(engine=engine, timeout=Timeout(**{which: 0.3})).request(ASKED, {}, tap)
        assert caught.value.which == which
        server.wait_for_reader_left()


# Recorded wire formats: the same bytes, the same deltas, replies and errors.

COMPATIBLE = wire.names(but="anthropic gemini ndjson")


def what_comes(name: str, how: str, engine: str) -> tuple[Any, ...]:
    tap = RecordingTap()
    with ScriptedServer(wire.reply(name, how)) as server:
        try:
            reply: Any = wire.lm(name, server, engine=engine).request(ASKED, {}, tap)
        except LMError as error:
            reply = (type(error), str(error))
    # (litellm gives an empty text where none came, and puts pieces of a refusal together.)
    pieces = {
        name: [(each.index, piece) for each in tap.deltas if (piece := getattr(each, name))]
        for name in ("content", "reasoning", "finish_reason")
    }
    if isinstance(reply, tuple):
        return pieces, reply
    calls = [
        [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in choice.tool_calls]
        for choice in reply.choices
    ]
    choices = [(each.text, each.reasoning, each.finish_reason, each.refusal) for each in reply.choices]
    return pieces, choices, calls, reply.usage


@pytest.mark.parametrize("name", COMPATIBLE)
def test_the_same_bytes_give_the_same(name: str) -> None:
    expected = what_comes(name, "whole", "litellm")
    for how in ("whole", "characters", "lines", "bytes"):
        assert what_comes(name, how, "direct") == expected, how
