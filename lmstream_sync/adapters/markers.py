"""Writing and finding `[[ ## name ## ]]` at the beginning of a line, in text that comes in pieces.

A line begins at the start of the text and after `\\n`, nowhere else; spaces and tabs may
stand before the marker. Only expected names count: everything else is text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.values import format_value

__all__ = ["COMPLETED", "Marker", "MarkerScanner", "marker", "sections"]

#: The name in the marker that ends a reply.
COMPLETED: Final = "completed"

_BLANKS = re.compile(r"[ \t]*")
# A name is whatever stands between the two blanks: `\\w` lacks the combining marks that identifiers may have.
_MARKER = re.compile(r"\[\[ ## ([^ \n]+) ## \]\]")
_MARKER_LINE = re.compile(r"\n[ \t]*\[\[ ## ([^ \n]+) ## \]\]")


def marker(name: str) -> str:
    """The marker of a name, as prompts and replies have it."""
    return f"[[ ## {name} ## ]]"


def sections(fields: Mapping[str, Field], values: Mapping[str, Any]) -> str:
    """Those fields that have a value, each under its marker."""
    return "\n\n".join(
        f"{marker(name)}\n{format_value(field, values[name])}" for name, field in fields.items() if name in values
    )


class Marker(NamedTuple):
    """A marker that was completed by a piece.

    Attributes:
        name: an expected name.
        begin: where the text before it ends in that piece; -1 where the marker began in an earlier one.
        end: where the text after it begins in that piece.
    """

    name: str
    begin: int
    end: int


class MarkerScanner:
    """Fed pieces, gives the markers that each completes, and knows what may yet become one."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: set[str] = set()
        #: The expected markers in order, so that one look finds whether a text begins one of them.
        self._sorted: list[str] = []
        for name in names:
            if name not in self._names:
                self._names.add(name)
                insort(self._sorted, marker(name))
        self._longest = max(map(len, self._sorted), default=0)
        #: Whether the line so far is blanks and then `partial`; else a piece without a line feed has no marker.
        self.at_line_start = True
        #: The end of the text so far that may yet become a marker; empty where there is none.
        self.partial = ""

    def drop(self, name: str) -> None:
        """Expect a name no more. May be called while `scan` is being read."""
        if name in self._names:
            self._names.discard(name)
            del self._sorted[bisect_left(self._sorted, marker(name))]

    def scan(self, text: str) -> Iterator[Marker]:
        """The markers that a piece completes, in order. Read it to its end before the next piece."""
        if self.at_line_start:
            found = self._continue_line(text)
            if self.at_line_start:
                return
            if found is not None:
                yield found
        for match in _MARKER_LINE.finditer(text):
            if match[1] in self._names:
                yield Marker(match[1], match.start(), match.end())
        newline = text.rfind("\n")
        if newline >= 0:
            beginning = text[_blanks_end(text, newline + 1) :]
            if self._begins_marker(beginning):
                self.at_line_start, self.partial = True, beginning

    def _continue_line(self, text: str) -> Marker | None:
        """Go on in a line that may still begin with a marker, to the marker or the end of that hope."""
        begin = 0 if self.partial else _blanks_end(text, 0)
        candidate = self.partial + text[begin : begin + self._longest]
        if self._begins_marker(candidate):
            self.partial = candidate
            return None
        match = _MARKER.match(candidate)
        before, self.partial, self.at_line_start = self.partial, "", False
        if match is None or match[1] not in self._names:
            return None
        return Marker(match[1], -1 if before else begin, begin + match.end() - len(before))

    def _begins_marker(self, text: str) -> bool:
        """Whether a text is the beginning of an expected marker and not yet all of it."""
        if len(text) >= self._longest:
            return False
        at = bisect_left(self._sorted, text)
        return at < len(self._sorted) and self._sorted[at].startswith(text) and self._sorted[at] != text


def _blanks_end(text: str, begin: int) -> int:
    """Where the blanks that begin there end."""
    match = _BLANKS.match(text, begin)
    return match.end() if match else begin
