"""Events of HTML for htmx, which shows them, with its extension, in a real browser."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

import lmstream_sync as lms
from lmstream_sync.streaming.encoded import Encoded
from lmstream_sync.testing import Reply, stream_of
from lmstream_sync.web.formats.htmx import HtmxFormat

from ...provision import need, need_node_modules
from ...streaming.replies import chat
from .reading import ServerSent, htmx_texts, server_sent, written
from .served import served


def sent(body: str) -> list[ServerSent]:
    """The events, each of which has the id of the first."""
    events = server_sent(body)
    assert len({event.id for event in events}) == 1
    return [dataclasses.replace(event, id="") for event in events]


def piece(field: str, text: str, last: bool = False) -> lms.StreamResponse:
    return lms.StreamResponse("p", field, text, last)


def test_events_are_named_for_the_field_and_hold_escaped_html() -> None:
    events = sent(written(HtmxFormat(), [piece("answer", '1 < 2 & "x"\n<script>\n\n\'', True)]))
    assert events == [
        ServerSent("1 &lt; 2 &amp; &quot;x&quot;<br>&lt;script&gt;<br><br>&#x27;", "answer"),
        ServerSent("", "done"),
    ]


def test_a_line_end_in_two_pieces_is_one() -> None:
    body = written(HtmxFormat(), [piece("a", "x\r"), piece("a", "\ny\r"), piece("b", "\n"), piece("a", "z", True)])
    assert htmx_texts(body) == {"a": "x\ny\nz", "b": "\n"}


def test_a_restart_empties_the_element() -> None:
    events = [piece("a", "no", True), piece("b", "no"), lms.StreamRestart("p"), piece("a", "yes", True)]
    names = [event.name for event in sent(written(HtmxFormat(), events))]
    assert names == ["a", "b", "a-restart", "b-restart", "a", "done"]


def test_messages_own_events_and_failures_have_names() -> None:
    events = [lms.StatusMessage("<b>"), {"a": "<b>"}, piece("a", "x")]
    body = written(HtmxFormat(), events, ValueError("<b>"), expose_errors=True)
    assert sent(body) == [
        ServerSent("&lt;b&gt;", "status"),
        ServerSent("{&quot;a&quot;:&quot;&lt;b&gt;&quot;}", "event"),
        ServerSent("x", "a"),
        ServerSent("&lt;b&gt;", "failed"),
        ServerSent("", "done"),
    ]
    assert sent(written(HtmxFormat(), [], ValueError("x")))[0].data == "The answer could not be completed."


@pytest.mark.parametrize("field", ["error", "open", "message", "done", "status", "failed", "event"])
def test_a_field_with_the_name_of_something_else_has_another(field: str) -> None:
    assert sent(written(HtmxFormat(), [piece(field, "x", True)]))[0] == ServerSent("x", f"field-{field}")


def test_a_cache_hit_gives_the_whole_text(serve: Any) -> None:
    serve(Reply(chat(answer="yes")), cache=True)
    predict = lms.Predict("q -> answer")
    predict(q="?")
    stream = lms.streamify(predict, stream_listeners=[lms.StreamListener("answer")])(q="?")
    assert htmx_texts("".join(Encoded(stream, HtmxFormat(), None, False))) == {"answer": "yes"}


PAGE = b"""<!doctype html><script src="/htmx.js"></script><script src="/sse.js"></script>
<div id="chat" hx-ext="sse" sse-connect="/chat" sse-close="done">
  <p id="answer" sse-swap="answer" hx-swap="beforeend" style="white-space: pre-wrap"></p>
  <span hidden sse-swap="answer-restart" hx-target="#answer" hx-swap="innerHTML"></span>
  <p id="status" sse-swap="status"></p>
  <p id="failed" sse-swap="failed"></p>
</div>
<script>
  window.ended = [];
  document.addEventListener("htmx:sseClose", (event) => ended.push(event.detail.type));
</script>"""


def test_htmx_shows_the_text_as_it_is_and_does_not_ask_again() -> None:
    text = "  1 < 2 &amp;\r\n<script>document.title = 'a'</script>\n\n<img src=x onerror='document.title=1'> \U0001f600"
    asked: list[int] = []

    def events() -> Any:
        yield lms.StatusMessage("Looking <i>it</i> up")
        yield piece("answer", "void <b>")
        yield lms.StreamRestart("p", "answer")
        yield from [piece("answer", character) for character in text]
        yield piece("answer", "", True)
        raise ValueError("inner")

    def opened() -> lms.Stream:
        asked.append(1)
        return stream_of(events())

    modules = need_node_modules()
    files = {
        "/": PAGE,
        "/favicon.ico": b"",
        "/htmx.js": (modules / "htmx.org" / "dist" / "htmx.js").read_bytes(),
        "/sse.js": (modules / "htmx-ext-sse" / "sse.js").read_bytes(),
    }
    with served(opened, HtmxFormat, files=files) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(url)
        page.wait_for_function("ended.length")
        assert page.inner_text("#answer") == text.replace("\r\n", "\n")
        assert page.inner_text("#status") == "Looking <i>it</i> up"
        assert page.inner_text("#failed") == "The answer could not be completed."
        assert page.evaluate("ended") == ["message"]
        assert page.title() == ""
        assert page.query_selector("#chat img, #chat script") is None
        browser.close()
    assert asked == [1]
