"""The schema of a reply, in the subset that endpoints with structured output take."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pydantic
import pytest
from typing_extensions import TypedDict

import lmstream_sync as lms
from lmstream_sync.adapters.json_schema import response_schema, schema_name


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int = pydantic.Field(default=9, ge=0, description="how many are left")


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    colour: Colour | None = None


class Node(pydantic.BaseModel):
    """A tree."""

    name: str
    children: list[Node] = []


class Owner(pydantic.BaseModel):
    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]
    tree: Node = pydantic.Field(description="its family")


class Point(TypedDict):
    x: int


@dataclasses.dataclass
class Place:
    at: datetime.date
    of: uuid.UUID | None = None


def schema_of(annotation: Any, **options: Any) -> dict[str, Any] | None:
    return response_schema(lms.Signature({"q": lms.InputField(), "a": (annotation, lms.OutputField(**options))}))


def field_schema(annotation: Any, **options: Any) -> Any:
    schema = schema_of(annotation, **options)
    assert schema is not None
    return schema["properties"]["a"]


def objects_in(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema of an object within a schema."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for inner in schema.values():
            yield from objects_in(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from objects_in(inner)


def test_the_schema_is_an_object_with_the_output_fields() -> None:
    assert response_schema(lms.Signature("q: int -> text, n: int, x: float, yes: bool")) == {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "n": {"type": "integer"},
            "x": {"type": "number"},
            "yes": {"type": "boolean"},
        },
        "required": ["text", "n", "x", "yes"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a"], {"type": "string", "enum": ["a"]}),
        (Literal["a", 1, None], {"type": ["string", "integer", "null"], "enum": ["a", 1, None]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (list[str], {"type": "array", "items": {"type": "string"}}),
        (set[int], {"type": "array", "items": {"type": "integer"}}),
        (datetime.date, {"type": "string", "format": "date"}),
        (datetime.datetime, {"type": "string", "format": "date-time"}),
        (bytes, {"type": "string"}),
        (decimal.Decimal, {"anyOf": [{"type": "number"}, {"type": "string"}]}),
        (Annotated[int, pydantic.Field(gt=2)], {"type": "integer", "exclusiveMinimum": 2}),
    ],
)
def test_each_type_in_the_words_of_the_subset(annotation: Any, expected: dict[str, Any]) -> None:
    made = field_schema(annotation)
    made.pop("description", None)
    assert made == expected


def test_types_of_the_library() -> None:
    schema = schema_of(lms.Reasoning)
    assert schema is not None and schema["$defs"] == {"Reasoning": {"type": "string"}}


def test_constraints_that_the_subset_has_stay_and_the_others_go() -> None:
    assert field_schema(int, ge=1, le=5, multiple_of=2) == {
        "type": "integer",
        "minimum": 1,
        "maximum": 5,
        "multipleOf": 2,
    }
    assert field_schema(list[str], min_length=1, max_length=3) == {
        "type": "array",
        "minItems": 1,
        "maxItems": 3,
        "items": {"type": "string"},
    }
    assert field_schema(str, max_length=3) == {"type": "string"}
    assert field_schema(str, pattern="^[ab]+$") == {"type": "string", "pattern": "^[ab]+$"}


def test_descriptions_and_defaults() -> None:
    assert field_schema(str, desc="in brief", default="x") == {"type": "string", "description": "in brief"}
    schema = schema_of(Cat, desc="stands in the prompt")
    assert schema is not None
    assert schema["properties"]["a"] == {"$ref": "#/$defs/Cat"}, "nothing may stand beside a reference"
    assert schema["$defs"]["Cat"]["properties"]["lives"] == {
        "type": "integer",
        "minimum": 0,
        "description": "how many are left",
    }


def test_definitions_stand_at_the_top_and_may_refer_to_themselves() -> None:
    schema = schema_of(list[Owner] | None)
    assert schema is not None
    assert schema["$defs"].keys() == {"Cat", "Dog", "Colour", "Node", "Owner"}
    assert schema["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert schema["$defs"]["Owner"]["properties"] == {
        "pet": {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]},
        "tree": {"$ref": "#/$defs/Node"},
    }
    text = json.dumps(schema)
    for word in ("default", "title", "oneOf", "const", "discriminator", "uniqueItems"):
        assert f'"{word}"' not in text
    found = list(objects_in(schema))
    assert len(found) == 5
    for one in found:
        assert one["additionalProperties"] is False and one["required"] == list(one["properties"])


def test_two_classes_of_one_name_keep_apart() -> None:
    other = type("Cat", (pydantic.BaseModel,), {"__annotations__": {"claws": int}, "__module__": "elsewhere"})
    schema = response_schema(
        lms.Signature({"q": lms.InputField(), "a": (Cat, lms.OutputField()), "b": (other, lms.OutputField())})
    )
    assert schema is not None and len(schema["$defs"]) == 2
    targets = [schema["properties"][name]["$ref"].removeprefix("#/$defs/") for name in "ab"]
    assert [list(schema["$defs"][one]["properties"]) for one in targets] == [["kind", "lives"], ["claws"]]


@pytest.mark.parametrize("annotation", [Point, Place])
def test_typed_dicts_and_dataclasses(annotation: Any) -> None:
    schema = schema_of(annotation)
    assert schema is not None and all(one["required"] for one in objects_in(schema))


@pytest.mark.parametrize(
    "annotation",
    [dict[str, int], dict, list, Any, object, tuple[int, str], list[dict[str, Any]], Owner | dict[str, str]],
)
def test_what_the_subset_cannot_express_gives_none(annotation: Any) -> None:
    assert schema_of(annotation) is None


def test_a_model_that_takes_further_keys() -> None:
    class Open(pydantic.BaseModel, extra="allow"):
        x: int

    class Typed(Open):
        __pydantic_extra__: dict[str, int]

    assert schema_of(Open) is not None, "any key may come, so none has to"
    assert schema_of(Typed) is None


def test_the_schema_is_made_anew_each_time() -> None:
    signature = lms.Signature("q -> a")
    first = response_schema(signature)
    assert first is not None
    first["properties"].clear()
    assert response_schema(signature) != first


@pytest.mark.parametrize(
    ("name", "expected"), [("QA", "QA"), ("Über QA!", "ber_QA"), ("ℵ", "reply"), ("x" * 80, "x" * 64)]
)
def test_the_name_is_of_letters_that_endpoints_take(name: str, expected: str) -> None:
    assert schema_name(lms.Signature("q -> a", signature_name=name)) == expected
