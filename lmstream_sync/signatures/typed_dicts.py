"""`typing.TypedDict` before Python 3.12, which pydantic refuses, as the one of `typing_extensions`, which it takes."""

from __future__ import annotations

import functools
import sys
import types
import typing
from typing import Any, Union

__all__ = ["understood"]

#: Under names that type checkers let us put values into.
_ANNOTATED: Any = typing.Annotated
_UNIONS: tuple[Any, ...] = (Union, types.UnionType)
_NECESSITY = ("Required", "NotRequired", "ReadOnly")


def understood(annotation: Any) -> Any:
    """An annotation as pydantic takes it."""
    return annotation if sys.version_info >= (3, 12) else _replaced(annotation)


def _replaced(annotation: Any) -> Any:
    if typing.is_typeddict(annotation):
        return _twin(annotation) if type(annotation).__module__ == "typing" else annotation
    arguments = typing.get_args(annotation)
    origin: Any = typing.get_origin(annotation)
    if not arguments or origin is typing.Literal:
        return annotation
    if origin is typing.Annotated:
        inner = _replaced(arguments[0])
        kept = (inner, *arguments[1:])
        return annotation if inner is arguments[0] else _ANNOTATED[kept]
    changed = tuple(one if isinstance(one, list) else _replaced(one) for one in arguments)
    if all(new is old for new, old in zip(changed, arguments, strict=True)):
        return annotation
    if origin in _UNIONS:
        return Union[changed]  # noqa: UP007  # built, not written
    return annotation.copy_with(changed) if hasattr(annotation, "copy_with") else origin[changed]


@functools.lru_cache(maxsize=512)
def _twin(kind: Any) -> Any:
    """The same TypedDict, made by `typing_extensions`."""
    import typing_extensions

    fields: dict[str, Any] = {}
    for name, hint in typing_extensions.get_type_hints(kind, include_extras=True).items():
        required = name in kind.__required_keys__
        # Python 3.10 and 3.11 do not see these words in annotations that are strings.
        while (word := getattr(typing.get_origin(hint), "_name", None)) in _NECESSITY:
            required = {"Required": True, "NotRequired": False}.get(word, required)
            hint = typing.get_args(hint)[0]
        inner = _replaced(hint)
        fields[name] = inner if required else typing_extensions.NotRequired[inner]
    make: Any = typing_extensions.TypedDict
    made: Any = make(kind.__name__, fields)
    made.__doc__ = kind.__doc__
    made.__module__ = kind.__module__
    return made
