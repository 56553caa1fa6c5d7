"""What goes wrong is said, with a way to go on; what the provider said stays on the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from lmstream_sync.testing import Reply
from lmstream_sync.web.page import chat_page
from tests.web.page.conftest import Chat
from tests.web.page.test_streaming import ANSWER


def test_an_error_in_the_middle(chat: Callable[..., Any]) -> None:
    half = Reply(pieces=[ANSWER, "The", " half", " and"], error_after=3, body={"error": {"message": "secret"}})
    page, _ = chat([half, f"{ANSWER}All."])
    page.ask("Tell me.")
    expect(page.alert).to_contain_text("The answer could not be completed.")
    expect(page.answers).to_have_text("The half")
    expect(page.page.get_by_text("secret")).to_have_count(0)
    page.button("Try again").click()
    expect(page.answers).to_have_text(["All."])
    expect(page.alert).to_have_count(0)
    assert page.errors == []


@pytest.mark.parametrize(("status", "code"), [(401, "AuthenticationError, HTTP 401"), (500, "ServerError, HTTP 502")])
def test_a_refusal_before_the_stream(chat: Callable[..., Any], status: int, code: str) -> None:
    page, _ = chat(Reply(status=status, body={"error": {"message": "key sk-secret"}}), num_retries=0)
    page.ask("Tell me.")
    expect(page.alert).to_contain_text("That did not work")
    expect(page.alert).to_contain_text(code)
    expect(page.page.get_by_text("sk-secret")).to_have_count(0)
    expect(page.button("Send")).to_be_visible()


def test_a_busy_provider(chat: Callable[..., Any]) -> None:
    page, server = chat(Reply(status=429, retry_after=7), num_retries=0)
    page.ask("Tell me.")
    expect(page.alert).to_contain_text("Please wait 7 seconds, then try again.")
    assert server.request_count == 1


def test_an_input_that_the_program_does_not_take(chat: Callable[..., Any]) -> None:
    page, server = chat("", page={"field": "query"})
    page.ask("Tell me.")
    expect(page.alert).to_contain_text("'query' is no input of this program")
    assert server.request_count == 0


def test_only_the_last_question_is_asked_again(chat: Callable[..., Any]) -> None:
    page, _ = chat([Reply(status=400), f"{ANSWER}Yes."], num_retries=0)
    page.ask("First.")
    expect(page.button("Try again")).to_be_visible()
    page.ask("Second.")
    expect(page.answers).to_have_text("Yes.")
    expect(page.alert).to_be_visible()
    expect(page.button("Try again")).to_have_count(0)


def answering(status: str, content_type: str, body: bytes) -> Any:
    """An app with the page at `/`, and one and the same answer to every question."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
            return [chat_page().encode()]
        start_response(status, [("Content-Type", content_type)])
        return [body]

    return app


@pytest.mark.parametrize(
    ("status", "content_type", "body", "told"),
    [
        ("200 OK", "text/event-stream", b'data: {"status":"a"}\n\n', "The connection ended before"),
        ("200 OK", "text/event-stream", b'data: {"status":"a"}\n\ndata: [DONE]\n', "The connection ended before"),
        ("200 OK", "text/html", b"<h1>Log in</h1>", "no answer that this page can show"),
        ("503 Out", "text/html", b"<h1>Out</h1>", "HTTP 503"),
        ("500 Out", "application/json", b'{"error": "a plain text"}', "HTTP 500"),
        (
            "200 OK",
            "text/event-stream",
            b"data: 7\n\ndata: {oops\n\ndata: null\n\ndata: {}\n\n",
            "The connection ended",
        ),
    ],
)
def test_an_answer_that_is_none(
    serve_app: Callable[[Any], str],
    open_page: Callable[..., Chat],
    status: str,
    content_type: str,
    body: bytes,
    told: str,
) -> None:
    page = open_page(serve_app(answering(status, content_type, body)))
    page.ask("Tell me.")
    expect(page.alert).to_contain_text(told)
    expect(page.button("Try again")).to_be_visible()
    assert page.errors == []


def test_a_server_that_is_not_there(chat: Callable[..., Any]) -> None:
    page, _ = chat(f"{ANSWER}Yes.")
    page.page.context.set_offline(True)
    page.ask("Tell me.")
    expect(page.alert).to_contain_text("could not be reached")
    page.page.context.set_offline(False)
    page.button("Try again").click()
    expect(page.answers).to_have_text("Yes.")
