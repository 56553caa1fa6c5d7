"""`PartialItems`: the items of a JSON list, each as soon as it is known whether it is the last. Pure."""

from __future__ import annotations

from typing import Any

from lmstream_sync.streaming.partial_json import END, NEXT, PartialJSON
from lmstream_sync.streaming.partial_value import PartialValue

__all__ = ["PartialItems"]


class PartialItems:
    """Reads one list while it comes, in time linear in its text.

    Attributes:
        complete: the list's end came.
        ended_with_item: an item came right before it, so that the last one given is the last.
    """

    def __init__(self) -> None:
        self.complete = False
        self.ended_with_item = False
        self._json = PartialJSON("[")
        #: Holds the item that is being read, and no other.
        self._rest = PartialValue()

    @property
    def exact(self) -> bool:
        """The text so far is that of a JSON list or of its beginning, and nothing besides."""
        return self._json.exact

    def feed(self, text: str) -> list[Any]:
        """Take a piece; give the items that the comma or bracket after them showed to be complete."""
        operations = self._json.feed(text)
        items: list[Any] = []
        begin = 0
        for at, (code, _) in enumerate(operations):
            if code in (NEXT, END):
                self._rest.apply(operations[begin:at])
                begin = at + 1
                if code == END:
                    self.complete, self.ended_with_item = True, bool(self._rest.value)
                if self._rest.value:
                    items.append(self._rest.value.pop())
        self._rest.apply(operations[begin:])
        return items
