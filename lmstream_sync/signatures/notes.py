"""What a prompt says about types: a short name for a list of fields, a note beside a value.

The wording is ours.
"""

from __future__ import annotations

import datetime
import enum
import types
import typing
from typing import Any, Literal, Union

from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.values import json_schema

__all__ = ["field_note", "type_name", "type_note"]

_SIMPLE: dict[Any, str] = {
    str: "",
    Any: "",
    object: "",
    bool: "True or False, nothing else",
    int: "one whole number, digits only",
    float: "one number, digits only",
    datetime.date: "a date as YYYY-MM-DD",
    datetime.datetime: "date and time in ISO 8601",
    None: "null",
    type(None): "null",
}


def type_name(annotation: Any) -> str:
    """A type as one writes it: `list[str]`, `Literal['a', 'b']`, `int | None`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is None or annotation is type(None):
        return "None"
    if annotation is ...:
        return "..."
    if origin is typing.Annotated:
        return type_name(arguments[0])
    if origin in (Union, types.UnionType):
        return " | ".join(type_name(one) for one in arguments)
    if origin is Literal:
        return f"Literal[{', '.join(repr(one) for one in arguments)}]"
    if origin is not None:
        name = getattr(origin, "__name__", str(origin))
        return f"{name}[{', '.join(type_name(one) for one in arguments)}]" if arguments else name
    return getattr(annotation, "__name__", None) or str(annotation).removeprefix("typing.")


def type_note(annotation: Any) -> str:
    """What a model must keep to when it writes a value of a type; empty for plain text."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (Union, types.UnionType):
        members = typing.get_args(annotation)
        others = [one for one in members if one is not type(None)]
        if len(others) == 1:
            return f"{type_note(others[0]) or 'text'}; or null where there is none"
        return "" if str in others else _schema_note(annotation)
    if isinstance(annotation, enum.EnumMeta):
        everyone: list[Any] = list(annotation)
        return _choice([str(one.value) for one in everyone])
    if typing.get_origin(annotation) is Literal:
        return _choice([str(one) for one in typing.get_args(annotation)])
    try:
        return _SIMPLE[annotation]
    except (KeyError, TypeError):
        return _schema_note(annotation)


def field_note(field: Field) -> str:
    """The note for a field: that of its type, and its constraints."""
    return "; ".join(note for note in (type_note(field.annotation), ", ".join(field.constraint_notes())) if note)


def _choice(names: list[str]) -> str:
    return f"exactly one of these, without quotes: {', '.join(names)}"


def _schema_note(annotation: Any) -> str:
    try:
        schema = json_schema(annotation)
    except TypeError:  # something in it has no hash
        schema = ""
    return f"JSON that fits this schema: {schema}" if schema else f"a value of the type {type_name(annotation)}"
