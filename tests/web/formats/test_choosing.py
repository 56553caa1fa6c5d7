"""A format by its name, its class, a function, an object; and by what `Accept` says."""

from __future__ import annotations

from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.streaming.format import Format
from lmstream_sync.web.formats.choosing import FORMATS, chosen_format
from lmstream_sync.web.formats.openai import OpenAIFormat
from lmstream_sync.web.formats.text import TextFormat

THREE = ("sse", "text", "ndjson")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_each_name_makes_a_new_object_of_that_name(name: str) -> None:
    made = chosen_format(name)
    assert made.name == name
    assert chosen_format(name) is not made


def test_a_class_a_function_and_an_object_do_too() -> None:
    made = TextFormat()
    assert chosen_format(made) is made
    assert isinstance(chosen_format(TextFormat), TextFormat)
    assert isinstance(chosen_format(lambda: OpenAIFormat(field="answer")), OpenAIFormat)


@pytest.mark.parametrize("wrong", ["json", "", None, 1, lambda: "sse", [], ["sse", "no"], {"sse"}, Format.end])
def test_anything_else_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises((lms.ConfigurationError, TypeError), match="format|argument"):
        chosen_format(wrong)


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        (None, "sse"),
        ("", "sse"),
        ("*/*", "sse"),
        ("text/plain", "text"),
        ("TEXT/Plain ; charset=utf-8", "text"),
        ("application/x-ndjson", "ndjson"),
        ("text/event-stream", "sse"),
        ("text/*", "sse"),
        ("application/*", "ndjson"),
        ("text/html, image/png", "sse"),
        ("text/plain;q=0.5, application/x-ndjson;q=0.8", "ndjson"),
        ("text/plain;q=0.5, application/x-ndjson;q=0.4, text/event-stream;q=0", "text"),
        ("*/*;q=0.1, text/plain", "text"),
        ("text/*;q=0.1, text/plain;q=0.3, */*;q=0.2", "text"),
        ("text/event-stream;q=0, */*", "text"),
        ("text/plain;q=nonsense, application/x-ndjson;q=0.001", "ndjson"),
        ("text/plain;q=7, application/x-ndjson;q=nan", "sse"),
        ("garbage,;;,/,text/plain/x", "sse"),
        (", ,text/plain;level=1;q=0.4,", "text"),
    ],
)
def test_accept_picks_one_of_several(accept: str | None, name: str) -> None:
    assert chosen_format(THREE, accept).name == name


def test_the_first_of_those_liked_alike_is_taken() -> None:
    assert chosen_format(["ndjson", "sse"], "text/event-stream, application/x-ndjson").name == "ndjson"
    assert chosen_format(["openai", "ai-sdk", "sse"], "text/event-stream").name == "openai"


def test_accept_does_not_matter_where_there_is_no_choice() -> None:
    assert chosen_format("text", "text/event-stream").name == "text"
