"""The model's text in the page: as text, whatever stands in it, and how much of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from lmstream_sync.testing import Reply
from lmstream_sync.web.page import chat_page
from tests.web.page.conftest import Chat
from tests.web.page.test_streaming import ANSWER

SCRIPT = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"


def test_markup_from_the_model_is_text(chat: Callable[..., Any]) -> None:
    page, _ = chat(Reply(f"{ANSWER}{SCRIPT} and **bold {SCRIPT}** and `{SCRIPT}`\n\n```html\n{SCRIPT}\n```", cut=7))
    page.ask(SCRIPT)
    page.expect_over()
    expect(page.answers).to_have_text(f"{SCRIPT} and bold {SCRIPT} and {SCRIPT}{SCRIPT}")
    expect(page.page.locator(".asked")).to_have_text(SCRIPT)
    expect(page.page.locator("#log script, #log img")).to_have_count(0)
    assert page.page.evaluate("window.hacked === undefined")
    assert page.errors == []


def test_what_the_program_says_is_text_too(chat: Callable[..., Any]) -> None:
    def program(question: str) -> Any:
        yield SCRIPT

    page, _ = chat("", program)
    page.ask("Well?")
    expect(page.page.locator(".steps li")).to_have_text([SCRIPT])


def test_line_separators_and_both_halves_of_an_emoji(chat: Callable[..., Any]) -> None:
    text = "one\u2028two\u2029three \N{GRINNING FACE} \N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET} \x85 end"
    page, _ = chat(Reply(ANSWER + text, cut=1))
    page.ask("Odd characters \ud83d?")
    page.expect_over()
    assert page.answers.text_content() == text
    assert page.asked == [{"question": "Odd characters \ufffd?"}]


@pytest.mark.parametrize("width", [320, 1200])
def test_a_very_long_word_breaks(chat: Callable[..., Any], width: int) -> None:
    word = "w" * 5_000
    page, _ = chat(
        Reply(f"{ANSWER}{word}\n\n- {word}\n\n`{word}`\n\n```\n{word}\n```", cut=500),
        window={"viewport": {"width": width, "height": 600}},
        page={"title": word, "greeting": word, "examples": [(word, word)]},
    )
    assert sideways(page) == 0
    page.ask(word)
    page.expect_over()
    assert sideways(page) == 0


def sideways(page: Chat) -> Any:
    """By how many pixels something stands out at the side."""
    return page.page.evaluate(
        "Math.max(...[document.documentElement, document.body, document.getElementById('log')]"
        ".map(each => each.scrollWidth - each.clientWidth))"
    )


MARKUP = """\
# Title
A first paragraph,
on two lines, with **strong words**, `code` and 2 ** 3 ** 4.

1. one
2. two
   - inner **bold**
3. three

---
### Smaller
* star
- dash, the same list

```python
def f():
    # not a heading

    return "**not bold**"
```
Snake_case stays, so does a lone ` and an open **mark.
"""

BLOCKS = """\
<h3 dir="auto">Title</h3><p dir="auto">A first paragraph,
on two lines, with <strong>strong words</strong>, <code>code</code> and 2 ** 3 ** 4.</p>\
<ol><li dir="auto" value="1">one</li>\
<li dir="auto" value="2">two<ul><li dir="auto">inner <strong>bold</strong></li></ul></li>\
<li dir="auto" value="3">three</li></ol><hr dir="auto"><h4 dir="auto">Smaller</h4>\
<ul><li dir="auto">star</li><li dir="auto">dash, the same list</li></ul>\
<pre tabindex="0" data-language="python"><code>def f():
    # not a heading

    return "**not bold**"</code></pre>\
<p dir="auto">Snake_case stays, so does a lone ` and an open **mark.</p>"""

#: Runs the page's own `Prose` on a text in pieces; gives the elements, and the blocks it told of.
PROSE = """([pieces]) => {
    const root = document.createElement("div"), told = [];
    const prose = new Prose(root, text => told.push(text));
    for (const piece of pieces) prose.append(piece);
    prose.end();
    root.normalize();
    return [root.innerHTML, told];
}"""


@pytest.fixture
def prose(browser: Any) -> Any:
    page = browser.new_page()
    page.set_content("<html></html>")
    script = chat_page().partition("/*\n * Text of a model")[2].partition("/*\n * One question")[0]
    page.add_script_tag(content="/*" + script)
    yield lambda pieces: page.evaluate(PROSE, [pieces])
    page.close()


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_markup_however_it_is_cut(prose: Any, line_end: str) -> None:
    text = MARKUP.replace("\n", line_end)
    whole = prose([text])
    assert whole[0] == BLOCKS
    assert len(whole[1]) == 11
    for size in (1, 2, 3, 7):
        assert prose([text[at : at + size] for at in range(0, len(text), size)]) == whole
    for at in range(len(text)):
        assert prose([text[:at], text[at:]]) == whole, at


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("\n\n \n", ""),
        ("```", '<pre tabindex="0"><code></code></pre>'),
        ("```\na", '<pre tabindex="0"><code>a</code></pre>'),
        ("-", '<p dir="auto">-</p>'),
        ("#hash and #tag", '<p dir="auto">#hash and #tag</p>'),
        ("**a** ** b** **", '<p dir="auto"><strong>a</strong> ** b** **</p>'),
        ("***a***", '<p dir="auto">***a***</p>'),
        ("`a``b` ``c`d``", '<p dir="auto"><code>a``b</code> <code>c`d</code></p>'),
        ("**a `b** c`", '<p dir="auto">**a <code>b** c</code></p>'),
        ("a\rb\r", '<p dir="auto">a\nb</p>'),
        ("[x](javascript:alert(1))", '<p dir="auto">[x](javascript:alert(1))</p>'),
    ],
)
def test_corners_of_markup(prose: Any, text: str, shown: str) -> None:
    assert prose([text])[0] == shown
    assert prose(list(text))[0] == shown


def test_a_hundred_kilobytes(chat: Callable[..., Any]) -> None:
    """In pieces of a few characters, half of them in one paragraph: the page stays responsive, and has all of it."""
    words = " ".join(f"word{number}" for number in range(6_000))
    text = f"{words}\n\n" + "\n\n".join(words[at : at + 500].strip() for at in range(0, len(words), 500))
    assert len(text) > 100_000
    page, _ = chat(Reply(ANSWER + text, cut=12))
    page.page.evaluate("""() => {
        window.longest = 0;
        new PerformanceObserver(seen => {
            for (const each of seen.getEntries()) window.longest = Math.max(window.longest, each.duration);
        }).observe({type: "longtask"});
    }""")
    page.ask("At length, please.")
    expect(page.button("Send")).to_be_visible(timeout=50_000)
    assert "".join(page.answers.all_text_contents()) == text.replace("\n\n", "")
    nodes = page.answers.evaluate("""root => {
        const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        let count = 0;
        while (walker.nextNode()) count++;
        return count;
    }""")
    assert nodes < 400, "a text node for each piece"
    # Far above what a frame takes; a page that renders the answer anew for each piece is above it at once.
    assert page.page.evaluate("window.longest") < 1_000
