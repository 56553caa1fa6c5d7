"""A browser, and the page in it with a program behind it on a scripted model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

import lmstream_sync as lms
from lmstream_sync.testing import ScriptedServer
from lmstream_sync.web.demo import DemoServer, demo_app
from lmstream_sync.web.page import chat_page
from tests.provision import need

# Above what a busy machine needs; nothing waits that long where all is well.
expect.set_options(timeout=20_000)

#: Seconds; short, so that a reader who leaves a silent model is found out soon.
HEARTBEAT = 0.1


@dataclass
class Chat:
    """The page, opened.

    Attributes:
        page: Playwright's.
        asked: the bodies of the questions the page has sent, in order.
        errors: what the browser complained of: uncaught errors, and what the page's policy forbade.
    """

    page: Page
    asked: list[Any]
    errors: list[str]

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox", name="Your question")

    @property
    def answers(self) -> Locator:
        return self.page.locator(".answer")

    @property
    def alert(self) -> Locator:
        return self.page.get_by_role("alert")

    def ask(self, question: str) -> None:
        self.box.fill(question)
        self.box.press("Enter")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def expect_over(self) -> None:
        """Wait until the last question is done with."""
        expect(self.button("Send")).to_be_visible()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # For one module: while it runs, Playwright's loop counts as the thread's, and `asyncio.run` refuses.
    chromium = need("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def serve_app() -> Iterator[Callable[[Any], str]]:
    """Serves a WSGI app; gives its address."""
    with ExitStack() as stack:

        def start(app: Any) -> str:
            server = stack.enter_context(DemoServer(app))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            thread.start()
            stack.callback(thread.join, 5)
            stack.callback(server.shutdown)
            return server.url

        yield start


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Chat]]:
    """Opens an address in a browser window of its own."""
    with ExitStack() as stack:

        def start(url: str, **window: Any) -> Chat:
            context = browser.new_context(**window)
            stack.callback(context.close)
            page = context.new_page()
            chat = Chat(page, [], [])
            page.on("request", lambda request: chat.asked.append(request.post_data_json) if _asks(request) else None)
            page.on("pageerror", lambda error: chat.errors.append(str(error)))
            page.on("console", lambda said: chat.errors.append(said.text) if "Content Security" in said.text else None)
            page.goto(url)
            return chat

        yield start


def _asks(request: Any) -> bool:
    return bool(request.method == "POST")


@pytest.fixture
def chat(
    model: Callable[..., ScriptedServer], serve_app: Callable[[Any], str], open_page: Callable[..., Chat]
) -> Callable[..., tuple[Chat, ScriptedServer]]:
    """Starts a model with the given replies, a program that asks it, and opens the page."""

    def start(
        replies: Any,
        program: Any = None,
        *,
        window: dict[str, Any] | None = None,
        page: dict[str, Any] | None = None,
        **lm_options: Any,
    ) -> tuple[Chat, ScriptedServer]:
        server = model(replies, **lm_options)
        asks = program or lms.streamify(
            lms.Predict("question -> answer"), stream_listeners=[lms.StreamListener("answer")]
        )
        url = serve_app(demo_app(asks, chat_page(**page or {}), heartbeat=HEARTBEAT))
        return open_page(url, **window or {}), server

    return start
