"""Finding the opening tags of fields, `<answer>`, in the text outside all fields, which comes in pieces.

A tag may have attributes, whose quoted values may hold `>`; a `<` within it shows that it was none.
`<answer/>` opens a field and closes it. Names are case-sensitive, as in XML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["OpeningTag", "TagScanner", "blanks_end"]

#: What XML takes for white space.
_BLANKS: Final = " \t\r\n"
_MANY_BLANKS = re.compile(f"[{_BLANKS}]*")

_NAME = re.compile(r"<([^ \t\r\n<>/]*)(/?)")
#: What matters next in a tag, by the quote that is open.
_NEXT_IN_TAG = {"": re.compile("[<>\"']"), '"': re.compile('[<"]'), "'": re.compile("[<']")}


class OpeningTag(NamedTuple):
    """An opening tag; `end` is where the text after it begins, `empty` whether it closes itself."""

    name: str
    empty: bool
    end: int


class TagScanner:
    """Fed text outside all fields, finds the next opening tag of an expected field.

    Args:
        names: the fields. Each opens once.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._beginnings = {name[:length] for name in self._names for length in range(len(name) + 1)}
        #: The beginning of a tag, `<ans`, that the next piece goes on with; no longer than a name is.
        self.held = ""
        #: The tag whose attributes are being read, in which quotes, and whether a `/` came last.
        self._name = ""
        self._quote = ""
        self._slash = False

    def find(self, text: str, begin: int) -> OpeningTag | None:
        """The first tag from `begin` on; `None` when all is read. A new piece comes with `held` before it."""
        self.held = ""
        while True:
            if self._name:
                tag, begin = self._attributes(text, begin)
            else:
                tag, begin = self._tag_name(text, begin)
            if tag is not None:
                self._names.discard(tag.name)
                self._name = ""
            if tag is not None or begin < 0:
                return tag

    def _tag_name(self, text: str, begin: int) -> tuple[OpeningTag | None, int]:
        """Look for `<name`, and all of the tag where it has no attributes; where to go on, -1 for nowhere."""
        for match in _NAME.finditer(text, begin):
            name, slash = match.groups()
            end = match.end()
            if end == len(text):
                if name in (self._names if slash else self._beginnings):
                    self.held = match[0]
            elif name in self._names:
                if text[end] == ">":
                    return OpeningTag(name, bool(slash), end + 1), end + 1
                if text[end] in _BLANKS and not slash:
                    self._name, self._quote, self._slash = name, "", False
                    return None, end
        return None, -1

    def _attributes(self, text: str, begin: int) -> tuple[OpeningTag | None, int]:
        """Go on in a tag that has more than a name, to its end or to what shows that it is none."""
        while match := _NEXT_IN_TAG[self._quote].search(text, begin):
            at, sign = match.start(), match[0]
            if sign == "<":
                self._name = ""
                return None, at
            if sign == ">":
                slash = text[at - 1] == "/" if at > begin else self._slash
                return OpeningTag(self._name, slash, at + 1), at + 1
            self._quote = "" if self._quote else sign
            self._slash = False
            begin = at + 1
        if begin < len(text):
            self._slash = not self._quote and text[-1] == "/"
        return None, -1


def blanks_end(text: str, begin: int) -> int:
    """Where the white space of XML that begins there ends."""
    match = _MANY_BLANKS.match(text, begin)
    return match.end() if match else begin
