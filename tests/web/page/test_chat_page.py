"""`chat_page` and its policy: one text, everything in it, all values escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from playwright.sync_api import expect

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.web.page import WORDS, chat_page, policy_for
from tests.web.page.conftest import Chat
from tests.web.page.test_streaming import ANSWER

NASTY = (
    "</title></style></script><script>window.hacked=1</script>"
    "\"'><img src=x onerror=window.hacked=2>&amp;$title ${x}\u2028"
)


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text of its title."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def config_of(page: str) -> dict[str, Any]:
    body = next(attributes for tag, attributes in Tags(page).found if tag == "body")
    config: dict[str, Any] = json.loads(body["data-config"] or "")
    return config


def test_what_is_given_arrives() -> None:
    page = chat_page(endpoint="/x?a=1&b=2", field="query", answer="text", reasoning=["why"], history="before")
    config = config_of(page)
    assert {name: config[name] for name in ("endpoint", "field", "answer", "reasoning", "history", "headers")} == {
        "endpoint": "/x?a=1&b=2",
        "field": "query",
        "answer": "text",
        "reasoning": ["why"],
        "history": "before",
        "headers": {},
    }


def test_words_of_ones_own() -> None:
    page = chat_page(language="de", words={"placeholder": "Frag etwas"})
    assert '<html lang="de">' in page
    assert 'placeholder="Frag etwas"' in page
    assert config_of(page)["words"] == WORDS | {"placeholder": "Frag etwas"}


def test_an_unknown_word() -> None:
    with pytest.raises(ConfigurationError, match="'sned' is none of placeholder, label, send"):
        chat_page(words={"sned": "Los"})


def test_every_word_is_used() -> None:
    page = chat_page()
    script = page.partition('<script type="module">')[2]
    shown = page.partition("data-config=")[0] + page.partition('<div id="page"')[2]
    for name, text in WORDS.items():
        assert re.search(rf"words\.{name}\b", script) or text in shown or f'"{name}"' in script, name


def test_values_cannot_leave_their_place() -> None:
    plain = chat_page(examples=[("a", "b")])
    page = chat_page(
        title=NASTY,
        endpoint=NASTY,
        field=NASTY,
        answer=NASTY,
        reasoning=[NASTY],
        history=NASTY,
        greeting=NASTY,
        examples=[(NASTY, NASTY)],
        headers={"X-Token": NASTY},
        language=NASTY,
        words=dict.fromkeys(WORDS, NASTY),
    )
    assert [tag for tag, _ in Tags(page).found] == [tag for tag, _ in Tags(plain).found]
    assert [sorted(each) for _, each in Tags(page).found] == [sorted(each) for _, each in Tags(plain).found]
    assert config_of(page)["headers"] == {"X-Token": NASTY}
    assert policy_for(page) == policy_for(plain)


def test_nothing_is_loaded_from_elsewhere() -> None:
    page = chat_page()
    for tag, attributes in Tags(page).found:
        for name in ("src", "href", "action", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:"), tag
        assert not any(name.startswith("on") or name == "style" for name in attributes), tag
    assert "innerHTML" not in page and "eval(" not in page and "EventSource(" not in page
    assert re.findall(r"https?://[^ '\"]+", page) == ["http://www.w3.org/2000/svg"]
    assert len(page.encode()) < 60_000


def test_a_nonce() -> None:
    page = chat_page(nonce='r4nd"om')
    assert page.count('nonce="r4nd&quot;om"') == 2


def test_nasty_values_in_the_browser(serve_app: Callable[[Any], str], open_page: Callable[..., Chat]) -> None:
    page = chat_page(title=NASTY, greeting=NASTY, examples=[(NASTY, NASTY)], words={"placeholder": NASTY})

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [page.encode()]

    opened = open_page(serve_app(app))
    expect(opened.page.get_by_role("heading", level=1)).to_have_text(NASTY)
    assert opened.page.evaluate("window.hacked === undefined")
    assert opened.errors == []


def test_the_policy_lets_the_page_work_and_nothing_else(chat: Callable[..., Any]) -> None:
    page, _ = chat(f"{ANSWER}Yes.")
    page.ask("Well?")
    expect(page.answers).to_have_text("Yes.")
    assert page.errors == []
    page.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert page.page.evaluate("window.ran === undefined")
    assert len(page.errors) == 1
