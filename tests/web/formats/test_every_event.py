"""Every format takes every kind of event, and nothing in one can break out of its place."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import re
from typing import Any

import pydantic
import pytest
from hypothesis import given

import lmstream_sync as lms
from lmstream_sync.errors import StreamCancelled
from lmstream_sync.events import ManyResult, MergedEvent
from lmstream_sync.streaming.encoded import Encoded
from lmstream_sync.testing import Reply
from lmstream_sync.web.formats.choosing import FORMATS, chosen_format

from .made_up import examples, texts
from .reading import ServerSent, parts, server_sent, shown, written

EVERY_FORMAT = pytest.mark.parametrize("name", sorted(FORMATS))
SSE_FORMATS = pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"text", "ndjson"}))
SECRET = "sk-inner-details"


class Model(pydantic.BaseModel):
    when: datetime.date = datetime.date(2024, 1, 2)


@dataclasses.dataclass
class Point:
    x: float = float("nan")


class Colour(enum.Enum):
    RED = "red"


def response(chunk: Any, last: bool = True, field: str = "answer") -> lms.StreamResponse:
    return lms.StreamResponse("p", field, chunk, last)


EVENTS: dict[str, Any] = {
    "text": response("a\r\nb\0\u2028\ud83d"),
    "nothing": response(None),
    "an empty text": response(""),
    "an item": response({"name": "x", 1: (2, {3})}),
    "a model": response(Model()),
    "reasoning": response(lms.Reasoning("hm"), field="thoughts"),
    "citations": response(lms.Citations([])),
    "a number": response(float("inf")),
    "a message": lms.StatusMessage("a\n\ndata: [DONE]\0"),
    "a tool's start": lms.StatusMessage("m", kind="tool_start", name="a\nb", call_id="c\n", inputs={"x": Point()}),
    "a tool's end": lms.StatusMessage("m", kind="tool_end", name="t", call_id="d", outputs=Model()),
    "a tool's failure": lms.StatusMessage("m", kind="tool_end", call_id="e", error=ValueError(SECRET)),
    "a tool without id": lms.StatusMessage("m", kind="tool_start", name="t"),
    "a restart of nothing": lms.StreamRestart("p", None, "a\n\nb"),
    "a prediction": lms.Prediction(answer="x", number=1.5, none=None, model=Model(), list=[Colour.RED]),
    "an empty prediction": lms.Prediction(),
    "merged": MergedEvent("a\nevent: x", response("t")),
    "a merged prediction": MergedEvent("error", lms.Prediction(answer="y")),
    "a merged failure": MergedEvent("m", RuntimeError(SECRET)),
    "a result": ManyResult(3, lms.Prediction(answer="z")),
    "a result that is text": ManyResult(3, "text"),
    "a failed result": ManyResult(4, RuntimeError(SECRET)),
    "an exception": RuntimeError(SECRET),
    "a string": "own",
    "an event of its own": "data: {}\n\nevent: done\n\n",
    "bytes": b"\xff\x00",
    "a dict": {"type": "finish", "error": True, float("nan"): float("nan")},
    "None": None,
    "a class": Model,
    "an object": object(),
    "a dataclass": Point(),
    "half a pair": "\udc00",
}


@EVERY_FORMAT
@pytest.mark.parametrize("kind", EVENTS)
def test_any_event_can_be_written(name: str, kind: str) -> None:
    event = EVENTS[kind]
    body = written(chosen_format(name), [event, response("after", field="more"), event])
    readable(name, body)
    assert "after" in body
    assert SECRET not in body
    assert re.search(r" at 0x", body) is None or kind == "an object"


@EVERY_FORMAT
@pytest.mark.parametrize("error", [KeyError(SECRET), StreamCancelled(SECRET), lms.RateLimitError(SECRET)])
def test_any_failure_can_be_written_and_is_masked(name: str, error: BaseException) -> None:
    body = written(chosen_format(name), [response("Ni", last=False)], error)
    readable(name, body)
    assert "Ni" in body and SECRET not in body


@EVERY_FORMAT
def test_raw_chunks_are_text(serve: Any, name: str) -> None:
    serve(Reply("Because.", cut=3))
    stream = lms.streamify(lambda: lms.settings.lm("why?")[0])()
    chunks = [event for event in stream if not isinstance(event, str)]
    body = written(chosen_format(name), chunks)
    readable(name, body)
    assert "Bec" in body and "predict_id" not in body
    assert len(re.findall("Bec", body)) == 1


def readable(name: str, body: str) -> None:
    """Raises what a reader of the format would stumble over."""
    body.encode()
    if name == "ndjson":
        assert json.loads(body.splitlines()[-1]) == {"done": True}
        for line in body.splitlines():
            json.loads(line, parse_constant=lambda word: pytest.fail(word))
    elif name == "htmx":
        events = server_sent(body)
        assert [event.name for event in events].count("done") == 1 and events[-1].name == "done"
        assert "message" not in {event.name for event in events}
        for event in events:
            shown(event.data)
    elif name != "text":
        for part in json_of(body):
            assert isinstance(part, dict)


def json_of(body: str) -> list[Any]:
    # Whatever begins with `data:` passes through in the library's own format.
    return [json.loads(event.data) for event in server_sent(body) if event.data not in ("[DONE]", "")]


@SSE_FORMATS
@examples(60)
@given(text=texts, field=texts, predictor=texts, stream=texts, kind=texts)
def test_names_and_texts_cannot_break_out(
    name: str, text: str, field: str, predictor: str, stream: str, kind: str
) -> None:
    plain = [lms.StreamResponse("p", "answer", "x", True), lms.StatusMessage("x", name="x", call_id="x")]
    nasty = [lms.StreamResponse(predictor, field, text, True), lms.StatusMessage(text, name=kind, call_id=stream)]
    expected = [outline(name, MergedEvent("s", event)) for event in plain]
    found = [outline(name, MergedEvent(stream, event)) for event in nasty]
    if text:
        assert found == expected


def outline(name: str, event: Any) -> list[str]:
    """Which lines a body has, by their first word, whatever they say: an event too many would show."""
    format = chosen_format(name)
    body = format.event(event) + format.end()
    return [line.partition(":")[0] for line in re.split(r"\r\n|\r|\n", body)]


@examples(60)
@given(field=texts, stream=texts)
def test_the_name_of_an_htmx_event_is_one_word_and_none_with_a_meaning(field: str, stream: str) -> None:
    body = written(
        chosen_format("htmx"),
        [MergedEvent(stream, lms.StreamResponse("p", field, "x", True)), lms.StreamResponse("p", field, "y", True)],
    )
    *events, done = server_sent(body)
    assert done == ServerSent("", "done", "0")
    for event in events:
        assert re.fullmatch(r"[\w.-]+", event.name)
        assert event.name not in ("message", "open", "error", "done", "failed", "status", "event")
    assert [event.data for event in events] == ["x", "y"]


def test_the_library_s_own_format_numbers_its_events() -> None:
    events = server_sent(written(chosen_format("sse"), [response("a\r\nid: 9")]))
    assert [event.id for event in events] == ["1", "2"]


@SSE_FORMATS
def test_a_heartbeat_is_a_comment_for_every_reader(name: str) -> None:
    beat = chosen_format(name).heartbeat()
    assert beat.startswith(":") and server_sent(beat) == [] and beat.endswith("\n\n")


@pytest.mark.parametrize("name", ["ai-sdk", "ag-ui"])
def test_items_are_data_and_not_text(name: str) -> None:
    events = [response({"a": 1}, False), response({"a": 2}, True), lms.Prediction(answer=[{"a": 1}, {"a": 2}])]
    found = parts(written(chosen_format(name), events))
    assert not [part for part in found if "TEXT" in part["type"].upper()]
    data = [
        part.get("data") or part.get("value") for part in found if part.get("transient") or part.get("name") == "chunk"
    ]
    assert [each["chunk"] for each in data] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("name", ["ai-sdk", "ag-ui"])
def test_items_that_are_strings_are_known_by_their_listener(serve: Any, name: str) -> None:
    serve('[[ ## names ## ]]\n["a", "b"]\n\n[[ ## completed ## ]]')
    listener = lms.StreamListener("names", granularity="item")
    stream = lms.streamify(lms.Predict("q -> names: list[str]"), stream_listeners=[listener])(q="?")
    found = parts("".join(Encoded(stream, chosen_format(name), None, False)))
    data = [
        part.get("data") or part.get("value") for part in found if part.get("transient") or part.get("name") == "chunk"
    ]
    assert [each["chunk"] for each in data] == ["a", "b"]
    assert not [part for part in found if "TEXT" in part["type"].upper()]
