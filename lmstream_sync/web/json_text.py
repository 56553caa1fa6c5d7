"""JSON that came from outside: strict where Python's own reader is not."""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["read_json"]

#: Levels of lists and objects; deeper ones would meet Python's own limit somewhere.
DEEPEST = 100


def read_json(text: str) -> Any:
    """The value that a JSON text (RFC 8259) stands for.

    Raises:
        ValueError: it is none; it is nested more than 100 levels deep; it has NaN, a number out
            of range, or half a surrogate pair in it, which no text can hold.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise _too_deep() from None
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST + 1:  # the values within the last level are one more
            raise _too_deep()
        level = [inner for each in level for inner in _within(each)]
    return value


def _within(value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("it has half a surrogate pair in it, which is no text") from None
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text:.30} is out of range")
    return number


def _too_deep() -> ValueError:
    return ValueError(f"it is nested more than {DEEPEST} levels deep")
