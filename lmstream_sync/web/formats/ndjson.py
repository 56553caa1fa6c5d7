"""NDJSON: one JSON object a line, the same objects as in the library's own server-sent events."""

from __future__ import annotations

from typing import Any

from lmstream_sync.streaming.event_json import compact, error_data, event_data
from lmstream_sync.streaming.format import Format

__all__ = ["NDJSONFormat"]


class NDJSONFormat(Format):
    """Each event as `{"chunk": …}`, `{"status": …}`, `{"prediction": …}` and so on; then `{"done": true}`.

    An error that ends the stream comes as `{"error": {"type", "message"}}` before that. A
    heartbeat is an empty line, which readers of NDJSON skip.
    """

    name = "ndjson"
    content_type = "application/x-ndjson"
    headers = {"X-Content-Type-Options": "nosniff"}

    def event(self, event: Any, *, expose: bool = False) -> str:
        """See `Format.event`."""
        return compact(event_data(event, expose)) + "\n"

    def failed(self, error: BaseException, *, expose: bool = False) -> str:
        """See `Format.failed`."""
        return compact(error_data(error, expose)) + "\n"

    def heartbeat(self) -> str:
        """An empty line."""
        return "\n"

    def end(self) -> str:
        """`{"done": true}`."""
        return '{"done":true}\n'
