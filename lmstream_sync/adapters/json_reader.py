"""Reads a reply that is a JSON object with the output fields as keys, while it comes.

What streams is certain as long as the text is JSON. At the first place where it is not,
nothing more is given until the reply is over; then json-repair reads it from the last key
that was certain, and a field of which something else had been given begins again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from lmstream_sync.adapters.absent import deltas_of_absent_fields
from lmstream_sync.adapters.json_scanner import ObjectScanner
from lmstream_sync.adapters.json_source import decode, decode_first, fields_in
from lmstream_sync.adapters.reader import FieldDelta, FieldEvent, FieldRestart, Finished
from lmstream_sync.signatures.repairing import repaired

__all__ = ["JSONReader"]

_TWICE = "the reply has this field once more, and the last one counts"
_REPAIRED = "the reply was not valid JSON and was repaired"

#: How many objects are looked at where the one found lacks fields.
_OTHERS: Final = 3


class JSONReader:
    """Reads one reply: text in, deltas of output fields out.

    The object is the first that has an output field as a key: a `{` that is followed, after
    blanks at most, by a key in double quotes and its value. Braces in prose, and objects
    without any of the fields, are passed over; so is what follows the object. Where there is
    no such object, the end of the reply decides: then fields are looked for deeper in
    (`{"result": {"answer": ...}}`) and in what is nearly JSON (`{'answer': ...}`). An object
    that lacks a field which must be there gives way to one that has them all.

    A string's text is decoded and exact; any other value's text is its JSON as it stands. Of
    keys that come twice the last wins. A string that the reply's end cuts off ends there.

    Args:
        names: the output fields.
        absent: the fields that a reply may lack, with the text each has then, or what makes it.
        texts: the fields that are text whatever the JSON says: of a value that is no string
            they take the JSON.
    """

    def __init__(
        self,
        names: Iterable[str],
        absent: Mapping[str, str | Callable[[], Any]] | None = None,
        texts: Collection[str] = (),
    ) -> None:
        self._names = tuple(dict.fromkeys(names))
        self._absent = dict(absent or {})
        self._required = set(self._names) - self._absent.keys()
        self._texts = frozenset(texts)
        self._scanner = ObjectScanner(self._names)
        self._pieces: list[str] = []
        self._fields: dict[str, _FieldText] = {}
        #: The fields of which something is to be given out now, in order.
        self._touched: dict[str, _FieldText] = {}

    def feed(self, text: str) -> list[FieldEvent]:
        """Take one piece; give at most one delta for each field that it touches."""
        self._pieces.append(text)
        if text and self._scanner.field is not None and self._scanner.takes_text(text):
            field = self._fields[self._scanner.field]
            field.given.append(text)
            field.shown = True
            return [FieldDelta(field.name, text, False)]
        self._take(text)
        return self._events() if self._touched else []

    def finish(self) -> Finished:
        """The reply is over: repair what needs it, close the open field; absent fields get their one delta."""
        self._settle()
        for field in self._fields.values():
            if not field.closed:
                field.ended = True
                self._touched[field.name] = field
        deltas = self._events()
        texts = {name: "".join(self._fields[name].given) for name in self._names if name in self._fields}
        values = self._values(texts)
        made: dict[str, str] = {}
        lacking = [name for name in self._names if name not in self._fields]
        deltas += deltas_of_absent_fields(lacking, self._absent, made)
        texts.update(made)
        values.update(made)
        return Finished(deltas, texts, values)

    def _take(self, text: str) -> None:
        scanner = self._scanner
        field: _FieldText | None = self._fields.get(scanner.field) if scanner.field is not None else None
        for kind, part in scanner.scan(text):
            if kind in ("string", "value"):
                field = self._begin(part, is_string=kind == "string")
            elif kind == "broken":
                # What this piece has of the field in doubt waits for the repair, with all the rest.
                if scanner.field is not None:
                    self._touched.pop(scanner.field, None)
            elif field is not None:
                self._touched[field.name] = field
                if kind == "text":
                    field.waiting.append(part)
                else:
                    field.ended = True

    def _settle(self) -> None:
        """Make the most of a reply that did not end with the end of its object, or lacks fields."""
        if self._scanner.ended and self._required <= self._fields.keys():
            return
        reply = "".join(self._pieces)
        if not self._scanner.found:
            reply = self._look_again(reply)
        scanner = self._scanner
        if scanner.broken:
            rest = repaired("{" + reply[scanner.doubt :])
            # More than one value: noise that looks like JSON follows the object.
            rest = rest[0] if isinstance(rest, list) and rest else rest
            if isinstance(rest, dict):
                self._correct_all({name: value for name, value in rest.items() if name in self._names})
        elif not scanner.found:
            self._correct_all(fields_in(repaired(reply), self._names))
        elif not scanner.ended and scanner.field in self._fields:
            self._complete(self._fields[scanner.field])
        if not self._required <= self._fields.keys():
            self._look_elsewhere(reply)

    def _look_again(self, reply: str) -> str:
        """No object with a field was found: begin anew where one may be, deeper in or not quite JSON."""
        begin = next(self._beginnings(reply), reply.find("{"))
        rest = reply[begin:] if begin >= 0 else ""
        self._scanner = ObjectScanner(self._names)
        self._take(rest)
        return rest

    def _beginnings(self, reply: str) -> Iterator[int]:
        """Where an object with a field may begin, JSON or not quite."""
        names = "|".join(map(re.escape, self._names))
        return (one.start() for one in re.finditer(rf"""\{{\s*(["']?)(?:{names})\1\s*:""", reply))

    def _look_elsewhere(self, reply: str) -> None:
        """Fields lack: an object that has them all is the better one, whether it stands before or behind.

        The object found may be an example that prose gives, or stand in a text of one that is not quite JSON.
        """
        for begin in islice(self._beginnings(reply), _OTHERS):
            found = fields_in(decode_first(reply, begin), self._names)
            if self._required <= found.keys():
                self._correct_all(found)
                return

    def _begin(self, name: str, is_string: bool) -> _FieldText:
        """A field's value begins; for the second time, perhaps."""
        before = self._fields.get(name)
        field = self._fields[name] = _FieldText(name, is_string)
        self._touched.pop(name, None)
        if before is not None and (before.shown or before.restart):
            field.restart = _TWICE
            self._touched[name] = field
        return field

    def _events(self) -> list[FieldEvent]:
        """Give out what waits."""
        events: list[FieldEvent] = []
        for field in self._touched.values():
            if field.restart:
                events.append(FieldRestart(field.name, field.restart))
                field.restart, field.shown = "", True
            text = "".join(field.waiting)
            if text or field.ended:
                events.append(FieldDelta(field.name, text, field.ended))
                field.given.append(text)
                field.waiting.clear()
                field.closed, field.shown = field.ended, True
        self._touched.clear()
        return events

    def _values(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """What the fields' JSON stands for; without what only the fields' types can tell."""
        values: dict[str, Any] = {}
        for name, text in texts.items():
            if self._fields[name].is_string:
                values[name] = text
            elif name not in self._texts:
                try:
                    values[name] = decode(text)
                except (ValueError, RecursionError):
                    continue  # its text is all that is known
        return values

    def _complete(self, field: _FieldText) -> None:
        """The reply ended in the middle of a value."""
        if field.ended or field.is_string:
            return
        source = "".join([*field.given, *field.waiting])
        closing = self._scanner.closing()
        try:
            decode(source + closing)
        except (ValueError, RecursionError):
            value = repaired(source)
            if isinstance(value, (dict, list)):
                self._correct(field.name, value)
        else:
            field.waiting.append(closing)

    def _correct_all(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            self._correct(name, value)

    def _correct(self, name: str, value: Any) -> None:
        """A field has this value after all. It begins again only if its text so far is not how the new one begins."""
        is_string = isinstance(value, str)
        before = self._fields.get(name)
        if before is None:
            before = self._fields[name] = _FieldText(name, is_string)
        given = "".join(before.given)
        if not is_string and before.ended and _means(given + "".join(before.waiting), value):
            text = given + "".join(before.waiting)
        else:
            text = value if is_string else json.dumps(value, ensure_ascii=False)
        field = self._fields[name] = _FieldText(name, is_string)
        field.restart, field.shown = before.restart, before.shown
        if text == given and before.closed:
            field.given, field.closed, field.ended = before.given, True, True
            return
        field.ended = True
        if before.closed or not text.startswith(given):
            field.restart, field.waiting = _REPAIRED, [text]
        else:
            field.given, field.waiting = before.given, [text[len(given) :]]
        self._touched[name] = field


class _FieldText:
    """One field's text, from where its value begins.

    Attributes:
        name: the field.
        is_string: whether its value is a JSON string.
        given: what was given out.
        waiting: what came since.
        ended: its value is complete.
        closed: that was said.
        shown: whether anything was given out, now or before it began again.
        restart: why it begins again, where that has yet to be said.
    """

    __slots__ = ("closed", "ended", "given", "is_string", "name", "restart", "shown", "waiting")

    def __init__(self, name: str, is_string: bool) -> None:
        self.name = name
        self.is_string = is_string
        self.given: list[str] = []
        self.waiting: list[str] = []
        self.ended = self.closed = self.shown = False
        self.restart = ""


def _means(source: str, value: Any) -> bool:
    """Whether a text is JSON of a value."""
    try:
        return bool(decode(source) == value)
    except (ValueError, RecursionError):
        return False
