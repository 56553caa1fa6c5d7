"""What texts mean, and how values look in a prompt."""

# ruff: noqa: UP007, UP045 (both spellings of a union have to be understood)

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import threading
import uuid
from typing import Annotated, Any, Literal, Optional, Union

import pydantic
import pytest

import lmstream_sync as lms
from lmstream_sync.signatures import format_value, parse_value
from lmstream_sync.signatures.notes import field_note, type_name, type_note


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


class Item(pydantic.BaseModel):
    name: str
    price: float = 0.0


@dataclasses.dataclass
class Point:
    x: int
    y: int


FENCED = '```json\n{"name": "pen", "price": 2}\n```'


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (str, ' "quoted" and\n as is', ' "quoted" and\n as is'),
        (bool, "True", True),
        (bool, " no ", False),
        (int, " 42 ", 42),
        (int, "-7", -7),
        (float, "\t2.5\n", 2.5),
        (float, "3", 3.0),
        (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
        (Color, "red", Color.RED),
        (Color, "RED", Color.RED),
        (Color, "Color.RED", Color.RED),
        (Color, "2", Color.BLUE),
        (Color, '"BLUE"', Color.BLUE),
        (Literal["a", "b"], "'b'", "b"),
        (Literal["a", 1, True], "1", 1),
        (Literal["a", 1, True], " True", True),
        (Optional[Literal["a"]], "a", "a"),
        (Optional[int], "None", None),
        (Optional[int], "null", None),
        (Optional[int], "", None),
        (Optional[int], "5", 5),
        (Optional[str], "null", None),
        (Optional[str], "text", "text"),
        (Union[int, str], "5 apples", "5 apples"),
        (Union[str, list[str]], '["a", "b"]', ["a", "b"]),
        (list[str], '["a", "b"]', ["a", "b"]),
        (list[str], "['a', 'it\\'s']", ["a", "it's"]),
        (list[str], '["a", "b",]', ["a", "b"]),
        (list[int], "```\n[1, 2]\n```", [1, 2]),
        (tuple[int, str], "(1, 'a')", (1, "a")),
        (set[int], "[1, 1, 2]", {1, 2}),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (dict[str, int], "{'a': 1}", {"a": 1}),
        (Item, '{"name": "pen"}', Item(name="pen")),
        (Item, FENCED, Item(name="pen", price=2)),
        (Item, f"Here it is:\n{FENCED}\nEnjoy!", Item(name="pen", price=2)),
        (list[Item], '[{"name": "pen"}, {"name": "cup", "price": "3"}]', [Item(name="pen"), Item(name="cup", price=3)]),
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (datetime.date, "2024-10-12", datetime.date(2024, 10, 12)),
        (datetime.datetime, '"2024-10-12T01:02:03"', datetime.datetime(2024, 10, 12, 1, 2, 3)),
        (uuid.UUID, str(uuid.UUID(int=7)), uuid.UUID(int=7)),
        (Any, "[1, 2]", [1, 2]),
        (Any, "just text", "just text"),
        (Annotated[int, pydantic.Field(ge=3)], "4", 4),
        (dict[str, str], '{"a": "\\ud83d"}', {"a": "\ud83d"}),
    ],
)
def test_a_text_means_what_its_type_says(annotation: Any, text: str, value: Any) -> None:
    parsed = parse_value(annotation, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "many"),
        (int, ""),
        (bool, "perhaps"),
        (Color, "green"),
        (Literal["a", "b"], "c"),
        (list[int], '["x"]'),
        (Item, "{}"),
        (Item, "[" * 100_000),
        (list[int], "9" * 5000),
        (threading.Event, "set"),
        (Annotated[int, pydantic.Field(ge=3)], "2"),
    ],
    ids=lambda one: str(one)[:20],
)
def test_a_text_that_does_not_fit_is_a_value_error_of_one_line(annotation: Any, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_value(annotation, text)
    assert type(caught.value) is ValueError
    assert str(caught.value) and "\n" not in str(caught.value)


def test_constraints_hold_for_what_is_parsed() -> None:
    class Rated(lms.Signature):
        score: int = lms.OutputField(ge=1, le=5)
        word: str = lms.OutputField(max_length=3)

    score, word = Rated.fields["score"], Rated.fields["word"]
    assert parse_value(score, "5") == 5
    assert parse_value(word, "abc") == "abc"
    with pytest.raises(ValueError, match="less than or equal to 5"):
        parse_value(score, "6")
    with pytest.raises(ValueError, match="at most 3"):
        parse_value(word, "abcd")


def test_many_threads_parse_at_once() -> None:
    class Fresh(pydantic.BaseModel):
        n: int

    barrier = threading.Barrier(8)
    parsed: list[Any] = []

    def work(number: int) -> None:
        barrier.wait(10)
        parsed.append(parse_value(list[Fresh], f'[{{"n": {number}}}]'))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(one[0].n for one in parsed) == list(range(8))


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (str, "as is\n", "as is\n"),
        (str, ["one", "two\nlines", "«x»"], "[1] «one»\n[2] «««\n    two\n    lines\n»»»\n[3] «««\n    «x»\n»»»"),
        (str, ["one"], "«one»"),
        (str, [], "N/A"),
        (list[str], ["é", "b"], '["é", "b"]'),
        (int, 3, "3"),
        (bool, True, "True"),
        (None, None, "None"),
        (Item, Item(name="pen"), '{"name": "pen", "price": 0.0}'),
        (list[Point], [Point(1, 2)], '[{"x": 1, "y": 2}]'),
        (Color, Color.RED, "red"),
        (dict, {1: {Color.BLUE}, "d": datetime.date(2024, 1, 2)}, '{"1": [2], "d": "2024-01-02"}'),
        (lms.Example, lms.Example(a=(1, 2)), '{"a": [1, 2]}'),
    ],
)
def test_a_value_as_a_prompt_shows_it(annotation: Any, value: Any, text: str) -> None:
    field = lms.Signature({"x": (annotation, lms.InputField())}).fields["x"]
    assert format_value(field, value) == text


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (str, "str"),
        (list[dict[str, int]], "list[dict[str, int]]"),
        (Optional[int], "int | None"),
        (int | None, "int | None"),
        (Literal["a", 1], "Literal['a', 1]"),
        (Item, "Item"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Any, "Any"),
    ],
)
def test_a_type_is_named_as_one_writes_it(annotation: Any, name: str) -> None:
    assert type_name(annotation) == name


def test_the_note_says_what_to_keep_to() -> None:
    assert type_note(str) == "" == type_note(Union[str, int])
    assert "True or False" in type_note(bool)
    assert "red, 2" in type_note(Color)
    assert "a, b" in type_note(Literal["a", "b"]) and "null" in type_note(Optional[Literal["a", "b"]])
    assert '"price"' in type_note(list[Item])
    assert "Event" in type_note(threading.Event)
    field = lms.Signature({"x": (int, lms.OutputField(ge=1, pattern="x{1}"))}).fields["x"]
    assert "at least 1, matching the regular expression x{1}" in field_note(field)
