"""Values as plain data: what pydantic models, dataclasses and records consist of.

Knows the kinds of values by what they can do, so that no library need be imported.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import os
import sys
from collections.abc import Mapping, Set
from typing import Any

from lmstream_sync.signatures.parts import not_collecting, parts_being_collected

__all__ = ["formatted", "jsonable", "plain"]

#: The module that has `Type`.
_TYPES = f"{__package__}.types.base"


def plain(value: Any) -> Any:
    """Records, models and dataclasses as dicts, in containers too; every other value as it is."""
    made = _dissolved(value)
    if isinstance(made, Mapping):
        return {key: plain(inner) for key, inner in made.items()}
    if type(made) in (list, tuple, set, frozenset):
        return type(made)(plain(inner) for inner in made) if type(made) in (list, tuple) else made
    return made


def jsonable(value: Any) -> Any:
    """A value out of dicts, lists, strings, numbers, booleans and `None` only.

    Enums become their values, dates ISO 8601, sets lists; what has no such form becomes its `str`.
    A value that has a form of its own for prompts takes that (see `formatted`).
    """
    if value is None or type(value) in (str, bool, int, float):
        return value
    shown = formatted(value)
    if shown is not None:
        return shown
    value = _dissolved(value)
    if value is None or type(value) in (str, bool, int, float):
        return value
    if isinstance(value, enum.Enum):
        return jsonable(value.value)
    if isinstance(value, Mapping):
        return {_key(key): jsonable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, Set)):
        return [jsonable(inner) for inner in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    for base in (bool, int, float, str):
        if isinstance(value, base):
            return base(value)
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def formatted(value: Any) -> str | None:
    """What the `format` of a `Type` or a tool gives: text, or the word that stands for content parts.

    `None` for every other value, for a `Type` that leaves its form to its fields, and for
    content parts where no prompt is being written.
    """
    if hasattr(type(value), "format_as_litellm_function_call"):
        return str(value.format())
    # Where the module was never imported, no value is of that type.
    base = getattr(sys.modules.get(_TYPES), "Type", None)
    if base is None or not isinstance(value, base) or type(value).format is base.format:
        return None
    parts = parts_being_collected()
    with not_collecting():  # a `format` may dump the model's fields
        shown = value.format()
    if isinstance(shown, str):
        return shown
    return parts.hold(shown, type(value).__name__) if parts is not None else None


def _key(key: Any) -> str:
    made = jsonable(key)
    return made if isinstance(made, str) else str(made)


def _dissolved(value: Any) -> Any:
    """A record, model or dataclass as a dict, one level deep; another value as it is."""
    if isinstance(value, type):
        return value
    if callable(getattr(value, "model_dump", None)):
        return value.model_dump()
    if callable(getattr(value, "toDict", None)):
        return value.toDict()
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value
