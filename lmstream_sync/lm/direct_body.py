"""The body of a response to a request for a stream: events, or something else. Pure."""

from __future__ import annotations

import re
from typing import Any

from lmstream_sync.lm.json_decoding import plain_json
from lmstream_sync.lm.said_errors import with_named_errors
from lmstream_sync.lm.sse_decoder import BEGINS, SSEDecoder

__all__ = ["StreamedBody"]

# How one begins that says what it is; and how long the beginning may be to be told from something else.
_BEGINS_AS_SAID = re.compile(rb"(?:\xef\xbb\xbf)?\s*[^\s{\[<\"\xef]")
_LONGEST_NAME = 8

#: An event, or a body that is no event stream, is kept up to here: bytes.
LONGEST = 64 * 1024 * 1024


class StreamedBody(SSEDecoder):
    """Fed the bytes of a body, gives the data of its events; a body that is no event stream is kept whole.

    Events mostly have no name. What one named `error` has as data comes as an error object.

    Args:
        said: whether its content type says that it is one. Then it is, unless it begins as JSON or HTML does.
    """

    __slots__ = ("_begins", "_is_events", "_kept", "_size")

    def __init__(self, said: bool = False) -> None:
        super().__init__()
        self._begins = _BEGINS_AS_SAID if said else BEGINS
        self._is_events: bool | None = None  # not yet known
        self._kept: list[bytes] | None = None
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that end in this piece.

        Raises:
            ValueError: an event, or the body of another kind, is longer than `LONGEST`.
        """
        if self._is_events:
            events = SSEDecoder.feed(self, piece)  # `super()` makes an object for each piece
            self._size = 0 if events else self._size + len(piece)
        else:
            events = self._begin(piece)
            self._size += len(piece)
        if self._size > LONGEST:
            raise ValueError(f"an event of more than {LONGEST} bytes")
        return events if self.types is None else with_named_errors(events, self.types)

    def _begin(self, piece: bytes) -> list[bytes]:
        if self._kept is None:  # the first piece: nearly always it says all
            if self._begins.match(piece):
                self._is_events = True
                return super().feed(piece)
            self._kept = []
        self._kept.append(piece)
        if self._is_events is None:
            if not piece.strip():  # more of the white space before everything, or within what is kept anyway
                return []
            start = b"".join(self._kept)
            if self._begins.match(start):
                self._is_events, self._kept = True, None
                return super().feed(start)
            if len(start.removeprefix(b"\xef\xbb\xbf").lstrip()) >= _LONGEST_NAME:
                self._is_events = False
        return []

    def finish(self) -> list[bytes]:
        """The data of an event that the end of the body cut off."""
        events = super().finish()
        return events if self.types is None else with_named_errors(events, self.types)

    @property
    def unlike_events(self) -> bool:
        """Whether the body has something in it, and that is no event stream."""
        return not self._is_events and bool(b"".join(self._kept or ()).strip())

    def whole(self) -> Any:
        """The JSON of a body that is no event stream, or `None`."""
        try:
            return plain_json(b"".join(self._kept or ()))
        except ValueError:
            return None
