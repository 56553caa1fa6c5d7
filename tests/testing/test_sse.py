"""`read_sse` reads as a browser does (HTML standard, "Interpreting an event stream")."""

from __future__ import annotations

import pytest

from lmstream_sync.testing import read_sse

BODY = 'data: {"chunk":"h\u00e9\u2028llo"}\n\n: heartbeat\n\nevent: x\ndata: {"a":1}\n\ndata: [DONE]\n\n'
EVENTS = [{"chunk": "h\u00e9\u2028llo"}, {"a": 1}]


def test_data_is_parsed_and_comments_and_done_are_left_out() -> None:
    assert read_sse(BODY) == EVENTS
    assert read_sse("") == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_three_ways(end: str) -> None:
    assert read_sse(BODY.replace("\n", end)) == EVENTS


def test_a_body_may_come_in_pieces_cut_anywhere() -> None:
    body = BODY.encode()
    assert read_sse(body) == EVENTS
    for at in range(len(body)):
        assert read_sse(iter([body[:at], body[at:]])) == EVENTS
    assert read_sse(list(BODY)) == EVENTS


def test_several_data_lines_are_one_event() -> None:
    assert read_sse('data: {"a":\ndata:1}\n\n') == [{"a": 1}]


def test_a_byte_order_mark_is_no_part_of_it() -> None:
    assert read_sse("\ufeff" + BODY) == EVENTS


def test_an_event_that_was_not_ended_did_not_happen() -> None:
    assert read_sse('data: {"a":1}\n\ndata: {"b":2}\n') == [{"a": 1}]
    assert read_sse('data: {"a":1}\n\ndata: {"b":2}') == [{"a": 1}]


def test_data_that_is_no_json_is_named() -> None:
    with pytest.raises(ValueError, match="hello"):
        read_sse("data: hello\n\n")
