"""A request as the inputs of a program, or the right 4xx."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.web.failures import RequestError
from lmstream_sync.web.inputs import read_inputs

PICTURE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Place(pydantic.BaseModel):
    name: str
    zip: int = pydantic.Field(ge=1000)


@dataclasses.dataclass
class Spot:
    x: int
    y: int


def posted(
    program: Any, body: Any, content_type: str | None = "application/json", *, max_bytes: int = 1_000_000
) -> dict[str, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_inputs(
        program, method="POST", content_type=content_type, body=data, query="ignored=1", max_bytes=max_bytes
    )


def queried(program: Any, query: str) -> dict[str, Any]:
    return read_inputs(program, method="GET", content_type=None, body=b"", query=query)


def refused(read: Any, *args: Any, **kwargs: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read(*args, **kwargs)
    return caught.value


def taking(annotation: Any) -> Any:
    """A predictor with one input of a type."""
    return lms.Predict(lms.Signature({"value": (annotation, lms.InputField()), "answer": lms.OutputField()}))


QA = lms.Predict("question, context: list[str] -> answer")


# What a program takes.


class Whole(lms.Module):
    def __init__(self) -> None:
        self.ask = lms.Predict("question -> answer")

    def forward(self, question: str, times: int = 1) -> Any:
        return self.ask(question=question)


class Awaiting(lms.Module):
    async def aforward(self, *, question: str) -> Any:
        return question


class Own(lms.Predict):
    def forward(self, question: Any, **more: Any) -> Any:
        return super().forward(question=question, **more)


def function(question: str, times: int = 1, *rest: Any, **more: Any) -> str:
    return question * times


async def coroutine(question: str, times: int = 1) -> str:
    return question * times


class Callable_:
    def __call__(self, question: str, times: int = 1) -> str:
        return question * times


@pytest.mark.parametrize(
    "program",
    [
        Whole(),
        function,
        coroutine,
        Callable_(),
        lms.streamify(Whole()),
        lms.streamify(function, async_streaming=True),
        lms.BestOfN(Whole(), 2, lambda inputs, prediction: 1.0, None),
        functools.partial(lambda lm, question, times=1: question, "given"),
    ],
    ids=lambda program: getattr(program, "__name__", type(program).__name__),
)
def test_a_programs_named_parameters_are_its_inputs(program: Any) -> None:
    assert posted(program, {"question": "Why", "times": 2}) == {"question": "Why", "times": 2}
    assert posted(program, {"question": "Why"}) == {"question": "Why"}
    assert refused(posted, program, {}).field == "question"
    assert refused(posted, program, {"question": "Why", "lm": "x"}).field == "lm"


@pytest.mark.parametrize(
    "program",
    [
        lms.Predict("question -> answer"),
        lms.ChainOfThought("question -> answer"),
        lms.ReAct("question -> answer", tools=[function]),
        Awaiting(),
        lms.BestOfN(lms.ChainOfThought("question -> answer"), 2, lambda inputs, prediction: 1.0, None),
        lms.streamify(lms.Predict("question -> answer")),
        Own("question -> answer"),
    ],
    ids=lambda program: type(program).__name__,
)
@pytest.mark.parametrize(
    "reserved",
    ["lm", "config", "demos", "signature", "max_iters", "include_final_prediction_in_output_stream", "self", "args"],
)
def test_what_is_for_the_calling_code_is_nothing_that_a_client_may_send(program: Any, reserved: str) -> None:
    assert posted(program, {"question": "Why"}) == {"question": "Why"}
    error = refused(posted, program, {"question": "Why", reserved: {"api_base": "http://elsewhere"}})
    assert (error.status, error.field) == (422, reserved)


def test_what_a_partial_has_already_is_not_for_the_client() -> None:
    program = functools.partial(function, times=3)
    assert posted(program, {"question": "Why"}) == {"question": "Why"}
    assert refused(posted, program, {"question": "Why", "times": 9}).field == "times"


def test_a_model_as_a_program_takes_a_prompt_or_messages() -> None:
    lm = lms.LM("openai/x", api_key="sk-test")
    assert posted(lm, {"prompt": "Why?"}) == {"prompt": "Why?"}
    assert posted(lm, {"messages": [{"role": "user", "content": "Why?"}]})["messages"]
    assert refused(posted, lm, {"prompt": "Why?", "api_base": "http://elsewhere"}).field == "api_base"


class Anything(lms.Module):
    def forward(self, **inputs: Any) -> Any:
        return inputs


@pytest.mark.parametrize("program", [Anything(), lambda **inputs: 1, lambda q, /: 1, dict, "no program", lms.Module()])
def test_a_program_that_does_not_say_what_it_takes_is_refused(program: Any) -> None:
    with pytest.raises(lms.ConfigurationError):
        posted(program, {})


def test_a_type_that_nobody_knows_is_refused() -> None:
    def program(question: Nowhere) -> str:  # type: ignore[name-defined]  # noqa: F821
        return ""

    with pytest.raises(lms.ConfigurationError, match="'question' is not known: Nowhere"):
        posted(program, {"question": "Why"})


# Typed inputs in JSON.


@pytest.mark.parametrize(
    ("annotation", "given", "made"),
    [
        (str, "a", "a"),
        (str, "", ""),
        (int, 5, 5),
        (float, 2, 2.0),
        (bool, True, True),
        (str | None, None, None),
        (int | str, "5", "5"),
        (list[str], ["a", "b"], ["a", "b"]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Any, {"a": [1, None]}, {"a": [1, None]}),
        (Colour, "red", Colour.RED),
        (Literal["a", 1], 1, 1),
        (Place, {"name": "Bern", "zip": 3000}, Place(name="Bern", zip=3000)),
        (list[Place], [{"name": "Bern", "zip": "3000"}], [Place(name="Bern", zip=3000)]),
        (Spot, {"x": 1, "y": 2}, Spot(1, 2)),
        (datetime.date, "2026-01-02", datetime.date(2026, 1, 2)),
        (lms.History, [{"role": "user", "content": "Hi"}], lms.History([{"role": "user", "content": "Hi"}])),
        (lms.History, {"messages": []}, lms.History()),
        (lms.Image, PICTURE, lms.Image(PICTURE)),
        (lms.Image, {"url": "https://example.org/a.png"}, lms.Image("https://example.org/a.png")),
    ],
)
def test_json_values_as_the_type_has_them(annotation: Any, given: Any, made: Any) -> None:
    found = posted(taking(annotation), {"value": given})["value"]
    assert found == made and type(found) is type(made)


@pytest.mark.parametrize(
    ("annotation", "given"),
    [
        (str, 5),
        (str, None),
        (str, ["a"]),
        (str, True),
        (int, "five"),
        (int, 5.5),
        (int, True),
        (float, False),
        (int | None, True),
        (bool, "perhaps"),
        (list[str], "a"),
        (list[str], [1]),
        (list[int], {"a": 1}),
        (Colour, "green"),
        (Literal["a", "b"], "c"),
        (Place, {"name": "Bern", "zip": 1}),
        (Place, "Bern"),
        (datetime.date, "tomorrow"),
        (lms.History, [{"role": "wizard", "content": "Hi"}]),
        (lms.History, "Hi"),
        (lms.Image, 5),
        (lms.Image, "data:text/plain;base64,aGk="),
        (lms.Tool, {"name": "rm"}),
        (Spot, [1, 2, 3]),
    ],
)
def test_json_values_of_the_wrong_type_are_422_and_name_the_field(annotation: Any, given: Any) -> None:
    error = refused(posted, taking(annotation), {"value": given})
    assert (error.status, error.field) == (422, "value")
    assert "'value'" in str(error) and "\n" not in str(error)


def test_constraints_hold() -> None:
    class Short(lms.Signature):
        word: str = lms.InputField(max_length=3)
        count: int = lms.InputField(ge=1, default=1)
        answer: str = lms.OutputField()

    program = lms.Predict(Short)
    assert posted(program, {"word": "abc"}) == {"word": "abc"}
    assert refused(posted, program, {"word": "abcd"}).field == "word"
    assert refused(posted, program, {"word": "abc", "count": 0}).field == "count"
    assert refused(queried, program, "word=[bcd").field == "word"


def test_inputs_with_a_default_or_of_an_optional_type_may_be_left_out() -> None:
    class Some(lms.Signature):
        question: str = lms.InputField()
        hint: str | None = lms.InputField()
        tone: str = lms.InputField(default="dry")
        answer: str = lms.OutputField()

    assert posted(lms.Predict(Some), {"question": "Why"}) == {"question": "Why"}


# Nothing of the server's disk.

FILES = [
    "/etc/passwd",
    "file:///etc/passwd",
    "etc/passwd",
    "../../etc/passwd",
    "~/.netrc",
    {"url": "/etc/passwd"},
    {"url": "file:///etc/passwd"},
    {"file_data": "/etc/passwd"},
    {"file_data": "file:///etc/passwd"},
    {"path": "/etc/passwd"},
    {"url": {"url": "/etc/passwd"}},
    {"data": "/etc/passwd", "format": "wav"},
    {"file_data": {"path": "/etc/passwd"}},
]


@pytest.mark.parametrize("given", FILES, ids=str)
@pytest.mark.parametrize("shape", [lambda kind: kind, lambda kind: list[kind], lambda kind: kind | str | None])
@pytest.mark.parametrize("kind", [lms.Image, lms.Audio, lms.File])
def test_media_from_a_client_never_come_from_the_servers_disk(
    kind: Any, shape: Any, given: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"a file was opened: {args}")

    program = taking(shape(kind))
    value = [given] if shape(kind) == list[kind] else given
    with monkeypatch.context() as patched:
        for name in ("open", "read_bytes", "read_text"):
            patched.setattr(Path, name, opened)
        patched.setattr("builtins.open", opened)
        try:
            found = posted(program, {"value": value})["value"]
        except RequestError as error:
            assert (error.status, error.field) == (422, "value")
        else:
            assert found == given  # text, where the type takes that too
        if isinstance(given, str):
            try:
                found = queried(program, urlencode({"value": given}))["value"]
            except RequestError as error:
                assert (error.status, error.field) == (422, "value")
            else:
                assert found == given


# A body that is none.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"question=Why",
        b"{",
        b'{"question": "Why"} x',
        b'{"question": NaN}',
        b'{"question": -Infinity}',
        b'{"question": 1e999}',
        b'{"question": "\xff"}',
        b'{"question": "\xed\xa0\x80"}',
        b'{"question": "\\ud83d"}',
        b'{"\\udc00": 1}',
        b'["Why"]',
        b'"Why"',
        b"null",
        b"[" * 200_000,
        b'{"question":' + b"[" * 150 + b"]" * 150 + b"}",
        b'{"question": ' + b"9" * 5_000 + b"}",
        '{"question": "Why"}'.encode("utf-16"),
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_json_object_is_400(body: bytes) -> None:
    assert refused(posted, taking(Any), body).status == 400


def test_json_up_to_the_limits_passes() -> None:
    deep: Any = "x"
    for _ in range(98):
        deep = [deep]
    assert posted(taking(Any), {"value": deep})["value"] == deep
    assert posted(taking(str), b'\xef\xbb\xbf{"value": "\xe2\x80\xa8\\ud83d\\ude00\\u0000"}')["value"] == "\u2028😀\0"
    body = json.dumps({"value": "x" * 50}).encode()
    assert posted(taking(str), body, max_bytes=len(body))
    assert refused(posted, taking(str), body, max_bytes=len(body) - 1).status == 413


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/json; charset=latin-1",
        "json",
        None,
        "",
    ],
)
def test_a_body_of_another_kind_is_415(content_type: str | None) -> None:
    assert refused(posted, taking(str), {"value": "a"}, content_type).status == 415


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON", 'application/json; charset="UTF-8"', "application/json;"]
)
def test_json_by_all_its_names(content_type: str) -> None:
    assert posted(taking(str), {"value": "a"}, content_type) == {"value": "a"}


def test_nothing_posted_is_no_inputs() -> None:
    assert refused(posted, taking(str), b"", None).field == "value"
    assert posted(lambda: 1, b"", None) == {}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "post", "GE\r\nT", ""])
def test_another_method_is_405_and_says_which_to_take(method: str) -> None:
    error = refused(read_inputs, QA, method=method, content_type=None, body=b"", query="")
    assert error.status == 405
    assert error.headers == {"Allow": "GET, HEAD, POST, OPTIONS"}


# Queries and forms.


@pytest.mark.parametrize(
    ("annotation", "query", "made"),
    [
        (str, "value=a+b%26c", "a b&c"),
        (str, "value=", ""),
        (str, "value=5", "5"),
        (str, "value=%5B1%5D", "[1]"),
        (Any, "value=5", "5"),
        (int, "value=5", 5),
        (float, "value=2.5", 2.5),
        (bool, "value=true", True),
        (bool, "value=0", False),
        (int | None, "value=5", 5),
        (int | None, "value=", None),
        (str | None, "value=null", "null"),
        (list[str], "value=a&value=b", ["a", "b"]),
        (list[str], "value=a", ["a"]),
        (list[str], "value=" + quote('["a", "b"]'), ["a", "b"]),
        (list[int], "value=1&value=2", [1, 2]),
        (list[int], "value=1", [1]),
        (Colour, "value=blue", Colour.BLUE),
        (Literal[1, 2], "value=2", 2),
        (Place, "value=" + quote('{"name": "Bern", "zip": 3000}'), Place(name="Bern", zip=3000)),
        (list[Place], "value=" + quote('{"name": "Bern", "zip": 3000}') * 1, [Place(name="Bern", zip=3000)]),
        (lms.Image, "value=https%3A%2F%2Fexample.org%2Fa.png", lms.Image("https://example.org/a.png")),
        (str, "value=%E2%82%AC", "€"),
        (str, "value=\xe2\x82\xac", "€"),
    ],
)
def test_texts_of_a_query_or_a_form_as_the_type_has_them(annotation: Any, query: str, made: Any) -> None:
    program = taking(annotation)
    found = queried(program, query)["value"]
    assert found == made and type(found) is type(made)
    form = posted(program, query.encode("latin-1"), "application/x-www-form-urlencoded")
    assert form == {"value": found}


@pytest.mark.parametrize(
    ("annotation", "query", "field"),
    [
        (str, "", "value"),
        (str, "value=a&value=b", "value"),
        (str, "value=a&other=b", "other"),
        (int, "value=five", "value"),
        (int, "value=", "value"),
        (int, "value=1&value=2", "value"),
        (int, "value=NaN", "value"),
        (bool, "value=perhaps", "value"),
        (Colour, "value=green", "value"),
        (Place, "value=Bern", "value"),
        (Place, "value=%7B%22name%22%3A%20%22Bern%22%7D", "value"),
        (dict[str, int], "value=" + "%5B" * 100_000, "value"),
    ],
)
def test_texts_that_do_not_fit_are_422_and_name_the_field(annotation: Any, query: str, field: str) -> None:
    error = refused(queried, taking(annotation), query)
    assert (error.status, error.field) == (422, field)


def test_the_complaint_is_about_the_json_where_json_was_meant() -> None:
    assert "zip" in str(refused(queried, taking(Place), "value=" + quote('{"name": "Bern"}')))


@pytest.mark.parametrize("query", ["value=%ff", "value=\xff", "&".join(f"a{n}=1" for n in range(1001))])
def test_a_query_that_is_none_is_400(query: str) -> None:
    assert refused(queried, taking(str), query).status == 400


def test_a_query_without_end_is_414() -> None:
    assert refused(queried, taking(str), "value=" + "x" * 1_000_000).status == 414


def test_a_name_of_a_field_is_shown_up_to_a_length() -> None:
    error = refused(posted, taking(str), {"x" * 10_000: 1})
    assert error.field is not None and len(error.field) == 100 and len(str(error)) < 300


def test_plain_inputs_need_no_pydantic() -> None:
    code = (
        "import sys\n"
        "import lmstream_sync as lms\n"
        "from lmstream_sync.web.inputs import read_inputs\n"
        "program = lms.Predict('question -> answer')\n"
        "loaded = 'pydantic' in sys.modules\n"
        'body = b\'{"question": "Why"}\'\n'
        "read_inputs(program, method='POST', content_type='application/json', body=body, query='')\n"
        "print(loaded, 'pydantic' in sys.modules, 'flask' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=50)
    before, after, flask = done.stdout.split()
    assert (before, flask) == (after, "False"), done.stderr
