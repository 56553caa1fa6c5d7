"""Fields that a model answers beside its text: reasoning, citations, calls of tools, types of the user's."""

from __future__ import annotations

import json
from typing import Any

import pytest

import lmstream_sync as lms
from lmstream_sync.lm.assembly import Assembly
from lmstream_sync.lm.engine import Delta
from lmstream_sync.program.native import ToolCallsField
from lmstream_sync.testing import Reply

from .conftest import reply

THINKS = "question -> reasoning: lms.Reasoning, answer"


def streamed(program: Any, *fields: str, **inputs: Any) -> tuple[dict[str, list[Any]], lms.Prediction]:
    """Field → its events since its last restart, and the Prediction."""
    seen: dict[str, list[Any]] = {field: [] for field in fields}
    listeners = [lms.StreamListener(field) for field in fields]
    made = None
    for event in lms.streamify(program, stream_listeners=listeners)(**inputs):
        if isinstance(event, lms.StreamRestart):
            for field in fields:
                if event.signature_field_name in (None, field):
                    seen[field] = []
        elif isinstance(event, lms.StreamResponse):
            seen[event.signature_field_name].append(event)
        else:
            made = event
    assert isinstance(made, lms.Prediction)
    for field, events in seen.items():
        assert [event.is_last_chunk for event in events].count(True) == 1 and events[-1].is_last_chunk, field
    return seen, made


def text(events: list[Any]) -> str:
    return "".join(event.chunk for event in events)


@pytest.mark.parametrize("options", [{}, {"reasoning_effort": "low"}])
def test_native_reasoning_streams_unstripped_into_its_field(serve: Any, options: dict[str, Any]) -> None:
    server = serve(Reply(reply(answer="a pan"), reasoning="  Six\n sevens. \n", cut=3), **options)
    seen, made = streamed(lms.Predict(THINKS), "reasoning", "answer", question="?")
    assert text(seen["reasoning"]) == "  Six\n sevens. \n" == made.raw("reasoning")
    assert str(made.reasoning) == "  Six\n sevens. \n" and isinstance(made.reasoning, lms.Reasoning)
    assert text(seen["answer"]) == "a pan" == made.answer
    # Only where the model is known to reason does the prompt leave the field out.
    assert ("[[ ## reasoning ## ]]" in json.dumps(server.requests[0].body["messages"])) is not bool(options)


def test_reasoning_is_an_ordinary_field_where_the_model_has_none(serve: Any) -> None:
    serve(Reply(reply(reasoning="Six sevens.", answer="a pan"), cut=3))
    seen, made = streamed(lms.Predict(THINKS), "reasoning", "answer", question="?")
    assert text(seen["reasoning"]) == "Six sevens." == made.raw("reasoning") == str(made.reasoning)


def test_a_model_that_was_said_to_reason_and_does_not_leaves_the_field_empty(serve: Any) -> None:
    serve(Reply(reply(answer="a pan"), cut=3), reasoning_effort="low")
    seen, made = streamed(lms.Predict(THINKS), "reasoning", "answer", question="?")
    assert text(seen["reasoning"]) == "" == made.raw("reasoning") == str(made.reasoning)


def test_native_reasoning_wins_over_what_the_text_says_of_it(serve: Any) -> None:
    serve(Reply(reply(reasoning="told", answer="a pan"), reasoning="thought", cut=3))
    seen, made = streamed(lms.Predict(THINKS), "reasoning", "answer", question="?")
    assert text(seen["reasoning"]) == "thought" == made.raw("reasoning") == str(made.reasoning)
    assert made.answer == "a pan"


@pytest.mark.parametrize("adapter", [lms.JSONAdapter(), lms.XMLAdapter()])
def test_with_every_adapter(serve: Any, adapter: lms.Adapter) -> None:
    body = adapter.render(lms.Signature("question -> answer"), {"answer": "a pan"})
    serve(Reply(body, reasoning=" hm ", cut=3))
    with lms.context(adapter=adapter):
        seen, made = streamed(lms.Predict(THINKS), "reasoning", "answer", question="?")
    assert (text(seen["reasoning"]), text(seen["answer"])) == (" hm ", "a pan")
    assert (str(made.reasoning), made.answer) == (" hm ", "a pan")


def test_it_comes_back_without_a_listener_and_from_the_cache_too(serve: Any) -> None:
    server = serve(Reply(reply(answer="a pan"), reasoning="thought"), cache=True)
    for _ in range(2):
        made = lms.Predict(THINKS)(question="cached thought")
        assert (str(made.reasoning), made.raw("reasoning")) == ("thought", "thought")
    assert len(server.requests) == 1


def test_a_type_that_is_not_to_be_taken_natively_is_an_ordinary_field(serve: Any) -> None:
    serve(Reply(reply(reasoning="told", answer="a pan"), reasoning="thought", cut=3))
    with lms.context(adapter=lms.ChatAdapter(native_response_types=[])):
        seen, made = streamed(lms.Predict(THINKS), "reasoning", question="?")
    assert text(seen["reasoning"]) == "told" == str(made.reasoning)


def test_chain_of_thought_may_think_natively(serve: Any) -> None:
    serve(Reply(reply(answer="a pan"), reasoning="thought", cut=3))
    program = lms.ChainOfThought("question -> answer", rationale_field_type=lms.Reasoning)
    seen, made = streamed(program, "reasoning", question="?")
    assert text(seen["reasoning"]) == "thought" == str(made.reasoning)


def test_the_reasoning_of_each_of_several_choices(serve: Any) -> None:
    serve(Reply(reply(answer="a pan"), reasoning="thought"))
    made = lms.Predict(THINKS, n=2)(question="?")
    assert [str(one) for one in made.completions.reasoning] == ["thought", "thought"]


# Types of the user's that read the pieces themselves.


class Loud(lms.Type):
    """Each piece in capitals."""

    text: str = ""

    @classmethod
    def is_streamable(cls) -> bool:
        return True

    @classmethod
    def parse_stream_chunk(cls, chunk: Any) -> Loud | None:
        content = chunk.choices[0].delta.content if chunk.choices else None
        return cls(text=content.upper()) if content else None

    @classmethod
    def parse_lm_response(cls, response: Any) -> Loud | None:
        return cls(text=response["text"].upper()) if isinstance(response, dict) else cls(text=response)


def test_a_type_that_streams_itself_is_shown_in_its_own_pieces(serve: Any) -> None:
    serve(Reply(reply(loud='{"text": "hi"}', answer="a pan"), cut=4))
    signature = lms.Signature("question -> loud: Loud, answer", custom_types={"Loud": Loud})
    seen, made = streamed(lms.Predict(signature), "loud", "answer", question="?")
    assert all(isinstance(event.chunk, Loud) for event in seen["loud"]) and len(seen["loud"]) > 2
    assert "".join(event.chunk.text for event in seen["loud"]) == reply(loud='{"text": "hi"}', answer="a pan").upper()
    assert made.loud == Loud(text="hi")
    assert text(seen["answer"]) == "a pan" == made.answer


def test_a_native_type_of_the_users_is_not_asked_for(serve: Any) -> None:
    server = serve(Reply(reply(answer="a pan"), cut=4))
    signature = lms.Signature("question -> loud: Loud, answer", custom_types={"Loud": Loud})
    with lms.context(adapter=lms.ChatAdapter(native_response_types=[Loud])):
        seen, made = streamed(lms.Predict(signature), "loud", "answer", question="?")
    assert "loud" not in json.dumps(server.requests[0].body["messages"]).lower()
    assert made.loud.text == reply(answer="a pan").upper() and made.answer == "a pan"
    assert "".join(event.chunk.text for event in seen["loud"]) == made.loud.text


# Calls of tools.


def weather(city: str, days: int = 1) -> str:
    """The weather of the next days."""
    return f"{city}: sunny for {days}"


def clock() -> str:
    """The time."""
    return "noon"


CALLS = [{"name": "weather", "arguments": {"city": "Bern", "days": 2}}, {"name": "clock", "arguments": {}}]
ACT = "question, tools: list[lms.Tool] -> next_thought, calls: lms.ToolCalls"
TOOLS = [lms.Tool(weather), lms.Tool(clock)]


@pytest.mark.parametrize("cut", [1, 5, 1000])
def test_native_calls_of_tools_are_told_and_read(serve: Any, cut: int) -> None:
    server = serve(Reply(tool_calls=CALLS, cut=cut))
    with lms.context(adapter=lms.ChatAdapter(use_native_function_calling=True)):
        seen, made = streamed(lms.Predict(ACT), "calls", question="?", tools=TOOLS)
    told = server.requests[0].body["tools"]
    assert [one["function"]["name"] for one in told] == ["weather", "clock"]
    assert told[0]["function"]["parameters"]["properties"]["city"]["type"] == "string"
    assert "weather" not in json.dumps(server.requests[0].body["messages"])
    assert [(call.name, call.args) for call in made.calls.tool_calls] == [
        ("weather", {"city": "Bern", "days": 2}),
        ("clock", {}),
    ]
    assert text(seen["calls"]) == made.raw("calls")
    assert json.loads(text(seen["calls"]))["tool_calls"][0] == {"name": "weather", "args": CALLS[0]["arguments"]}


def test_text_beside_the_calls_is_read_too(serve: Any) -> None:
    serve(Reply(reply(next_thought="Ask for it."), tool_calls=CALLS, cut=5))
    with lms.context(adapter=lms.ChatAdapter(use_native_function_calling=True)):
        seen, made = streamed(lms.Predict(ACT), "next_thought", "calls", question="?", tools=TOOLS)
    assert text(seen["next_thought"]) == "Ask for it." == made.next_thought
    assert len(made.calls.tool_calls) == 2


def test_no_calls_are_no_calls(serve: Any) -> None:
    serve(Reply(reply(next_thought="I know it."), cut=5))
    with lms.context(adapter=lms.ChatAdapter(use_native_function_calling=True)):
        seen, made = streamed(lms.Predict(ACT), "next_thought", "calls", question="?", tools=TOOLS)
    assert made.next_thought == "I know it." and not made.calls.tool_calls
    assert text(seen["calls"]) == made.raw("calls")


def test_an_endpoint_without_functions_is_asked_by_text(serve: Any) -> None:
    refused = Reply(status=400, body={"error": {"message": "tools are not supported", "type": "invalid"}})
    body = reply(next_thought="Ask.", calls=json.dumps({"tool_calls": [{"name": "clock", "args": {}}]}))
    server = serve(lambda request: refused if "tools" in request else Reply(body, cut=7), num_retries=0)
    with lms.context(adapter=lms.ChatAdapter(use_native_function_calling=True)):
        seen, made = streamed(lms.Predict(ACT), "calls", question="?", tools=TOOLS)
        assert [call.name for call in made.calls.tool_calls] == ["clock"]
        assert text(seen["calls"]) == made.raw("calls")
        lms.Predict(ACT)(question="?", tools=TOOLS)
    assert ["tools" in request.body for request in server.requests] == [True, False, False]
    assert "weather" in json.dumps(server.requests[-1].body["messages"])


def test_fragments_of_calls_that_take_turns_are_put_in_order() -> None:
    def fragment(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
        return {"index": index, "id": f"c{index}" if name else None, "function": {"name": name, "arguments": arguments}}

    field = lms.Signature("q -> calls: lms.ToolCalls").output_fields["calls"]
    reading = ToolCallsField(field)
    pieces = [
        fragment(0, '{"a"', "one"),
        fragment(1, "", "two"),
        fragment(0, ": 1"),
        fragment(1, '{"b": '),
        fragment(0, "}"),
        fragment(1, "2}"),
        fragment(2, "", "three"),
    ]
    events = [event for piece in pieces for event in reading.feed(Delta(tool_calls=(piece,)))]
    made = "".join(event.text for event in [*events, *reading.finish(None)])  # type: ignore[union-attr]
    assert json.loads(made)["tool_calls"] == [
        {"name": "one", "args": {"a": 1}},
        {"name": "two", "args": {"b": 2}},
        {"name": "three", "args": {}},
    ]


def test_what_is_streamed_of_calls_without_a_number_is_what_the_reply_has() -> None:
    def fragment(name: str | None, arguments: Any, **more: Any) -> dict[str, Any]:
        return {**more, "function": {"name": name, "arguments": arguments}}

    chunks: list[list[Any]] = [
        [fragment("one", {"a": 1}), fragment("two", '{"b": "\ud83d')],
        [None, fragment(None, '\ude00"}')],
        [fragment("three", "", index=0, id="")],
    ]
    reading, assembly = ToolCallsField(lms.Signature("q -> calls: lms.ToolCalls").output_fields["calls"]), Assembly()
    deltas = [Delta(tool_calls=tuple(chunk)) for chunk in chunks]
    assembly.add(deltas)
    events = [event for delta in deltas for event in reading.feed(delta)]
    made = json.loads("".join(event.text for event in [*events, *reading.finish(None)]))  # type: ignore[union-attr]
    calls = lms.ToolCalls.from_wire(assembly.reply("m").choices[0].tool_calls)
    assert made["tool_calls"] == [{"name": call.name, "args": call.args} for call in calls.tool_calls]
    assert [call.args for call in calls.tool_calls] == [{"a": 1}, {"b": "😀"}, {}]


@pytest.mark.parametrize("adapter", [lms.ChatAdapter, lms.XMLAdapter, lms.JSONAdapter])
def test_plain_text_beside_calls_is_the_first_field_of_text(serve: Any, adapter: Any) -> None:
    serve(Reply(" Let me look. ", tool_calls=CALLS, cut=5))
    with lms.context(adapter=adapter(use_native_function_calling=True)):
        seen, made = streamed(lms.Predict(ACT), "next_thought", "calls", question="?", tools=TOOLS)
    assert text(seen["next_thought"]) == "Let me look." == made.next_thought == made.raw("next_thought")
    assert len(made.calls.tool_calls) == 2


def test_a_reply_of_calls_alone_closes_the_fields_of_text(serve: Any) -> None:
    serve(Reply(tool_calls=CALLS, cut=5))
    signature = "question, tools: list[lms.Tool] -> thought, more, calls: lms.ToolCalls"
    with lms.context(adapter=lms.ChatAdapter(use_native_function_calling=True)):
        seen, made = streamed(lms.Predict(signature), "thought", "more", question="?", tools=TOOLS)
    assert (text(seen["thought"]), text(seen["more"])) == ("", "") == (made.thought, made.more)


def test_tools_may_be_functions_and_nothing_else(serve: Any) -> None:
    server = serve(Reply(tool_calls=CALLS))
    with lms.context(adapter=lms.ChatAdapter(use_native_function_calling=True, parallel_tool_calls=False)):
        made = lms.Predict(ACT)(question="?", tools=[weather, clock])
        assert [call.name for call in made.calls.tool_calls] == ["weather", "clock"]
        assert server.requests[0].body["parallel_tool_calls"] is False
        for wrong in ([5], ["x"]):
            with pytest.raises(lms.ConfigurationError, match="give a function"):
                lms.streamify(lms.Predict(ACT))(question="?", tools=wrong)


class Sealed(lms.Type):
    """A type that has no empty value."""

    text: str

    @classmethod
    def is_streamable(cls) -> bool:
        return True

    @classmethod
    def parse_stream_chunk(cls, chunk: Any) -> Sealed | None:
        content = chunk.choices[0].delta.content if chunk.choices else None
        return cls(text=content) if content else None


@pytest.mark.parametrize("cut", [4, 1000])
def test_each_chunk_of_a_type_without_an_empty_value_is_an_instance(serve: Any, cut: int) -> None:
    body = reply(sealed='{"text": "hi"}', answer="a pan")
    serve(Reply(body, cut=cut))
    signature = lms.Signature("question -> sealed: Sealed, answer", custom_types={"Sealed": Sealed})
    seen, made = streamed(lms.Predict(signature), "sealed", question="?")
    assert all(isinstance(event.chunk, Sealed) for event in seen["sealed"])
    assert "".join(event.chunk.text for event in seen["sealed"]) == body
    assert made.sealed == Sealed(text="hi")


def test_a_native_type_of_which_nothing_came_gives_its_empty_value_once(serve: Any) -> None:
    class Silent(Loud):
        @classmethod
        def parse_stream_chunk(cls, chunk: Any) -> Loud | None:
            return None

        @classmethod
        def parse_lm_response(cls, response: Any) -> Loud | None:
            return None

    serve(Reply(reply(answer="a pan"), cut=4))
    signature = lms.Signature("question -> silent: Silent, answer", custom_types={"Silent": Silent})
    with lms.context(adapter=lms.ChatAdapter(native_response_types=[Silent])):
        seen, made = streamed(lms.Predict(signature), "silent", question="?")
    assert [event.chunk for event in seen["silent"]] == [Silent()] == [made.silent]
