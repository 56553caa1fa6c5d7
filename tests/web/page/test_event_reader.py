"""The page's reader of server-sent events: what the HTML standard says, however the text is cut."""

from __future__ import annotations

from typing import Any

import pytest

from lmstream_sync.web.page import chat_page

READ = """([pieces]) => {
    const events = [];
    const reader = new EventReader(event => events.push([event.type, event.data, event.id]));
    for (const piece of pieces) reader.feed(piece);
    return events;
}"""

#: Source → the events in it: type, data, id.
STREAMS = [
    ("data: one\n\ndata: two\n\n", [["message", "one", ""], ["message", "two", ""]]),
    ("data: one\r\rdata: two\r\n\r\ndata: three\n\r", [["message", each, ""] for each in ("one", "two", "three")]),
    ("data: a\r\ndata: b\rdata: c\ndata\n\n", [["message", "a\nb\nc\n", ""]]),
    ("data:no space\n\ndata:  two spaces\n\n", [["message", "no space", ""], ["message", " two spaces", ""]]),
    (": heartbeat\n\n: another\ndata: x\n: third\n\n", [["message", "x", ""]]),
    ("event: add\ndata: x\n\ndata: y\n\n", [["add", "x", ""], ["message", "y", ""]]),
    ("event: lost\n\ndata: y\n\n", [["message", "y", ""]]),
    (
        "id: 7\ndata: x\n\ndata: y\n\nid\ndata: z\n\n",
        [["message", "x", "7"], ["message", "y", "7"], ["message", "z", ""]],
    ),
    ("id: a\0b\ndata: x\n\n", [["message", "x", ""]]),
    ("data\n\n", [["message", "", ""]]),
    ("retry: 10\nunknown: x\nData: y\n\n", []),
    ("data: a: b\n\n", [["message", "a: b", ""]]),
    ("data: one\u2028two\x85three\x0bfour\n\n", [["message", "one\u2028two\x85three\x0bfour", ""]]),
    ("data: whole\n\ndata: cut off", [["message", "whole", ""]]),
    ("data: whole\n\ndata: no empty line\n", [["message", "whole", ""]]),
    ("", []),
]


@pytest.fixture(scope="module")
def read(browser: Any) -> Any:
    page = browser.new_page()
    script = chat_page().partition("/*\n * Server-sent events")[2].partition("/*\n * Text of a model")[0]
    page.add_script_tag(content="/*" + script)
    yield lambda pieces: page.evaluate(READ, [pieces])
    page.close()


@pytest.mark.parametrize(("source", "events"), STREAMS)
def test_streams(read: Any, source: str, events: list[list[str]]) -> None:
    assert read([source]) == events
    assert read(list(source)) == events
    for at in range(len(source)):
        assert read([source[:at], "", source[at:]]) == events, at
