"""AG-UI events, checked by the models of `ag-ui-protocol` and read by AG-UI's own client."""

from __future__ import annotations

import dataclasses
from typing import Any

from ag_ui.core import Event
from hypothesis import given, strategies as st
from pydantic import TypeAdapter

import lmstream_sync as lms
from lmstream_sync.errors import StreamCancelled
from lmstream_sync.testing import Reply, stream_of
from lmstream_sync.web.formats.ag_ui import AGUIFormat

from ...streaming.replies import chat
from .made_up import MadeUp, examples, streams
from .programs import listened_shop
from .reading import parts, written
from .served import node, served

MASKED = "The answer could not be completed."
EVENTS: TypeAdapter[Any] = TypeAdapter(Event)


def checked(body: str) -> list[dict[str, Any]]:
    """The events, each known to the protocol's models and with no key that they do not know."""
    events = parts(body)
    for event in events:
        model = EVENTS.validate_python(event)
        assert not model.model_extra, model.model_extra
    return events


def of_conversation() -> AGUIFormat:
    return AGUIFormat(thread_id="conversation", run_id="run")


def test_a_whole_program_becomes_messages_and_tool_calls(serve: Any) -> None:
    serve(Reply(chat(reasoning="Let me see.", answer="Nine <b>euros</b>.\u2028\n\nYes."), cut=3))
    with served(listened_shop, of_conversation) as url:
        read = node("ag_ui.mjs", url)
    assert read.get("error") is None
    _, *tools, reasoning, text = read["messages"]
    assert [(each["role"], each.get("content")) for each in tools if each["role"] == "tool"] == [
        ("tool", '{"price":null,"item":"pan"}'),
        ("tool", MASKED),
    ]
    calls = [call for each in tools for call in each.get("toolCalls", ())]
    assert [(each["function"]["name"], each["function"]["arguments"]) for each in calls] == [
        ("look_up", '{"item":"pan"}'),
        ("fail", "{}"),
    ]
    assert (reasoning["role"], reasoning["content"]) == ("reasoning", "Let me see.")
    assert (text["role"], text["content"]) == ("assistant", "Nine <b>euros</b>.\u2028\n\nYes.")
    assert read["result"] == {"reasoning": "Let me see.", "answer": "Nine <b>euros</b>.\u2028\n\nYes."}
    custom = [(event["name"], event["value"]) for event in read["events"] if event["type"] == "CUSTOM"]
    assert ("event", {"source": "catalogue"}) in custom
    assert custom[0][1]["message"] == "Calling tool look_up..."
    assert custom[-1] == ("prediction", read["result"])
    finished = read["events"][-1]
    assert (finished["type"], finished["threadId"], finished["runId"]) == ("RUN_FINISHED", "conversation", "run")
    assert finished["usage"][0]["totalTokens"] > 0


def test_a_cache_hit_has_its_text_too(serve: Any) -> None:
    serve(chat(answer="yes"), cache=True)
    predict = lms.Predict("question -> answer")
    predict(question="?")
    program = lms.streamify(predict, stream_listeners=[lms.StreamListener("answer")])
    with served(lambda: program(question="?"), AGUIFormat) as url:
        assert node("ag_ui.mjs", url)["messages"][-1]["content"] == "yes"


def test_an_error_is_masked_and_the_last_event() -> None:
    with served(lambda: stream_of([lms.StreamResponse("p", "answer", "Ni", False)], KeyError("x")), AGUIFormat) as url:
        read = node("ag_ui.mjs", url)
    assert [event["type"] for event in read["events"]][-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    assert read["events"][-1]["message"] == MASKED
    assert read["events"][-1]["code"] == "ProgramError"


def test_a_restart_names_the_messages_that_became_void() -> None:
    events = [
        lms.StreamResponse("p", "answer", "no", False),
        lms.StreamRestart("p", None, "again"),
        lms.StreamResponse("p", "answer", "yes", True),
    ]
    with served(lambda: stream_of(events), AGUIFormat) as url:
        read = node("ag_ui.mjs", url)
    void, text = (each for each in read["messages"] if each["role"] == "assistant")
    (restart,) = (event["value"] for event in read["events"] if event["type"] == "CUSTOM")
    assert (void["content"], text["content"], restart["messageIds"]) == ("no", "yes", [void["id"]])


def test_a_cancelled_run_did_not_fail() -> None:
    events = checked(written(AGUIFormat(), [lms.StreamResponse("p", "answer", "Ni", False)], StreamCancelled("x")))
    assert [event["type"] for event in events][-2:] == ["TEXT_MESSAGE_END", "RUN_FINISHED"]
    assert events[-1]["outcome"] == {"type": "cancelled"}


def test_ids_are_no_ids_of_ours_and_never_come_again() -> None:
    stream = [lms.StreamResponse("p", "answer", "yes", True)]
    first, second = (parts(written(AGUIFormat(), stream)) for _ in range(2))
    assert first[0]["runId"] != second[0]["runId"] and first[0]["threadId"] != second[0]["threadId"]
    assert first[1]["messageId"] != second[1]["messageId"]


def _without_halves(event: Any) -> Any:
    """The event, its texts without halves of surrogate pairs."""

    def mended(text: str) -> str:
        return text.replace("\ud83d", "x").replace("\ude00", "x")

    if isinstance(event, lms.StreamResponse):
        return dataclasses.replace(event, chunk=mended(event.chunk))
    if isinstance(event, lms.Prediction):
        return lms.Prediction(**{name: mended(text) for name, text in event.items()})
    return event


def test_the_protocol_knows_every_event() -> None:
    @examples(80)
    @given(made_up=streams(), fails=st.booleans())
    def check(made_up: MadeUp, fails: bool) -> None:
        bodies.append(written(AGUIFormat(), made_up.events, ValueError("x") if fails else None))
        # Half a surrogate pair is a JSON string, but no pydantic one.
        whole = [_without_halves(event) for event in made_up.events]
        checked(written(AGUIFormat(), whole, ValueError("x") if fails else None))

    bodies: list[str] = []
    check()
    assert [found for found in node("ag_ui.mjs", input=bodies) if found not in (None, MASKED)] == []


def test_the_client_checks() -> None:
    started = 'data: {"type":"RUN_STARTED","threadId":"1","runId":"1","protocolVersion":"1.0"}\n\n'
    content = 'data: {"type":"TEXT_MESSAGE_CONTENT","messageId":"1","delta":"x"}\n\n'
    (fault,) = node("ag_ui.mjs", input=[started + content])
    assert "No active text message" in fault
