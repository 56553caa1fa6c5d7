"""Decoded JSON values, fitted to the types of fields."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Any, Literal

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.signatures.decoded import fit_value


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Person(pydantic.BaseModel):
    name: str
    born: datetime.date | None = None


def field(annotation: Any, **options: Any) -> Any:
    signature: Any = lms.Signature({"q": lms.InputField(), "a": (annotation, lms.OutputField(**options))})
    return signature.output_fields["a"]


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (str, " x\n", " x\n"),
        (str, "5", "5"),
        (str, 5, "5"),
        (str, None, "null"),
        (str, True, "true"),
        (str, {"é": [1.5]}, '{"é": [1.5]}'),
        (str | None, None, None),
        (str | None, "null", "null"),
        (str | None, "", ""),
        (str | None, 5, "5"),
        (str | None, ["x"], '["x"]'),
        (str | int, "5", "5"),
        (str | int, 5, 5),
        (str | int, [5], "[5]"),
        (str | list[str], "[1]", "[1]"),
        (str | list[str], ["x"], ["x"]),
        (int, 5, 5),
        (int, "5", 5),
        (int, " 5 ", 5),
        (int, 5.0, 5),
        (int | None, "5", 5),
        (int | None, "", None),
        (int | None, "None", None),
        (int | None, None, None),
        (float, 5, 5.0),
        (float, "1e3", 1000.0),
        (bool, True, True),
        (bool, "yes", True),
        (bool, "False", False),
        (list[int], [1, "2"], [1, 2]),
        (list[int], "[1, 2]", [1, 2]),
        (list[int], "```json\n[1, 2,]\n```", [1, 2]),
        (list[str], ["[1]"], ["[1]"]),
        (tuple[int, str], [1, "x"], (1, "x")),
        (set[int], [1, 1], {1}),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Literal["a", 1], "a", "a"),
        (Literal["a", 1], 1, 1),
        (Literal["a", 1], "1", 1),
        (Literal["a", 1], '"a"', "a"),
        (Colour, "red", Colour.RED),
        (Colour, "RED", Colour.RED),
        (Colour, 2, Colour.BLUE),
        (Colour, "2", Colour.BLUE),
        (Colour | None, None, None),
        (datetime.date, "2000-02-29", datetime.date(2000, 2, 29)),
        (datetime.datetime, "2000-02-29T12:00:00", datetime.datetime(2000, 2, 29, 12)),
        (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
        (decimal.Decimal, 1.1, decimal.Decimal("1.1")),
        (uuid.UUID, "12345678123456781234567812345678", uuid.UUID(int=0x12345678123456781234567812345678)),
        (bytes, "abc", b"abc"),
        (Person, {"name": "x", "born": "2000-02-29"}, Person(name="x", born=datetime.date(2000, 2, 29))),
        (Person, '{"name": "x"}', Person(name="x")),
        (list[Person], [{"name": "x"}], [Person(name="x")]),
        (Person | str, {"name": "x"}, Person(name="x")),
        (Person | str, "{}", "{}"),
        (Any, {"a": "1"}, {"a": "1"}),
        (Any, "1", "1"),
        (object, None, None),
        (lms.Reasoning, " so\n", lms.Reasoning(" so\n")),
        (lms.Code["python"], "x = 1\n", lms.Code["python"]("x = 1\n")),
        (lms.Code["python"], {"code": "x = 1"}, lms.Code["python"]("x = 1")),
    ],
)
def test_a_value_becomes_one_of_its_type(annotation: Any, value: Any, expected: Any) -> None:
    made = fit_value(field(annotation), value)
    assert made == expected and type(made) is type(expected)
    assert fit_value(annotation, value) == expected, "a bare annotation will do"


@pytest.mark.parametrize(
    ("annotation", "value", "complaint"),
    [
        (int, "many", "valid integer"),
        (int, 5.5, "fractional part"),
        (int, None, "valid integer"),
        (int, [1], "valid integer"),
        (list[int], [1, "x"], "1: .*valid integer"),
        (Literal["a"], "b", "'a'"),
        (Colour, 3, "'red' or 2"),
        (Person, {"name": 1}, "name: .*valid string"),
        (Person, [], "Person"),
        (datetime.date, 1.5, "date"),
        (dict[str, int], "so", "dictionary"),
        (list[str], None, "valid list"),
    ],
)
def test_what_does_not_fit_is_an_error_of_one_line(annotation: Any, value: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        fit_value(field(annotation), value)
    assert "\n" not in str(caught.value)


def test_constraints_hold() -> None:
    assert fit_value(field(int, ge=1), "5") == 5
    for annotation, options, value in [
        (int, {"ge": 1}, 0),
        (int, {"ge": 1}, "0"),
        (str, {"max_length": 2}, "abc"),
        (str, {"max_length": 2}, 123),
        (str | None, {"max_length": 2}, "abc"),
        (list[int], {"min_length": 1}, []),
    ]:
        with pytest.raises(ValueError):
            fit_value(field(annotation, **options), value)
    assert fit_value(field(str, max_length=2), 12) == "12"
