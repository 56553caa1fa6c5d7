"""Chunks of odd shapes: what can be read of them is, what came before them stays, and the error is one of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.errors import LMError, LMProtocolError, ServerError
from lmstream_sync.lm.direct_body import StreamedBody
from lmstream_sync.lm.sse_decoder import BEGINS
from lmstream_sync.testing import Reply, ScriptedServer
from tests.lm.conftest import RecordingTap

ASKED = [{"role": "user", "content": "q"}]
DONE = b"data: [DONE]\n\n"

# litellm's own types, which pydantic remarks on.
pytestmark = pytest.mark.filterwarnings("ignore:.*`ReadOnly` qualifier:UserWarning")


def event(body: Any) -> bytes:
    return f"data: {body if isinstance(body, str) else json.dumps(body)}\n\n".encode()


def chunk(content: str | None = None, index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    piece = delta if content is None else {"content": content, **delta}
    return {"id": "c", "choices": [{"index": index, "delta": piece, "finish_reason": finish}]}


ODD: list[dict[str, Any]] = [
    {"created": 1_700_000_000.5},
    {"created": "now"},
    {"id": 7},
    {"model": 7},
    {"model": ["m"], "created": None},
]


@pytest.mark.parametrize("odd", ODD)
def test_a_raw_chunk_with_a_name_of_another_type_is_shown(odd: dict[str, Any]) -> None:
    raw = [event(chunk("[[ ## a ## ]]\nhi") | odd), event(chunk("", finish="stop") | odd), DONE]
    with ScriptedServer(Reply(raw=raw)) as server, lms.context(lm=server.lm(engine="direct")):
        *chunks, made = lms.streamify(lms.Predict("q -> a"))(q="?")
    assert made.a == "hi"
    assert "".join(each.choices[0].delta.content or "" for each in chunks) == "[[ ## a ## ]]\nhi"


@pytest.mark.parametrize(
    "odd", [{"tool_calls": [{"index": "a"}]}, {"tool_calls": [{"index": 0, "function": "f"}]}, {"self": 1}]
)
def test_a_raw_chunk_with_odd_parts_is_shown_by_its_text(odd: dict[str, Any]) -> None:
    raw = [event(chunk("[[ ## a ## ]]\nhi", **odd)), event(chunk("", finish="stop")), DONE]
    with ScriptedServer(Reply(raw=raw)) as server, lms.context(lm=server.lm(engine="direct")):
        *chunks, made = lms.streamify(lms.Predict("q -> a"))(q="?")
    assert made.a == "hi"
    assert "".join(each.choices[0].delta.content or "" for each in chunks) == "[[ ## a ## ]]\nhi"


@pytest.mark.parametrize("odd", ['{"choices": 5}', '{"choices": [{"delta": {"tool_calls": 5}}]}', "[1]", "5", "{"])
def test_what_came_before_an_odd_chunk_in_the_same_read_stays(odd: str, tap: RecordingTap) -> None:
    with (
        ScriptedServer(Reply(raw=[event(chunk("one ")) + event(chunk("two ")) + event(odd) + DONE])) as server,
        pytest.raises(LMProtocolError, match="not what it says it is"),
    ):
        server.lm(engine="direct", num_retries=0).request(ASKED, {}, tap)
    assert tap.pieces == ["one ", "two "]


@pytest.mark.parametrize("count", ["NaN", "1e999", "-1e999", '"3"'])
def test_a_count_that_is_none_is_no_reason_to_lose_a_reply(count: str, tap: RecordingTap) -> None:
    usage = f'{{"choices": [], "usage": {{"prompt_tokens": {count}, "completion_tokens": 2, "total_tokens": 2}}}}'
    with ScriptedServer(Reply(raw=[event(chunk("a", finish="stop")), event(usage), DONE])) as server:
        reply = server.lm(engine="direct").request(ASKED, {}, tap)
    assert reply.choices[0].text == "a" and reply.usage["completion_tokens"] == 2


def test_cached_tokens_in_deepseeks_words(tap: RecordingTap) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101, "prompt_cache_hit_tokens": 64}
    end = {**chunk("a", finish="stop"), "usage": usage}
    with ScriptedServer(Reply(raw=[event(end), DONE])) as server:
        for engine in ("direct", "litellm"):
            reply = server.lm(engine=engine, cache=False).request(ASKED, {}, tap)
            assert reply.usage["cached_tokens"] == 64, engine


FIELDS: list[list[dict[str, Any]]] = [
    [{"thinking_blocks": ["x"]}],
    [{"thinking_blocks": [{"type": "thinking", "thinking": 5}, {"type": "thinking", "thinking": "x"}]}],
    [{"citations": 5, "citation": 1}],
    [{"citations": 5}, {"citation": 1}],
    [{"thought_signatures": "s"}, {"thought_signatures": ["t"]}],
]


@pytest.mark.parametrize("fields", FIELDS)
def test_odd_fields_of_a_providers_own_are_no_errors(fields: list[dict[str, Any]], tap: RecordingTap) -> None:
    raw = [event(chunk("a", provider_specific_fields=each)) for each in fields]
    with ScriptedServer(Reply(raw=[*raw, event(chunk("", finish="stop")), DONE])) as server:
        reply = server.lm(engine="direct").request(ASKED, {}, tap)
    assert reply.choices[0].text == "a" * len(fields)


def test_an_answer_counted_from_1_is_streamed_whole_and_returned() -> None:
    pieces = ["[[ ## a ## ]]\n", "one ", "two", "\n\n[[ ## completed ## ]]"]
    raw = [*(event(chunk(each, 1)) for each in pieces), event(chunk("", 1, "stop")), DONE]
    with ScriptedServer(Reply(raw=raw)) as server, lms.context(lm=server.lm(engine="direct")):
        stream = lms.streamify(lms.Predict("q -> a"), stream_listeners=[lms.StreamListener("a")])
        *chunks, made = stream(q="?")
    assert made.a == "".join(each.chunk for each in chunks) == "one two"
    assert [each.is_last_chunk for each in chunks].count(True) == 1 and chunks[-1].is_last_chunk


@pytest.mark.parametrize(("code", "kind"), [(402, LMError), (410, LMError), (503, ServerError)])
def test_a_status_inside_a_stream_means_what_it_means_as_one(
    engine: str, code: int, kind: type[LMError], tap: RecordingTap
) -> None:
    tries = 1 if kind is LMError else 2
    with ScriptedServer([Reply(raw=[event({"error": {"message": "no", "code": code}})])] * 2) as server:
        with pytest.raises(LMError, match="no") as caught:
            server.lm(engine=engine, num_retries=1).request(ASKED, {}, tap)
        assert (type(caught.value), caught.value.status_code) == (kind, code)
        assert len(server.requests) == tries


def test_white_space_before_everything_is_read_once() -> None:
    """The work is in proportion to its length: what came is not looked at anew with each piece."""
    looked_at: list[int] = []

    class Begins:
        def match(self, data: bytes) -> object:
            looked_at.append(len(data))
            return BEGINS.match(data)

    body = StreamedBody()
    vars(StreamedBody)["_begins"].__set__(body, Begins())
    for _ in range(10_000):
        assert body.feed(b"\n") == []
    assert body.feed(event("{}")) == [b"{}"]
    assert sum(looked_at) < 20_000
