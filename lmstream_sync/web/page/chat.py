"""`chat_page`: the page as one text, with everything it needs inside."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from string import Template

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.web.page.words import WORDS

__all__ = ["chat_page"]

#: In this order: each uses only what stands before it.
_SCRIPTS = ("events.js", "prose.js", "turn.js", "asking.js", "chat.js")


def chat_page(
    *,
    title: str = "Chat",
    endpoint: str = "ask",
    field: str = "question",
    answer: str = "answer",
    reasoning: Sequence[str] = ("reasoning", "next_thought"),
    history: str | None = None,
    greeting: str = "What would you like to know?",
    examples: Sequence[str | tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    language: str = "en",
    words: Mapping[str, str] | None = None,
    nonce: str | None = None,
) -> str:
    """A chat page as HTML: one file, nothing loaded from elsewhere.

    It sends `POST endpoint` with the question as JSON and reads the answer in the format
    `sse`. Each question is asked once: nothing connects again by itself.

        @app.get("/")
        def page():
            return chat_page(title="Ask the kitchen", endpoint="/ask")

    All values are escaped, and what the model says is shown as text.

    Args:
        title: stands above the conversation and in the tab.
        endpoint: the address that is asked, relative to the page's.
        field: the input that a question goes into: `{"question": "…"}`.
        answer: the output field that is the answer.
        reasoning: output fields that are shown folded away. All others are not shown.
        history: an input of type `lms.History` that gets the turns before, as `{"messages": […]}`;
            the browser tells them, so believe them as little as the question. `None`: each question
            stands alone.
        greeting: what the empty page says.
        examples: questions to begin with; a pair has a note to it.
        headers: sent with each question: `{"X-CSRFToken": get_token(request)}`.
        language: of `words`, as an HTML `lang`.
        words: other words for the page's own, by their names in `words.WORDS`.
        nonce: for a `Content-Security-Policy` that asks for one; without it `policy_for`
            makes a policy by the hashes of what is in the page.

    Raises:
        ConfigurationError: an unknown name in `words`.
    """
    unknown = sorted((words or {}).keys() - WORDS.keys())
    if unknown:
        raise ConfigurationError(f"chat_page(words=...): {unknown[0]!r} is none of {', '.join(WORDS)}")
    said = WORDS | dict(words or {})
    config = {
        "endpoint": endpoint,
        "field": field,
        "answer": answer,
        "reasoning": list(reasoning),
        "history": history,
        "headers": dict(headers or {}),
        "words": said,
    }
    shown = {**said, "title": title, "language": language, "greeting": greeting, "config": json.dumps(config)}
    return Template(_source("chat.html")).substitute(
        {name: html.escape(text) for name, text in shown.items()},
        examples=_examples(examples),
        nonce="" if nonce is None else f' nonce="{html.escape(nonce)}"',
        style=_source("chat.css"),
        script="\n".join(map(_source, _SCRIPTS)),
    )


def _examples(examples: Sequence[str | tuple[str, str]]) -> str:
    rows = []
    for example in examples:
        prompt, note = (example, "") if isinstance(example, str) else example
        small = f"<small>{html.escape(note)}</small>" if note else ""
        shown = f"<span>{html.escape(prompt)}</span>{small}"
        rows.append(f'<li><button type="button" dir="auto" data-prompt="{html.escape(prompt)}">{shown}</button></li>')
    return f'<ul class="examples">{"".join(rows)}</ul>' if rows else ""


@cache
def _source(name: str) -> str:
    # One step at a time: before Python 3.11 `joinpath` takes one name.
    return files("lmstream_sync.web.page").joinpath("source").joinpath(name).read_text(encoding="utf-8")
