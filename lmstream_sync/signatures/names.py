"""Types by name: what a word in a signature string means.

Nothing is evaluated. A name is looked up in the caller's `custom_types`, among the types
listed here, in `typing`, and last among what the calling code itself can see.
"""

from __future__ import annotations

import datetime
import decimal
import sys
import types
import typing
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["is_type", "look_up", "register_type"]

_BUILTINS: Final = (str, int, float, bool, bytes, complex, list, dict, set, frozenset, tuple, object, type)

_KNOWN: Final[dict[str, Any]] = {
    **{one.__name__: one for one in _BUILTINS},
    "None": None,
    "date": datetime.date,
    "datetime": datetime.datetime,
    "time": datetime.time,
    "timedelta": datetime.timedelta,
    "datetime.date": datetime.date,
    "datetime.datetime": datetime.datetime,
    "datetime.time": datetime.time,
    "datetime.timedelta": datetime.timedelta,
    "Decimal": decimal.Decimal,
    "decimal.Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "uuid.UUID": uuid.UUID,
}

#: How many frames outwards a name is looked for; as far as DSPy looks.
_FRAMES: Final = 100

_PACKAGE: Final = __name__.partition(".")[0]


def register_type(name: str, type_: Any) -> None:
    """Make a type of the library known by its bare name and as `lms.<name>` or `dspy.<name>`."""
    for spelling in (name, f"lms.{name}", f"dspy.{name}", f"{_PACKAGE}.{name}"):
        _KNOWN[spelling] = type_


def look_up(name: str, custom_types: Mapping[str, Any] | None = None) -> Any:
    """The type that a name, dotted or not, stands for.

    Raises:
        LookupError: there is none of that name, or what bears it is no type.
    """
    if custom_types and name in custom_types:
        return custom_types[name]
    if name in _KNOWN:
        return _KNOWN[name]
    first, *rest = name.split(".")
    if not rest and first in typing.__all__:
        return getattr(typing, first)
    if len(rest) == 1 and first in ("typing", "t") and rest[0] in typing.__all__:
        return getattr(typing, rest[0])
    found: Any = LookupError
    for scope in ([custom_types] if custom_types else []) + list(_scopes_outside()):
        if first in scope:
            found = scope[first]
            for part in rest:
                found = getattr(found, part, LookupError)
            if found is not LookupError and is_type(found):
                return found
    if found is LookupError:
        raise LookupError(f"unknown type {name!r}; pass custom_types={{{name!r}: ...}}")
    raise LookupError(f"{name!r} is not a type")


def is_type(value: Any) -> bool:
    """Whether a value can stand as an annotation: a class, `None`, or one of `typing`'s forms."""
    return (
        value is None
        or value is Any
        or isinstance(value, (type, types.GenericAlias, types.UnionType, typing.TypeVar))
        or typing.get_origin(value) is not None
        or isinstance(value, typing.NewType)
    )


def _scopes_outside() -> Iterator[Mapping[str, Any]]:
    """The names that the code which called this library can see, innermost first."""
    frame: types.FrameType | None = sys._getframe(1)
    for _ in range(_FRAMES):
        if frame is None:
            return
        if frame.f_globals.get("__name__", "").partition(".")[0] != _PACKAGE:
            yield frame.f_locals
            yield frame.f_globals
        frame = frame.f_back
