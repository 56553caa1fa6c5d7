"""What reads a reply while it comes: a pure state machine, fed text, giving field deltas.

The same reader makes what streams and what comes back, so the two cannot differ.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

__all__ = ["FieldDelta", "Finished", "Reader"]


class FieldDelta(NamedTuple):
    """Text that belongs to one output field; `last` closes the field."""

    field: str
    text: str
    last: bool


class Finished(NamedTuple):
    """The end of a reply: the deltas held back until now, and each field's whole text.

    `fields` holds only those that the reply has, and those whose text was made in its place by a
    default factory; a field's text equals its deltas joined.
    """

    deltas: list[FieldDelta]
    fields: dict[str, str]


class Reader(Protocol):
    """Reads one reply of one signature. Does no I/O and holds no locks."""

    def feed(self, text: str) -> list[FieldDelta]:
        """Take one piece; give at most one delta for each field that it touches."""
        ...

    def finish(self) -> Finished:
        """The reply is over: close the open field and give what was read."""
        ...
