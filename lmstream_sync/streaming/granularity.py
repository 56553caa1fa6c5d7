"""What a listener's `granularity` means for a field's type. Pure; pydantic is used where the type needs it."""

from __future__ import annotations

import collections.abc
import datetime
import enum
import typing
from collections.abc import Callable
from typing import Any, Final, Literal

from lmstream_sync.errors import ConfigurationError, ListenerError
from lmstream_sync.signatures import Field
from lmstream_sync.signatures.annotations import members, type_name
from lmstream_sync.signatures.validating import validator

__all__ = ["GRANULARITIES", "check_field", "check_word", "first_brackets", "fits_of", "item_type", "warm_up_field"]

GRANULARITIES: Final = ("text", "item", "value")

#: Not lists, though some of them are sequences.
_NO_LISTS = (str, bytes, bytearray, int, float, complex, dict, enum.Enum, datetime.date, datetime.time, type(None))


def check_word(granularity: Any) -> None:
    """Raises a `ConfigurationError` unless it is one of `GRANULARITIES`."""
    if granularity not in GRANULARITIES:
        raise ConfigurationError(
            f'granularity={granularity!r}: give "text" (pieces of text), "item" (completed items of a list) '
            'or "value" (the partial value)'
        )


def check_field(granularity: str, field: Field, listener: str) -> None:
    """Refuse what a field's type cannot give.

    Args:
        granularity: one of `GRANULARITIES`.
        field: the output field.
        listener: what to call the listener in the error.

    Raises:
        ListenerError: items of what is no list, or the partial value of a text.
    """
    if granularity == "item" and not any(_may_be_list(one) for one in members(field.annotation)):
        raise ListenerError(
            f"{listener}: {field.name!r} is of the type {type_name(field.annotation)}, which has no items; "
            f'give granularity="value" for the partial value, "text" for its text, or the field a list type'
        )
    if granularity == "value" and members(field.annotation) <= {str, type(None)}:
        raise ListenerError(
            f'{listener}: {field.name!r} is text, and its pieces are its partial value: give granularity="text"'
        )


def _may_be_list(annotation: Any) -> bool:
    kind = typing.get_origin(annotation) or annotation
    if kind is Literal:
        return False
    if not isinstance(kind, type):
        return True  # Any, a type variable: who knows
    if issubclass(kind, _NO_LISTS) or issubclass(kind, collections.abc.Mapping):
        return False
    if hasattr(kind, "model_fields"):  # a pydantic model is an object, unless its root is something else
        return "root" in kind.model_fields
    return True


def first_brackets(annotation: Any) -> str:
    """The brackets with which the JSON of a field's value may begin."""
    kinds = {typing.get_origin(one) or one for one in members(annotation)} - {type(None)}
    if kinds <= {list, tuple, set, frozenset}:
        return "["
    if all(kind is dict or "root" not in getattr(kind, "model_fields", ("root",)) for kind in kinds):
        return "{"
    return "[{"


def item_type(annotation: Any) -> tuple[Any, bool]:
    """The type of a list's items, and whether a valid list is for certain just its valid items in a row."""
    kinds = members(annotation) - {type(None)}
    if len(kinds) != 1:
        return Any, False
    (kind,) = kinds
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is tuple:
        return (arguments[0], True) if len(arguments) == 2 and arguments[1] is ... else (Any, False)
    if origin in (list, collections.abc.Sequence, collections.abc.Iterable):
        # What stands in `Annotated` round the list may change it.
        return (arguments[0] if arguments else Any), typing.get_origin(annotation) is not typing.Annotated
    if origin in (set, frozenset):
        return (arguments[0] if arguments else Any), False
    return Any, False


def warm_up_field(field: Field) -> None:
    """Make what validates a field and its items, now and in this thread: the loop has no time for a large model."""
    fits_of(field.annotation)
    fits_of(item_type(field.annotation)[0])


def fits_of(annotation: Any) -> Callable[[Any], Any]:
    """A function that gives a decoded value as the type has it, or raises a `ValueError`."""
    if annotation in (Any, object):
        return _as_it_is
    if annotation is str:
        return _text
    return validator(annotation, {})


def _as_it_is(value: Any) -> Any:
    return value


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value
