"""Values as plain data: what pydantic models, dataclasses and records consist of.

Knows the kinds of values by what they can do, so that no library need be imported.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import os
from collections.abc import Mapping, Set
from typing import Any

__all__ = ["jsonable", "plain"]


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
    """
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
