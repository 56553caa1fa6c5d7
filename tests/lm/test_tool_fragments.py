"""Calls of tools come whole, whatever shape their fragments have."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lmstream_sync.lm.assembly import Assembly
from lmstream_sync.lm.engine import Delta
from lmstream_sync.lm.tool_fragments import CallSorter
from lmstream_sync.testing import Reply, ScriptedServer
from tests.lm.conftest import RecordingTap

ASKED = [{"role": "user", "content": "q"}]


def fragment(name: Any = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    return {**more, "function": {"name": name, "arguments": arguments}}


def chunk(calls: list[Any]) -> bytes:
    body = {"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": None}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


END = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n'

ONE = [("f", '{"a": 1}')]
TWO = [("f", "{}"), ("g", "{}")]

#: Name → the calls in each chunk, and what they are.
SHAPES: dict[str, tuple[list[list[Any]], list[tuple[str, str]]]] = {
    "an object as arguments": ([[fragment("f", {"a": 1}, index=0, id="1")]], ONE),
    "null beside a call": ([[None, fragment("f", '{"a": 1}', index=0, id="1")]], ONE),
    "no function": ([[{"index": 0, "id": "1", "function": "f"}], [fragment("f", '{"a": 1}', index=0, id="1")]], ONE),
    "neither index nor id": ([[fragment("f", "{}"), fragment("g", "{}")]], TWO),
    "one after another, neither index nor id": ([[fragment("f", "{}")], [fragment("g", "{}")]], TWO),
    "side by side, neither index nor id": ([[fragment("f"), fragment("g")], [fragment(None, "{}")] * 2], TWO),
    "the rest goes to the last": (
        [[fragment("f", "{}", id="1")], [fragment("g", id="2")], [fragment(None, "{}")]],
        TWO,
    ),
    "all are number 0": ([[fragment("f", "{}", index=0, id="1")], [fragment("g", "{}", index=0, id="2")]], TWO),
    "all are number 0, ids empty": (
        [[fragment("f", "{}", index=0, id="")], [fragment("g", "{}", index=0, id="")]],
        TWO,
    ),
    "the name in each": ([[fragment("f", '{"a"', index=0, id="1")], [fragment("f", ": 1}", index=0, id="1")]], ONE),
}


@pytest.mark.filterwarnings("ignore:Pydantic serializer")  # litellm's class, of an object as arguments
@pytest.mark.parametrize("shape", SHAPES)
def test_fragments_of_any_shape_are_calls(engine: str, shape: str, tap: RecordingTap) -> None:
    chunks, expected = SHAPES[shape]
    with ScriptedServer(Reply(raw=[*map(chunk, chunks), END])) as server:
        reply = server.lm(engine=engine, num_retries=0).request(ASKED, {}, tap)
    calls = [call["function"] for call in reply.choices[0].tool_calls]
    assert [(call["name"], call["arguments"]) for call in calls] == expected


def test_calls_of_a_whole_reply_have_text_as_arguments() -> None:
    calls = [fragment("f", {"a": 1}, id="1", type="function"), None, {"id": "2", "function": 5}]
    body = {"choices": [{"message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}]}
    with ScriptedServer(Reply(raw=[json.dumps(body).encode()])) as server:
        reply = server.lm(engine="direct", num_retries=0).request(ASKED)
    assert [call["function"] for call in reply.choices[0].tool_calls] == [{"name": "f", "arguments": '{"a": 1}'}]


def test_arguments_in_many_fragments_are_joined_once() -> None:
    """The work for a call is in proportion to it: until the reply is over, its pieces are only kept."""
    assembly = Assembly()
    pieces = ["x" * 10 for _ in range(1_000)]
    for piece in pieces:
        assembly.add([Delta(tool_calls=(fragment(None, piece, index=0),))])
    calls = assembly._choices[0].calls
    assert calls is not None and calls._arguments == [pieces]
    assert all(kept is given for kept, given in zip(calls._arguments[0], pieces, strict=True))
    assert assembly.characters == 10_000
    assert assembly.reply("m").choices[0].tool_calls[0]["function"]["arguments"] == "x" * 10_000


def test_thinking_in_many_pieces_is_joined_once() -> None:
    assembly = Assembly()
    for signature in [None] * 100 + ["s"]:
        block = {"type": "thinking", "thinking": "x", "signature": signature}
        assembly.add([Delta(provider_fields={"thinking_blocks": [block]})])
    fields = assembly._choices[0].provider_fields
    assert fields is not None and fields["thinking_blocks"][0]["thinking"] == ["x"] * 101
    for _ in range(2):  # a reply may be looked at before its end
        made = assembly.reply("m").choices[0].provider_fields
        assert made == {"thinking_blocks": [{"type": "thinking", "thinking": "x" * 101, "signature": "s"}]}


def test_a_fragment_that_is_none_is_left_out() -> None:
    assert CallSorter().feed([None, 5, {"function": []}, {"index": 0, "function": None}]) == [(0, None, "", "")]
