"""Questions about annotations: what a union consists of, what a type is called, which types of ours are in it.

Needs no pydantic: a type of the library that is in an annotation has brought it along.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal, Union

__all__ = ["inexpressible", "is_history", "is_optional", "members", "parts_of", "prompt_types", "type_name"]


def members(annotation: Any) -> set[Any]:
    """The types of a union, through `Annotated`; else the type alone."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return set().union(*(members(one) for one in typing.get_args(annotation)))
    return {annotation}


def is_optional(annotation: Any) -> bool:
    """Whether a type allows `None`."""
    return annotation is None or type(None) in members(annotation)


def parts_of(annotation: Any) -> Iterator[Any]:
    """An annotation and, at any depth, what stands in its brackets; the values of `Literal` are no types."""
    yield annotation
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return
    arguments = typing.get_args(annotation)
    for one in arguments[:1] if origin is typing.Annotated else arguments:
        if isinstance(one, list):  # the arguments of a Callable
            continue
        yield from parts_of(one)


def prompt_types(annotation: Any) -> list[Any]:
    """The library's types and those derived from `Type` that stand in an annotation, at any depth."""
    return [one for one in parts_of(annotation) if isinstance(one, type) and hasattr(one, "is_streamable")]


def is_history(annotation: Any) -> bool:
    """Whether a type is `History`, or `History | None`."""
    return any(getattr(one, "native_feature", None) == "history" for one in members(annotation))


def inexpressible(annotation: Any) -> Any:
    """What stands in an annotation that no reply can express; `None` where all can be expressed."""
    for one in parts_of(annotation):
        origin = typing.get_origin(one) or one
        if origin in (collections.abc.Callable, typing.Callable, type, typing.Type):  # noqa: UP006  # both spellings
            return one
        if getattr(one, "input_only", False) is True:
            return one
    return None


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
