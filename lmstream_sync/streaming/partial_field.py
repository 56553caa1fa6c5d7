"""One run of a field that streams in completed items or as a partial value. Pure.

`FieldItems` and `FieldValue` are fed the field's text on the loop and give `Portion`s for
the reader. A partial value is built on the reader's side: what crosses are operations on
it, so that the work stays linear and the two sides share nothing that changes.

When the field closes and its text is not just the JSON of its value, that text is parsed as
it will be for the Prediction. Where what was given does not agree with it, the reader is
told to begin again and is given what does.
"""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from typing import Any

from lmstream_sync.events import StreamRestart
from lmstream_sync.signatures import Field
from lmstream_sync.signatures.decoded import fit_value
from lmstream_sync.signatures.plain import jsonable
from lmstream_sync.signatures.values import parse_value
from lmstream_sync.streaming.granularity import first_brackets, fits_of, item_type
from lmstream_sync.streaming.partial_items import PartialItems
from lmstream_sync.streaming.partial_json import OPEN_LIST, OPEN_OBJECT, SCALAR, TEXT, Operation, PartialJSON
from lmstream_sync.streaming.partial_value import BECOME, PartialValue, is_beginning_of
from lmstream_sync.streaming.portion import Portion, Sent

__all__ = ["FieldItems", "FieldValue", "PartialField", "partial_field"]

_CHANGED = "the field's text was no plain JSON; its value is another than what it began to be"

#: The operations that show.
_SHOWN = frozenset({OPEN_LIST, OPEN_OBJECT, SCALAR, TEXT})


class PartialField(ABC):
    """What items and values have in common.

    Args:
        name: the predictor's name in events.
        field: the output field.
    """

    def __init__(self, name: str, field: Field) -> None:
        self._name = name
        self._field = field
        self._fit = fits_of(field.annotation)
        self._start()

    def _start(self) -> None:
        self._pieces: list[str] = []
        #: Text that no portion has taken along yet.
        self._untold: list[str] = []
        self._shown = False
        self._saw_objects = False
        self._begin()

    @abstractmethod
    def _begin(self) -> None:
        """Nothing was read yet."""

    @abstractmethod
    def _read(self, text: str) -> None:
        """Read a piece, and keep what it gives."""

    @abstractmethod
    def _give(self, *, close: bool) -> list[Sent]:
        """What was read and not given yet; with `close`, the last chunk among it where it was not given yet."""

    @abstractmethod
    def _is_certain(self) -> bool:
        """Whether what was read is what the whole text means."""

    @abstractmethod
    def _settle(self, final: Any, before: str) -> list[Sent]:
        """Give what is still to be given so that all of it is the final value.

        Args:
            final: the value of the whole text.
            before: the text of which something may have been given.
        """

    def take(self, text: str, last: bool) -> list[Sent]:
        """A piece of the field's text came; `last` closes the field."""
        self._pieces.append(text)
        self._untold.append(text)
        self._read(text)
        if not last:
            return self._give(close=False)
        sent = self._end()
        final = sent[-1] if sent else None
        if not isinstance(final, Portion):
            final = self._portion(silent=True)
            sent.append(final)
        final.closes = True
        return sent

    def show(self, value: Any, last: bool) -> list[Sent]:
        """A piece of the field came that is no text; `last` closes the field."""
        self._saw_objects = True
        portion = self._portion(chunk=value, last=last)
        portion.closes = last
        return [portion]

    def begin_again(self, reason: str) -> list[Sent]:
        """What was given is void; empty where nothing was given."""
        told: list[Sent] = [StreamRestart(self._name, self._field.name, reason)] if self._shown else []
        self._start()
        return told

    def _end(self) -> list[Sent]:
        if self._saw_objects or self._is_certain():
            return self._give(close=True)
        text = "".join(self._pieces)
        try:
            final = self._final(text)
        except Exception:  # a user's validator may raise anything; the Prediction will, and tells why
            return self._give(close=True)
        return self._settle(final, text[: len(text) - len(self._pieces[-1])])

    def _final(self, text: str) -> Any:
        field = self._field
        if not text and field.has_default:
            return field.default_value()
        try:
            return parse_value(field, text)
        except ValueError as error:
            try:
                decoded = json.loads(text)  # JSON in a JSON string, which the JSON adapter takes
            except (ValueError, RecursionError):
                raise error from None
            return fit_value(field, decoded)

    def _again(self) -> list[Sent]:
        """Void what was given, and give its text anew with what follows."""
        pieces = self._pieces
        told = self.begin_again(_CHANGED)
        self._pieces, self._untold = pieces, list(pieces)
        return told

    def _portion(self, *, silent: bool = False, **what: Any) -> Portion:
        self._shown = self._shown or not silent
        text = "".join(self._untold)
        self._untold.clear()
        return Portion(self._name, self._field.name, text, silent=silent, **what)


class FieldItems(PartialField):
    """A field that streams in the completed items of its list."""

    def __init__(self, name: str, field: Field) -> None:
        item, self._only_items = item_type(field.annotation)
        self._fit_item = fits_of(item)
        super().__init__(name, field)

    def _begin(self) -> None:
        self._items = PartialItems()
        self._new: list[Any] = []
        self._all_fit = True
        self._gave_last = False

    def _read(self, text: str) -> None:
        self._new += self._fitted(self._items.feed(text))

    def _give(self, *, close: bool) -> list[Sent]:
        new, self._new = self._new, []
        return self._as_chunks(new, self._items.complete or close, self._items.ended_with_item)

    def _is_certain(self) -> bool:
        return self._items.exact and self._items.complete and self._only_items and self._all_fit

    def _settle(self, final: Any, before: str) -> list[Sent]:
        now = self._replayed("".join(self._pieces))
        items = list(final) if isinstance(final, (list, tuple, set, frozenset)) else []
        if self._items.complete and (_same(now, items) or _same_members(now, final)):
            return self._give(close=True)
        given = self._replayed(before)
        told: list[Sent] = []
        if self._gave_last or not _same(given, items[: len(given)]):
            told, given = self._again(), []
        return told + self._as_chunks(items[len(given) :], True, True)

    def _as_chunks(self, items: list[Any], ended: bool, with_item: bool) -> list[Sent]:
        """Items as chunks, the last one marked where the list ended; an end without an item is a chunk of its own."""
        if self._gave_last:
            return []
        self._gave_last = ended
        marked = ended and with_item and bool(items)
        sent: list[Sent] = [
            self._portion(chunk=item, last=marked and number == len(items)) for number, item in enumerate(items, 1)
        ]
        return [*sent, self._portion(last=True, bare=True)] if ended and not marked else sent

    def _fitted(self, items: list[Any]) -> list[Any]:
        """Each item as its type has it; one that does not fit stays as it is."""
        fitted = []
        for item in items:
            try:
                fitted.append(self._fit_item(item))
            except Exception:  # a user's validator may raise anything
                fitted.append(item)
                self._all_fit = False
        return fitted

    def _replayed(self, text: str) -> list[Any]:
        """The items that a text gives. Those that were given belong to the reader, who may have changed them."""
        return self._fitted(PartialItems().feed(text))


class FieldValue(PartialField):
    """A field that streams as its partial value."""

    def _begin(self) -> None:
        self._json = PartialJSON(first_brackets(self._field.annotation))
        self._operations: list[Operation] = []
        self._value = PartialValue()

    def _read(self, text: str) -> None:
        self._operations += self._json.feed(text)

    def _give(self, *, close: bool) -> list[Sent]:
        if not close and not any(code in _SHOWN for code, _ in self._operations):
            return []
        operations, self._operations = self._operations, []
        return [self._portion(value=self._value, operations=operations, last=close)]

    def _is_certain(self) -> bool:
        return self._json.exact and self._json.complete

    def _settle(self, final: Any, before: str) -> list[Sent]:
        if self._json.begun:
            with contextlib.suppress(Exception):  # it does not fit: the text was understood in another way
                if _same(self._fit(self._replayed("".join(self._pieces))), final):
                    return self._give(close=True)
        try:
            whole = jsonable(final)
        except RecursionError:
            return self._give(close=True)
        told = [] if not self._shown or is_beginning_of(self._replayed(before), whole) else self._again()
        self._operations = [(BECOME, whole)]
        return told + self._give(close=True)

    def _replayed(self, text: str) -> Any:
        """The value that a text gives. The one that was given belongs to the reader, who may have changed it."""
        built = PartialValue()
        built.apply(PartialJSON(first_brackets(self._field.annotation)).feed(text))
        return built.value


def partial_field(granularity: str, name: str, field: Field) -> PartialField:
    """What streams a run of a field in `"item"` or `"value"` granularity."""
    return FieldItems(name, field) if granularity == "item" else FieldValue(name, field)


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # values that cannot be compared, or are nested too deeply
        return False


def _same_members(items: list[Any], final: Any) -> bool:
    """Whether these are the members of a set, which has its own order."""
    try:
        return isinstance(final, (set, frozenset)) and set(items) == final
    except TypeError:  # what did not fit may have no hash
        return False
