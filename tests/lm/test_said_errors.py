"""Errors that come with status 200, inside a stream or in the place of a reply, are errors for the caller."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.errors import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    LMError,
    LMInterrupted,
    LMProtocolError,
    ServerError,
)
from lmstream_sync.lm import direct_body, litellm_wire
from lmstream_sync.lm.direct_body import StreamedBody
from lmstream_sync.lm.said_errors import error_in, error_without_choices
from lmstream_sync.testing import Reply, ScriptedServer
from tests.lm.conftest import RecordingTap

ASKED = [{"role": "user", "content": "q"}]
DONE = b"data: [DONE]\n\n"


def event(body: Any, name: str | None = None) -> bytes:
    text = body if isinstance(body, str) else json.dumps(body)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def chunk(content: str, finish: str | None = None, **more: Any) -> bytes:
    return event({"id": "c", "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish, **more}]})


TEXT = chunk("a")
BOOM = {"message": "boom", "code": 502}

STREAMS: list[tuple[list[bytes], type[LMError], int | None, str]] = [
    ([event({"message": "boom", "code": 503}, "error"), DONE], ServerError, 503, "boom"),
    ([TEXT, event({"message": "boom", "code": 503}, "error"), DONE], LMInterrupted, 503, "boom"),
    ([TEXT, event({"message": "boom", "code": 503}, "error")], LMInterrupted, 503, "boom"),
    ([event("upstream went boom", "error"), DONE], ServerError, None, "upstream went boom"),
    ([TEXT, event("upstream went boom", "error")], LMInterrupted, None, "upstream went boom"),
    ([event('"boom"', "error"), DONE], ServerError, None, "boom"),
    ([TEXT, event({"choices": [], "message": "boom"}, "error"), DONE], LMInterrupted, None, "boom"),
    ([event({"error": BOOM}, "error")], ServerError, 502, "boom"),
    ([TEXT, b'event: error\nid: 7\ndata: {"message":\ndata: "boom"}\n\n', DONE], LMInterrupted, None, "boom"),
    ([b'event: error\r\ndata: {"message": "boom", "code": 502}\r\n\r\n'], ServerError, 502, "boom"),
    ([event({"detail": [{"msg": "field required"}]}), DONE], ServerError, None, "field required"),
    ([event({"detail": "Not authenticated"}), DONE], ServerError, None, "Not authenticated"),
    ([event({"detail": "Not authenticated"})], ServerError, None, "Not authenticated"),
    ([event({"message": "boom", "code": 429}), DONE], lms.RateLimitError, 429, "boom"),
    ([TEXT, chunk("", "error"), DONE], LMInterrupted, None, "finish reason 'error'"),
    ([TEXT, chunk("", "error", error=BOOM), DONE], LMInterrupted, 502, "boom"),
    ([TEXT, chunk("", None, error=BOOM), DONE], LMInterrupted, 502, "boom"),
    ([TEXT, chunk("", "stop", error=BOOM), DONE], LMInterrupted, 502, "boom"),
    ([chunk("", "error", error=BOOM), DONE], ServerError, 502, "boom"),
    ([event({"object": "error", "message": "boom", "code": 400})], BadRequestError, 400, "boom"),
]


@pytest.mark.parametrize(("raw", "kind", "status", "words"), STREAMS)
def test_an_error_inside_a_stream_is_one(
    engine: str, raw: list[bytes], kind: type[LMError], status: int | None, words: str, tap: RecordingTap
) -> None:
    with ScriptedServer(Reply(raw=raw)) as server, pytest.raises(LMError, match=words) as caught:
        server.lm(engine=engine, num_retries=0).request(ASKED, {}, tap)
    assert (type(caught.value), caught.value.status_code) == (kind, status)
    assert "".join(tap.pieces) == ("a" if raw[0] == TEXT else "")


def test_text_beside_an_error_is_kept(tap: RecordingTap) -> None:
    with ScriptedServer(Reply(raw=[TEXT, chunk("b", "error", error=BOOM), DONE])) as server, pytest.raises(LMError):
        server.lm(engine="direct", num_retries=0).request(ASKED, {}, tap)
    assert tap.pieces == ["a", "b"]


@pytest.mark.parametrize("error", [event(BOOM, "error"), chunk("", "error", error=BOOM)])
def test_what_was_streamed_before_is_the_errors_partial(engine: str, error: bytes) -> None:
    raw = [chunk("[[ ## a ## ]]\nhello there"), error, DONE]
    with (
        ScriptedServer(Reply(raw=raw)) as server,
        lms.context(lm=server.lm(engine=engine, num_retries=0)),
        pytest.raises(LMInterrupted, match="boom") as caught,
    ):
        list(lms.streamify(lms.Predict("q -> a"), stream_listeners=[lms.StreamListener("a")])(q="x"))
    assert caught.value.partial == {"a": "hello there"}


@pytest.mark.parametrize("raw", [[DONE], [event({"id": "c", "choices": [], "usage": None}), DONE]])
def test_a_stream_without_any_words_is_an_empty_reply(engine: str, raw: list[bytes], tap: RecordingTap) -> None:
    with ScriptedServer(Reply(raw=raw)) as server:
        assert server.lm(engine=engine, num_retries=0).request(ASKED, {}, tap).choices[0].text == ""


@pytest.mark.parametrize("more", [[], [event({"choices": []})], [event({"usage": {"prompt_tokens": 1}})]])
def test_objects_of_another_kind_alone_are_no_reply(engine: str, more: list[bytes], tap: RecordingTap) -> None:
    with (
        ScriptedServer(Reply(raw=[event({"hello": 1}), *more, DONE])) as server,
        pytest.raises(LMProtocolError, match="it has no choices"),
    ):
        server.lm(engine=engine, num_retries=0).request(ASKED, {}, tap)


def test_and_beside_chunks_they_say_nothing(engine: str, tap: RecordingTap) -> None:
    with ScriptedServer(Reply(raw=[event({"hello": 1}), TEXT, event({"hello": 1}), DONE])) as server:
        assert server.lm(engine=engine, num_retries=0).request(ASKED, {}, tap).choices[0].text == "a"


def whole(finish: str, of_choice: Any = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": finish}
    return {"id": "c", "choices": [choice | ({"error": of_choice} if of_choice else {})], **more}


WHOLE: list[tuple[dict[str, Any], int | None, str]] = [
    (whole("stop", None, error=BOOM), 502, "boom"),
    (whole("stop", BOOM), 502, "boom"),
    (whole("error", BOOM), 502, "boom"),
    (whole("error"), None, "finish reason 'error'"),
    ({"object": "error", "message": "boom", "code": 500}, 500, "boom"),
    ({"object": "error", "message": "boom"}, None, "boom"),
]


@pytest.mark.parametrize(("body", "status", "words"), WHOLE)
def test_an_error_in_a_whole_reply_is_one(engine: str, body: dict[str, Any], status: int | None, words: str) -> None:
    if engine == "litellm" and "choices" not in body:
        pytest.skip("litellm names the keys of a reply without choices, and drops what they hold")
    with ScriptedServer(Reply(raw=[json.dumps(body).encode()])) as server:
        with pytest.raises(ServerError, match=words) as caught:
            server.lm(engine=engine, num_retries=0).request(ASKED)
        assert caught.value.status_code == status


@pytest.mark.parametrize(("body", "status", "words"), WHOLE)
def test_and_where_a_stream_was_asked_for(
    engine: str, body: dict[str, Any], status: int | None, words: str, tap: RecordingTap
) -> None:
    reply = Reply(raw=[json.dumps(body).encode()], content_type="application/json")
    with ScriptedServer(reply) as server, pytest.raises(LMError, match=words) as caught:
        server.lm(engine=engine, num_retries=0).request(ASKED, {}, tap)
    text = "a" if "choices" in body else ""
    assert (type(caught.value), caught.value.status_code) == (LMInterrupted if text else ServerError, status)
    assert "".join(tap.pieces) == text


# Nested too deep.

# Python's `json` goes deeper from 3.12 on, by its own count.
TOO_DEEP, DEEP = (3_000, 700) if sys.version_info < (3, 12) else (100_000, 3_000)


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("text", [b"", TEXT], ids=["", "after text"])
@pytest.mark.parametrize(
    "data", ['{"choices": %s}', '{"error": %s}', '{"detail": %s}', '{"message": "error", "x": %s}']
)
def test_json_that_is_nested_too_deep_is_none(engine: str, data: str, text: bytes, tap: RecordingTap) -> None:
    raw = [text, event(data % nested(TOO_DEEP)), DONE]
    with ScriptedServer(Reply(raw=raw)) as server, pytest.raises(LMProtocolError, match="not what it says it is"):
        server.lm(engine=engine, num_retries=0).request(ASKED, {}, tap)
    assert tap.pieces == (["a"] if text else [])


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("data", ["%s", '{"choices": %s}', '{"error": %s}'])
def test_and_so_is_a_whole_reply(engine: str, data: str, streamed: bool, tap: RecordingTap) -> None:
    reply = Reply(raw=[(data % nested(TOO_DEEP)).encode()], content_type="application/json")
    with ScriptedServer(reply) as server, pytest.raises(LMProtocolError, match="not what it says it is"):
        server.lm(engine=engine, num_retries=0).request(ASKED, {}, tap if streamed else None)


@pytest.mark.parametrize("streamed", [True, False])
def test_what_can_be_read_but_nests_too_deep_to_be_copied_is_an_error_of_ours(
    engine: str, streamed: bool, tap: RecordingTap
) -> None:
    body = whole("stop")
    body["choices"][0]["message"]["provider_specific_fields"] = {"x": "DEEP"}
    data = json.dumps(body).replace('"DEEP"', nested(DEEP))
    reply = Reply(raw=[data.encode()], content_type="application/json")
    with ScriptedServer(reply) as server, pytest.raises(LMError, match="recursion|nested"):
        server.lm(engine=engine, num_retries=0).request(ASKED, {}, tap if streamed else None)


def test_an_error_that_can_be_read_but_not_written_is_one() -> None:
    deep: list[Any] = []
    for _ in range(20_000):
        deep = [deep]
    in_choice = error_in({"choices": [{"error": deep}]})
    assert in_choice is not None and "nested too deep" in in_choice["error"]
    for told in (error_in({"object": "error", "detail": deep}), error_without_choices({"detail": deep})):
        assert told is not None and "nested too deep" in told["error"]["message"]


# By its code.

TOO_LONG = {"error": {"message": "no room", "type": "invalid_request_error", "code": "context_length_exceeded"}}
BY_CODE: list[tuple[Any, type[LMError], int]] = [
    ({"message": "no", "type": "invalid_request_error", "code": "invalid_api_key"}, AuthenticationError, 401),
    ({"message": "no", "type": "invalid_request_error", "code": "unknown_parameter"}, BadRequestError, 400),
    ({"message": "no", "code": "context_length_exceeded"}, ContextWindowExceededError, 400),
    (TOO_LONG["error"], ContextWindowExceededError, 400),
    ({"message": "no", "type": "tokens", "code": "rate_limit_exceeded"}, lms.RateLimitError, 429),
    ({"message": "no", "type": "invalid_request_error", "code": 503}, ServerError, 503),
]


@pytest.mark.parametrize(("error", "kind", "status"), BY_CODE)
def test_a_code_in_words_says_what_it_is(
    engine: str, error: Any, kind: type[LMError], status: int, tap: RecordingTap
) -> None:
    with ScriptedServer(Reply(raw=[event({"error": error})])) as server:
        with pytest.raises(kind) as caught:
            server.lm(engine=engine, num_retries=int(status in (400, 401))).request(ASKED, {}, tap)
        assert len(server.requests) == 1, "what will not pass is not tried again"
    assert caught.value.status_code == status


def test_a_context_that_is_too_long_is_known_by_its_code(engine: str, tap: RecordingTap) -> None:
    with ScriptedServer(Reply(status=400, body=TOO_LONG)) as server:
        for each in (tap, None):
            with pytest.raises(ContextWindowExceededError, match="no room") as caught:
                server.lm(engine=engine, num_retries=0).request(ASKED, {}, each)
            assert caught.value.status_code == 400


# What it costs.


def test_events_are_looked_at_only_where_one_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    body = StreamedBody()
    with monkeypatch.context() as patched:
        patched.setattr(direct_body, "with_named_errors", None)
        for _ in range(2):
            assert len(body.feed(TEXT + TEXT)) == 2
    boom = event({"choices": [], "message": "boom"}, "error")
    (_, first, second) = body.feed(TEXT + boom + event("y", "ping"))
    assert json.loads(first) == {"error": {"choices": [], "message": "boom"}} and second == b"y"
    assert body.feed(event("[DONE]", "error")) == [b"[DONE]"]


def test_what_a_good_stream_of_litellms_said_is_not_read_again(
    monkeypatch: pytest.MonkeyPatch, tap: RecordingTap
) -> None:
    monkeypatch.setattr(litellm_wire, "SSEDecoder", None)
    with ScriptedServer("fine") as server:
        assert server.lm(engine="litellm", cache=False).request(ASKED, {}, tap).choices[0].text == "fine"


def test_done_inside_a_text_is_no_end() -> None:
    text = b'data: {"choices":[{"index":0,"delta":{"content":"data: [DONE] ' + b"x" * 100 + b'"}}]}\n\n'
    for size in range(1, 64):
        wire = litellm_wire.Wire()
        for at in range(0, len(text), size):
            wire._saw(text[at : at + size])
        assert not wire._done
        wire._saw(b"data: [DONE]\n\n")
        assert wire._done
    wire = litellm_wire.Wire()
    wire._saw(b"data:[DONE]")
    assert wire._done
