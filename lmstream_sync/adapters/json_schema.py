"""The JSON schema that a reply must fit, in the subset that endpoints with structured output take.

The subset is OpenAI's ("Structured Outputs", supported schemas): every object closed and all
of its properties required, no defaults, `anyOf` for every choice, few keywords for limits.
Limits that it lacks stand in the prompt and hold when the reply is read.
"""

from __future__ import annotations

import functools
import json
import re
import typing
from collections.abc import Mapping
from typing import Any, Final

from lmstream_sync.signatures.annotations import inexpressible
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.signature import SignatureMeta
from lmstream_sync.signatures.typed_dicts import understood

__all__ = ["response_schema", "schema_name"]

_SIMPLE: Final[dict[Any, str]] = {str: "string", int: "integer", float: "number", bool: "boolean"}
_TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}

#: What a schema of each type may say beside its type.
_KEPT: Final = {
    "string": ("pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "boolean": (),
    "null": (),
    "array": ("minItems", "maxItems"),
    "object": (),
}
_FORMATS: Final = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}

#: Keywords that change which values fit and have no counterpart.
_UNKNOWN: Final = {
    "not",
    "if",
    "then",
    "else",
    "prefixItems",
    "patternProperties",
    "propertyNames",
    "contains",
    "dependentRequired",
    "dependentSchemas",
}


def response_schema(signature: SignatureMeta) -> dict[str, Any] | None:
    """The schema of an object with the output fields, made anew; `None` where the subset cannot express it.

    It cannot express open dicts (`dict[str, int]`), `Any`, tuples.
    """
    made = _response_schema(signature)
    return json.loads(made) if made else None


@functools.lru_cache(maxsize=256)
def _response_schema(signature: SignatureMeta) -> str:
    fields = signature.output_fields
    try:
        schemas, shared = _schemas(fields)
        properties = {name: _described(_strict(schemas[name]), field) for name, field in fields.items()}
        schema: dict[str, Any] = _object(properties)
        if shared:
            schema["$defs"] = {name: _strict(one) for name, one in shared.items()}
    except _InexpressibleError:
        return ""
    return json.dumps(schema, ensure_ascii=False)


def _schemas(fields: Mapping[str, Field]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Each field's schema as pydantic has it, and the definitions that they share."""
    if all(_is_simple(field) for field in fields.values()):
        return {name: {"type": _SIMPLE[field.annotation]} for name, field in fields.items()}, {}
    import pydantic  # in memory since the signature was made

    try:
        wanted = [(name, "validation", pydantic.TypeAdapter(_annotated(field))) for name, field in fields.items()]
        made, shared = pydantic.TypeAdapter.json_schemas(wanted)  # type: ignore[arg-type]  # the mode is a Literal
    except (pydantic.errors.PydanticUserError, TypeError, ValueError) as error:
        raise _InexpressibleError from error
    return {name: made[name, "validation"] for name in fields}, shared.get("$defs", {})


def _is_simple(field: Field) -> bool:
    try:
        return field.annotation in _SIMPLE and not field.constraints
    except TypeError:  # it has no hash
        return False


def _annotated(field: Field) -> Any:
    import pydantic

    if inexpressible(field.annotation) is not None:
        raise _InexpressibleError
    known: Any = understood(field.annotation)
    return typing.Annotated[known, pydantic.Field(**field.constraints)] if field.constraints else known


class _InexpressibleError(Exception):
    pass


def _strict(schema: Any) -> dict[str, Any]:
    """A schema in the subset."""
    if not isinstance(schema, dict) or not _UNKNOWN.isdisjoint(schema):
        raise _InexpressibleError
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}  # nothing may stand beside it
    if "allOf" in schema:
        rest = {key: value for key, value in schema.items() if key != "allOf"}
        if len(schema["allOf"]) != 1 or not isinstance(schema["allOf"][0], dict):
            raise _InexpressibleError
        return _strict({**schema["allOf"][0], **rest})
    made = _shape(schema)
    if isinstance(schema.get("description"), str):
        made["description"] = schema["description"]
    return made


def _shape(schema: dict[str, Any]) -> dict[str, Any]:
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return {"anyOf": [_strict(one) for one in choices]}
    if "const" in schema or "enum" in schema:
        return _one_of(schema["enum"] if "enum" in schema else [schema["const"]])
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _KEPT:
        raise _InexpressibleError
    if kind == "object":
        # Without properties it is a dict of any keys; one that takes further keys of some type is one too.
        if "properties" not in schema or isinstance(schema.get("additionalProperties"), dict):
            raise _InexpressibleError
        return _object({name: _strict(one) for name, one in schema["properties"].items()})
    made = {"type": kind, **{key: schema[key] for key in _KEPT[kind] if key in schema}}
    if kind == "array":
        made["items"] = _strict(schema.get("items"))
    if made.get("format") not in _FORMATS:
        made.pop("format", None)
    if "(?" in made.get("pattern", ""):  # looking ahead and the like
        del made["pattern"]
    return made


def _one_of(values: list[Any]) -> dict[str, Any]:
    if not all(type(value) in _TYPES for value in values):
        raise _InexpressibleError
    kinds = list(dict.fromkeys(_TYPES[type(value)] for value in values))
    return {"type": kinds[0] if len(kinds) == 1 else kinds, "enum": values}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _described(schema: dict[str, Any], field: Field) -> dict[str, Any]:
    return schema if "$ref" in schema or not field.desc else {**schema, "description": field.desc}


def schema_name(signature: SignatureMeta) -> str:
    """A name for the schema, of the characters that endpoints take."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", signature.__name__)[:64].strip("_") or "reply"
