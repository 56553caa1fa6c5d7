"""What a prompt says about types: a short name for a list of fields, a note beside a value.

The wording is ours.
"""

from __future__ import annotations

import datetime
import enum
import inspect
import types
import typing
from typing import Any, Literal, Union

from lmstream_sync.signatures.annotations import prompt_types, type_name
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.validating import json_schema

__all__ = ["field_note", "input_note", "type_name", "type_note"]

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
    describe = getattr(annotation, "description", None)
    if inspect.ismethod(describe):  # a class method: a type of the library, or one derived from `Type`
        told: str = describe()
        return told if told or getattr(annotation, "reads_text", False) else _schema_note(annotation)
    if typing.get_origin(annotation) is Literal:
        return _choice([str(one) for one in typing.get_args(annotation)])
    try:
        return _SIMPLE[annotation]
    except (KeyError, TypeError):
        return _schema_note(annotation)


def input_note(field: Field) -> str:
    """What is said of the types of the library, and those derived from `Type`, that stand in an input field."""
    told = dict.fromkeys(one.description() for one in prompt_types(field.annotation))
    return "; ".join(one for one in told if one)


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
