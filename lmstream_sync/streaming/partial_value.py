"""`PartialValue`: the value that the operations of `PartialJSON` build, one object that grows. Pure.

It has one owner: operations may be made in another thread and sent, but only one thread
carries them out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from lmstream_sync.streaming.partial_json import (
    CLOSE,
    END,
    KEY,
    OPEN_LIST,
    OPEN_OBJECT,
    SCALAR,
    TEXT,
    Operation,
)

__all__ = ["BECOME", "PartialValue", "is_beginning_of"]

#: The value is this one, whatever came before: lists, objects, strings, numbers.
BECOME: Final = 8


class PartialValue:
    """A list or object while it grows.

    Attributes:
        value: the same object from its first bracket on; `None` before it.
    """

    __slots__ = ("_key", "_open", "_top", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self._open: list[Any] = []
        #: The innermost open list or object.
        self._top: Any = None
        #: The key of its last value; -1, its last item, for a list.
        self._key: Any = -1

    def apply(self, operations: Iterable[Operation]) -> None:
        """Carry out what `PartialJSON` gave, in its order."""
        for code, what in operations:
            if code == TEXT:
                # Taken out of its container, the string has no other reference, and CPython
                # lengthens it in place: the work is linear in its length.
                text = self._top[self._key]
                self._top[self._key] = None
                text += what
                self._top[self._key] = text
            elif code == KEY:
                self._key = what
            elif code == SCALAR:
                self._put(what)
            elif code == OPEN_LIST:
                self._enter([])
            elif code == OPEN_OBJECT:
                self._enter({})
            elif code in (CLOSE, END):
                self._open.pop()
                self._top = self._open[-1] if self._open else None
                self._key = -1
            elif code == BECOME:
                self._become(what)

    def _put(self, value: Any) -> None:
        if self._top is None:
            self.value = value
        elif type(self._top) is list:
            self._top.append(value)
        else:
            self._top[self._key] = value

    def _enter(self, container: Any) -> None:
        self._put(container)
        self._open.append(container)
        self._top, self._key = container, -1

    def _become(self, value: Any) -> None:
        if type(self.value) is dict and type(value) is dict:
            self.value.clear()
            self.value.update(value)
        elif type(self.value) is list and type(value) is list:
            self.value[:] = value
        else:
            self.value = value


def is_beginning_of(part: Any, whole: Any) -> bool:
    """Whether a value that still grows may become another: lists, objects and strings only grow at their end.

    It is iterative, since models nest deeper than Python calls.
    """
    while True:
        if isinstance(part, str) and isinstance(whole, str):
            return whole.startswith(part)
        if type(part) is not type(whole):
            return False
        if not isinstance(part, (list, dict)):
            return bool(part == whole)
        if not part:
            return True
        if len(part) > len(whole):
            return False
        last = len(part) - 1
        if isinstance(part, list):
            if part[:last] != whole[:last]:
                return False
            part, whole = part[last], whole[last]
        else:
            pairs = list(zip(part.items(), whole.items(), strict=False))
            if any(one != other for one, other in pairs[:last]) or pairs[last][0][0] != pairs[last][1][0]:
                return False
            part, whole = pairs[last][0][1], pairs[last][1][1]
