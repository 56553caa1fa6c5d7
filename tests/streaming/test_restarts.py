"""What was streamed becomes void and begins again: fields, whole attempts, and who is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.adapters import JSONAdapter
from lmstream_sync.testing import Reply, read_sse

from .replies import chat


def told(events: list[Any]) -> list[Any]:
    """Chunks with their last marks, restarts with predictor and field."""
    found: list[Any] = []
    for event in events:
        if isinstance(event, lms.StreamResponse):
            found.append((event.chunk, event.is_last_chunk))
        elif isinstance(event, lms.StreamRestart):
            assert event.reason and "\n" not in event.reason
            found.append((lms.StreamRestart, event.predict_name, event.signature_field_name))
    return found


FIELD_AGAIN = (lms.StreamRestart, "self", "answer")
RUN_AGAIN = (lms.StreamRestart, "self", None)


def listening(signature: str = "q -> answer", **listener: Any) -> Any:
    return lms.streamify(lms.Predict(signature), stream_listeners=[lms.StreamListener("answer", **listener)])


@pytest.fixture
def as_json() -> Iterator[None]:
    with lms.context(adapter=JSONAdapter()):
        yield


# A field begins again: a key that comes twice.

TWICE = ['{"answer": "o', 'ne", ', '"answer": "t', 'wo"', "}"]


@pytest.mark.usefixtures("as_json")
def test_a_restart_precedes_the_text_that_counts(serve: Any) -> None:
    serve(Reply(pieces=TWICE))
    stream = listening()(q="?")
    events = list(stream)
    at = told(events).index(FIELD_AGAIN)
    assert "".join(chunk for chunk, _ in told(events)[:at]) == "one"
    after = told(events)[at + 1 :]
    assert "".join(chunk for chunk, _ in after) == events[-1].answer == "two"
    assert [last for _, last in after] == [False] * (len(after) - 1) + [True]
    assert stream.partial == {"answer": "two"}


@pytest.mark.usefixtures("as_json")
def test_text_raises_and_snapshots_begin_again(serve: Any) -> None:
    serve([Reply(pieces=TWICE)] * 2)
    given: list[str] = []
    with pytest.raises(lms.StreamRestarted, match="snapshots") as raised:
        for piece in listening()(q="?").text():
            given.append(piece)
    assert "".join(given) == "one" and raised.value.partial == {"answer": ""}
    snapshots = list(listening()(q="?").snapshots())
    assert snapshots == ["o", "one", "", "t", "two"]


@pytest.mark.usefixtures("as_json")
def test_a_restart_is_a_line_on_the_web(serve: Any) -> None:
    serve(Reply(pieces=TWICE))
    lines = read_sse("".join(lms.streaming_response(listening()(q="?"))))
    (restart,) = [line["restart"] for line in lines if "restart" in line]
    assert (restart["predict_name"], restart["signature_field_name"]) == ("self", "answer") and restart["reason"]


@pytest.mark.usefixtures("as_json")
def test_the_restart_of_a_field_that_nobody_listens_to_is_not_told(serve: Any) -> None:
    serve(Reply(pieces=['{"note": "a"', ', "note": "b"', ', "answer": "one"}']))
    events = list(listening("q -> note, answer")(q="?"))
    assert "".join(chunk for chunk, _ in told(events)) == "one"


@pytest.mark.usefixtures("as_json")
def test_items_begin_again_with_their_field(serve: Any) -> None:
    serve([Reply(pieces=['{"answer": [1, ', "2], ", '"answer": [3', ", 4]", "}"])] * 2)
    program = listening("q -> answer: list[int]", granularity="item")
    stream = program(q="?")
    assert told(list(stream)) == [(1, False), (2, True), FIELD_AGAIN, (3, False), (4, True)]
    assert stream.partial["answer"] == "[3, 4]"
    snapshots = [(each, list(each)) for each in program(q="?").snapshots()]
    assert [seen for _, seen in snapshots] == [[1], [1, 2], [], [3], [3, 4]]
    assert snapshots[0][0] is snapshots[1][0] is not snapshots[3][0]


@pytest.mark.usefixtures("as_json")
def test_items_of_which_none_was_given_begin_again_silently(serve: Any) -> None:
    serve(Reply(pieces=['{"answer": [1', ', "a" ', '"answer": [3', ", 4]", "}"]))
    events = list(listening("q -> answer: list[Any]", granularity="item")(q="?"))
    after = [each for each in told(events) if each[0] is not lms.StreamRestart]
    assert after[-1][1] is True and isinstance(events[-1], lms.Prediction)


@pytest.mark.usefixtures("as_json")
def test_a_value_begins_again_as_a_new_object(serve: Any) -> None:
    serve([Reply(pieces=['{"answer": {"a": 1, ', '"b": "x"}', ', "answer": {"a": ', "2}", "}"])] * 2)
    program = listening("q -> answer: dict[str, Any]", granularity="value")
    events = list(program(q="?"))
    at = told(events).index(FIELD_AGAIN)
    before, after = events[at - 1].chunk, [event.chunk for event in events[at + 1 : -1]]
    assert before == {"a": 1, "b": "x"} and after[-1] == {"a": 2} == events[-1].answer
    assert all(each is after[0] for each in after) and after[0] is not before
    snapshots = [json.dumps(each) for each in program(q="?").snapshots()]
    assert "null" in snapshots and snapshots[-1] == '{"a": 2}'


# A whole attempt begins again: a reply that does not parse is asked for once more.

NO_ANSWER = Reply(pieces=["[[ ## note ## ]]\n", "So far.", "\n\n[[ ## completed ## ]]"])
SECOND = Reply('{"note": "Again.", "answer": "yes"}', cut=5)


def both(**options: Any) -> Any:
    listeners = [lms.StreamListener(name, **options) for name in ("note", "answer")]
    return lms.streamify(lms.Predict("q -> note, answer"), stream_listeners=listeners)


def test_a_second_attempt_is_announced_to_those_who_saw_the_first(serve: Any) -> None:
    server = serve([NO_ANSWER, SECOND])
    stream = both()(q="?")
    events = list(stream)
    at = told(events).index(RUN_AGAIN)
    assert told(events).count(RUN_AGAIN) == 1 and server.request_count == 2
    assert "".join(chunk for chunk, _ in told(events)[:at]) == "So far."
    after = events[at + 1 : -1]
    texts = {name: "".join(e.chunk for e in after if e.signature_field_name == name) for name in ("note", "answer")}
    assert texts == stream.partial == {"note": "Again.", "answer": "yes"}
    assert sum(e.is_last_chunk for e in after) == 2


def test_a_second_attempt_is_not_announced_where_nothing_was_shown(serve: Any) -> None:
    serve([Reply("I will not."), SECOND])
    events = list(both()(q="?"))
    assert not [e for e in events if isinstance(e, lms.StreamRestart)] and events[-1].answer == "yes"


def test_a_second_attempt_is_no_second_run(serve: Any) -> None:
    """The first run, of two attempts, streams; the second run does not, and is not asked to stream."""
    server = serve([NO_ANSWER, SECOND, chat(note="n", answer="the second run")])

    class Twice(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict("q -> note, answer")

        def forward(self, q: str) -> Any:
            self.ask(q=q)
            return self.ask(q=q)

    stream = lms.streamify(Twice(), stream_listeners=[lms.StreamListener("note"), lms.StreamListener("answer")])(q="?")
    assert stream.result().answer == "the second run"
    assert stream.partial == {"note": "Again.", "answer": "yes"}
    assert [bool(request.body.get("stream")) for request in server.requests] == [True, True, False]


def test_raw_chunks_of_a_second_attempt_are_announced_too(serve: Any) -> None:
    serve([NO_ANSWER, SECOND])
    events = list(lms.streamify(lms.Predict("q -> note, answer"))(q="?"))
    (at,) = [place for place, event in enumerate(events) if isinstance(event, lms.StreamRestart)]
    assert (events[at].predict_name, events[at].signature_field_name) == ("self", None)

    def text(chunks: list[Any]) -> str:
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    assert text(events[:at]) == NO_ANSWER.text
    assert text(events[at + 1 : -1]) == SECOND.text


def test_text_without_listeners_is_that_of_the_second_attempt(serve: Any) -> None:
    serve([NO_ANSWER, SECOND] * 2)
    program = lms.streamify(lms.Predict("q -> note, answer"))
    snapshots = list(program(q="?").snapshots("note"))
    assert "So far." in snapshots and "" in snapshots and snapshots[-1] == "Again."
    with pytest.raises(lms.StreamRestarted):
        list(program(q="?").text("note"))


class Step(pydantic.BaseModel):
    title: str


@pytest.mark.parametrize("granularity", ["item", "value"])
def test_items_and_values_of_a_second_attempt(serve: Any, granularity: str) -> None:
    first = '[[ ## steps ## ]]\n[{"title": "a"}, {"title": "b"}, {"ti'
    serve([Reply(first, cut=3), Reply('{"steps": [{"title": "c"}, {"title": "d"}], "done": "x"}', cut=3)])
    signature = lms.Signature(
        {
            "q": (str, lms.InputField()),
            "steps": (list[Step], lms.OutputField()),
            "done": (str, lms.OutputField()),
        }
    )
    program = lms.streamify(
        lms.Predict(signature), stream_listeners=[lms.StreamListener("steps", granularity=granularity)]
    )
    events = list(program(q="?"))
    at = told(events).index(RUN_AGAIN)
    after = [event for event in events[at + 1 : -1] if isinstance(event, lms.StreamResponse)]
    assert [e.is_last_chunk for e in after] == [False] * (len(after) - 1) + [True]
    if granularity == "item":
        assert [e.chunk for e in after] == events[-1].steps == [Step(title="c"), Step(title="d")]
    else:
        assert after[-1].chunk == [{"title": "c"}, {"title": "d"}]
        assert events[at - 1].chunk is not after[0].chunk
