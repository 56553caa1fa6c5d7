"""The inside of a JSON string, decoded while it comes in pieces that may be cut anywhere.

What is no valid escape is read as its writer meant it, as json-repair does too: `\\'` is an
apostrophe, and a backslash before anything else (`\\alpha`, `\\(`) is a backslash. Control
characters that stand in the string as they are (models write line ends so) are text.
"""

from __future__ import annotations

import re

__all__ = ["StringDecoder"]

_PLAIN = re.compile(r'[^"\\]+')
# The last alternative is a \u whose digits are too few: text, once it is seen what follows.
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|[^u]|u[0-9a-fA-F]{0,3}(?=[^0-9a-fA-F]))", re.DOTALL)
_LONGEST = len("\\uXXXX")

_MEANT = {
    '\\"': '"',
    "\\\\": "\\",
    "\\/": "/",
    "\\b": "\b",
    "\\f": "\f",
    "\\n": "\n",
    "\\r": "\r",
    "\\t": "\t",
    "\\'": "'",
}


class StringDecoder:
    """Decodes one string, from after its opening quote to its closing one.

    Half of a surrogate pair, written as an escape, waits for the other half; where that does
    not follow, it is a character by itself, as for `json.loads`.
    """

    __slots__ = ("_escape", "_half")

    def __init__(self) -> None:
        #: The beginning of an escape that is not complete.
        self._escape = ""
        #: The first half of a surrogate pair.
        self._half = ""

    @property
    def waits(self) -> bool:
        """Whether something that came has yet to be given."""
        return bool(self._escape or self._half)

    def read(self, text: str, at: int) -> tuple[str, int]:
        """Decode a piece.

        Args:
            text: the piece.
            at: where in it the string goes on.

        Returns:
            The decoded text, and the place after the closing quote; -1 where the string goes on.
        """
        parts: list[str] = []
        if self._escape:
            at = self._unescape(text, at, parts)
        while at < len(text):
            plain = _PLAIN.match(text, at)
            if plain is not None:
                self._give(plain[0], parts)
                at = plain.end()
            elif text[at] == '"':
                self._give("", parts)
                return "".join(parts), at + 1
            else:
                at = self._unescape(text, at, parts)
        return "".join(parts), -1

    def _unescape(self, text: str, at: int, parts: list[str]) -> int:
        """Read the escape that begins or goes on there; give where it ends."""
        source = self._escape + text[at : at + _LONGEST - len(self._escape)]
        match = _ESCAPE.match(source)
        if match is None:
            self._escape = source
            return len(text)
        at += match.end() - len(self._escape)
        self._escape = ""
        escape = match[0]
        if len(escape) < _LONGEST:
            self._give(_MEANT.get(escape, escape), parts)
            return at
        code = int(escape[2:], 16)
        if self._half and 0xDC00 <= code < 0xE000:
            parts.append(chr(0x10000 + ((ord(self._half) - 0xD800) << 10) + code - 0xDC00))
            self._half = ""
        elif 0xD800 <= code < 0xDC00:
            self._give("", parts)
            self._half = chr(code)
        else:
            self._give(chr(code), parts)
        return at

    def _give(self, text: str, parts: list[str]) -> None:
        if self._half:
            parts.append(self._half)
            self._half = ""
        parts.append(text)
