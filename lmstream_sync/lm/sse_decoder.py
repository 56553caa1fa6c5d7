"""Server-sent events as they come over the wire: bytes in, each event's data out. Pure.

Source: HTML standard, 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event
stream". A line ends in LF, CR LF or CR and in nothing else: U+2028, a form feed and the
other places where `str.splitlines` cuts are text.

Most events of a stream of chat completions are one line, `data: {...}`, and an empty one, so
those are cut out by `bytes.split`, with no Python code for each line or character.
"""

from __future__ import annotations

import re

__all__ = ["BEGINS", "SSEDecoder", "without_bom"]

_BOM = b"\xef\xbb\xbf"

#: How a stream of events begins, as far as that tells it from something else.
BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")


def without_bom(start: bytes) -> bytes | None:
    """The beginning of a stream without the one byte order mark that may stand there; `None` until that is known."""
    if len(start) < len(_BOM) and _BOM.startswith(start):
        return None
    return start.removeprefix(_BOM)


class SSEDecoder:
    """Fed the bytes of one stream, cut anywhere; gives the data of every event that is whole.

    Data is given as bytes: it is UTF-8 that whoever knows the format decodes.

    Attributes:
        types: place in what `feed` or `finish` gave last → the event's name, of those that had one;
            `None` where none had.
        last_event_id: what `id` said last, `""` before.
        retry: what `retry` said last, in milliseconds, `None` before.
    """

    __slots__ = ("_after_cr", "_begun", "_data", "_held", "_type", "last_event_id", "retry", "types")

    def __init__(self) -> None:
        self._begun = False
        self._after_cr = False  # an LF that comes next belongs to a CR that came before
        self._held: list[bytes] | None = None  # what may go on: joined only when its end comes; never empty
        self._data: list[bytes] | None = None
        self._type = ""
        self.types: dict[int, str] | None = None
        self.last_event_id = ""
        self.retry: int | None = None

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that end in this piece."""
        if (  # one event of one line, the whole of it: what most reads of a slow stream bring
            self._begun
            and self._held is None
            and piece.startswith(b"data: ")
            and piece.find(b"\n") == len(piece) - 2
            and piece.endswith(b"\n\n")
            and b"\r" not in piece
            and not self._after_cr
            and self.types is None
        ):
            return [piece[6:-2]]
        self.types = None
        if not self._begun:
            piece = self._without_bom(piece)
        if self._after_cr or b"\r" in piece:
            piece = self._with_line_feeds(piece)
        if self._held:
            if b"\n\n" not in piece and not (piece[:1] == b"\n" and self._held[-1].endswith(b"\n")):
                if piece:
                    self._held.append(piece)
                return []
            piece = b"".join((*self._held, piece))
            self._held = None
        end = piece.rfind(b"\n\n")
        if end < 0:
            if piece:
                self._held = [piece]
            return []
        if end + 2 < len(piece):
            self._held = [piece[end + 2 :]]
        return self._events(piece[:end])

    def finish(self) -> list[bytes]:
        """What the end of the stream cut off: an event without its empty line, a line without its end.

        A browser drops it. Servers are seen to end with `data: [DONE]` and nothing after it, so
        it is given, and the caller judges whether it is whole.
        """
        self.types = None
        rest = b"".join(self._held or ())
        self._held = None
        return self._events(rest)

    @property
    def inside_a_line(self) -> bool:
        """Whether what came last is a line that has not ended."""
        return self._held is not None and not self._held[-1].endswith(b"\n")

    def _without_bom(self, piece: bytes) -> bytes:
        """One byte order mark may stand before everything."""
        start = b"".join((*self._held, piece)) if self._held else piece
        found = without_bom(start)
        if found is None:
            self._held = [start] if start else None
            return b""
        self._begun, self._held = True, None
        return found

    def _with_line_feeds(self, piece: bytes) -> bytes:
        if self._after_cr and piece.startswith(b"\n"):
            self._after_cr = False
            piece = piece[1:]
        if piece:
            self._after_cr = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _events(self, block: bytes) -> list[bytes]:
        """The data of all events in some whole ones; the last empty line is left out."""
        if block.startswith(b"data: "):
            found = block[6:].split(b"\n\ndata: ")
            if block.count(b"\n") == 2 * (len(found) - 1):
                return found
        found = []
        for event in block.split(b"\n\n"):
            if event.startswith(b"data: ") and b"\n" not in event:
                found.append(event[6:])
                continue
            for line in event.split(b"\n"):
                if line:
                    self._line(line)
                else:
                    self._dispatch(found)
            self._dispatch(found)
        return found

    def _line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            if self._data is None:
                self._data = []
            self._data.append(value)
        elif name == b"event":
            self._type = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self.last_event_id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            self.retry = int(value)

    def _dispatch(self, found: list[bytes]) -> None:
        if self._data:
            if self._type:
                if self.types is None:
                    self.types = {}
                self.types[len(found)] = self._type
            found.append(b"\n".join(self._data))
            self._data = None
        self._type = ""
