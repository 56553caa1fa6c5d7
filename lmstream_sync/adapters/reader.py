"""What reads a reply while it comes: a pure state machine, fed text, giving events about fields.

The same reader makes what streams and what comes back, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, Union

__all__ = ["FieldDelta", "FieldEvent", "FieldObject", "FieldRestart", "Finished", "Reader"]


class FieldDelta(NamedTuple):
    """Text that belongs to one output field; `last` closes the field."""

    field: str
    text: str
    last: bool


class FieldRestart(NamedTuple):
    """What was given of a field is void, and it begins again; `reason` is one line for people."""

    field: str
    reason: str


class FieldObject(NamedTuple):
    """A piece of a field that is no text: an object of the field's own type; `last` closes the field."""

    field: str
    value: Any
    last: bool = False


FieldEvent = Union[FieldDelta, FieldRestart, FieldObject]  # noqa: UP007  # evaluated on Python 3.10 too


class Finished(NamedTuple):
    """The end of a reply: the events held back until now, and what each field came to.

    Attributes:
        deltas: what was held back, the last mark of the open field among it.
        fields: name → whole text, equal to the field's deltas joined since its last restart;
            only of the fields that the reply has, and of those whose text was made in their
            place by a default factory.
        values: name → value, decoded and not yet validated, for fields of which the reader
            knows more than the text says (that it was a JSON string, say).
    """

    deltas: list[FieldEvent]
    fields: dict[str, str]
    values: Mapping[str, Any] | None = None


class Reader(Protocol):
    """Reads one reply of one signature. Does no I/O and holds no locks."""

    def feed(self, text: str) -> list[FieldEvent]:
        """Take one piece; give at most one delta for each field that it touches."""
        ...

    def finish(self) -> Finished:
        """The reply is over: close the open field and give what was read."""
        ...
