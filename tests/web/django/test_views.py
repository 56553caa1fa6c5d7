"""`program_view` and `programs_view`: programs behind URLs, and requests that do not fit them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lmstream_sync.testing import Reply, ScriptedServer
from tests.web.django.client import Reading, Site

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ANSWER = "[[ ## answer ## ]]\nIt wanted to.\n\n[[ ## completed ## ]]\n"


def post(site: Site, view: str, body: Any, headers: dict[str, str] | None = None) -> Reading:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return site.send("POST", view, data, headers={**JSON, **(headers or {})})


def refused(reading: Reading, status: int) -> dict[str, Any]:
    """The error, which has this status."""
    with reading:
        assert reading.status == status, reading.read()
        assert reading.headers["Content-Type"] == "application/json"
        error: dict[str, Any] = reading.json()["error"]
    return error


def test_get_and_post(site: Site, model: ScriptedServer) -> None:
    model.replies = ANSWER
    with site.get("open", question="Why?") as reading:
        assert reading.text() == "It wanted to."
    with post(site, "open", {"question": "Why?"}) as reading:
        assert reading.text() == "It wanted to."
    with site.send("POST", "open", b"question=Why%3F", headers=FORM) as reading:
        assert reading.text() == "It wanted to."


def test_accept_picks_the_format(site: Site, model: ScriptedServer) -> None:
    model.replies = ANSWER
    with site.get("open", question="Why?", headers={"Accept": "text/plain"}) as reading:
        assert reading.headers["Content-Type"].startswith("text/plain")
        assert reading.read() == b"It wanted to."


def test_on_end_of_a_view_may_use_the_database(site: Site, model: ScriptedServer) -> None:
    model.replies = ANSWER
    with site.get("program", question="Why?") as reading:
        reading.read()
    row = site.saved("program")[-1]
    assert (row["outcome"], row["in_transaction"], row["on_loop"]) == ("completed", False, False)


def test_csrf_is_respected(site: Site, model: ScriptedServer) -> None:
    model.replies = ANSWER
    asked = model.request_count
    with post(site, "program", {"question": "Why?"}) as reading:
        assert reading.status == 403
    assert model.request_count == asked
    with site.get("token") as reading:
        token = reading.read().decode()
        cookie = reading.headers["Set-Cookie"].split(";")[0]
    with post(site, "program", {"question": "Why?"}, {"Cookie": cookie, "X-CSRFToken": token}) as reading:
        assert reading.text() == "It wanted to."
    form = f"csrfmiddlewaretoken={token}&question=Why".encode()
    error = refused(site.send("POST", "program", form, headers={**FORM, "Cookie": cookie}), 422)
    assert error["field"] == "csrfmiddlewaretoken"


@pytest.mark.parametrize(
    ("body", "headers", "status", "field"),
    [
        (b"{", {}, 400, None),
        ([1], {}, 400, None),
        ({}, {}, 422, "question"),
        ({"question": 3}, {}, 422, "question"),
        ({"question": "Why?", "more": 1}, {}, 422, "more"),
        ({"question": "x" * 1000}, {}, 413, None),
        (b"<question/>", {"Content-Type": "text/xml"}, 415, None),
        (b"--b\r\n\r\n--b--", {"Content-Type": "multipart/form-data; boundary=b"}, 415, None),
    ],
)
def test_bad_bodies(
    site: Site, model: ScriptedServer, body: Any, headers: dict[str, str], status: int, field: str | None
) -> None:
    asked = model.request_count
    assert refused(post(site, "open", body, headers), status).get("field") == field
    assert model.request_count == asked


def test_more_than_django_takes(site: Site, model: ScriptedServer) -> None:
    # These two answer before they have read anything, and close.
    body = None if site.kind in ("wsgiref", "gevent") else b" " * 3_000_000
    refused(site.send("POST", "typed", body, headers={**JSON, "Content-Length": "3000000"}), 413)


def test_a_body_in_chunks(site: Site, model: ScriptedServer) -> None:
    """Under WSGI its end is unknown, which is said, unless the server counts it (waitress); ASGI brings all of it."""
    model.replies = ANSWER

    def body(size: int) -> Reading:
        pieces = iter([b'{"question": "', b"x" * size, b'"}'])
        return Reading(site.port, "POST", "/open", pieces, {**JSON, "Transfer-Encoding": "chunked"})

    if site.kind in ("wsgiref", "gevent"):  # it closes at once, so nothing more is sent
        refused(Reading(site.port, "POST", "/open", None, {**JSON, "Transfer-Encoding": "chunked"}), 411)
        return
    with body(10) as reading:
        assert reading.text() == "It wanted to."
    refused(body(2000), 413)


def test_wrong_methods(site: Site, model: ScriptedServer) -> None:
    with site.send("DELETE", "open") as reading:
        assert reading.status == 405
        assert "POST" in reading.headers["Allow"]
        assert reading.json()["error"]["type"] == "RequestError"
    with site.send("OPTIONS", "open") as reading:
        assert reading.status == 204
        assert "POST" in reading.headers["Allow"]


def test_head_and_a_second_visit_call_no_program(site: Site, model: ScriptedServer) -> None:
    asked = model.request_count
    with site.send("HEAD", "open", question="Why?") as reading:
        assert reading.status == 200
        assert reading.headers["Content-Type"].startswith("text/event-stream")
        assert reading.read() == b""
    with site.get("open", question="Why?", headers={"Last-Event-ID": "3"}) as reading:
        assert reading.status == 204
    assert model.request_count == asked


def test_programs_by_name(site: Site, model: ScriptedServer) -> None:
    model.replies = ANSWER
    with site.get("named/first", question="Why?") as reading:
        assert reading.text() == "It wanted to."
    with site.get("named/second", question="Why?", times=2) as reading:
        assert "Why?Why?" in str(reading.events())
    assert "third" in refused(site.get("named/third", question="Why?"), 404)["message"]
    assert refused(site.get("named/second", question="Why?", times="two"), 422)["field"] == "times"


def test_a_provider_that_refuses(site: Site, model: ScriptedServer) -> None:
    model.replies = Reply(status=401)
    assert refused(site.get("open", question="Why?"), 401)["type"] == "AuthenticationError"


def test_a_view_holds_no_transaction(sites: Any, model: ScriptedServer) -> None:
    """ATOMIC_REQUESTS would keep one open for the whole wait; and it refuses views that are asynchronous."""
    model.replies = ANSWER
    with sites("wsgiref", atomic=True).get("program", question="Why?") as reading:
        assert reading.text() == "It wanted to."
