"""The typed decoder of chunks, and what it leaves to `json`."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest

from lmstream_sync.lm.json_decoding import NOT_TYPED, as_json, plain_json, typed_chunk


def test_a_chunk_is_read_as_far_as_it_is_known() -> None:
    chunk = typed_chunk(b'{"id":"x","choices":[{"index":2,"delta":{"content":"a","new":{"b":[1]}},"logprobs":null}]}')
    (choice,) = chunk.choices
    assert (choice.index, choice.delta.content, choice.finish_reason, chunk.usage) == (2, "a", None, None)


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}',
        b'{"choices":[{"index":"0","delta":{"content":"a"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":[{"text":"a"}]}}]}',
        b'{"choices":[{"index":0,"message":{"content":"a"}}]}',
        b'{"error":{"message":"a"}}',
        b"[DONE]",
        b'{"choices":[{"index":0,"delta":{"content":"\xff"}}]}',
    ],
)
def test_what_is_of_another_shape_is_left_to_others(data: bytes) -> None:
    with pytest.raises(NOT_TYPED):
        typed_chunk(data)


@pytest.mark.parametrize("data", [b'{"a":"\\ud83d"}', b'{"a":NaN}', b'{"a":1e999}', b"[]", b'"a"', b"5"])
def test_what_it_refuses_is_tried_once_more(data: bytes) -> None:
    assert repr(plain_json(data)) == repr(json.loads(data))


@pytest.mark.parametrize("data", [b"", b"{", b"<html>", b'{"a":}', b'{"a":"\xff"}'])
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        plain_json(data)


class Model:
    """What pydantic's objects look like."""

    def model_dump(self, **options: Any) -> dict[str, Any]:
        return {"a": 1}


@pytest.mark.parametrize(
    ("value", "read"),
    [({"a": "größe 😀"}, {"a": "größe 😀"}), ({"a": "\ud83d"}, {"a": "\ud83d"}), ({"a": Model()}, {"a": {"a": 1}})],
)
def test_what_is_sent_is_read_again(value: Any, read: Any) -> None:
    assert json.loads(as_json(value)) == read


class SafeText(str):
    """As frameworks have for text that needs no escaping; here its `str()` is another text."""

    def __str__(self) -> str:
        return "escaped"


class Half(float):
    """As NumPy's floats are."""


class Three(int):
    """A number of a class of its own."""


def test_a_text_or_number_of_a_class_of_its_own_is_a_plain_one() -> None:
    asked = {"text": SafeText("<b>"), "list": [Half(0.5), Three(3)], "map": MappingProxyType({"a": SafeText("b")})}
    assert json.loads(as_json(asked)) == {"text": "<b>", "list": [0.5, 3], "map": {"a": "b"}}


@pytest.mark.parametrize("value", [object(), Model, {"a": {1, object()}}])
def test_what_has_no_json_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="has no JSON form"):
        as_json(value)
