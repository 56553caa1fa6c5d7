"""Halves of a surrogate pair that came in two pieces are joined."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

import lmstream_sync as lms
from lmstream_sync.lm import direct_chunks
from lmstream_sync.lm.surrogates import SurrogateJoiner, joined
from lmstream_sync.testing import Reply, ScriptedServer
from tests.lm.conftest import RecordingTap

ASKED = [{"role": "user", "content": "q"}]


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    body = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


END = [chunk({}, "stop"), b"data: [DONE]\n\n"]


def halves(text: str) -> list[str]:
    """A text as JavaScript cuts it: by UTF-16 units, each on its own."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [data[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(data), 2)]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_in_single_units_comes_back_whole(text: str) -> None:
    joiner = SurrogateJoiner()
    assert "".join(map(joiner.feed, halves(text))) + joiner.finish() == text


@given(st.lists(st.text()))
def test_whole_pieces_pass_at_once(pieces: list[str]) -> None:
    joiner = SurrogateJoiner()
    assert [joiner.feed(piece) for piece in pieces] == pieces


def test_a_lone_half_becomes_a_replacement_character() -> None:
    joiner = SurrogateJoiner()
    assert joiner.feed("a\ud83d") == "a"
    assert joiner.feed("b") == "\ufffdb"
    assert joiner.feed("\ude00") == "\ufffd"
    assert joiner.feed("c\ud83d") + joiner.finish() == "c\ufffd"
    assert joined("\ud83d\ude00\ud83d") == "😀\ufffd"


# Over HTTP.


def test_the_halves_of_a_refusal_are_joined(engine: str, tap: RecordingTap) -> None:
    raw = [chunk({"refusal": "x\ud83d"}), chunk({"refusal": "\ude00y"}), chunk({"refusal": "\ud83d"}), *END]
    with ScriptedServer(Reply(raw=raw)) as server:
        reply = server.lm(engine=engine, num_retries=0).request(ASKED, {}, tap)
    assert reply.choices[0].refusal == "x😀y\ufffd"
    assert "".join(delta.refusal or "" for delta in tap.deltas) == "x😀y\ufffd"


def test_a_whole_reply_has_no_halves(engine: str) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '"\ud83d"'}}
    message = {"content": "c\ud83d", "refusal": "r\ud83d", "tool_calls": [call]}
    body = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    with ScriptedServer(Reply(raw=[json.dumps(body).encode()])) as server:
        choice = server.lm(engine=engine, num_retries=0).request(ASKED).choices[0]
    assert (choice.text, choice.refusal) == ("c\ufffd", "r\ufffd")
    assert choice.tool_calls[0]["function"]["arguments"] == '"\ufffd"'


def test_a_half_that_nothing_followed_is_in_the_raw_chunks_too(engine: str) -> None:
    raw = [chunk({"content": "[[ ## a ## ]]\nhi\ud83d"}), *END]
    with ScriptedServer(Reply(raw=raw)) as server, lms.context(lm=server.lm(engine=engine, num_retries=0)):
        *chunks, made = lms.streamify(lms.Predict("q -> a"))(q="x")
    shown = [each.choices[0].delta.content for each in chunks if hasattr(each, "choices")]
    assert "".join(text or "" for text in shown) == "[[ ## a ## ]]\nhi\ufffd" and made.a == "hi\ufffd"
    assert {each.id for each in chunks if hasattr(each, "choices")} == {"c"}


@pytest.mark.parametrize(
    "odd", [[{"content": "\ud83d"}, {"content": "\ude00"}], [{"content": [{"type": "text", "text": "😀"}]}]]
)
def test_after_a_chunk_of_another_shape_the_typed_decoder_reads_on(
    odd: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow way is for what needs it, and not for the rest of the stream."""
    typed: list[bytes] = []
    decode = direct_chunks.typed_chunk

    def counted(data: bytes) -> Any:
        made = decode(data)
        typed.append(data)
        return made

    monkeypatch.setattr(direct_chunks, "typed_chunk", counted)
    raw = [*map(chunk, odd), *[chunk({"content": "é"})] * 20, *END]
    with ScriptedServer(Reply(raw=raw)) as server:
        reply = server.lm(engine="direct", num_retries=0).request(ASKED, {}, RecordingTap())
    assert reply.choices[0].text == "😀" + "é" * 20
    assert len(typed) == 21
