"""`Portion`: what a piece of a field that streams in items or values gives its reader, on its way there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Union

from lmstream_sync.events import StreamResponse, StreamRestart
from lmstream_sync.streaming.partial_json import Operation
from lmstream_sync.streaming.partial_value import PartialValue

__all__ = ["Portion", "Sent"]


class Portion:
    """An event in the making, and the text that it comes from.

    It is made on the loop; a partial value grows in the reader's thread, when the event is
    handed out or looked at.

    Args:
        name: the predictor's name.
        field: the output field.
        text: the text that came since the last portion.
        chunk: what the event holds.
        last: it is the field's last chunk.
        value: in place of `chunk`: the partial value, which grows when the event is made.
        operations: how it grows.
        silent: there is no event, only text.
        bare: the event only ends the field, without an item.

    Attributes:
        closes: the field's text ends with this portion.
    """

    __slots__ = ("_event", "_last", "_operations", "_value", "bare", "closes", "field", "name", "text")

    def __init__(
        self,
        name: str,
        field: str,
        text: str,
        *,
        chunk: Any = None,
        last: bool = False,
        value: PartialValue | None = None,
        operations: Iterable[Operation] = (),
        silent: bool = False,
        bare: bool = False,
    ) -> None:
        self.name = name
        self.field = field
        self.text = text
        self.bare = bare
        self.closes = False
        self._last = last
        self._value = value
        self._operations = operations
        self._event = None if silent or value is not None else StreamResponse(name, field, chunk, last)

    def event(self) -> StreamResponse | None:
        """What the reader gets, the same each time; for the reader's thread alone, as the value grows here."""
        value, self._value = self._value, None
        if value is not None:
            value.apply(self._operations)
            self._operations = ()
            self._event = StreamResponse(self.name, self.field, value.value, self._last)
        return self._event


Sent = Union[Portion, StreamRestart]  # noqa: UP007  # evaluated on Python 3.10 too
