"""Fields of every kind of type: what texts mean, and what is said of texts that mean nothing."""

# ruff: noqa: UP007, UP045 (both spellings of a union have to be understood)

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import ipaddress
import pathlib
import re
import sys
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict, Union

import pydantic
import pytest
from typing_extensions import NotRequired, Required

import lmstream_sync as lms
from lmstream_sync.signatures import format_value, parse_value


class Plain(TypedDict):
    a: int
    b: NotRequired[str]


class Nested(TypedDict, total=False):
    x: Required[int]
    y: list[Plain]


class Pair(NamedTuple):
    x: int
    y: str = "z"


@dataclasses.dataclass
class Outer:
    at: Pair
    when: Optional[datetime.date] = None


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: str


class Number(enum.IntEnum):
    ONE = 1
    TWO = 2


class Words(str, enum.Enum):
    HELLO = "hello there"
    BYE = "bye"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Grumpy(pydantic.BaseModel):
    n: int

    @pydantic.field_validator("n")
    @classmethod
    def _check(cls, n: int) -> int:
        if n < 0:
            raise KeyError("below\nnought")
        if n == 0:
            raise ValueError("it is nought")
        return n


Id = NewType("Id", int)
Pet: Any = Annotated[Union[Cat, Dog], pydantic.Field(discriminator="kind")]


def shown(value: Any) -> str:
    """A value in a test's name, the same in each process: the order in a set is not."""
    return type(value).__name__ if isinstance(value, (set, frozenset)) else str(value)


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (Plain, '{"a": "1"}', {"a": 1}),
        (Plain, "{'a': 1, 'b': 'x'}", {"a": 1, "b": "x"}),
        (Nested, '{"x": 1, "y": [{"a": 2}]}', {"x": 1, "y": [{"a": 2}]}),
        (dict[str, Optional[Plain]], '{"k": null, "j": {"a": 1}}', {"k": None, "j": {"a": 1}}),
        (Annotated[list[Plain], "x"], '[{"a": 1}]', [{"a": 1}]),
        (Pair, '{"x": 1}', Pair(1)),
        (Pair, '[1, "b"]', Pair(1, "b")),
        (Outer, '{"at": [1], "when": "2024-01-02"}', Outer(Pair(1), datetime.date(2024, 1, 2))),
        (Outer, '{"at": {"x": 1}, // no date\n}', Outer(Pair(1))),
        (Cat | Dog, '{"kind": "dog", "name": "Rex"}', Dog(kind="dog", name="Rex")),
        (Pet, '{"kind": "cat", "lives": 9}', Cat(kind="cat", lives=9)),
        (Optional[Pet], "None", None),
        (list[Pet], '[{"kind": "cat", "lives": 9}]', [Cat(kind="cat", lives=9)]),
        (tuple[int, ...], "1, 2", (1, 2)),
        (tuple[()], "[]", ()),
        (set[str], "{'a', 'b'}", {"a", "b"}),
        (frozenset[Number], "[1, 2]", frozenset(Number)),
        (list, "[1, 'a']", [1, "a"]),
        (list[str], "[a, b]", ["a", "b"]),
        (list[int | str], '[1, "a"]', [1, "a"]),
        (dict[int, str], "{1: 'a'}", {1: "a"}),
        (decimal.Decimal, "1,234.50", decimal.Decimal("1234.50")),
        (int, "1,234,567", 1234567),
        (int, "**42**", 42),
        (int, "`42`", 42),
        (float, "-1e3", -1000.0),
        (bool, "Yes.", True),
        (bool, "**false**", False),
        (Literal["yes", "no"], "No.", "no"),
        (Literal["a", "A"], "A", "A"),
        (Literal["New York"], "*new york*", "New York"),
        (Number, "1", Number.ONE),
        (Number, "Number.TWO", Number.TWO),
        (Words, "Hello there", Words.HELLO),
        (Words, "BYE", Words.BYE),
        (Rights, "3", Rights.READ | Rights.WRITE),
        (datetime.date, "`2024-10-12`", datetime.date(2024, 10, 12)),
        (datetime.time, "10:30", datetime.time(10, 30)),
        (datetime.timedelta, "P1DT2H", datetime.timedelta(days=1, hours=2)),
        (datetime.datetime, "2024-10-12 01:02", datetime.datetime(2024, 10, 12, 1, 2)),
        (int | float, "5.5", 5.5),
        (int | None | bool, "true", True),
        (Id, "3", 3),
        (bytes, "abc", b"abc"),
        (pathlib.PurePosixPath, "/a b/c", pathlib.PurePosixPath("/a b/c")),
        (ipaddress.IPv4Address, "1.2.3.4", ipaddress.IPv4Address("1.2.3.4")),
        (re.Pattern, "a+", re.compile("a+")),
    ],
    ids=shown,
)
def test_a_text_means(annotation: Any, text: str, value: Any) -> None:
    field = lms.Signature({"a": lms.InputField(), "b": (annotation, lms.OutputField())}).fields["b"]
    parsed = parse_value(field, text)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (list[Plain], [{"a": 1, "b": "«\n»"}]),
        (Outer, Outer(Pair(1, '"'), datetime.date(2024, 1, 2))),
        (dict[str, list[Pair]], {"k": [Pair(1, "```")]}),
        (tuple[int, str], (1, "]")),
        (set[decimal.Decimal], {decimal.Decimal("1.10")}),
        (list[Words], [Words.HELLO]),
        (Words, Words.HELLO),
        (Number, Number.TWO),
        (Literal["a.", "a", "A"], "a."),
        (datetime.datetime, datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)),
        (datetime.timedelta, datetime.timedelta(days=1, seconds=3)),
        (bool, False),
        (float, 1e300),
        (Optional[Cat], None),
        (list[Optional[bool]], [True, None]),
        (Pet, Dog(kind="dog", name="null")),
    ],
    ids=shown,
)
def test_what_a_prompt_shows_reads_back_the_same(annotation: Any, value: Any) -> None:
    assert parse_value(annotation, format_value(None, value)) == value


@pytest.mark.parametrize(
    ("annotation", "text", "said"),
    [
        (int, "many", "'many' is no int: Input should be a valid integer"),
        (Optional[int], "many", r"is no int \| None"),
        (Plain, "{}", "'{}' is no Plain: a: Field required"),
        (list[Cat], '[{"kind": "cat", "lives": "x"}]', r"is no list\[Cat\]: 0.lives: Input should be a valid integer"),
        (Pet, '{"kind": "cow"}', "'cow' found using 'kind'"),
        (Literal["a", "b"], "c", r"is no Literal\['a', 'b'\]: Input should be 'a' or 'b'"),
        (Literal["a", "A"], '"á"', "Input should be"),
        (Grumpy, '{"n": 0}', "n: it is nought$"),
        (Grumpy, '{"n": -1}', "its validation raised KeyError: 'below"),
        (list[int], "x" * 5000, r"\(5000 characters\) is no list\[int\]"),
        (dict[str, int], "a\nb", r"'a\\nb' is no dict\[str, int\]"),
    ],
    ids=lambda one: str(one)[:20],
)
def test_a_text_that_means_nothing_is_named_with_its_type(annotation: Any, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_value(annotation, text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_what_a_validator_raised_is_the_cause() -> None:
    with pytest.raises(ValueError) as caught:
        parse_value(Grumpy, '{"n": -1}')
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes them from 3.12 on")
def test_a_typed_dict_within_a_model_says_which_one_to_take() -> None:
    @dataclasses.dataclass
    class Holds:
        plain: Plain

    with pytest.raises(lms.SignatureError, match="typing_extensions.TypedDict"):
        lms.Signature({"a": lms.InputField(), "b": (Holds, lms.OutputField())})


def test_the_error_of_a_reply_names_field_type_and_text() -> None:
    with pytest.raises(lms.AdapterParseError, match="'n'.*'many' is no int"):
        lms.ChatAdapter().parse(lms.Signature("q -> n: int"), "[[ ## n ## ]]\nmany")


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int | str, "7", 7),
        (int | str, "seven", "seven"),
        (int | str, '"7"', '"7"'),
        (bool | str, "True", True),
        (float | str, "1.5", 1.5),
        (str | None, "7", "7"),
        (int | None | str, "007", "007"),
    ],
)
def test_a_union_with_text_is_what_its_text_plainly_is(annotation: Any, text: str, value: Any) -> None:
    parsed = parse_value(annotation, text)
    assert parsed == value and type(parsed) is type(value)
