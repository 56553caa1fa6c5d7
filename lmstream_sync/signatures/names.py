"""Types by name: what a word in a signature string means.

Nothing is evaluated. A name is looked up in the caller's `custom_types`, among the types
listed here, in `typing`, and last among what the calling code itself can see. A type of the
library gives way, under its bare name, to a class of the same name in the calling code.
"""

from __future__ import annotations

import datetime
import decimal
import importlib
import itertools
import sys
import types
import typing
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["is_type", "look_up"]

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

#: The library's types that are pydantic models, and so are imported when they are first named.
_LAZY: Final = frozenset({
    "Audio", "Citations", "Code", "Document", "File", "History", "Image", "Reasoning", "ToolCalls", "Type",
})  # fmt: skip

#: Types of rooms that this one does not know; they are found under the package's public names.
_ABOVE: Final = frozenset({"Tool"})

#: How many frames outwards a name is looked for; as far as DSPy looks.
_FRAMES: Final = 100

_PACKAGE: Final = __name__.partition(".")[0]

#: What may stand before the name of one of the library's types.
_PREFIXES: Final = ("", "lms.", "dspy.", f"{_PACKAGE}.")


def look_up(name: str, custom_types: Mapping[str, Any] | None = None) -> Any:
    """The type that a name, dotted or not, stands for.

    Raises:
        LookupError: there is none of that name, or what bears it is no type.
    """
    if custom_types and name in custom_types:
        return custom_types[name]
    if name in _KNOWN:
        return _KNOWN[name]
    own = _own_type(name)
    if own is not None:
        return own
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


def _own_type(name: str) -> Any:
    """The type of the library that a name stands for, or `None`."""
    prefix, dot, last = name.rpartition(".")
    if last not in _LAZY | _ABOVE or f"{prefix}{dot}" not in _PREFIXES:
        return None
    if not prefix:
        for scope in itertools.islice(_scopes_outside(), 2):  # the innermost function and its module
            if isinstance(scope.get(name), type):
                return scope[name]
    if last in _ABOVE:
        return getattr(sys.modules[_PACKAGE], last)
    return getattr(importlib.import_module(f"{__package__}.types"), last)


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
