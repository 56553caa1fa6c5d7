"""`ToolCalls`: read from every shape in which models and programs give them, and written back."""

from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.signatures.types.tool_calls import ToolCall, ToolCalls
from lmstream_sync.signatures.values import parse_value, text_of

SEARCH = {"name": "search", "args": {"query": "cats", "n": 2}}
CALL = ToolCall(name="search", args={"query": "cats", "n": 2})


@pytest.mark.parametrize(
    "given",
    [
        {"tool_calls": [SEARCH]},
        [SEARCH],
        SEARCH,
        CALL,
        [CALL],
        {"tool_calls": [CALL]},
        [{"name": "search", "arguments": {"query": "cats", "n": 2}}],
        [{"name": "search", "arguments": '{"query": "cats", "n": 2}'}],
        [{"name": "search", "args": '{"query": "cats", "n": 2,}'}],
        [{"type": "function", "function": {"name": "search", "arguments": '{"query": "cats", "n": 2}'}}],
        {"function": {"name": "search", "arguments": '"{\\"query\\": \\"cats\\", \\"n\\": 2}"'}},
    ],
)
def test_every_shape_gives_the_same_calls(given: Any) -> None:
    assert ToolCalls.model_validate(given) == ToolCalls(tool_calls=[CALL])


@pytest.mark.parametrize("given", [None, "", " ", "None", "null", {}, [], {"tool_calls": []}, {"tool_calls": None}])
def test_nothing_is_no_calls(given: Any) -> None:
    calls = ToolCalls.model_validate(given)
    assert calls == ToolCalls() and not calls and len(calls) == 0


@pytest.mark.parametrize("given", ["search", 3, [3], [{"args": {}}], {"name": "a", "args": [1]}, {"tool_calls": "a"}])
def test_what_is_no_call_is_refused(given: Any) -> None:
    with pytest.raises(pydantic.ValidationError):
        ToolCalls.model_validate(given)


@pytest.mark.parametrize(
    "text",
    [
        '{"tool_calls": [{"name": "search", "args": {"query": "cats", "n": 2}}]}',
        '[{"name": "search", "args": {"query": "cats", "n": 2}}]',
        '```json\n[{"name": "search", "args": {"query": "cats", "n": 2}}]\n```',
        "[{'name': 'search', 'args': {'query': 'cats', 'n': 2}}]",
        'I will search.\n{"tool_calls": [{"name": "search", "args": {"query": "cats", "n": 2,},}]}',
    ],
)
def test_the_text_form_is_read_from_a_reply(text: str) -> None:
    assert parse_value(ToolCalls, text) == ToolCalls(tool_calls=[CALL])


def test_the_wire_format_both_ways() -> None:
    wire = [
        {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"query": "Käse"}'}},
        {"id": None, "type": "function", "function": {"name": "now", "arguments": ""}},
    ]
    calls = ToolCalls.from_wire(wire)
    assert [(call.id, call.name, call.args) for call in calls.tool_calls] == [
        ("c1", "search", {"query": "Käse"}),
        (None, "now", {}),
    ]
    assert calls.to_wire() == [
        wire[0],
        {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}},
    ]
    assert ToolCalls.from_dict_list([SEARCH]) == ToolCalls(tool_calls=[CALL])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"function": {"name": "", "arguments": "{}"}}, "has no name"),
        ({"function": {"arguments": "{}"}}, "has no name"),
        ({"function": {"name": "search", "arguments": "cats"}}, "'search' are no JSON object: 'cats'"),
        ({"function": {"name": "search", "arguments": "[1]"}}, "no JSON object"),
        ({"function": {"name": "search", "arguments": "3"}}, "no JSON object"),
    ],
)
def test_what_the_wire_may_not_hold(call: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ToolCalls.from_wire([call])


def test_nearly_json_is_repaired() -> None:
    wire = [{"function": {"name": "search", "arguments": '{"query": "cats", // which\n "n": 2'}}]
    assert ToolCalls.from_wire(wire).tool_calls == [CALL]


def test_it_dumps_and_loads() -> None:
    calls = ToolCalls(tool_calls=[CALL, ToolCall(name="now", id="c2")])
    assert calls.model_dump() == {"tool_calls": [SEARCH, {"name": "now", "args": {}, "id": "c2"}]}
    assert ToolCalls.model_validate_json(calls.model_dump_json()) == calls
    assert ToolCalls.model_validate_json(text_of(calls)) == calls
    assert ToolCalls.ToolCall is ToolCall


def test_the_schema_asks_for_name_and_args_only() -> None:
    schema = ToolCalls.model_json_schema()
    [call] = schema["$defs"].values()
    assert list(call["properties"]) == call["required"] == ["name", "args"]
    assert schema["required"] == ["tool_calls"]


def test_a_call_is_executed_with_functions_or_tools() -> None:
    def search(query: str, n: int) -> str:
        return query * n

    assert CALL.execute({"search": search}) == "catscats"
    assert CALL.execute([lms.Tool(search)]) == "catscats"
    with pytest.raises(lms.ToolError, match="no tool 'search'; the tools are: find"):
        CALL.execute([lms.Tool(search, name="find")])


def test_string_signatures_know_it() -> None:
    signature = lms.Signature("question, tools: list[dspy.Tool] -> calls: dspy.ToolCalls, more: list[ToolCalls]")
    assert signature.output_fields["calls"].annotation is ToolCalls
    assert signature.input_fields["tools"].annotation == list[lms.Tool]


def test_a_predictor_gives_them_from_text(serve: Any) -> None:
    body = json.dumps({"tool_calls": [SEARCH]})
    server = serve([f"[[ ## calls ## ]]\n{body}\n\n[[ ## completed ## ]]"])

    def search(query: str) -> str:
        """Looks for it."""
        return query

    predict = lms.Predict("question, tools: list[dspy.Tool] -> calls: dspy.ToolCalls")
    made = predict(question="?", tools=[lms.Tool(search)])
    assert made.calls == ToolCalls(tool_calls=[CALL]) and json.loads(made.raw("calls")) == {"tool_calls": [SEARCH]}
    told = json.dumps(server.requests[0].body["messages"])
    assert "Looks for it." in told and "tools" not in server.requests[0].body
