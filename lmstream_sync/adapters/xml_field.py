"""The source of one XML field while it comes: to its closing tag, with entities and CDATA sections read.

Only the field's own closing tag ends it. The five entities of XML and character references
(`&#10;`, `&#x41;`) are read; every other `<` and `&` is text. A CDATA section is read where it
is the beginning of the field or follows another one, as models wrap code in it; elsewhere
`<![CDATA[` is text, so that mentioning it does no harm. White space that an entity or a section
made counts as any other: it is dropped at the field's ends.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from lmstream_sync.adapters.field_text import FieldText
from lmstream_sync.adapters.xml_tags import blanks_end

__all__ = ["REFERENCE", "SECTION", "XMLField"]

#: What begins a CDATA section, and what ends it.
SECTION: Final = "<![CDATA["
_SECTION_END: Final = "]]>"

_NAMED: Final = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
#: What stands for a character; so many digits hold all of them, a few leading zeros too.
REFERENCE: Final = r"&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,8})|#x([0-9a-fA-F]{1,8}));"
_BEGUN_NUMBER = re.compile(r"&#(?:[0-9]{0,8}|x[0-9a-fA-F]{0,8})")
_BEGUN_NAMES = frozenset(f"&{name}"[:length] for name in _NAMED for length in range(1, len(name) + 2))


class _Sign(NamedTuple):
    """A part of the source that is no text: where it stands, and what text it stands for."""

    begin: int
    end: int
    text: str = ""
    closing: bool = False
    #: Whether it has only begun, and may be text after all.
    unfinished: bool = False


class XMLField:
    """Takes the source of a field, gives its text as far as that is certain.

    Args:
        name: the field, whose closing tag ends it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._text = FieldText()
        self._closing = f"</{name}"
        self._sign = re.compile(rf"(</{re.escape(name)}[ \t\r\n]*>)|{REFERENCE}")
        #: The end of the source so far that may yet become a sign; it is in `_text` and waits there.
        self._partial = ""
        #: Pieces of white space that came after `</name`, kept apart as they may be many.
        self._blanks: list[str] = []
        self._in_section = False
        #: Whether a section may begin here: there was nothing but white space and sections.
        self._at_start = True

    def feed(self, piece: str, begin: int) -> tuple[str, int]:
        """Take a piece from `begin` on.

        Returns:
            The text that can go now, and where in the piece the closing tag ends; -1 where it did not come.
        """
        if not (self._partial or self._at_start or self._in_section or "<" in piece or "&" in piece):
            return self._text.add(piece[begin:] if begin else piece), -1  # what most pieces are
        going = ""
        if self._partial.startswith(self._closing):
            end = blanks_end(piece, begin)
            if end == len(piece):
                self._blanks.append(piece[begin:])
                return "", -1
            if piece[end] == ">":
                return self._text.close(), end + 1
            if self._blanks:
                # That and the white space after it is text.
                going = "".join(map(self._text.add, self._blanks))
                self._blanks.clear()
                self._partial = ""
        held = len(self._partial)
        source = self._partial + piece[begin:] if held else piece
        text, sign, end = self._decoded(source, 0 if held else begin)
        kept = held
        if 0 <= sign < held:
            # It began in what waited, perhaps not where that begins: `]]` and then `]>`.
            if sign:
                self._text.settle(sign)
            if len(self._partial) < len(source) - sign:
                self._text.retract()
                kept = sign
        going += self._text.add(text[kept:], self._partial)
        if end < 0:
            return going, -1
        return going + self._text.close(), end - held + begin if held else end

    def close(self) -> str:
        """The reply is over: what was begun is text, but for white space after it. Gives the rest."""
        return self._text.add("") + self._text.close()

    def text(self) -> str:
        """All that was given."""
        return self._text.text()

    def _decoded(self, source: str, at: int) -> tuple[str, int, int]:
        """The text of the source from `at` on, with what may yet become a sign at its end, which `_partial` then is.

        Also where the first sign begins, finished or not, and where the closing tag ends; -1 where there is none.
        """
        out: list[str] = []
        first, self._partial = -1, ""
        while at < len(source):
            sign = self._next_sign(source, at)
            if sign is None:
                out.append(source[at:])
                break
            first = sign.begin if first < 0 else first
            out.append(source[at : sign.begin])
            if sign.closing:
                return "".join(out), first, sign.end
            if sign.unfinished:
                self._partial = source[sign.begin :]
                out.append(self._partial)
                break
            out.append(sign.text)
            at = sign.end
        return "".join(out), first, -1

    def _next_sign(self, source: str, at: int) -> _Sign | None:
        if self._in_section:
            return self._section_end(source, at)
        if self._at_start:
            begin = blanks_end(source, at)
            if source.startswith(SECTION, begin):
                self._in_section = True
                return _Sign(begin, begin + len(SECTION))
            if begin == len(source):
                return None
            if SECTION.startswith(source[begin : begin + len(SECTION)]):
                return _Sign(begin, len(source), unfinished=True)
            self._at_start = False
        for match in self._sign.finditer(source, at):
            closing, name, decimal, hexadecimal = match.groups()
            if closing:
                return _Sign(*match.span(), closing=True)
            char = _NAMED[name] if name else _character(int(decimal) if decimal else int(hexadecimal, 16))
            if char:
                return _Sign(*match.span(), char)
            at = match.end()
        begin = max(source.rfind("<", at), source.rfind("&", at))
        return _Sign(begin, len(source), unfinished=True) if begin >= 0 and self._may_become(source[begin:]) else None

    def _section_end(self, source: str, at: int) -> _Sign | None:
        begin = source.find(_SECTION_END, at)
        if begin >= 0:
            self._in_section = False
            return _Sign(begin, begin + len(_SECTION_END))
        for beginning in (_SECTION_END[:2], _SECTION_END[:1]):
            if source.endswith(beginning, at):
                return _Sign(len(source) - len(beginning), len(source), unfinished=True)
        return None

    def _may_become(self, tail: str) -> bool:
        """Whether text from a `<` or `&` on may yet become a closing tag or stand for a character."""
        if tail[0] == "&":
            return tail in _BEGUN_NAMES or _BEGUN_NUMBER.fullmatch(tail) is not None
        if len(tail) <= len(self._closing):
            return self._closing.startswith(tail)
        return tail.startswith(self._closing) and blanks_end(tail, len(self._closing)) == len(tail)


def _character(number: int) -> str:
    """The character of a number; empty where there is none, or only half of one."""
    return chr(number) if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else ""
