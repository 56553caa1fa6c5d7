"""Events as server-sent events: the pure encoder.

Source: the HTML standard, "Server-sent events". Only CR, LF and CRLF end a line there (not
U+2028, where `str.splitlines` cuts), so that is what is looked for in names, ids and data.
"""

from __future__ import annotations

import re
from typing import Any

from lmstream_sync.errors import ConfigurationError
from lmstream_sync.streaming.event_json import compact, error_data, event_data
from lmstream_sync.streaming.format import Format

__all__ = [
    "DONE",
    "HEARTBEAT",
    "HEARTBEAT_WITH_ID",
    "SSEFormat",
    "encode_error",
    "encode_event",
    "sse_comment",
    "sse_event",
    "sse_json",
]

_LINE_END = re.compile(r"\r\n|\n|\r")
_NO_NAME = re.compile(r"[\r\n\0]")


def sse_event(data: str | None, *, event: str | None = None, id: str | None = None, retry: int | None = None) -> str:
    """One server-sent event, its empty line included.

    Args:
        data: its text; each line of it becomes a line `data: …`. `None`: the event has none.
        event: its name; a browser's is `message` where it has none.
        id: what the browser sends as `Last-Event-ID` when it connects again.
        retry: milliseconds that the browser waits before it connects again.

    Raises:
        ConfigurationError: a name or an id with a line break or NUL in it, which could begin
            a line, or an event, of its own.
    """
    lines = []
    for name, value in (("event", event), ("id", id)):
        if value is not None:
            if _NO_NAME.search(value):
                raise ConfigurationError(f"{name}={value!r}: the {name} of a server-sent event is one line")
            lines.append(f"{name}: {value}\n")
    if retry is not None:
        lines.append(f"retry: {retry:d}\n")
    if data is not None:
        lines.extend(f"data: {line}\n" for line in _LINE_END.split(data))
    return "".join(lines) + "\n"


def sse_json(data: Any) -> str:
    """One server-sent event without a name whose data is JSON, which writes every line break as an escape."""
    return f"data: {compact(data)}\n\n"


def sse_comment(text: str) -> str:
    """A comment, which readers skip: it keeps a connection open, and finds out whether somebody is there."""
    return "".join(f": {line}\n" for line in _LINE_END.split(text)) + "\n"


DONE = sse_event("[DONE]")
HEARTBEAT = sse_comment("heartbeat")
HEARTBEAT_WITH_ID = HEARTBEAT[:-1] + sse_event(None, id="0")


def encode_event(event: Any, *, expose: bool = False) -> str:
    """One event of a stream as one server-sent event.

    A string that already begins with `data:` passes through, as in DSPy: a program that yields
    strings which a model wrote must not let them begin so. What `merge` and `run_many` give is
    the event itself with `"stream"`, its name, or `"index"` beside it; an exception among it is
    masked as `encode_error` does, unless exposed.
    """
    if isinstance(event, str) and event.startswith("data:"):
        return event if event.endswith("\n\n") else event.rstrip("\r\n") + "\n\n"
    return sse_json(event_data(event, expose))


def encode_error(error: BaseException, *, expose: bool = False) -> str:
    """An error as the last event but `[DONE]`: its type, and a message without details unless exposed."""
    return sse_json(error_data(error, expose))


class SSEFormat(Format):
    """The library's own format: each event as `data: {…}`, an error as the last, then `data: [DONE]`.

    Args:
        ids: number the events (`id: 1`), so that a browser's `EventSource`, which connects
            again after the end, then says so (`Last-Event-ID`).
        finished_strings: let strings that begin with `data:` pass through, see `encode_event`;
            otherwise they are events like others, and a text of the model's can forge none.
    """

    name = "sse"

    def __init__(self, *, ids: bool = False, finished_strings: bool = True) -> None:
        self._count = 0 if ids else None
        self._finished_strings = finished_strings

    def event(self, event: Any, *, expose: bool = False) -> str:
        """See `encode_event`."""
        if self._finished_strings:
            return self._numbered(encode_event(event, expose=expose))
        return self._numbered(sse_json(event_data(event, expose)))

    def failed(self, error: BaseException, *, expose: bool = False) -> str:
        """See `encode_error`."""
        return self._numbered(encode_error(error, expose=expose))

    def heartbeat(self) -> str:
        """A comment; before the first event with an id, where events are numbered."""
        return HEARTBEAT if self._count != 0 else HEARTBEAT_WITH_ID

    def end(self) -> str:
        """`data: [DONE]`."""
        return self._numbered(DONE)

    def _numbered(self, event: str) -> str:
        if self._count is None:
            return event
        self._count += 1
        return f"id: {self._count}\n{event}"
