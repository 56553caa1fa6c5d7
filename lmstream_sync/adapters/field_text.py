"""The text of one output field while it comes, without white space at its ends.

Law 2 lives here: a piece is handed out whole and at once, unless it holds the beginning of
something that may yet be dropped (white space that may turn out to be the field's last, a
marker that is not complete); then it waits, and what comes after it, until that is known.
"""

from __future__ import annotations

from collections import deque

__all__ = ["FieldText"]


class FieldText:
    """Takes the pieces of a field; gives back what is certain to belong to it.

    The work is linear in the text, however it is cut: no character is looked at more than a
    few times, and text that waits is not joined until it goes.
    """

    __slots__ = ("_given", "_given_length", "_length", "_partial", "_sure", "_waiting")

    def __init__(self) -> None:
        self._given: list[str] = []
        self._given_length = 0
        #: Pieces that wait, each with the field's length at its end.
        self._waiting: deque[tuple[int, str]] | None = None  # until a piece waits: few ever do
        self._length = 0
        #: How much of the text stays whatever comes: to the last character that is no white
        #: space and in no unfinished marker.
        self._sure = 0
        self._partial = ""

    def add(self, piece: str, partial: str = "") -> str:
        """Take a piece; give the text that can go now, often all of it.

        Args:
            piece: what came, any white space included.
            partial: the end of all text so far that may yet become a marker. It never
                begins with white space, and it may have begun in an earlier piece. Where it
                stood for something else than itself, `retract` it.
        """
        if not self._length:
            piece = piece.lstrip()
            if not piece:
                return ""
        if not self._waiting and not partial and not self._partial and piece[-1:].strip():
            # Nothing waits, and all of this piece is certain: what most pieces are.
            self._length = self._given_length = self._sure = self._length + len(piece)
            self._given.append(piece)
            return piece
        if self._partial and len(partial) <= len(piece):
            # What looked like a marker is text after all; it is never white space alone.
            self._sure = self._length - len(self._partial) + len(self._partial.rstrip())
        self._partial = partial
        certain = piece[: len(piece) - len(partial)].rstrip() if len(partial) < len(piece) else ""
        if certain:
            self._sure = self._length + len(certain)
        if piece:
            self._length += len(piece)
            if self._waiting is None:
                self._waiting = deque()
            self._waiting.append((self._length, piece))
        going: list[str] = []
        while self._waiting and self._waiting[0][0] <= self._sure:
            going.append(self._waiting.popleft()[1])
        return self._give("".join(going))

    def settle(self, length: int) -> None:
        """So much of the last `partial`'s beginning is text after all, and does not end with white space."""
        self._sure = self._length - len(self._partial) + length
        self._partial = self._partial[length:]

    def retract(self) -> None:
        """What the last `partial` began is no text: take it back. It was never given."""
        surplus, self._partial = len(self._partial), ""
        self._length -= surplus
        while surplus and self._waiting:
            end, piece = self._waiting.pop()
            if len(piece) > surplus:
                self._waiting.append((end - surplus, piece[:-surplus]))
            surplus -= min(surplus, len(piece))

    def close(self) -> str:
        """The field has ended: give the rest of it, without the white space at its end."""
        if not self._waiting:
            return ""
        rest = "".join(piece for _, piece in self._waiting)
        self._waiting = None
        return self._give(rest[: self._sure - self._given_length])

    def text(self) -> str:
        """All that was given."""
        return "".join(self._given)

    def _give(self, text: str) -> str:
        if text:
            self._given.append(text)
            self._given_length += len(text)
        return text
