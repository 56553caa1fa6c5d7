"""The JSON adapter: what a prompt says, what it asks endpoints for, and what a reply's fields become."""

from __future__ import annotations

import datetime
import enum
import json
from typing import Any, Literal

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.adapters import JSONAdapter, JSONReader

ADAPTER = JSONAdapter()
QA = lms.Signature("question, context: list[str] -> answer, score: float, kind: Literal['a', 'b']", "Answer briefly.")


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Person(pydantic.BaseModel):
    name: str
    born: datetime.date | None = None


class Lenient(lms.Signature):
    question: str = lms.InputField()
    answer: str = lms.OutputField(default="none")
    score: float = lms.OutputField(default=0.5)
    tags: list[str] = lms.OutputField(default_factory=list)
    note: str | None = lms.OutputField()


def of_type(annotation: Any, **options: Any) -> Any:
    return lms.Signature({"q": lms.InputField(), "a": (annotation, lms.OutputField(**options))})


def test_a_prompt_is_a_system_message_and_the_inputs() -> None:
    system, user = ADAPTER.format(QA, [], {"question": "Why?", "context": ["x", "y"]})
    assert (system["role"], user["role"]) == ("system", "user")
    for part in (
        "Answer briefly.",
        "`context` (list[str])",
        "JSON object",
        '{\n  "answer": ...,\n  "score": ...,\n  "kind": ...\n}',
        "- `score`: a number",
        '- `kind`: exactly one of these: "a", "b"',
    ):
        assert part in system["content"]
    assert user["content"].startswith('[[ ## question ## ]]\nWhy?\n\n[[ ## context ## ]]\n["x", "y"]\n\n')
    reminder = user["content"].rpartition("\n\n")[2]
    assert "JSON" in reminder
    order = [reminder.index(f"`{name}`") for name in ("answer", "score", "kind")]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("annotation", "note"),
    [
        (str, "a string"),
        (str | None, "a string; or null where there is none"),
        (bool, "true or false"),
        (int, "a whole number"),
        (Colour, 'exactly one of these: "red", 2'),
        (Literal["x", 1, None], 'exactly one of these: "x", 1, null'),
        (Any, "any JSON value"),
        (list[int], "JSON that fits this schema: "),
        (Person, '"born"'),
    ],
)
def test_each_type_is_told_as_JSON_has_it(annotation: Any, note: str) -> None:
    system = ADAPTER.format(of_type(annotation), [], {"q": "x"})[0]["content"]
    assert note in system.partition("Their values:")[2]


def test_descriptions_and_constraints_are_told() -> None:
    system = ADAPTER.format(of_type(int, ge=1, desc="how many"), [], {"q": "x"})[0]["content"]
    assert "how many" in system and "- `a`: a whole number; at least 1" in system


def test_a_signature_without_inputs_is_asked_too() -> None:
    system, user = ADAPTER.format(lms.Signature({"a": lms.OutputField()}, "Invent."), [], {})
    assert "[[ ##" not in system["content"] and user["content"].startswith("Now answer")


def test_demos_come_as_pairs_those_with_gaps_first_and_with_a_note() -> None:
    complete = lms.Example(question="q1", context=[], answer="a1", score=1.0, kind="a")
    gaps = {"question": "q2", "answer": "a2", "score": None}
    messages = ADAPTER.format(QA, [complete, {"question": "q3"}, gaps], {"question": "q", "context": []})
    assert [one["role"] for one in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    texts = [one["content"] for one in messages]
    assert "not complete" in texts[1] and "q2" in texts[1]
    assert json.loads(texts[2])["answer"] == "a2" and "left out" in json.loads(texts[2])["kind"]
    assert ADAPTER.parse(QA, texts[4]) == {"answer": "a1", "score": 1.0, "kind": "a"}
    assert not any("q3" in text for text in texts)


@pytest.mark.parametrize(
    "values",
    [
        {"answer": "so", "score": 0.25, "kind": "b"},
        {"answer": ' \ttwo\n\n"lines" \\ é 😀 \ud83d\x00 [[ ## score ## ]] {} \n', "score": -1.0, "kind": "a"},
        {"answer": "", "score": 1e300, "kind": "a"},
    ],
)
def test_what_is_rendered_reads_as_it_was(values: dict[str, Any]) -> None:
    assert ADAPTER.parse(QA, ADAPTER.render(QA, values)) == values


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Colour, Colour.BLUE),
        (Colour, Colour.RED),
        (Person, Person(name='"x"', born=datetime.date(2000, 2, 29))),
        (list[Person], [Person(name=""), Person(name="{")]),
        (dict[str, list[int]], {"": [1], "b": []}),
        (datetime.datetime, datetime.datetime(2020, 1, 1, 12, 30)),
        (int | None, None),
        (str | None, "null"),
        (str | None, None),
        (str | int, "5"),
        (str | int, 5),
        (set[int], {1, 2}),
        (tuple[int, str], (1, "x")),
        (bytes, b"abc"),
        (float, float("inf")),
        (Any, {"x": [None, "1"]}),
    ],
)
def test_a_value_of_each_type_reads_as_it_was(annotation: Any, value: Any) -> None:
    signature = of_type(annotation)
    assert ADAPTER.parse(signature, ADAPTER.render(signature, {"a": value})) == {"a": value}


def test_absent_fields_are_not_rendered() -> None:
    assert json.loads(ADAPTER.render(QA, {"score": 1, "else": 2})) == {"score": 1}
    assert ADAPTER.render(QA, {}) == "{}"


def test_a_text_field_takes_the_JSON_of_anything_else() -> None:
    assert ADAPTER.parse(QA, '{"answer": {"a":1.50}, "score": "0.5", "kind": "a"}') == {
        "answer": '{"a":1.50}',
        "score": 0.5,
        "kind": "a",
    }
    assert ADAPTER.parse(of_type(str | None), '{"a": [1,2]}') == {"a": "[1,2]"}
    assert ADAPTER.parse(of_type(str), '{"a": null}') == {"a": "null"}


def test_a_reply_without_a_field_is_an_error_with_all_there_is_to_know() -> None:
    reply = '{"answer": "so", "score": 1}'
    with pytest.raises(lms.AdapterParseError, match="no field 'kind'") as caught:
        ADAPTER.parse(QA, reply)
    error = caught.value
    assert (error.adapter_name, error.lm_response, error.field) == ("JSONAdapter", reply, "kind")
    assert error.parsed_result == {"answer": "so", "score": 1.0}


def test_a_value_that_does_not_fit_is_an_error_that_names_the_field() -> None:
    with pytest.raises(lms.AdapterParseError, match="'score' does not fit its type.*\\[1\\]"):
        ADAPTER.parse(QA, '{"answer": "so", "score": [1], "kind": "a"}')


@pytest.mark.parametrize("reply", ["", "I cannot do that.", '"so"', "[]", "{}"])
def test_a_reply_without_any_field_is_an_error(reply: str) -> None:
    with pytest.raises(lms.AdapterParseError, match="'answer'"):
        ADAPTER.parse(QA, reply)


def test_absent_fields_take_their_default() -> None:
    assert ADAPTER.parse(Lenient, "") == {"answer": "none", "score": 0.5, "tags": [], "note": None}
    assert ADAPTER.parse(Lenient, '{"answer": "", "score": 1, "tags": ["x"], "note": "null"}') == {
        "answer": "",
        "score": 1.0,
        "tags": ["x"],
        "note": "null",
    }


def test_what_streams_of_an_absent_field_is_what_comes_back() -> None:
    end = ADAPTER.reader(Lenient).finish()
    assert end.deltas == [("answer", "none", True), ("score", "", True), ("tags", "", True), ("note", "", True)]
    assert end.fields == {}


def test_a_text_made_for_an_absent_field_is_made_once() -> None:
    made = iter(["first", "second"])

    class Made(lms.Signature):
        question: str = lms.InputField()
        answer: str = lms.OutputField(default_factory=lambda: next(made))

    finished = ADAPTER.reader(Made).finish()
    assert finished.deltas == [("answer", "first", True)]
    assert ADAPTER.values(Made, finished, "") == {"answer": "first"}


def test_structured_output_is_asked_for_where_it_can_be() -> None:
    schema, json_object, plain = ADAPTER.request_options(QA)
    assert schema["response_format"]["type"] == "json_schema"
    described = schema["response_format"]["json_schema"]
    assert described["strict"] is True and described["name"] == "StringSignature"
    assert described["schema"]["required"] == ["answer", "score", "kind"]
    assert (json_object, plain) == ({"response_format": {"type": "json_object"}}, {})
    assert ADAPTER.request_options(of_type(dict[str, int])) == [json_object, {}]


def test_options_are_not_shared_between_requests() -> None:
    first = ADAPTER.request_options(QA)[0]
    first["response_format"]["json_schema"]["schema"]["properties"].clear()
    assert ADAPTER.request_options(QA)[0]["response_format"]["json_schema"]["schema"]["properties"]


def test_it_calls_functions_natively_unless_told_otherwise() -> None:
    assert JSONAdapter().use_native_function_calling is True
    assert JSONAdapter(use_native_function_calling=False).use_native_function_calling is False


def test_its_reader_is_a_fresh_one_each_time() -> None:
    one, other = ADAPTER.reader(QA), ADAPTER.reader(QA)
    assert isinstance(one, JSONReader) and one is not other
    one.feed('{"answer": "x')
    assert other.finish().fields == {}
