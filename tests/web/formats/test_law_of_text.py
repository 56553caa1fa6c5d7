"""What a reader of a format has in the end is what the Prediction says, character for character."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given

from lmstream_sync.streaming.format import Format
from lmstream_sync.web.formats.ag_ui import AGUIFormat
from lmstream_sync.web.formats.ai_sdk import AISDKFormat
from lmstream_sync.web.formats.htmx import HtmxFormat
from lmstream_sync.web.formats.ndjson import NDJSONFormat
from lmstream_sync.web.formats.openai import OpenAIFormat
from lmstream_sync.web.formats.text import TextFormat

from .made_up import MadeUp, examples, streams
from .reading import ag_ui_texts, ai_sdk_texts, htmx_texts, in_html, ndjson_texts, openai_texts, same, written

Read = Callable[[str], dict[str, str]]
FIELDS_APART: list[tuple[Callable[[], Format], Read, Callable[[str], str]]] = [
    (AISDKFormat, ai_sdk_texts, same),
    (AGUIFormat, ag_ui_texts, same),
    (HtmxFormat, htmx_texts, in_html),
    (NDJSONFormat, ndjson_texts, same),
]


@pytest.mark.parametrize(("make", "read", "as_read"), FIELDS_APART)
@examples(150)
@given(made_up=streams())
def test_every_field_reads_as_the_prediction_has_it(
    make: Callable[[], Format], read: Read, as_read: Callable[[str], str], made_up: MadeUp
) -> None:
    found = read(written(make(), made_up.events))
    assert {field: as_read(text) for field, text in found.items() if text} == {
        field: as_read(text) for field, text in made_up.texts.items() if text
    }


@examples(150)
@given(made_up=streams(restarts=False))
def test_openai_has_the_reasoning_and_the_other_fields_with_blank_lines_between_them(made_up: MadeUp) -> None:
    found = openai_texts(written(OpenAIFormat(), made_up.events))
    content = "\n\n".join(text for field, text in made_up.texts.items() if field != "reasoning" and text)
    assert same(found["content"]) == same(content)
    assert same(found["reasoning"]) == same(made_up.texts.get("reasoning", ""))


@examples(150)
@given(made_up=streams(restarts=False))
def test_one_field_alone_is_the_content_as_it_is(made_up: MadeUp) -> None:
    for field, text in made_up.texts.items():
        found = openai_texts(written(OpenAIFormat(field=field), made_up.events))
        assert same(found["content"]) == same(text)


@examples(150)
@given(made_up=streams(restarts=False))
def test_text_is_the_fields_but_the_reasoning(made_up: MadeUp) -> None:
    text = written(TextFormat(), made_up.events)
    expected = "\n\n".join(text for field, text in made_up.texts.items() if field != "reasoning" and text)
    assert text == "".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in expected)


@pytest.mark.parametrize(("make", "read", "as_read"), FIELDS_APART[:3])
@examples(60)
@given(made_up=streams())
def test_a_cache_hit_reads_the_same(
    make: Callable[[], Format], read: Read, as_read: Callable[[str], str], made_up: MadeUp
) -> None:
    found = read(written(make(), made_up.events[-1:]))
    assert found == {field: as_read(text) for field, text in made_up.texts.items() if text}
