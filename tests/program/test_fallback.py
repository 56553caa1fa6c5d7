"""A reply that does not parse is asked for once more as JSON, and whoever streamed the first is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.program.manners import forget_refusals
from lmstream_sync.testing import Reply, read_sse

from .conftest import reply
from .test_predict import WAYS

BROKEN = Reply("The answer is a pan, and the score is high.", cut=5)
HALF = Reply("[[ ## answer ## ]]\na tin pan\n\n[[ ## score ## ]]\nhigh\n[[ ## completed ## ]]", cut=5)
GOOD = Reply(json.dumps({"answer": "a pan", "score": 7}), cut=4)
ASK = "q -> answer, score: int"


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    forget_refusals()
    yield
    forget_refusals()


@pytest.mark.parametrize("way", WAYS)
def test_it_is_asked_once_more_as_json(serve: Any, way: Any) -> None:
    server = serve([BROKEN, GOOD])
    made = way(lms.Predict(ASK), q="?")
    assert (made.answer, made.score) == ("a pan", 7)
    first, second = server.requests
    assert "response_format" not in first.body
    assert second.body["response_format"]["type"] == "json_schema"
    assert "[[ ## answer ## ]]" in json.dumps(first.body) and "JSON" in json.dumps(second.body)


@pytest.mark.parametrize("way", WAYS)
def test_it_is_asked_once_more_only(serve: Any, way: Any) -> None:
    server = serve([BROKEN, BROKEN, GOOD])
    with pytest.raises(lms.AdapterParseError, match="JSONAdapter"):
        way(lms.Predict(ASK), q="?")
    assert len(server.requests) == 2


def test_it_is_not_asked_again_where_that_is_switched_off(serve: Any) -> None:
    server = serve([BROKEN, GOOD])
    with (
        lms.context(adapter=lms.ChatAdapter(use_json_adapter_fallback=False)),
        pytest.raises(lms.AdapterParseError, match="ChatAdapter"),
    ):
        lms.Predict(ASK)(q="?")
    assert len(server.requests) == 1


def test_a_refusal_is_an_error_that_says_so_and_is_not_asked_again(serve: Any) -> None:
    server = serve(Reply(refusal="I cannot help with that."))
    with pytest.raises(lms.AdapterParseError, match="refused to answer: I cannot help with that") as raised:
        lms.Predict(ASK)(q="?")
    assert raised.value.refusal == "I cannot help with that." and len(server.requests) == 1


def test_the_text_of_the_first_attempt_stays_where_the_second_gives_none(serve: Any) -> None:
    serve([HALF, BROKEN])
    stream = lms.streamify(lms.Predict(ASK), stream_listeners=[lms.StreamListener("answer")])(q="?")
    with pytest.raises(lms.AdapterParseError) as raised:
        for event in stream:
            assert not isinstance(event, lms.StreamRestart)
    assert raised.value.partial == {"answer": "a tin pan"}


def test_the_usage_of_both_attempts_counts(serve: Any) -> None:
    serve([BROKEN, GOOD])
    with lms.context(track_usage=True):
        made = lms.Predict(ASK)(q="?")
    (usage,) = made.get_lm_usage().values()
    assert usage["completion_tokens"] == len(BROKEN.cut_up(BROKEN.text)) + len(GOOD.cut_up(GOOD.text))


def joined(events: list[Any], field: str) -> str:
    """What a reader who heeds restarts has of a field at the end."""
    text = ""
    for event in events:
        if isinstance(event, lms.StreamRestart) and event.signature_field_name in (None, field):
            text = ""
        elif isinstance(event, lms.StreamResponse) and event.signature_field_name == field:
            text += event.chunk
    return text


@pytest.mark.parametrize("read", ["for", "async for"])
def test_who_streamed_the_first_attempt_is_told(serve: Any, read: str) -> None:
    serve([HALF, GOOD])
    answer = lms.streamify(
        lms.Predict(ASK), stream_listeners=[lms.StreamListener("answer"), lms.StreamListener("score")]
    )

    async def awaited() -> list[Any]:
        return [event async for event in answer(q="?")]

    events = list(answer(q="?")) if read == "for" else asyncio.run(awaited())
    (restart,) = [event for event in events if isinstance(event, lms.StreamRestart)]
    assert (restart.predict_name, restart.signature_field_name) == ("self", None) and restart.reason
    before = events[: events.index(restart)]
    assert "".join(e.chunk for e in before if e.signature_field_name == "answer") == "a tin pan"
    made = events[-1]
    for field in ("answer", "score"):
        assert joined(events, field) == made.raw(field)
        after = events[events.index(restart) : -1]
        marks = [e.is_last_chunk for e in after[1:] if e.signature_field_name == field]
        assert marks.count(True) == 1 and marks[-1]


def test_who_saw_nothing_is_told_nothing(serve: Any) -> None:
    serve([BROKEN, GOOD])
    answer = lms.streamify(lms.Predict(ASK), stream_listeners=[lms.StreamListener("answer")])
    events = list(answer(q="?"))
    assert not [event for event in events if isinstance(event, lms.StreamRestart)]
    assert joined(events, "answer") == "a pan"


def test_who_reads_raw_chunks_is_told(serve: Any) -> None:
    serve([BROKEN, GOOD])
    events = list(lms.streamify(lms.Predict(ASK))(q="?"))
    kinds = [type(event).__name__ for event in events]
    assert kinds.count("StreamRestart") == 1
    at = kinds.index("StreamRestart")
    text = "".join(chunk.choices[0].delta.content or "" for chunk in events[at + 1 : -1] if chunk.choices)
    assert text == GOOD.text and "ModelResponseStream" in kinds[:at]


def test_the_restart_is_a_data_line(serve: Any) -> None:
    serve([HALF, GOOD])
    answer = lms.streamify(lms.Predict(ASK), stream_listeners=[lms.StreamListener("answer")])
    lines = read_sse("".join(lms.streaming_response(answer(q="?"))))
    (restart,) = [line["restart"] for line in lines if "restart" in line]
    assert restart["predict_name"] == "self"
    assert lines[-1]["prediction"] == {"answer": "a pan", "score": 7}


def test_text_raises_and_snapshots_begin_again(serve: Any) -> None:
    answer = lms.streamify(lms.Predict(ASK), stream_listeners=[lms.StreamListener("answer")])
    serve([HALF, GOOD])
    with pytest.raises(lms.StreamRestarted) as raised:
        list(answer(q="?").text())
    assert raised.value.partial == {"answer": ""}
    serve([HALF, GOOD])
    snapshots = list(answer(q="?").snapshots())
    assert snapshots[snapshots.index("") - 1] == "a tin pan" and snapshots[-1] == "a pan"


def test_a_restart_comes_also_where_the_second_attempt_is_a_cache_hit(serve: Any) -> None:
    server = serve([GOOD, HALF], cache=True)
    with lms.context(adapter=lms.JSONAdapter()):
        lms.Predict(ASK)(q="the same")
    answer = lms.streamify(lms.Predict(ASK), stream_listeners=[lms.StreamListener("answer")])
    events = list(answer(q="the same"))
    assert len(server.requests) == 2
    assert isinstance(events[-2], lms.StreamRestart) and events[-1].answer == "a pan"


def test_a_second_attempt_is_no_second_run(serve: Any) -> None:
    """The restart uses nothing up: without `allow_reuse` the second attempt streams, a second run does not."""
    serve([HALF, GOOD, HALF, GOOD])

    class Twice(lms.Module):
        def __init__(self) -> None:
            self.ask = lms.Predict(ASK)

        def forward(self) -> Any:
            self.ask(q="1")
            return self.ask(q="2")

    events = list(lms.streamify(Twice(), stream_listeners=[lms.StreamListener("answer")])())
    assert joined(events, "answer") == "a pan"
    assert sum(isinstance(event, lms.StreamRestart) for event in events) == 1


# What an endpoint refuses.

REFUSED = Reply(status=400, body={"error": {"message": "response_format is not supported", "type": "invalid"}})


def refusing(*kinds: str) -> Any:
    """Refuses these types of `response_format`."""

    def answer(request: dict[str, Any]) -> Reply:
        return REFUSED if request.get("response_format", {}).get("type") in kinds else GOOD

    return answer


def formats(server: Any) -> list[str | None]:
    return [request.body.get("response_format", {}).get("type") for request in server.requests]


@pytest.mark.parametrize(
    ("kinds", "asked"),
    [
        ((), ["json_schema"]),
        (("json_schema",), ["json_schema", "json_object"]),
        (("json_schema", "json_object"), ["json_schema", "json_object", None]),
    ],
)
def test_structured_output_falls_back_and_is_remembered(serve: Any, kinds: tuple[str, ...], asked: Any) -> None:
    server = serve(refusing(*kinds), num_retries=0)
    with lms.context(adapter=lms.JSONAdapter()):
        for _ in range(2):
            assert lms.Predict(ASK)(q="?").score == 7
        assert formats(server) == [*asked, asked[-1]]
        chunks = list(lms.stream(lms.Predict(ASK), q="?").text("answer"))
    assert "".join(chunks) == "a pan"


def test_what_is_wrong_with_any_form_is_the_error_and_nothing_is_remembered(serve: Any) -> None:
    bad = Reply(status=400, body={"error": {"message": "temperature out of range", "type": "invalid"}})
    server = serve([bad, bad, bad, GOOD], num_retries=0)
    with lms.context(adapter=lms.JSONAdapter()):
        with pytest.raises(lms.BadRequestError, match="temperature"):
            lms.Predict(ASK)(q="?")
        assert lms.Predict(ASK)(q="?").score == 7
    assert formats(server) == ["json_schema", "json_object", None, "json_schema"]


def test_no_room_and_no_such_model_are_errors_at_once(serve: Any) -> None:
    full = Reply(
        status=400,
        body={
            "error": {"message": "This model's maximum context length is 8 tokens", "code": "context_length_exceeded"}
        },
    )
    for refusal, kind in ((full, lms.ContextWindowExceededError), (Reply(status=404), lms.BadRequestError)):
        server = serve(refusal, num_retries=0)
        with lms.context(adapter=lms.JSONAdapter()), pytest.raises(kind):
            lms.Predict(ASK)(q="?")
        assert len(server.requests) == 1


def test_a_form_that_the_user_asks_for_is_left_alone(serve: Any) -> None:
    server = serve(GOOD)
    with lms.context(adapter=lms.JSONAdapter()):
        lms.Predict(ASK, response_format={"type": "json_object"})(q="?")
    assert formats(server) == ["json_object"]


def test_the_chat_reply_is_unchanged_where_it_parses(serve: Any) -> None:
    server = serve(reply(answer="a pan", score="7"))
    assert lms.Predict(ASK)(q="?").score == 7
    assert len(server.requests) == 1
