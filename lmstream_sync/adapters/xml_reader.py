"""Reads a reply of `<field>...</field>` elements while it comes.

Text outside the fields is ignored, and so are elements that are no field: prose, fences, a
root element around all. `xml_tags` finds where a field opens, `xml_field` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lmstream_sync.adapters.absent import deltas_of_absent_fields
from lmstream_sync.adapters.reader import FieldDelta, FieldEvent, Finished
from lmstream_sync.adapters.xml_field import XMLField
from lmstream_sync.adapters.xml_tags import TagScanner

__all__ = ["XMLReader"]


class XMLReader:
    """Reads one reply: text in, deltas of output fields out.

    A field opens with its first opening tag that stands in no other field, and ends with
    its own closing tag or with the reply.

    Args:
        names: the output fields.
        absent: the fields that a reply may lack, with the text each has then, or what makes it.
    """

    def __init__(self, names: Iterable[str], absent: Mapping[str, str | Callable[[], Any]] | None = None) -> None:
        self._unseen = dict.fromkeys(names)
        self._absent = dict(absent or {})
        self._tags = TagScanner(self._unseen)
        self._open: XMLField | None = None
        self._fields: dict[str, str] = {}

    def feed(self, text: str) -> list[FieldEvent]:
        """Take one piece; give at most one delta for each field that it touches."""
        deltas: list[FieldEvent] = []
        if self._open is None and self._tags.held:
            text = self._tags.held + text
        begin = 0
        while begin < len(text) and (self._open is not None or self._unseen):
            if self._open is not None:
                given, end = self._open.feed(text, begin)
                if end >= 0:
                    self._close(given, deltas)
                elif given:
                    deltas.append(FieldDelta(self._open.name, given, False))
                begin = end if end >= 0 else len(text)
                continue
            tag = self._tags.find(text, begin)
            if tag is None:
                break
            begin = tag.end
            del self._unseen[tag.name]
            self._open = XMLField(tag.name)
            if tag.empty:
                self._close("", deltas)
        return deltas

    def finish(self) -> Finished:
        """The reply is over: a tag or an entity that is not complete is text; absent fields get their one delta."""
        deltas: list[FieldEvent] = []
        if self._open is not None:
            self._close(self._open.close(), deltas)
        deltas += deltas_of_absent_fields(self._unseen, self._absent, self._fields)
        self._unseen.clear()
        return Finished(deltas, dict(self._fields))

    def _close(self, rest: str, deltas: list[FieldEvent]) -> None:
        """The open field ends, with the rest of its text."""
        field, self._open = self._open, None
        if field is not None:
            deltas.append(FieldDelta(field.name, rest, True))
            self._fields[field.name] = field.text()
