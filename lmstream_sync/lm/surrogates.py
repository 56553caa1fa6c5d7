"""Joins the halves of a surrogate pair that came in two pieces.

Servers written in JavaScript cut text between UTF-16 units, so that an emoji's halves can
arrive as `"\\ud83d"` and `"\\ude00"` in two chunks. Pure.
"""

from __future__ import annotations

import re

__all__ = ["SurrogateJoiner", "joined"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"


def joined(text: str) -> str:
    """The text with its pairs joined; a half that stands alone becomes U+FFFD."""
    if text.isascii() or _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class SurrogateJoiner:
    """Fed the pieces of one text, gives them whole: a high half at a piece's end waits for
    the next piece."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    @property
    def holding(self) -> bool:
        """Whether a half waits for its other."""
        return bool(self._held)

    def feed(self, piece: str) -> str:
        """The text that is certain now."""
        if not self._held and piece.isascii():
            return piece
        text, self._held = self._held + piece, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return joined(text)

    def finish(self) -> str:
        """What is left at the end: nothing, or U+FFFD for a half that nothing followed."""
        held, self._held = self._held, ""
        return _REPLACEMENT if held else ""
