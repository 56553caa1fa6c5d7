"""Values that came as JSON, fitted to the type of their field.

JSON says more than text does: the string `"5"` is no number, and `null` no text.
"""

from __future__ import annotations

import json
from typing import Any

from lmstream_sync.signatures.annotations import members
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.validating import validator
from lmstream_sync.signatures.values import parse_value

__all__ = ["fit_value"]


def fit_value(field: Field | Any, value: Any) -> Any:
    """The value of a field that a decoded JSON value stands for.

    A string for a field of another type is read as `parse_value` reads text; anything else
    for a field of type `str` is its JSON.

    Args:
        field: a `Field`, or a bare annotation.
        value: what `json.loads` makes of the value's JSON.

    Raises:
        ValueError: it does not fit the type or a constraint; the message is one line.
    """
    annotation, constraints = (field.annotation, field.constraints) if isinstance(field, Field) else (field, {})
    if annotation in (Any, object):
        return value
    if annotation is str and not constraints:
        return value if isinstance(value, str) else _as_text(value)
    allowed = members(annotation)
    validate = validator(annotation, constraints)
    if allowed == {str} and not isinstance(value, str):
        return validate(_as_text(value))
    try:
        return validate(value)
    except ValueError:
        if isinstance(value, str) and str not in allowed:
            return parse_value(field, value)
        if str not in allowed or isinstance(value, str) or value is None:
            raise
    return validate(_as_text(value))


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
