"""A synchronous and an asynchronous view, under WSGI and under ASGI."""

from __future__ import annotations

import pytest

from lmstream_sync.testing import Gate, Reply, ScriptedServer
from tests.web.django.client import Site, new_key

VIEWS = ("sync", "async")
each_view = pytest.mark.parametrize("view", VIEWS)


def reply(text: str, **more: object) -> Reply:
    return Reply(f"[[ ## answer ## ]]\n{text}\n\n[[ ## completed ## ]]\n", **more)  # type: ignore[arg-type]


@each_view
def test_the_whole_answer(site: Site, model: ScriptedServer, view: str) -> None:
    model.replies = reply("It wanted to reach the other side.")
    with site.get(view) as reading:
        assert reading.status == 200
        assert reading.headers["Content-Type"].startswith("text/event-stream")
        assert reading.headers["Cache-Control"] == "no-cache, no-transform"
        assert reading.headers["X-Accel-Buffering"] == "no"
        assert reading.headers["Content-Length"] is None
        assert reading.text() == "It wanted to reach the other side."
        assert reading.got.count(b"data: [DONE]") == 1


@each_view
def test_the_first_piece_comes_long_before_the_last(site: Site, model: ScriptedServer, view: str) -> None:
    gate = Gate()
    model.replies = reply("one two three four five six", pauses={9: gate})
    with site.get(view) as reading:
        reading.read_until("one")
        gate.wait()
        assert b"five" not in reading.got
        gate.release()
        assert reading.text() == "one two three four five six"


@each_view
@pytest.mark.parametrize("middleware", ["gzip, deflate", "identity"])
def test_compressing_middleware_holds_nothing_back(
    site: Site, model: ScriptedServer, view: str, middleware: str
) -> None:
    gate = Gate()
    model.replies = reply("one two three four five six", pauses={9: gate})
    with site.get(view, headers={"Accept-Encoding": middleware, "If-None-Match": '"x"'}) as reading:
        assert reading.headers["Content-Encoding"] is None
        assert reading.headers["ETag"] is None
        reading.read_until("one")
        gate.release()
        reading.read_until("[DONE]")


def test_middleware_that_wraps_the_content(site: Site, model: ScriptedServer) -> None:
    gate = Gate()
    model.replies = reply("one two three four five six", pauses={9: gate})
    key = new_key()
    with site.get("wrapped", key=key) as reading:
        reading.read_until("one")
        assert reading.got.startswith(b": wrapped\n\n")
        gate.release()
        assert reading.text() == "one two three four five six"
    [row] = site.saved(key)
    assert (row["outcome"], row["on_loop"]) == ("completed", False)


def test_a_reader_of_wrapped_content_leaves(site: Site, model: ScriptedServer) -> None:
    model.replies = reply("word " * 50, stall_after=10)
    left, key = model.readers_left, new_key()
    with site.get("wrapped", key=key, heartbeat=0.05) as reading:
        reading.read_until("word")
    model.wait_for_reader_left(left + 1)
    [row] = site.saved(key)
    assert (row["outcome"], row["on_loop"]) == ("left", False)


@each_view
def test_the_reader_leaves_and_the_provider_sees_it(site: Site, model: ScriptedServer, view: str) -> None:
    model.replies = reply("word " * 50, stall_after=10)
    left, key = model.readers_left, new_key()
    with site.get(view, key=key, heartbeat=0.05) as reading:
        reading.read_until("word")
    model.wait_for_reader_left(left + 1)
    [row] = site.saved(key)
    assert (row["outcome"], row["on_loop"], row["in_transaction"]) == ("left", False, False)
    assert row["answer"].startswith("word word")


@each_view
def test_the_reader_leaves_before_the_first_piece(site: Site, model: ScriptedServer, view: str) -> None:
    model.replies = reply("word " * 50, stall_after=0)
    left, asked, key = model.readers_left, model.request_count, new_key()
    reading = site.get(view, key=key, heartbeat=0.05, wait_first=0.3)
    model.wait_for_request(asked + 1)
    reading.leave()
    model.wait_for_reader_left(left + 1)
    [row] = site.saved(key)
    assert (row["outcome"], row["on_loop"]) == ("left", False)


@each_view
def test_a_program_may_finish_without_its_reader(site: Site, model: ScriptedServer, view: str) -> None:
    gate = Gate()
    text = ("word " * 50).strip()
    model.replies = reply(text, pauses={10: gate})
    left, key = model.readers_left, new_key()
    with site.get(view, key=key, heartbeat=0.05, on_leave="finish") as reading:
        reading.read_until("word")
    gate.release()
    [row] = site.saved(key)
    assert (row["outcome"], row["answer"], row["on_loop"]) == ("completed", text, False)
    assert model.readers_left == left


@each_view
def test_on_end_saves_before_the_reader_has_the_end(site: Site, model: ScriptedServer, view: str) -> None:
    model.replies = reply("It wanted to.")
    key = new_key()
    with site.get(view, key=key) as reading:
        reading.read_until("[DONE]")
    [row] = site.saved(key)
    assert (row["outcome"], row["answer"]) == ("completed", "It wanted to.")
    assert not row["on_loop"] and not row["in_transaction"]
    assert not row["thread"].startswith("lmstream-worker")


def test_an_async_stream_is_taken_too(site: Site, model: ScriptedServer) -> None:
    model.replies = reply("It wanted to.")
    with site.get("async-stream") as reading:
        assert reading.text() == "It wanted to."


def test_the_synchronous_form_refuses_an_event_loop(site: Site, model: ScriptedServer) -> None:
    model.replies = reply("It wanted to.")
    with site.get("wrong") as reading:
        assert reading.status == 418
        assert "astream_response" in reading.read().decode()


@each_view
def test_head_is_answered_without_waiting(site: Site, model: ScriptedServer, view: str) -> None:
    model.replies = reply("word", stall_after=0)
    key = new_key()
    with site.send("HEAD", view, key=key) as reading:
        assert reading.status == 200
        assert reading.headers["Content-Type"].startswith("text/event-stream")
        assert site.kind == "wsgiref" or reading.headers["Content-Length"] is None  # it adds one itself
        assert reading.read() == b""
    model.wait_until_idle()
    assert site.saved(key)[0]["outcome"] == "left"


@each_view
def test_an_event_source_that_comes_again_is_sent_away(site: Site, model: ScriptedServer, view: str) -> None:
    model.replies = reply("word", stall_after=0)
    key = new_key()
    with site.get(view, key=key, headers={"Last-Event-ID": "4"}) as reading:
        assert (reading.status, reading.read()) == (204, b"")
    assert site.saved(key)[0]["outcome"] == "left"


def test_a_response_that_nobody_sends_stops_its_program(site: Site, model: ScriptedServer) -> None:
    model.replies = reply("word", stall_after=0)
    key = new_key()
    with site.get("dropped", key=key) as reading:
        assert reading.read() == b"another"
    model.wait_until_idle()
    [row] = site.saved(key)
    assert (row["outcome"], row["on_loop"]) == ("left", False)


@pytest.mark.parametrize(("view", "status"), [("failing", 500), ("afailing", 500), ("absent", 404)])
def test_a_view_that_raises_leaves_nothing_open(site: Site, model: ScriptedServer, view: str, status: int) -> None:
    model.replies = reply("word", stall_after=0)
    key = new_key()
    with site.get(view, key=key) as reading:
        assert reading.status == status
    model.wait_until_idle()
    [row] = site.saved(key)
    assert (row["outcome"], row["on_loop"]) == ("left", False)


@each_view
@pytest.mark.parametrize(
    ("status", "answered", "kind"),
    [(401, 401, "AuthenticationError"), (429, 429, "RateLimitError"), (500, 502, "ServerError")],
)
def test_what_fails_at_once_is_a_status(
    site: Site, model: ScriptedServer, view: str, status: int, answered: int, kind: str
) -> None:
    model.replies = Reply(status=status, retry_after=3 if status == 429 else None)
    key = new_key()
    with site.get(view, key=key) as reading:
        assert reading.status == answered
        assert reading.headers["Content-Type"] == "application/json"
        assert reading.headers["Retry-After"] == ("3" if status == 429 else None)
        assert reading.json()["error"]["type"] == kind
    assert site.saved(key)[0]["outcome"] == "failed"


@each_view
def test_what_fails_later_is_an_event(site: Site, model: ScriptedServer, view: str) -> None:
    model.replies = reply("one two three", drop_after=8)
    key = new_key()
    with site.get(view, key=key) as reading:
        assert reading.status == 200
        assert reading.events()[-1]["error"]["type"] == "LMInterrupted"
    assert site.saved(key)[0]["outcome"] == "failed"
