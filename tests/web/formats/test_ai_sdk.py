"""The UI message stream, read by the real `ai` package: with the strict schemas that it had, and as it is now."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

import lmstream_sync as lms
from lmstream_sync.errors import StreamCancelled
from lmstream_sync.events import ManyResult
from lmstream_sync.streaming.encoded import Encoded
from lmstream_sync.testing import Reply, stream_of
from lmstream_sync.web.formats.ai_sdk import AISDKFormat

from ...streaming.replies import chat
from .made_up import examples, streams
from .programs import listened_shop
from .reading import parts, written
from .served import node, served

BROKEN = ["[[ ## answer ## ]]\nNine", " euros and", " ninety"]
BOTH = pytest.mark.parametrize("package", ["ai-strict", "ai"])


@BOTH
def test_a_whole_program_becomes_a_message(serve: Any, package: str) -> None:
    serve(Reply(chat(reasoning="Let me see.", answer="Nine <b>euros</b>.\u2028\n\nYes."), cut=3))
    with served(listened_shop, AISDKFormat) as url:
        read = node("ai_sdk.mjs", package, url)
    assert (read["status"], read["header"], read["errors"]) == (200, "v1", [])
    found = [part for part in read["message"]["parts"] if part["type"] != "data-event"]
    tool, failed, reasoning, text, prediction = found
    assert (tool["type"], tool["toolName"], tool["state"]) == ("dynamic-tool", "look_up", "output-available")
    assert (tool["input"], tool["output"]) == ({"item": "pan"}, {"price": None, "item": "pan"})
    assert (failed["state"], failed["errorText"]) == ("output-error", "The answer could not be completed.")
    assert (reasoning["type"], reasoning["text"], reasoning["state"]) == ("reasoning", "Let me see.", "done")
    assert (text["type"], text["text"], text["state"]) == ("text", "Nine <b>euros</b>.\u2028\n\nYes.", "done")
    assert text["providerMetadata"] == {"lmstream_sync": {"field": "answer", "predictor": "ask.predict"}}
    assert prediction["data"] == {"reasoning": "Let me see.", "answer": "Nine <b>euros</b>.\u2028\n\nYes."}
    assert {"type": "data-event", "data": {"source": "catalogue"}} in read["message"]["parts"]
    statuses = [chunk["data"]["message"] for chunk in read["chunks"] if chunk["type"] == "data-status"]
    assert statuses[0] == "Calling tool look_up..."
    assert [chunk["type"] for chunk in read["chunks"]].count("text-delta") > 3


@BOTH
def test_a_cache_hit_has_its_text_too(serve: Any, package: str) -> None:
    serve(chat(answer="yes"), cache=True)
    predict = lms.Predict("question -> answer")
    predict(question="?")
    program = lms.streamify(predict, stream_listeners=[lms.StreamListener("answer")])
    with served(lambda: program(question="?"), AISDKFormat) as url:
        read = node("ai_sdk.mjs", package, url)
    assert [part.get("text") or part["data"] for part in read["message"]["parts"]] == ["yes", {"answer": "yes"}]


@BOTH
def test_an_error_ends_the_part_and_is_masked(serve: Any, package: str) -> None:
    serve(Reply(pieces=BROKEN, error_after=2, body={"error": {"message": "inner details"}}))
    program = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])
    with served(lambda: program(q="?"), AISDKFormat) as url:
        read = node("ai_sdk.mjs", package, url)
    assert read["errors"] == ["The answer could not be completed."]
    assert "inner details" not in str(read)
    assert [chunk["type"] for chunk in read["chunks"]][-3:] == ["text-end", "error", "finish"]


@BOTH
def test_a_restart_ends_the_part_and_begins_another(package: str) -> None:
    events = [
        lms.StreamResponse("p", "answer", "no", False),
        lms.StreamRestart("p", None, "again"),
        lms.StreamResponse("p", "answer", "yes", True),
        lms.Prediction(answer="yes"),
    ]
    with served(lambda: stream_of(events), AISDKFormat) as url:
        read = node("ai_sdk.mjs", package, url)
    shown = [(part["type"], part.get("text")) for part in read["message"]["parts"]]
    assert shown == [("text", "no"), ("data-restart", None), ("text", "yes"), ("data-prediction", None)]
    assert {part["state"] for part in read["message"]["parts"] if part["type"] == "text"} == {"done"}


def test_each_run_of_a_predictor_is_a_part() -> None:
    run = [lms.StreamResponse("p", "answer", "a", False), lms.StreamResponse("p", "answer", "b", True)]
    found = parts(written(AISDKFormat(), [*run, *run, lms.Prediction(answer="ab")]))
    assert [part["id"] for part in found if part["type"] == "text-end"] == ["1", "2"]
    assert "".join(part["delta"] for part in found if part["type"] == "text-delta") == "abab"


def kinds(body: str) -> list[str]:
    return [part["type"] for part in parts(body)]


def test_raw_reasoning_ends_where_the_text_begins(serve: Any) -> None:
    serve(Reply("Because.", reasoning="Hm."))
    chunks = [event for event in lms.streamify(lambda: lms.settings.lm("why?")[0])() if not isinstance(event, str)]
    found = kinds(written(AISDKFormat(), chunks))
    assert found.index("reasoning-end") < found.index("text-start")


def test_a_result_of_many_is_over_when_it_is_there() -> None:
    format = AISDKFormat()
    part = ["text-start", "text-delta", "text-end"]
    for index in range(3):
        assert kinds(format.event(ManyResult(index, "text"))) == part
        assert kinds(format.event(ManyResult(index, lms.Prediction(answer="a")))) == [*part, "data-prediction"]
    assert kinds(format.end()) == ["finish"]


@BOTH
def test_a_cancelled_program_aborts(serve: Any, package: str) -> None:
    server = serve(Reply(pieces=BROKEN, stall_after=2))
    program = lms.streamify(lms.Predict("q -> answer"), stream_listeners=[lms.StreamListener("answer")])

    def cancelled() -> lms.Stream:
        stream = program(q="?")
        stream.peek("output")
        assert lms.cancel(stream.id)
        return stream

    with served(cancelled, AISDKFormat) as url:
        read = node("ai_sdk.mjs", package, url)
    server.release()
    assert [chunk["type"] for chunk in read["chunks"]][-2:] == ["abort", "finish"]
    assert read["errors"] == []


def test_the_end_comes_after_an_abort_and_an_error() -> None:
    for error, kind in [(StreamCancelled("x"), "abort"), (ValueError("x"), "error")]:
        body = written(AISDKFormat(), [], error)
        assert [part["type"] for part in parts(body)] == ["start", kind, "finish"]
        assert body.endswith("data: [DONE]\n\n")


def test_an_error_is_told_where_it_may_be() -> None:
    body = written(AISDKFormat(), [], ValueError("details"), expose_errors=True)
    assert parts(body)[1] == {"type": "error", "errorText": "details"}


def test_tools_can_be_kept_back() -> None:
    status = lms.StatusMessage("Calling", kind="tool_start", name="t", call_id="1", inputs={"secret": 1})
    end = lms.StatusMessage("Called", kind="tool_end", name="t", call_id="1", outputs="secret")
    body = written(AISDKFormat(tools=False), [status, end])
    assert "secret" not in body and [part["type"] for part in parts(body)].count("data-status") == 2


def test_an_end_whose_beginning_nobody_told_of_has_one() -> None:
    end = lms.StatusMessage("Called", kind="tool_end", name="t", call_id="1", outputs=None)
    found = kinds(written(AISDKFormat(), [end, end]))
    assert found == [
        "start", "data-status", "tool-input-start", "tool-input-available", "tool-output-available",
        "data-status", "finish",
    ]  # fmt: skip


def test_the_stream_s_id_is_not_told() -> None:
    stream = stream_of([lms.StreamResponse("p", "answer", "yes", True)])
    assert stream.id not in "".join(Encoded(stream, AISDKFormat(), None, False))


@BOTH
def test_any_stream_fits_the_schemas(package: str) -> None:
    bodies: list[str] = []

    @examples(60)
    @given(made_up=streams(), fails=st.booleans())
    def collect(made_up: Any, fails: bool) -> None:
        bodies.append(written(AISDKFormat(), made_up.events, ValueError("x") if fails else None))

    collect()
    assert [found for found in node("ai_sdk.mjs", package, input=bodies) if found is not None] == []


def test_the_strict_schemas_are_strict() -> None:
    body = 'data: {"type":"text-start","id":"1","extra":1}\n\n'
    assert node("ai_sdk.mjs", "ai-strict", input=[body]) != [None]
