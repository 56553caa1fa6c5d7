"""Writing and finding `[[ ## name ## ]]` at the beginning of a line, in text that comes in pieces.

A line begins at the start of the text and after `\\n`, nowhere else; spaces and tabs may
stand before the marker. Only expected names count: everything else is text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.values import format_value

__all__ = ["COMPLETED", "Marker", "MarkerScanner", "marker", "sections"]

#: The name in the marker that ends a reply.
COMPLETED: Final = "completed"

_BLANKS = re.compile(r"[ \t]*")
# A name is whatever stands between the two blanks: `\\w` lacks the combining marks that identifiers may have.
_MARKER = re.compile(r"\[\[ ## ([^ \n]+) ## \]\]")
_MARKER_BEGIN = re.compile(r"([ \t]*)\[\[ ## ([^ \n]+) ## \]\]")
_MARKER_LINE = re.compile(r"\n[ \t]*\[\[ ## ([^ \n]+) ## \]\]")


#: What stands on either side of a marker's name.
_FRONT, _BACK = "[[ ## ", " ## ]]"


def marker(name: str) -> str:
    """The marker of a name, as prompts and replies have it."""
    return f"{_FRONT}{name}{_BACK}"


def sections(fields: Mapping[str, Field], values: Mapping[str, Any]) -> str:
    """Those fields that have a value, each under its marker."""
    return "\n\n".join(
        [f"{marker(name)}\n{format_value(field, values[name])}" for name, field in fields.items() if name in values]
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


class _Expected(NamedTuple):
    """The markers that may come.

    Attributes:
        names: their names.
        markers: themselves in order, so that one look finds whether a text begins one of them.
        longest: no marker is longer.
    """

    names: frozenset[str]
    markers: tuple[str, ...]
    longest: int

    def less(self, name: str) -> _Expected:
        """The same without one of them."""
        if name not in self.names:
            return self
        at = bisect_left(self.markers, marker(name))
        return _Expected(self.names - {name}, self.markers[:at] + self.markers[at + 1 :], self.longest)


@lru_cache(maxsize=1024)
def _expecting(names: tuple[str, ...]) -> _Expected:
    """What follows from names, which are those of few signatures in many replies."""
    markers = tuple(sorted(map(marker, set(names))))
    return _Expected(frozenset(names), markers, max(map(len, markers), default=0))


#: What is left of so many names is remembered too; of more it would take too much memory.
_FEW = 16
_few_less = lru_cache(maxsize=1024)(_Expected.less)


class MarkerScanner:
    """Fed pieces, gives the markers that each completes, and knows what may yet become one."""

    __slots__ = ("_expected", "_hope", "at_line_start", "partial")

    def __init__(self, names: Iterable[str]) -> None:
        self._expected = _expecting(tuple(names))
        #: A marker that `partial` begins: the pieces of one are mostly looked for in vain among the others.
        self._hope = ""
        #: Whether the line so far is blanks and then `partial`; else a piece without a line feed has no marker.
        self.at_line_start = True
        #: The end of the text so far that may yet become a marker; empty where there is none.
        self.partial = ""

    def drop(self, name: str) -> None:
        """Expect a name no more. May be called while `scan` is being read."""
        expected = self._expected
        self._expected = _few_less(expected, name) if len(expected.names) <= _FEW else expected.less(name)

    def goes_on(self, text: str) -> bool:
        """At the start of a line: take a piece that leaves it the beginning of a marker, or blanks, and no other."""
        if self.partial:
            candidate = self.partial + text
            if len(candidate) < len(self._hope) and self._hope.startswith(candidate):
                self.partial = candidate
                return True
        elif len(text) < self._expected.longest:
            candidate = text.lstrip(" \t")
        else:
            return False
        if not self._begins_marker(candidate):
            return False
        self.partial = candidate
        return True

    def ends(self, text: str) -> str:
        """Take a piece that is the rest of the marker that the line began with, and no other: the marker's name."""
        if not self.partial or self.partial + text != self._hope:
            return ""
        self.at_line_start, self.partial = False, ""
        return self._hope[len(_FRONT) : -len(_BACK)]

    def scan(self, text: str) -> Iterator[Marker]:
        """The markers that a piece completes, in order. Read it to its end before the next piece."""
        if self.at_line_start:
            first = "[" if self.partial else text.lstrip(" \t")[:1]
            if first == "[" or not first:
                found = self._whole_marker(text) or self._continue_line(text)
                if self.at_line_start:
                    return
                if found is not None:
                    yield found
            self.at_line_start = False
        if _BACK in text:
            for match in _MARKER_LINE.finditer(text):
                if match[1] in self._expected.names:
                    yield Marker(match[1], match.start(), match.end())
        newline = text.rfind("\n")
        if newline >= 0:
            beginning = text[_blanks_end(text, newline + 1) :]
            if not beginning or self._begins_marker(beginning):
                self.at_line_start, self.partial = True, beginning

    def _whole_marker(self, text: str) -> Marker | None:
        """The marker that a piece has at its beginning, where the line begins there too: how most are cut."""
        match = _MARKER_BEGIN.match(text) if not self.partial else None
        if match is None or match[2] not in self._expected.names:
            return None
        self.at_line_start = False
        return Marker(match[2], match.end(1), match.end())

    def _continue_line(self, text: str) -> Marker | None:
        """Go on in a line that may still begin with a marker, to the marker or the end of that hope."""
        begin = 0 if self.partial else _blanks_end(text, 0)
        candidate = self.partial + text[begin : begin + self._expected.longest]
        if self._begins_marker(candidate):
            self.partial = candidate
            return None
        match = _MARKER.match(candidate)
        before, self.partial, self.at_line_start = self.partial, "", False
        if match is None or match[1] not in self._expected.names:
            return None
        return Marker(match[1], -1 if before else begin, begin + match.end() - len(before))

    def _begins_marker(self, text: str) -> bool:
        """Whether a text is the beginning of an expected marker and not yet all of it."""
        _, markers, longest = self._expected
        if len(text) >= longest:
            return False
        at = bisect_left(markers, text)
        if at == len(markers) or not markers[at].startswith(text) or markers[at] == text:
            return False
        self._hope = markers[at]
        return True


def _blanks_end(text: str, begin: int) -> int:
    """Where the blanks that begin there end."""
    if begin == len(text):
        return begin
    match = _BLANKS.match(text, begin)
    return match.end() if match else begin
